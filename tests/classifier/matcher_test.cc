// SPDX-License-Identifier: Apache-2.0
#include "classifier/matcher.h"

#include <gtest/gtest.h>

#include "tests/classifier/questions.h"

namespace sluice {

namespace {

TEST(Matcher, AnswersAsLinearInEveryFormAndAtEveryLevel) {
  for (const uint64_t seed : seeds(60)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    const RuleSet rules = random.rule_set();
    const std::vector<Pin> pins = random_pins(random, rules);
    const Questions q = ask(random, rules, pins, 1500);
    for (const std::optional<Form> form :
         {std::optional<Form>{}, std::optional(Form::table), std::optional(Form::vectors),
          std::optional(Form::forest)}) {
      std::shared_ptr<const Matcher> matcher;
      for (const SimdLevel level : simd_levels()) {
        SCOPED_TRACE(testing::Message() << "form " << (form ? name(*form) : "any") << " level "
                                        << static_cast<int>(level));
        Matcher::Options options;
        options.form = form;
        options.level = level;
        matcher = make(rules, pins, options, matcher.get());
        ASSERT_NE(matcher, nullptr);
        ASSERT_EQ(matcher->program(0).form, form.value_or(Form::table));
        expect_answers(*matcher, q);
        if (HasFatalFailure()) {
          return;
        }
      }
    }
  }
}

Rule rule(Action action, CounterSlot counter) {
  Rule r;
  r.action = action;
  r.counter = counter;
  return r;
}

TEST(Matcher, DegenerateProgramsAnswerAsLinear) {
  const Rule allow = rule(Action::allow, 1), deny = rule(Action::deny, 2);
  Rule in_nobody = allow, not_in_nobody = allow, all_of_v6 = allow, no_port = allow;
  in_nobody.source.sets = {0};
  not_in_nobody.source.not_sets = {0};
  all_of_v6.source.nets = {*parse_prefix("::/0")};
  no_port.destination.port_sets = {0};
  Rule not_no_port = allow, no_family = allow, backwards = allow;
  not_no_port.destination.not_port_sets = {0};
  no_family.families = 0;
  backwards.destination.ports = {{9, 1}};
  const struct {
    const char* sentence;
    std::vector<Rule> rules;
    std::vector<Tier> tiers;
  } rows[] = {
      {"no tiers", {}, {}},
      {"a tier without lists denies", {}, {Tier{}}},
      {"a tier without lists passes", {}, {Tier{{}, TierEnd::pass}}},
      {"nothing decides after log", {rule(Action::log, 3)}, {Tier{{0}, TierEnd::pass}}},
      {"pass out of the last tier", {rule(Action::pass, 3)}, {Tier{{0}}}},
      {"pass into profiles that pass",
       {rule(Action::pass, 3)},
       {Tier{{0}}, Tier{{0}, TierEnd::deny, true, 9}}},
      {"a set of nobody", {in_nobody, deny}, {Tier{{0}}}},
      {"not in a set of nobody", {not_in_nobody, deny}, {Tier{{0}}}},
      {"::/0", {all_of_v6, deny}, {Tier{{0}}}},
      {"a port set without members", {no_port, deny}, {Tier{{0}}}},
      {"not in a port set without members", {not_no_port, deny}, {Tier{{0}}}},
      {"a rule for no family", {no_family, deny}, {Tier{{0}}}},
      {"a port range backwards", {backwards, deny}, {Tier{{0}}}},
      {"the largest counter", {rule(Action::allow, outcome::kMaxCounter)}, {Tier{{0}}}},
      {"no counter", {rule(Action::allow, kNoCounter)}, {Tier{{0}}}},
      {"a staged list is judged where a tier names it", {}, {Tier{{1}}}},
  };
  RandomPolicy random(1);
  for (const auto& row : rows) {
    SCOPED_TRACE(row.sentence);
    RuleSet rules;
    rules.address_sets.emplace_back();
    rules.port_sets.emplace_back();
    rules.lists = {RuleList{row.rules}, RuleList{{allow}, true}};
    rules.programs = {{row.tiers}};
    const Address here = *parse_address("10.0.0.1"), here6 = *parse_address("fd00::1");
    const Pin pins[] = {{0},
                        {0, Pinned::Side::source, here},
                        {0, Pinned::Side::destination, here},
                        {0, Pinned::Side::destination, here6}};
    const auto matcher = make(rules, pins);
    ASSERT_NE(matcher, nullptr);
    expect_answers(*matcher, ask(random, rules, pins, 500));
  }
}

// Two programs of two lists each; the second list is common.  Every rule asks about one set.
RuleSet two_programs() {
  RuleSet rules;
  for (const char* member : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
    const std::vector<Prefix> members = {*parse_prefix(member)};
    Rule r = rule(Action::allow, static_cast<CounterSlot>(rules.address_sets.size()));
    r.source.sets = {static_cast<SetId>(rules.address_sets.size())};
    rules.address_sets.emplace_back(AddressSet(members));
    rules.lists.emplace_back(RuleList{{r}});
  }
  rules.programs = {{{Tier{{0, 2}}}}, {{Tier{{1, 2}}}}};
  return rules;
}
const std::vector<Pin>& two_pins() {
  static const std::vector<Pin> kPins = {
      {0, Pinned::Side::destination, *parse_address("10.0.9.1")},
      {1, Pinned::Side::destination, *parse_address("10.0.9.2")}};
  return kPins;
}

// What IPv4 is asked of a packet of IPv6 is 0.0.0.0's, and must not tell.
TEST(Matcher, AnswersIp6BesideClassesAtIp4Zero) {
  RuleSet rules;
  const std::vector<Prefix> pods = {*parse_prefix("fd00::5"), *parse_prefix("fd00::6")};
  rules.address_sets.emplace_back(AddressSet(pods));
  Rule of_pods = rule(Action::allow, 1), of_prefix = rule(Action::allow, 2),
       of_zero = rule(Action::deny, 3);
  of_pods.source.sets = {0};
  of_prefix.source.nets = {*parse_prefix("fd00:1::/64")};
  rules.programs = {{{Tier{{0}}}}};
  const Pin pin = {0, Pinned::Side::destination, *parse_address("fd00::1")};
  for (const char* zero : {"0.0.0.0/32", "0.0.0.0/24", "0.0.0.0/8", "0.0.0.1/32"}) {
    SCOPED_TRACE(zero);
    of_zero.source.nets = {*parse_prefix(zero)};
    rules.lists = {RuleList{{of_zero, of_pods, of_prefix}}};
    Questions q;
    for (const char* source : {"fd00::5", "fd00::6", "fd00::7", "fd00:1::9", "fd00:2::"}) {
      q.add(rules, {&pin, 1}, 0, {*parse_address(source), pin.address, 1000, 80, proto::kTcp});
    }
    for (const SimdLevel level : simd_levels()) {
      Matcher::Options options;
      options.level = level;
      expect_answers(*make(rules, {&pin, 1}, options), q);
    }
  }
}

TEST(Matcher, SharesWhatDidNotChange) {
  RuleSet rules = two_programs();
  const auto first = make(rules, two_pins());
  const auto again = make(rules, two_pins(), {}, first.get());
  EXPECT_EQ(&again->classes(), &first->classes());
  EXPECT_EQ(&again->program(0), &first->program(0));
  EXPECT_EQ(&again->program(1), &first->program(1));

  RuleList changed = *rules.lists[0];
  changed.rules[0].action = Action::deny;
  rules.lists[0] = changed;
  const auto edited = make(rules, two_pins(), {}, again.get());
  EXPECT_EQ(&edited->classes(), &first->classes()) << "no set changed";
  EXPECT_NE(&edited->program(0), &first->program(0));
  EXPECT_EQ(&edited->program(1), &first->program(1)) << "it has not the edited list";
}

TEST(Matcher, EndpointsOfOneProgramAndClassShareIt) {
  const RuleSet rules = two_programs();
  const std::vector<Pin> pins = {{0, Pinned::Side::destination, *parse_address("10.0.9.1")},
                                 {0, Pinned::Side::destination, *parse_address("10.0.9.2")},
                                 {0, Pinned::Side::source, *parse_address("10.0.9.2")}};
  const auto matcher = make(rules, pins);
  EXPECT_EQ(&matcher->program(0), &matcher->program(1));
  EXPECT_NE(&matcher->program(0), &matcher->program(2));
  EXPECT_EQ(matcher->program_count(), 2u);
}

TEST(Matcher, TellsHowFarItIs) {
  std::vector<std::pair<size_t, size_t>> told;
  Matcher::Options options;
  options.progress = [&](size_t made, size_t all) { told.emplace_back(made, all); };
  make(two_programs(), two_pins(), options);
  EXPECT_EQ(told, (std::vector<std::pair<size_t, size_t>>{{1, 2}, {2, 2}}));
}

TEST(Matcher, TakesBitVectorsForTablesToKeepTheCapAndRefusesBelow) {
  RandomPolicy random(7);
  RuleSet rules = two_programs();
  // Ports and sources that do not merge: a table of 100 x 100 cells.
  RuleList list;
  for (uint32_t i = 0; i < 100; ++i) {
    Rule r = rule(i % 2 != 0 ? Action::deny : Action::pass, i);
    r.source.nets = {Prefix::of(Address::of(Ip4{0x0a000000 | i}), 128)};
    r.destination.ports = {{static_cast<uint16_t>(i), static_cast<uint16_t>(i + 200)}};
    list.rules.push_back(r);
  }
  rules.lists.emplace_back(list);
  rules.programs = {{{Tier{{3}}}}, {{Tier{{3}}, Tier{{0}}}}};
  const auto free = make(rules, two_pins());
  ASSERT_EQ(free->program(0).form, Form::table);

  Matcher::Options capped;
  capped.form = Form::vectors;
  const size_t least = make(rules, two_pins(), capped)->memory().total();
  ASSERT_LT(least, free->memory().total());
  capped.form = {};
  capped.memory_bytes = least;
  const auto small = make(rules, two_pins(), capped);
  ASSERT_NE(small, nullptr);
  EXPECT_LE(small->memory().total(), least);
  EXPECT_EQ(small->program(0).form, Form::vectors);
  expect_answers(*small, ask(random, rules, two_pins(), 1000));

  capped.memory_bytes = size_t{64} << 20;
  const auto refused =
      Matcher::make(std::make_shared<const RuleSet>(rules), two_pins(), capped);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().what.find("exceed the cap of 64 MiB"), std::string::npos)
      << refused.error().what;
}

// Programs whose tables take far more than their bit vectors, for IPv6, whose address tables
// are small.  Each at an endpoint of its own.
RuleSet programs_of_large_tables(uint32_t count, std::vector<Pin>& pins) {
  RuleSet rules;
  pins.clear();
  for (uint32_t p = 0; p < count; ++p) {
    RuleList list;
    for (uint32_t i = 0; i < 150; ++i) {
      Rule r = rule(i % 2 != 0 ? Action::deny : Action::allow, p * 1000 + i);
      r.source.nets = {Prefix::of({uint64_t{0xfd} << 56, i}, 128)};
      r.destination.ports = {{static_cast<uint16_t>(i), static_cast<uint16_t>(i + 200)}};
      list.rules.push_back(r);
    }
    rules.programs.push_back({{Tier{{static_cast<ListId>(rules.lists.size())}}}});
    rules.lists.emplace_back(list);
    pins.push_back({p, Pinned::Side::destination, {uint64_t{0xfd} << 56, 0x10000 + p}});
  }
  return rules;
}

size_t bytes_of(const RuleSet& rules, std::span<const Pin> pins, Form form) {
  Matcher::Options options;
  options.form = form;
  return make(rules, pins, options)->memory().total();
}

TEST(Matcher, FitsACapThatItsTablesPassTwice) {
  std::vector<Pin> pins;
  const RuleSet rules = programs_of_large_tables(20, pins);
  Matcher::Options capped;
  capped.memory_bytes = bytes_of(rules, pins, Form::vectors) * 11 / 10;
  ASSERT_GT(bytes_of(rules, pins, Form::table), 2 * capped.memory_bytes);
  const auto matcher = make(rules, pins, capped);
  ASSERT_NE(matcher, nullptr);
  EXPECT_LE(matcher->memory().total(), capped.memory_bytes);
  RandomPolicy random(3);
  expect_answers(*matcher, ask(random, rules, pins, 1000));
}

TEST(Matcher, FitsWhereAStartWouldThoughWhatIsSharedDoesNotShrink) {
  std::vector<Pin> few, more;
  const RuleSet before = programs_of_large_tables(10, few);
  RuleSet after = programs_of_large_tables(20, more);
  std::copy(before.lists.begin(), before.lists.end(), after.lists.begin());
  Matcher::Options capped;
  capped.memory_bytes = bytes_of(before, few, Form::table);
  ASSERT_GT(capped.memory_bytes, bytes_of(after, more, Form::vectors));
  const auto first = make(before, few, capped);
  ASSERT_EQ(first->program(0).form, Form::table);
  const auto second = make(after, more, capped, first.get());
  ASSERT_NE(second, nullptr);
  EXPECT_LE(second->memory().total(), capped.memory_bytes);
}

TEST(Matcher, CompilesOnceForEndpointsWhoseClassesAskTheSame) {
  RuleSet rules = two_programs();
  Rule to_set = rule(Action::allow, 9);
  to_set.destination.sets = {1};  // 10.0.0.2
  rules.lists.emplace_back(RuleList{{to_set}});
  rules.programs = {{{Tier{{0}}}}, {{Tier{{0, 3}}}}};
  std::vector<Pin> pins;
  for (const ProgramId program : {0u, 1u}) {
    for (const char* own : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
      pins.push_back({program, Pinned::Side::destination, *parse_address(own)});
    }
  }
  const auto matcher = make(rules, pins);
  EXPECT_EQ(&matcher->program(0), &matcher->program(1)) << "of other classes";
  EXPECT_EQ(&matcher->program(0), &matcher->program(3)) << "the rule in between is not for it";
  EXPECT_NE(&matcher->program(0), &matcher->program(4)) << "but for this one";
  EXPECT_EQ(matcher->compiled_count(), 2u);
}

TEST(Matcher, ListsThatJudgeNobodyTakeNoRoomAmongAddresses) {
  RuleSet rules = two_programs();
  const auto without = make(rules, two_pins());
  Rule staged = rule(Action::deny, 9);
  staged.source.nets = {*parse_prefix("10.64.0.0/10")};
  rules.lists.emplace_back(RuleList{{staged}, true});
  rules.programs.push_back({{Tier{{0, 3}}}});
  const auto with = make(rules, two_pins());
  EXPECT_EQ(with->classes().directory().size(), without->classes().directory().size());
}

TEST(Matcher, ASetThatIsNewLeavesOtherProgramsAsTheyAre) {
  RuleSet rules = two_programs();
  const auto first = make(rules, two_pins());
  RuleList edited = *rules.lists[0];
  edited.rules[0].source.nets = {*parse_prefix("10.0.0.0/24")};
  rules.lists[0] = edited;
  const auto second = make(rules, two_pins(), {}, first.get());
  EXPECT_EQ(second->compiled_count(), 1u);
  EXPECT_EQ(second->program(1).table, first->program(1).table);
  RandomPolicy random(5);
  expect_answers(*second, ask(random, rules, two_pins(), 1000));
}

// Overlapping sets, overlapping port ranges, negations and source ports: 900 x 900 cells.
RuleSet exploding_policy(RandomPolicy& random) {
  RuleSet rules;
  RuleList list;
  for (uint32_t i = 0; i < 900; ++i) {
    std::vector<Prefix> members = {Prefix::of(Address::of(Ip4{0x0a000000 | i}), 128)};
    for (int n = 0; n < 3; ++n) {
      members.push_back(Prefix::of(Address::of(Ip4{0x0a000000 | random.below(1024)}), 128));
    }
    rules.address_sets.emplace_back(AddressSet(members));
    Rule r = rule(i % 3 == 0 ? Action::pass : i % 3 == 1 ? Action::allow : Action::deny, i);
    (i % 5 == 0 ? r.source.not_sets : r.source.sets) = {i};
    const auto low = static_cast<uint16_t>(random.below(60000));
    r.destination.ports = {{low, static_cast<uint16_t>(low + random.below(300))}};
    if (i % 7 == 0) {
      r.source.ports = {{low, 65535}};
    }
    list.rules.push_back(r);
  }
  rules.lists.emplace_back(list);
  rules.programs = {{{Tier{{0}}, Tier{{0}}}}};
  return rules;
}

TEST(Matcher, AProgramWhoseTableWouldPassTheLimitTakesBitVectors) {
  for (const uint64_t seed : seeds(2)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    const RuleSet rules = exploding_policy(random);
    const std::vector<Pin> pins = {{0, Pinned::Side::destination, *parse_address("10.0.9.1")},
                                   {0}};
    const auto matcher = make(rules, pins);
    ASSERT_NE(matcher, nullptr);
    EXPECT_EQ(matcher->program(0).form, Form::vectors);
    EXPECT_GT(matcher->program(0).cells, CompileLimits{}.table_cells);
    EXPECT_LT(matcher->memory().programs, size_t{4} << 20);
    expect_answers(*matcher, ask(random, rules, pins, 3000));

    Matcher::Options tight;
    tight.limits.axis_bytes = 4096;
    const auto refused = Matcher::make(std::make_shared<const RuleSet>(rules), pins, tight);
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().what.find("of bit vectors"), std::string::npos);
  }
}

// The rows of classes that are no more take room in an update, and not in a start.
TEST(Matcher, FitsWhereAStartWouldThoughOldClassesHaveRows) {
  RandomPolicy random(9);
  Matcher::Options options;
  options.form = Form::vectors;
  const RuleSet before = exploding_policy(random), after = exploding_policy(random);
  const std::vector<Pin> pins = {{0, Pinned::Side::destination, *parse_address("10.0.9.1")}};
  const auto fits = [&](const RuleSet& rules) {
    return Matcher::make(std::make_shared<const RuleSet>(rules), pins, options).has_value();
  };
  options.limits.axis_bytes = 4096;
  while (!fits(before) || !fits(after)) {
    options.limits.axis_bytes += options.limits.axis_bytes / 16;
  }
  const auto first = make(before, pins, options);
  EXPECT_NE(make(after, pins, options, first.get()), nullptr);
}

// Tiers of literal rules whose nets nest: each list denies, allows, passes and logs in places.
class LongLists {
 public:
  explicit LongLists(uint64_t seed) : random_(seed) {}

  RuleSet rule_set(size_t rules_of_a_tier, size_t tiers) {
    RuleSet out;
    out.address_sets.emplace_back(random_.address_set());
    out.port_sets.emplace_back(random_.port_set());
    Program program;
    for (size_t t = 0; t < tiers; ++t) {
      RuleList list;
      while (list.rules.size() < rules_of_a_tier) {
        list.rules.push_back(one_rule());
      }
      list.rules.push_back(rule(Action::pass, next_++));
      program.tiers.push_back({{static_cast<ListId>(t)}, TierEnd::deny, false, next_++});
      out.lists.emplace_back(std::move(list));
    }
    out.programs = {std::move(program)};
    return out;
  }

  // Mostly inside a rule's nets, at its ports.
  Questions ask(const RuleSet& rules, std::span<const Pin> pins, size_t n) {
    const Linear linear(std::make_shared<const RuleSet>(rules));
    Questions q;
    while (q.keys.size() < n) {
      const auto id = random_.below(static_cast<uint32_t>(pins.size()));
      const Pin& pin = pins[id];
      const auto& list = *rules.lists[random_.below(static_cast<uint32_t>(rules.lists.size()))];
      const Rule& near = list.rules[random_.below(static_cast<uint32_t>(list.rules.size()))];
      FlowKey key = random_.key();
      if (random_.chance(90)) {
        key.protocol = near.protocol.value_or(proto::kTcp);
        key.src = in(near.source.nets);
        key.dst = in(near.destination.nets);
        key.dst_port =
            near.destination.ports.empty() ? key.dst_port : near.destination.ports[0].low;
      }
      if (pin.side != Pinned::Side::none) {
        if (!key.src.is_v4()) {
          continue;
        }
        (pin.side == Pinned::Side::source ? key.src : key.dst) = pin.address;
      }
      q.keys.push_back(key);
      q.instances.push_back(id);
      q.expected.emplace_back();
      linear.classify({&key, 1}, {&pin.program, 1}, {&q.expected.back(), 1});
    }
    return q;
  }

 private:
  Address in(const std::vector<Prefix>& nets) {
    const uint32_t any = random_.below(UINT32_MAX);
    if (nets.empty() || !nets[0].is_v4()) {
      return Address::of(Ip4{any});
    }
    const uint64_t host = (uint64_t{1} << (128 - nets[0].length)) - 1;
    return {0, nets[0].base.lo | (any & host)};
  }
  std::vector<Prefix> net() {
    const uint32_t address = 0x0a000000 | random_.below(1u << 22);
    return {Prefix::of(Address::of(Ip4{address}), 96 + 18 + random_.below(15))};
  }
  Rule one_rule() {
    constexpr Action kOften[] = {Action::allow, Action::deny, Action::deny};
    Rule r = rule(kOften[random_.below(3)], next_++);
    if (random_.chance(2)) {
      r.action = random_.chance(50) ? Action::pass : Action::log;
    }
    if (random_.chance(95)) {
      r.source.nets = net();
    }
    if (r.source.nets.empty() || random_.chance(30)) {
      r.destination.nets = net();
    }
    if (random_.chance(70)) {
      r.protocol = random_.chance(70) ? proto::kTcp : random_.protocol();
    }
    if (r.protocol == proto::kTcp) {
      const auto port = static_cast<uint16_t>(random_.below(400));
      r.destination.ports = {{port, static_cast<uint16_t>(port + random_.below(30))}};
    }
    if (random_.chance(1)) {  // what is no literal
      r.source.not_sets = {0};
      r.destination.not_port_sets = {0};
    }
    return r;
  }

  RandomPolicy random_;
  CounterSlot next_ = 0;
};

// At every level, of programs that are compiled once.
void expect_form_and_answers(Form form, const RuleSet& rules, std::span<const Pin> pins,
                             Matcher::Options options, const Questions& q) {
  std::shared_ptr<const Matcher> matcher;
  for (const SimdLevel level : simd_levels()) {
    SCOPED_TRACE(static_cast<int>(level));
    options.level = level;
    matcher = make(rules, pins, options, matcher.get());
    ASSERT_NE(matcher, nullptr);
    for (InstanceId id = 0; id < pins.size(); ++id) {
      ASSERT_EQ(name(matcher->program(id).form), name(form));
    }
    expect_answers(*matcher, q);
  }
}

TEST(Matcher, TakesAForestForALongListOfLiteralNets) {
  for (const uint64_t seed : seeds(1)) {
    SCOPED_TRACE(seed);
    LongLists lists(seed);
    const RuleSet rules = lists.rule_set(40'000, 1);
    const std::vector<Pin> pins = {{0},
                                   {0, Pinned::Side::destination, *parse_address("10.0.0.9")}};
    expect_form_and_answers(Form::forest, rules, pins, {}, lists.ask(rules, pins, 2000));
  }
}

TEST(Matcher, APacketThatRulesPassWalksOnAmongManyTerms) {
  for (const uint64_t seed : seeds(10)) {
    SCOPED_TRACE(seed);
    LongLists lists(seed);
    const RuleSet rules = lists.rule_set(200, 6);
    const std::vector<Pin> pins = {{0},
                                   {0, Pinned::Side::source, *parse_address("10.1.0.9")},
                                   {0, Pinned::Side::destination, *parse_address("10.0.0.9")}};
    const Questions q = lists.ask(rules, pins, 5000);
    for (const Form form : {Form::vectors, Form::forest}) {
      Matcher::Options options;
      options.form = form;
      expect_form_and_answers(form, rules, pins, options, q);
    }
  }
}

TEST(Matcher, KeepsAForestWhenOnlySetsChange) {
  LongLists lists(1);
  RuleSet rules = lists.rule_set(300, 2);
  const std::vector<Pin> pins = {{0}};
  Matcher::Options options;
  options.form = Form::forest;
  const auto before = make(rules, pins, options);
  const std::vector<Prefix> other = {*parse_prefix("10.2.3.0/24"), *parse_prefix("fd00::/64")};
  rules.address_sets[0] = AddressSet(other);
  const auto after = make(rules, pins, options, before.get());
  EXPECT_NE(&after->program(0), &before->program(0));
  EXPECT_EQ(after->program(0).forest->literals, before->program(0).forest->literals);
  EXPECT_GT(after->memory().programs, after->program(0).forest->literals->size_bytes());
  expect_answers(*after, lists.ask(rules, pins, 2000));
}

TEST(Matcher, AForestKnowsNoMembersOfSets) {
  RandomPolicy random(5);
  RuleSet rules = two_programs();
  Matcher::Options options;
  options.form = Form::forest;
  const auto before = make(rules, two_pins(), options);
  // From a class that is there to another: no program need be compiled.
  const std::vector<Prefix> joined = {*parse_prefix("10.0.0.1"), *parse_prefix("10.0.0.2")};
  rules.address_sets[0] = AddressSet(std::span(joined).last(1));
  rules.address_sets[1] = AddressSet(std::span(joined).first(0));
  const auto after = make(rules, two_pins(), options, before.get());
  after->settle();
  Questions q;
  for (const char* source : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {
    for (InstanceId id = 0; id < 2; ++id) {
      FlowKey key = random.key();
      key.src = *parse_address(source);
      key.dst = two_pins()[id].address;
      q.add(rules, two_pins(), id, key);
    }
  }
  expect_answers(*after, q);
}

TEST(Matcher, RefusesAListThatNeitherAForestNorVectorsHold) {
  LongLists lists(1);
  const auto rules = std::make_shared<const RuleSet>(lists.rule_set(3000, 1));
  const std::vector<Pin> pins = {{0}};
  Matcher::Options options;
  options.limits.table_cells = 0;
  options.limits.forest_bytes = 10'000;
  const auto vectors = Matcher::make(rules, pins, options);
  ASSERT_TRUE(vectors.has_value());
  EXPECT_EQ(name((*vectors)->program(0).form), "vectors");
  options.limits.axis_bytes = 10'000;
  const auto refused = Matcher::make(rules, pins, options);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().what.find("of bit vectors"), std::string::npos)
      << refused.error().what;
}

TEST(Matcher, RefusesACounterThatNoCellCanHold) {
  RuleSet rules = two_programs();
  RuleList list = *rules.lists[0];
  list.rules[0].counter = outcome::kMaxCounter + 1;
  rules.lists[0] = list;
  EXPECT_FALSE(
      Matcher::make(std::make_shared<const RuleSet>(rules), two_pins(), {}).has_value());
}

}  // namespace
}  // namespace sluice
