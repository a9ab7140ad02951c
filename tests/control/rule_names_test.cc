// SPDX-License-Identifier: Apache-2.0
// What rules, programs and selectors are called, and which of the names outlive a reload.
#include "control/rule_names.h"

#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

RuleName rule(const char* policy, int index) {
  return {"NetworkPolicy", "ns1", policy, "default", true, index, Action::allow};
}

TEST(RuleNames, ASlotIsItsNamesForGood) {
  RuleNames names;
  const CounterSlot a = names.slot(rule("a", 0));
  const CounterSlot b = names.slot(rule("b", 0));
  EXPECT_EQ(a, 0u);
  EXPECT_EQ(b, 1u);
  EXPECT_EQ(names.slot(rule("a", 1)), 2u);
  EXPECT_EQ(names.slot(rule("a", 0)), a);
  EXPECT_EQ(names.name(b), rule("b", 0));
  EXPECT_EQ(names.size(), 3u);
  EXPECT_FALSE(names.full());
}

TEST(RuleNames, EveryPartOfANameCounts) {
  RuleNames names;
  const RuleName one = rule("a", 0);
  names.slot(one);
  for (const auto change :
       {+[](RuleName& n) { n.kind = "GlobalNetworkPolicy"; },
        +[](RuleName& n) { n.namespace_name = "ns2"; }, +[](RuleName& n) { n.policy = "b"; },
        +[](RuleName& n) { n.tier = "other"; }, +[](RuleName& n) { n.ingress = false; },
        +[](RuleName& n) { n.rule = 1; }, +[](RuleName& n) { n.action = Action::deny; }}) {
    RuleName other = one;
    change(other);
    const size_t before = names.size();
    EXPECT_EQ(names.slot(other), before);
  }
}

TEST(RuleNames, WhenAllSlotsAreTakenNewRulesGoUncounted) {
  RuleNames names;
  for (CounterSlot i = 0; i < kMaxCounters; ++i) {
    ASSERT_EQ(names.slot(rule("a", static_cast<int>(i))), i);
  }
  EXPECT_FALSE(names.full());
  EXPECT_EQ(names.slot(rule("b", 0)), kNoCounter);
  EXPECT_TRUE(names.full());
  EXPECT_EQ(names.slot(rule("a", 7)), 7u);
}

// The slots of the rules of the policy that judges p's ingress.
std::vector<CounterSlot> slots_of(const CompiledPolicy& policy) {
  std::vector<CounterSlot> out;
  for (const LocalEndpoint& e : policy.endpoints) {
    if (e.name == "p") {
      const Tier& tier = policy.rules->programs[e.ingress].tiers[0];
      for (const Rule& r : policy.rules->lists[tier.lists[0]]->rules) {
        out.push_back(r.counter);
      }
      out.push_back(tier.counter);
    }
  }
  return out;
}

TEST(RuleNames, SlotsOfAPolicyOutliveAReloadThatKeepsIt) {
  RuleNames names;
  const auto compiled = [&](const std::string& more) {
    config::Loaded loaded = config::load_text(kCluster + more, "f");
    loaded.model.settings = config::load_settings_text(kSettings, "s").model.settings;
    CompiledPolicy out = compile(loaded.model, names, loaded.findings);
    EXPECT_TRUE(loaded.ok());
    return out;
  };
  const std::string kept =
      np("k", "{order: 1, ingress: [{action: Allow, protocol: TCP}, {action: Deny}]}");
  const auto before = slots_of(compiled(kept));
  ASSERT_EQ(before.size(), 3u);
  EXPECT_EQ(slots_of(compiled(np("a", "{order: 2}") + kept)), before);
  EXPECT_EQ(slots_of(compiled(kept)), before);
  // A rule that says something else is another rule.
  const auto changed =
      slots_of(compiled(np("k", "{order: 1, ingress: [{action: Allow}, {action: Allow}]}")));
  EXPECT_EQ(changed[0], before[0]);
  EXPECT_NE(changed[1], before[1]);
}

TEST(RuleNames, AnswersNameKindNamespaceAndTier) {
  const World world(knp("k", "{podSelector: {matchLabels: {app: db}}}") +
                    gnp("g", "{selector: \"app == 'web'\"}"));
  const auto policy = [&](const char* to) {
    const nlohmann::json out = world.explain(kInternet, to, "tcp/80");
    return out["tier"].get<std::string>() + " " + out["policy"].dump();
  };
  EXPECT_EQ(policy("ns1/q"),
            R"(default {"kind":"KubernetesNetworkPolicy","name":"k","namespace":"ns1"})");
  EXPECT_EQ(policy("ns1/p"),
            R"(default {"kind":"GlobalNetworkPolicy","name":"g","namespace":""})");
  EXPECT_EQ(World("").explain(kInternet, "ns1/p", "tcp/80")["policy"].dump(),
            R"({"kind":"Profile","name":"kns.ns1","namespace":""})");
}

TEST(Programs, EndpointsOfTheSamePoliciesShareOne) {
  const std::string twin = R"(
---
{apiVersion: v1, kind: Pod, metadata: {name: p2, namespace: ns1, labels: {app: web}},
 spec: {nodeName: n1, serviceAccountName: robot}, status: {podIP: 10.0.0.11}}
)";
  const World world(twin + np("x", "{selector: \"app == 'web'\"}"));
  EXPECT_EQ(world.endpoint("p").ingress, world.endpoint("p2").ingress);
  EXPECT_EQ(world.endpoint("p").egress, world.endpoint("p2").egress);
  EXPECT_NE(world.endpoint("p").ingress, world.endpoint("p").egress);
  EXPECT_NE(world.endpoint("p").ingress, world.endpoint("q").ingress);
}

TEST(Compile, OnlyOurNodesEndpointsGetPrograms) {
  const World world("");
  std::string names;
  for (const LocalEndpoint& e : world.built().policy.endpoints) {
    names += e.name + " ";
    EXPECT_NE(e.ingress, kNoProgram);
    EXPECT_NE(e.egress, kNoProgram);
  }
  EXPECT_EQ(names.size(), std::string("p q r ").size());
  EXPECT_EQ(names.find('s'), std::string::npos);
}

TEST(Compile, CountsThePoliciesThatSelectALocalEndpoint) {
  EXPECT_EQ(World("").built().policy.policies, 0u);
  EXPECT_EQ(World(np("x", "{types: [Ingress, Egress]}") + np("y", "{selector: has(gone)}"))
                .built()
                .policy.policies,
            1u);
}

TEST(Compile, RulesThatNothingHereRunsLeaveNoSets) {
  const World world(np("x",
                       "{selector: has(gone), ingress: [{action: Allow, source: {selector: "
                       "\"app == 'db'\"}}]}"));
  EXPECT_TRUE(world.built().policy.rules->address_sets.empty());
}

}  // namespace
}  // namespace sluice::control::testing
