// SPDX-License-Identifier: Apache-2.0
// The burst look-up for any processor: what the other levels are compared with.
#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Scalar {
  static constexpr SimdLevel kLevel = SimdLevel::scalar;

  // The last of a slice's values that is at most `value`, as an index into all of them.
  static uint32_t place(const uint16_t* firsts, PortMap::Slice slice, uint32_t value) noexcept {
    return slice.start + last_at_most(firsts + slice.start, slice.size, value);
  }

  // Bit j: the word `i + j` of eight has a term.
  static uint32_t live(const lookup::Bits& bits, size_t i) noexcept {
    uint32_t words = 0;
    for (size_t j = 0; j < Vectors::kBlock; ++j) {
      words |= (bits(i + j) != 0 ? 1u : 0u) << j;
    }
    return words;
  }
};

}  // namespace

void classify_scalar(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Scalar>(tables, burst);
}

}  // namespace sluice
