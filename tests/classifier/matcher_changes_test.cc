// SPDX-License-Identifier: Apache-2.0
// Matchers made from one another: members, rules and addresses that change.
#include <gtest/gtest.h>

#include "tests/classifier/questions.h"

namespace sluice {
namespace {

// One form for each seed, so that a few seeds meet all of them.
Matcher::Options options_of(uint64_t seed) {
  constexpr std::optional<Form> kForms[] = {{}, Form::forest, Form::vectors, Form::table};
  Matcher::Options options;
  options.form = kForms[seed % std::size(kForms)];
  return options;
}

TEST(Matcher, AnswersAsLinearAfterEachOfManyChanges) {
  for (const uint64_t seed : seeds(12)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    RuleSet rules = random.rule_set();
    std::shared_ptr<const Matcher> matcher;
    for (int change = 0; change < 15; ++change) {
      SCOPED_TRACE(change);
      switch (random.below(4)) {
        case 0:
          rules.address_sets[random.below(static_cast<uint32_t>(rules.address_sets.size()))] =
              random.address_set();
          break;
        case 1:
          rules.port_sets[random.below(static_cast<uint32_t>(rules.port_sets.size()))] =
              random.port_set();
          break;
        case 2:
          rules.lists[random.below(static_cast<uint32_t>(rules.lists.size()))] =
              random.rule_list(rules);
          break;
        default:
          rules.programs.push_back(random.program(rules));
      }
      const std::vector<Pin> pins = random_pins(random, rules);
      matcher = make(rules, pins, options_of(seed), matcher.get());
      ASSERT_NE(matcher, nullptr);
      matcher->settle();
      expect_answers(*matcher, ask(random, rules, pins, 300));
      if (HasFatalFailure()) {
        return;
      }
    }
  }
}

TEST(Matcher, OneAddressChangesSetsInPlaceOnceSettled) {
  size_t in_place = 0;
  for (const uint64_t seed : seeds(16)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    RuleSet rules = random.rule_set();
    ChangingSets sets(random, rules);
    const std::vector<Pin> pins = pinned_only(random_pins(random, rules));
    auto matcher = make(rules, pins, options_of(seed));
    for (int change = 0; change < 40; ++change) {
      SCOPED_TRACE(change);
      sets.change();
      if (change % 8 == 7) {
        rules.lists[random.below(static_cast<uint32_t>(rules.lists.size()))] =
            random.rule_list(rules);
      }
      const auto next = make(rules, pins, options_of(seed), matcher.get());
      ASSERT_NE(next, nullptr);
      in_place += &next->classes() == &matcher->classes() ? 1 : 0;
      next->settle();
      expect_answers(*next, ask(random, rules, pins, 300));
      if (HasFatalFailure()) {
        return;
      }
      matcher = next;
    }
  }
  EXPECT_GT(in_place, 200u) << "only an endpoint's own address, or new rules, forbid it";
}

// Where they may not be changed in place: the predecessor goes on answering as it did.
TEST(Matcher, FewChangesGoIntoACopyOfTheTables) {
  size_t kept_lines = 0;
  for (const uint64_t seed : seeds(8)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    RuleSet rules = random.rule_set();
    ChangingSets sets(random, rules);
    const std::vector<Pin> pins = random_pins(random, rules);
    Matcher::Options options = options_of(seed);
    options.in_place = false;
    auto matcher = make(rules, pins, options);
    for (int change = 0; change < 30; ++change) {
      SCOPED_TRACE(change);
      const Questions before = ask(random, rules, pins, 200);
      sets.change();
      const auto next = make(rules, pins, options, matcher.get());
      ASSERT_NE(next, nullptr);
      EXPECT_TRUE(next->settled());
      const Ip4Classes& old_lines = matcher->classes().ip4();
      const Ip4Classes& lines = next->classes().ip4();
      // Tables that are made anew have all their spare lines again.
      const bool copied = &next->classes() != &matcher->classes() &&
                          lines.lines_free() + lines.lines_used() ==
                              old_lines.lines_free() + old_lines.lines_used() &&
                          lines.lines_used() > old_lines.lines_used();
      kept_lines += copied ? 1 : 0;
      expect_answers(*matcher, before);
      expect_answers(*next, ask(random, rules, pins, 200));
      if (HasFatalFailure()) {
        return;
      }
      matcher = next;
    }
  }
  EXPECT_GT(kept_lines, 30u) << "copies, of changes at IPv4 addresses in sparse groups";
}

// Whatever the set's ranges: a pod of a pool whose other addresses are all in the set, too.
TEST(Matcher, AnAddressAmidALongRunChangesInPlace) {
  RandomPolicy random(3);
  RuleSet rules = random.rule_set();
  const std::vector<Pin> pins = pinned_only(random_pins(random, rules));
  for (const char* pool : {"10.192.0.0/16", "fd00:9::/64", "ff00::/8", "::/0", "0.0.0.0/0"}) {
    SCOPED_TRACE(pool);
    const Prefix all = *parse_prefix(pool);
    const Address gone = all.last().previous();
    std::vector<Prefix> members = {all};
    rules.address_sets.assign(rules.address_sets.size(), AddressSet(members));
    const auto before = make(rules, pins);
    members.clear();
    for (unsigned length = all.length + 1u; length <= 128; ++length) {  // all but one
      Address sibling = gone;
      (length <= 64 ? sibling.hi ^= uint64_t{1} << (64 - length)
                    : sibling.lo ^= uint64_t{1} << (128 - length));
      members.push_back(Prefix::of(sibling, length));
    }
    rules.address_sets.assign(rules.address_sets.size(), AddressSet(members));
    ASSERT_FALSE(rules.address_sets[0]->contains(gone));
    ASSERT_TRUE(rules.address_sets[0]->contains(gone.next()));
    const auto after = make(rules, pins, {}, before.get());
    EXPECT_EQ(&after->classes(), &before->classes());
    after->settle();
    expect_answers(*after, ask(random, rules, pins, 300));
  }
}

}  // namespace
}  // namespace sluice
