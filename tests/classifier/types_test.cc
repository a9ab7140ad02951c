// SPDX-License-Identifier: Apache-2.0
#include "classifier/types.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Address, ParsesWhatIsStrictlyAnAddress) {
  const struct {
    const char* text;
    const char* printed;  // nullptr: refused
  } rows[] = {
      {"10.0.0.1", "10.0.0.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"::", "::"},
      {"fd00::1", "fd00::1"},
      {"FD00:0:0::1", "fd00::1"},
      {"::ffff:10.0.0.1", "10.0.0.1"},
      {"10.0.0.01", nullptr},
      {"10.0.0", nullptr},
      {"10.0.0.256", nullptr},
      {" 10.0.0.1", nullptr},
      {"10.0.0.1 ", nullptr},
      {"10.0.0.1/32", nullptr},
      {"fe80::1%eth0", nullptr},
      {"1::2::3", nullptr},
      {"", nullptr},
  };
  for (const auto& row : rows) {
    const auto address = parse_address(row.text);
    ASSERT_EQ(address.has_value(), row.printed != nullptr) << row.text;
    if (address) {
      EXPECT_EQ(to_string(*address), row.printed);
    }
  }
}

TEST(Prefix, ParsesAndClearsHostBits) {
  const struct {
    const char* text;
    const char* printed;
  } rows[] = {
      {"10.1.2.3/8", "10.0.0.0/8"},
      {"10.1.2.3", "10.1.2.3/32"},
      {"0.0.0.0/0", "0.0.0.0/0"},
      {"fd00::1/64", "fd00::/64"},
      {"::/0", "::/0"},
      {"fd00::1", "fd00::1/128"},
      {"10.0.0.0/33", nullptr},
      {"10.0.0.0/", nullptr},
      {"10.0.0.0/08", nullptr},
      {"10.0.0.0/-1", nullptr},
      {"fd00::/129", nullptr},
      {"/8", nullptr},
  };
  for (const auto& row : rows) {
    const auto prefix = parse_prefix(row.text);
    ASSERT_EQ(prefix.has_value(), row.printed != nullptr) << row.text;
    if (prefix) {
      EXPECT_EQ(to_string(*prefix), row.printed);
    }
  }
}

TEST(Prefix, ContainsFromItsBaseToItsLast) {
  for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "fd00::/64", "::/0"}) {
    const Prefix p = *parse_prefix(text);
    EXPECT_TRUE(p.contains(p.base)) << text;
    EXPECT_TRUE(p.contains(p.last())) << text;
  }
  EXPECT_FALSE(parse_prefix("10.0.0.0/8")->contains(*parse_address("11.0.0.0")));
  EXPECT_FALSE(parse_prefix("0.0.0.0/0")->contains(*parse_address("fd00::1")));
  EXPECT_FALSE(parse_prefix("fd00::/64")->contains(*parse_address("fd00:0:0:1::")));
  for (const char* text : {"::/0", "::/1", "::/64", "::/80", "::fffe:0:0/95"}) {
    EXPECT_FALSE(parse_prefix(text)->contains(*parse_address("8.8.8.8"))) << text;
  }
}

TEST(Prefix, OfIpv6HoldsNoIpv4Address) {
  const Address v4 = *parse_address("10.0.0.1");
  for (const char* text : {"::/0", "::/64", "::/80", "::fffe:0:0/95"}) {
    const Prefix p = *parse_prefix(text);
    EXPECT_FALSE(p.contains(v4)) << text;
    EXPECT_TRUE(p.contains(p.base)) << text;
  }
}

TEST(Mac, ParsesSixPairsOfHex) {
  EXPECT_EQ(to_string(*parse_mac("02:00:Aa:00:00:1f")), "02:00:aa:00:00:1f");
  for (const char* text : {"", "02:00:00:00:00", "02-00-00-00-00-11", "02:00:00:00:00:1g",
                           "02:00:00:00:00:111", "0x:00:00:00:00:11", "+2:00:00:00:00:11"}) {
    EXPECT_FALSE(parse_mac(text)) << text;
  }
}

TEST(Protocol, HasANameOrItsNumberBothWays) {
  const struct {
    const char* text;
    uint8_t number;
  } rows[] = {{"tcp", 6},       {"udp", 17}, {"icmp", 1}, {"icmpv6", 58}, {"sctp", 132},
              {"udplite", 136}, {"47", 47},  {"0", 0},    {"255", 255}};
  for (const auto& row : rows) {
    EXPECT_EQ(proto::number(row.text), row.number) << row.text;
    EXPECT_EQ(proto::name(row.number), row.text);
  }
  EXPECT_EQ(proto::number("ICMPv6"), 58);
  EXPECT_EQ(proto::number("6"), 6);
  for (const char* text : {"", "tc", "tcpp", "256", "-1", "+6", "6x", " 6"}) {
    EXPECT_EQ(proto::number(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace sluice
