// SPDX-License-Identifier: Apache-2.0
// How much of what it has not asked for reaches the node's kernel (reliability 7).
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

constexpr unsigned kAtOnce = PuntPolice::kLeastBurst;

void limit(World& w, uint32_t rate, uint32_t arp_rate = 0) {
  w.edit([=](Generation& g) {
    g.options.punt_rate = rate;
    g.options.punt_arp_rate = arp_rate;
  });
}

Bytes to_node(uint16_t port) {
  return from_pod(kPodAMac).ip4(kA, kNode).udp(port, 53);
}

// Sends so many new flows from pod A to the node; returns how many arrived.
unsigned punted(World& w, unsigned flows) {
  const uint64_t before = w.fate(kPodA, Fate::punted);
  for (unsigned i = 0; i < flows; ++i) {
    w.in(kPodA, to_node(static_cast<uint16_t>(1000 + i)));
  }
  return static_cast<unsigned>(w.fate(kPodA, Fate::punted) - before);
}

TEST(PipelinePunt, ATenthOfASecondsWorthMayComeAtOnceAndThenTheRate) {
  World w;
  limit(w, 5000);
  // The 600 frames take 599 µs, in which two more come by.
  EXPECT_EQ(punted(w, 600), 502u);
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), 98u);
  w.now += kSecond / 100;
  EXPECT_EQ(punted(w, 200), 51u);
  w.expect_sums();
}

TEST(PipelinePunt, ALowRateTakesSixtyFourAtOnce) {
  World w;
  limit(w, 1);
  EXPECT_EQ(punted(w, 100), kAtOnce);
  w.now += kSecond;
  EXPECT_EQ(punted(w, 10), 1u);
}

TEST(PipelinePunt, ZeroIsNoLimit) {
  World w;
  limit(w, 0, 0);
  EXPECT_EQ(punted(w, 500), 500u);
}

TEST(PipelinePunt, EachWorkerHasItsShare) {
  World two(kAllowAll, 2);
  limit(two, 2000);
  EXPECT_EQ(punted(two, 300), 100u);
}

TEST(PipelinePunt, WhatIsTooMuchLeavesNoConnection) {
  World w;
  limit(w, 1);
  punted(w, 200);
  EXPECT_EQ(w.connections().size(), kAtOnce);
}

TEST(PipelinePunt, AnsweredConnectionsDoNotCount) {
  World w;
  limit(w, 1);
  const auto from_node = [](uint16_t port) -> Bytes {
    return Frame().ether(kHostMac, kKernelMac).ip4(kNode, kA).udp(53, port);
  };
  w.in(kPodA, to_node(1));
  w.in(kHostPort, from_node(1));
  punted(w, 200);
  const uint64_t dropped = w.drops(DropReason::res_punt_rate);
  EXPECT_GT(dropped, 0u);
  for (int i = 0; i < 200; ++i) {
    w.in(kPodA, to_node(1));
  }
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), dropped) << "the node has answered it";
  w.in(kHostPort, from_node(2));
  w.in(kPodA, to_node(2));
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), dropped) << "the node has asked for it";
  EXPECT_EQ(punted(w, 1), 0u) << "nor have they left room for others";
  w.expect_sums();
}

TEST(PipelinePunt, IcmpErrorsCountAndWhatAnUntrackedPolicyAllowsDoesNot) {
  World w;
  limit(w, 1);
  w.in(kHostPort, Frame().ether(kHostMac, kKernelMac).ip4(kNode, kA).udp(53, 7));
  punted(w, kAtOnce);
  const Frame quoted = Frame().ip4(kNode, kA).udp(53, 7);
  const Bytes quote = quoted.build();
  const Bytes error = from_pod(kPodAMac)
                          .ip4(kA, kNode)
                          .icmp(3, 3, 0, 0)
                          .raw(Bytes(quote.begin() + kEtherBytes, quote.end()));
  w.in(kPodA, error);
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), 1u);
  HostPolicy raw;
  raw.untracked_in = {kAllowAll};
  w.protect(raw);
  w.in(kUplinkPort, Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode).udp(1, 53));
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), 1u);
  w.now += kSecond;
  w.in(kPodA, error);
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), 1u);
  w.expect_sums();
}

TEST(PipelinePunt, QuestionsByArpHaveARateOfTheirOwn) {
  World w;
  limit(w, 1, 1);
  const Bytes question =
      Frame().ether(kBroadcastMac, kPodAMac).arp(1, kPodAMac, kA, "169.254.1.1");
  for (unsigned i = 0; i < kAtOnce + 10; ++i) {
    w.in(kPodA, question);
  }
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), 10u);
  EXPECT_EQ(w.fate(kPodA, Fate::consumed), kAtOnce);
  w.in(kPodA, Frame().ether(kCalico, kPodAMac).arp(2, kPodAMac, kA, "169.254.1.1"));
  EXPECT_EQ(w.fate(kPodA, Fate::consumed), kAtOnce + 1)
      << "an answer teaches, and costs nothing";
  EXPECT_EQ(punted(w, 1), 1u);
  w.in(kPodA, Frame()
                  .ether({{0x33, 0x33, 0xff, 0, 0, 3}}, kPodAMac)
                  .ip6(kA6, "ff02::1:ff00:3")
                  .hops(255)
                  .nd(135, kB6, kPodAMac));
  EXPECT_EQ(w.drops(DropReason::res_punt_rate), 11u) << "by neighbour discovery, too";
  w.expect_sums();
}

TEST(TokenBucket, BeginsFullAtAnyTime) {
  for (const Nanos now : {Nanos{0}, kSecond, 1000000 * kSecond}) {
    TokenBucket bucket;
    unsigned taken = 0;
    while (bucket.take(now, 10, 100)) {
      ++taken;
    }
    EXPECT_EQ(taken, 10u) << now;
    EXPECT_TRUE(bucket.take(now + 10, 10, 100));
    EXPECT_FALSE(bucket.take(now + 10, 10, 100));
  }
}

TEST(TokenBucket, HoldsOneTokenAtLeast) {
  TokenBucket bucket;
  EXPECT_TRUE(bucket.take(5, 100, 0));
  EXPECT_FALSE(bucket.take(104, 100, 0));
  EXPECT_TRUE(bucket.take(105, 100, 0));
}

}  // namespace
}  // namespace sluice::test
