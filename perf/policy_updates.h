// SPDX-License-Identifier: Apache-2.0
// What a change of policy costs the compiled matcher: the time of the writer until the change
// can be published and, where members changed, until it is settled.  Processor time of one
// thread; grace periods are not in it.
#ifndef SLUICE_PERF_POLICY_UPDATES_H_
#define SLUICE_PERF_POLICY_UPDATES_H_

#include <string>
#include <vector>

#include "perf/policy_workload.h"

namespace sluice::perf {

struct UpdateRow {
  std::string change;
  double goal_ms = 0;  // of the median; of the worst for a new class
  double median_ms = 0, worst_ms = 0;
  size_t compiled = 0, programs = 0;  // anew, at the median
  size_t wrong = 0;                   // answers after the last one, of 2 000
};

// A pod joins with a class that exists, and with a new one; one of the node's own joins a set;
// a policy of one program is edited, and one of all; the node starts.  `cold_s` is what that
// last took.
std::vector<UpdateRow> measure_updates(const PolicySize& size, const PolicyWorkload& w,
                                       double cold_s);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_POLICY_UPDATES_H_
