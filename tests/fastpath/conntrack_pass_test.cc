// SPDX-License-Identifier: Apache-2.0
#include "fastpath/conntrack_pass.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fastpath/conntrack_eight.h"
#include "tests/fastpath/flows.h"

namespace sluice {
namespace {

using namespace test;

constexpr uint16_t kBytes = 100;  // of the longest payload

// A packet of the flow whose numbers lie close to where windows begin and end.
Plain plain_packet(const Connection& c, Side side, std::mt19937& random) {
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  const Side peer = side == kOriginal ? kReply : kOriginal;
  Plain p;
  p.tuple = side == kOriginal ? c.tuple : c.tuple.reversed();
  p.payload = static_cast<uint16_t>(below(2) == 0 ? 0 : below(kBytes));
  p.total_length = static_cast<uint16_t>(40 + p.payload);
  if (c.tuple.protocol == proto::kTcp) {
    const uint32_t seqs[] = {c.window.end[side], c.window.allowed[side], c.window.acked[side]};
    const uint32_t acks[] = {c.window.end[peer], c.window.acked[peer],
                             c.window.end[peer] - kAckSlack};
    p.tcp_flags = tcp::kAck;
    p.seq = seqs[below(8) == 0 ? below(3) : 0] + (below(8) == 0 ? below(5) - 2 : 0);
    p.ack = acks[below(8) == 0 ? below(3) : 0] + (below(8) == 0 ? below(5) - 2 : 0);
    p.window = static_cast<uint16_t>(below(8) == 0 ? below(2) : below(20000));
  }
  return p;
}

// One flow in two tables; the first takes the plain way where it can.
struct Both {
  ConnTable fast, slow;
  Flow f, s;
  int taken = 0;

  Both(const Timeouts& timeouts, uint8_t protocol)
      : fast(make(options(16, timeouts))),
        slow(make(options(16, timeouts))),
        f{fast, tuple(protocol)},
        s{slow, tuple(protocol)} {
    for (Flow* flow : {&f, &s}) {
      if (protocol == proto::kTcp) {
        establish(*flow);
      } else {
        flow->table.update(flow->id, kReply, packet(flow->t.reversed()), flow->now);
      }
    }
  }
  void pass(const Plain& p, Side side, Nanos now) {
    Parsed wide;
    widen(p, {}, wide);
    const Connection before = f.c();
    DropReason reason = DropReason::none;
    if (fast.pass(f.c(), side, p, now)) {
      ++taken;
    } else {
      ASSERT_EQ(std::memcmp(&before, &f.c(), sizeof before), 0);
      reason = fast.update(f.id, side, wide, now);
    }
    ASSERT_EQ(reason, slow.update(s.id, side, wide, now));
    ASSERT_EQ(std::memcmp(&f.c(), &s.c(), sizeof before), 0);
  }
};

TEST(Conntrack, ThePlainWayDoesAsTheLongOne) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (const Timeouts& timeouts : {Timeouts::linux_preset(), Timeouts::calico_bpf_preset()}) {
    for (const uint8_t protocol : {proto::kTcp, proto::kUdp}) {
      SCOPED_TRACE(std::to_string(protocol));
      int taken = 0;
      for (int flow = 0; flow < 100; ++flow) {
        Both both(timeouts, protocol);
        Nanos now = kStart;
        for (int n = 0; n < 200; ++n) {
          now += random() % 3 == 0 ? random() % (kSecond / 10) : 1000;
          const Side side = random() % 2 == 0 ? kOriginal : kReply;
          ASSERT_NO_FATAL_FAILURE(both.pass(plain_packet(both.f.c(), side, random), side, now))
              << flow << ", " << n;
        }
        taken += both.taken;
      }
      EXPECT_GT(taken, 5000);
    }
  }
}

// Flows of TCP and UDP in two tables, and packets of eight at a time, some of them of no flow:
// in the first table those go together that may.
struct Eights {
  static constexpr uint32_t kFlows = 24;
  std::mt19937& random;
  ConnTable fast, slow;
  std::vector<ConnId> ids;  // the same in both
  Nanos now = kStart;
  int taken = 0, left = 0;

  Eights(const Timeouts& timeouts, std::mt19937& r)
      : random(r),
        fast(make(options(2 * kFlows, timeouts))),
        slow(make(options(2 * kFlows, timeouts))) {
    for (uint32_t n = 0; n < kFlows; ++n) {
      const Tuple t = nth(n, n % 3 == 0 ? proto::kUdp : proto::kTcp);
      for (ConnTable* table : {&slow, &fast}) {
        Flow f{*table, t};
        if (t.protocol == proto::kTcp) {
          establish(f);
        } else if (n % 2 == 0) {
          table->update(f.id, kReply, packet(t.reversed()), now);
        }
        if (table == &fast) {
          ids.push_back(f.id);
        }
      }
    }
  }
  void eight() {
    now += random() % 3 == 0 ? random() % (kSecond / 10) : 1000;
    std::array<ConnId, kLanes> found;
    std::array<Side, kLanes> sides;
    std::array<Plain, kLanes> packets;
    uint32_t expected = 0;
    for (unsigned i = 0; i < kLanes; ++i) {
      found[i] = random() % 10 == 0 ? kNoConn : ids[random() % kFlows];
      sides[i] = random() % 2 == 0 ? kOriginal : kReply;
      if (found[i] != kNoConn) {
        packets[i] = plain_packet(fast.at(found[i]), sides[i], random);
        Connection alone = fast.at(found[i]);
        const bool first = std::find(&found[0], &found[i], found[i]) == &found[i];
        const bool passes = alone.replied != 0 && fast.pass(alone, sides[i], packets[i], now);
        expected |= uint32_t{first && passes} << i;
      }
    }
    EightHits hits(fast, found.data(), sides.data(), packets.data());
    ASSERT_EQ(bits(hits.pass(fast)), expected);
    for (unsigned i = 0; i < kLanes; ++i) {
      if (found[i] == kNoConn) {
        continue;
      }
      Parsed wide;
      widen(packets[i], {}, wide);
      ASSERT_EQ(hits.route()[i], fast.at(found[i]).route[sides[i]]);
      if ((expected >> i & 1) != 0) {
        hits.keep(i, now);
        ++taken;
      } else {
        fast.update(found[i], sides[i], wide, now);
        ++left;
      }
      slow.update(found[i], sides[i], wide, now);
      ASSERT_EQ(std::memcmp(&fast.at(found[i]), &slow.at(found[i]), sizeof(Connection)), 0)
          << i;
    }
  }
};

TEST(Conntrack, EightTakeThePlainWayAsOne) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (const Timeouts& timeouts : {Timeouts::linux_preset(), Timeouts::calico_bpf_preset()}) {
    for (int n = 0; n < 30; ++n) {
      Eights eights(timeouts, random);
      for (int k = 0; k < 200; ++k) {
        ASSERT_NO_FATAL_FAILURE(eights.eight()) << n << ", " << k;
      }
      EXPECT_GT(eights.taken, 400) << eights.left;
      EXPECT_GT(eights.left, 100);
    }
  }
}

// Flows come and go in two small tables; in the first they open by the plain way where that can
// be.
struct Opens {
  static constexpr uint32_t kMost = 64;
  std::mt19937& random;
  ConnTable fast, slow;
  Nanos now = kStart;
  int taken = 0, left = 0;

  Opens(const Timeouts& timeouts, std::mt19937& r)
      : random(r), fast(make(options(kMost, timeouts))), slow(make(options(kMost, timeouts))) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }

  Plain opening() {
    Plain p;
    p.tuple = nth(below(4 * kMost), below(2) == 0 ? proto::kUdp : proto::kTcp);
    p.payload = static_cast<uint16_t>(below(3) == 0 ? below(kBytes) : 0);
    p.total_length = static_cast<uint16_t>(40 + p.payload);
    if (p.tuple.protocol == proto::kTcp) {
      p.tcp_flags = tcp::kSyn;
      p.seq = static_cast<uint32_t>(random());
      p.window = static_cast<uint16_t>(below(3) == 0 ? 0 : random());
      p.marks.tcp_scale = below(2) == 0 ? kNoScale : below(kNoScale) & 15;
    }
    return p;
  }
  // By the plain way, or create() and update() where that refuses and must not have done a
  // thing.
  ConnId open(const Plain& p, const Parsed& wide, uint64_t hash) {
    const EndpointId source = below(3) == 0 ? kNoEndpoint : below(2);
    const EndpointId to = below(2) == 0 ? kNoEndpoint : 2;
    const uint32_t size = fast.size(), used = fast.used();
    const ConnTable::Created made = slow.create(p.tuple, now, source, to);
    ConnId id = fast.has_room(source) ? fast.open(p, now, source, to, hash) : kNoConn;
    if (id != kNoConn) {
      ++taken;
      EXPECT_EQ(made.recycled, nullptr);
    } else {
      ++left;
      EXPECT_EQ(fast.size(), size);
      EXPECT_EQ(fast.used(), used);
      id = fast.create(p.tuple, now, source, to).id;
      if (id != kNoConn) {
        fast.update(id, kOriginal, wide, now);
      }
    }
    EXPECT_EQ(id, made.id);
    if (made.id != kNoConn) {
      slow.update(made.id, kOriginal, wide, now);
    }
    return id;
  }
  void packet() {
    now += below(50) == 0 ? 5 * kSecond : below(kSecond);
    const Plain p = opening();
    Parsed wide;
    widen(p, {}, wide);
    ConnId id = kNoConn;
    Side side = kOriginal;
    uint64_t hash = 0;
    fast.find({&p.tuple, 1}, now, {&id, 1}, {&side, 1}, {}, {&hash, 1});
    if (id == kNoConn) {
      id = open(p, wide, hash);
    } else if (p.tuple.protocol == proto::kUdp) {
      for (ConnTable* table : {&fast, &slow}) {  // answered
        table->update(id, kReply, test::packet(p.tuple.reversed()), now);
      }
    }
    for (ConnTable* table : {&fast, &slow}) {
      table->expire(now, 2, {});
    }
    ASSERT_EQ(fast.size(), slow.size());
    ASSERT_EQ(fast.embryonic(), slow.embryonic());
    for (const EndpointId e : {0u, 1u}) {
      ASSERT_EQ(fast.opened_by(e), slow.opened_by(e));
    }
    if (id != kNoConn) {
      ASSERT_EQ(std::memcmp(&fast.at(id), &slow.at(id), sizeof(Connection)), 0);
    }
  }
};

TEST(Conntrack, ThePlainWayOpensAsTheLongOne) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Timeouts graceful = Timeouts::linux_preset();
  graceful.grace = 200;
  for (const Timeouts& timeouts :
       {Timeouts::linux_preset(), Timeouts::calico_bpf_preset(), graceful}) {
    Opens opens(timeouts, random);
    for (int n = 0; n < 20000; ++n) {
      ASSERT_NO_FATAL_FAILURE(opens.packet()) << n;
    }
    EXPECT_GT(opens.taken, 500) << opens.left;
    EXPECT_GT(opens.left, 1000);
  }
}

}  // namespace
}  // namespace sluice
