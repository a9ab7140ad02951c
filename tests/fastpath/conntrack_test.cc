// SPDX-License-Identifier: Apache-2.0
#include "fastpath/conntrack.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

using namespace tcp;

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kStart = Nanos{60000} << kTickShift;  // a whole tick, as entries count time

Tuple4 tuple(uint8_t protocol, uint16_t src_port = 40000, uint16_t dst_port = 80,
             uint32_t src = 0x0a000001, uint32_t dst = 0x0a000002) {
  return {Ip4{src}, Ip4{dst}, src_port, dst_port, protocol};
}
// A ping of the first address; `icmp_class` 2: a timestamp request, negative: the answer.
Tuple4 echo(uint16_t id, int8_t icmp_class = 1) {
  Tuple4 t = tuple(proto::kIcmp, id, id);
  t.icmp_class = icmp_class;
  return t;
}
Tuple4 nth(uint32_t n, uint8_t protocol = proto::kUdp) {
  return tuple(protocol, static_cast<uint16_t>(1024 + n % 50000), 53, 0x0a000000 + n / 50000,
               0xc0a80001);
}

Parsed packet(const Tuple4& t, int flags = 0) {
  Parsed p;
  p.tuple = t;
  p.tcp_flags = static_cast<uint8_t>(flags);
  p.total_length = 100;
  p.tcp_window = 5000;
  return p;
}
Parsed icmp(const Tuple4& t, uint8_t type) {
  Parsed p = packet(t);
  p.icmp_type = type;
  return p;
}

struct Found {
  ConnId id;
  Side side;
};
Found find(ConnTable& table, const Tuple4& t, Nanos now) {
  Found out{};
  table.find({&t, 1}, now, {&out.id, 1}, {&out.side, 1});
  return out;
}

ConnTable::Options options(uint32_t max, Timeouts timeouts = Timeouts::linux_preset()) {
  return {max, timeouts, {0x0123456789abcdefu, 0xfedcba9876543210u}};
}

// A connection under test and the packets of its two sides.
struct Flow {
  ConnTable& table;
  Tuple4 t;
  Nanos now = kStart;
  ConnId id = table.create(t, now).id;
  // The next segment of a side, as its kernel numbers it: what it has got is acknowledged.
  DropReason send(int flags) { return next(kOriginal, flags); }
  DropReason reply(int flags) { return next(kReply, flags); }
  // A segment with numbers of the test's own.
  DropReason send(int flags, uint32_t seq, uint32_t ack = 0) {
    return go(t, kOriginal, flags, seq, ack);
  }
  DropReason reply(int flags, uint32_t seq, uint32_t ack = 0) {
    return go(t.reversed(), kReply, flags, seq, ack);
  }
  Connection& c() { return table.at(id); }
  uint32_t at[2] = {0xfffffff0, 7000};  // the next number of each side; the first wraps

 private:
  DropReason next(Side side, int flags) {
    const bool takes_one = (flags & (kSyn | kFin)) != 0;
    const uint32_t seq = at[side];
    const uint32_t ack = (flags & kAck) != 0 ? at[1 - side] : 0;
    at[side] += takes_one ? 1 : 0;
    return side == kOriginal ? send(flags, seq, ack) : reply(flags, seq, ack);
  }
  DropReason go(const Tuple4& from, Side side, int flags, uint32_t seq, uint32_t ack) {
    Parsed p = packet(from, flags);
    p.tcp_seq = seq;
    p.tcp_ack = ack;
    p.tcp_sack = ack;
    return table.update(id, side, p, now);
  }
};

void establish(Flow& f) {
  ASSERT_EQ(f.send(kSyn), DropReason::none);
  ASSERT_EQ(f.reply(kSyn | kAck), DropReason::none);
  ASSERT_EQ(f.send(kAck), DropReason::none);
  ASSERT_EQ(f.c().tcp, TcpState::established);
}

// Opens flows until `count` are in the table and answers each.
void fill_replied(ConnTable& table, uint32_t count, uint32_t first = 0) {
  for (uint32_t n = first; table.size() < count; ++n) {
    const ConnTable::Created made = table.create(nth(n, proto::kUdp), kStart);
    ASSERT_NE(made.id, kNoConn);
    table.update(made.id, kReply, packet(nth(n, proto::kUdp).reversed()), kStart);
  }
}

// ---- finding -----------------------------------------------------------------------------

TEST(Conntrack, BothDirectionsFindOneEntryAndTheirSide) {
  const Tuple4 rows[] = {
      tuple(proto::kTcp),
      tuple(proto::kTcp, 80, 40000),
      tuple(proto::kUdp, 53, 53),  // the addresses tell the sides apart
      tuple(proto::kUdp, 1, 2, 0x0a000002, 0x0a000001),
      tuple(proto::kUdp, 9, 8, 0x0a000001, 0x0a000001),  // only the ports do
      tuple(proto::kUdp, 65535, 0, 0xffffffff, 0),
      tuple(proto::kIcmp, 77, 77),
      echo(77),
      tuple(proto::kGre, 0, 0),
  };
  for (const Tuple4& t : rows) {
    ConnTable table(options(64));
    const ConnId id = table.create(t, kStart).id;
    ASSERT_NE(id, kNoConn);
    const Found there = find(table, t, kStart);
    const Found back = find(table, t.reversed(), kStart);
    EXPECT_EQ(there.id, id);
    EXPECT_EQ(there.side, kOriginal);
    EXPECT_EQ(back.id, id);
    EXPECT_EQ(back.side, kReply);
    EXPECT_EQ(table.size(), 1u);
  }
}

TEST(Conntrack, TuplesThatDifferInOneFieldAreStrangers) {
  ConnTable table(options(64));
  const Tuple4 t = tuple(proto::kTcp);
  table.create(t, kStart);
  Tuple4 other = t;
  for (const Tuple4& x : {
           (other = t, other.src.value ^= 1, other), (other = t, other.dst.value ^= 1, other),
           (other = t, other.src_port ^= 1, other), (other = t, other.dst_port ^= 1, other),
           (other = t, other.protocol = proto::kUdp, other),
           (other = t, other.icmp_class = 1, other),
           Tuple4{t.src, t.dst, t.dst_port, t.src_port, t.protocol},  // ports swapped alone
           Tuple4{t.dst, t.src, t.src_port, t.dst_port, t.protocol},  // addresses alone
       }) {
    EXPECT_EQ(find(table, x, kStart).id, kNoConn);
  }
}

// The index holds 16 bits of a hash: among this many strangers about thirty agree in them with
// one of the eight entries, which are all in reach.
TEST(Conntrack, StrangersWithTheSameTagAreNotTakenForAnEntry) {
  ConnTable table(options(8));
  fill_replied(table, 8);
  for (uint32_t n = 8; n < 250000; ++n) {
    ASSERT_EQ(find(table, nth(n), kStart).id, kNoConn) << n;
  }
}

TEST(Conntrack, ABurstIsFoundLikeSinglePackets) {
  ConnTable table(options(4096));
  std::vector<Tuple4> burst;
  std::vector<ConnId> made;
  for (uint32_t n = 0; n < 64; ++n) {
    const Tuple4 t = nth(n);
    made.push_back(n % 3 == 0 ? kNoConn : table.create(t, kStart).id);
    burst.push_back(n % 2 == 0 ? t : t.reversed());
  }
  std::vector<ConnId> ids(64);
  std::vector<Side> sides(64);
  table.find(burst, kStart, ids, sides);
  for (uint32_t n = 0; n < 64; ++n) {
    EXPECT_EQ(ids[n], made[n]) << n;
    if (made[n] != kNoConn) {
      EXPECT_EQ(sides[n], n % 2 == 0 ? kOriginal : kReply) << n;
    }
  }
  table.find({}, kStart, {}, {});  // an empty burst is one, too
}

// ---- timeouts ----------------------------------------------------------------------------

TEST(Conntrack, TcpTimeoutsFollowThePreset) {
  struct Row {
    const char* packets;  // lower case from the initiator, upper case from the responder
    TcpState state;
    uint32_t linux_seconds;
    uint32_t calico_seconds;
  };
  const Row rows[] = {
      {"s", TcpState::syn_sent, 120, 20},
      {"sY", TcpState::syn_recv, 60, 20},
      {"sYa", TcpState::established, 432000, 3600},
      {"sYaf", TcpState::fin_wait, 120, 3600},
      {"sYafA", TcpState::close_wait, 60, 3600},
      {"sYafAF", TcpState::last_ack, 30, 30},
      {"sYafAFa", TcpState::time_wait, 120, 30},
      {"sYar", TcpState::close, 10, 40},
      {"sS", TcpState::simultaneous_open, 120, 20},
      {"a", TcpState::established, 300, 300},  // picked up, unanswered
      {"aA", TcpState::established, 432000, 3600},
  };
  for (const Row& row : rows) {
    for (const bool calico : {false, true}) {
      SCOPED_TRACE(std::string(row.packets) + (calico ? " calico-bpf" : " linux"));
      ConnTable table(
          options(64, calico ? Timeouts::calico_bpf_preset() : Timeouts::linux_preset()));
      Flow f{table, tuple(proto::kTcp)};
      f.now = kStart + 60 * kSecond;  // past any grace
      for (const char* at = row.packets; *at != 0; ++at) {
        const std::map<char, int> flags = {
            {'s', kSyn}, {'y', kSyn | kAck}, {'a', kAck}, {'f', kFin | kAck}, {'r', kRst}};
        const bool responder = *at >= 'A' && *at <= 'Z';
        const int bits = flags.at(responder ? static_cast<char>(*at - 'A' + 'a') : *at);
        ASSERT_EQ(responder ? f.reply(bits) : f.send(bits), DropReason::none);
      }
      EXPECT_EQ(f.c().tcp, row.state) << name(f.c().tcp);
      const uint32_t seconds = calico ? row.calico_seconds : row.linux_seconds;
      EXPECT_EQ(f.c().deadline - f.now, seconds * kSecond);
      EXPECT_EQ(find(table, f.t, f.c().deadline - 1).id, f.id);
      EXPECT_EQ(find(table, f.t, f.c().deadline).id, kNoConn);
    }
  }
}

TEST(Conntrack, OtherTimeoutsFollowThePreset) {
  struct Row {
    uint8_t protocol;
    bool answered;
    uint32_t linux_seconds;
    uint32_t calico_seconds;
  };
  const Row rows[] = {
      {proto::kUdp, false, 30, 60},    {proto::kUdp, true, 120, 60},
      {proto::kIcmp, false, 30, 5},    {proto::kIcmp, true, 30, 5},
      {proto::kSctp, false, 600, 600}, {proto::kSctp, true, 600, 600},
      {proto::kIpip, false, 600, 600}, {proto::kIpip, true, 600, 600},
  };
  for (const Row& row : rows) {
    for (const bool calico : {false, true}) {
      SCOPED_TRACE(int{row.protocol});
      ConnTable table(
          options(64, calico ? Timeouts::calico_bpf_preset() : Timeouts::linux_preset()));
      Flow f{table, tuple(row.protocol, 7, 7)};
      f.now = kStart + 10 * kSecond;
      EXPECT_EQ(table.update(f.id, kOriginal, icmp(f.t, 8), f.now), DropReason::none);
      if (row.answered) {
        EXPECT_EQ(table.update(f.id, kReply, icmp(f.t.reversed(), 0), f.now), DropReason::none);
      }
      const uint32_t seconds = calico ? row.calico_seconds : row.linux_seconds;
      EXPECT_EQ(f.c().deadline - f.now, seconds * kSecond);
    }
  }
}

TEST(Conntrack, CalicoKeepsNewEntriesForTenSeconds) {
  ConnTable table(options(64, Timeouts::calico_bpf_preset()));
  Flow f{table, tuple(proto::kIcmp, 7, 7)};
  table.update(f.id, kOriginal, icmp(f.t, 8), f.now);
  EXPECT_EQ(find(table, f.t, kStart + 10 * kSecond - 1).id, f.id);
  EXPECT_EQ(find(table, f.t, kStart + 10 * kSecond).id, kNoConn);
}

// ---- one packet --------------------------------------------------------------------------

TEST(Conntrack, RefusedPacketsLeaveTheEntryAlone) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  const Connection before = f.c();
  f.now += 50 * kSecond;
  EXPECT_EQ(f.send(kSyn | kAck), DropReason::ct_invalid);
  EXPECT_EQ(f.reply(kSyn), DropReason::ct_invalid);
  EXPECT_EQ(f.c().tcp, before.tcp);
  EXPECT_EQ(f.c().deadline, before.deadline);
  EXPECT_EQ(f.c().packets(kOriginal), before.packets(kOriginal));
  EXPECT_EQ(f.c().packets(kReply), before.packets(kReply));
}

TEST(Conntrack, IgnoredPacketsAreCountedAndNoMore) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  const Connection before = f.c();
  f.now += 50 * kSecond;
  EXPECT_EQ(f.send(kSyn), DropReason::none);
  EXPECT_EQ(f.c().tcp, TcpState::established);
  EXPECT_EQ(f.c().deadline, before.deadline);
  EXPECT_EQ(f.c().packets(kOriginal), before.packets(kOriginal) + 1);
}

TEST(Conntrack, CountsPacketsAndBytesBySide) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  f.send(kAck | kPsh);
  EXPECT_EQ(f.c().packets(kOriginal), 3u);
  EXPECT_EQ(f.c().packets(kReply), 1u);
  EXPECT_EQ(f.c().bytes(kOriginal), 300u);
  EXPECT_EQ(f.c().bytes(kReply), 100u);
}

TEST(Conntrack, SimultaneousOpenIsEstablishedByTheRespondersAck) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  f.send(kSyn);
  f.reply(kSyn);
  EXPECT_EQ(f.c().tcp, TcpState::simultaneous_open);
  f.send(kSyn | kAck);
  EXPECT_EQ(f.c().tcp, TcpState::syn_recv);
  f.reply(kAck);
  EXPECT_EQ(f.c().tcp, TcpState::established);
  EXPECT_TRUE(f.c().assured);
}

TEST(Conntrack, RespondersAckAloneDoesNotEstablishAnOrdinaryOpen) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  f.send(kSyn);
  f.reply(kSyn | kAck);
  f.reply(kAck);
  EXPECT_EQ(f.c().tcp, TcpState::syn_recv);
  EXPECT_FALSE(f.c().assured);
}

TEST(Conntrack, SynAckToAPassedSynStartsTheHandshakeAgain) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  f.send(kSyn, 0xffffffff);
  f.reply(kSyn | kAck, 1, 77);  // acknowledges something else
  EXPECT_EQ(f.c().tcp, TcpState::established);
  f.reply(kSyn | kAck, 1, 0);
  EXPECT_EQ(f.c().tcp, TcpState::syn_recv);
}

TEST(Conntrack, ChallengeAckInLastAckDoesNotEndTheConnection) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  f.send(kFin | kAck);
  f.reply(kFin | kAck);
  ASSERT_EQ(f.c().tcp, TcpState::last_ack);
  f.send(kSyn, 5);
  f.reply(kAck);
  EXPECT_EQ(f.c().tcp, TcpState::last_ack);
  f.reply(kAck);  // the second is not a challenge
  EXPECT_EQ(f.c().tcp, TcpState::time_wait);
}

TEST(Conntrack, SynReopensTimeWaitAndCloseAsTheTableSays) {
  struct Row {
    bool reset;
    Side side;
    int flags;
    bool reopens;
  };
  const Row rows[] = {
      {false, kOriginal, kSyn, true},  {false, kReply, kSyn, true},
      {true, kOriginal, kSyn, true},   {true, kReply, kSyn, false},
      {false, kOriginal, kAck, false}, {false, kReply, kSyn | kAck, false},
      {true, kOriginal, kRst, false},
  };
  for (const Row& row : rows) {
    ConnTable table(options(64));
    Flow f{table, tuple(proto::kTcp)};
    establish(f);
    if (row.reset) {
      f.send(kRst);
    } else {
      f.send(kFin | kAck);
      f.reply(kFin | kAck);
      f.send(kAck);
    }
    const Parsed p = packet(row.side == kOriginal ? f.t : f.t.reversed(), row.flags);
    EXPECT_EQ(ConnTable::reopens(f.c(), row.side, p), row.reopens);
    if (row.reopens) {
      EXPECT_EQ(table.update(f.id, row.side, p, f.now), DropReason::ct_invalid);
      table.erase(f.id);
      const ConnId again = table.create(p.tuple, f.now).id;
      EXPECT_EQ(table.update(again, kOriginal, p, f.now), DropReason::none);
      EXPECT_EQ(table.at(again).tcp, TcpState::syn_sent);
    }
  }
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  EXPECT_FALSE(ConnTable::reopens(f.c(), kOriginal, packet(f.t, kSyn)));
}

TEST(Conntrack, AssuredMeansHandshakeDoneOrTalkingForTwoSeconds) {
  ConnTable table(options(64));
  Flow tcp_flow{table, tuple(proto::kTcp)};
  tcp_flow.send(kSyn);
  tcp_flow.reply(kSyn | kAck);
  EXPECT_FALSE(tcp_flow.c().assured);
  tcp_flow.send(kAck);
  EXPECT_TRUE(tcp_flow.c().assured);

  Flow udp{table, tuple(proto::kUdp)};
  udp.send(0);
  udp.reply(0);
  udp.now = kStart + 2 * kSecond;
  udp.send(0);
  EXPECT_FALSE(udp.c().assured);
  udp.now = kStart + 2 * kSecond + (Nanos{1} << kTickShift);
  udp.send(0);
  EXPECT_TRUE(udp.c().assured);

  Flow one_way{table, tuple(proto::kUdp, 1, 2)};
  one_way.now = kStart + 3 * kSecond;
  one_way.send(0);
  EXPECT_FALSE(one_way.c().assured);
}

TEST(Conntrack, QueriesWithOneIdentifierAreOneFlowPerAskerAndClass) {
  ConnTable table(options(64));
  Tuple4 back = echo(7);
  std::swap(back.src, back.dst);
  const Tuple4 flows[] = {echo(7), echo(7, 2), back};
  ConnId ids[3];
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(find(table, flows[i], kStart).id, kNoConn) << i;
    EXPECT_EQ(find(table, flows[i].reversed(), kStart).id, kNoConn) << i;
    ids[i] = table.create(flows[i], kStart).id;
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(find(table, flows[i], kStart).id, ids[i]) << i;
    const Found answer = find(table, flows[i].reversed(), kStart);
    EXPECT_EQ(answer.id, ids[i]) << i;
    EXPECT_EQ(answer.side, kReply) << i;
  }
}

TEST(Conntrack, LaterFragmentsDoNotMoveTheStateOfTcp) {
  ConnTable table(options(64));
  Flow f{table, tuple(proto::kTcp)};
  f.send(kSyn);
  Parsed p = packet(f.t.reversed(), kRst);
  p.later_fragment = true;
  EXPECT_EQ(table.update(f.id, kReply, p, f.now), DropReason::none);
  EXPECT_EQ(f.c().tcp, TcpState::syn_sent);
  EXPECT_FALSE(f.c().replied);
}

TEST(Conntrack, WhatMayOpen) {
  struct Row {
    uint8_t protocol;
    int flags_or_type;
    bool loose;
    DropReason reason;
  };
  const Row rows[] = {
      {proto::kTcp, kSyn, false, DropReason::none},
      {proto::kTcp, kAck, false, DropReason::ct_midflow},
      {proto::kTcp, kAck | kPsh, true, DropReason::none},
      {proto::kTcp, kSyn | kAck, true, DropReason::ct_invalid},
      {proto::kTcp, kFin | kAck, true, DropReason::ct_invalid},
      {proto::kTcp, kRst, true, DropReason::ct_invalid},
      {proto::kIcmp, 8, false, DropReason::none},
      {proto::kIcmp, 13, false, DropReason::none},
      {proto::kIcmp, 0, true, DropReason::icmp_unsolicited},
      {proto::kIcmp, 14, true, DropReason::icmp_unsolicited},
      {proto::kUdp, 0, false, DropReason::none},
      {proto::kGre, 0, false, DropReason::none},
  };
  for (const Row& row : rows) {
    Parsed p = packet(tuple(row.protocol), row.flags_or_type);
    p.icmp_type = static_cast<uint8_t>(row.flags_or_type);
    EXPECT_EQ(ConnTable::may_open(p, row.loose), row.reason)
        << int{row.protocol} << " " << row.flags_or_type;
  }
}

// ---- bounds ------------------------------------------------------------------------------

TEST(Conntrack, UnrepliedEntriesHoldAtMostHalf) {
  ConnTable table(options(1000));
  for (uint32_t n = 0; n < 500; ++n) {
    ASSERT_EQ(table.create(nth(n), kStart).reason, DropReason::none);
  }
  const ConnTable::Created over = table.create(nth(500), kStart);
  EXPECT_EQ(over.id, kNoConn);
  EXPECT_EQ(over.reason, DropReason::ct_embryonic);
  EXPECT_EQ(table.size(), 500u);
  // An answer makes room for one more.
  table.update(find(table, nth(3), kStart).id, kReply, packet(nth(3).reversed()), kStart);
  EXPECT_EQ(table.create(nth(500), kStart).reason, DropReason::none);
  EXPECT_EQ(table.create(nth(501), kStart).reason, DropReason::ct_embryonic);
}

TEST(Conntrack, OnlyAnExpiredUnrepliedEntryMakesRoomForAnUnrepliedOne) {
  ConnTable table(options(8));
  const ConnId answered = table.create(nth(0), kStart).id;
  table.update(answered, kReply, packet(nth(0).reversed()), kStart);  // until 120
  for (uint32_t n = 1; n <= 4; ++n) {
    table.create(nth(n), kStart + 100 * kSecond);  // until 130
  }
  EXPECT_EQ(table.create(nth(9), kStart + 125 * kSecond).reason, DropReason::ct_embryonic);
  EXPECT_EQ(table.create(nth(9), kStart + 130 * kSecond).reason, DropReason::none);
}

TEST(Conntrack, AFullTableOfAnsweredFlowsTakesNoMore) {
  ConnTable table(options(1000));
  fill_replied(table, 1000);
  EXPECT_EQ(table.size(), 1000u);
  EXPECT_EQ(table.create(nth(5000), kStart).reason, DropReason::ct_table_full);
  for (uint32_t n = 0; n < 1000; ++n) {
    EXPECT_NE(find(table, nth(n), kStart).id, kNoConn);
  }
  // Once they have expired they make room, one for one.
  const Nanos later = kStart + 121 * kSecond;
  const ConnTable::Created made = table.create(nth(5000), later);
  EXPECT_EQ(made.reason, DropReason::none);
  ASSERT_NE(made.recycled, nullptr);
  EXPECT_EQ(made.recycled->replied, 1);
  EXPECT_EQ(table.size(), 1000u);
  EXPECT_EQ(find(table, nth(5000), later).id, made.id);
}

// A table so small that every key has all of its entries as candidates.
TEST(Conntrack, RecyclesExpiredThenClosingThenOldestUnreplied) {
  constexpr uint32_t kMax = 8;
  ConnTable table(options(kMax));
  // Three unreplied at different times, five established.
  std::vector<Flow> flows;
  for (uint32_t n = 0; n < 5; ++n) {
    establish(flows.emplace_back(Flow{table, nth(n, proto::kTcp)}));
  }
  const uint32_t ages[] = {2, 1, 3};  // seconds after the start
  for (uint32_t n = 0; n < 3; ++n) {
    table.create(nth(10 + n), kStart + ages[n] * kSecond);
  }
  flows[1].now = kStart + 25 * kSecond;
  flows[1].reply(kRst);        // closing, until 35
  flows[3].send(kFin | kAck);  // closing, until 120
  ASSERT_EQ(table.size(), kMax);
  const auto next = [&](uint32_t n, uint32_t second) {
    const ConnTable::Created made =
        table.create(nth(n, proto::kTcp), kStart + second * kSecond);
    if (made.id != kNoConn) {  // answered at once, so that only the old ones are recycled
      table.update(made.id, kOriginal, packet(nth(n, proto::kTcp), kSyn),
                   kStart + second * kSecond);
      table.update(made.id, kReply, packet(nth(n, proto::kTcp).reversed(), kSyn | kAck),
                   kStart + second * kSecond);
    }
    return made.recycled == nullptr ? Tuple4{} : made.recycled->tuple;
  };
  EXPECT_EQ(next(20, 31), nth(11));              // expired at 31
  EXPECT_EQ(next(21, 31), nth(1, proto::kTcp));  // closing, the next to expire
  EXPECT_EQ(next(22, 31), nth(3, proto::kTcp));  // closing
  EXPECT_EQ(next(23, 31), nth(10));              // unreplied; the oldest
  EXPECT_EQ(next(24, 31), nth(12));
  EXPECT_EQ(next(25, 31), Tuple4{});  // nothing is left to take
  for (const uint32_t kept : {0u, 2u, 4u}) {
    EXPECT_NE(find(table, nth(kept, proto::kTcp), kStart + 31 * kSecond).id, kNoConn);
  }
}

TEST(Conntrack, AnExpiredFlowStartsAfreshWithoutATwin) {
  ConnTable table(options(64));
  const Tuple4 t = tuple(proto::kUdp);
  table.create(t, kStart);
  const Nanos later = kStart + 31 * kSecond;
  EXPECT_EQ(find(table, t, later).id, kNoConn);
  const ConnTable::Created made = table.create(t.reversed(), later);
  ASSERT_NE(made.id, kNoConn);
  ASSERT_NE(made.recycled, nullptr);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(find(table, t, later).side, kReply);
}

TEST(Conntrack, SweepIsBoundedAndShowsWhatGoes) {
  ConnTable table(options(1000));
  for (uint32_t n = 0; n < 100; ++n) {
    table.create(nth(n), kStart);
  }
  const Nanos later = kStart + 31 * kSecond;
  std::set<uint16_t> gone;
  const auto note = [&](const Connection& c) { gone.insert(c.tuple.src_port); };
  uint32_t alive = 0;
  table.expire(later - 2 * kSecond, 1000, note, [&](Connection&) { ++alive; });
  EXPECT_EQ(table.size(), 100u);
  EXPECT_EQ(alive, 100u);
  table.expire(later, 10, note);
  EXPECT_EQ(table.size(), 90u);
  for (int i = 0; i < 9; ++i) {
    table.expire(later, 10, {});
  }
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(gone.size(), 10u);
  table.expire(later, 10, {});
}

TEST(Conntrack, NeverFailsForWantOfSlotsBeforeItIsFull) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  ConnTable::Options o = options(1u << 16);
  o.hash_key = {seed, ~uint64_t{seed}};
  ConnTable table(o);
  fill_replied(table, o.max);
  EXPECT_EQ(table.size(), o.max);
}

// ---- the naive twin ----------------------------------------------------------------------

// What the table should hold, with every rule in its simplest form: UDP only, never full.
struct Twin {
  struct Entry {
    Tuple4 tuple;
    Nanos deadline;
    bool replied;
    uint64_t packets;
  };
  using Key = std::array<uint64_t, 4>;
  std::map<Key, Entry> entries;

  static Key key(const Tuple4& t) {
    return {t.src.value, t.dst.value, uint64_t{t.src_port} << 16 | t.dst_port, t.protocol};
  }
  Entry* get(const Tuple4& t, Nanos now, bool& reply) {
    for (const bool back : {false, true}) {
      const auto at = entries.find(key(back ? t.reversed() : t));
      if (at != entries.end() && at->second.deadline > now) {
        reply = back;
        return &at->second;
      }
    }
    return nullptr;
  }
};

TEST(Conntrack, RandomWalkEqualsItsNaiveTwin) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  ConnTable::Options o = options(8192);
  o.hash_key = {random(), random()};
  ConnTable table(o);
  Twin twin;
  Nanos now = kStart;
  for (int turn = 0; turn < 200000; ++turn) {
    now += random() % (kSecond / 20);
    const auto port = [&] { return static_cast<uint16_t>(random() % 12); };
    const auto address = [&] { return static_cast<uint32_t>(random() % 3); };
    const Tuple4 t = tuple(proto::kUdp, port(), port(), address(), address());
    bool reply = false;
    Twin::Entry* expected = twin.get(t, now, reply);
    const Found found = find(table, t, now);
    ASSERT_EQ(found.id != kNoConn, expected != nullptr) << turn;
    if (expected == nullptr) {
      twin.entries.erase(Twin::key(t));
      twin.entries.erase(Twin::key(t.reversed()));
      const ConnId id = table.create(t, now).id;
      ASSERT_NE(id, kNoConn);
      table.update(id, kOriginal, packet(t), now);
      twin.entries[Twin::key(t)] = {t, now + 30 * kSecond, false, 1};
      continue;
    }
    // A flow with one end only (same address and port twice) has no other side.
    ASSERT_EQ(found.side == kReply, reply) << turn;
    ASSERT_EQ(table.at(found.id).tuple, expected->tuple);
    const uint64_t choice = random() % 10;
    if (choice == 0) {
      table.erase(found.id);
      twin.entries.erase(Twin::key(expected->tuple));
    } else if (choice < 3) {
      table.update(found.id, found.side, packet(t), now);
      expected->replied |= reply;
      expected->packets += 1;
      expected->deadline = now + (expected->replied ? 120 : 30) * kSecond;
      const Connection& c = table.at(found.id);
      ASSERT_EQ(c.deadline, expected->deadline);
      ASSERT_EQ(c.packets(kOriginal) + c.packets(kReply), expected->packets);
    } else if (choice == 3) {
      table.expire(now, 64, {});
    }
  }
  // Nothing more and nothing less than the twin holds, once all that expired is gone.
  table.expire(now, table.max(), {});
  size_t live = 0;
  for (const auto& [key, entry] : twin.entries) {
    live += entry.deadline > now ? 1 : 0;
  }
  EXPECT_EQ(table.size(), live);
  uint32_t visited = 0;
  table.for_each([&](ConnId id, const Connection& c) {
    ++visited;
    EXPECT_EQ(find(table, c.tuple, now).id, id);
  });
  EXPECT_EQ(visited, table.size());
}

}  // namespace
}  // namespace sluice
