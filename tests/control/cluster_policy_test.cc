// SPDX-License-Identifier: Apache-2.0
// ClusterNetworkPolicy and its forerunners: semantics 1.6, and vectors 8 to 10 of 11.
#include "control/kubernetes.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

std::string cnp(std::string_view name, std::string_view spec) {
  return document("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name, "", spec);
}
std::string anp(std::string_view name, std::string_view spec) {
  return document("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", name, "", spec);
}
std::string banp(std::string_view spec) {
  return document("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "default",
                  "", spec);
}
constexpr const char* kAll = "subject: {namespaces: {}}";
// Any pod may be meant, and nobody else; networks are for egress only.
constexpr const char* kFromAll = "from: [{namespaces: {}}]";

std::string admin(const std::string& rules, const char* subject = kAll) {
  return cnp("c", std::string("{tier: Admin, priority: 10, ") + subject + ", " + rules + "}");
}
std::string ask(const std::string& resources, const char* from = "ns1/q",
                const char* to = "ns1/p", const char* what = "tcp/80") {
  return World(resources).verdict(from, to, what);
}

// ---- tiers and order -----------------------------------------------------------------------

TEST(ClusterPolicy, TheVectorsOfTheSpecification) {
  const std::string baseline = cnp("b", std::string("{tier: Baseline, priority: 5, ") + kAll +
                                            ", ingress: [{action: Deny, " + kFromAll + "}]}");
  const std::string web = np("n",
                             "{ingress: [{action: Allow, protocol: TCP, destination: {ports: "
                             "[80]}}]}");
  EXPECT_EQ(ask(baseline + web), "allow default n 0") << "vector 8";
  EXPECT_EQ(ask(baseline + web, "ns1/q", "ns1/p", "tcp/81"), "deny default n -1") << "vector 9";
  EXPECT_EQ(ask(baseline), "deny kube-baseline b 0") << "vector 10";
}

TEST(ClusterPolicy, StandsInItsTierByPriorityThenName) {
  const auto rules = std::string(", ") + kAll + ", ingress: [{action: Pass, " + kFromAll + "}]";
  const World world(cnp("z", "{tier: Admin, priority: 0" + rules + "}") +
                    cnp("a", "{tier: Admin, priority: 1000" + rules + "}") +
                    cnp("b", "{tier: Baseline, priority: 3" + rules + "}") +
                    gnp("g", "{tier: kube-admin, order: 5}") + np("n", "{}"));
  EXPECT_EQ(world.order("p"),
            "KubernetesClusterNetworkPolicy//z GlobalNetworkPolicy//g "
            "KubernetesClusterNetworkPolicy//a | NetworkPolicy/ns1/n | "
            "KubernetesClusterNetworkPolicy//b");
}

TEST(ClusterPolicy, ActionsAreCalicos) {
  const auto rule = [](const char* action) {
    return admin(std::string("ingress: [{action: ") + action + ", " + kFromAll + "}]");
  };
  const std::string deny = np("n", "{types: [Ingress]}");
  EXPECT_EQ(ask(rule("Accept") + deny), "allow kube-admin c 0");
  EXPECT_EQ(ask(rule("Deny")), "deny kube-admin c 0");
  EXPECT_EQ(ask(rule("Pass") + deny), "deny default n -1");
  EXPECT_EQ(ask(rule("Pass")), kByProfile);
}

TEST(ClusterPolicy, HasADirectionOnlyWhereItHasARule) {
  const World none(admin("ingress: []"));
  EXPECT_EQ(none.order("p") + none.order("p", Direction::egress), "");
  const World out(admin("egress: [{action: Deny, to: [{networks: [203.0.113.0/24]}]}]"));
  EXPECT_EQ(out.order("p"), "");
  EXPECT_EQ(out.verdict("ns1/p", "203.0.113.9", "tcp/80"), "deny kube-admin c 0");
  // The tier passes what no rule decides.
  EXPECT_EQ(out.verdict("ns1/p", kInternet, "tcp/80"), kByProfile);
}

// ---- whom ----------------------------------------------------------------------------------

TEST(ClusterPolicy, TheSubjectIsPodsOfNamespaces) {
  const struct {
    const char* subject;
    const char* selected;  // of p, q, r
  } rows[] = {
      {"subject: {namespaces: {}}", "pqr"},
      {"subject: {namespaces: {matchLabels: {team: red}}}", "pq"},
      {"subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: ns2}}}", "r"},
      {"subject: {namespaces: {matchExpressions: [{key: team, operator: NotIn, values: "
       "[red]}]}}",
       "r"},
      {"subject: {pods: {namespaceSelector: {}, podSelector: {}}}", "pqr"},
      {"subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}",
       "pr"},
      {"subject: {pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: "
       "{matchLabels: {app: web}}}}",
       "p"},
      {"subject: {namespaces: {matchLabels: {app: web}}}", ""},
  };
  for (const auto& row : rows) {
    const World world(
        admin(std::string("ingress: [{action: Deny, ") + kFromAll + "}]", row.subject));
    std::string selected;
    for (const char* name : {"p", "q", "r"}) {
      selected += world.order(name).empty() ? "" : name;
    }
    EXPECT_EQ(selected, row.selected) << row.subject;
  }
}

TEST(ClusterPolicy, PeersArePodsNamespacesAndNetworks) {
  const std::string sets = network_set("s", "ns2", "app: web", "203.0.113.0/24") +
                           global_set("g", "app: web", "198.51.100.0/24");
  const struct {
    const char* peer;
    const char* from;
    bool matches;
  } in[] = {
      {"namespaces: {}", "ns1/q", true},
      {"namespaces: {}", "10.0.1.9", true},
      {"namespaces: {}", kInternet, false},
      // Without the term of pods, so the namespaces' network sets match.
      {"namespaces: {}", "203.0.113.9", true},
      {"namespaces: {matchLabels: {team: blue}}", "203.0.113.9", true},
      {"namespaces: {matchLabels: {team: blue}}", "ns2/r", true},
      {"namespaces: {matchLabels: {team: blue}}", "ns1/q", false},
      {"pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}", "ns2/r", true},
      {"pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}", "ns1/q", false},
      {"pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}", "203.0.113.9",
       false},
      {"pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {}}", "ns2/r",
       false},
  };
  for (const auto& row : in) {
    const std::string verdict =
        ask(sets + admin(std::string("ingress: [{action: Deny, from: [{") + row.peer + "}]}]"),
            row.from);
    EXPECT_EQ(verdict == "deny kube-admin c 0", row.matches) << row.peer << " " << row.from;
  }
  const struct {
    const char* peers;
    const char* to;
    bool matches;
  } out[] = {
      {"{networks: [203.0.113.0/24]}", "203.0.113.9", true},
      {"{networks: [203.0.113.0/24]}", kInternet, false},
      {"{networks: [192.0.2.0/24, 203.0.113.0/24]}", "203.0.113.9", true},
      {"{networks: [\"::/0\"]}", "203.0.113.9", false},
      {"{networks: [\"::/0\", 10.0.0.0/8]}", "203.0.113.9", false},
      {"{networks: [\"::/0\", 0.0.0.0/0]}", "203.0.113.9", true},
      {"{networks: [\"::/0\", 10.0.0.0/24]}", "203.0.113.9", false},
      {"{networks: [10.0.0.0/24]}", "ns2/r", true},
      {"{namespaces: {matchLabels: {team: blue}}}, {networks: [192.0.2.0/24]}", "ns2/r", true},
      {"{namespaces: {matchLabels: {team: blue}}}, {networks: [192.0.2.0/24]}", "192.0.2.1",
       true},
  };
  for (const auto& row : out) {
    const std::string verdict =
        ask(admin(std::string("egress: [{action: Deny, to: [") + row.peers + "]}]"), "ns1/p",
            row.to);
    EXPECT_EQ(verdict.starts_with("deny kube-admin c"), row.matches) << row.peers;
  }
}

TEST(ClusterPolicy, ProtocolsHavePortsRangesAndNames) {
  const struct {
    const char* protocols;
    const char* what;
    bool matches;
  } rows[] = {
      {"[{tcp: {}}]", "tcp/80", true},
      {"[{tcp: {}}]", "udp/80", false},
      {"[{tcp: {destinationPort: {number: 80}}}]", "tcp/80", true},
      {"[{tcp: {destinationPort: {number: 80}}}]", "tcp/81", false},
      {"[{udp: {destinationPort: {range: {start: 80, end: 90}}}}]", "udp/90", true},
      {"[{udp: {destinationPort: {range: {start: 80, end: 90}}}}]", "udp/91", false},
      {"[{sctp: {destinationPort: {number: 9}}}]", "sctp/9", true},
      {"[{tcp: {destinationPort: {number: 80}}}, {tcp: {}}]", "tcp/7", true},
      {"[{tcp: {destinationPort: {number: 80}}}, {udp: {}}]", "udp/7", true},
      // A name has no protocol: of any that has ports.
      {"[{destinationNamedPort: web}]", "tcp/8080", true},
      {"[{destinationNamedPort: web}]", "udp/8080", false},
      {"[{destinationNamedPort: web}]", "icmp", false},
      {"[{destinationNamedPort: web}, {udp: {}}]", "udp/8080", true},
  };
  for (const auto& row : rows) {
    for (const char* action : {"Deny", "Accept"}) {
      const std::string verdict = ask(admin(std::string("ingress: [{action: ") + action + ", " +
                                            kFromAll + ", protocols: " + row.protocols + "}]"),
                                      "ns1/q", "ns1/p", row.what);
      EXPECT_EQ(verdict.find("kube-admin") != std::string::npos, row.matches)
          << row.protocols << " " << row.what << " " << verdict;
    }
  }
}

TEST(ClusterPolicy, IsAGlobalPolicyOfPods) {
  const config::Loaded loaded = config::load_text(
      admin(std::string("ingress: [{name: why, action: Deny, ") + kFromAll + "}]"), "f");
  const config::Policy policy = to_policy(loaded.model.cluster_policies.at(0));
  EXPECT_TRUE(policy.global);
  EXPECT_EQ(policy.namespace_selector.value, "all()");
  EXPECT_EQ(policy.selector.value, "projectcalico.org/orchestrator == 'k8s'");
}

// ---- what is not applied, what is refused --------------------------------------------------

TEST(ClusterPolicy, APeerThatIsNotAppliedClosesTheRule) {
  for (const char* peer : {"nodes: {}", "domainNames: [a.example]"}) {
    const auto rule = [&](const char* action) {
      return admin(std::string("egress: [{action: ") + action + ", to: [{" + peer + "}]}]");
    };
    EXPECT_EQ(ask(rule("Deny"), "ns1/p", kInternet), "deny kube-admin c 0");
    EXPECT_EQ(ask(rule("Pass"), "ns1/p", kInternet), "deny kube-admin c 0");
    const std::string deny = np("n", "{types: [Egress]}");
    EXPECT_EQ(ask(rule("Accept") + deny, "ns1/p", kInternet), "deny default n -1");
    EXPECT_NE(findings_of(rule("Deny")).find("is not applied: the whole rule denies all"),
              std::string::npos);
    EXPECT_NE(findings_of(rule("Accept"))
                  .find("is not applied: the whole rule matches "
                        "nothing"),
              std::string::npos);
  }
}

TEST(ClusterPolicy, WhatTheApiServerRefusesIsRefused) {
  const auto rule = [](const char* text) {
    return admin(std::string("ingress: [{") + text + "}]");
  };
  const auto egress = [](const char* text) {
    return admin(std::string("egress: [{action: Deny, to: [") + text + "]}]");
  };
  const struct {
    std::string yaml;
    const char* says;
  } rows[] = {
      {cnp("c", "{tier: admin, priority: 1, subject: {namespaces: {}}}"), "is not one of"},
      {cnp("c", "{priority: 1, subject: {namespaces: {}}}"), "spec.tier is missing"},
      {cnp("c", "{tier: Admin, subject: {namespaces: {}}}"), "spec.priority is missing"},
      {cnp("c", "{tier: Admin, priority: 1}"), "spec.subject is missing"},
      {cnp("c", "{tier: Admin, priority: 1001, subject: {namespaces: {}}}"), "0 to 1000"},
      {cnp("c", "{tier: Admin, priority: 1, subject: {}}"), "exactly one is needed of"},
      {cnp("c",
           "{tier: Admin, priority: 1, subject: {namespaces: {}, pods: {namespaceSelector: "
           "{}, podSelector: {}}}}"),
       "exactly one is needed of"},
      {cnp("c", "{tier: Admin, priority: 1, subject: {pods: {podSelector: {}}}}"),
       "both needed"},
      {cnp("c", "{tier: Admin, priority: 1, subject: {namespaces: }}"), "has no value"},
      {rule("from: [{namespaces: {}}]"), "action is missing"},
      {rule("action: Allow, from: [{namespaces: {}}]"), "is not one of: Accept, Deny, Pass"},
      {rule("action: Deny"), "\"from\" needs a peer"},
      {rule("action: Deny, from: []"), "\"from\" needs a peer"},
      {rule("action: Deny, from: [{}]"), "exactly one is needed of"},
      {rule("action: Deny, from: [{networks: [10.0.0.0/8]}]"), "exactly one is needed of"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{}]"),
       "exactly one is needed of"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}, udp: {}}]"),
       "exactly one is needed of"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: "
            "{}}}]"),
       "exactly one is needed of"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: "
            "{number: 0}}}]"),
       "1 to 65535"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: "
            "{range: {start: 9, end: 8}}}}]"),
       "make no range"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: "
            "{range: {start: 9}}}}]"),
       "make no range"},
      {rule("action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: ''}]"),
       "no port is named"},
      {egress("{networks: []}"), "no network is given"},
      {egress("{networks: [10.0.0.0/33]}"), "is no CIDR"},
      {egress("{networks: [10.0.0.0/8], namespaces: {}}"), "exactly one is needed of"},
  };
  for (const auto& row : rows) {
    const std::string findings = findings_of(row.yaml);
    EXPECT_NE(findings.find("error"), std::string::npos) << row.yaml << findings;
    EXPECT_NE(findings.find(row.says), std::string::npos) << row.yaml << findings;
  }
}

// ---- the forerunners -----------------------------------------------------------------------

TEST(AdminPolicy, IsReadAsOneOfTheTierAndDeprecated) {
  const std::string old =
      anp("a", std::string("{priority: 7, ") + kAll + ", ingress: [{action: Deny, " + kFromAll +
                   ", ports: [{portNumber: {protocol: TCP, port: 80}}, "
                   "{portRange: {protocol: UDP, start: 5, end: 6}}, "
                   "{namedPort: web}]}, {action: Allow, " +
                   kFromAll + "}]}");
  const World world(old + np("n", "{types: [Ingress]}"));
  EXPECT_EQ(world.order("p"), "KubernetesAdminNetworkPolicy//a | NetworkPolicy/ns1/n");
  // One rule of named ports, then one of each protocol.
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "tcp/8080"), "deny kube-admin a 0");
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "tcp/80"), "deny kube-admin a 1");
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "udp/6"), "deny kube-admin a 2");
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "udp/7"), "allow kube-admin a 3");
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), "deny default n -1");
  EXPECT_NE(world.findings().find("AdminNetworkPolicy: deprecated: read as a "
                                  "ClusterNetworkPolicy of tier Admin"),
            std::string::npos);
}

TEST(AdminPolicy, TheBaselineIsOneCalledDefault) {
  const std::string deny =
      std::string("{") + kAll + ", ingress: [{action: Deny, " + kFromAll + "}]}";
  EXPECT_EQ(ask(banp(deny)), "deny kube-baseline default 0");
  EXPECT_EQ(ask(banp(deny) + np("n", "{ingress: [{action: Allow}]}")), "allow default n 0");
  EXPECT_NE(findings_of(banp(deny)).find("of tier Baseline"), std::string::npos);
  EXPECT_NE(findings_of(document("policy.networking.k8s.io/v1alpha1",
                                 "BaselineAdminNetworkPolicy", "other", "", deny))
                .find("is called default"),
            std::string::npos);
  EXPECT_NE(findings_of(banp(std::string("{") + kAll + ", ingress: [{action: Pass, " +
                             kFromAll + "}]}"))
                .find("is not one of: Allow, Deny"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::control::testing
