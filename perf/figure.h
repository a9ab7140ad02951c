// SPDX-License-Identifier: Apache-2.0
// One figure of a table: what several runs of the same thing took.  The median is what is
// compared; least and most tell how quiet the machine was.  The unit is the caller's.
#ifndef SLUICE_PERF_FIGURE_H_
#define SLUICE_PERF_FIGURE_H_

#include <algorithm>
#include <cassert>
#include <vector>

namespace sluice::perf {

struct Figure {
  double median = 0, least = 0, most = 0;
};

// REQUIRES: at least one run.
inline Figure figure_of(std::vector<double> runs) {
  assert(!runs.empty());
  std::sort(runs.begin(), runs.end());
  return {runs[runs.size() / 2], runs.front(), runs.back()};
}

}  // namespace sluice::perf

#endif  // SLUICE_PERF_FIGURE_H_
