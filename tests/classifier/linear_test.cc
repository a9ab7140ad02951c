// SPDX-License-Identifier: Apache-2.0
#include "classifier/linear.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

FlowKey key(const char* src, const char* dst, uint8_t protocol, uint16_t dport = 0,
            uint16_t sport = 40000) {
  const bool ports = proto::has_ports(protocol);
  return {*parse_address(src), *parse_address(dst), ports ? sport : uint16_t{0}, dport,
          protocol};
}
FlowKey tcp(uint16_t port) {
  return key("10.0.0.1", "10.0.0.2", proto::kTcp, port);
}
FlowKey icmp(uint8_t type, uint8_t code) {
  return key("10.0.0.1", "10.0.0.2", proto::kIcmp, static_cast<uint16_t>(type << 8 | code));
}

// Set 0 holds 10.0.0.1, set 1 holds 10.0.0.2; port set 0 holds 10.0.0.2 TCP 8080, 1 nothing.
RuleSet sets() {
  RuleSet r;
  for (const char* member : {"10.0.0.1", "10.0.0.2"}) {
    const std::vector<Prefix> members = {*parse_prefix(member)};
    r.address_sets.emplace_back(AddressSet(members));
  }
  const std::vector<PortSet::Member> ports = {{*parse_address("10.0.0.2"), proto::kTcp, 8080}};
  r.port_sets.emplace_back(PortSet(ports));
  r.port_sets.emplace_back();
  return r;
}

bool rule_matches(const Rule& rule, const FlowKey& k) {
  RuleSet r = sets();
  Rule allow = rule;
  allow.action = Action::allow;
  r.lists.emplace_back(RuleList{{allow}});
  r.programs.push_back({{Tier{{0}}}});
  const Linear linear(std::make_shared<const RuleSet>(r));
  Verdict verdict;
  const ProgramId program = 0;
  linear.classify({&k, 1}, {&program, 1}, {&verdict, 1});
  return verdict.kind == Verdict::Kind::allow;
}

Rule rule(const std::function<void(Rule&)>& fill) {
  Rule r;
  fill(r);
  return r;
}

TEST(Linear, ARuleMatchesWhenAllItsFieldsDo) {
  const IcmpMatch echo{8, true, 0};
  const struct {
    const char* sentence;
    Rule rule;
    FlowKey key;
    bool matches;
  } rows[] = {
      {"an empty rule matches all", Rule{}, tcp(80), true},
      {"protocol", rule([](Rule& r) { r.protocol = 6; }), tcp(80), true},
      {"other protocol", rule([](Rule& r) { r.protocol = 17; }), tcp(80), false},
      {"notProtocol", rule([](Rule& r) { r.not_protocol = 6; }), tcp(80), false},
      {"family v6 only", rule([](Rule& r) { r.families = Rule::kV6; }), tcp(80), false},
      {"icmp type", rule([&](Rule& r) { r.icmp = echo; }), icmp(8, 3), true},
      {"icmp code differs", rule([](Rule& r) {
         r.icmp = IcmpMatch{8, false, 0};
       }),
       icmp(8, 3), false},
      {"icmp needs ICMP", rule([&](Rule& r) { r.icmp = echo; }), tcp(8 << 8), false},
      {"icmp of the other family", rule([&](Rule& r) { r.icmp = echo; }),
       key("10.0.0.1", "10.0.0.2", proto::kIcmp6, 8 << 8), false},
      {"notICMP holds for TCP", rule([&](Rule& r) { r.not_icmp = echo; }), tcp(8 << 8), true},
      {"notICMP holds for other ICMP", rule([&](Rule& r) { r.not_icmp = echo; }), icmp(13, 0),
       true},
      {"notICMP refuses its own", rule([&](Rule& r) { r.not_icmp = echo; }), icmp(8, 0), false},
      {"nets", rule([](Rule& r) { r.source.nets = {*parse_prefix("10.0.0.0/31")}; }), tcp(80),
       true},
      {"notNets", rule([](Rule& r) { r.source.not_nets = {*parse_prefix("10.0.0.0/31")}; }),
       tcp(80), false},
      {"in every set", rule([](Rule& r) {
         r.source.sets = {0, 1};
       }),
       tcp(80), false},
      {"in its set", rule([](Rule& r) { r.source.sets = {0}; }), tcp(80), true},
      {"not in a set", rule([](Rule& r) {
         r.source.not_sets = {1, 0};
       }),
       tcp(80), false},
      {"a port of the ranges", rule([](Rule& r) {
         r.destination.ports = {{80, 90}};
       }),
       tcp(90), true},
      {"no port of the ranges", rule([](Rule& r) {
         r.destination.ports = {{80, 90}};
       }),
       tcp(91), false},
      {"a range or a set", rule([](Rule& r) {
         r.destination.ports = {{80, 80}};
         r.destination.port_sets = {0};
       }),
       tcp(8080), true},
      {"an empty port set still restricts",
       rule([](Rule& r) { r.destination.port_sets = {1}; }), tcp(8080), false},
      {"a port set knows the protocol", rule([](Rule& r) { r.destination.port_sets = {0}; }),
       key("10.0.0.1", "10.0.0.2", proto::kUdp, 8080), false},
      {"ICMP has no ports", rule([](Rule& r) {
         r.destination.ports = {{0, 65535}};
       }),
       icmp(8, 0), false},
      {"notPorts", rule([](Rule& r) {
         r.destination.not_ports = {{80, 80}};
       }),
       tcp(80), false},
      {"notPorts by set", rule([](Rule& r) { r.destination.not_port_sets = {0}; }), tcp(8080),
       false},
      {"notPorts holds for ICMP", rule([](Rule& r) {
         r.destination.not_ports = {{0, 65535}};
       }),
       icmp(8, 0), true},
      {"source ports", rule([](Rule& r) {
         r.source.ports = {{40000, 40000}};
       }),
       tcp(80), true},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(rule_matches(row.rule, row.key), row.matches) << row.sentence;
  }
}

TEST(Linear, TiersEndAsCalicoSays) {
  const auto list = [](std::vector<Action> actions) {
    RuleList l;
    for (const Action action : actions) {
      Rule r;
      r.action = action;
      r.counter = static_cast<CounterSlot>(action);
      l.rules.push_back(r);
    }
    return l;
  };
  RuleSet r;
  r.lists = {list({Action::allow}), list({Action::deny}), list({Action::pass}),
             list({Action::log, Action::allow}), list({})};
  const Tier profiles_allow{{0}, TierEnd::deny, true};
  const struct {
    const char* sentence;
    std::vector<Tier> tiers;
    Verdict::Kind kind;
    size_t steps;
    bool passed_or_logged;
  } rows[] = {
      {"no tier at all", {}, Verdict::Kind::none, 0, false},
      {"profiles alone", {profiles_allow}, Verdict::Kind::allow, 1, false},
      {"the end of a tier denies", {{{4}}, profiles_allow}, Verdict::Kind::deny, 1, false},
      {"the end of a tier passes",
       {{{4}, TierEnd::pass}, profiles_allow},
       Verdict::Kind::allow,
       2,
       false},
      {"pass leaves the tier", {{{2, 1}}, profiles_allow}, Verdict::Kind::allow, 2, true},
      {"log goes on", {{{3}}}, Verdict::Kind::allow, 2, true},
      {"pass in a profile denies",
       {{{2, 0}, TierEnd::deny, true}},
       Verdict::Kind::deny,
       1,
       false},
      {"profiles without rules deny",
       {{{}, TierEnd::deny, true}},
       Verdict::Kind::deny,
       1,
       false},
      {"first list wins", {{{1, 0}}}, Verdict::Kind::deny, 1, false},
  };
  for (const auto& row : rows) {
    r.programs = {{row.tiers}};
    const Linear linear(std::make_shared<const RuleSet>(r));
    std::vector<Step> steps;
    const Verdict verdict = linear.walk(tcp(80), 0, [&](const Step& s) { steps.push_back(s); });
    EXPECT_EQ(verdict.kind, row.kind) << row.sentence;
    EXPECT_EQ(steps.size(), row.steps) << row.sentence;
    EXPECT_EQ(verdict.passed_or_logged, row.passed_or_logged) << row.sentence;
    if (!steps.empty()) {
      EXPECT_EQ(steps.back().counter, verdict.counter) << row.sentence;
    }
  }
}

}  // namespace
}  // namespace sluice
