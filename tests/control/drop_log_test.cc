// SPDX-License-Identifier: Apache-2.0
#include "control/drop_log.h"

#include <gtest/gtest.h>

#include "control/drop_header.h"
#include "tests/support/packet_builder.h"

namespace sluice::control {
namespace {

using nlohmann::json;
using test::Bytes;
using test::Frame;

json header_of(const Bytes& frame) {
  json header = header_json(frame, true);
  for (const char* always : {"srcMac", "dstMac", "etherType"}) {
    EXPECT_EQ(header.erase(always), 1u) << always;
  }
  return header;
}

TEST(DropHeader, SaysWhatThePacketIs) {
  const Bytes tcp = Frame().ip4("10.1.0.2", "10.1.0.3").ttl(7).tcp(1000, 80, 0x12);
  EXPECT_EQ(header_of(tcp), (json{{"proto", "tcp"},
                                  {"src", "10.1.0.2"},
                                  {"dst", "10.1.0.3"},
                                  {"length", 40},
                                  {"ttl", 7},
                                  {"sport", 1000},
                                  {"dport", 80},
                                  {"flags", "SYN,ACK"}}));
  const json ping = header_of(Frame().ip4("10.1.0.2", "10.1.0.3").echo(7));
  EXPECT_EQ(ping["icmpType"], 8);
  EXPECT_EQ(ping["icmpCode"], 0);
  EXPECT_FALSE(ping.contains("sport"));
}

TEST(DropHeader, LooksIntoATunnelOnce) {
  const json outer = header_of(Frame()
                                   .ip4("192.168.0.1", "192.168.0.2")
                                   .ip4("10.1.0.2", "10.1.0.3")
                                   .ip4("1.1.1.1", "2.2.2.2")
                                   .udp(53, 54));
  EXPECT_EQ(outer["proto"], "4");
  EXPECT_EQ(outer["inner"]["src"], "10.1.0.2");
  EXPECT_EQ(outer["inner"]["proto"], "4");
  EXPECT_FALSE(outer["inner"].contains("inner"));
}

TEST(DropHeader, ALaterFragmentHasNoPorts) {
  const json header = header_of(
      Frame().ip4("10.1.0.2", "10.1.0.3").id(99).fragment(2, true).udp(1, 2).payload(32));
  EXPECT_EQ(header["fragment"], (json{{"id", 99}, {"offset", 16}, {"more", true}}));
  EXPECT_FALSE(header.contains("sport"));
}

TEST(DropHeader, BelievesAnEthernetHeaderOnlyWhileItIsThere) {
  Bytes frame = Frame().ip4("10.1.0.2", "10.1.0.3").udp(1, 2);
  std::fill_n(frame.begin(), 14, uint8_t{0x77});  // where a tunnel's header was
  const json stripped = header_json(frame, true);
  EXPECT_EQ(stripped["src"], "10.1.0.2");
  EXPECT_FALSE(stripped.contains("srcMac") || stripped.contains("etherType"));
  EXPECT_EQ(header_json(frame, false), (json{{"etherType", "0x7777"},
                                             {"dstMac", "77:77:77:77:77:77"},
                                             {"srcMac", "77:77:77:77:77:77"}}));
}

TEST(DropHeader, KnowsArp) {
  const json header = header_of(Frame()
                                    .ether(test::kBroadcastMac, test::kPeerMac)
                                    .arp(1, test::kPeerMac, "10.1.0.2", "10.1.0.3"));
  EXPECT_EQ(
      header,
      (json{{"proto", "arp"}, {"operation", 1}, {"src", "10.1.0.2"}, {"dst", "10.1.0.3"}}));
}

// A hop-by-hop header and a fragment header in front of UDP.
Bytes ip6_frame(uint16_t fragment) {
  Bytes frame(14 + 40 + 8 + 8 + 8);
  test::put16(frame, 12, 0x86dd);
  frame[14] = 0x60;
  test::put16(frame, 14 + 4, 24);
  frame[14 + 6] = 0;
  frame[14 + 7] = 3;
  frame[14 + 8] = 0xfd;
  frame[14 + 23] = 1;
  frame[14 + 24] = 0xfd;
  frame[14 + 39] = 2;
  frame[54] = 44;
  frame[62] = 17;
  test::put16(frame, 64, fragment);
  test::put32(frame, 66, 99);
  test::put16(frame, 70, 1000);
  test::put16(frame, 72, 53);
  return frame;
}

TEST(DropHeader, FollowsIp6HeadersToThePorts) {
  const json whole = header_of(ip6_frame(1));
  EXPECT_EQ(whole["src"], "fd00::1");
  EXPECT_EQ(whole["dst"], "fd00::2");
  EXPECT_EQ(whole["proto"], "udp");
  EXPECT_EQ(whole["length"], 64);
  EXPECT_EQ(whole["sport"], 1000);
  EXPECT_EQ(whole["dport"], 53);
  EXPECT_EQ(whole["fragment"], (json{{"id", 99}, {"offset", 0}, {"more", true}}));
  EXPECT_FALSE(header_of(ip6_frame(8)).contains("sport"));
}

// Under AddressSanitizer nothing past the end is read, and what is whole stays.
TEST(DropHeader, OfACutFrameSaysWhatIsThere) {
  const Bytes frames[] = {
      Frame().ip4("192.168.0.1", "192.168.0.2").ip4("10.1.0.2", "10.1.0.3").tcp(1, 2, 0x10),
      Frame().ip4("10.1.0.2", "10.1.0.3").echo(7), ip6_frame(1),
      Frame()
          .ether(test::kBroadcastMac, test::kPeerMac)
          .arp(1, test::kPeerMac, "10.1.0.2", "10.1.0.3")};
  for (const Bytes& frame : frames) {
    json longer = header_json(frame, true);
    for (size_t size = frame.size(); size-- > 0;) {
      const Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size));
      const json shorter = header_json(cut, true);
      EXPECT_LE(shorter.flatten().size(), longer.flatten().size() + 1) << size;
      longer = shorter;
    }
    EXPECT_EQ(longer, json::object());
  }
}

class DropLogTest : public testing::Test {
 protected:
  void drop(CounterSlot rule = kNoCounter, Ip4 outer = {}) {
    now_ += kSecond;  // no limit is met
    DropSample* s = samples_.begin(DropReason::policy_deny_ingress, now_);
    ASSERT_NE(s, nullptr);
    s->rule = rule;
    s->in_port = 7;
    s->outer_source = outer;
    s->length = 1500;
    s->head_bytes = 0;
    samples_.commit();
    log_.drain(samples_, 3);
  }
  json after(uint64_t number) {
    const DropLog::Words words{
        names_, [](PortId port) { return "port" + std::to_string(port); },
        now_ + 250 * kSecond / 1000, DropLog::Wall(std::chrono::milliseconds(1'000'000'500))};
    return log_.after(number, words);
  }
  RuleNames names_;
  DropSamples samples_{1};
  DropLog log_;
  Nanos now_ = 0;
};

TEST_F(DropLogTest, NamesThePortTheRuleAndTheMoment) {
  const CounterSlot slot =
      names_.slot({"NetworkPolicy", "shop", "db", "default", true, -1, Action::deny});
  drop(slot);
  const json answer = after(0);
  EXPECT_EQ(answer["next"], 1);
  EXPECT_EQ(answer["missed"], 0);
  ASSERT_EQ(answer["drops"].size(), 1u);
  EXPECT_EQ(
      answer["drops"][0],
      (json{{"time", "1970-01-12T13:46:40.250Z"},
            {"worker", 3},
            {"reason", "policy_deny_ingress"},
            {"port", "port7"},
            {"layer", "outer"},
            {"tunnel", nullptr},
            {"before", 0},
            {"length", 1500},
            {"tier", "default"},
            {"policy", {{"kind", "NetworkPolicy"}, {"namespace", "shop"}, {"name", "db"}}},
            {"rule", -1},
            {"direction", "ingress"},
            {"packet", json::object()}}));
}

TEST_F(DropLogTest, WithoutARuleNamesNone) {
  drop(kNoCounter, test::ip("192.168.0.2"));
  const json row = after(0)["drops"][0];
  for (const char* field : {"tier", "policy", "rule", "direction"}) {
    EXPECT_TRUE(row[field].is_null()) << field;
  }
  EXPECT_EQ(row["layer"], "inner");
  EXPECT_EQ(row["tunnel"], "192.168.0.2");
}

TEST_F(DropLogTest, GivesWhatCameAfterANumberAndTellsWhatHasGone) {
  for (size_t i = 0; i < DropLog::kKept + 10; ++i) {
    drop();
  }
  const uint64_t last = DropLog::kKept + 10;
  EXPECT_EQ(log_.last(), last);
  EXPECT_EQ(after(last)["drops"].size(), 0u);
  EXPECT_EQ(after(last - 3)["drops"].size(), 3u);
  EXPECT_EQ(after(last - 3)["missed"], 0);
  const json all = after(4);
  EXPECT_EQ(all["drops"].size(), DropLog::kKept);
  EXPECT_EQ(all["missed"], 6);
  EXPECT_EQ(all["next"], last);
  // A number of another daemon's, or a mad one.
  EXPECT_EQ(after(UINT64_MAX)["next"], last);
  EXPECT_EQ(after(UINT64_MAX)["drops"].size(), 0u);
  EXPECT_EQ(after(UINT64_MAX)["missed"], 0);
}

}  // namespace
}  // namespace sluice::control
