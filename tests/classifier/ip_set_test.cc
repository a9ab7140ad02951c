// SPDX-License-Identifier: Apache-2.0
#include "classifier/ip_set.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(AddressSet, MergesOverlapsDuplicatesAndNeighbours) {
  const std::vector<Prefix> members = {
      *parse_prefix("10.0.0.128/25"), *parse_prefix("10.0.0.0/25"), *parse_prefix("10.0.0.7"),
      *parse_prefix("10.0.0.0/25"),   *parse_prefix("10.0.2.0/24"),
  };
  const AddressSet set(members);
  ASSERT_EQ(set.ranges().size(), 2u);
  EXPECT_TRUE(set.contains(*parse_address("10.0.0.255")));
  EXPECT_FALSE(set.contains(*parse_address("10.0.1.0")));
  EXPECT_FALSE(set.contains(*parse_address("9.255.255.255")));
}

TEST(AddressSet, HoldsTheWholeSpaceAndNothing) {
  const std::vector<Prefix> all = {*parse_prefix("::/0"), *parse_prefix("0.0.0.0/0")};
  EXPECT_EQ(AddressSet(all).ranges().size(), 1u);
  EXPECT_TRUE(AddressSet(all).contains({~uint64_t{0}, ~uint64_t{0}}));
  EXPECT_FALSE(AddressSet().contains({}));
}

TEST(AddressSet, PrefixesOfIp6DoNotHoldIp4) {
  for (const char* text : {"::/0", "::/1", "::/64", "::/80", "::fffe:0:0/95"}) {
    const std::vector<Prefix> members = {*parse_prefix(text)};
    const AddressSet set(members);
    EXPECT_TRUE(set.contains(members[0].base)) << text;
    EXPECT_FALSE(set.contains(*parse_address("0.0.0.0"))) << text;
    EXPECT_FALSE(set.contains(*parse_address("10.0.0.1"))) << text;
    EXPECT_FALSE(set.contains(*parse_address("255.255.255.255"))) << text;
    EXPECT_EQ(set.contains(*parse_address("::1:0:0:0")), members[0].length <= 64) << text;
  }
}

TEST(AddressSet, AgreesWithItsNaiveTwin) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  for (int round = 0; round < 200; ++round) {
    std::vector<Prefix> members;
    for (unsigned n = pick(20); n > 0; --n) {
      const Address base = Address::of(Ip4{0x0a000000 + pick(1024)});
      members.push_back(Prefix::of(base, 118 + pick(11)));
    }
    const AddressSet set(members);
    for (uint32_t i = 0; i < 1100; ++i) {
      const Address a = Address::of(Ip4{0x0a000000 - 32 + i});
      const bool naive = std::any_of(members.begin(), members.end(),
                                     [&](const Prefix& p) { return p.contains(a); });
      ASSERT_EQ(set.contains(a), naive) << to_string(a);
    }
  }
}

TEST(PortSet, ContainsWholeTriplesOnly) {
  const Address pod = *parse_address("10.0.0.1");
  const std::vector<PortSet::Member> members = {{pod, proto::kTcp, 8080},
                                                {pod, proto::kTcp, 8080}};
  const PortSet set(members);
  EXPECT_EQ(set.members().size(), 1u);
  EXPECT_TRUE(set.contains({pod, proto::kTcp, 8080}));
  EXPECT_FALSE(set.contains({pod, proto::kUdp, 8080}));
  EXPECT_FALSE(set.contains({pod, proto::kTcp, 80}));
  EXPECT_FALSE(set.contains({*parse_address("10.0.0.2"), proto::kTcp, 8080}));
}

}  // namespace
}  // namespace sluice
