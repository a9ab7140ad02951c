// SPDX-License-Identifier: Apache-2.0
// Which policies judge an endpoint, in which order, and what comes out: semantics 1.3, 2
// and 11.
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

// ---- order (2.1, 11) -----------------------------------------------------------------------

TEST(PolicyOrder, TheVectorsOfTheSpecification) {
  const World world(np("ab", "{}") + np("a", "{}") + gnp("a", "{}") + np("a.b", "{}") +
                    np("a-b", "{}") + knp("kp", "{podSelector: {}}") + gnp("z", "{order: 10}"));
  EXPECT_EQ(world.order("p"),
            "GlobalNetworkPolicy//z KubernetesNetworkPolicy/ns1/kp NetworkPolicy/ns1/a-b "
            "NetworkPolicy/ns1/a.b GlobalNetworkPolicy//a NetworkPolicy/ns1/a "
            "NetworkPolicy/ns1/ab");
}

TEST(PolicyOrder, LowerOrderFirstNoneLastThenTheJoinedName) {
  const struct {
    std::string yaml;
    const char* order;
  } rows[] = {
      {gnp("b", "{order: 2}") + gnp("a", "{order: 10}"), "b a"},
      {gnp("b", "{order: -1}") + gnp("a", "{order: 0}"), "b a"},
      {gnp("b", "{order: 1.25}") + gnp("a", "{order: 1.5}"), "b a"},
      {gnp("b", "{order: 1e9}") + gnp("a", "{}"), "b a"},
      {gnp("b", "{}") + gnp("a", "{order: 99999999999}"), "a b"},
      {gnp("b", "{order: 5}") + gnp("a", "{order: 5.0}"), "a b"},
      {gnp("allow", "{}") + gnp("allow-dns", "{}"), "allow-dns allow"},
      {gnp("a", "{}") + gnp("a.b", "{}"), "a.b a"},
      {gnp("a0", "{}") + gnp("a", "{}"), "a a0"},
      // A KubernetesNetworkPolicy has order 1000 among Calico's.
      {gnp("z", "{order: 999}") + knp("k", "{podSelector: {}}") + gnp("a", "{order: 1001}"),
       "z k a"},
      {gnp("z", "{order: 1000}") + knp("k", "{podSelector: {}}") + gnp("a", "{order: 1000}"),
       "a k z"},
  };
  for (const auto& row : rows) {
    const World world(row.yaml);
    std::string order;
    const LocalEndpoint& p = world.endpoint("p");
    for (const ListId list : world.built().policy.rules->programs[p.ingress].tiers[0].lists) {
      order += (order.empty() ? "" : " ") + world.built().policy.lists[list]->name;
    }
    EXPECT_EQ(order, row.order) << row.yaml;
  }
}

TEST(PolicyOrder, SameNameIsOrderedByNamespaceThenKind) {
  const World world(knp("x", "{podSelector: {}}") + np("x", "{order: 1000}") +
                    gnp("x", "{order: 1000}"));
  EXPECT_EQ(world.order("p"),
            "GlobalNetworkPolicy//x KubernetesNetworkPolicy/ns1/x NetworkPolicy/ns1/x");
}

TEST(PolicyOrder, AnUnknownTierComesAfterAllKnownOnes) {
  const World world(gnp("a", "{tier: zoo}") + gnp("b", "{tier: ant}") + gnp("c", "{}") +
                    gnp("d", "{tier: kube-baseline}") + gnp("e", "{tier: kube-admin}"));
  EXPECT_EQ(world.order("p"),
            "GlobalNetworkPolicy//e | GlobalNetworkPolicy//c | GlobalNetworkPolicy//d | "
            "GlobalNetworkPolicy//b | GlobalNetworkPolicy//a");
}

TEST(PolicyOrder, TiersByOrderThenName) {
  const struct {
    std::string tiers;
    const char* order;
  } rows[] = {
      {"", "| admin | default | baseline | a | b"},
      {tier("a", "{order: 5}") + tier("b", "{order: 4}"),
       "| b | a | admin | default | baseline"},
      {tier("a", "{order: 999.5}"), "| a | admin | default | baseline | b"},
      {tier("a", "{order: -1}") + tier("b", "{order: 0}"),
       "| a | b | admin | default | baseline"},
      // One order: by name.  No order is 1 000 000, which is the default tier's.
      {tier("a", "{order: 1000}"), "| a | admin | default | baseline | b"},
      {tier("a", "{}") + tier("b", "{}"), "| admin | a | b | default | baseline"},
      {tier("b", "{order: 2000000}"), "| admin | default | b | baseline | a"},
      {tier("a", "{order: 10000000}"), "| admin | default | a | baseline | b"},
      {tier("b", "{order: 20000000}"), "| admin | default | baseline | b | a"},
  };
  const std::string policies =
      gnp("a", "{tier: a}") + gnp("b", "{tier: b}") + gnp("default", "{tier: ''}") +
      gnp("baseline", "{tier: kube-baseline}") + gnp("admin", "{tier: kube-admin}");
  for (const auto& row : rows) {
    std::string order = "| " + World(policies + row.tiers).order("p");
    for (size_t at = 0; (at = order.find("GlobalNetworkPolicy//")) != std::string::npos;) {
      order.erase(at, std::string_view("GlobalNetworkPolicy//").size());
    }
    EXPECT_EQ(order, row.order) << row.tiers;
  }
}

TEST(PolicyOrder, TiersAreNamedAndReservedOnesPinned) {
  const struct {
    std::string yaml;
    const char* says;  // "": nothing
  } rows[] = {
      {tier("security", "{order: 100, defaultAction: Pass}"), ""},
      {tier("security", "{order: 100, defaultAction: Deny}"), ""},
      {tier("security", "{order: 100, defaultAction: pass}"), "is not one of: Deny, Pass"},
      {tier("security", "{order: many}"), "a number is expected"},
      {tier("a.b", "{order: 1}"), "cannot name a tier"},
      {tier("A", "{order: 1}"), "cannot name a tier"},
      {tier(std::string(64, 'a'), "{order: 1}"), "cannot name a tier"},
      {tier(std::string(63, 'a'), "{order: 1}"), ""},
      {tier("default", "{order: 1000000, defaultAction: Deny}"), ""},
      {tier("default", "{order: null}"), ""},
      {tier("default", "{order: 1}"), "tier \"default\" is reserved"},
      {tier("default", "{order: 1000000, defaultAction: Pass}"), "is reserved"},
      {tier("kube-admin", "{order: 1000, defaultAction: Pass}"), ""},
      {tier("kube-admin", "{order: 1000, defaultAction: Deny}"), "is reserved"},
      {tier("kube-baseline", "{order: 10000000, defaultAction: Pass}"), ""},
      {tier("kube-baseline", "{order: 10, defaultAction: Pass}"), "is reserved"},
      {tier("x", "{order: 1}") + tier("x", "{order: 2}"), "the same object twice"},
  };
  for (const auto& row : rows) {
    const std::string findings = findings_of(row.yaml);
    EXPECT_EQ(findings.empty(), *row.says == 0) << row.yaml << findings;
    EXPECT_NE(findings.find(row.says), std::string::npos) << row.yaml << findings;
  }
  // Given as a resource, a tier is known.
  EXPECT_NE(findings_of(gnp("x", "{tier: t}")).find("tier \"t\" does not exist"),
            std::string::npos);
  EXPECT_EQ(findings_of(gnp("x", "{tier: t}") + tier("t", "{order: 1}")), "");
}

// ---- whom a policy selects (2.2, 4.6) ------------------------------------------------------

TEST(PolicySelection, EmptySelectorsMeanWhatTheirPositionSays) {
  const struct {
    std::string policy;
    const char* selected;  // of p, q, r
  } rows[] = {
      {np("x", "{}"), "pq"},
      {np("x", "{selector: ''}"), "pq"},
      {np("x", "{selector: all()}"), "pq"},
      {np("x", "{selector: \"app == 'web'\"}"), "p"},
      {np("x", "{selector: \"app == 'web'\"}", "ns2"), "r"},
      {np("x", "{selector: \"projectcalico.org/namespace == 'ns2'\"}"), ""},
      {np("x", "{selector: \"has(app) || all()\"}"), "pq"},
      {np("x", "{serviceAccountSelector: \"role == 'bot'\"}"), "p"},
      {np("x", "{serviceAccountSelector: all()}"), "pq"},
      {np("x", "{serviceAccountSelector: \"role != 'bot'\"}"), "q"},
      {np("x", "{selector: \"app == 'db'\", serviceAccountSelector: has(role)}"), ""},
      {gnp("x", "{}"), "pqr"},
      {gnp("x", "{selector: all()}"), "pqr"},
      {gnp("x", "{selector: \"app == 'web'\"}"), "pr"},
      {gnp("x", "{selector: \"!has(app)\"}"), ""},
      {gnp("x", "{namespaceSelector: \"team == 'red'\"}"), "pq"},
      {gnp("x", "{namespaceSelector: all()}"), "pqr"},
      {gnp("x", "{namespaceSelector: \"projectcalico.org/name == 'ns2'\"}"), "r"},
      {gnp("x", "{namespaceSelector: \"kubernetes.io/metadata.name == 'ns1'\"}"), "pq"},
      {gnp("x", "{namespaceSelector: \"team == 'red'\", selector: \"app == 'web'\"}"), "p"},
      {gnp("x", "{namespaceSelector: has(app)}"), ""},
      {gnp("x", "{serviceAccountSelector: \"role == 'bot'\"}"), "p"},
      // r runs as no account: all() becomes "has an account" in a global policy.
      {gnp("x", "{selector: all(), serviceAccountSelector: \"role != 'bot'\"}"), "q"},
      {gnp("x", "{serviceAccountSelector: all()}"), "pq"},
      {gnp("x", "{serviceAccountSelector: \"role != 'bot'\"}"), "qr"},
      {gnp("x", "{serviceAccountSelector: \"projectcalico.org/name == 'robot'\"}"), "p"},
      // Labels lent by a profile are the pod's own to a selector.
      {gnp("x", "{selector: \"pcns.team == 'blue'\"}"), "r"},
      {gnp("x", "{selector: \"pcsa.role == 'bot'\"}"), "p"},
      {gnp("x", "{selector: \"projectcalico.org/serviceaccount == 'default'\"}"), "q"},
      {gnp("x", "{selector: \"projectcalico.org/orchestrator == 'k8s'\"}"), "pqr"},
      {gnp("x", "{selector: \"k == 'all()' || has(app)\", namespaceSelector: all()}"), "pqr"},
      {knp("x", "{podSelector: {}}"), "pq"},
      {knp("x", "{podSelector: {matchLabels: {app: db}}}"), "q"},
      // These never reach a workload, whatever they select.
      {gnp("x", "{doNotTrack: true, applyOnForward: true}"), ""},
      {gnp("x", "{preDNAT: true, applyOnForward: true}"), ""},
      {gnp("x", "{applyOnForward: true}"), "pqr"},
  };
  for (const auto& row : rows) {
    const World world(row.policy);
    std::string selected;
    for (const char* name : {"p", "q", "r"}) {
      selected += world.order(name).empty() ? "" : name;
    }
    EXPECT_EQ(selected, row.selected) << row.policy;
  }
}

// ---- directions (1.3) ----------------------------------------------------------------------

TEST(PolicyTypes, AreDefaultedFromTheRulesThatAreThere) {
  const char* in = "ingress: [{action: Allow}]";
  const char* out = "egress: [{action: Allow}]";
  const struct {
    std::string spec;
    bool ingress;
    bool egress;
  } rows[] = {
      {"{}", true, false},
      {"{types: []}", true, false},
      {"{ingress: []}", true, false},
      {"{egress: []}", true, false},
      {std::string("{") + in + "}", true, false},
      {std::string("{") + out + "}", false, true},
      {std::string("{") + in + ", " + out + "}", true, true},
      {std::string("{types: [Ingress], ") + out + "}", true, false},
      {std::string("{types: [Egress], ") + in + "}", false, true},
      {"{types: [Egress]}", false, true},
      {"{types: [Ingress, Egress]}", true, true},
      {std::string("{types: [Egress, Ingress], ") + in + "}", true, true},
  };
  for (const auto& row : rows) {
    for (const std::string& policy : {np("x", row.spec), gnp("x", row.spec)}) {
      const World world(policy);
      EXPECT_EQ(!world.order("p", Direction::ingress).empty(), row.ingress) << policy;
      EXPECT_EQ(!world.order("p", Direction::egress).empty(), row.egress) << policy;
    }
  }
}

TEST(PolicyTypes, RulesWithoutTheirTypeAreIgnoredAndATypeWithoutRulesDenies) {
  const World world(np("x", "{types: [Egress], ingress: [{action: Deny}]}"));
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), "allow __PROFILE__ kns.ns1 0");
  EXPECT_EQ(world.verdict("ns1/p", kInternet, "tcp/80"), "deny default x -1");
}

// ---- verdicts (2.3, 11) --------------------------------------------------------------------

struct Case {
  const char* why;
  std::string resources;
  const char* from;
  const char* to;
  const char* what;
  const char* verdict;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const World world(c.resources);
    EXPECT_EQ(world.verdict(c.from, c.to, c.what), c.verdict) << c.why << c.resources;
  }
}

TEST(PolicyVerdict, TheVectorsOfTheSpecification) {
  const std::string deny_all = np("x", "{types: [Ingress]}");
  const std::string by_order =
      gnp("g", "{order: 5, ingress: [{action: Deny}]}") +
      np("n",
         "{order: 1, ingress: [{action: Allow, protocol: TCP, destination: {ports: "
         "[80]}}]}");
  const std::string ghost = gnp("g",
                                "{tier: ghost, ingress: [{action: Allow, protocol: TCP, "
                                "destination: {ports: [80]}}]}");
  const std::string pass_80 =
      tier("t", "{order: 10, defaultAction: Deny}") +
      gnp("g",
          "{tier: t, ingress: [{action: Pass, protocol: TCP, destination: {ports: [80]}}]}");
  const std::string deny_22 =
      tier("t", "{order: 10, defaultAction: Pass}") +
      gnp("g",
          "{tier: t, ingress: [{action: Deny, protocol: TCP, destination: {ports: [22]}}]}");
  check({
      {"5", pass_80, kInternet, "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"6", pass_80, kInternet, "ns1/p", "tcp/81", "deny t g -1"},
      {"7", deny_22, kInternet, "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"7, its port", deny_22, kInternet, "ns1/p", "tcp/22", "deny t g 0"},
      {"1", "", kInternet, "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"2", deny_all, kInternet, "ns1/p", "tcp/80", "deny default x -1"},
      {"3", deny_all, "ns1/p", kInternet, "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"11", np("x", "{ingress: [{action: Log}, {action: Allow}]}"), kInternet, "ns1/p",
       "tcp/80", "allow default x 1"},
      {"12", by_order, kInternet, "ns1/p", "tcp/80", "allow default n 0"},
      {"12, other port", by_order, kInternet, "ns1/p", "tcp/81", "deny default g 0"},
      {"13", np("x", "{ingress: [{action: Allow, source: {notSelector: has(x)}}]}"), kInternet,
       "ns1/p", "tcp/80", "deny default x -1"},
      {"14", gnp("x", "{ingress: [{action: Allow, source: {notSelector: has(x)}}]}"), kInternet,
       "ns1/p", "tcp/80", "allow default x 0"},
      {"15", gnp("x", "{ingress: [{action: Allow, source: {selector: all()}}]}"), kInternet,
       "ns1/p", "tcp/80", "deny default x -1"},
      {"17", ghost, kInternet, "ns1/p", "tcp/81", "deny ghost g -1"},
      {"17, its port", ghost, kInternet, "ns1/p", "tcp/80", "allow ghost g 0"},
      {"19", gnp("x", "{preDNAT: true, applyOnForward: true, ingress: [{action: Deny}]}"),
       kInternet, "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
  });
}

TEST(PolicyVerdict, Vector16ANegatedNetOfOneFamilySaysNothingOfTheOther) {
  const World world(gnp(
      "x", "{ingress: [{action: Deny, source: {notNets: [10.0.0.0/8]}}, {action: Allow}]}"));
  EXPECT_EQ(world.judge("p", Direction::ingress, flow("fd00::9", "fd00::1", 6, 80)), "allow");
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), "deny default x 0");
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "tcp/80"), "allow default x 1");
}

TEST(PolicyVerdict, Vector20ANamedPortIsOfTheRulesProtocol) {
  const std::string pod = R"(
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: ns1, labels: {app: two}}
spec:
  nodeName: n1
  containers:
  - ports: [{name: web, containerPort: 8080}, {name: web, containerPort: 8080, protocol: UDP}]
status: {podIP: 10.0.0.20}
)";
  const World tcp(pod + np("x",
                           "{ingress: [{action: Allow, protocol: TCP, destination: "
                           "{ports: [web]}}]}"));
  EXPECT_EQ(tcp.verdict(kInternet, "ns1/two", "tcp/8080"), "allow default x 0");
  EXPECT_EQ(tcp.verdict(kInternet, "ns1/two", "udp/8080"), "deny default x -1");
  const World any(pod + np("x", "{ingress: [{action: Allow, destination: {ports: [web]}}]}"));
  EXPECT_EQ(any.verdict(kInternet, "ns1/two", "udp/8080"), "allow default x 0");
  EXPECT_EQ(any.verdict(kInternet, "ns1/two", "tcp/8080"), "allow default x 0");
  EXPECT_EQ(any.verdict(kInternet, "ns1/p", "tcp/8080"), "allow default x 0");
  EXPECT_EQ(any.verdict(kInternet, "ns1/p", "udp/8080"), "deny default x -1");
}

TEST(PolicyVerdict, TheFirstRuleThatDecidesWins) {
  check({
      {"allow before deny", np("x", "{ingress: [{action: Allow}, {action: Deny}]}"), kInternet,
       "ns1/p", "tcp/80", "allow default x 0"},
      {"deny before allow", np("x", "{ingress: [{action: Deny}, {action: Allow}]}"), kInternet,
       "ns1/p", "tcp/80", "deny default x 0"},
      {"log alone falls to the tier's end", np("x", "{ingress: [{action: Log}]}"), kInternet,
       "ns1/p", "tcp/80", "deny default x -1"},
      {"log goes on in the next policy too",
       np("x", "{order: 1, ingress: [{action: Log}]}") +
           np("y", "{order: 2, ingress: [{action: Allow}]}"),
       kInternet, "ns1/p", "tcp/80", "allow default y 0"},
      {"an earlier policy without a match lets the later speak",
       np("x", "{order: 1, ingress: [{action: Allow, protocol: UDP}]}") +
           np("y", "{order: 2, ingress: [{action: Allow, protocol: TCP}]}"),
       kInternet, "ns1/p", "tcp/80", "allow default y 0"},
      {"the end of the tier is laid to its first policy",
       np("x", "{order: 1, ingress: [{action: Allow, protocol: UDP}]}") +
           np("y", "{order: 2, ingress: [{action: Allow, protocol: TCP}]}"),
       kInternet, "ns1/p", "sctp/80", "deny default x -1"},
      {"pass leaves the default tier for the profiles",
       np("x", "{ingress: [{action: Pass}, {action: Deny}]}"), kInternet, "ns1/p", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
      {"pass skips the tier's remaining policies",
       np("x", "{order: 1, ingress: [{action: Pass}]}") +
           np("y", "{order: 2, ingress: [{action: Deny}]}"),
       kInternet, "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"pass is not allow: baseline still speaks",
       np("x", "{ingress: [{action: Pass}]}") +
           gnp("b", "{tier: kube-baseline, ingress: [{action: Deny}]}"),
       kInternet, "ns1/p", "tcp/80", "deny kube-baseline b 0"},
      {"a policy for the other direction leaves this one to the profile",
       np("x", "{types: [Ingress]}"), "ns1/p", kInternet, "udp/53",
       "allow __PROFILE__ kns.ns1 0"},
      {"a policy of another namespace does not judge", np("x", "{}", "ns2"), kInternet, "ns1/p",
       "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"a tier without a policy for the endpoint is not there",
       tier("t", "{order: 10}") + gnp("g", "{tier: t, selector: \"app == 'db'\"}"), kInternet,
       "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"a tier without a policy in the direction is not there",
       tier("t", "{order: 10}") + gnp("g", "{tier: t, types: [Egress]}"), kInternet, "ns1/p",
       "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"an earlier tier's deny end comes before a later allow",
       tier("t", "{order: 10}") + gnp("g", "{tier: t}") +
           np("x", "{ingress: [{action: Allow}]}"),
       kInternet, "ns1/p", "tcp/80", "deny t g -1"},
      {"a passing end goes to the next tier",
       tier("t", "{order: 10, defaultAction: Pass}") + gnp("g", "{tier: t}") +
           np("x", "{ingress: [{action: Deny}]}"),
       kInternet, "ns1/p", "tcp/80", "deny default x 0"},
      {"pass skips the rest of its tier only",
       tier("t", "{order: 10}") + gnp("g", "{tier: t, order: 1, ingress: [{action: Pass}]}") +
           gnp("h", "{tier: t, order: 2, ingress: [{action: Deny}]}") +
           np("x", "{ingress: [{action: Allow}]}"),
       kInternet, "ns1/p", "tcp/80", "allow default x 0"},
      {"admin allow ends it all",
       gnp("a", "{tier: kube-admin, ingress: [{action: Allow}]}") +
           np("x", "{ingress: [{action: Deny}]}"),
       kInternet, "ns1/p", "tcp/80", "allow kube-admin a 0"},
      {"admin passes what it does not decide",
       gnp("a", "{tier: kube-admin, ingress: [{action: Deny, protocol: UDP}]}"), kInternet,
       "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"baseline passes what it does not decide",
       gnp("b", "{tier: kube-baseline, ingress: [{action: Deny, protocol: UDP}]}"), kInternet,
       "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"the default tier's end comes before baseline",
       np("x", "{ingress: [{action: Allow, protocol: UDP}]}") +
           gnp("b", "{tier: kube-baseline, ingress: [{action: Allow}]}"),
       kInternet, "ns1/p", "tcp/80", "deny default x -1"},
      {"an unknown tier denies what it does not allow",
       gnp("g", "{tier: ghost, ingress: [{action: Allow, protocol: UDP}]}"), kInternet, "ns1/p",
       "tcp/80", "deny ghost g -1"},
      {"pass in an unknown tier goes to the profile",
       gnp("g", "{tier: ghost, ingress: [{action: Pass}]}"), kInternet, "ns1/p", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
  });
}

// ---- staged policies (1.4) -----------------------------------------------------------------

std::string staged(const char* kind, const char* name, const char* spec) {
  return document("projectcalico.org/v3", kind, name,
                  std::string_view(kind).find("Global") == std::string_view::npos ? "ns1" : "",
                  spec);
}

// The enforced verdict, then the pending one where there is one.
std::string both_verdicts(const std::string& resources, const char* from = kInternet,
                          const char* what = "tcp/80") {
  const World world(resources);
  const nlohmann::json out = world.explain(from, "ns1/p", what);
  std::string text = world.verdict(from, "ns1/p", what);
  if (out.contains("pending")) {
    const nlohmann::json& pending = out["pending"];
    text += "; " + pending["verdict"].get<std::string>() + " " +
            pending["policy"]["kind"].get<std::string>() + " " +
            pending["policy"]["name"].get<std::string>() + " " + pending["rule"].dump();
  }
  return text;
}

TEST(StagedPolicy, IsNeverEnforcedAndShowsAsPending) {
  const char* profile = "allow __PROFILE__ kns.ns1 0";
  const std::string by_profile = profile;
  const struct {
    const char* why;
    std::string resources;
    std::string verdicts;
  } rows[] = {
      {"vector 4", staged("StagedNetworkPolicy", "x", "{types: [Ingress]}"),
       by_profile + "; deny StagedNetworkPolicy x -1"},
      {"global", staged("StagedGlobalNetworkPolicy", "x", "{ingress: [{action: Deny}]}"),
       by_profile + "; deny StagedGlobalNetworkPolicy x 0"},
      {"Kubernetes'", staged("StagedKubernetesNetworkPolicy", "x", "{podSelector: {}}"),
       by_profile + "; deny StagedKubernetesNetworkPolicy x -1"},
      {"stagedAction: Set is what it is anyway",
       staged("StagedNetworkPolicy", "x", "{stagedAction: Set}"),
       by_profile + "; deny StagedNetworkPolicy x -1"},
      {"Learn is like Set", staged("StagedNetworkPolicy", "x", "{stagedAction: Learn}"),
       by_profile + "; deny StagedNetworkPolicy x -1"},
      {"Ignore is, too", staged("StagedNetworkPolicy", "x", "{stagedAction: Ignore}"),
       by_profile + "; deny StagedNetworkPolicy x -1"},
      {"Learn of Kubernetes'",
       staged("StagedKubernetesNetworkPolicy", "x", "{podSelector: {}, stagedAction: Learn}"),
       by_profile + "; deny StagedKubernetesNetworkPolicy x -1"},
      {"Ignore of Kubernetes'",
       staged("StagedKubernetesNetworkPolicy", "x", "{podSelector: {}, stagedAction: Ignore}"),
       by_profile + "; deny StagedKubernetesNetworkPolicy x -1"},
      {"Delete is nothing", staged("StagedNetworkPolicy", "x", "{stagedAction: Delete}"),
       by_profile},
      {"Delete of Kubernetes'",
       staged("StagedKubernetesNetworkPolicy", "x", "{podSelector: {}, stagedAction: Delete}"),
       by_profile},
      {"it selects someone else",
       staged("StagedNetworkPolicy", "x", "{selector: \"app == 'db'\"}"), by_profile},
      {"it is for the other direction", staged("StagedNetworkPolicy", "x", "{types: [Egress]}"),
       by_profile},
      {"a staged allow opens nothing",
       np("y", "{}") +
           staged("StagedNetworkPolicy", "x", "{order: 1, ingress: [{action: Allow}]}"),
       "deny default y -1; allow StagedNetworkPolicy x 0"},
      {"an enforced one before it decides the pending, too",
       np("y", "{order: 1, ingress: [{action: Allow}]}") +
           staged("StagedNetworkPolicy", "x", "{order: 2, ingress: [{action: Deny}]}"),
       "allow default y 0; allow NetworkPolicy y 0"},
      {"a tier of staged policies is transparent",
       tier("t", "{order: 10}") + staged("StagedGlobalNetworkPolicy", "x", "{tier: t}"),
       by_profile + "; deny StagedGlobalNetworkPolicy x -1"},
      {"a tier with an enforced one is not",
       tier("t", "{order: 10}") + staged("StagedGlobalNetworkPolicy", "x", "{tier: t}") +
           gnp("y", "{tier: t, order: 5}"),
       "deny t y -1; deny GlobalNetworkPolicy y -1"},
      {"enforced and staged may share a name",
       np("x", "{ingress: [{action: Allow}]}") +
           staged("StagedNetworkPolicy", "x", "{order: 1, ingress: [{action: Deny}]}"),
       "allow default x 0; deny StagedNetworkPolicy x 0"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(both_verdicts(row.resources), row.verdicts) << row.why;
  }
}

TEST(StagedPolicy, EndsThatNoneSelectsArePendingAsTheyAre) {
  const World world(staged("StagedNetworkPolicy", "x",
                           "{selector: \"app == 'web'\", ingress: [{action: Deny}]}"));
  const nlohmann::json out = world.explain("ns1/q", "ns1/p", "tcp/80");
  EXPECT_EQ(out["verdict"], "allow");
  EXPECT_EQ(out["pending"]["verdict"], "deny");
  EXPECT_EQ(out["pending"]["trail"].size(), 2u);
  EXPECT_EQ(out["pending"]["trail"][0]["direction"], "egress");
  EXPECT_FALSE(world.explain("ns1/p", "ns1/q", "tcp/80").contains("pending"));
  EXPECT_EQ(world.built().policy.policies, 0u);
  const auto packet = packet_of_words(world.built(), "ns1/q", "ns1/p", "tcp/80");
  EXPECT_EQ(explain_text(world.built(), *packet, {}),
            "allow: 10.0.0.2 (ns1/q) -> 10.0.0.1 (ns1/p) tcp/80\n"
            "  egress of ns1/q\n"
            "    profiles\n"
            "      Profile kns.ns1: rule 0 allow\n"
            "  ingress of ns1/p\n"
            "    profiles\n"
            "      Profile kns.ns1: rule 0 allow\n"
            "deny if staged policies were enforced\n"
            "  egress of ns1/q\n"
            "    profiles\n"
            "      Profile kns.ns1: rule 0 allow\n"
            "  ingress of ns1/p\n"
            "    tier default\n"
            "      StagedNetworkPolicy ns1/x: rule 0 deny\n");
}

TEST(StagedPolicy, IsCheckedLikeAnEnforcedOne) {
  for (const char* action : {"Set", "Delete"}) {
    const std::string spec =
        std::string("{stagedAction: ") + action + ", selector: a, ingress: [{action: Deny}]}";
    EXPECT_NE(findings_of(staged("StagedNetworkPolicy", "x", spec.c_str())).find("error"),
              std::string::npos);
  }
  EXPECT_NE(findings_of(staged("StagedNetworkPolicy", "x", "{stagedAction: set}"))
                .find("is not one of"),
            std::string::npos);
  EXPECT_NE(findings_of(np("x", "{stagedAction: Set}")).find("unknown field"),
            std::string::npos);
}

// ---- profiles (2.3) ------------------------------------------------------------------------

std::string endpoint(const char* profiles) {
  return R"(
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: w, namespace: ns1, labels: {app: w}}
spec: {node: n1, orchestrator: k8s, pod: w, interfaceName: cali-w, ipNetworks: [10.0.0.9/32],
       profiles: [)" +
         std::string(profiles) + "]}\n";
}

std::string profile(const char* name, const char* spec) {
  return document("projectcalico.org/v3", "Profile", name, "", spec);
}

TEST(ProfileVerdict, ProfilesSpeakInOrderAndDenyAtTheirEnd) {
  const std::string udp = profile("udp", "{ingress: [{action: Allow, protocol: UDP}]}");
  const std::string no = profile("not", "{ingress: [{action: Deny}]}");
  const std::string log = profile("log", "{ingress: [{action: Log}]}");
  const std::string pass = profile("pass", "{ingress: [{action: Pass}]}");
  const std::string all = udp + no + log + pass;
  check({
      {"none", endpoint(""), kInternet, "ns1/w", "tcp/80", "deny __PROFILE__ - -1"},
      {"the namespace's", endpoint("kns.ns1"), kInternet, "ns1/w", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
      {"default-allow is always there", endpoint("projectcalico-default-allow"), kInternet,
       "ns1/w", "tcp/80", "allow __PROFILE__ projectcalico-default-allow 0"},
      {"missing", endpoint("kns.gone"), kInternet, "ns1/w", "tcp/80",
       "deny __PROFILE__ kns.gone 0"},
      {"missing denies before a later one allows", endpoint("gone, kns.ns1"), kInternet,
       "ns1/w", "tcp/80", "deny __PROFILE__ gone 0"},
      {"an account's has no rules", endpoint("ksa.ns1.robot"), kInternet, "ns1/w", "tcp/80",
       "deny __PROFILE__ ksa.ns1.robot -1"},
      {"the next one speaks", endpoint("udp, kns.ns1") + all, kInternet, "ns1/w", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
      {"the first one spoke", endpoint("udp, not") + all, kInternet, "ns1/w", "udp/80",
       "allow __PROFILE__ udp 0"},
      {"deny", endpoint("udp, not, kns.ns1") + all, kInternet, "ns1/w", "tcp/80",
       "deny __PROFILE__ not 0"},
      {"log goes on", endpoint("log, kns.ns1") + all, kInternet, "ns1/w", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
      {"pass denies", endpoint("pass, kns.ns1") + all, kInternet, "ns1/w", "tcp/80",
       "deny __PROFILE__ pass 0"},
      {"the end", endpoint("udp, log") + all, kInternet, "ns1/w", "tcp/80",
       "deny __PROFILE__ udp -1"},
      {"the other direction has its own rules", endpoint("udp") + all, "ns1/w", kInternet,
       "udp/80", "deny __PROFILE__ udp -1"},
      {"a policy that allows comes first",
       endpoint("not") + all + np("x", "{ingress: [{action: Allow}]}"), kInternet, "ns1/w",
       "tcp/80", "allow default x 0"},
  });
}

TEST(ProfileVerdict, AMissingNamespaceDeniesAndIsWarnedOf) {
  const World world(R"(
---
{apiVersion: v1, kind: Pod, metadata: {name: lost, namespace: ns9}, spec: {nodeName: n1},
 status: {podIP: 10.0.0.30}}
)");
  EXPECT_EQ(world.verdict(kInternet, "ns9/lost", "tcp/80"), "deny __PROFILE__ kns.ns9 0");
  EXPECT_NE(world.findings().find("profile \"kns.ns9\" does not exist"), std::string::npos);
  EXPECT_NE(world.findings().find("add the Namespace \"ns9\""), std::string::npos);
}

// ---- both ends (2.4, 2.5) ------------------------------------------------------------------

TEST(PolicyPath, BothEndsMustAllowEgressFirst) {
  const std::string no_egress = np("e", "{selector: \"app == 'db'\", types: [Egress]}");
  const std::string no_ingress = np("i", "{selector: \"app == 'web'\", types: [Ingress]}");
  const std::string admits =
      np("a", "{order: 1, ingress: [{action: Allow}], egress: [{action: Allow}]}");
  check({
      {"neither objects", "", "ns1/q", "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
      {"the source objects", no_egress, "ns1/q", "ns1/p", "tcp/80", "deny default e -1"},
      {"the destination objects", no_ingress, "ns1/q", "ns1/p", "tcp/80", "deny default i -1"},
      {"both: the source's deny wins", no_egress + no_ingress, "ns1/q", "ns1/p", "tcp/80",
       "deny default e -1"},
      {"an allow of the source is not final",
       np("a", "{selector: \"app == 'db'\", egress: [{action: Allow}]}") + no_ingress, "ns1/q",
       "ns1/p", "tcp/80", "deny default i -1"},
      {"both admit", no_egress + no_ingress + admits, "ns1/q", "ns1/p", "tcp/80",
       "allow default a 0"},
      {"from a remote pod only ingress is asked here", no_egress, "10.0.1.9", "ns1/p", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
      {"to a remote pod only egress is asked here",
       np("i", "{selector: \"app == 'db'\", types: [Ingress]}"), "ns1/p", "10.0.1.9", "tcp/80",
       "allow __PROFILE__ kns.ns1 0"},
      {"the host is never policed towards its pods", no_ingress, "host", "ns1/p", "tcp/80",
       "allow"},
      {"a pod is policed towards its host", np("e", "{types: [Egress]}"), "ns1/p",
       "192.168.0.1", "tcp/80", "deny default e -1"},
      {"another node is policed like anyone", no_ingress, "192.168.0.2", "ns1/p", "tcp/80",
       "deny default i -1"},
      {"a finished pod's address is nobody's",
       R"(
---
{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: ns1}, spec: {nodeName: n1},
 status: {phase: Succeeded, podIP: 10.0.0.40}}
)",
       kInternet, "10.0.0.40", "tcp/80", "deny rt_transit"},
  });
}

TEST(PolicyPath, TheTrailTellsBothEndsAndEveryLog) {
  const World world(np("e",
                       "{selector: \"app == 'db'\", egress: [{action: Log}, {action: "
                       "Pass}]}") +
                    np("i",
                       "{selector: \"app == 'web'\", ingress: [{action: Allow, protocol: "
                       "UDP}, {action: Deny}]}"));
  const nlohmann::json trail = world.explain("ns1/q", "ns1/p", "tcp/80")["trail"];
  std::string told;
  for (const auto& step : trail) {
    told += step["direction"].get<std::string>() + " " + step["tier"].get<std::string>() + " " +
            step["policy"]["name"].get<std::string>() + " " + step["rule"].dump() + " " +
            step["action"].get<std::string>() + "; ";
  }
  EXPECT_EQ(told,
            "egress default e 0 log; egress default e 1 pass; egress __PROFILE__ kns.ns1 0 "
            "allow; ingress default i 1 deny; ");
}

}  // namespace
}  // namespace sluice::control::testing
