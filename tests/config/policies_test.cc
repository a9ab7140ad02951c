// SPDX-License-Identifier: Apache-2.0
// Policies as files say them: a field that is wrong, empty or null is a finding at its place
// and never a wider policy.
#include <gtest/gtest.h>

#include "tests/config/findings_of.h"

namespace sluice::config {
namespace {

struct Refusal {
  const char* what;
  std::string text;
  std::string finding;  // the first
};
void PrintTo(const Refusal& row, std::ostream* out) {
  *out << row.text;
}

class RefusedPolicy : public testing::TestWithParam<Refusal> {};

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

const Refusal kNull[] = {
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
    {"MatchLabel", kubernetes("podSelector: {matchLabels: {a: }}\n"),
     "5:31: error: NetworkPolicy.spec.podSelector.matchLabels.a" + kNoValue},
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

std::string in_rule(const std::string& column, const std::string& message) {
  return "6:" + column + ": error: NetworkPolicy.spec.ingress[0]" + message;
}
std::string in_spec(const std::string& at, const std::string& message) {
  return at + ": error: NetworkPolicy.spec." + message;
}
std::string destination(const std::string& port) {
  return rule("{action: Allow, protocol: TCP, destination: {ports: [" + port + "]}}");
}
std::string no_port(const std::string& port) {
  return in_rule("60", ".destination.ports[0]: \"" + port +
                           "\" is no port or range of ports from 1 to 65535");
}
std::string no_protocol(const std::string& name) {
  return in_rule("33",
                 ".protocol: unknown protocol \"" + name +
                     "\" | hint: TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite (written so), or a "
                     "number from 1 to 255");
}

const std::string kHttp =
    ": error: http matches are not enforced yet | hint: policy: {httpRules: l4} allows what "
    "the "
    "rest of the rule allows";

const Refusal kCalicoRules[] = {
    {"UnknownAction", rule("{action: allow}"),
     in_rule("16",
             ".action: \"allow\" is not one of: Allow, Deny, Pass, Log | hint: did you mean "
             "\"Allow\"?")},
    {"EmptyAction", rule("{action: \"\"}"),
     in_rule("16", ".action: \"\" is not one of: Allow, Deny, Pass, Log")},
    {"LowerCaseProtocol", rule("{action: Allow, protocol: tcp}"), no_protocol("tcp")},
    {"EmptyProtocol", rule("{action: Allow, protocol: \"\"}"), no_protocol("")},
    {"OctalProtocol", rule("{action: Allow, protocol: 017}"), no_protocol("017")},
    {"ProtocolTooHigh", rule("{action: Allow, protocol: 256}"), no_protocol("256")},
    {"OctalPort", destination("010"), no_port("010")},
    {"PortZero", destination("0"), no_port("0")},
    {"PortTooHigh", destination("65536"), no_port("65536")},
    {"PortRangeBackwards", destination("9:8"), no_port("9:8")},
    {"HexadecimalPort", destination("0x50"),
     in_rule("60",
             ".destination.ports[0]: text is expected, and 0x50 is none to YAML | hint: "
             "write it in quotes: \"0x50\"")},
    {"EmptyPort", destination("\"\""),
     in_rule("60",
             ".destination.ports[0]: \"\" is neither a port, a range such as \"8000:8080\" "
             "nor a port's name")},
    {"PortWithoutProtocol", rule("{action: Allow, destination: {ports: [80]}}"),
     in_rule("7", ": ports need a protocol that has them | hint: protocol: TCP, UDP or SCTP")},
    {"PortOfUdpLite", rule("{action: Allow, protocol: UDPLite, destination: {ports: [a]}}"),
     in_rule("7", ": ports need a protocol that has them | hint: protocol: TCP, UDP or SCTP")},
    {"EmptyNet", rule("{action: Allow, source: {nets: [\"\"]}}"),
     in_rule("39",
             ".source.nets[0]: \"\" is no CIDR | hint: write it as 10.0.0.0/8 or fd00::/8")},
    {"NetsNotAList", rule("{action: Allow, source: {nets: 10.0.0.0/8}}"),
     in_rule("38", ".source.nets: a list is expected")},
    {"MixedFamilies", rule("{action: Allow, source: {nets: [10.0.0.0/8, \"fd00::/8\"]}}"),
     in_rule("7", ": IPv4 and IPv6 CIDRs in one rule | hint: write a rule for each")},
    {"OtherFamily", rule("{action: Allow, ipVersion: 6, source: {nets: [10.0.0.0/8]}}"),
     in_rule("7", ": CIDRs of another IP version than ipVersion")},
    {"IpVersion5", rule("{action: Allow, ipVersion: 5}"),
     in_rule("34", ".ipVersion: 4 or 6 is expected")},
    {"IcmpWithoutProtocol", rule("{action: Allow, icmp: {type: 8}}"),
     in_rule("7", ": icmp needs protocol ICMP or ICMPv6")},
    {"EmptyIcmpOfTcp", rule("{action: Allow, protocol: TCP, icmp: {}}"),
     in_rule("7", ": icmp needs protocol ICMP or ICMPv6")},
    {"EmptyIcmp", rule("{action: Allow, icmp: {}}"),
     in_rule("7", ": icmp needs protocol ICMP or ICMPv6")},
    {"IcmpCodeAlone", rule("{action: Allow, protocol: ICMP, icmp: {code: 0}}"),
     in_rule("45", ".icmp: code needs a type")},
    {"IcmpType255", rule("{action: Allow, protocol: ICMP, icmp: {type: 255}}"),
     in_rule("52", ".icmp.type: a whole number from 0 to 254 is expected, not \"255\"")},
    {"ServicesWithNets",
     rule("{action: Allow, source: {services: {name: a}, nets: [10.0.0.0/8]}}"),
     in_rule("31",
             ".source: services cannot be combined with selectors, serviceAccounts or nets")},
    {"NumberAsSelector", rule("{action: Allow, source: {selector: 5}}"),
     in_rule("42",
             ".source.selector: text is expected, and 5 is none to YAML | hint: write it in "
             "quotes: \"5\"")},
    {"ListAsSelector", rule("{action: Allow, source: {selector: [a]}}"),
     in_rule("42", ".source.selector: text is expected here")},
    {"LongSelector",
     rule("{action: Allow, source: {selector: " + std::string(1025, 'a') + "}}"),
     in_rule("42", ".source.selector: longer than 1024 characters")},
    {"HttpOnDeny", rule("{action: Deny, http: {methods: [GET]}}"),
     in_rule("7", ": http is for Allow rules only")},
    {"HttpOfAPolicy", rule("{action: Allow, http: {methods: [GET]}}"), "6:7" + kHttp},
    {"HttpOfAProfile",
     "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: p}\nspec:\n"
     "  ingress:\n    - {action: Allow, http: {methods: [GET]}}\n",
     "6:7" + kHttp},
};
INSTANTIATE_TEST_SUITE_P(Calico, RefusedPolicy, testing::ValuesIn(kCalicoRules),
                         [](const auto& row) { return std::string(row.param.what); });

std::string calico(const std::string& fields) {
  return "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n "
         " " +
         fields + "\n";
}
std::string peer(const std::string& fields) {
  return kubernetes("podSelector: {}\n  ingress: [{from: [{" + fields + "}]}]");
}
std::string port(const std::string& fields) {
  return kubernetes("podSelector: {}\n  ingress: [{ports: [{" + fields + "}]}]");
}
std::string expression(const std::string& fields) {
  return kubernetes("podSelector: {matchExpressions: [{" + fields + "}]}");
}
std::string in_expression(const std::string& message) {
  return in_spec("5:36", "podSelector.matchExpressions[0]: " + message);
}

const Refusal kSpecs[] = {
    {"OctalOrder", calico("order: 010"),
     in_spec("5:10", "order: a number is expected, not \"010\"")},
    {"WordAsOrder", calico("order: first"),
     in_spec("5:10", "order: a number is expected, not \"first\"")},
    {"LowerCaseType", calico("types: [ingress]"),
     in_spec("5:11",
             "types[0]: \"ingress\" is not one of: Ingress, Egress | hint: did you mean "
             "\"Ingress\"?")},
    {"NoOperator", expression("key: a"),
     in_expression("operator is missing | hint: operator: In, NotIn, Exists or DoesNotExist")},
    {"InWithoutValues", expression("key: a, operator: In"),
     in_expression("In and NotIn need values")},
    {"NotInWithoutValues", expression("key: a, operator: NotIn, values: []"),
     in_expression("In and NotIn need values")},
    {"ExistsWithValues", expression("key: a, operator: Exists, values: [b]"),
     in_expression("Exists and DoesNotExist have no values")},
    {"SelectorAsKey", kubernetes("podSelector: {matchLabels: {\"a == 'b' || c\": d}}"),
     in_spec("5:30", "podSelector.matchLabels: \"a == 'b' || c\" is no label's key")},
    {"QuoteInValue", kubernetes("podSelector: {matchLabels: {a: \"b' || has(c) || 'd\"}}"),
     in_spec("5:30", "podSelector.matchLabels: \"b' || has(c) || 'd\" is no label's value")},
    {"BooleanAsValue", kubernetes("podSelector: {matchLabels: {a: yes}}"),
     in_spec("5:34",
             "podSelector.matchLabels.a: text is expected, and yes is none to YAML | "
             "hint: write it in quotes: \"yes\"")},
    {"LetterAsValue", kubernetes("podSelector: {matchLabels: {a: y}}"),
     in_spec("5:34",
             "podSelector.matchLabels.a: text is expected, and y is none to YAML | "
             "hint: write it in quotes: \"y\"")},
    {"EmptyPeer", peer(""),
     in_spec("6:21",
             "ingress[0].from[0]: a peer needs podSelector, namespaceSelector or ipBlock")},
    {"BlockAndPods", peer("podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}"),
     in_spec("6:21", "ingress[0].from[0]: ipBlock excludes podSelector and namespaceSelector")},
    {"BlockWithoutCidr", peer("ipBlock: {}"),
     in_spec("6:31", "ingress[0].from[0].ipBlock: cidr is missing or wrong")},
    {"AddressAsBlock", peer("ipBlock: {cidr: 10.0.0.1}"),
     in_spec("6:31", "ingress[0].from[0].ipBlock: cidr is missing or wrong")},
    {"AddressAsExcept", peer("ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.5]}"),
     in_spec(
         "6:59",
         "ingress[0].from[0].ipBlock.except[0]: \"10.0.0.5\" is no CIDR | hint: write it as "
         "10.0.0.0/8 or fd00::/8")},
    {"ExceptIsAll", peer("ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}"),
     in_spec("6:31",
             "ingress[0].from[0].ipBlock: except 10.0.0.0/8 is no smaller part of "
             "10.0.0.0/8")},
    {"ExceptOfOtherFamily", peer("ipBlock: {cidr: \"::/0\", except: [10.0.0.0/8]}"),
     in_spec("6:31",
             "ingress[0].from[0].ipBlock: except 10.0.0.0/8 is no smaller part of ::/0")},
    {"QuotedPort", port("port: \"80\""),
     in_spec("6:29",
             "ingress[0].ports[0].port: \"80\" is neither a port's number nor its name | "
             "hint: a number is written without quotes")},
    {"OctalPortNumber", port("port: 010"),
     in_spec("6:29",
             "ingress[0].ports[0].port: a whole number from 1 to 65535 is expected, not "
             "\"010\"")},
    {"HexadecimalPortNumber", port("port: 0x50"),
     in_spec("6:29",
             "ingress[0].ports[0].port: text is expected, and 0x50 is none to YAML | hint: "
             "write it in quotes: \"0x50\"")},
    {"EndPortOfName", port("port: http, endPort: 90"),
     in_spec("6:22", "ingress[0].ports[0]: endPort needs a numeric port that is not above it")},
    {"EndPortBelow", port("port: 80, endPort: 79"),
     in_spec("6:22", "ingress[0].ports[0]: endPort needs a numeric port that is not above it")},
    {"ProtocolOfPort", port("protocol: ICMP"),
     in_spec("6:33",
             "ingress[0].ports[0].protocol: \"ICMP\" is not one of: TCP, UDP, SCTP | "
             "hint: did you mean \"TCP\"?")},
};
INSTANTIATE_TEST_SUITE_P(Spec, RefusedPolicy, testing::ValuesIn(kSpecs),
                         [](const auto& row) { return std::string(row.param.what); });

// What is empty but not null means what Calico gives it (semantics 4.6).
TEST(Empty, MeansWhatCalicoGives) {
  const Loaded loaded =
      load_text(rule("{action: Allow, source: {nets: [], selector: \"\", serviceAccounts: {}}, "
                     "destination: {}}"),
                kTestFile);
  EXPECT_EQ(all_of(loaded), "");
  const EntityRule& source = loaded.model.policies.at(0)->ingress.at(0).source;
  EXPECT_TRUE(source.nets.empty() && source.selector.empty());
  EXPECT_TRUE(source.service_accounts->names.empty());
}

// Where a selector's text begins, for a complaint about it.
TEST(Selector, KnowsWhereItsTextBegins) {
  const struct {
    std::string written;
    int line;
    int column;
    bool verbatim;  // so that an offset in it is one in the file
  } kRows[] = {
      {"a == 'b'", 5, 13, true},
      {"\"a == 'b'\"", 5, 14, true},
      {"'has(a)'", 5, 14, true},
      {"|-\r\n    has(c)", 6, 5, true},
      {">-\n    has(c)", 6, 5, true},
      {">-\n    a == 'b' &&\n    has(c)", 6, 5, false},
      {"a == 'b' &&\n    has(c)", 5, 13, false},
      {"\"a == \\\"b\\\"\"", 5, 14, false},
      {"&x has(a)", 5, 13, false},
  };
  for (const auto& row : kRows) {
    const Loaded loaded = load_text(calico("selector: " + row.written), kTestFile);
    ASSERT_EQ(all_of(loaded), "");
    const Where& at = loaded.model.policies.at(0)->selector.where;
    EXPECT_EQ(at.line, row.line) << row.written;
    EXPECT_EQ(at.column, row.column) << row.written;
    EXPECT_EQ(loaded.model.policies.at(0)->selector.verbatim, row.verbatim) << row.written;
  }
}

}  // namespace
}  // namespace sluice::config
