// SPDX-License-Identifier: Apache-2.0
#include "control/rule_use.h"

#include <memory>

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using nlohmann::json;

TEST(RuleUse, NotesWhenACounterOfAnyWorkerMoved) {
  Counters one(2);
  Counters two(2);
  const Counters* const workers[] = {&one, &two};
  RuleUse use;
  use.look(workers, 1, 100 * kSecond);
  EXPECT_FALSE(use.due(109 * kSecond));
  EXPECT_TRUE(use.due(110 * kSecond));
  two.rule(0).judged.add(1);
  use.look(workers, 2, 110 * kSecond);
  one.rule(1).packets.add(1);  // of a connection that goes on
  use.look(workers, 2, 120 * kSecond);
  use.look(workers, 2, 130 * kSecond);
  EXPECT_EQ(use.of(0).since, 100 * kSecond);
  EXPECT_EQ(use.of(0).last, 110 * kSecond);
  EXPECT_EQ(use.of(1).since, 110 * kSecond);
  EXPECT_EQ(use.of(1).last, 120 * kSecond);
}

// Three rules of one list, in these lines; 0 is nowhere.
CompiledPolicy policy(std::initializer_list<int> lines = {7, 8, 0}) {
  RuleList list;
  ListName name{"NetworkPolicy", "shop", "db", "default", Direction::ingress, {}};
  for (const int line : lines) {
    Rule rule;
    rule.action = Action::allow;
    rule.counter = static_cast<CounterSlot>(list.rules.size());
    list.rules.push_back(rule);
    name.rules.push_back({0, line, 5});
  }
  RuleSet rules;
  rules.lists.push_back(list);
  CompiledPolicy out;
  out.rules = std::make_shared<const RuleSet>(std::move(rules));
  out.lists.push_back(name);
  return out;
}

TEST(RuleUse, ListsTheRulesInForceThatHaveNotCountedSince) {
  Counters worker(3);
  const Counters* const workers[] = {&worker};
  RuleUse use;
  use.look(workers, 3, 1000 * kSecond);
  worker.rule(0).judged.add(1);
  use.look(workers, 3, 1100 * kSecond);
  const Now now{1500 * kSecond, 1'700'000'000};
  const auto lines_unused = [&](Nanos before) {
    std::vector<int> lines;
    const json answer = unused_json(use, policy(), {"db.yaml"}, before, now);
    for (const json& row : answer["rules"]) {
      lines.push_back(row["line"]);
    }
    return lines;
  };
  EXPECT_EQ(lines_unused(0), std::vector{8}) << "never";
  EXPECT_EQ(lines_unused(1099 * kSecond), std::vector{8});
  EXPECT_EQ(lines_unused(1100 * kSecond), (std::vector{7, 8}));
  const json row = unused_json(use, policy(), {"db.yaml"}, 1100 * kSecond, now)["rules"][0];
  EXPECT_EQ(row, (json{{"kind", "NetworkPolicy"},
                       {"namespace", "shop"},
                       {"policy", "db"},
                       {"tier", "default"},
                       {"direction", "ingress"},
                       {"rule", 0},
                       {"action", "allow"},
                       {"file", "db.yaml"},
                       {"line", 7},
                       {"column", 5},
                       {"last_used", 1'700'000'000 - 400},
                       {"counted_since", 1'700'000'000 - 500}}));
}

// Of protocols and peers of Kubernetes' rules.
TEST(RuleUse, ARuleOfWhichOnePartCountsIsUsed) {
  Counters worker(3);
  const Counters* const workers[] = {&worker};
  RuleUse use;
  use.look(workers, 3, kSecond);
  const CompiledPolicy parts = policy({7, 7, 8});
  EXPECT_EQ(unused_json(use, parts, {"db.yaml"}, 0, {})["rules"].size(), 2u);
  worker.rule(1).judged.add(1);
  use.look(workers, 3, 2 * kSecond);
  const json rows = unused_json(use, parts, {"db.yaml"}, 0, {})["rules"];
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["line"], 8);
}

TEST(RuleUse, ARuleThatTakesAnothersPlaceIsCountedFromThenOn) {
  Counters worker(3);
  const Counters* const workers[] = {&worker};
  RuleUse use;
  use.look(workers, 3, kSecond);
  worker.rule(0).judged.add(1);
  worker.rule(1).judged.add(1);
  use.look(workers, 3, 2 * kSecond);
  const CompiledPolicy before = policy();
  CompiledPolicy after = policy();
  RuleSet rules = *before.rules;
  RuleList list = *rules.lists[0];
  list.rules[1].action = Action::deny;
  rules.lists[0] = list;
  after.rules = std::make_shared<const RuleSet>(rules);
  use.begin_changed(before, after, 5 * kSecond);
  EXPECT_EQ(use.of(0).last, 2 * kSecond) << "it is the same rule";
  EXPECT_EQ(use.of(1).since, 5 * kSecond);
  EXPECT_EQ(use.of(1).last, 0) << "that was another";
  use.look(workers, 3, 6 * kSecond);
  EXPECT_EQ(use.of(1).last, 0);
}

TEST(RuleUse, LeavesOutRulesThatHaveNoCounter) {
  const Counters worker(3);
  const Counters* const workers[] = {&worker};
  RuleUse use;
  use.look(workers, 1, kSecond);  // the second has none
  EXPECT_EQ(unused_json(use, policy(), {"db.yaml"}, 0, {})["rules"].size(), 1u);
}

}  // namespace
}  // namespace sluice::control
