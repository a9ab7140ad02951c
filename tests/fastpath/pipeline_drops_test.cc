// SPDX-License-Identifier: Apache-2.0
// What is sampled of the frames that the pipeline drops.
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

Bytes head_of(const DropSample& sample) {
  return {sample.head.begin(), sample.head.begin() + sample.head_bytes};
}

TEST(PipelineDrops, ADeniedPacketTellsItsRuleItsPortAndItsHeader) {
  World w(kDenyAll);
  const Bytes frame = from_pod(kPodAMac).ip4(kA, kB).udp(1, 2).payload(10);
  w.in(kPodA, frame);
  const std::vector<DropSample> samples = w.samples();
  ASSERT_EQ(samples.size(), 1u);
  const DropSample& s = samples[0];
  EXPECT_EQ(s.reason, DropReason::policy_deny_ingress);
  EXPECT_EQ(s.rule, 3u) << "the end of the list that denies all";
  EXPECT_EQ(s.in_port, kPodA);
  EXPECT_EQ(s.at, w.now);
  EXPECT_EQ(s.outer_source, Ip4{});
  EXPECT_EQ(s.length, frame.size());
  EXPECT_EQ(head_of(s), frame);
}

TEST(PipelineDrops, WhatPolicyDidNotDenyHasNoRule) {
  World w(kDenyAll);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2));
  w.in(kPodA, from_pod(kPodAMac).ip4(kB, kA).udp(1, 2));
  const std::vector<DropSample> samples = w.samples();
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[1].reason, DropReason::rpf_workload);
  EXPECT_EQ(samples[1].rule, kNoCounter) << "not that of the packet before";
}

TEST(PipelineDrops, WhatCameThroughATunnelTellsWhose) {
  World w(kDenyAll);
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kB).udp(1, 2));
  const std::vector<DropSample> samples = w.samples();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].outer_source, ip(kPeer));
  EXPECT_EQ(samples[0].rule, 3u);
}

TEST(PipelineDrops, OfALongFrameOnlyTheHeadIsKept) {
  World w(kDenyAll);
  const Bytes frame = from_pod(kPodAMac).ip4(kA, kB).udp(1, 2).payload(1000);
  w.in(kPodA, frame);
  const std::vector<DropSample> samples = w.samples();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].length, frame.size());
  EXPECT_EQ(head_of(samples[0]), Bytes(frame.begin(), frame.begin() + DropSample::kHead));
}

TEST(PipelineDrops, WhatIsForwardedLeavesNoSample) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2));
  EXPECT_TRUE(w.samples().empty());
}

}  // namespace
}  // namespace sluice::test
