// SPDX-License-Identifier: Apache-2.0
// The peer of the compiled matcher: DPDK's rte_acl, for one endpoint in one direction.
//
// rte_acl has plain five-tuple rules.  So every set is expanded into its prefixes, and what has
// no such form is left out of the policy for both: negations, pass and log.
#ifndef SLUICE_PERF_POLICY_ACL_H_
#define SLUICE_PERF_POLICY_ACL_H_

#include <string>

#include "perf/policy_workload.h"

namespace sluice::perf {

struct AclRow {
  size_t rules = 0;  // after expansion
  double build_s = 0;
  double acl_ns = 0, matcher_ns = 0;  // per packet, the same packets; medians
  size_t wrong = 0;                   // answers of rte_acl that differ from the matcher's
  std::string note;                   // the outcome in words
};

// Takes the workload's first ingress program.
AclRow measure_acl(const PolicyWorkload& workload, unsigned runs);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_POLICY_ACL_H_
