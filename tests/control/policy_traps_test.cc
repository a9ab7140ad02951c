// SPDX-License-Identifier: Apache-2.0
// The traps of semantics 10, each by its number.  Elsewhere:
//   18, established flows outlive a deny: tests/fastpath/pipeline_test.cc, Trap18; over real
//       sockets tests/system/test_policy.py.
//   14, 20, 21, 22 and the host's half of 25, of host endpoints: host_endpoint_test.cc.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include <unistd.h>

#include "control/chains.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

constexpr const char* kDenied = "deny default x -1";
constexpr const char* kAllowed = "allow default x 0";

std::string ask_pod(const std::string& resources, const char* from = kInternet,
                    const char* what = "tcp/80") {
  return World(resources).verdict(from, "ns1/p", what);
}

TEST(Trap, T01TheTieBreakComparesOneJoinedString) {
  const World world(np("allow", "{}") + np("allow-dns", "{}") + np("allow.b", "{}"));
  EXPECT_EQ(world.order("p"),
            "NetworkPolicy/ns1/allow-dns NetworkPolicy/ns1/allow.b NetworkPolicy/ns1/allow");
}

TEST(Trap, T02NoPolicyOrderIsInfinite) {
  EXPECT_EQ(ask_pod(np("a", "{ingress: [{action: Deny}]}") +
                    np("x", "{order: 1e300, ingress: [{action: Allow}]}")),
            kAllowed);
}

TEST(Trap, T02NoTierOrderIsTheDefaultTiersAndTiesByName) {
  const std::string policies = np("x", "{ingress: [{action: Deny}]}") +
                               gnp("a", "{tier: aaa, ingress: [{action: Allow}]}") +
                               gnp("z", "{tier: zzz, ingress: [{action: Allow}]}");
  EXPECT_EQ(ask_pod(policies + tier("aaa", "{}")), "allow aaa a 0");
  EXPECT_EQ(ask_pod(policies + tier("zzz", "{}")), "deny default x 0");
}

TEST(Trap, T03TheTierDeniesOnlyInADirectionThatHasAPolicy) {
  const World world(np("x", "{types: [Ingress]}"));
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), kDenied);
  EXPECT_EQ(world.verdict("ns1/p", kInternet, "tcp/80"), kByProfile);
}

TEST(Trap, T04PassInTheDefaultTierIsNotAllow) {
  EXPECT_EQ(ask_pod(np("x", "{ingress: [{action: Pass}]}") +
                    gnp("b", "{tier: kube-baseline, ingress: [{action: Deny}]}")),
            "deny kube-baseline b 0");
}

TEST(Trap, T05WithoutPolicyTheProfileDecides) {
  EXPECT_EQ(ask_pod(""), kByProfile);
  const std::string bare = document("projectcalico.org/v3", "WorkloadEndpoint", "w", "ns1",
                                    "{node: n1, interfaceName: cali-w, ipNetworks: "
                                    "[10.0.0.9/32]}");
  EXPECT_EQ(World(bare).verdict(kInternet, "10.0.0.9", "tcp/80"), "deny __PROFILE__ - -1");
}

TEST(Trap, T06AnUnknownTierIsEnforcedLastAndWarnedOf) {
  const std::string ghost = gnp("g", "{tier: ghost, ingress: [{action: Allow}]}");
  EXPECT_EQ(ask_pod(ghost + np("x", "{}")), kDenied);
  EXPECT_EQ(ask_pod(gnp("x", "{tier: ghost}")), "deny ghost x -1");
  EXPECT_NE(findings_of(ghost).find("warning: tier \"ghost\" does not exist"),
            std::string::npos);
}

TEST(Trap, T07MissingPolicyTypesAreTheApiServers) {
  const World world(knp("x", "{podSelector: {}, egress: []}") +
                    knp("y", "{podSelector: {}, egress: [{to: []}]}"));
  EXPECT_EQ(world.order("p", Direction::ingress),
            "KubernetesNetworkPolicy/ns1/x KubernetesNetworkPolicy/ns1/y");
  EXPECT_EQ(world.order("p", Direction::egress), "KubernetesNetworkPolicy/ns1/y");
}

TEST(Trap, T08ATypeWithoutRulesDeniesAndRulesWithoutTheirTypeAreIgnored) {
  EXPECT_EQ(ask_pod(np("x", "{types: [Ingress], egress: [{action: Allow}]}")), kDenied);
  EXPECT_EQ(ask_pod(np("x", "{types: [Egress], ingress: [{action: Deny}]}")), kByProfile);
}

TEST(Trap, T09AnEmptyRuleSelectorIsNotAll) {
  EXPECT_EQ(ask_pod(gnp("x", "{ingress: [{action: Allow, source: {selector: ''}}]}")),
            kAllowed);
  EXPECT_EQ(ask_pod(gnp("x", "{ingress: [{action: Allow, source: {selector: all()}}]}")),
            kDenied);
}

TEST(Trap, T10SelectorsOfANamespacedPolicyAreScopedNotSelectorToo) {
  const char* rule = "{ingress: [{action: Allow, source: {notSelector: has(nothing)}}]}";
  EXPECT_EQ(ask_pod(np("x", rule)), kDenied);
  EXPECT_EQ(ask_pod(np("x", rule), "ns2/r"), kDenied);
  EXPECT_EQ(ask_pod(np("x", rule), "ns1/q"), kAllowed);
  EXPECT_EQ(ask_pod(gnp("x", rule)), kAllowed);
}

TEST(Trap, T11UnequalAndNotInHoldWhereTheLabelIsAbsent) {
  const auto from = [](const char* source) {
    return gnp("x", std::string("{ingress: [{action: Allow, source: {") + source + "}}]}");
  };
  EXPECT_EQ(ask_pod(from("selector: \"gone != 'v'\""), "ns1/q"), kAllowed);
  EXPECT_EQ(ask_pod(from("selector: \"gone not in {'v'}\""), "ns1/q"), kAllowed);
  // !has(k) is of known addresses, notSelector: has(k) of any
  EXPECT_EQ(ask_pod(from("selector: \"!has(gone)\"")), kDenied);
  EXPECT_EQ(ask_pod(from("notSelector: has(gone)")), kAllowed);
}

TEST(Trap, T12ANewlineIsNoBlankAndHasTakesItsParenthesisAttached) {
  const std::string folded = np("x", "\n  selector: >-\n    has(a) &&\n    has(b)");
  const std::string literal = np("x", "\n  selector: |\n    has(a) &&\n    has(b)");
  EXPECT_EQ(findings_of(folded), "");
  EXPECT_NE(findings_of(literal).find("error"), std::string::npos);
  EXPECT_NE(findings_of(np("x", "{selector: has (a)}")).find("error"), std::string::npos);
}

TEST(Trap, T13NotNetsOfOneFamilyTakeTheRuleFromTheOther) {
  const World world(
      gnp("x", "{ingress: [{action: Allow, source: {notNets: [192.168.0.0/16]}}]}"));
  EXPECT_EQ(world.judge("p", Direction::ingress, flow("2001:db8::1", "fd00::1", 6, 80)),
            "deny");
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), kAllowed);
}

TEST(Trap, T15NetworkSetsAreSelectedWithNamespaceLabelsAndHaveNoPorts) {
  const std::string set = network_set("s", "ns2", "app: x", "198.51.100.0/24");
  const auto from = [](const char* source) {
    return gnp("x", std::string("{ingress: [{action: Allow, source: {") + source + "}}]}");
  };
  EXPECT_EQ(ask_pod(set + from("selector: \"pcns.team == 'blue'\"")), kAllowed);
  EXPECT_EQ(ask_pod(set + from("namespaceSelector: \"team == 'blue'\"")), kAllowed);
  EXPECT_EQ(ask_pod(set + from("selector: \"projectcalico.org/namespace == 'ns2'\"")),
            kAllowed);
  EXPECT_EQ(ask_pod(set + from("selector: \"projectcalico.org/orchestrator == 'k8s'\"")),
            kDenied);
  EXPECT_EQ(World(set + gnp("x",
                            "{egress: [{action: Allow, destination: {selector: \"app == "
                            "'x'\", ports: [web]}}]}"))
                .verdict("ns1/p", kInternet, "tcp/8080"),
            kDenied);
}

TEST(Trap, T16ServicesIgnoreReadinessAndClusterAddresses) {
  const std::string slice = R"(
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: api-1, namespace: ns1, labels: {kubernetes.io/service-name: api}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.2], conditions: {ready: false}}]
ports: [{port: 80}]
---
{apiVersion: v1, kind: Service, metadata: {name: api, namespace: ns1}, spec: {clusterIP: 10.96.0.9}}
)";
  const std::string from =
      np("x", "{ingress: [{action: Allow, source: {services: {name: api}}}]}");
  EXPECT_EQ(ask_pod(slice + from, "ns1/q"), kAllowed);
  const World world(
      slice + np("x", "{egress: [{action: Allow, destination: {services: {name: api}}}]}"));
  EXPECT_EQ(world.verdict("ns1/p", "10.96.0.9", "tcp/80"), kDenied);
}

// A directory that is gone at the end.
class Directory {
 public:
  Directory() {
    std::string name = "/tmp/sluice-traps-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string write(const char* name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

TEST(Trap, T17AnHttpRuleIsRefusedUnlessAskedForAsPlainAllow) {
  const std::string rule = np("x",
                              "{ingress: [{action: Allow, protocol: TCP, http: {methods: "
                              "[GET]}}]}");
  EXPECT_NE(findings_of(rule).find("error: http matches are not enforced yet"),
            std::string::npos);
  const Directory directory;
  directory.write("all.yaml", kCluster + rule);
  const std::string settings =
      directory.write("sluice.yaml", std::string(kSettings) +
                                         "policy: {httpRules: l4}\nresources: [all.yaml]\n");
  config::Loaded loaded = config::load(settings);
  Registries registries;
  const Built built = build(loaded.model, registries, nullptr, loaded.findings);
  ASSERT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
  EXPECT_NE(loaded.findings.format(loaded.model.files).find("the http match is ignored"),
            std::string::npos);
  const auto packet = packet_of_words(built, kInternet, "ns1/p", "tcp/80");
  EXPECT_EQ(explain_packet(built, *packet)["verdict"], "allow");
}

TEST(Trap, T19PreDnatAndUntrackedPoliciesNeverReachAWorkload) {
  EXPECT_EQ(
      ask_pod(gnp("x", "{preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]}")),
      kByProfile);
  EXPECT_EQ(ask_pod(gnp("x",
                        "{doNotTrack: true, applyOnForward: true, ingress: [{action: "
                        "Deny}]}")),
            kByProfile);
  EXPECT_EQ(ask_pod(gnp("x", "{applyOnForward: true}")), kDenied);
}

TEST(Trap, T23TheHostReachesItsPodsButNotThroughATunnel) {
  const World world(gnp("x", "{}"));
  EXPECT_EQ(world.verdict("host", "ns1/p", "tcp/80"), "allow");
  EXPECT_EQ(world.verdict("192.168.0.2", "ns1/p", "tcp/80"), kDenied);
}

TEST(Trap, T24NatOutgoingIsOfDisabledPoolsTooAndWarnedOf) {
  const std::string said =
      findings_of(document("projectcalico.org/v3", "IPPool", "a", "",
                           "{cidr: 10.0.0.0/16, natOutgoing: true, disabled: true}"));
  EXPECT_NE(said.find("natOutgoing is not applied yet"), std::string::npos) << said;
}

TEST(Trap, T25FromAWorkloadIsItsEgressAndAnUnknownInterfaceIsDropped) {
  const World world(np("x", "{types: [Ingress, Egress]}"));
  const auto chains = make_chains(world.built().policy, {}, world.names(), {});
  const auto jumps = [&](const std::string& name) {
    std::string out;
    for (const Chain& chain : chains) {
      for (const ChainLine& line : chain.lines) {
        const bool policy = line.target.starts_with("cali-p");
        out += chain.name == name && policy ? line.target + " " : "";
      }
    }
    return out;
  };
  const std::string veth = world.endpoint("q").interface_name;
  EXPECT_EQ(jumps(chain_name("cali-fw-", veth)),
            "cali-po-np/ns1/x cali-pro-kns.ns1 cali-pro-ksa.ns1.default ");
  EXPECT_EQ(jumps(chain_name("cali-tw-", veth)),
            "cali-pi-np/ns1/x cali-pri-kns.ns1 cali-pri-ksa.ns1.default ");
  // No policy, no endpoint: not "no policy", but the drop at the dispatch's end.
  const nlohmann::json packet = {{"in", "cali-unknown"},
                                 {"src", "10.0.0.77"},
                                 {"dst", kInternet},
                                 {"proto", "tcp"},
                                 {"dport", 80}};
  EXPECT_EQ(explain_packet(World("").built(), packet)["reason"], "endpoint_down");
  for (const Chain& chain : chains) {
    if (chain.name.ends_with("-wl-dispatch")) {
      EXPECT_EQ(chain.lines.back().target, "DROP");
      EXPECT_EQ(chain.lines.back().comments, std::vector<std::string>{"Unknown interface"});
    }
  }
}

TEST(Trap, FurtherSetsSpanTheClusterWhilePoliciesSelectHere) {
  const World world(np("x",
                       "{selector: \"app == 'web'\", ingress: [{action: Allow, source: "
                       "{selector: \"app == 'db'\"}}]}"));
  EXPECT_EQ(world.verdict("10.0.1.9", "ns1/p", "tcp/80"), kAllowed);
  EXPECT_EQ(world.built().policy.endpoints.size(), 3u);
}

TEST(Trap, FurtherIcmpType255IsInvalid) {
  EXPECT_NE(findings_of(np("x",
                           "{ingress: [{action: Allow, protocol: ICMP, icmp: {type: "
                           "255}}]}"))
                .find("error"),
            std::string::npos);
  EXPECT_EQ(findings_of(np("x",
                           "{ingress: [{action: Allow, protocol: ICMP, icmp: {type: "
                           "254, code: 255}}]}")),
            "");
}

// ---- stages that Calico's servers perform for it (0, 3.2) ----------------------------------

TEST(Validation, WhatCalicoRefusesIsRefused) {
  const auto rule = [](const char* text) {
    return np("x", std::string("{ingress: [{") + text + "}]}");
  };
  const std::string refused[] = {
      rule("protocol: TCP"),
      rule("action: allow"),
      rule("action: Allow, protocol: tcp"),
      rule("action: Allow, protocol: 0"),
      rule("action: Allow, protocol: 256"),
      rule("action: Allow, ipVersion: 5"),
      rule("action: Allow, icmp: {type: 8}"),
      rule("action: Allow, protocol: TCP, icmp: {type: 8}"),
      rule("action: Allow, protocol: ICMP, icmp: {code: 8}"),
      rule("action: Allow, protocol: ICMP, icmp: {type: 8, code: 256}"),
      rule("action: Allow, destination: {ports: [80]}"),
      rule("action: Allow, protocol: ICMP, destination: {ports: [80]}"),
      rule("action: Allow, protocol: UDPLite, destination: {ports: [80]}"),
      rule("action: Allow, protocol: UDPLite, destination: {ports: [web]}"),
      rule("action: Allow, protocol: TCP, destination: {ports: [0]}"),
      rule("action: Allow, protocol: TCP, destination: {ports: [65536]}"),
      rule("action: Allow, protocol: TCP, destination: {ports: [\"90:80\"]}"),
      rule("action: Allow, protocol: TCP, destination: {ports: [\"a b\"]}"),
      rule("action: Allow, source: {nets: [10.0.0.0/33]}"),
      rule("action: Allow, source: {nets: [nonsense]}"),
      rule("action: Allow, source: {nets: [10.0.0.0/8, \"fd00::/8\"]}"),
      rule("action: Allow, source: {nets: [10.0.0.0/8]}, destination: {notNets: "
           "[\"fd00::/8\"]}"),
      rule("action: Allow, ipVersion: 6, source: {nets: [10.0.0.0/8]}"),
      np("x", "{types: [ingress]}"),
      np("x", "{order: first}"),
      gnp("x", "{doNotTrack: true}"),
      gnp("x", "{preDNAT: true}"),
      gnp("x", "{preDNAT: true, doNotTrack: true, applyOnForward: true}"),
      gnp("x", "{preDNAT: true, applyOnForward: true, types: [Egress]}"),
      gnp("x", "{preDNAT: true, applyOnForward: true, egress: [{action: Allow}]}"),
      np("x", "{selector: \"has(" + std::string(1024, 'a') + ")\"}"),
  };
  for (const std::string& yaml : refused) {
    EXPECT_NE(findings_of(yaml).find("error"), std::string::npos) << yaml;
  }
  const std::string taken[] = {
      rule("action: Allow, destination: {ports: [web]}"),
      rule("action: Allow, protocol: 136"),
      rule("action: Allow, protocol: ICMPv6, icmp: {type: 128, code: 0}"),
      rule("action: Allow, protocol: 58, icmp: {type: 128}"),
      rule("action: Allow, notICMP: {type: 8}"),
      rule("action: Log, metadata: {annotations: {why: because}}"),
      np("x", "{tier: default, order: 5, performanceHints: [AssumeNeededOnEveryNode]}"),
      np("x", "{selector: \"k in {" + std::string(1014, ' ') + "}\"}"),
  };
  for (const std::string& yaml : taken) {
    EXPECT_EQ(findings_of(yaml), "") << yaml;
  }
}

// `count` items, a comma between them.
std::string many(size_t count, const std::function<std::string(size_t)>& item) {
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    out += (i == 0 ? "" : ", ") + item(i);
  }
  return out;
}

TEST(Validation, WhatIsAtItsLimitIsTakenAndOneMoreRefused) {
  const auto in_rule = [](const std::string& text) {
    return np("x", "{ingress: [{action: Allow, " + text + "}]}");
  };
  const auto net = [](size_t i) {
    return "10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".0/24";
  };
  const auto number = [](size_t i) { return std::to_string(i + 1); };
  const auto selector = [](size_t length) {
    return "\"k in {" + std::string(length - 7, ' ') + "}\"";
  };
  const struct {
    const char* what;
    size_t most;
    std::function<std::string(size_t)> yaml;
  } rows[] = {
      {"nets", 256,
       [&](size_t n) { return in_rule("source: {nets: [" + many(n, net) + "]}"); }},
      {"notNets", 256,
       [&](size_t n) { return in_rule("destination: {notNets: [" + many(n, net) + "]}"); }},
      {"ports", 50,
       [&](size_t n) {
         return in_rule("protocol: TCP, destination: {ports: [" + many(n, number) + "]}");
       }},
      {"notPorts", 50,
       [&](size_t n) {
         return in_rule("protocol: TCP, source: {notPorts: [" + many(n, number) + "]}");
       }},
      {"rules", 1024,
       [&](size_t n) {
         return np("x", "{ingress: [" + many(n, [](size_t) {
                          return std::string("{action: Deny}");
                        }) + "]}");
       }},
      {"egress rules", 1024,
       [&](size_t n) {
         return gnp("x", "{egress: [" + many(n, [](size_t) {
                           return std::string("{action: Deny}");
                         }) + "]}");
       }},
      {"a policy's selector", 1024,
       [&](size_t n) { return np("x", "{selector: " + selector(n) + "}"); }},
      {"a policy's namespaceSelector", 1024,
       [&](size_t n) { return gnp("x", "{namespaceSelector: " + selector(n) + "}"); }},
      {"a policy's serviceAccountSelector", 1024,
       [&](size_t n) { return np("x", "{serviceAccountSelector: " + selector(n) + "}"); }},
      {"a rule's selector", 1024,
       [&](size_t n) { return in_rule("source: {selector: " + selector(n) + "}"); }},
      {"a rule's notSelector", 1024,
       [&](size_t n) { return in_rule("source: {notSelector: " + selector(n) + "}"); }},
      {"a rule's namespaceSelector", 1024,
       [&](size_t n) { return in_rule("source: {namespaceSelector: " + selector(n) + "}"); }},
      {"a port's number", 65535,
       [&](size_t n) {
         return in_rule("protocol: TCP, destination: {ports: [" + std::to_string(n) + "]}");
       }},
      {"the end of a range", 65535,
       [&](size_t n) {
         return in_rule("protocol: UDP, destination: {ports: [\"1:" + std::to_string(n) +
                        "\"]}");
       }},
      {"a port's name", 128,
       [&](size_t n) {
         return in_rule("destination: {ports: [" + std::string(n, 'a') + "]}");
       }},
      {"a protocol", 255, [&](size_t n) { return in_rule("protocol: " + std::to_string(n)); }},
      {"notProtocol", 255,
       [&](size_t n) { return in_rule("notProtocol: " + std::to_string(n)); }},
      {"an ICMP type", 254,
       [&](size_t n) {
         return in_rule("protocol: ICMP, icmp: {type: " + std::to_string(n) + "}");
       }},
      {"an ICMP code", 255,
       [&](size_t n) {
         return in_rule("protocol: ICMP, icmp: {type: 0, code: " + std::to_string(n) + "}");
       }},
      {"a notICMP type", 254,
       [&](size_t n) { return in_rule("notICMP: {type: " + std::to_string(n) + "}"); }},
      {"a policy's name", 253, [&](size_t n) { return np(std::string(n, 'a'), "{}"); }},
      {"a tier's name", 63, [&](size_t n) { return tier(std::string(n, 'a'), "{order: 1}"); }},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(findings_of(row.yaml(row.most)), "") << row.what;
    EXPECT_NE(findings_of(row.yaml(row.most + 1)).find("error"), std::string::npos) << row.what;
  }
}

TEST(Validation, HttpMatchesEndAtTwentyMethodsAndPaths) {
  const auto http = [](const char* list, size_t count, const char* before) {
    return findings_of(
        np("x", std::string("{ingress: [{action: Allow, http: {") + list + ": [" +
                    many(count,
                         [&](size_t i) {
                           return before + std::to_string(i) + (*before == '{' ? "}" : "");
                         }) +
                    "]}}]}"));
  };
  for (const size_t count : {20u, 21u}) {
    const bool more = count > 20;
    EXPECT_EQ(http("methods", count, "M").find("more than 20") != std::string::npos, more);
    EXPECT_EQ(http("paths", count, "{exact: /").find("more than 20") != std::string::npos,
              more);
  }
}

// Fields of the other kind of policy are unknown, not applied.
TEST(Validation, FieldsOfGlobalPoliciesAreUnknownToNamespacedOnes) {
  for (const char* field : {"namespaceSelector: all()", "doNotTrack: true", "preDNAT: true",
                            "applyOnForward: true"}) {
    const std::string name = std::string(field).substr(0, std::string(field).find(':'));
    const std::string said = findings_of(np("x", std::string("{") + field + "}"));
    EXPECT_NE(said.find("warning: unknown field \"" + name + "\""), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace sluice::control::testing
