// SPDX-License-Identifier: Apache-2.0
// Policies as files say them: a field that is wrong, empty or null is a finding at its place
// and never a wider policy.
#include <gtest/gtest.h>

#include "tests/config/findings_of.h"

namespace sluice::config {
namespace {

struct Row {
  const char* what;
  std::string text;
  std::string finding;  // the first
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.text;
}

class RefusedPolicy : public testing::TestWithParam<Row> {};

TEST_P(RefusedPolicy, AtItsPlace) {
  const Loaded loaded = load_text(GetParam().text, kTestFile);
  const std::vector<std::string> lines = lines_of(loaded);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines[0], "t.yaml:" + GetParam().finding);
  EXPECT_FALSE(loaded.ok());
}

// A Calico policy of one rule; the rule's fields begin in line 6, column 7.
std::string rule(const std::string& fields) {
  return "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n"
         "  ingress:\n    - " +
         fields + "\n";
}
// A Kubernetes policy; its spec's fields begin in line 5, column 3.
std::string kubernetes(const std::string& fields) {
  return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n "
         " " +
         fields + "\n";
}
const std::string kNoValue = ": has no value | hint: leave the field out, or give it a value";
std::string source_null(const std::string& field, const std::string& at) {
  return at + ": error: NetworkPolicy.spec.ingress[0].source." + field + kNoValue;
}

const Row kNull[] = {
    {"Nets", rule("{action: Allow, source: {nets: }}"), source_null("nets", "6:32")},
    {"NotNets", rule("{action: Allow, source: {notNets: ~}}"), source_null("notNets", "6:32")},
    {"Selector", rule("action: Allow\n      source:\n        selector:\n"),
     source_null("selector", "8:9")},
    {"NotSelector", rule("{action: Allow, source: {notSelector: null}}"),
     source_null("notSelector", "6:32")},
    {"NamespaceSelector", rule("{action: Allow, source: {namespaceSelector: Null}}"),
     source_null("namespaceSelector", "6:32")},
    {"ServiceAccounts", rule("{action: Allow, source: {serviceAccounts: NULL}}"),
     source_null("serviceAccounts", "6:32")},
    {"AccountNames", rule("{action: Allow, source: {serviceAccounts: {names: }}}"),
     source_null("serviceAccounts.names", "6:50")},
    {"Services", rule("{action: Allow, source: {services: }}"),
     source_null("services", "6:32")},
    {"Ports", rule("{action: Allow, protocol: TCP, source: {ports: }}"),
     source_null("ports", "6:47")},
    {"NotPorts", rule("{action: Allow, protocol: TCP, source: {notPorts: }}"),
     source_null("notPorts", "6:47")},
    {"Source", rule("{action: Allow, source: }"),
     "6:23: error: NetworkPolicy.spec.ingress[0].source" + kNoValue},
    {"Action", rule("{action: }"),
     "6:7: error: NetworkPolicy.spec.ingress[0]: action is missing"
     " | hint: action: Allow, Deny, Pass or Log"},
    {"Protocol", rule("{action: Allow, protocol: }"),
     "6:23: error: NetworkPolicy.spec.ingress[0].protocol" + kNoValue},
    {"IpVersion", rule("{action: Allow, ipVersion: }"),
     "6:23: error: NetworkPolicy.spec.ingress[0].ipVersion" + kNoValue},
    {"Icmp", rule("{action: Allow, icmp: }"),
     "6:23: error: NetworkPolicy.spec.ingress[0].icmp" + kNoValue},
    {"Http", rule("{action: Allow, http: }"),
     "6:23: error: NetworkPolicy.spec.ingress[0].http" + kNoValue},
    {"Rule", rule("\n    - {action: Deny}"),
     "6:5: error: NetworkPolicy.spec.ingress: entry [0] is empty | hint: remove the entry"},
    {"Net", rule("{action: Allow, source: {nets: [~]}}"),
     "6:38: error: NetworkPolicy.spec.ingress[0].source.nets: entry [0] is empty | hint: "
     "remove "
     "the entry"},
    {"PolicySelector",
     "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec:\n"
     "  selector:\n  types: [Ingress]\n",
     "5:3: error: GlobalNetworkPolicy.spec.selector" + kNoValue},
    {"PolicyTypes",
     "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec:\n"
     "  types:\n",
     "5:3: error: GlobalNetworkPolicy.spec.types" + kNoValue},
    {"Spec",
     "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n",
     "1:1: error: NetworkPolicy: spec is missing | hint: half-written? an empty one is written "
     "spec: {}"},
    {"NoSpec", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n",
     "1:1: error: NetworkPolicy: spec is missing | hint: half-written? an empty one is written "
     "spec: {}"},
    {"From", kubernetes("podSelector: {}\n  ingress:\n    - from:\n"),
     "7:7: error: NetworkPolicy.spec.ingress[0].from" + kNoValue},
    {"To", kubernetes("podSelector: {}\n  egress: [{to: }]"),
     "6:13: error: NetworkPolicy.spec.egress[0].to" + kNoValue},
    {"KubernetesPorts", kubernetes("podSelector: {}\n  egress: [{ports: }]"),
     "6:13: error: NetworkPolicy.spec.egress[0].ports" + kNoValue},
    {"KubernetesRule", kubernetes("podSelector: {}\n  ingress:\n  -\n"),
     "7:3: error: NetworkPolicy.spec.ingress: entry [0] is empty | hint: remove the entry"},
    {"Peer", kubernetes("podSelector: {}\n  ingress: [{from: [~]}]"),
     "6:20: error: NetworkPolicy.spec.ingress[0].from: entry [0] is empty | hint: remove the "
     "entry"},
    {"PodSelector", kubernetes("podSelector:\n"),
     "5:3: error: NetworkPolicy.spec.podSelector" + kNoValue},
    {"PeerPodSelector", kubernetes("podSelector: {}\n  ingress: [{from: [{podSelector: }]}]"),
     "6:21: error: NetworkPolicy.spec.ingress[0].from[0]: a peer needs podSelector, "
     "namespaceSelector or ipBlock"},
    {"MatchLabels", kubernetes("podSelector: {matchLabels: }\n"),
     "5:17: error: NetworkPolicy.spec.podSelector.matchLabels" + kNoValue},
    {"MatchExpressions", kubernetes("podSelector: {matchExpressions: }\n"),
     "5:17: error: NetworkPolicy.spec.podSelector.matchExpressions" + kNoValue},
    {"KubernetesPort",
     kubernetes("podSelector: {}\n  ingress: [{ports: [{port: , protocol: TCP}]}]"),
     "6:23: error: NetworkPolicy.spec.ingress[0].ports[0].port" + kNoValue},
    {"EndPort", kubernetes("podSelector: {}\n  ingress: [{ports: [{port: 1, endPort: }]}]"),
     "6:32: error: NetworkPolicy.spec.ingress[0].ports[0].endPort" + kNoValue},
    {"Except",
     kubernetes(
         "podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: }}]}]"),
     "6:50: error: NetworkPolicy.spec.ingress[0].from[0].ipBlock.except" + kNoValue},
};
INSTANTIATE_TEST_SUITE_P(Null, RefusedPolicy, testing::ValuesIn(kNull),
                         [](const auto& row) { return std::string(row.param.what); });

}  // namespace
}  // namespace sluice::config
