// SPDX-License-Identifier: Apache-2.0
// What the node lacks, not the packet: endpoints, policies, buffers, room (reliability 6, 7).
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

Bytes a_to_b(uint16_t port = 2) {
  return from_pod(kPodAMac).ip4(kA, kB).udp(1, port);
}

TEST(PipelineResources, AnEndpointWhosePolicyIsNotLoadedGetsNothing) {
  World w;
  w.edit([](Generation& g) { g.endpoints[1].ready = false; });
  w.in(kPodA, a_to_b());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).udp(1, 2));
  EXPECT_EQ(w.drops(DropReason::policy_not_ready), 2u);
  w.edit([](Generation& g) { g.endpoints[1].ready = true; });
  w.in(kPodA, a_to_b());
  EXPECT_FALSE(w.out(kPodB).empty());
  w.expect_sums();
}

TEST(PipelineResources, APortWithoutAnEndpointIsDown) {
  World w;
  w.edit([](Generation& g) { g.endpoint_of_port[kPodA] = kNoEndpoint; });
  w.in(kPodA, a_to_b());
  w.in(kPodA, Frame().ether(kBroadcastMac, kPodAMac).arp(1, kPodAMac, kA, "169.254.1.1"));
  EXPECT_EQ(w.drops(DropReason::endpoint_down), 2u);
  w.edit([](Generation& g) { g.endpoints[0].port = kNoPort; });
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).udp(1, 2));
  EXPECT_EQ(w.drops(DropReason::endpoint_down), 3u) << "nor is it a destination";
  w.expect_sums();
}

TEST(PipelineResources, AFullRingLosesWhatItDoesNotTake) {
  World w;
  w.leave_room(kPodB, 2);
  w.burst(kPodA, {a_to_b(2), a_to_b(3), a_to_b(4)});
  EXPECT_EQ(w.drops(DropReason::res_tx), 1u);
  EXPECT_EQ(w.fate(kPodA, Fate::forwarded), 2u);
  w.expect_sums();
}

TEST(PipelineResources, AFullRingToTheNodeIsAFullPuntQueue) {
  World w;
  w.leave_room(kHostPort, 1);
  const Bytes to_node = from_pod(kPodAMac).ip4(kA, kNode).udp(1, 2);
  w.burst(kPodA, {to_node, to_node});
  EXPECT_EQ(w.drops(DropReason::res_punt), 1u);
  EXPECT_EQ(w.fate(kPodA, Fate::punted), 1u);
  w.expect_sums();
}

TEST(PipelineResources, AFullRingToAnotherWorkerLosesWhatItDoesNotTake) {
  constexpr unsigned kRing = World::kRingSize - 1;  // as many does it hold
  World w(kAllowAll, 2);
  std::vector<Bytes> packets;
  for (unsigned i = 0; i < kMaxBurst; ++i) {
    packets.push_back(a_to_b(static_cast<uint16_t>(1000 + i)));
  }
  w.burst(kPodA, packets);
  EXPECT_EQ(w.drops(DropReason::res_tx), kMaxBurst - kRing);
  EXPECT_EQ(w.fate(kPodA, Fate::forwarded), kRing);
  for (unsigned i = 0; i < kRing; ++i) {
    EXPECT_FALSE(w.out(kPodB).empty()) << i;
  }
  w.expect_sums();
}

TEST(PipelineResources, WithoutBuffersWhatMustBeCutIsLostAndNoneLeaks) {
  const unsigned before = rte_mempool_avail_count(test::pool());
  World w;
  std::vector<rte_mbuf*> taken;
  while (rte_mempool_avail_count(test::pool()) > 2) {
    taken.push_back(rte_pktmbuf_alloc(test::pool()));
  }
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).udp(1, 2).payload(1472));
  EXPECT_EQ(w.drops(DropReason::res_mbuf), 1u);
  EXPECT_EQ(rte_mempool_avail_count(test::pool()), 2u);
  w.in(kPodA, a_to_b());
  EXPECT_FALSE(w.out(kPodB).empty()) << "the rest goes on";
  rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
  EXPECT_EQ(rte_mempool_avail_count(test::pool()), before);
  w.expect_sums();
}

}  // namespace
}  // namespace sluice::test
