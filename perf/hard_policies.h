// SPDX-License-Identifier: Apache-2.0
// Policies that are hard to compile, for what no cluster should have and some will.
//
//   literals   one list of tens of thousands of five-tuple rules with literal nets
//   explosion  rules that ask for a pair of overlapping sets each, not for a third, for a range
//              of ports and some for source ports: every combination is a class of its own
//   passes     tiers whose every rule passes, so that a packet walks all of them
// Each at one pod, whose address is known, or at a host endpoint that forwards, where it is
// not. Most packets are inside a rule; one seed gives one workload.
#ifndef SLUICE_PERF_HARD_POLICIES_H_
#define SLUICE_PERF_HARD_POLICIES_H_

#include <span>

#include "perf/policy_workload.h"

namespace sluice::perf {

enum class Hardness { literals, explosion, passes };
struct HardPolicy {
  const char* name;
  Hardness hardness;
  bool pinned;
  unsigned rules;
  const char* shape = nullptr;  // of literals: five_tuple_sets.h
};
inline constexpr HardPolicy kHardPolicies[] = {
    {"acl 40k, pod", Hardness::literals, true, 40'000, "acl"},
    {"acl 40k, host", Hardness::literals, false, 40'000, "acl"},
    {"fw 40k, host", Hardness::literals, false, 40'000, "fw"},
    {"ipc 40k, host", Hardness::literals, false, 40'000, "ipc"},
    {"ipc 4k, host", Hardness::literals, false, 4'000, "ipc"},
    {"sets 300, pod", Hardness::explosion, true, 300},
    {"sets 300, host", Hardness::explosion, false, 300},
    {"sets 2k, pod", Hardness::explosion, true, 2'000},
    {"sets 2k, host", Hardness::explosion, false, 2'000},
    {"passes, host", Hardness::passes, false, 2'000},
};

PolicyWorkload make_hard_policy(const HardPolicy& policy, uint64_t seed, size_t packets);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_HARD_POLICIES_H_
