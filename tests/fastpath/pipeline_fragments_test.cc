// SPDX-License-Identifier: Apache-2.0
// Fragments on their way through the whole pipeline (reliability 4).
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

constexpr Nanos kMs = 1000000;

// Pieces of a UDP datagram to `port` of 24 + 24 + 8 bytes.
Bytes first_of(uint16_t port, uint16_t id = 7) {
  return from_pod(kPodAMac).ip4(kA, kB).id(id).fragment(0, true).udp(1, port).payload(16);
}
Bytes later_of(uint16_t offset, bool more, uint16_t id = 7) {
  return from_pod(kPodAMac)
      .ip4(kA, kB)
      .id(id)
      .fragment(offset, more)
      .protocol(proto::kUdp)
      .payload(more ? 24 : 8);
}

TEST(PipelineFragments, BeforeTheirFirstWaitAndLeaveRightBehindIt) {
  for (const uint8_t workers : {uint8_t{1}, uint8_t{2}}) {
    World w(kAllowAll, workers);
    const Bytes last = later_of(6, false);
    const Bytes middle = later_of(3, true);
    w.in(kPodA, last);
    w.in(kPodA, middle);
    EXPECT_TRUE(w.out(kPodB).empty());
    EXPECT_EQ(w.fate(kPodA, Fate::held), 2u);
    w.expect_sums();
    const Bytes other = from_pod(kPodAMac).ip4(kA, kB).udp(1, 3);
    w.burst(kPodA, {other, first_of(2), other});
    EXPECT_EQ(slice(w.out(kPodB), 38), slice(other, 38));
    EXPECT_EQ(slice(w.out(kPodB), 38), slice(first_of(2), 38));
    EXPECT_EQ(slice(w.out(kPodB), 34), slice(last, 34)) << "in the order they came";
    EXPECT_EQ(slice(w.out(kPodB), 34), slice(middle, 34));
    EXPECT_EQ(slice(w.out(kPodB), 38), slice(other, 38));
    EXPECT_EQ(w.fate(kPodA, Fate::held), 0u);
    w.expect_sums();
  }
}

TEST(PipelineFragments, ShareTheVerdictOfTheFirstInTheSameBurstToo) {
  World w(kAllow80);
  w.burst(kPodA, {first_of(2), later_of(3, true), later_of(6, false)});
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 3u);
  // What opens nothing by itself may not open a flow by its later pieces.
  const Bytes syn_ack = from_pod(kPodAMac)
                            .ip4(kA, kB)
                            .id(9)
                            .fragment(0, true)
                            .tcp(1, 80, kSyn | kAck)
                            .payload(12);
  const Bytes rest =
      from_pod(kPodAMac).ip4(kA, kB).id(9).fragment(4, false).protocol(6).payload(8);
  w.burst(kPodA, {syn_ack, rest});
  EXPECT_EQ(w.drops(DropReason::ct_invalid), 2u);
  w.burst(kPodA, {rest, syn_ack});
  EXPECT_EQ(w.drops(DropReason::ct_invalid), 4u);
  EXPECT_EQ(w.connections().size(), 0u);
  EXPECT_TRUE(w.out(kPodB).empty());
  w.expect_sums();
}

TEST(PipelineFragments, OfASegmentOpenNoConnectionByThemselves) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1, 80, kSyn));
  const auto piece = [](uint16_t offset, bool more) {
    return from_pod(kPodAMac).ip4(kA, kB).id(9).fragment(offset, more);
  };
  w.in(kPodA, piece(0, true).tcp(1, 80, kSyn).payload(12));
  ASSERT_EQ(w.connections().size(), 1u);
  w.connections().erase(0);
  w.in(kPodA, piece(4, false).protocol(proto::kTcp).payload(8));
  EXPECT_EQ(w.drops(DropReason::ct_midflow), 1u);
  EXPECT_EQ(w.connections().size(), 0u);
  w.expect_sums();
}

TEST(PipelineFragments, AreHeldNoLongerThanATickAfter100Ms) {
  World w;
  w.in(kPodA, later_of(3, true));
  w.now += 100 * kMs;
  w.tick();
  EXPECT_EQ(w.fate(kPodA, Fate::held), 1u);
  w.now += 1;
  w.tick();
  EXPECT_EQ(w.fate(kPodA, Fate::held), 0u);
  EXPECT_EQ(w.drops(DropReason::frag_no_head), 1u);
  w.expect_sums();
}

TEST(PipelineFragments, OfALyingSourceAreNotEvenNoted) {
  World w;
  const Bytes liar =
      from_pod(kPodAMac).ip4(kB, kA).id(7).fragment(3, true).protocol(17).payload(24);
  w.in(kPodA, liar);
  EXPECT_EQ(w.drops(DropReason::rpf_workload), 1u);
  w.expect_sums();
}

TEST(PipelineFragments, AllBuffersReturnHoweverItEnds) {
  const unsigned before = rte_mempool_avail_count(test::pool());
  {
    World w(kAllowAll, 2);
    for (uint16_t id = 1; id < 300; ++id) {
      w.in(kPodA, later_of(3, true, id));
      if (id % 3 == 0) {
        w.in(kPodA, later_of(4, true, id));  // overlaps
      }
      if (id % 3 == 1) {
        w.in(kPodA, first_of(2, id));
      }
      w.expect_sums();
    }
    EXPECT_EQ(w.fate(kPodA, Fate::held), 100u);
    EXPECT_EQ(w.drops(DropReason::frag_overlap), 198u);
  }
  EXPECT_EQ(rte_mempool_avail_count(test::pool()), before);
}

}  // namespace
}  // namespace sluice::test
