// SPDX-License-Identifier: Apache-2.0
// What a connection table takes, whom it makes room for and by whom.
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/fastpath/flows.h"

namespace sluice {
namespace {

using namespace test;
using namespace tcp;

TEST(Conntrack, UnrepliedEntriesHoldAtMostHalf) {
  ConnTable table = make(options(1000));
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
  ConnTable table = make(options(8));
  const ConnId answered = table.create(nth(0), kStart).id;
  table.update(answered, kReply, packet(nth(0).reversed()), kStart);  // until 120
  for (uint32_t n = 1; n <= 4; ++n) {
    table.create(nth(n), kStart + 100 * kSecond);  // until 130
  }
  EXPECT_EQ(table.create(nth(9), kStart + 125 * kSecond).reason, DropReason::ct_embryonic);
  EXPECT_EQ(table.create(nth(9), kStart + 130 * kSecond).reason, DropReason::none);
}

TEST(Conntrack, AFullTableOfAnsweredFlowsTakesNoMore) {
  ConnTable table = make(options(1000));
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

// A table so small that every key has all of its entries as candidates.  Full as it is, an
// unreplied entry of UDP keeps 5 of its 30 seconds, one of TCP's 120 a tenth.
TEST(Conntrack, RecyclesExpiredThenClosingThenOldestUnreplied) {
  constexpr uint32_t kMax = 8;
  ConnTable table = make(options(kMax));
  std::vector<Flow> flows;
  for (uint32_t n = 0; n < 5; ++n) {
    establish(flows.emplace_back(Flow{table, nth(n, proto::kTcp)}));
  }
  table.create(nth(10), kStart);  // gone quiet by second 5
  for (const auto& [n, second] : {std::pair{12u, 3u}, {11u, 2u}}) {
    table.create(nth(n, proto::kTcp), kStart + second * kSecond);
  }
  flows[1].now = kStart + 4 * kSecond;
  flows[1].reply(kRst);        // closing, until 14
  flows[3].send(kFin | kAck);  // closing, until 120
  ASSERT_EQ(table.size(), kMax);
  const auto next = [&](uint32_t n) {
    const Nanos now = kStart + 6 * kSecond;
    const ConnTable::Created made = table.create(nth(n, proto::kTcp), now);
    if (made.id != kNoConn) {  // answered at once, so that only the old ones are recycled
      Flow f{table, nth(n, proto::kTcp), now, made.id};
      f.send(kSyn);
      f.reply(kSyn | kAck);
    }
    return made.recycled == nullptr ? Tuple{} : made.recycled->tuple;
  };
  EXPECT_EQ(next(20), nth(10));               // its time is over
  EXPECT_EQ(next(21), nth(1, proto::kTcp));   // closing, the next to expire
  EXPECT_EQ(next(22), nth(3, proto::kTcp));   // closing
  EXPECT_EQ(next(23), nth(11, proto::kTcp));  // unreplied; the oldest
  EXPECT_EQ(next(24), nth(12, proto::kTcp));
  EXPECT_EQ(next(25), Tuple{});  // nothing is left to take
  for (const uint32_t kept : {0u, 2u, 4u}) {
    EXPECT_NE(find(table, nth(kept, proto::kTcp), kStart + 31 * kSecond).id, kNoConn);
  }
}

TEST(Conntrack, OneEndpointOpensNoMoreThanItsShare) {
  struct Row {
    double share;
    uint32_t limit;
  };
  for (const Row& row : {Row{0.5, 500}, Row{0.25, 250}, Row{1, 1000}}) {
    SCOPED_TRACE(row.share);
    ConnTable::Options o = options(1000);
    o.endpoint_share = row.share;
    ConnTable table = make(o);
    const auto open = [&](uint32_t n, EndpointId by, Nanos now) {
      const ConnTable::Created made = table.create(nth(n), now, by, 7);
      if (made.id != kNoConn) {
        EXPECT_EQ(table.at(made.id).source(), by);
        EXPECT_EQ(table.at(made.id).destination(), 7u);
        table.update(made.id, kReply, packet(nth(n).reversed()), now);
      }
      return made.reason;
    };
    for (uint32_t n = 0; n < row.limit; ++n) {
      ASSERT_EQ(open(n, 4093, kStart), DropReason::none) << n;
    }
    EXPECT_EQ(table.opened_by(4093), row.limit);
    if (row.limit == 1000) {
      EXPECT_EQ(open(5000, 4093, kStart), DropReason::ct_table_full);
      continue;
    }
    EXPECT_EQ(open(5000, 4093, kStart), DropReason::ct_endpoint_limit);
    EXPECT_EQ(open(5001, 3, kStart), DropReason::none);
    EXPECT_EQ(open(5002, kNoEndpoint, kStart), DropReason::none);
    table.erase(find(table, nth(0), kStart).id);
    EXPECT_EQ(open(5000, 4093, kStart), DropReason::none);
    table.expire(kStart + 200 * kSecond, 1000, {});
    EXPECT_EQ(table.opened_by(4093), 0u);
  }
}

// Of a table, `percent` of which are in use, how long an entry lives that nobody talks about.
TEST(Conntrack, TimeoutsShrinkAsTheTableFills) {
  struct Row {
    uint32_t percent;
    bool tcp;  // established and assured, else UDP both ways (120 s)
    uint32_t seconds;
  };
  const Row rows[] = {
      {75, false, 120},  {80, false, 93},    {85, false, 66},    {90, false, 39},
      {95, false, 12},   {100, false, 12},   {75, true, 432000}, {85, true, 237600},
      {95, true, 43200}, {100, true, 43200},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(std::to_string(row.percent) + (row.tcp ? " tcp" : " udp"));
    ConnTable table = make(options(1000));
    const uint32_t count = row.percent * 10;
    ConnId id = kNoConn;
    if (row.tcp) {
      Flow f{table, tuple(proto::kTcp)};
      establish(f);
      id = f.id;
      fill_replied(table, count);
    } else {
      fill_replied(table, count);
      id = find(table, nth(0), kStart).id;
    }
    // Its neighbours talk on.
    const Nanos last = kStart + row.seconds * kSecond;
    const auto talk = [&](Nanos now) {
      table.for_each([&](ConnId each, const Connection& c) {
        if (each != id && c.deadline < now + 120 * kSecond) {
          table.at(each).deadline = now + 120 * kSecond;
        }
      });
    };
    talk(last - kSecond);
    table.expire(last - kSecond, 1000, {});
    EXPECT_EQ(table.size(), count);
    talk(last + kSecond);
    // A lookup finds it all the same: what sends, lives.
    if (row.percent > 75) {
      EXPECT_NE(find(table, table.at(id).tuple, last + kSecond).id, kNoConn);
    }
    uint32_t gone = 0;
    table.expire(last + kSecond, 1000, [&](const Connection&) { ++gone; });
    EXPECT_EQ(gone, 1u);
    EXPECT_EQ(table.at(id).live, 0);
  }
}

TEST(Conntrack, ShrinkingStopsAtFiveSecondsAndForTheEstablishedAtFiveMinutes) {
  Timeouts brief = Timeouts::linux_preset();
  brief.tcp[static_cast<size_t>(TcpState::established)] = 1000;
  ConnTable table = make(options(100, brief));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  fill_replied(table, 95);
  while (table.size() < 100) {  // unanswered: 3 of 30 seconds, but for the minimum
    table.create(nth(9000 + table.size()), kStart);
  }
  table.expire(kStart + 5 * kSecond - 1, 100, {});
  EXPECT_EQ(table.size(), 100u);
  table.expire(kStart + 5 * kSecond, 100, {});
  EXPECT_EQ(table.size(), 95u);
  table.for_each([&](ConnId id, const Connection& c) {
    if (c.tuple.protocol == proto::kUdp) {
      table.at(id).deadline = kStart + 1000 * kSecond;
    }
  });
  table.expire(kStart + 300 * kSecond - 1, 100, {});
  EXPECT_EQ(table.size(), 95u);
  table.expire(kStart + 300 * kSecond, 100, {});
  EXPECT_EQ(table.at(f.id).live, 0);
}

TEST(Conntrack, AStalledConnectionKeepsItsFiveMinutesInACrowd) {
  ConnTable table = make(options(100));
  Flow f{table, tuple(proto::kTcp)};
  establish(f);
  Parsed data = packet(f.t, kAck);
  data.tcp_seq = f.at[0];
  data.tcp_ack = data.tcp_sack = f.at[1];
  data.payload = 100;
  ASSERT_EQ(table.update(f.id, kOriginal, data, kStart), DropReason::none);
  ASSERT_EQ(f.c().deadline, kStart + 300 * kSecond);
  fill_replied(table, 100);
  table.expire(kStart + 299 * kSecond, 100, {});
  EXPECT_EQ(f.c().live, 1);
}

TEST(Conntrack, AFloodTakesNoAssuredConnection) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  ConnTable::Options o = options(2048);
  o.hash_key = {seed, 3};
  ConnTable table = make(o);
  std::vector<Flow> flows;
  for (uint32_t n = 0; n < 1900; ++n) {
    establish(flows.emplace_back(Flow{table, nth(n, proto::kTcp)}));
  }
  Nanos now = kStart;
  for (uint32_t n = 0; n < 200000; ++n) {
    now += kSecond / 1000;
    table.create(nth(5000 + n, proto::kTcp), now);
    if (n % 100 == 0) {
      table.expire(now, 64, {});
    }
  }
  for (const Flow& f : flows) {
    ASSERT_EQ(find(table, f.t, now).id, f.id);
  }
}

TEST(Conntrack, ATableLargerThanMemorySaysWhatItNeeds) {
  const auto made = ConnTable::make(options(kNoConn - 1));
  if (ConnTable::bytes_for(kNoConn - 1) < uint64_t{1} << 42) {
    GTEST_LOG_(INFO) << ConnTable::bytes_for(10'000'000) / 10'000'000 << " bytes a connection";
  }
  if (made) {
    GTEST_SKIP() << "this machine has the memory";
  }
  EXPECT_NE(made.error().what.find("connections.max: 4294967294 connections need"),
            std::string::npos)
      << made.error().what;
  EXPECT_NE(made.error().hint.find("bytes"), std::string::npos);
}

// Bytes of this process that are in memory.
int64_t resident() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0, pages = 0;
  statm >> all >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

TEST(Conntrack, APopulatedTableHasItsMemoryBeforeTheFirstPacket) {
  ConnTable::Options o = options(1 << 18);
  const auto needed = static_cast<int64_t>(ConnTable::bytes_for(o.max));
  const int64_t before = resident();
  const auto lazy = ConnTable::make(o);
  ASSERT_TRUE(lazy);
  EXPECT_LT(resident() - before, needed / 4);
  o.populate = true;
  const int64_t then = resident();
  const auto whole = ConnTable::make(o);
  ASSERT_TRUE(whole);
  EXPECT_GE(resident() - then, needed / 10 * 9);
}

TEST(Conntrack, OnlyAPopulatedTableNeedsMemoryThatNobodyHas) {
  ConnTable::Options o = options(1 << 18);
  o.tables = 2;
  const uint64_t one = ConnTable::bytes_for(o.max);
  EXPECT_TRUE(ConnTable::fits(o, {2 * one, 0}));
  EXPECT_FALSE(ConnTable::fits(o, {2 * one - 1, 2 * one - 1}));
  o.populate = true;
  EXPECT_TRUE(ConnTable::fits(o, {2 * one, one})) << "the first has its own already";
  EXPECT_FALSE(ConnTable::fits(o, {2 * one, one - 1}));
  EXPECT_FALSE(ConnTable::fits(o, {2 * one - 1, one}));
}

TEST(Conntrack, AnExpiredFlowStartsAfreshWithoutATwin) {
  ConnTable table = make(options(64));
  const Tuple t = tuple(proto::kUdp);
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
  ConnTable table = make(options(1000));
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
  ConnTable table = make(o);
  fill_replied(table, o.max);
  EXPECT_EQ(table.size(), o.max);
}

}  // namespace
}  // namespace sluice
