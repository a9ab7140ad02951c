// SPDX-License-Identifier: Apache-2.0
// Whether a rule matches a packet and a selector matches labels, for evaluate: Calico semantics
// 1.5 to 1.7, 3 and 4, straight from the resources.  Pure; any thread.
#ifndef SLUICE_TESTS_DIFFERENTIAL_MATCHING_H_
#define SLUICE_TESTS_DIFFERENTIAL_MATCHING_H_

#include <string>
#include <vector>

#include "tests/differential/cluster.h"

namespace sluice::differential {

inline constexpr const char* kOrchestrator = "projectcalico.org/orchestrator";

// What "all()" means in a selector, by where it stands (semantics 3.4 and 4.6).
enum class All { anything, has_namespace, has_account };

// `prefix` stands before every key: "pcns." or "pcsa.".
bool matches(const Selector& selector, const Labels& labels, const std::string& prefix,
             All all);
bool matches(const KubeSelector& selector, const Labels& labels);
// Of namespaces: an empty one wants a namespace, and any other what it says of one's labels.
bool matches_spaces(const KubeSelector& selector, const Labels& labels);

// Own labels, then what profiles add.
Labels effective_labels(const Cluster& cluster, const Pod& pod);
Labels effective_labels(const Cluster& cluster, const Set& set);

std::vector<std::string> profiles_of(const Pod& pod);
// A profile that does not exist has one rule, which denies all.
std::vector<Rule> profile_rules(const Cluster& cluster, const std::string& name, bool egress);

// `space`: the policy's namespace, "" if it is global.
bool rule_matches(const Cluster& cluster, const std::string& space, const Rule& rule,
                  const Packet& packet);

// Of TCP, UDP and SCTP.
inline uint8_t number_of(const std::string& protocol) {
  return protocol == "TCP" ? 6 : protocol == "UDP" ? 17 : 132;
}

// The Calico rules that a Kubernetes rule stands for, in order (semantics 1.5 and 1.6).
std::vector<Rule> calico_rules(const KubeRule& rule, bool egress);
std::vector<Rule> calico_rules(const ClusterRule& rule, bool egress);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_MATCHING_H_
