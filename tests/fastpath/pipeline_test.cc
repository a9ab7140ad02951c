// SPDX-License-Identifier: Apache-2.0
// The whole pipeline: tunnels, connections, drops, what workers hand over.
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

TEST(Pipeline, CarriesATcpConnectionThroughTheTunnelAndBack) {
  World w;
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kA).tcp(1000, 80, kSyn));
  EXPECT_EQ(
      w.out(kPodA),
      Frame().ether(kPodAMac, kCalico).ip4(kRemotePod, kA).ttl(63).tcp(1000, 80, kSyn).build());
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).tcp(80, 1000, kSyn | kAck).unfinished());
  const Bytes back = w.out(kUplinkPort);
  const Bytes inner = Frame()
                          .ether(kRemoteMac, kUplinkMac)
                          .ip4(kA, kRemotePod)
                          .ttl(63)
                          .tcp(80, 1000, kSyn | kAck)
                          .build();
  ASSERT_EQ(back.size(), inner.size() + 20);
  EXPECT_EQ(slice(back, 0, 12), slice(inner, 0, 12));
  EXPECT_EQ(slice(back, 34), slice(inner, 14));
  const Bytes outer = slice(back, 14, 20);
  EXPECT_EQ(slice(outer, 12), slice(Frame().ip4(kNode, kPeer).build(), 26, 8));
  EXPECT_EQ(test::plain_sum(outer), 0xffff);
  EXPECT_EQ(w.connections().size(), 1u);
  w.expect_sums();
}

TEST(Pipeline, JudgesTheFirstPacketAndTheReplyPasses) {
  World w(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  EXPECT_FALSE(w.out(kPodA).empty());
  EXPECT_EQ(w.judged(1), 1u);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
  EXPECT_TRUE(w.out(kPodB).empty());
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  EXPECT_EQ(w.judged(4), 1u) << "the tier's default counts the denial";
  w.tick();
  EXPECT_EQ(w.carried(1), 2u) << "both directions are credited to the rule that admitted them";
  w.expect_sums();
}

// Whichever queue a packet comes by, its flow is followed by the worker of its end here.
TEST(Pipeline, AnUplinkOfTwoWorkersMeetsFlowsWhereTheyLive) {
  World w(kAllowAll, 2);
  w.spread_uplink();
  const Bytes answer =
      Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode).tcp(80, 1000, kSyn | kAck);
  w.in(kHostPort, Frame().ether(kHostMac, kKernelMac).ip4(kNode, kPeer).tcp(1000, 80, kSyn));
  ASSERT_FALSE(w.out(kUplinkPort).empty());
  for (int i = 0; i < 4; ++i) {
    w.in(kUplinkPort, answer);
    EXPECT_FALSE(w.out(kHostPort).empty()) << i;
  }
  EXPECT_EQ(w.connections(0).size(), 1u);
  for (const std::string_view pod : {kA, kB}) {
    for (int i = 0; i < 4; ++i) {
      w.in(kUplinkPort, from_peer().ip4(kRemotePod, pod).udp(1000, 53));
      EXPECT_FALSE(w.out(pod == kA ? kPodA : kPodB).empty()) << i;
    }
  }
  EXPECT_EQ(w.connections(0).size(), 2u);
  EXPECT_EQ(w.connections(1).size(), 1u);
  // B's worker sends by its own queue.
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kRemotePod).udp(53, 1000));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  EXPECT_EQ(w.counters(1).port(kUplinkPort).tx_packets.get(), 1u);
  EXPECT_EQ(w.sent_by_second(), 1u);
  // What nobody here has ends where it came.
  for (int i = 0; i < 2; ++i) {
    w.in(kUplinkPort, from_peer().ip4(kRemotePod, "10.244.1.77").udp(1, 2));
  }
  for (const size_t worker : {size_t{0}, size_t{1}}) {
    uint64_t ended = 0;
    for (const Counter& drops : w.counters(worker).drops) {
      ended += drops.get();
    }
    EXPECT_EQ(ended, 1u) << worker;
  }
  w.expect_sums();
}

TEST(Pipeline, LaterPacketsOfABurstFindWhatEarlierOnesOpened) {
  World w;
  std::vector<Bytes> burst;
  for (uint16_t n = 0; n < 24; ++n) {
    burst.push_back(from_peer().ip4(kRemotePod, kB).udp(static_cast<uint16_t>(1 + n % 8), 53));
  }
  w.burst(kUplinkPort, burst);
  EXPECT_EQ(w.opened(), 8u);
  EXPECT_EQ(w.connections().size(), 8u);
  for (size_t n = 0; n < burst.size(); ++n) {
    EXPECT_FALSE(w.out(kPodB).empty()) << n;
  }
}

// They are asked about together.
TEST(Pipeline, OpenersOfOneBurstAreJudgedEachByTheProgramsOfItsEnds) {
  World w(kAllow80);
  const auto syn = [](std::string_view to, uint16_t from, uint16_t port) {
    return from_peer().ip4(kRemotePod, to).tcp(from, port, kSyn).build();
  };
  w.burst(kUplinkPort, {syn(kB, 1, 80), syn(kB, 2, 81), syn(kA, 3, 81), syn(kB, 4, 80),
                        syn(kB, 2, 81), syn(kA, 4, 82)});
  EXPECT_EQ(slice(w.out(kPodB), 36, 2), (Bytes{0, 80}));
  EXPECT_EQ(slice(w.out(kPodB), 36, 2), (Bytes{0, 80}));
  EXPECT_TRUE(w.out(kPodB).empty());
  EXPECT_EQ(slice(w.out(kPodA), 36, 2), (Bytes{0, 81}));
  EXPECT_EQ(slice(w.out(kPodA), 36, 2), (Bytes{0, 82}));
  EXPECT_TRUE(w.out(kPodA).empty());
  EXPECT_EQ(w.judged(1), 2u);
  EXPECT_EQ(w.judged(4), 2u);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
  // Both ends are ours.
  const auto own = [](uint16_t from, uint16_t port, uint8_t flags) {
    return from_pod(kPodAMac).ip4(kA, kB).tcp(from, port, flags).build();
  };
  w.burst(kPodA, {own(1, 80, kSyn), own(2, 81, kSyn), own(3, 80, kSyn)});
  EXPECT_EQ(w.judged(1), 4u);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 3u);
  w.change(kDenyAll, false);
  w.burst(kPodA, {own(5, 80, kSyn), own(1, 80, kAck), own(6, 80, kSyn)});
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 5u) << "the ACK has its connection";
  w.expect_sums();
}

TEST(Pipeline, RecheckCutsWhatPolicyNowDeniesWhicheverSideSpeaks) {
  for (const bool server_first : {false, true}) {
    World w;
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
    w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(81, 1000, kSyn | kAck));
    w.recheck(kAllowAll);
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kAck));
    EXPECT_FALSE(w.out(kPodB).empty());
    EXPECT_FALSE(w.out(kPodB).empty()) << "what policy still allows lives on";
    EXPECT_FALSE(w.out(kPodA).empty());
    w.recheck(kAllow80);
    for (int i = 0; i < 4; ++i) {
      if (server_first == (i % 2 == 0)) {
        w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(81, 1000, kAck));
      } else {
        w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kAck));
      }
    }
    EXPECT_EQ(w.drops(DropReason::policy_recheck), 4u) << "nor is it picked up in mid-stream";
    EXPECT_TRUE(w.out(kPodA).empty());
    EXPECT_TRUE(w.out(kPodB).empty());
    w.recheck(kAllowAll);
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
    EXPECT_FALSE(w.out(kPodB).empty()) << "a new SYN begins anew";
    w.expect_sums();
  }
}

TEST(Pipeline, WhatRecheckCutStaysCutWhenPolicyIsNotAskedAgain) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(81, 1000, kSyn | kAck));
  w.recheck(kAllow80);
  const Bytes ack = from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kAck);
  w.in(kPodA, ack);
  w.change(kAllow80, false);
  w.out(kPodB);
  w.in(kPodA, ack);
  EXPECT_TRUE(w.out(kPodB).empty());
  EXPECT_EQ(w.drops(DropReason::policy_recheck), 2u);
  w.expect_sums();
}

TEST(Pipeline, AnErrorAboutWhatRecheckCutDoesNotPass) {
  World w;
  const auto from_a = [](uint8_t flags) {
    return from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, flags).build();
  };
  const Bytes error =
      from_pod(kPodBMac).ip4(kB, kA).icmp(3, 3, 0, 0).raw(slice(from_a(kAck), kEtherBytes));
  w.in(kPodA, from_a(kSyn));
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(81, 1000, kSyn | kAck));
  w.in(kPodB, error);
  EXPECT_EQ(w.drops(DropReason::icmp_unrelated), 0u) << "while it lives it does";
  w.recheck(kAllow80);
  w.in(kPodA, from_a(kAck));
  w.in(kPodB, error);
  EXPECT_EQ(w.drops(DropReason::icmp_unrelated), 1u);
  w.expect_sums();
}

// Policy is asked about what the packet says, whatever the pod may send by now.
TEST(Pipeline, RecheckJudgesAFlowBySourceThatItsPodMayNoLongerUse) {
  const auto strange = [](std::string_view source) {
    return from_pod(kPodAMac).ip4(source, kB).udp(5, 6);
  };
  World w;
  w.edit([](Generation& g) {
    g.endpoints[0].allowed_sources = {parse_prefix("10.9.0.0/16").value()};
  });
  w.in(kPodA, strange("10.9.0.1"));
  ASSERT_FALSE(w.out(kPodB).empty());
  w.edit([](Generation& g) {
    auto set = std::make_shared<RuleSet>(*rules());
    Rule deny;
    deny.action = Action::deny;
    deny.source.nets = {parse_prefix("10.9.0.0/16").value()};
    RuleList list = *set->lists[0];
    list.rules.insert(list.rules.begin(), deny);
    g.endpoints[0].egress = static_cast<ProgramId>(set->programs.size());
    set->programs.push_back({{{{static_cast<ListId>(set->lists.size())}, TierEnd::deny}}});
    set->lists.push_back(list);
    g.linear = std::make_shared<const Linear>(set);
    g.options.recheck = true;
    g.endpoints[0].allowed_sources.clear();
  });
  w.in(kPodA, strange("10.9.0.1"));
  EXPECT_EQ(w.drops(DropReason::policy_recheck), 1u);
  w.expect_sums();
}

// In a crowded table a new flow ends another's quiet one, and is refused all the same: its pod
// has opened its share.
TEST(Pipeline, WhatWasRecycledInVainIsNotUsedByTheRestOfTheBurst) {
  World w(kAllowAll, 1, kEtherMtu, 8);
  const auto a_to_b = [](uint16_t port) {
    return from_pod(kPodAMac).ip4(kA, kB).udp(port, 53).build();
  };
  for (const uint16_t port : {uint16_t{5}, uint16_t{6}}) {
    w.in(kUplinkPort, from_peer().ip4(kRemotePod, kB).udp(port, 53));
    w.in(kPodB, from_pod(kPodBMac).ip4(kB, kRemotePod).udp(53, port));
  }
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kA).udp(9, 53));  // is not answered
  w.now += 14 * kSecond;
  w.in(kPodA, a_to_b(1));
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).udp(53, 1));
  for (const uint16_t port : {uint16_t{2}, uint16_t{3}, uint16_t{4}}) {
    w.in(kPodA, a_to_b(port));
  }
  ASSERT_EQ(w.connections().size(), 7u);
  ASSERT_EQ(w.connections().embryonic(), 4u);
  w.now += kSecond;
  w.burst(kPodA, {a_to_b(7), from_pod(kPodAMac).ip4(kA, kRemotePod).udp(53, 9)});
  EXPECT_EQ(w.connections().size(), 6u);
  EXPECT_EQ(w.connections().embryonic(), 3u);
  EXPECT_EQ(w.drops(DropReason::ct_endpoint_limit), 2u) << "the answer has no flow any more";
  w.expect_sums();
}

// Also verdict vector 18 of semantics 11, and the rule of 6.3 for a SYN.
TEST(Pipeline, Trap18AnEstablishedFlowOutlivesANewDenyAll) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn));
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53));
  EXPECT_FALSE(w.out(kPodB).empty());
  EXPECT_FALSE(w.out(kPodB).empty());
  EXPECT_FALSE(w.out(kPodA).empty());
  w.change(kDenyAll, false);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kAck));
  EXPECT_FALSE(w.out(kPodB).empty()) << "the next packet of the flow";
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kAck));
  EXPECT_FALSE(w.out(kPodA).empty()) << "and its answer";
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53));
  EXPECT_FALSE(w.out(kPodB).empty()) << "of UDP, too, answered or not";
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 0u);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1001, 80, kSyn));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1001, 53));
  EXPECT_TRUE(w.out(kPodB).empty()) << "new flows are judged anew";
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
  w.expect_sums();
}

TEST(Pipeline, DeniedFlowsLeaveNoEntry) {
  World w(kDenyAll);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  EXPECT_EQ(w.connections().size(), 0u);
}

TEST(Pipeline, TwoPacketsOfANewFlowInOneBurstMakeOneEntry) {
  World w;
  const Bytes packet = from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53).build();
  w.burst(kPodA, {packet, packet});
  EXPECT_EQ(w.connections().size(), 1u);
}

TEST(Pipeline, TwoPacketsOfACutFlowInOneBurstEndOneEntry) {
  World w;
  const Bytes packet = from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53).build();
  w.in(kPodA, packet);
  w.recheck(kDenyAll);
  w.burst(kPodA, {packet, packet});
  EXPECT_EQ(w.drops(DropReason::policy_recheck), 1u);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u) << "the second opens anew";
  EXPECT_EQ(w.connections().size(), 0u);
  w.expect_sums();
}

TEST(Pipeline, RecheckCreditsTheRuleThatAllowsNow) {
  World w;
  const Bytes packet = from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn).build();
  w.in(kPodA, packet);
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  w.recheck(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kAck));
  w.tick();
  EXPECT_EQ(w.carried(0), 2u + 3u) << "egress all, ingress what came before the change";
  EXPECT_EQ(w.carried(1), 1u);
}

TEST(Pipeline, AnotherPodWithTheAddressDoesNotInheritItsConnections) {
  for (const bool tcp : {false, true}) {
    World w;
    const auto packet = [tcp](uint8_t flags) {
      Frame f = from_peer().ip4(kRemotePod, kB);
      return tcp ? f.tcp(1000, 80, flags).build() : f.udp(1000, 53).build();
    };
    w.in(kUplinkPort, packet(kSyn));
    EXPECT_FALSE(w.out(kPodB).empty());
    w.give_b_to_a();
    w.burst(kUplinkPort, {packet(kAck), packet(kAck)});
    EXPECT_TRUE(w.out(kPodA).empty());
    EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
    EXPECT_EQ(w.connections().size(), 0u);
    w.expect_sums();
  }
}

struct DropRow {
  const char* sentence;
  PortId port;
  Bytes frame;
  DropReason reason;
};
TEST(Pipeline, NamesTheReasonOfEveryDrop) {
  const MacAddress far{{2, 0, 0, 0, 0, 0x77}};
  const auto plain = [&](std::string_view src, std::string_view dst) {
    return Frame().ether(kUplinkMac, far).ip4(src, dst).udp(1, 2).build();
  };
  const DropRow rows[] = {
      {"a pod claims another's address", kPodA, from_pod(kPodAMac).ip4(kB, kA).udp(1, 2),
       DropReason::rpf_workload},
      {"an unknown node tunnels", kUplinkPort,
       Frame().ether(kUplinkMac, far).ip4("192.168.100.9", kNode).ip4(kRemotePod, kA).udp(1, 2),
       DropReason::tun_src},
      {"a known node tunnels for a pod that is not its own", kUplinkPort,
       from_peer().ip4(kA, kB).udp(1, 2), DropReason::rpf_tunnel},
      {"a tunnel within the tunnel", kUplinkPort,
       from_peer().ip4(kRemotePod, kA).ip4("1.2.3.4", "5.6.7.8").udp(1, 2),
       DropReason::tun_nested},
      {"the tunnel leads to nobody", kUplinkPort,
       from_peer().ip4(kRemotePod, "8.8.8.8").udp(1, 2), DropReason::tun_dst},
      {"plain from a remote pod", kUplinkPort, plain(kRemotePod, kA), DropReason::rpf_uplink},
      {"plain from a local pod", kUplinkPort, plain(kB, kA), DropReason::rpf_uplink},
      {"transit", kUplinkPort, plain("192.168.100.5", "192.168.100.6"), DropReason::rt_transit},
      {"an unallocated address of our block", kPodA,
       from_pod(kPodAMac).ip4(kA, "10.244.1.99").udp(1, 2), DropReason::rt_blackhole},
      {"nowhere to go", kPodA, from_pod(kPodAMac).ip4(kA, "8.8.8.8").udp(1, 2),
       DropReason::rt_no_route},
      {"a pod tunnels", kPodA, from_pod(kPodAMac).ip4(kA, kB).ip4("1.2.3.4", "5.6.7.8"),
       DropReason::tun_from_workload},
      {"a reply to no question", kPodA, from_pod(kPodAMac).ip4(kA, kB).icmp(0, 0, 5, 1),
       DropReason::icmp_unsolicited},
      {"a SYN+ACK to no SYN", kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1, 2, kSyn | kAck),
       DropReason::ct_invalid},
      {"a wrong checksum", kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2).checksum(0x1234),
       DropReason::l4_checksum},
      {"a later fragment without its first", kPodA,
       from_pod(kPodAMac).ip4(kA, kB).protocol(17).fragment(100, false).payload(64),
       DropReason::frag_no_head},
      {"an error about an unknown flow", kPodA,
       from_pod(kPodAMac)
           .ip4(kA, kB)
           .icmp(3, 1, 0, 0)
           .raw(slice(Frame().ip4(kB, kA).udp(7, 9).build(), 14)),
       DropReason::icmp_unrelated},
      {"no IPv6", kPodA, from_pod(kPodAMac).type(kTypeIp6).payload(60),
       DropReason::ip6_version},
      {"ARP for another's address", kPodA,
       from_pod(kPodAMac).arp(1, kPodAMac, kB, "169.254.1.1"), DropReason::arp_invalid},
      {"the last hop", kPodA, from_pod(kPodAMac).ip4(kA, kB).ttl(1).udp(1, 2),
       DropReason::ip4_ttl},
  };
  for (const DropRow& row : rows) {
    World w;
    w.in(row.port, row.frame);
    w.expect_sums();
    w.now += Fragments::kHoldFor + 1;
    w.tick();
    EXPECT_EQ(w.drops(row.reason), 1u) << row.sentence;
    w.expect_sums();
  }
}

TEST(Pipeline, AnswersArpForEveryAddressButTheAskersOwn) {
  World w;
  w.in(kPodA, Frame().ether(test::kBroadcastMac, kPodAMac).arp(1, kPodAMac, kA, "169.254.1.1"));
  const Bytes reply = w.out(kPodA);
  ASSERT_EQ(reply.size(), 42u);
  EXPECT_EQ(reply[21], 2) << "a reply";
  EXPECT_EQ(slice(reply, 22, 6), Bytes(6, 0xee));
  w.in(kPodA, Frame().ether(test::kBroadcastMac, kPodAMac).arp(1, kPodAMac, kA, kA));
  EXPECT_TRUE(w.out(kPodA).empty());
  w.expect_sums();
}

TEST(Pipeline, TellsTheSenderOfABigPacketTheMtuOfTheTunnel) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).df().udp(1, 2).payload(1472));
  const Bytes error = w.out(kPodA);
  ASSERT_GE(error.size(), 42u);
  EXPECT_EQ(error[34], 3);
  EXPECT_EQ(error[35], 4);
  EXPECT_EQ(test::get16(error, 40), 1480);
  EXPECT_EQ(w.drops(DropReason::mtu_exceeded), 1u);
  w.expect_sums();
}

TEST(Pipeline, TakesTheMtuOfTheTunnelFromTheUplink) {
  World w(kAllowAll, 1, 1400);
  const auto big = [](size_t payload) {
    return from_pod(kPodAMac).ip4(kA, kRemotePod).df().udp(1, 2).raw(Bytes(payload));
  };
  w.in(kPodA, big(1380 - 28));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.in(kPodA, big(1381 - 28));
  EXPECT_TRUE(w.out(kUplinkPort).empty());
  EXPECT_EQ(test::get16(w.out(kPodA), 40), 1380) << "ICMP 3/4 names it";
  w.expect_sums();
}

TEST(Pipeline, CountsWhatIsForAPodWithoutAnInterface) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.close(kPodB);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2));
  EXPECT_EQ(w.drops(DropReason::port_down), 1u);
  w.expect_sums();
}

TEST(Pipeline, FragmentsWhatIsTooBigForTheTunnelAndMayBe) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).udp(1, 2).payload(1472));
  const Bytes first = w.out(kUplinkPort);
  const Bytes second = w.out(kUplinkPort);
  EXPECT_EQ(first.size() + second.size(), 2u * (14 + 20 + 20) + 1480);
  EXPECT_LE(first.size(), 1514u);
  w.expect_sums();
}

TEST(Pipeline, CarriesFragmentsByWhatTheFirstSaid) {
  World w(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).fragment(0, true).udp(1, 2).payload(64));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).protocol(17).fragment(9, false).payload(64));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u) << "all pieces share one verdict";
  World open;
  open.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).fragment(0, true).udp(1, 2).payload(64));
  open.in(kPodA,
          from_pod(kPodAMac).ip4(kA, kB).id(7).protocol(17).fragment(9, false).payload(64));
  EXPECT_FALSE(open.out(kPodB).empty());
  EXPECT_FALSE(open.out(kPodB).empty());
}

TEST(Pipeline, HoldsWhatWaitsForANeighbourAndAsks) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, "192.168.100.50").udp(1, 2));
  const Bytes request = w.out(kUplinkPort);
  ASSERT_EQ(request.size(), 42u);
  EXPECT_EQ(test::get16(request, 12), kTypeArp);
  w.expect_sums();
  const MacAddress answer{{2, 0, 0, 0, 0, 0x50}};
  w.in(kUplinkPort, Frame().ether(kUplinkMac, answer).arp(2, answer, "192.168.100.50", kNode));
  w.tick();
  EXPECT_EQ(slice(w.out(kUplinkPort), 0, 6), Bytes(answer.bytes, answer.bytes + 6));
  w.expect_sums();
}

TEST(Pipeline, DropsWhatWaitedTooLongForANeighbour) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, "192.168.100.50").udp(1, 2));
  w.now += 2000000000;
  w.tick();
  EXPECT_EQ(w.drops(DropReason::neigh_unresolved), 1u);
  w.expect_sums();
}

TEST(Pipeline, OnePodsWaitingPacketsLeaveRoomForAnothers) {
  World w;
  for (uint32_t n = 2; n < 250; ++n) {
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, "192.168.100." + std::to_string(n)).udp(1, 2));
  }
  EXPECT_EQ(w.fate(kPodA, Fate::held), 128u);
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, "192.168.100.251").udp(1, 2));
  EXPECT_EQ(w.fate(kPodB, Fate::held), 1u);
  w.expect_sums();
}

TEST(Pipeline, LetsTheNodeReachItsPodsUnjudgedAndTheAnswerReturn) {
  World w(kDenyAll);
  w.in(kHostPort, Frame().ether(kHostMac, kKernelMac).ip4(kNode, kB).tcp(9, 80, kSyn));
  const Bytes request = w.out(kPodB);
  ASSERT_FALSE(request.empty());
  EXPECT_EQ(request[22], 64) << "the node's own packet keeps its TTL";
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kNode).tcp(80, 9, kSyn | kAck));
  EXPECT_EQ(slice(w.out(kHostPort), 0, 6), Bytes(kKernelMac.bytes, kKernelMac.bytes + 6));
  w.expect_sums();
}

TEST(Pipeline, LetsRelatedErrorsThrough) {
  World w;
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kA).udp(7, 9));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kPodA, from_pod(kPodAMac)
                  .ip4(kA, kRemotePod)
                  .icmp(3, 3, 0, 0)
                  .raw(slice(Frame().ip4(kRemotePod, kA).udp(7, 9).build(), 14)));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.expect_sums();
}

TEST(Pipeline, CarriesAFlowBetweenPodsOfTwoWorkers) {
  World w(kAllow80, 2);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kB).tcp(5, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kRemotePod).tcp(80, 5, kSyn | kAck));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  EXPECT_EQ(w.connections(0).size(), 1u);
  EXPECT_EQ(w.connections(1).size(), 2u);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  w.expect_sums();
}

TEST(Pipeline, TheSweepGoesThroughAsMuchOfTheTableAsTimeHasPassed) {
  World w;
  for (uint16_t n = 0; n < 400; ++n) {
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(static_cast<uint16_t>(1000 + n), 53));
  }
  ASSERT_EQ(w.connections().size(), 400u);
  w.now += 29 * kSecond;
  w.age();
  EXPECT_EQ(w.connections().size(), 400u);
  w.now += 2 * kSecond;  // all have expired; of two seconds' debt one round is paid
  w.age();
  EXPECT_EQ(w.connections().size(), 0u);
  for (uint16_t n = 0; n < 400; ++n) {
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(static_cast<uint16_t>(1000 + n), 53));
  }
  w.now += 29 * kSecond + kSecond * 9 / 10;
  w.age();
  EXPECT_EQ(w.connections().size(), 400u);
  for (const uint32_t left : {300u, 200u, 100u, 0u}) {
    w.now += kSecond / 4;
    w.age();
    EXPECT_EQ(w.connections().size(), left);
  }
}

TEST(Pipeline, ARefusedConnectionLeavesNothing) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn, 500));
  ASSERT_EQ(w.connections().size(), 1u);
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, tcp::kRst | kAck, 0, 501));
  EXPECT_FALSE(w.out(kPodA).empty());
  EXPECT_EQ(w.connections().size(), 0u);
  EXPECT_EQ(w.connections().opened_by(0), 0u);
  w.expect_sums();
}

}  // namespace
}  // namespace sluice::test
