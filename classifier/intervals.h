// SPDX-License-Identifier: Apache-2.0
// A set of numbers as sorted, disjoint, inclusive intervals: the transport keys or source ports
// that a rule is about.  A plain value of the compiler; no lookup reads it.
#ifndef SLUICE_CLASSIFIER_INTERVALS_H_
#define SLUICE_CLASSIFIER_INTERVALS_H_

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

struct Interval {
  uint32_t first = 0;
  uint32_t last = 0;  // inclusive
  friend bool operator==(const Interval&, const Interval&) = default;
};

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
