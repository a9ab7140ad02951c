// SPDX-License-Identifier: Apache-2.0
// Sizes on the way through the tunnel, and the ICMP errors about them (reliability 5).
#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

constexpr std::string_view kRouter = "192.168.100.1";

Bytes of_size(size_t bytes, bool df = true, std::string_view to = kRemotePod) {
  Frame made = from_pod(kPodAMac).ip4(kA, to);
  if (df) {
    made.df();
  }
  return made.udp(1, 2).payload(bytes - 28);
}

// A router's 3/4 about an outer packet `from` sent `to`.
Frame too_big(uint16_t mtu, std::string_view from = kNode, std::string_view to = kPeer,
              uint8_t protocol = proto::kIpip) {
  const Bytes quoted =
      slice(Frame().ip4(from, to).df().protocol(protocol).payload(28).build(), 14);
  return Frame()
      .ether(kUplinkMac, kRemoteMac)
      .ip4(kRouter, kNode)
      .icmp(3, 4, 0, mtu)
      .raw(quoted);
}

// The MTU that the pod is told about a packet of that size; 0: it went through.
unsigned told(World& w, size_t bytes) {
  w.now += 2 * kSecond;
  w.in(kPodA, of_size(bytes));
  const Bytes error = w.out(kPodA);
  EXPECT_EQ(error.empty(), !w.out(kUplinkPort).empty());
  return error.empty() ? 0 : test::get16(error, 40);
}

TEST(PipelineTunnel, LearnsThePathsMtuFromTheNetworkOutside) {
  World w;
  EXPECT_EQ(told(w, 1480), 0u);
  w.in(kUplinkPort, too_big(1300));
  EXPECT_EQ(w.fate(kUplinkPort, Fate::consumed), 1u);
  EXPECT_EQ(told(w, 1281), 1280u);
  EXPECT_EQ(told(w, 1280), 0u);
  w.in(kUplinkPort, too_big(1400));
  EXPECT_EQ(told(w, 1281), 1280u) << "it may only become less";
  w.in(kUplinkPort, too_big(576));
  EXPECT_EQ(told(w, 557), 556u);
  w.now += 590 * kSecond;
  EXPECT_EQ(told(w, 557), 556u);
  w.now += 10 * kSecond;
  EXPECT_EQ(told(w, 1480), 0u) << "after 600 s it is tried again";
  w.expect_sums();
}

TEST(PipelineTunnel, CutsBeforeTheTunnelWhatMayBeCut) {
  World w;
  w.in(kUplinkPort, too_big(1300));
  w.in(kPodA, of_size(1400, false));
  for (const size_t expected : {1276u + 20 + 14, 124u + 20 + 20 + 14}) {
    EXPECT_EQ(w.out(kUplinkPort).size(), expected);
  }
  EXPECT_TRUE(w.out(kUplinkPort).empty());
  w.expect_sums();
}

TEST(PipelineTunnel, BelievesOnlyWhatQuotesItsOwnPacketToAPeer) {
  struct Row {
    const char* sentence;
    PortId port;
    Bytes frame;
    DropReason reason;
  };
  const Row rows[] = {
      {"another node's packet", kUplinkPort, too_big(1300, "192.168.100.9"),
       DropReason::icmp_quote_mismatch},
      {"to no peer", kUplinkPort, too_big(1300, kNode, "192.168.100.50"),
       DropReason::icmp_unrelated},
      {"another protocol", kUplinkPort, too_big(1300, kNode, kPeer, 47),
       DropReason::icmp_unrelated},
      {"less than 576", kUplinkPort, too_big(575), DropReason::icmp_quote_mismatch},
      {"less than any IPv4 link", kUplinkPort, too_big(67), DropReason::icmp_quote_mismatch},
      {"no MTU at all", kUplinkPort, too_big(0), DropReason::icmp_quote_mismatch},
      {"a wrong checksum", kUplinkPort,
       Frame()
           .ether(kUplinkMac, kRemoteMac)
           .ip4(kRouter, kNode)
           .icmp(3, 4, 0, 1300)
           .checksum(1)
           .raw(slice(Frame().ip4(kNode, kPeer).protocol(4).payload(28).build(), 14)),
       DropReason::l4_checksum},
      {"from a pod", kPodA,
       from_pod(kPodAMac)
           .ip4(kA, kNode)
           .icmp(3, 4, 0, 1300)
           .raw(slice(Frame().ip4(kNode, kPeer).protocol(4).payload(28).build(), 14)),
       DropReason::icmp_unrelated},
      {"out of the tunnel", kUplinkPort,
       from_peer()
           .ip4(kRemotePod, kNode)
           .icmp(3, 4, 0, 1300)
           .raw(slice(Frame().ip4(kNode, kPeer).protocol(4).payload(28).build(), 14)),
       DropReason::icmp_unrelated},
      {"unreachable for another reason", kUplinkPort,
       Frame()
           .ether(kUplinkMac, kRemoteMac)
           .ip4(kRouter, kNode)
           .icmp(3, 1, 0, 1300)
           .raw(slice(Frame().ip4(kNode, kPeer).protocol(4).payload(28).build(), 14)),
       DropReason::icmp_unrelated},
      {"cut short", kUplinkPort,
       Frame()
           .ether(kUplinkMac, kRemoteMac)
           .ip4(kRouter, kNode)
           .icmp(3, 4, 0, 1300)
           .raw(slice(Frame().ip4(kNode, kPeer).protocol(4).payload(28).build(), 14, 27)),
       DropReason::icmp_quote},
      {"a router that claims a pod's address", kUplinkPort,
       Frame()
           .ether(kUplinkMac, kRemoteMac)
           .ip4(kRemotePod, kNode)
           .icmp(3, 4, 0, 1300)
           .raw(slice(Frame().ip4(kNode, kPeer).protocol(4).payload(28).build(), 14)),
       DropReason::rpf_uplink},
  };
  for (const Row& row : rows) {
    World w;
    w.in(row.port, row.frame);
    EXPECT_EQ(w.drops(row.reason), 1u) << row.sentence;
    EXPECT_EQ(told(w, 1480), 0u) << row.sentence;
    w.expect_sums();
  }
}

TEST(PipelineTunnel, TellsASenderOnceASecondOfADestination) {
  World w;
  for (int i = 0; i < 3; ++i) {
    w.in(kPodA, of_size(1481));
  }
  EXPECT_FALSE(w.out(kPodA).empty());
  EXPECT_TRUE(w.out(kPodA).empty());
  EXPECT_EQ(w.suppressed(), 2u);
  w.in(kPodA, of_size(1481, true, "10.244.2.6"));
  EXPECT_FALSE(w.out(kPodA).empty()) << "of another destination at once";
  w.in(kUplinkPort, too_big(1300));
  w.in(kPodA, of_size(1481));
  EXPECT_EQ(test::get16(w.out(kPodA), 40), 1280) << "and another size";
  w.now += kSecond;
  w.in(kPodA, of_size(1481));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.expect_sums();
}

TEST(PipelineTunnel, TellsAtMostAThousandASecondInBurstsOfFifty) {
  World w;
  const auto told_in = [&w](uint32_t packets, Nanos apart) {
    static uint16_t port = 1;
    unsigned n = 0;
    for (uint32_t i = 0; i < packets; ++i) {
      w.now += apart;
      w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).ttl(1).udp(++port, 2));
      n += w.out(kPodA).empty() ? 0 : 1;
    }
    return n;
  };
  EXPECT_EQ(told_in(200, 0), 50u);
  EXPECT_EQ(w.suppressed(), 150u);
  w.now += kSecond;
  EXPECT_EQ(told_in(100, 0), 50u) << "no more credit than a burst";
  const unsigned n = told_in(1000, kSecond / 1000 / 2);
  EXPECT_NEAR(n, 500, 5);
  w.expect_sums();
}

TEST(PipelineTunnel, EachOfManyWorkersTellsItsPart) {
  World w(kAllowAll, 64);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).ttl(1).udp(1, 2));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).ttl(1).udp(2, 2));
  EXPECT_TRUE(w.out(kPodA).empty());
  w.now += 64 * kSecond / 1000;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).ttl(1).udp(3, 2));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.expect_sums();
}

TEST(PipelineTunnel, NeverAnswersWithAnErrorWhatMayNotBeAnswered) {
  struct Row {
    const char* sentence;
    PortId port;
    Bytes frame;
  };
  const Row rows[] = {
      {"an error", kPodA,
       from_pod(kPodAMac)
           .ip4(kA, kB)
           .ttl(1)
           .icmp(3, 3, 0, 0)
           .raw(slice(Frame().ip4(kB, kA).udp(7, 9).build(), 14))},
      {"a later fragment", kPodA,
       from_pod(kPodAMac).ip4(kA, kB).ttl(1).id(7).fragment(3, false).protocol(17).payload(8)},
      {"a group", kPodA, from_pod(kPodAMac).ip4(kA, "224.0.0.5").ttl(1).udp(1, 2)},
      {"everyone", kPodA, from_pod(kPodAMac).ip4(kA, "255.255.255.255").ttl(1).udp(1, 2)},
      {"everyone on the uplink", kPodA,
       from_pod(kPodAMac).ip4(kA, "192.168.100.255").ttl(1).udp(1, 2)},
      {"a frame to everyone", kPodA,
       Frame().ether(kBroadcastMac, kPodAMac).ip4(kA, kB).ttl(1).udp(1, 2)},
      {"a pod that lies", kPodA, from_pod(kPodAMac).ip4(kB, kA).ttl(1).udp(1, 2)},
      {"a tunnel that lies", kUplinkPort, from_peer().ip4(kA, kB).ttl(1).udp(1, 2)},
      {"an outsider that lies", kUplinkPort,
       Frame().ether(kUplinkMac, kRemoteMac).ip4(kB, kA).ttl(1).udp(1, 2)},
      {"TTL 0", kPodA, from_pod(kPodAMac).ip4(kA, kB).ttl(0).udp(1, 2)},
  };
  for (const Row& row : rows) {
    World w;
    // So that a later fragment is judged at all.
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).fragment(0, true).udp(1, 2).payload(16));
    EXPECT_FALSE(w.out(kPodB).empty());
    w.in(row.port, row.frame);
    for (const PortId port : {kUplinkPort, kHostPort, kPodA, kPodB}) {
      EXPECT_TRUE(w.out(port).empty()) << row.sentence << ", port " << port;
    }
    EXPECT_EQ(w.fate(row.port, Fate::dropped), 1u) << row.sentence;
    w.expect_sums();
  }
}

TEST(PipelineTunnel, CountsWhichHeaderTheReasonIsAbout) {
  World w(kAllow80);
  w.in(kUplinkPort, from_peer().checksum(1).ip4(kRemotePod, kA).udp(1, 2));
  w.in(kUplinkPort, from_peer().fragment(0, true).ip4(kRemotePod, kA).udp(1, 2));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).checksum(1).udp(1, 2));
  EXPECT_EQ(w.drops(DropReason::ip4_checksum), 2u);
  EXPECT_EQ(w.inner_drops(DropReason::ip4_checksum), 0u);
  EXPECT_EQ(w.inner_drops(DropReason::tun_fragment), 0u);
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kA).checksum(1).udp(1, 2));
  EXPECT_EQ(w.drops(DropReason::ip4_checksum), 3u);
  EXPECT_EQ(w.inner_drops(DropReason::ip4_checksum), 1u);
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kB).tcp(1, 81, kSyn));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1, 81, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
  EXPECT_EQ(w.inner_drops(DropReason::policy_deny_ingress), 1u);
  w.expect_sums();
}

// The steps of decapsulation in their order: of two that fail, the first names the reason.
TEST(PipelineTunnel, TheFirstStepThatFailsNamesTheReason) {
  struct Row {
    const char* sentence;
    Bytes frame;
    DropReason reason;
  };
  const auto outer = [](std::string_view src) {
    return Frame().ether(kUplinkMac, kRemoteMac).ip4(src, kNode);
  };
  constexpr std::string_view kStranger = "192.168.100.9", kWorld = "203.0.113.7";
  const Row rows[] = {
      {"a fragment from a stranger", outer(kStranger).fragment(0, true).ip4(kRemotePod, kA),
       DropReason::tun_fragment},
      {"a stranger's broken inner header", outer(kStranger).ip4(kRemotePod, kA).checksum(1),
       DropReason::tun_src},
      {"a broken inner header that is nested", outer(kPeer).ip4(kA, kB).checksum(1).protocol(4),
       DropReason::ip4_checksum},
      {"nested, and the source lies", outer(kPeer).ip4(kA, kB).ip4("1.2.3.4", "5.6.7.8"),
       DropReason::tun_nested},
      {"the source lies and the destination is nobody's",
       outer(kPeer).ip4(kA, kWorld).udp(1, 2), DropReason::rpf_tunnel},
      {"nobody's, and congestion was met",
       outer(kPeer).tos(3).ip4(kRemotePod, kWorld).udp(1, 2), DropReason::tun_dst},
      {"congestion, and the last hop", outer(kPeer).tos(3).ip4(kRemotePod, kA).ttl(1).udp(1, 2),
       DropReason::tun_ecn},
  };
  for (const Row& row : rows) {
    World w;
    w.in(kUplinkPort, row.frame);
    EXPECT_EQ(w.drops(row.reason), 1u) << row.sentence;
    w.expect_sums();
  }
}

}  // namespace
}  // namespace sluice::test
