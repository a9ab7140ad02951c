// SPDX-License-Identifier: Apache-2.0
// Host endpoints' policies in the pipeline (semantics 5.2).
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

struct HostRow {
  const char* sentence;
  HostPolicy uplink;
  HostPolicy tunnel;
  HostPolicy pods;
  ProgramId ingress_of_b;
  PortId port;
  Frame frame;
  DropReason reason;  // none: it passes
};

TEST(Pipeline, AsksEachStageOfAHostEndpoint) {
  const Frame to_node = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
  const Frame to_pod = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kB);
  const Frame tunnelled = from_peer().ip4(kRemotePod, kB);
  const Frame between = from_pod(kPodAMac).ip4(kA, kB);
  const Frame leaving = from_pod(kPodAMac).ip4(kA, kPeer);
  const Frame sent = Frame().ether(kHostMac, kKernelMac).ip4(kNode, kPeer);
  const auto syn = [](Frame f) { return f.tcp(1000, 80, kSyn); };
  constexpr DropReason kPass = DropReason::none, kIn = DropReason::policy_deny_ingress,
                       kOut = DropReason::policy_deny_egress;
  const HostStage deny{kDenyAll}, allow{kAllowAll}, silent{kSilent};
  const HostStage spared{kDenyAll, kAllow80};
  HostPolicy normal, forward, pre, raw, open_raw, open_pre, quiet, safe;
  normal.normal_in = normal.normal_out = deny;
  forward.forward_in = forward.forward_out = deny;
  pre.pre_dnat = deny;
  raw.untracked_in = raw.untracked_out = deny;
  open_raw = normal;
  open_raw.untracked_in = open_raw.untracked_out = allow;
  open_pre = normal;
  open_pre.forward_in = deny;
  open_pre.pre_dnat = allow;
  quiet.untracked_in = quiet.pre_dnat = quiet.forward_in = quiet.normal_in = silent;
  safe.normal_in = safe.pre_dnat = safe.untracked_in = spared;
  const HostPolicy no;
  const HostRow rows[] = {
      {"normal in", normal, no, no, kAllowAll, kUplinkPort, syn(to_node), kIn},
      {"normal lets forwarded be", normal, no, no, kAllowAll, kUplinkPort, syn(to_pod), kPass},
      {"normal out", normal, no, no, kAllowAll, kHostPort, syn(sent), kOut},
      {"forward in", forward, no, no, kAllowAll, kUplinkPort, syn(to_pod), kIn},
      {"forward out", forward, no, no, kAllowAll, kPodA, syn(leaving), kOut},
      {"forward lets the node be", forward, no, no, kAllowAll, kUplinkPort, syn(to_node),
       kPass},
      {"forward lets the tunnel be", forward, no, no, kAllowAll, kUplinkPort, syn(tunnelled),
       kPass},
      {"forward of the tunnel", no, forward, no, kAllowAll, kUplinkPort, syn(tunnelled), kIn},
      {"forward of pods", no, no, forward, kAllowAll, kPodA, syn(between), kIn},
      {"preDNAT", pre, no, no, kAllowAll, kUplinkPort, syn(to_pod), kIn},
      {"preDNAT sees the outer", pre, no, no, kAllowAll, kUplinkPort, syn(tunnelled), kIn},
      {"preDNAT skips forward", open_pre, no, no, kAllowAll, kUplinkPort, syn(to_pod), kPass},
      {"preDNAT skips normal", open_pre, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
      {"preDNAT leaves workloads", open_pre, no, no, kDenyAll, kUplinkPort, syn(to_pod), kIn},
      {"untracked in", raw, no, no, kAllowAll, kUplinkPort, syn(to_node), kIn},
      {"untracked sees the outer", raw, no, no, kAllowAll, kUplinkPort, syn(tunnelled), kIn},
      {"untracked out", raw, no, no, kAllowAll, kHostPort, syn(sent), kOut},
      {"untracked skips normal", open_raw, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
      {"untracked leaves workloads", open_raw, no, no, kDenyAll, kUplinkPort, syn(to_pod), kIn},
      {"no verdict", quiet, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
      {"failsafe", safe, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
  };
  for (const HostRow& row : rows) {
    for (const int queues : {0, 1, 2}) {  // of the uplink, for two workers; 0: for one
      SCOPED_TRACE(std::string(row.sentence) + ", queues " + std::to_string(queues));
      World w(row.ingress_of_b, queues == 0 ? 1 : 2);
      if (queues == 2) {
        w.spread_uplink();
      }
      w.protect(row.uplink, row.tunnel, row.pods);
      w.in(row.port, row.frame.build());
      bool passed = false;
      for (const PortId port : {kUplinkPort, kHostPort, kPodA, kPodB}) {
        passed = passed || !w.out(port).empty();
      }
      EXPECT_EQ(passed, row.reason == DropReason::none);
      if (row.reason != DropReason::none) {
        EXPECT_EQ(w.drops(row.reason), 1u);
      }
      w.expect_sums();
    }
  }
}

TEST(Pipeline, WhatAHostEndpointDoesNotTrackLeavesNoEntryAndIsJudgedEachTime) {
  World w;
  HostPolicy raw;
  raw.untracked_in = {kAllowAll};
  w.protect(raw);
  const Bytes frame = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kB).udp(1000, 53);
  for (int i = 0; i < 3; ++i) {
    w.in(kUplinkPort, frame);
    EXPECT_FALSE(w.out(kPodB).empty());
  }
  EXPECT_EQ(w.connections().size(), 0u);
  raw.untracked_in = {kDenyAll};
  w.protect(raw);
  w.in(kUplinkPort, frame);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
}

// Openers of one burst are asked about together; what they were told is theirs alone.
TEST(Pipeline, WhatIsNotTrackedIsJudgedByItselfAfterABurstOfOpeners) {
  World w(kAllow80);
  const auto opener = [](uint16_t from) {
    return from_peer().ip4(kRemotePod, kB).tcp(from, 80, kSyn).build();
  };
  w.burst(kUplinkPort, {opener(1), opener(2)});
  EXPECT_FALSE(w.out(kPodB).empty());
  EXPECT_FALSE(w.out(kPodB).empty());
  HostPolicy raw;
  raw.untracked_in = {kAllowAll};
  w.protect(raw);
  w.in(kUplinkPort, Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kB).tcp(1000, 22, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
}

TEST(Pipeline, TakesUpConnectionsOfTheNodeThatWereBeforeItsHostEndpoint) {
  World w;
  HostPolicy shut;
  shut.normal_in = shut.normal_out = {kDenyAll};
  const Frame in = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
  const Frame out = Frame().ether(kHostMac, kKernelMac).ip4(kNode, kPeer);
  w.now += 3600 * kSecond;
  w.protect(shut);
  w.knew({{ip(kNode), ip(kPeer), 8080, 1000}, {ip(kNode), ip(kPeer), 8080, 1002}});
  w.in(kUplinkPort, Frame(in).tcp(1000, 8080, kAck));
  EXPECT_FALSE(w.out(kHostPort).empty());
  w.in(kHostPort, Frame(out).tcp(8080, 1002, kAck));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.in(kUplinkPort, Frame(in).tcp(1001, 8080, kAck));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u) << "another's";
  w.in(kUplinkPort, Frame(in).tcp(1000, 8081, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u) << "a new one is judged";
  w.expect_sums();
}

// The host endpoint went, the kernel carried the connections on, and it came back.
TEST(Pipeline, TakesUpAgainWhatTheKernelCarriedMeanwhile) {
  struct Row {
    const char* sentence;
    bool known;        // the kernel has the connection when the host endpoint comes back
    bool passed_here;  // since then
    bool passes;
  };
  const Row rows[] = {
      {"its numbers went on without us", true, false, true},
      {"it was here all the time", true, true, false},
      {"it is none of the node's", false, false, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.sentence);
    World w;
    HostPolicy host;
    host.normal_in = host.normal_out = {kAllowAll};
    w.protect(host);
    const Frame in = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
    const Frame out = Frame().ether(kHostMac, kKernelMac).ip4(kNode, kPeer);
    w.in(kUplinkPort, Frame(in).tcp(1000, 8080, kSyn, 0));
    w.in(kHostPort, Frame(out).tcp(8080, 1000, kSyn | kAck, 0, 1));
    w.in(kUplinkPort, Frame(in).tcp(1000, 8080, kAck, 1, 1));
    w.now += 60 * kSecond;
    host.normal_in = {kDenyAll};
    w.protect(host);
    w.knew(row.known ? NodeFlows{{ip(kNode), ip(kPeer), 8080, 1000}} : NodeFlows{});
    if (row.passed_here) {
      w.in(kUplinkPort, Frame(in).tcp(1000, 8080, kAck, 1, 1));
    }
    while (!w.out(kHostPort).empty()) {
    }
    const uint32_t far = 3'000'000;
    w.in(kUplinkPort, Frame(in).tcp(1000, 8080, kAck, far, far + 1));
    EXPECT_EQ(!w.out(kHostPort).empty(), row.passes);
    EXPECT_EQ(w.drops(DropReason::ct_window), row.passes ? 0u : 1u);
    w.in(kHostPort, Frame(out).tcp(8080, 1000, kAck, far + 1, far));
    EXPECT_EQ(w.drops(DropReason::ct_window), row.passes ? 0u : 2u);
    w.expect_sums();
  }
}

}  // namespace
}  // namespace sluice::test
