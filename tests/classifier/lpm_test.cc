// SPDX-License-Identifier: Apache-2.0
#include "classifier/lpm.h"

#include <random>

#include <gtest/gtest.h>

namespace sluice {
namespace {

uint32_t naive_find(const std::vector<Lpm4::Entry>& entries, Ip4 address) {
  uint32_t value = Lpm4::kNone;
  int longest = -1;
  for (const Lpm4::Entry& e : entries) {
    if (e.prefix.contains(Address::of(address)) && e.prefix.length >= longest) {
      longest = e.prefix.length;
      value = e.value;
    }
  }
  return value;
}

TEST(Lpm4, AnEmptyTableKnowsNothing) {
  EXPECT_EQ(Lpm4().find(Ip4{0}), Lpm4::kNone);
  EXPECT_EQ(Lpm4().find(Ip4{0xffffffff}), Lpm4::kNone);
}

TEST(Lpm4, TheLongestPrefixWinsAndOfEqualOnesTheLater) {
  const std::vector<Lpm4::Entry> entries = {
      {*parse_prefix("10.0.0.1"), 4},    {*parse_prefix("0.0.0.0/0"), 1},
      {*parse_prefix("10.0.0.0/8"), 2},  {*parse_prefix("10.0.0.0/26"), 9},
      {*parse_prefix("10.0.0.0/26"), 3},
  };
  const Lpm4 lpm(entries);
  EXPECT_EQ(lpm.find(Ip4{0x0a000001}), 4u);
  EXPECT_EQ(lpm.find(Ip4{0x0a000002}), 3u);
  EXPECT_EQ(lpm.find(Ip4{0x0a000040}), 2u);
  EXPECT_EQ(lpm.find(Ip4{0x0b000000}), 1u);
}

TEST(Lpm4, AgreesWithItsNaiveTwin) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](size_t n) { return static_cast<uint32_t>(random() % n); };
  for (int round = 0; round < 60; ++round) {
    // Crowded on purpose: few top bits, so that prefixes nest.
    const uint32_t mask = round % 2 == 0 ? 0x0a1103ff : 0xffffffff;
    std::vector<Lpm4::Entry> entries;
    for (uint32_t i = 0, n = 1 + pick(120); i < n; ++i) {
      const Address base = Address::of(Ip4{static_cast<uint32_t>(random()) & mask});
      entries.push_back({Prefix::of(base, 96 + pick(33)), i});
    }
    const Lpm4 lpm(entries);
    for (int i = 0; i < 2000; ++i) {
      Ip4 address{static_cast<uint32_t>(random()) & mask};
      if (i % 2 == 0) {
        const Prefix& near = entries[pick(entries.size())].prefix;
        address.value = (i % 4 == 0 ? near.base : near.last()).v4().value + pick(3) - 1;
      }
      ASSERT_EQ(lpm.find(address), naive_find(entries, address)) << to_string(address);
    }
  }
}

}  // namespace
}  // namespace sluice
