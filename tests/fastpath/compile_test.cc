// SPDX-License-Identifier: Apache-2.0
// A generation's matcher: who is judged by which compiled program.
#include <gtest/gtest.h>

#include "fastpath/tables.h"

namespace sluice {
namespace {

Address at(const char* text) {
  return *parse_address(text);
}

// Program 0 allows TCP from 10.0.0.0/8, program 1 nothing.
std::shared_ptr<const RuleSet> rules() {
  auto set = std::make_shared<RuleSet>();
  Rule rule;
  rule.action = Action::allow;
  rule.protocol = proto::kTcp;
  rule.source.nets = {*parse_prefix("10.0.0.0/8")};
  rule.counter = 7;
  set->lists = {RuleList{{rule}}, RuleList{}};
  set->programs = {{{{{0}, TierEnd::deny, false, 8}}}, {{{{1}, TierEnd::deny, false, 9}}}};
  return set;
}

Generation with(std::vector<Address> addresses, std::vector<Prefix> allowed = {}) {
  Generation g;
  g.linear = std::make_shared<const Linear>(rules());
  Endpoint e;
  e.ready = true;
  e.ingress = 0;
  e.egress = 1;
  e.addresses = std::move(addresses);
  e.allowed_sources = std::move(allowed);
  g.endpoints = {e};
  return g;
}

TEST(Compile, PinsAnEndpointToItsOneAddressOfAFamily) {
  const Address four = at("10.0.0.1");
  const Address six = at("fd00::1");
  struct Row {
    const char* sentence;
    std::vector<Address> addresses;
    std::vector<Prefix> allowed;
    bool pinned_in, pinned_out;  // IPv4
    bool judges_six_in, judges_six_out;
  };
  const Row rows[] = {
      {"one address", {four}, {}, true, true, false, false},
      {"one of each family", {four, six}, {}, true, true, true, true},
      {"two addresses", {four, at("10.0.0.2")}, {}, false, false, false, false},
      {"sends from others", {four}, {*parse_prefix("fd00::/8")}, true, false, false, true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.sentence);
    Generation g = with(row.addresses, row.allowed);
    ASSERT_TRUE(compile(g, {}, nullptr));
    const Endpoint& e = g.endpoints[0];
    EXPECT_EQ(g.matcher->pin(e.judge_in[0]).side == Pinned::Side::destination, row.pinned_in);
    EXPECT_EQ(g.matcher->pin(e.judge_out[0]).side == Pinned::Side::source, row.pinned_out);
    EXPECT_EQ(g.matcher->pin(e.judge_in[0]).program, e.ingress);
    EXPECT_EQ(e.judge_in[1] != kNoInstance, row.judges_six_in);
    EXPECT_EQ(e.judge_out[1] != kNoInstance, row.judges_six_out);
    const FlowKey keys[] = {{at("10.1.1.1"), four, 1, 80, proto::kTcp},
                            {at("11.1.1.1"), four, 1, 80, proto::kTcp}};
    for (const FlowKey& key : keys) {
      Verdict fast;
      Verdict plain;
      g.matcher->classify({&key, 1}, {&e.judge_in[0], 1}, {&fast, 1});
      g.linear->classify({&key, 1}, {&e.ingress, 1}, {&plain, 1});
      EXPECT_EQ(fast.kind, plain.kind);
      EXPECT_EQ(fast.counter, plain.counter);
    }
  }
}

TEST(Compile, TellsHostEndpointsListsTheirInstances) {
  Generation g = with({at("10.0.0.1")});
  g.uplink.normal_in = {1, 0};
  ASSERT_TRUE(compile(g, {}, nullptr));
  EXPECT_EQ(g.matcher->pin(g.uplink.normal_in.judge).program, 1u);
  EXPECT_EQ(g.matcher->pin(g.uplink.normal_in.failsafe_judge).program, 0u);
  EXPECT_EQ(g.uplink.normal_out.judge, kNoInstance);
}

TEST(Compile, SharesWhatDidNotChangeAndNamesTheLimitThatWasPassed) {
  Generation g = with({at("10.0.0.1")});
  ASSERT_TRUE(compile(g, {}, nullptr));
  Generation next = g;
  ASSERT_TRUE(compile(next, {}, g.matcher.get()));
  EXPECT_EQ(&next.matcher->classes(), &g.matcher->classes());
  Matcher::Options little;
  little.memory_bytes = 1000;
  const Status refused = compile(next, little, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("the cap of"), std::string::npos) << refused.error().what;
  EXPECT_EQ(refused.error().hint, "raise policy.memory");
}

}  // namespace
}  // namespace sluice
