// SPDX-License-Identifier: Apache-2.0
#include "classifier/intervals.h"

#include <algorithm>
#include <utility>

namespace sluice {

Intervals::Intervals(std::vector<Interval> any) {
  std::sort(any.begin(), any.end(),
            [](const Interval& a, const Interval& b) { return a.first < b.first; });
  size_t kept = 0;  // of those seen, joined where they touch
  for (const Interval& next : any) {
    if (kept > 0 &&
        (next.first <= any[kept - 1].last || next.first - 1 == any[kept - 1].last)) {
      any[kept - 1].last = std::max(any[kept - 1].last, next.last);
    } else {
      any[kept++] = next;
    }
  }
  any.resize(kept);
  all_ = std::move(any);
}

Intervals Intervals::intersect(const Intervals& other) const {
  Intervals out;
  out.all_.reserve(std::max(all_.size(), other.all_.size()));
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
