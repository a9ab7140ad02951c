// SPDX-License-Identifier: Apache-2.0
// The table of fragments, row by row of reliability 4, and against its naive twin.
#include "fastpath/fragments.h"

#include <random>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/fragment_twin.h"

namespace sluice::test {
namespace {

constexpr Ip4 kA{0x0a000001}, kB{0x0a000002};
constexpr PortId kPort = 2;
constexpr Nanos kMs = 1000000, kStart = 1000 * kMs;

// One piece of the datagram `id`, and what must become of it; "held", or a reason's name.
struct Piece {
  uint32_t offset;
  uint32_t bytes;
  bool more;
  std::string_view fate = "none";
  Nanos after = 0;  // the piece before
  uint16_t id = 7;
};
constexpr bool kMore = true, kLast = false;

std::string_view fate(const Fragments::Answer& answer) {
  return answer.held ? "held" : name(answer.reason);
}

TEST(Fragments, AreJudgedAsTheRowsOfTheTableSay) {
  struct Case {
    std::string sentence;
    std::vector<Piece> pieces;
  };
  const std::vector<Case> cases = {
      {"in order", {{0, 80, kMore}, {80, 80, kMore}, {160, 9, kLast}}},
      {"in any order once the first has come",
       {{0, 80, kMore}, {160, 9, kLast}, {80, 80, kMore}}},
      {"the same range again is a duplicate, and the datagram lives on",
       {{0, 80, kMore},
        {80, 80, kMore},
        {80, 80, kMore, "frag_duplicate"},
        {0, 80, kMore, "frag_duplicate"},
        {160, 9, kLast}}},
      {"a duplicate of a piece that waits",
       {{80, 80, kMore, "held"}, {80, 80, kMore, "frag_duplicate"}}},
      {"an overlap by one unit poisons the key, duplicates included",
       {{0, 80, kMore},
        {72, 80, kMore, "frag_overlap"},
        {80, 80, kMore, "frag_overlap"},
        {0, 80, kMore, "frag_overlap"},
        {800, 8, kLast, "frag_overlap"}}},
      {"a piece within another", {{0, 80, kMore}, {8, 8, kMore, "frag_overlap"}}},
      {"a piece around another",
       {{0, 80, kMore}, {160, 8, kMore}, {152, 24, kMore, "frag_overlap"}}},
      {"the same start and another length", {{0, 80, kMore}, {0, 88, kMore, "frag_overlap"}}},
      {"the same end and another start", {{0, 80, kMore}, {64, 16, kMore, "frag_overlap"}}},
      {"a second first one of another length",
       {{0, 80, kMore}, {0, 40, kMore, "frag_overlap"}}},
      {"neighbours do not overlap", {{0, 80, kMore}, {88, 8, kMore}, {80, 8, kMore}}},
      {"a first one that overlaps what waits",
       {{80, 80, kMore, "held"}, {0, 88, kMore, "frag_overlap"}}},
      {"a poisoned key lives on with every piece, then goes",
       {{0, 80, kMore},
        {72, 80, kMore, "frag_overlap"},
        {800, 8, kMore, "frag_overlap", 29999 * kMs},
        {800, 8, kMore, "frag_overlap", 29999 * kMs},
        {0, 80, kMore, "none", 30000 * kMs}}},
      {"another end further on",
       {{0, 80, kMore}, {160, 9, kLast}, {240, 9, kLast, "frag_len"}}},
      {"another end before", {{0, 80, kMore}, {160, 9, kLast}, {80, 9, kLast, "frag_len"}}},
      {"an end before what was seen",
       {{0, 80, kMore}, {160, 8, kMore}, {80, 9, kLast, "frag_len"}}},
      {"more behind the end", {{0, 80, kMore}, {160, 9, kLast}, {176, 8, kMore, "frag_len"}}},
      {"a wrong end does no harm to the rest",
       {{0, 80, kMore}, {160, 9, kLast}, {240, 9, kLast, "frag_len"}, {80, 80, kMore}}},
      {"a whole datagram leaves room for the next of its id",
       {{0, 80, kMore}, {80, 9, kLast}, {0, 40, kMore}, {40, 80, kLast}}},
      {"before the first", {{80, 9, kLast, "held"}, {0, 80, kMore}}},
      {"a first one 100 ms later", {{80, 9, kLast, "held"}, {0, 80, kMore, "none", 100 * kMs}}},
      {"eight wait for one first",
       {{80, 8, kMore, "held"},
        {88, 8, kMore, "held"},
        {96, 8, kMore, "held"},
        {104, 8, kMore, "held"},
        {112, 8, kMore, "held"},
        {120, 8, kMore, "held"},
        {128, 8, kMore, "held"},
        {136, 8, kMore, "held"},
        {144, 8, kMore, "frag_no_head"},
        {80, 8, kMore, "held", 0, 8},
        {0, 80, kMore},
        {144, 8, kMore}}},
      {"idle for 30 s",
       {{0, 80, kMore},
        {80, 8, kMore, "none", 29999 * kMs},
        {88, 8, kLast, "held", 30000 * kMs}}},
      {"the least and the most of a datagram", {{0, 65512, kMore}, {65512, 3, kLast}}},
  };
  for (const Case& c : cases) {
    FragmentPair pair(Fragments::kMaxHeld);
    Nanos now = kStart;
    for (const Piece& piece : c.pieces) {
      now += piece.after;
      EXPECT_TRUE(pair.add(
          fragment(kA, kB, proto::kUdp, piece.id, piece.offset, piece.bytes, piece.more), kPort,
          now))
          << c.sentence;
      EXPECT_EQ(fate(pair.last()), piece.fate) << c.sentence << ", at " << piece.offset;
    }
  }
}

TEST(Fragments, MoreThan64OfOneDatagramAreTooMany) {
  FragmentPair pair(Fragments::kMaxHeld);
  for (uint32_t n = 0; n < 66; ++n) {
    ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, n * 8, 8, true), kPort, kStart));
    EXPECT_EQ(fate(pair.last()), n < 64 ? "none" : "frag_too_many") << n;
  }
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 8, 8, true), kPort, kStart));
  EXPECT_EQ(fate(pair.last()), "frag_duplicate");
}

TEST(Fragments, AreKeyedByBothAddressesProtocolIdAndPort) {
  FragmentPair pair(Fragments::kMaxHeld);
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 0, 8, true), kPort, kStart));
  const std::pair<Parsed, PortId> others[] = {
      {fragment(kB, kA, proto::kUdp, 7, 8, 8, true), kPort},
      {fragment(kA, {9}, proto::kUdp, 7, 8, 8, true), kPort},
      {fragment(kA, kB, proto::kSctp, 7, 8, 8, true), kPort},
      {fragment(kA, kB, proto::kUdp, 8, 8, 8, true), kPort},
      {fragment(kA, kB, proto::kUdp, 7, 8, 8, true), kPort + 1},
  };
  for (const auto& [p, port] : others) {
    ASSERT_TRUE(pair.add(p, port, kStart));
    EXPECT_EQ(fate(pair.last()), "held");
  }
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 8, 8, true), kPort, kStart));
  EXPECT_EQ(fate(pair.last()), "none");
}

TEST(Fragments, LaterOnesLearnWhatTheFirstOneSaid) {
  Fragments fragments({});
  Parsed first = fragment(kA, kB, proto::kIcmp, 7, 0, 80, true);
  first.tuple.src_port = first.tuple.dst_port = 5;
  first.tuple.icmp_class = 1;
  first.icmp_type = 3;
  first.icmp_code = 4;
  first.icmp_error = true;
  first.quoted = {kB, kA, 1, 2, proto::kTcp};
  first.quoted_seq = 77;
  EXPECT_EQ(fragments.add(first, kPort, nullptr, kStart).reason, DropReason::none);
  Parsed later = fragment(kA, kB, proto::kIcmp, 7, 80, 80, true);
  EXPECT_EQ(fragments.add(later, kPort, nullptr, kStart).reason, DropReason::none);
  EXPECT_EQ(later.tuple, first.tuple);
  EXPECT_EQ(later.quoted, first.quoted);
  EXPECT_EQ(later.quoted_seq, 77u);
  EXPECT_EQ(later.icmp_type, 3);
  EXPECT_EQ(later.icmp_code, 4);
  EXPECT_TRUE(later.icmp_error);
  EXPECT_TRUE(later.later_fragment);
}

TEST(Fragments, ShareTheFateOfARefusedFirstOne) {
  FragmentPair pair(Fragments::kMaxHeld);
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 80, 8, true), kPort, kStart));
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 0, 80, true), kPort, kStart,
                       DropReason::policy_deny_ingress));
  EXPECT_EQ(pair.released(), std::vector{DropReason::policy_deny_ingress});
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 88, 8, true), kPort, kStart));
  EXPECT_EQ(fate(pair.last()), "policy_deny_ingress");
}

TEST(Fragments, ThatWaitTooLongGoAndSoDoesTheirRecord) {
  FragmentPair pair(Fragments::kMaxHeld);
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 80, 8, true), kPort, kStart));
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 88, 8, true), kPort, kStart + kMs));
  ASSERT_TRUE(pair.expire(kStart + 100 * kMs));
  EXPECT_TRUE(pair.lost().empty());
  ASSERT_TRUE(pair.expire(kStart + 100 * kMs + 1));
  EXPECT_EQ(pair.lost().size(), 1u);
  EXPECT_EQ(pair.lost().front().second, DropReason::frag_no_head);
  ASSERT_TRUE(pair.expire(kStart + 102 * kMs));
  EXPECT_EQ(pair.lost().size(), 1u);
  EXPECT_EQ(pair.fast().size(), 0u);
}

TEST(Fragments, AnOverlapTakesWhatWaitedWithIt) {
  FragmentPair pair(Fragments::kMaxHeld);
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 80, 16, true), kPort, kStart));
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 7, 88, 16, true), kPort, kStart));
  ASSERT_EQ(pair.lost().size(), 1u);
  EXPECT_EQ(pair.lost().front().second, DropReason::frag_overlap);
  EXPECT_EQ(pair.fast().held(), 0u);
}

TEST(Fragments, NoMoreThanTheBoundWaitInAll) {
  FragmentPair pair(16);
  for (uint16_t id = 0; id < 20; ++id) {
    ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, id, 8, 8, true), kPort, kStart));
    EXPECT_EQ(fate(pair.last()), id < 16 ? "held" : "frag_no_head");
  }
  EXPECT_EQ(pair.fast().size(), 16u) << "nothing is remembered of the others";
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 0, 0, 8, true), kPort, kStart));
  ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, 17, 8, 8, true), kPort, kStart));
  EXPECT_EQ(fate(pair.last()), "held");
  ASSERT_TRUE(
      pair.add(fragment(kA, kB, proto::kUdp, 18, 8, 8, true), kPort, kStart + 1000 * kMs));
  EXPECT_EQ(pair.lost().size(), 16u) << "all at once";
}

TEST(Fragments, OneSourceHoldsAnEighthOfTheTable) {
  Fragments fragments({16, {1, 2}});
  const auto add = [&](Ip4 src, uint32_t n) {
    Parsed p = fragment(src, {0x0b000000 + (n >> 16)}, proto::kUdp, static_cast<uint16_t>(n), 0,
                        8, true);
    return fragments.add(p, kPort, nullptr, kStart + n).reason;
  };
  for (uint32_t n = 0; n < Fragments::kPerSource; ++n) {
    ASSERT_EQ(add(kA, n), DropReason::none) << n;
  }
  EXPECT_EQ(add(kA, 70000), DropReason::frag_table_full);
  EXPECT_EQ(add(kB, 70000), DropReason::none) << "others are not in its way";
  // Sources enough to fill the table: the oldest gives way.
  for (uint32_t n = 0; n < Fragments::kRecords; ++n) {
    ASSERT_EQ(add({0x0c000000 + n % 64}, n + 80000), DropReason::none) << n;
  }
  EXPECT_EQ(fragments.size(), Fragments::kRecords);
  EXPECT_EQ(add(kA, 200000), DropReason::none) << "its share is free again";
  Parsed later = fragment(kA, {0x0b000000}, proto::kUdp, 0, 8, 8, true);
  EXPECT_TRUE(fragments.add(later, kPort, nullptr, kStart + 300000).held) << "forgotten";
}

TEST(Fragments, WhatWaitsGoesWithItsEvictedRecord) {
  Fragments fragments({16, {1, 2}});
  int frame = 0;
  Parsed waiting = fragment(kA, kB, proto::kUdp, 7, 8, 8, true);
  ASSERT_TRUE(fragments.add(waiting, kPort, reinterpret_cast<rte_mbuf*>(&frame), kStart).held);
  for (uint32_t n = 0; n < Fragments::kRecords; ++n) {
    Parsed p =
        fragment({0x0c000000 + n % 64}, kB, proto::kUdp, static_cast<uint16_t>(n), 0, 8, true);
    ASSERT_EQ(fragments.add(p, kPort, nullptr, kStart + 1).reason, DropReason::none);
  }
  const Fragments::Lost lost = fragments.take_lost();
  EXPECT_EQ(lost.frame, reinterpret_cast<rte_mbuf*>(&frame));
  EXPECT_EQ(lost.reason, DropReason::frag_table_full);
  EXPECT_EQ(fragments.take_lost().frame, nullptr);
}

TEST(Fragments, ForgetWhatIsIdleAFewAtATime) {
  FragmentPair pair(16);
  for (uint16_t id = 0; id < 200; ++id) {
    ASSERT_TRUE(pair.add(fragment(kA, kB, proto::kUdp, id, 0, 8, true), kPort, kStart));
  }
  ASSERT_TRUE(pair.expire(kStart + Fragments::kIdle - 1));
  EXPECT_EQ(pair.fast().size(), 200u);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(pair.expire(kStart + Fragments::kIdle));
  }
  EXPECT_EQ(pair.fast().size(), 0u);
}

TEST(Fragments, AgreeWithTheNaiveTwin) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto any = [&random](uint32_t below) {
    return static_cast<uint32_t>(random() % below);
  };
  std::array<uint64_t, kDropReasons> met{};
  uint64_t waited = 0;
  for (int round = 0; round < 60; ++round) {
    FragmentPair pair(1 + any(40), {random(), random()});
    const uint32_t ids = 1 + any(60);
    const uint32_t units = 2 + any(90);
    Nanos now = kStart;
    for (int step = 0; step < 3000; ++step) {
      const uint32_t pause = any(1000);
      now += pause == 0 ? any(35000) * kMs : pause < 100 ? any(120) * kMs : any(1000000);
      if (any(16) == 0) {
        ASSERT_TRUE(pair.expire(now)) << "round " << round << " step " << step;
        continue;
      }
      const uint32_t begin = any(3) == 0 ? 0 : any(units);
      const bool more = any(5) != 0;
      const uint32_t bytes = more ? 8 * (1 + any(3)) : 1 + any(20);
      Parsed p = fragment({1 + any(3)}, kB, proto::kUdp, static_cast<uint16_t>(any(ids)),
                          8 * begin, bytes, more);
      if (any(2) == 0) {
        p.tuple.six = true;
        p.pair = {{1, uint64_t{p.tuple.src.value} << 1 | any(2)}, {1, 1}};
        p.tuple.protocol = any(2) == 0 ? proto::kUdp : proto::kTcp;
      }
      const DropReason refuse = any(8) == 0 ? DropReason::policy_deny_egress : DropReason::none;
      ASSERT_TRUE(pair.add(p, static_cast<PortId>(2 + any(2)), now, refuse))
          << "round " << round << " step " << step;
      ++met[static_cast<size_t>(pair.last().reason)];
      waited += pair.last().held ? 1 : 0;
    }
  }
  for (const DropReason reason :
       {DropReason::none, DropReason::frag_overlap, DropReason::frag_duplicate,
        DropReason::frag_len, DropReason::frag_no_head, DropReason::policy_deny_egress}) {
    EXPECT_GT(met[static_cast<size_t>(reason)], 0u) << name(reason);
  }
  EXPECT_GT(waited, 0u);
}

}  // namespace
}  // namespace sluice::test
