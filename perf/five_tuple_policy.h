// SPDX-License-Identifier: Apache-2.0
// A policy program as a list of five-tuple rules, the only ones that rte_acl knows.
//
// Sets and negated addresses are expanded into prefixes, named ports into addresses with their
// ports, tiers are joined; a log rule decides nothing and goes.
#ifndef SLUICE_PERF_FIVE_TUPLE_POLICY_H_
#define SLUICE_PERF_FIVE_TUPLE_POLICY_H_

#include <optional>
#include <vector>

#include "classifier/forest.h"
#include "classifier/rule.h"

namespace sluice::perf {

struct FiveTuplePolicy {
  std::vector<FiveTupleRule> rules;  // the first that matches decides; none: denied
  std::vector<bool> allows;          // by rule
};

// What `program` says of IPv4 packets that are not ICMP; nothing where five-tuples cannot say
// it: pass, negated protocols and named ports, or over a million rules.
std::optional<FiveTuplePolicy> five_tuple_policy(const RuleSet& rules, const Program& program);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_FIVE_TUPLE_POLICY_H_
