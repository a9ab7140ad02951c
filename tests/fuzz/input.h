// SPDX-License-Identifier: Apache-2.0
// What fuzz targets read their input with, and how they say that something does not hold.
#ifndef SLUICE_TESTS_FUZZ_INPUT_H_
#define SLUICE_TESTS_FUZZ_INPUT_H_

#include <cstdint>
#include <cstdlib>

namespace sluice::fuzz {

inline void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

// The input, byte by byte; zeros past its end.
struct Input {
  const uint8_t* at;
  const uint8_t* end;
  uint8_t byte() { return at < end ? *at++ : uint8_t{0}; }
  uint16_t two() { return static_cast<uint16_t>(byte() << 8 | byte()); }
};

}  // namespace sluice::fuzz

#endif  // SLUICE_TESTS_FUZZ_INPUT_H_
