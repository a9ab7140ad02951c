// SPDX-License-Identifier: Apache-2.0
// IPv6 through the pipeline: forwarded and policed as IPv4 is, neighbour discovery, ICMPv6.
#include "fastpath/ip6.h"
#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

constexpr std::string_view kGateway6 =
    "fe80::ecee:eeff:feee:eeee";  // of a pod's port, Calico's

Frame from_far() {
  return Frame().ether(kUplinkMac, kRemoteMac);
}
MacAddress group_of(uint8_t a, uint8_t b, uint8_t c) {
  return {{0x33, 0x33, 0xff, a, b, c}};
}

TEST(PipelineIp6, CarriesPodToPodWithOneHopLess) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).hops(9).tcp(1000, 80, kSyn));
  EXPECT_EQ(w.out(kPodB),
            Frame().ether(kPodBMac, kCalico).ip6(kA6, kB6).hops(8).tcp(1000, 80, kSyn).build());
  w.in(kPodB, from_pod(kPodBMac).ip6(kB6, kA6).tcp(80, 1000, kSyn | kAck, 1, 2));
  EXPECT_FALSE(w.out(kPodA).empty());
  ASSERT_EQ(w.connections().size(), 1u);
  EXPECT_EQ(w.connections().flow(0).source(), ip6(kA6));
  EXPECT_EQ(w.connections().flow(0).destination(), ip6(kB6));
  w.expect_sums();
}

TEST(PipelineIp6, FinishesChecksumsThatTheSenderLeftOpen) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).udp(5, 6).unfinished().payload(31));
  EXPECT_EQ(
      w.out(kPodB),
      Frame().ether(kPodBMac, kCalico).ip6(kA6, kB6).hops(63).udp(5, 6).payload(31).build());
  w.expect_sums();
}

TEST(PipelineIp6, GoesOutByTheGatewayAndComesBackInPlain) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kFar6).udp(5, 53));
  EXPECT_EQ(w.out(kUplinkPort),
            Frame().ether(kRemoteMac, kUplinkMac).ip6(kA6, kFar6).hops(63).udp(5, 53).build());
  w.in(kUplinkPort, from_far().ip6(kFar6, kA6).udp(53, 5));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kUplinkPort, from_far().ip6(kFar6, kA6).echo6(7));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kFar6).icmp6(129, 0, 7, 1));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  EXPECT_EQ(w.connections().size(), 2u);
  w.expect_sums();
}

TEST(PipelineIp6, IsJudgedByTheSamePolicies) {
  World w(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).tcp(1000, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).tcp(1000, 81, kSyn));
  EXPECT_TRUE(w.out(kPodB).empty());
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  w.recheck(kDenyAll);
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).tcp(1000, 80, kAck, 2, 1));
  EXPECT_EQ(w.drops(DropReason::policy_recheck), 1u);
  w.expect_sums();
}

TEST(PipelineIp6, PuntsWhatIsForTheNode) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kNode6).tcp(1000, 22, kSyn));
  const Bytes punted = w.out(kHostPort);
  EXPECT_EQ(punted,
            Frame().ether(kKernelMac, kHostMac).ip6(kA6, kNode6).tcp(1000, 22, kSyn).build());
  EXPECT_EQ(w.fate(kPodA, Fate::punted), 1u);
  w.in(kHostPort,
       Frame().ether(kHostMac, kKernelMac).ip6(kNode6, kA6).tcp(22, 1000, kSyn | kAck, 1, 2));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.expect_sums();
}

TEST(PipelineIp6, NamesTheReasonOfEveryDrop) {
  const auto a_to_b = [] { return from_pod(kPodAMac).ip6(kA6, kB6); };
  const struct {
    const char* sentence;
    PortId port;
    Bytes frame;
    DropReason reason;
  } rows[] = {
      {"shorter than its header", kPodA, a_to_b().cut(53), DropReason::ip6_truncated},
      {"of another version", kPodA, a_to_b().set_first(0x40).udp(1, 2),
       DropReason::ip6_version},
      {"longer than the frame", kPodA, a_to_b().length(9).udp(1, 2), DropReason::ip6_len},
      {"nine headers", kPodA,
       [&] {
         Frame f = a_to_b();
         for (int i = 0; i < 9; ++i) {
           f.extension(60, Bytes(8));
         }
         return f.udp(1, 2).build();
       }(),
       DropReason::ip6_ext},
      {"over 256 bytes of headers", kPodA,
       a_to_b()
           .extension(60,
                      [] {
                        Bytes b(264);
                        b[1] = 32;
                        return b;
                      }())
           .udp(1, 2),
       DropReason::ip6_ext},
      {"hop-by-hop options not first", kPodA,
       a_to_b().extension(60, Bytes(8)).extension(0, Bytes(8)).udp(1, 2), DropReason::ip6_ext},
      {"a routing header of type 0", kPodA, a_to_b().extension(43, Bytes(8)).udp(1, 2),
       DropReason::ip6_ext},
      {"a chain that is cut off", kPodA, a_to_b().extension(60, {0, 3, 0, 0, 0, 0, 0, 0}),
       DropReason::ip6_ext},
      {"two fragment headers", kPodA,
       a_to_b().fragment6(1, 0, false).fragment6(1, 0, true).udp(1, 2), DropReason::ip6_ext},
      {"from loopback", kPodA, from_pod(kPodAMac).ip6("::1", kB6).udp(1, 2),
       DropReason::ip6_src},
      {"from nobody", kPodA, from_pod(kPodAMac).ip6("::", kB6).udp(1, 2), DropReason::ip6_src},
      {"from a group", kPodA, from_pod(kPodAMac).ip6("ff02::1", kB6).udp(1, 2),
       DropReason::ip6_src},
      {"from a mapped address", kPodA,
       from_pod(kPodAMac).ip6("::ffff:10.244.1.2", kB6).udp(1, 2), DropReason::ip6_src},
      {"from a link-local address", kPodA, from_pod(kPodAMac).ip6("fe80::2", kB6).udp(1, 2),
       DropReason::ip6_src},
      {"to itself", kPodA, from_pod(kPodAMac).ip6(kA6, kA6).udp(1, 2), DropReason::ip6_src},
      {"to a group", kPodA, from_pod(kPodAMac).ip6(kA6, "ff0e::1").udp(1, 2),
       DropReason::ip6_dst},
      {"to a mapped address", kPodA, from_pod(kPodAMac).ip6(kA6, "::ffff:10.244.1.3").udp(1, 2),
       DropReason::ip6_dst},
      {"one packet in a group's frame", kPodA,
       Frame().ether(group_of(0, 0, 3), kPodAMac).ip6(kA6, kB6).udp(1, 2),
       DropReason::l2_bad_dst},
      {"no hops left", kPodA, a_to_b().hops(0).udp(1, 2), DropReason::ip6_hop},
      {"the last hop", kPodA, a_to_b().hops(1).udp(1, 2), DropReason::ip6_hop},
      {"another's source", kPodA, from_pod(kPodAMac).ip6(kB6, kA6).udp(1, 2),
       DropReason::rpf_workload},
      {"a pod's source from outside", kUplinkPort, from_far().ip6(kA6, kB6).udp(1, 2),
       DropReason::rpf_uplink},
      {"from outside to outside", kUplinkPort, from_far().ip6(kFar6, "fd00:98::1").udp(1, 2),
       DropReason::rt_transit},
      {"an address that nobody has", kPodA, from_pod(kPodAMac).ip6(kA6, "fd00:1::9").udp(1, 2),
       DropReason::rt_blackhole},
      {"UDP without a checksum", kPodA, a_to_b().udp(1, 2).checksum(0),
       DropReason::l4_checksum},
      {"a wrong ICMPv6 checksum", kPodA, a_to_b().echo6(3).checksum(0xbeef),
       DropReason::l4_checksum},
      {"an answer to nothing", kPodA, a_to_b().icmp6(129, 0, 3, 1),
       DropReason::icmp_unsolicited},
      {"a mobile prefix solicitation", kPodA, a_to_b().icmp6(146, 0, 3, 1),
       DropReason::icmp_type},
      {"an error about nothing known", kPodB,
       from_pod(kPodBMac).ip6(kB6, kA6).icmp6(1, 4, 0, 0).ip6(kA6, kB6).udp(77, 78),
       DropReason::icmp_unrelated},
      {"a size below 1280", kPodB,
       from_pod(kPodBMac).ip6(kB6, kA6).icmp6(2, 0, 0, 1279).ip6(kA6, kB6).udp(77, 78),
       DropReason::icmp_quote_mismatch},
      {"a tunnel of its own", kPodA, a_to_b().ip6(kA6, kB6).udp(1, 2),
       DropReason::tun_from_workload},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.sentence);
    World w;
    w.in(row.port, row.frame);
    EXPECT_EQ(w.drops(row.reason), 1u);
    EXPECT_EQ(w.fate(row.port, Fate::dropped), 1u);
    w.expect_sums();
  }
}

TEST(PipelineIp6, SeesThroughExtensionHeaders) {
  World w(kAllow80);
  const auto with = [](uint16_t port) {
    return from_pod(kPodAMac)
        .ip6(kA6, kB6)
        .extension(0, {0, 0, 1, 4, 0, 0, 0, 0})
        .extension(60, Bytes(16, 0))
        .tcp(1000, port, kSyn);
  };
  Bytes hidden = with(81);
  hidden[14 + 40 + 8 + 1] = 1;  // the second header is 16 bytes long
  Bytes open = with(80);
  open[14 + 40 + 8 + 1] = 1;
  w.in(kPodA, hidden);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  w.in(kPodA, open);
  EXPECT_FALSE(w.out(kPodB).empty());
  w.expect_sums();
}

TEST(PipelineIp6, WithIp6OffKeepsItFromPodsAndLeavesTheNodesToTheKernel) {
  for (const bool punt : {true, false}) {
    World w;
    w.edit([punt](Generation& g) {
      g.options.ip6 = false;
      g.options.uplink_ip6_punt = punt;
    });
    w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).udp(1, 2));
    EXPECT_EQ(w.drops(DropReason::ip6_disabled), 1u);
    w.in(kUplinkPort, from_far().ip6(kFar6, kNode6).udp(1, 2));
    EXPECT_EQ(w.out(kHostPort).empty(), !punt);
    EXPECT_EQ(w.drops(DropReason::ip6_disabled), punt ? 1u : 2u);
    w.expect_sums();
  }
}

// ---- ICMPv6 ------------------------------------------------------------------------------

TEST(PipelineIp6, TellsASenderHowMuchFits) {
  World w(kAllowAll, 1, 1400);
  const Frame big = from_pod(kPodAMac).ip6(kA6, kFar6).udp(5, 6).payload(1353);
  w.in(kPodA, big);
  EXPECT_TRUE(w.out(kUplinkPort).empty());
  EXPECT_EQ(w.drops(DropReason::mtu_exceeded), 1u);
  const Bytes quoted = slice(big.build(), 14, 1232);
  EXPECT_EQ(w.out(kPodA), Frame()
                              .ether(kPodAMac, kCalico)
                              .ip6(kNode6, kA6)
                              .icmp6(2, 0, 0, 1400)
                              .raw(quoted)
                              .build());
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kFar6).udp(5, 6).payload(1352));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.expect_sums();
}

TEST(PipelineIp6, TellsWhereTheHopsRanOut) {
  World w;
  const Frame last = from_pod(kPodAMac).ip6(kA6, kFar6).hops(1).udp(5, 6);
  w.in(kPodA, last);
  EXPECT_EQ(w.out(kPodA), Frame()
                              .ether(kPodAMac, kCalico)
                              .ip6(kNode6, kA6)
                              .icmp6(3, 0, 0, 0)
                              .raw(slice(last.build(), 14))
                              .build());
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kFar6).hops(0).udp(5, 6));
  EXPECT_TRUE(w.out(kPodA).empty());
  w.expect_sums();
}

TEST(PipelineIp6, LetsErrorsThroughThatBelongToAFlow) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kFar6).udp(5, 6));
  const auto error = [](uint16_t port) {
    return from_far().ip6("fd00:98::1", kA6).icmp6(2, 0, 0, 1300).ip6(kA6, kFar6).udp(5, port);
  };
  w.in(kUplinkPort, error(6));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kUplinkPort, error(7));
  EXPECT_EQ(w.drops(DropReason::icmp_unrelated), 1u);
  w.expect_sums();
}

// ---- fragments ---------------------------------------------------------------------------

TEST(PipelineIp6, FragmentsShareTheVerdictOfTheFirst) {
  World w(kAllow80);
  const auto piece = [](uint32_t id, uint16_t offset, bool more) {
    return from_pod(kPodAMac).ip6(kA6, kB6).fragment6(id, offset, more);
  };
  w.burst(kPodA, {piece(0x10001, 0, true).tcp(1000, 80, kSyn).payload(12),
                  piece(0x10001, 4, false).payload(5),
                  piece(0x20001, 0, true).tcp(1000, 81, kSyn).payload(12),
                  piece(0x20001, 4, false).payload(5)});
  EXPECT_EQ(w.fate(kPodA, Fate::forwarded), 2u);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
  w.in(kPodA, piece(0x30001, 0, true).extension(60, Bytes(8)).tcp(1000, 80, kSyn).payload(4));
  w.in(kPodA, piece(0x30001, 4, false).payload(8));
  EXPECT_EQ(w.fate(kPodA, Fate::forwarded), 4u) << "the later piece names another protocol";
  w.in(kPodA, piece(4, 0, true).extension(60, {0, 9, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(w.drops(DropReason::ip6_ext), 1u);
  w.in(kPodA, piece(5, 0, true).tcp(1000, 80, kSyn).payload(12));
  w.in(kPodA, piece(5, 2, true).payload(16));
  EXPECT_EQ(w.drops(DropReason::frag_overlap), 1u);
  w.in(kPodA, piece(6, 0, false).tcp(1000, 80, kSyn));
  EXPECT_EQ(w.fate(kPodA, Fate::forwarded), 6u) << "an atomic fragment is a whole packet";
  w.expect_sums();
}

// ---- neighbour discovery -----------------------------------------------------------------

TEST(PipelineIp6, AnswersPodsForTheirGatewayAndForOthers) {
  const struct {
    const char* sentence;
    Frame question;
    std::string_view target;
    bool answered;
  } rows[] = {
      {"its gateway", Frame().ip6(kA6, "ff02::1:ffee:eeee"), kGateway6, true},
      {"another pod", Frame().ip6(kA6, "ff02::1:ff00:3"), kB6, true},
      {"far away", Frame().ip6("fe80::2", "ff02::1:ff00:5"), kFar6, true},
      {"itself", Frame().ip6("fe80::2", "ff02::1:ff00:2"), kA6, false},
      {"is my address free?", Frame().ip6("::", "ff02::1:ff00:2"), kA6, false},
      {"somebody link-local", Frame().ip6(kA6, "ff02::1:ff00:9"), "fe80::9", false},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.sentence);
    World w;
    Frame question = row.question;
    question.ether(group_of(0, 0, 1), kPodAMac).hops(255).nd(135, row.target, kPodAMac);
    w.in(kPodA, question);
    const Bytes answer = w.out(kPodA);
    ASSERT_EQ(!answer.empty(), row.answered);
    EXPECT_EQ(w.fate(kPodA, Fate::consumed), 1u);
    if (row.answered) {
      const std::string asker = to_string(ip6(row.target == kFar6 ? "fe80::2" : kA6));
      Frame expected;
      expected.ether(kPodAMac, kCalico)
          .ip6(row.target, asker)
          .hops(255)
          .nd(136, row.target, kCalico);
      Bytes wanted = expected.build();
      EXPECT_EQ(slice(answer, 0, 56), slice(wanted, 0, 56));
      EXPECT_EQ(answer[58], 0xc0) << "a router's, solicited";
      EXPECT_EQ(slice(answer, 62), slice(wanted, 62));
    }
    w.expect_sums();
  }
}

TEST(PipelineIp6, RefusesNeighbourDiscoveryThatLies) {
  const auto ask = [] { return Frame().ether(group_of(0, 0, 1), kPodAMac); };
  const struct {
    const char* sentence;
    Bytes frame;
    DropReason reason;
  } rows[] = {
      {"from another link", ask().ip6(kA6, "ff02::1:ff00:3").hops(254).nd(135, kB6, kPodAMac),
       DropReason::ip6_hop},
      {"another's address", ask().ip6(kB6, "ff02::1:ff00:9").hops(255).nd(135, kFar6, kPodAMac),
       DropReason::rpf_workload},
      {"I have another's", ask().ip6(kA6, "ff02::1").hops(255).nd(136, kB6, kPodAMac),
       DropReason::rpf_workload},
      {"cut short", ask().ip6(kA6, "ff02::1").hops(255).icmp6(135, 0, 0, 0),
       DropReason::l4_truncated},
      {"wrong checksum", ask().ip6(kA6, "ff02::1").hops(255).nd(135, kB6, kPodAMac).checksum(7),
       DropReason::l4_checksum},
      {"I am a router", ask().ip6("fe80::2", "ff02::1").hops(255).icmp6(134, 0, 0, 0),
       DropReason::icmp_type},
      {"who has a group?", ask().ip6(kA6, "ff02::1").hops(255).nd(135, "ff02::1", kPodAMac),
       DropReason::icmp_type},
      {"who has a mapped address?",
       ask().ip6(kA6, "ff02::1").hops(255).nd(135, "::ffff:10.0.0.1", kPodAMac),
       DropReason::icmp_type},
      {"from a group", ask().ip6("ff02::1", "ff02::1").hops(255).nd(135, kB6, kPodAMac),
       DropReason::ip6_src},
      {"go another way", ask().ip6("fe80::2", kA6).hops(255).icmp6(137, 0, 0, 0),
       DropReason::icmp_type},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.sentence);
    World w;
    w.in(kPodA, row.frame);
    EXPECT_EQ(w.drops(row.reason), 1u);
    EXPECT_TRUE(w.out(kPodA).empty());
    w.expect_sums();
  }
}

TEST(PipelineIp6, AsksForANeighbourAndSendsWhatWaited) {
  World w;
  constexpr std::string_view kStranger = "fd00:64::7:89ab";
  constexpr MacAddress kStrangerMac{{2, 0, 0, 0, 7, 7}};
  const Bytes packet = from_pod(kPodAMac).ip6(kA6, kStranger).udp(5, 6);
  w.in(kPodA, packet);
  EXPECT_EQ(w.fate(kPodA, Fate::held), 1u);
  const Bytes asked = w.out(kUplinkPort);
  EXPECT_EQ(asked, Frame()
                       .ether(group_of(0x07, 0x89, 0xab), kUplinkMac)
                       .ip6(kNode6, "ff02::1:ff07:89ab")
                       .hops(255)
                       .nd(135, kStranger, kUplinkMac)
                       .build());
  w.in(kUplinkPort, Frame()
                        .ether(kUplinkMac, kStrangerMac)
                        .ip6(kStranger, kNode6)
                        .hops(255)
                        .nd(136, kStranger, kStrangerMac));
  w.tick();
  const Bytes sent = w.out(kUplinkPort);
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(slice(sent, 0, 6), Bytes(kStrangerMac.bytes, kStrangerMac.bytes + 6));
  w.expect_sums();
}

TEST(PipelineIp6, AnswersForTheNodeOnAnUplinkThatIsOurs) {
  World w;
  w.in(kUplinkPort, Frame()
                        .ether(group_of(0, 1, 0x11), kRemoteMac)
                        .ip6(kPeer6, "ff02::1:ff00:111")
                        .hops(255)
                        .nd(135, kNode6, kRemoteMac));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.in(kUplinkPort, Frame()
                        .ether(group_of(0, 0, 2), kRemoteMac)
                        .ip6(kPeer6, "ff02::1:ff00:2")
                        .hops(255)
                        .nd(135, kA6, kRemoteMac));
  EXPECT_TRUE(w.out(kUplinkPort).empty());
  EXPECT_EQ(w.fate(kUplinkPort, Fate::consumed), 2u);
  w.expect_sums();
}

Frame advertised(std::string_view who, MacAddress mac, std::string_view to) {
  return Frame().ether(kUplinkMac, mac).ip6(kPeer6, to).hops(255).nd(136, who, mac);
}
constexpr MacAddress kLiar{{2, 0, 0, 0, 6, 6}};

// The kernel tells us who its neighbours are; a frame to a pod's address gets here all the
// same.
TEST(PipelineIp6, LearnsNothingOnAnUplinkOfTheKernels) {
  World w;
  w.kernel_uplink();
  for (const std::string_view who : {kPeer6, std::string_view("::ffff:192.168.100.112")}) {
    w.in(kUplinkPort, advertised(who, kLiar, kA6));
  }
  EXPECT_EQ(w.fate(kUplinkPort, Fate::consumed), 2u);
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kFar6).udp(5, 6));
  EXPECT_EQ(slice(w.out(kUplinkPort), 0, 6), Bytes(kRemoteMac.bytes, kRemoteMac.bytes + 6));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).udp(5, 6));
  EXPECT_EQ(slice(w.out(kUplinkPort), 0, 6), Bytes(kRemoteMac.bytes, kRemoteMac.bytes + 6));
  w.expect_sums();
}

TEST(PipelineIp6, StrangersOnTheLinkFillNoTable) {
  World w;
  for (uint32_t n = 0; n < 1000; ++n) {
    const std::string who = to_string(Address{uint64_t{0xfe80} << 48, n + 1});
    w.in(kUplinkPort,
         Frame().ether(kUplinkMac, kLiar).ip6(who, kNode6).hops(255).nd(135, kNode6, kLiar));
    w.out(kUplinkPort);
    EXPECT_EQ(w.neighbours().known(kUplinkPort, ip6(who)), Neighbours::kNone);
  }
  w.expect_sums();
}

TEST(PipelineIp6, AnswersTheKernelForItsNextHopAndForPods) {
  for (const std::string_view target : {std::string_view("fe80::1"), kA6, kFar6}) {
    World w;
    w.in(kHostPort, Frame()
                        .ether(group_of(0, 0, 1), kKernelMac)
                        .ip6(kNode6, "ff02::1:ff00:1")
                        .hops(255)
                        .nd(135, target, kKernelMac));
    EXPECT_FALSE(w.out(kHostPort).empty()) << target;
  }
  for (const Address& own : {ip6(kNode6), link_local(kKernelMac)}) {
    World w;
    w.in(kHostPort, Frame()
                        .ether(group_of(0, 0, 1), kKernelMac)
                        .ip6("fe80::77", "ff02::1:ff00:1")
                        .hops(255)
                        .nd(135, to_string(own), kKernelMac));
    EXPECT_TRUE(w.out(kHostPort).empty()) << to_string(own);
  }
}

TEST(PipelineIp6, WithIp6OffNothingGetsToAPodByTheKernel) {
  World w;
  w.edit([](Generation& g) { g.options.ip6 = false; });
  Bytes options(264);
  options[1] = 32;  // more than is looked at
  w.in(kUplinkPort, from_far().ip6(kFar6, kA6).extension(60, options).tcp(1, 80, kSyn));
  w.in(kUplinkPort, from_far().ip6(kFar6, kA6).extension(43, Bytes(8)).tcp(1, 80, kSyn));
  w.in(kUplinkPort, from_far().ip6(kFar6, kA6).length(9000).tcp(1, 80, kSyn));
  EXPECT_TRUE(w.out(kHostPort).empty());
  EXPECT_EQ(w.drops(DropReason::ip6_disabled), 3u);
  w.expect_sums();
}

TEST(PipelineIp6, GoesByWayOfAnotherWorkersPod) {
  World w(kAllow80, 2);
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).tcp(1000, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip6(kB6, kA6).tcp(80, 1000, kSyn | kAck, 1, 2));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kPodA, from_pod(kPodAMac).ip6(kA6, kB6).tcp(1000, 81, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  w.now += kSecond;
  w.tick();
  w.expect_sums();
}

TEST(Ip6, LinkLocalAddressesAreMadeOfTheMac) {
  EXPECT_EQ(link_local(kCalico), ip6(kGateway6));
  EXPECT_EQ(link_local({{2, 0, 0, 0, 0, 0x11}}), ip6("fe80::ff:fe00:11"));
}

}  // namespace
}  // namespace sluice::test
