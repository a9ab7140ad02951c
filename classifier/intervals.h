// SPDX-License-Identifier: Apache-2.0
// A set of numbers as sorted, disjoint, inclusive intervals: the transport keys, source ports
// or IPv4 addresses that a rule is about.  A plain value of the compiler; no lookup reads it.
#ifndef SLUICE_CLASSIFIER_INTERVALS_H_
#define SLUICE_CLASSIFIER_INTERVALS_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

struct Interval {
  uint32_t first = 0;
  uint32_t last = 0;  // inclusive
  friend bool operator==(const Interval&, const Interval&) = default;
};

// Calls add(base, length) for the IPv4 prefixes that make up the interval, in ascending order.
template <typename Add>
void split_prefixes(const Interval& addresses, const Add& add) {
  const uint64_t end = uint64_t{addresses.last} + 1;
  for (uint64_t first = addresses.first; first < end;) {
    // As large as its alignment allows, and no larger than what is left.
    const int aligned = first == 0 ? 32 : std::countr_zero(first);
    const int bits = std::min(aligned, static_cast<int>(std::bit_width(end - first)) - 1);
    add(static_cast<uint32_t>(first), static_cast<uint8_t>(32 - bits));
    first += uint64_t{1} << bits;
  }
}

class Intervals {
 public:
  Intervals() = default;
  Intervals(uint32_t first, uint32_t last) : all_{{first, last}} {}
  // In any order, overlapping or not.
  explicit Intervals(std::vector<Interval> any);

  bool empty() const { return all_.empty(); }
  std::span<const Interval> all() const { return all_; }
  Intervals intersect(const Intervals& other) const;
  Intervals minus(const Intervals& other) const;
  friend bool operator==(const Intervals&, const Intervals&) = default;

 private:
  std::vector<Interval> all_;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_INTERVALS_H_
