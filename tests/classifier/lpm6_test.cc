// SPDX-License-Identifier: Apache-2.0
#include "classifier/lpm6.h"

#include <random>

#include <gtest/gtest.h>

namespace sluice {
namespace {

uint32_t naive_find(const std::vector<Lpm6::Entry>& entries, const Address& address) {
  uint32_t value = Lpm6::kNone;
  int longest = -1;
  for (const Lpm6::Entry& e : entries) {
    if (e.prefix.contains(address) && e.prefix.length >= longest) {
      longest = e.prefix.length;
      value = e.value;
    }
  }
  return value;
}

TEST(Lpm6, AnEmptyTableKnowsNothing) {
  EXPECT_EQ(Lpm6().find(Address{}), Lpm6::kNone);
  EXPECT_EQ(Lpm6().find(*parse_address("fd00::1")), Lpm6::kNone);
}

TEST(Lpm6, TheLongestPrefixWinsAndOfEqualOnesTheLater) {
  const std::vector<Lpm6::Entry> entries = {
      {*parse_prefix("fd00::1"), 4},      {*parse_prefix("::/0"), 1},
      {*parse_prefix("fd00::/16"), 2},    {*parse_prefix("fd00::/122"), 9},
      {*parse_prefix("fd00::/122"), 3},   {*parse_prefix("fd00:0:0:8000::/49"), 5},
      {*parse_prefix("fd01:2:3:4::"), 6},
  };
  const Lpm6 lpm(entries);
  const std::pair<const char*, uint32_t> rows[] = {
      {"fd00::1", 4},          {"fd00::2", 3}, {"fd00::3f", 3},       {"fd00::40", 2},
      {"fd00:0:0:8001::1", 5}, {"::", 1},      {"2001:db8::1", 1},    {"fd01:2:3:4::", 6},
      {"fd01:2:3:4::1", 1},    {"ff02::1", 1}, {"::fffe:10.0.0.1", 1}};
  for (const auto& [address, value] : rows) {
    EXPECT_EQ(lpm.find(*parse_address(address)), value) << address;
  }
}

TEST(Lpm6, NoPrefixHasAnIpv4Address) {
  const std::vector<Lpm6::Entry> entries = {{*parse_prefix("::/0"), 1},
                                            {*parse_prefix("::/64"), 2}};
  const Lpm6 lpm(entries);
  EXPECT_EQ(lpm.find(*parse_address("10.0.0.1")), Lpm6::kNone);
  EXPECT_EQ(lpm.find(*parse_address("::10.0.0.1")), 2u);
}

TEST(Lpm6, AgreesWithItsNaiveTwin) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto pick = [&](size_t n) { return static_cast<uint32_t>(random() % n); };
  for (int round = 0; round < 60; ++round) {
    // Crowded on purpose: few bits of either half, so that prefixes nest.
    const Address mask = round % 2 == 0 ? Address{0xf000000000000003, 0x80000000000000ff}
                                        : Address{~uint64_t{0}, ~uint64_t{0}};
    const auto any = [&] { return Address{random() & mask.hi, random() & mask.lo}; };
    std::vector<Lpm6::Entry> entries;
    for (uint32_t i = 0, n = 1 + pick(120); i < n; ++i) {
      const Prefix prefix = Prefix::of(any(), pick(129));
      if (!prefix.is_v4()) {
        entries.push_back({prefix, i});
      }
    }
    const Lpm6 lpm(entries);
    for (int i = 0; i < 2000; ++i) {
      Address address = any();
      if (i % 2 == 0 && !entries.empty()) {
        const Prefix& near = entries[pick(entries.size())].prefix;
        address = i % 4 == 0 ? near.base : near.last();
        address.lo += pick(3) - 1;  // the neighbours of its ends, too
      }
      ASSERT_EQ(lpm.find(address), naive_find(entries, address)) << to_string(address);
    }
  }
}

}  // namespace
}  // namespace sluice
