// SPDX-License-Identifier: Apache-2.0
// Choices by chance that a seed repeats.  Not thread-safe.
#ifndef SLUICE_TESTS_DIFFERENTIAL_DICE_H_
#define SLUICE_TESTS_DIFFERENTIAL_DICE_H_

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

namespace sluice::differential {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}

  // 0 to count - 1.  REQUIRES: count > 0.
  unsigned below(unsigned count) { return static_cast<unsigned>(engine_() % count); }
  bool one_in(unsigned odds) { return below(odds) == 0; }

  template <typename T>
  T of(std::initializer_list<T> items) {
    return *(items.begin() + below(static_cast<unsigned>(items.size())));
  }
  template <typename T>
  const T& pick(const std::vector<T>& items) {
    return items[below(static_cast<unsigned>(items.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_DICE_H_
