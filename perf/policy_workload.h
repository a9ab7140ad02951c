// SPDX-License-Identifier: Apache-2.0
// Policies and traffic of one node in the shape that Calico clusters have: sets are large, rule
// lists are short, labels repeat.
//
// Pods belong to applications, these to namespaces, teams and roles; sets are what selectors on
// such labels choose, some lists of CIDRs, and one feed of hostile networks.  A program is the
// policies of one local pod in one direction: a security tier that all share, a platform tier,
// the policies of its namespace and application, and its profile.  The trace asks all programs
// mixed: most packets are made from a rule of the program, each as likely as any other, the
// rest come from any pod, the feed or anywhere.  One seed gives one workload.
#ifndef SLUICE_PERF_POLICY_WORKLOAD_H_
#define SLUICE_PERF_POLICY_WORKLOAD_H_

#include <memory>
#include <vector>

#include "classifier/matcher.h"

namespace sluice::perf {

struct PolicySize {
  const char* name;
  unsigned programs;       // of as many directions of endpoints
  unsigned pods;           // of the cluster
  unsigned sets;           // by selectors
  unsigned feed;           // CIDRs of the feed
  unsigned program_rules;  // about
};
inline constexpr PolicySize kPolicySizes[] = {
    {"small", 20, 2'000, 40, 1'000, 25},
    {"medium", 44, 20'000, 400, 10'000, 45},
    {"large", 100, 150'000, 2'500, 100'000, 310},
    {"extra large", 500, 300'000, 6'000, 100'000, 500},
};

struct PolicyWorkload {
  std::shared_ptr<const RuleSet> rules;
  std::vector<Matcher::Pin> pins;
  std::vector<FlowKey> keys;
  std::vector<InstanceId> instances;  // by key
};

// REQUIRES: size.programs > 0; `packets` keys are made.
PolicyWorkload make_policy_workload(const PolicySize& size, uint64_t seed, size_t packets,
                                    bool ip6);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_POLICY_WORKLOAD_H_
