// SPDX-License-Identifier: Apache-2.0
#include "classifier/intervals.h"

#include <algorithm>

namespace sluice {

Intervals::Intervals(std::vector<Interval> any) {
  std::sort(any.begin(), any.end(),
            [](const Interval& a, const Interval& b) { return a.first < b.first; });
  for (const Interval& next : any) {
    if (!all_.empty() &&
        (next.first <= all_.back().last || next.first - 1 == all_.back().last)) {
      all_.back().last = std::max(all_.back().last, next.last);
    } else {
      all_.push_back(next);
    }
  }
}

Intervals Intervals::intersect(const Intervals& other) const {
  Intervals out;
  for (size_t i = 0, j = 0; i < all_.size() && j < other.all_.size();) {
    const Interval both{std::max(all_[i].first, other.all_[j].first),
                        std::min(all_[i].last, other.all_[j].last)};
    if (both.first <= both.last) {
      out.all_.push_back(both);
    }
    ++(all_[i].last < other.all_[j].last ? i : j);
  }
  return out;
}

Intervals Intervals::minus(const Intervals& other) const {
  Intervals out;
  size_t j = 0;
  for (Interval rest : all_) {
    while (j < other.all_.size() && other.all_[j].last < rest.first) {
      ++j;
    }
    bool left = true;
    for (size_t k = j; left && k < other.all_.size() && other.all_[k].first <= rest.last; ++k) {
      if (other.all_[k].first > rest.first) {
        out.all_.push_back({rest.first, other.all_[k].first - 1});
      }
      left = other.all_[k].last < rest.last;
      rest.first = left ? other.all_[k].last + 1 : rest.first;
    }
    if (left) {
      out.all_.push_back(rest);
    }
  }
  return out;
}

}  // namespace sluice
