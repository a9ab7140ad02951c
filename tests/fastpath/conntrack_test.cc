// SPDX-License-Identifier: Apache-2.0
#include "fastpath/conntrack.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/fastpath/flows.h"

namespace sluice {
namespace {

using namespace test;
using namespace tcp;

// ---- finding -----------------------------------------------------------------------------

TEST(Conntrack, BothDirectionsFindOneEntryAndTheirSide) {
  const Tuple rows[] = {
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
  for (const Tuple& t : rows) {
    ConnTable table = make(options(64));
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
  ConnTable table = make(options(64));
  const Tuple t = tuple(proto::kTcp);
  table.create(t, kStart);
  Tuple other = t;
  for (const Tuple& x : {
           (other = t, other.src.value ^= 1, other), (other = t, other.dst.value ^= 1, other),
           (other = t, other.src_port ^= 1, other), (other = t, other.dst_port ^= 1, other),
           (other = t, other.protocol = proto::kUdp, other),
           (other = t, other.icmp_class = 1, other),
           Tuple{t.src, t.dst, t.dst_port, t.src_port, t.protocol},  // ports swapped alone
           Tuple{t.dst, t.src, t.src_port, t.dst_port, t.protocol},  // addresses alone
       }) {
    EXPECT_EQ(find(table, x, kStart).id, kNoConn);
  }
}

// The index holds 16 bits of a hash: among this many strangers about thirty agree in them with
// one of the eight entries, which are all in reach.
TEST(Conntrack, StrangersWithTheSameTagAreNotTakenForAnEntry) {
  ConnTable table = make(options(8));
  fill_replied(table, 8);
  for (uint32_t n = 8; n < 250000; ++n) {
    ASSERT_EQ(find(table, nth(n), kStart).id, kNoConn) << n;
  }
}

TEST(Conntrack, ABurstIsFoundLikeSinglePackets) {
  ConnTable table = make(options(4096));
  std::vector<Tuple> burst;
  std::vector<ConnId> made;
  for (uint32_t n = 0; n < 64; ++n) {
    const Tuple t = nth(n);
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
      ConnTable table =
          make(options(64, calico ? Timeouts::calico_bpf_preset() : Timeouts::linux_preset()));
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
      ConnTable table =
          make(options(64, calico ? Timeouts::calico_bpf_preset() : Timeouts::linux_preset()));
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
  ConnTable table = make(options(64, Timeouts::calico_bpf_preset()));
  Flow f{table, tuple(proto::kIcmp, 7, 7)};
  table.update(f.id, kOriginal, icmp(f.t, 8), f.now);
  EXPECT_EQ(find(table, f.t, kStart + 10 * kSecond - 1).id, f.id);
  EXPECT_EQ(find(table, f.t, kStart + 10 * kSecond).id, kNoConn);
}

// ---- one packet --------------------------------------------------------------------------

TEST(Conntrack, RefusedPacketsLeaveTheEntryAlone) {
  ConnTable table = make(options(64));
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
  ConnTable table = make(options(64));
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
  ConnTable table = make(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  f.send(kAck | kPsh);
  EXPECT_EQ(f.c().packets(kOriginal), 3u);
  EXPECT_EQ(f.c().packets(kReply), 1u);
  EXPECT_EQ(f.c().bytes(kOriginal), 300u);
  EXPECT_EQ(f.c().bytes(kReply), 100u);
}

TEST(Conntrack, SimultaneousOpenIsEstablishedByTheRespondersAck) {
  ConnTable table = make(options(64));
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
  ConnTable table = make(options(64));
  Flow f{table, tuple(proto::kTcp)};
  f.send(kSyn);
  f.reply(kSyn | kAck);
  f.reply(kAck);
  EXPECT_EQ(f.c().tcp, TcpState::syn_recv);
  EXPECT_FALSE(f.c().assured);
}

TEST(Conntrack, SynAckToAPassedSynStartsTheHandshakeAgain) {
  ConnTable table = make(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  f.send(kSyn, 0xffffffff);
  f.reply(kSyn | kAck, 1, 77);  // acknowledges something else
  EXPECT_EQ(f.c().tcp, TcpState::established);
  f.reply(kSyn | kAck, 1, 0);
  EXPECT_EQ(f.c().tcp, TcpState::syn_recv);
}

TEST(Conntrack, ChallengeAckInLastAckDoesNotEndTheConnection) {
  ConnTable table = make(options(64));
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
    ConnTable table = make(options(64));
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
  ConnTable table = make(options(64));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  EXPECT_FALSE(ConnTable::reopens(f.c(), kOriginal, packet(f.t, kSyn)));
}

TEST(Conntrack, AssuredMeansHandshakeDoneOrTalkingForTwoSeconds) {
  ConnTable table = make(options(64));
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
  ConnTable table = make(options(64));
  Tuple back = echo(7);
  std::swap(back.src, back.dst);
  const Tuple flows[] = {echo(7), echo(7, 2), back};
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
  ConnTable table = make(options(64));
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
    const bool query = row.flags_or_type == 8 || row.flags_or_type == 13;
    p.tuple.icmp_class = query ? 1 : -1;
    EXPECT_EQ(ConnTable::may_open(p, row.loose), row.reason)
        << int{row.protocol} << " " << row.flags_or_type;
  }
}

// ---- the naive twin ----------------------------------------------------------------------

// What the table should hold, with every rule in its simplest form: UDP only, never full.
struct Twin {
  struct Entry {
    Tuple tuple;
    AddressPair pair;
    Nanos deadline;
    bool replied;
    uint64_t packets;
  };
  using Key = std::array<uint64_t, 6>;
  std::map<Key, Entry> entries;

  static Key key(const Tuple& t, const AddressPair& pair) {
    return {t.src.value,
            t.dst.value,
            uint64_t{t.src_port} << 16 | t.dst_port,
            uint64_t{t.protocol} << 1 | (t.six ? 1 : 0),
            pair.src.lo,
            pair.dst.lo};
  }
  Entry* get(const Tuple& t, const AddressPair& pair, Nanos now, bool& reply) {
    for (const bool back : {false, true}) {
      const auto at = entries.find(back ? key(t.reversed(), pair.reversed()) : key(t, pair));
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
  ConnTable table = make(o);
  Twin twin;
  Nanos now = kStart;
  for (int turn = 0; turn < 200000; ++turn) {
    now += random() % (kSecond / 20);
    const auto port = [&] { return static_cast<uint16_t>(random() % 12); };
    const auto address = [&] { return static_cast<uint32_t>(random() % 3); };
    Tuple t = tuple(proto::kUdp, port(), port(), address(), address());
    // Of IPv6 the addresses tell flows apart whose shorthands are alike, as they never are.
    t.six = random() % 2 == 0;
    AddressPair pair = t.six
                           ? AddressPair{{1, t.src.value << 1 | random() % 2}, {1, t.dst.value}}
                           : AddressPair{};
    if (random() % 2 == 0) {
      t = t.reversed();
      pair = pair.reversed();
    }
    bool reply = false;
    Twin::Entry* expected = twin.get(t, pair, now, reply);
    const AddressPair* pairs = &pair;
    Found found;
    uint64_t hash = 0;
    table.find({&t, 1}, now, {&found.id, 1}, {&found.side, 1}, {&pairs, 1}, {&hash, 1});
    ASSERT_EQ(found.id != kNoConn, expected != nullptr) << turn;
    Side side = kOriginal;
    ASSERT_EQ(table.find_again(t, hash, &pair, now, side), found.id) << turn;
    ASSERT_TRUE(found.id == kNoConn || side == found.side) << turn;
    if (expected == nullptr) {
      twin.entries.erase(Twin::key(t, pair));
      twin.entries.erase(Twin::key(t.reversed(), pair.reversed()));
      const auto known = turn % 2 == 0 ? std::optional(hash) : std::nullopt;
      const ConnId id = table.create(t, now, kNoEndpoint, kNoEndpoint, pair, known).id;
      ASSERT_NE(id, kNoConn);
      table.update(id, kOriginal, packet(t), now);
      twin.entries[Twin::key(t, pair)] = {t, pair, now + 30 * kSecond, false, 1};
      continue;
    }
    // A flow with one end only (same address and port twice) has no other side.
    ASSERT_EQ(found.side == kReply, reply) << turn;
    ASSERT_EQ(table.at(found.id).tuple, expected->tuple);
    ASSERT_EQ(table.flow(found.id).pair, expected->pair);
    const uint64_t choice = random() % 10;
    if (choice == 0) {
      table.erase(found.id);
      twin.entries.erase(Twin::key(expected->tuple, expected->pair));
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
    const PacketFlow flow = table.flow(id);
    const AddressPair* pair = &flow.pair;
    Found found;
    table.find({&c.tuple, 1}, now, {&found.id, 1}, {&found.side, 1}, {&pair, 1});
    EXPECT_EQ(found.id, id);
  });
  EXPECT_EQ(visited, table.size());
}

}  // namespace
}  // namespace sluice
