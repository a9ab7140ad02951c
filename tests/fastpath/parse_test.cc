// SPDX-License-Identifier: Apache-2.0
#include "fastpath/parse.h"

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "fastpath/ipip.h"
#include "tests/fastpath/ends.h"
#include "tests/support/packet_builder.h"

namespace sluice {
namespace {

using test::Buffer;
using test::Bytes;
using test::Frame;
using test::kA;
using test::kB;
using test::kBroadcastMac;
using test::kOwnMac;
using test::kPeerMac;

constexpr std::string_view kC = "192.0.2.9";
constexpr uint8_t kSyn = tcp::kSyn, kAck = tcp::kAck, kFin = tcp::kFin, kRst = tcp::kRst,
                  kUrg = tcp::kUrg, kPsh = tcp::kPsh;

struct Read {
  DropReason reason = DropReason::none;
  L2Kind kind = L2Kind::unknown;
  ArpPacket arp;
  Parsed parsed;
};

// The stages in the pipeline's order, but for the tunnel.
Read read(rte_mbuf* frame, bool allow_options = false, uint16_t mtu = 1500) {
  Read out;
  const L2 l2 = parse_l2(frame, {kOwnMac, mtu, false});
  out.reason = l2.reason;
  out.kind = l2.kind;
  if (out.reason != DropReason::none || l2.kind == L2Kind::ip6) {
    return out;
  }
  if (l2.kind == L2Kind::arp) {
    out.reason = parse_arp(frame, out.arp);
    return out;
  }
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  out.reason = parse_ip4(frame, kEtherBytes, available, {allow_options, false}, out.parsed);
  if (out.reason == DropReason::none) {
    out.reason = parse_l4(frame, out.parsed);
  }
  return out;
}

Frame ip4() {
  return Frame().ip4(kA, kB);
}
Frame quote() {
  return Frame().ip4(kC, kA).icmp(3, 1, 0, 0);
}

struct Case {
  std::string sentence;
  Bytes frame;
  DropReason reason = DropReason::none;
};

void expect_all(const std::vector<Case>& cases, bool allow_options = false) {
  for (const Case& c : cases) {
    const Buffer frame(c.frame);
    EXPECT_EQ(name(read(frame, allow_options).reason), name(c.reason)) << c.sentence;
  }
}

TEST(ParseL2, NamesWhatIsWrongWithTheEthernetHeader) {
  using enum DropReason;
  const MacAddress group{{1, 0, 0x5e, 0, 0, 1}};
  const MacAddress other{{2, 9, 9, 9, 9, 9}};
  expect_all({
      {"an empty frame", Frame().cut(0), l2_runt},
      {"13 bytes", Frame().cut(13), l2_runt},
      {"14 bytes get to the next header", Frame().type(kTypeIp4).cut(14), ip4_truncated},
      {"short frames need no padding", ip4().udp(1, 2)},
      {"a full MTU", ip4().udp(1, 2).payload(1472)},
      {"a byte above the MTU", ip4().udp(1, 2).payload(1473), l2_oversize},
      {"another unicast destination", ip4().udp(1, 2).ether(other, kPeerMac), l2_bad_dst},
      {"IP in a broadcast", ip4().udp(1, 2).ether(kBroadcastMac, kPeerMac), l2_bad_dst},
      {"IP in a multicast", ip4().udp(1, 2).ether(group, kPeerMac), l2_bad_dst},
      {"a zero source", ip4().udp(1, 2).ether(kOwnMac, {}), l2_bad_src},
      {"a multicast source", ip4().udp(1, 2).ether(kOwnMac, group), l2_bad_src},
      {"a broadcast source", ip4().udp(1, 2).ether(kOwnMac, kBroadcastMac), l2_bad_src},
      {"our own source", ip4().udp(1, 2).ether(kOwnMac, kOwnMac), l2_bad_src},
      {"an 802.1Q tag", Frame().type(0x8100).payload(46), l2_vlan},
      {"an 802.1ad tag", Frame().type(0x88a8).payload(46), l2_vlan},
      {"the old QinQ tag", Frame().type(0x9100).payload(46), l2_vlan},
      {"LLC", Frame().type(100).payload(100), l2_ethertype},
      {"LLDP", Frame().type(0x88cc).payload(46), l2_ethertype},
      {"MAC control", Frame().type(0x8808).payload(46), l2_ethertype},
      {"MPLS", Frame().type(0x8847).payload(46), l2_ethertype},
      {"the destination is judged before the source", Frame().ether(other, {}), l2_bad_dst},
  });
}

TEST(ParseL2, TellsTheKindAndTakesAnyUnicastForReplay) {
  const Buffer six(Frame().type(kTypeIp6).payload(40));
  EXPECT_EQ(read(six).kind, L2Kind::ip6);
  const Buffer odd(Frame().type(0x88cc).payload(40));
  EXPECT_EQ(read(odd).kind, L2Kind::unknown);
  const Buffer other(ip4().udp(1, 2).ether({{2, 9, 9, 9, 9, 9}}, kPeerMac));
  EXPECT_EQ(parse_l2(other, {kOwnMac, 1500, true}).reason, DropReason::none);
  const Buffer group(ip4().udp(1, 2).ether(kBroadcastMac, kPeerMac));
  EXPECT_EQ(parse_l2(group, {kOwnMac, 1500, true}).reason, DropReason::l2_bad_dst);
}

TEST(ParseL2, JoinsSegmentsWhereverTheyAreCut) {
  const Bytes whole = ip4().tcp(1000, 80, kSyn).payload(30);
  for (size_t first = 0; first <= 60; ++first) {
    const Buffer frame(whole, {first, 3});
    const Read out = read(frame);
    EXPECT_EQ(out.reason, DropReason::none) << first;
    EXPECT_EQ(out.parsed.tuple.dst_port, 80) << first;
    EXPECT_EQ(frame.bytes(), whole) << first;
  }
}

TEST(ParseL2, JoinsSegmentsOfATunnelAndOfAQuoteToo) {
  const Bytes tunnel = Frame().ip4(kC, kB).ip4(kA, kB).udp(5, 6).payload(9);
  const Bytes error = quote().ip4(kA, kB).udp(5, 6);
  for (size_t first = 0; first < error.size(); ++first) {
    const Buffer outer(tunnel, {first, 1});
    const Read out = read(outer);
    Parsed inner;
    EXPECT_EQ(name(decapsulate(outer, out.parsed, false, inner)), "none") << first;
    EXPECT_EQ(inner.tuple.dst_port, 6) << first;
    const Buffer icmp(error, {first, 1});
    EXPECT_EQ(read(icmp).parsed.quoted.dst_port, 6) << first;
  }
}

TEST(ParseL2, GivesUpOnSegmentsThatNoBufferHolds) {
  const Buffer frame(ip4().udp(1, 2).payload(1400), {40});
  // As if what is in front had to stay.
  rte_mbuf* first = frame.get();
  first->data_off = static_cast<uint16_t>(first->buf_len - first->data_len);
  EXPECT_EQ(name(read(frame).reason), "res_mbuf");
}

// Every check of an outer header holds for an inner one.
TEST(ParseIp4, FindsTheSameFaultsInsideATunnel) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const Bytes good[] = {
      ip4().udp(5, 6).payload(20),
      ip4().tcp(5, 6, kSyn).payload(20),
      ip4().echo(9).payload(20),
      quote().ip4(kA, kB).udp(5, 6),
      ip4().sctp(5, 6).payload(9),
      ip4().options({1, 1, 1, 1}).udp(5, 6),
      ip4().fragment(0, true).udp(5, 6).payload(16),
      ip4().fragment(9, false).protocol(17).payload(16),
  };
  std::set<std::string_view> met;
  for (int round = 0; round < 30000; ++round) {
    Bytes plain = good[random() % std::size(good)];
    for (size_t n = random() % 4; n > 0; --n) {
      plain[kEtherBytes + random() % 40 % (plain.size() - kEtherBytes)] =
          static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 16);
    }
    if (random() % 4 != 0) {  // or few get further than the checksum
      const size_t header = std::min<size_t>(size_t{4} * (plain[14] & 0xf), plain.size() - 14);
      test::put16(plain, 24, 0);
      test::put16(plain, 24,
                  static_cast<uint16_t>(~test::plain_sum(test::slice(plain, 14, header))));
    }
    plain.resize(random() % 8 == 0 ? 14 + random() % (plain.size() - 13) : plain.size());
    const bool options = random() % 2 == 0;
    const Buffer alone(plain);
    const Buffer wrapped(Frame().ip4(kC, kB).protocol(4).raw(test::slice(plain, 14)));
    const Read outer = read(wrapped);
    ASSERT_EQ(name(outer.reason), "none");
    Parsed inner;
    const DropReason inside = decapsulate(wrapped, outer.parsed, options, inner);
    if (inside == DropReason::tun_nested) {
      continue;
    }
    const Read once = read(alone, options);
    ASSERT_EQ(name(inside), name(once.reason)) << "round " << round;
    if (inside == DropReason::none) {
      ASSERT_EQ(inner.tuple, once.parsed.tuple);
      ASSERT_EQ(test::slice(wrapped.bytes(), 14), test::slice(alone.bytes(), 14));
    }
    met.insert(name(inside));
  }
  EXPECT_GE(met.size(), 18u) << "the mutations reach most reasons";
}

TEST(ParseArp, TakesWholeTruthfulPacketsOnly) {
  using enum DropReason;
  const auto ask = [] { return Frame().arp(1, kPeerMac, kA, kB); };
  const auto with = [&](size_t at, uint8_t value) {
    Bytes bytes = ask();
    bytes[kEtherBytes + at] = value;
    return bytes;
  };
  const MacAddress group{{3, 0, 0, 0, 0, 1}};
  expect_all({
      {"a request", ask()},
      {"a request to all", ask().ether(kBroadcastMac, kPeerMac)},
      {"a reply", Frame().arp(2, kPeerMac, kA, kB)},
      {"with padding", ask().cut(60)},
      {"a byte short", ask().cut(41), arp_invalid},
      {"operation 0", Frame().arp(0, kPeerMac, kA, kB), arp_invalid},
      {"operation 3", Frame().arp(3, kPeerMac, kA, kB), arp_invalid},
      {"another hardware", with(1, 6), arp_invalid},
      {"another protocol", with(3, 6), arp_invalid},
      {"another hardware length", with(4, 8), arp_invalid},
      {"another protocol length", with(5, 16), arp_invalid},
      {"a sender that is not the frame's", Frame().arp(1, kOwnMac, kA, kB), arp_invalid},
      {"a multicast sender", Frame().arp(1, group, kA, kB), arp_invalid},
  });
  const Buffer frame(ask());
  const ArpPacket arp = read(frame).arp;
  EXPECT_EQ(arp.operation, 1);
  EXPECT_EQ(arp.sender_mac, kPeerMac);
  EXPECT_EQ(arp.sender, test::ip(kA));
  EXPECT_EQ(arp.target, test::ip(kB));
}

TEST(ParseIp4, NamesTheFirstFaultOfTheHeader) {
  using enum DropReason;
  expect_all({
      {"19 bytes", ip4().cut(33), ip4_truncated},
      {"IHL reaches past the frame", ip4().version_ihl(0x46), ip4_truncated},
      {"version 6", ip4().version_ihl(0x65).udp(1, 2), ip4_version},
      {"version 6 with what would be a long header", ip4().version_ihl(0x6f), ip4_version},
      {"IHL 4", ip4().version_ihl(0x44).udp(1, 2), ip4_ihl},
      {"total length below the header", ip4().length(19).udp(1, 2), ip4_total_len},
      {"total length above the frame", ip4().length(29).udp(1, 2), ip4_total_len},
      {"a wrong checksum", ip4().checksum(0x1234).udp(1, 2), ip4_checksum},
      {"options", ip4().options({1, 1, 1, 0}).udp(1, 2), ip4_options},
      {"bad checksum comes before options", ip4().options({1, 1, 1, 0}).checksum(1).udp(1, 2),
       ip4_checksum},
      {"source 0.0.0.0", Frame().ip4("0.0.0.0", kB).udp(1, 2), ip4_src},
      {"source 0.1.2.3", Frame().ip4("0.1.2.3", kB).udp(1, 2), ip4_src},
      {"loopback source", Frame().ip4("127.0.0.1", kB).udp(1, 2), ip4_src},
      {"multicast source", Frame().ip4("224.0.0.1", kB).udp(1, 2), ip4_src},
      {"class E source", Frame().ip4("240.0.0.1", kB).udp(1, 2), ip4_src},
      {"broadcast source", Frame().ip4("255.255.255.255", kB).udp(1, 2), ip4_src},
      {"zero destination", Frame().ip4(kA, "0.0.0.0").udp(1, 2), ip4_dst},
      {"loopback destination", Frame().ip4(kA, "127.9.9.9").udp(1, 2), ip4_dst},
      {"multicast destination", Frame().ip4(kA, "239.1.1.1").udp(1, 2), ip4_dst},
      {"class E destination", Frame().ip4(kA, "250.1.1.1").udp(1, 2), ip4_dst},
      {"broadcast destination", Frame().ip4(kA, "255.255.255.255").udp(1, 2), ip4_dst},
      {"the edges of what is a host", Frame().ip4("1.0.0.0", "223.255.255.255").udp(1, 2)},
      {"around loopback", Frame().ip4("126.255.255.255", "128.0.0.0").udp(1, 2)},
      {"land", Frame().ip4(kA, kA).udp(1, 2), ip4_land},
      {"TTL is not judged here", ip4().ttl(0).udp(1, 2)},
      {"the reserved flag", ip4().fragment(0x8000, false).udp(1, 2)},
  });
}

TEST(ParseIp4, OptionsWhenAllowedMustBeWellFormedAndNoSourceRoute) {
  using enum DropReason;
  expect_all(
      {
          {"no-ops", ip4().options({1, 1, 1, 1}).udp(1, 2)},
          {"end, then anything", ip4().options({0, 131, 0, 0}).udp(1, 2)},
          {"router alert", ip4().options({148, 4, 0, 0}).udp(1, 2)},
          {"record route", ip4().options({7, 7, 4, 0, 0, 0, 0, 0}).udp(1, 2)},
          {"loose source route", ip4().options({131, 7, 4, 1, 2, 3, 4, 0}).udp(1, 2),
           ip4_options},
          {"strict source route", ip4().options({137, 7, 4, 1, 2, 3, 4, 0}).udp(1, 2),
           ip4_options},
          {"source route behind others", ip4().options({1, 1, 1, 131}).udp(1, 2), ip4_options},
          {"length 0", ip4().options({148, 0, 0, 0}).udp(1, 2), ip4_options},
          {"length 1", ip4().options({148, 1, 0, 0}).udp(1, 2), ip4_options},
          {"length past the header", ip4().options({148, 5, 0, 0}).udp(1, 2), ip4_options},
          {"no length at all", ip4().options({1, 1, 1, 148}).udp(1, 2), ip4_options},
      },
      true);
}

TEST(ParseIp4, FillsWhatLaterStagesReadAndTrimsPadding) {
  const Buffer frame(ip4().tos(0xb9).ttl(7).df().id(5).udp(1000, 53).payload(4).cut(60));
  const Parsed p = read(frame).parsed;
  EXPECT_EQ(p.tuple, (Tuple{test::ip(kA), test::ip(kB), 1000, 53, proto::kUdp}));
  EXPECT_EQ(p.l3_offset, 14);
  EXPECT_EQ(p.l4_offset, 34);
  EXPECT_EQ(p.total_length, 32);
  EXPECT_EQ(p.payload, 4);
  EXPECT_EQ(p.tos, 0xb9);
  EXPECT_EQ(p.ttl, 7);
  EXPECT_TRUE(p.dont_fragment);
  EXPECT_FALSE(p.fragment);
  EXPECT_EQ(frame.get()->pkt_len, 46u);
}

TEST(ParseL4, NamesTheFirstFaultOfTheTransportHeader) {
  using enum DropReason;
  const auto tcp = [](uint8_t flags) { return ip4().tcp(1, 2, flags); };
  expect_all({
      {"TCP of 19 bytes", ip4().protocol(6).payload(19), l4_truncated},
      {"UDP of 7 bytes", ip4().protocol(17).payload(7), l4_truncated},
      {"ICMP of 7 bytes", ip4().protocol(1).payload(7), l4_truncated},
      {"SCTP of 11 bytes", ip4().protocol(132).payload(11), l4_truncated},
      {"the frame's bytes past the total length do not count", ip4().length(39).tcp(1, 2, kSyn),
       l4_truncated},
      {"data offset 4", tcp(kSyn).data_offset(4), tcp_offset},
      {"data offset past the packet", tcp(kSyn).data_offset(6).payload(3), tcp_offset},
      {"data offset 15 with its options", tcp(kSyn).data_offset(15).payload(40)},
      {"TCP source port 0", ip4().tcp(0, 2, kSyn), l4_port_zero},
      {"TCP destination port 0", ip4().tcp(1, 0, kSyn), l4_port_zero},
      {"SCTP", ip4().sctp(1, 2)},
      {"SCTP source port 0", ip4().sctp(0, 2), l4_port_zero},
      {"SCTP destination port 0", ip4().sctp(1, 0), l4_port_zero},
      {"UDP destination port 0", ip4().udp(1, 0), l4_port_zero},
      {"UDP source port 0", ip4().udp(0, 1)},
      {"UDP length 7", ip4().udp(1, 2).length(7), udp_len},
      {"UDP length past the packet", ip4().udp(1, 2).length(13).payload(4), udp_len},
      {"UDP length short of the packet", ip4().udp(1, 2).length(9).payload(4)},
      {"protocols without rules", ip4().protocol(89)},
      {"even empty UDP-Lite", ip4().protocol(136)},
  });
}

TEST(ParseL4, TakesTheTcpFlagsThatMeanSomething) {
  const std::vector<uint8_t> good = {kSyn,        kSyn | kUrg, kSyn | kAck,        kRst,
                                     kRst | kAck, kFin | kAck, kFin | kAck | kUrg, kAck,
                                     kAck | kUrg};
  constexpr unsigned kIgnored = kPsh | 0x40 | 0x80;
  for (unsigned flags = 0; flags < 256; ++flags) {
    const bool allowed = std::find(good.begin(), good.end(), flags & ~kIgnored) != good.end();
    const Buffer frame(ip4().tcp(1, 2, static_cast<uint8_t>(flags)));
    EXPECT_EQ(name(read(frame).reason),
              name(allowed ? DropReason::none : DropReason::tcp_flags))
        << flags;
  }
}

TEST(ParseL4, ReadsTcpFields) {
  const Buffer frame(ip4().tcp(1, 2, kAck | kPsh, 0x01020304, 0x05060708).payload(9));
  const Parsed p = read(frame).parsed;
  EXPECT_EQ(p.tcp_seq, 0x01020304u);
  EXPECT_EQ(p.tcp_ack, 0x05060708u);
  EXPECT_EQ(p.tcp_window, 8192);
  EXPECT_EQ(p.tcp_flags, kAck | kPsh);
  EXPECT_EQ(p.payload, 9);
}

TEST(ParseL4, TakesTheIcmpTypesOfTheListOnly) {
  for (unsigned type = 0; type < 256; ++type) {
    const bool query = type == 0 || type == 8 || type == 13 || type == 14;
    const bool error = type == 3 || type == 11 || type == 12;
    const Buffer frame(
        Frame().ip4(kC, kA).icmp(static_cast<uint8_t>(type), 0, 77, 0).ip4(kA, kB).udp(5, 6));
    const Read out = read(frame);
    EXPECT_EQ(name(out.reason), name(query || error ? DropReason::none : DropReason::icmp_type))
        << type;
    EXPECT_EQ(out.parsed.icmp_error, error) << type;
    EXPECT_EQ(out.parsed.tuple.src_port, query ? 77 : 0) << type;
    EXPECT_EQ(out.parsed.tuple.dst_port, query ? 77 : 0) << type;
    const int expected = type == 8 ? 1 : type == 13 ? 2 : type == 14 ? -2 : query ? -1 : 0;
    EXPECT_EQ(out.parsed.tuple.icmp_class, expected) << type;
  }
}

TEST(ParseL4, JudgesTheQuoteOfAnIcmpError) {
  using enum DropReason;
  const auto too_big = [](uint16_t mtu) {
    return Frame().ip4(kC, kA).icmp(3, 4, 0, mtu).ip4(kA, kB).udp(5, 6);
  };
  expect_all({
      {"a quoted UDP packet", quote().ip4(kA, kB).udp(5, 6)},
      {"a quoted first fragment", quote().ip4(kA, kB).fragment(0, true).udp(5, 6)},
      {"a quote that was cut", quote().ip4(kA, kB).length(1500).udp(5, 6)},
      {"the quote's checksum does not count", quote().ip4(kA, kB).checksum(9).udp(5, 6)},
      {"no quote", quote(), icmp_quote},
      {"7 bytes behind the quoted header", quote().ip4(kA, kB).protocol(17).payload(7),
       icmp_quote},
      {"quoted options leave too little", quote().ip4(kA, kB).version_ihl(0x46).udp(5, 6),
       icmp_quote},
      {"quoted options with enough", quote().ip4(kA, kB).options({1, 1, 1, 1}).udp(5, 6)},
      {"quoted version 6", quote().ip4(kA, kB).version_ihl(0x65).udp(5, 6), icmp_quote},
      {"quoted IHL 4", quote().ip4(kA, kB).version_ihl(0x44).udp(5, 6), icmp_quote},
      {"a quoted later fragment", quote().ip4(kA, kB).fragment(1, false).udp(5, 6), icmp_quote},
      {"a quoted ICMP error", quote().ip4(kA, kB).icmp(3, 1, 0, 0), icmp_quote},
      {"a quoted echo", quote().ip4(kA, kB).echo(9)},
      {"to another than the quoted sender", quote().ip4(kB, kA).udp(5, 6), icmp_quote_mismatch},
      {"next-hop MTU 0", too_big(0)},
      {"next-hop MTU 67", too_big(67), icmp_quote_mismatch},
      {"next-hop MTU 68", too_big(68)},
      {"the field means nothing elsewhere",
       Frame().ip4(kC, kA).icmp(3, 1, 0, 67).ip4(kA, kB).udp(5, 6)},
  });
}

TEST(ParseL4, GivesTheTupleOfTheQuotedPacket) {
  const Buffer udp(quote().ip4(kA, kB).options({1, 1, 1, 1}).udp(5, 6));
  EXPECT_EQ(read(udp).parsed.quoted, (Tuple{test::ip(kA), test::ip(kB), 5, 6, proto::kUdp}));
  const Buffer echo(quote().ip4(kA, kB).echo(9));
  EXPECT_EQ(read(echo).parsed.quoted,
            (Tuple{test::ip(kA), test::ip(kB), 9, 9, proto::kIcmp, 1}));
  const Buffer stamp(quote().ip4(kA, kB).icmp(14, 0, 9, 0));
  EXPECT_EQ(read(stamp).parsed.quoted,
            (Tuple{test::ip(kA), test::ip(kB), 9, 9, proto::kIcmp, -2}));
  const Buffer ospf(quote().ip4(kA, kB).protocol(89).payload(8));
  EXPECT_EQ(read(ospf).parsed.quoted, (Tuple{test::ip(kA), test::ip(kB), 0, 0, 89}));
}

TEST(ParseL4, JudgesFragmentsByWhatTheyAloneSay) {
  using enum DropReason;
  expect_all({
      {"a first fragment", ip4().fragment(0, true).udp(1, 2).length(500).payload(8)},
      {"a last fragment of any length", ip4().fragment(3, false).protocol(17).payload(5)},
      {"first without all of TCP", ip4().fragment(0, true).protocol(6).payload(16), frag_tiny},
      {"first without TCP's options",
       ip4().fragment(0, true).tcp(1, 2, kAck).data_offset(8).payload(4), frag_tiny},
      {"TCP at offset 8", ip4().fragment(1, false).protocol(6).payload(40), frag_tiny},
      {"UDP at offset 8", ip4().fragment(1, false).protocol(17).payload(40)},
      {"no payload", ip4().fragment(1, false).protocol(17), frag_len},
      {"more to come and no multiple of 8", ip4().fragment(2, true).protocol(17).payload(9),
       frag_len},
      {"past the end of a datagram", ip4().fragment(8189, false).protocol(17).payload(8),
       frag_oversize},
      {"up to the end of a datagram", ip4().fragment(8187, false).protocol(17).payload(19)},
  });
  const Buffer later(ip4().fragment(3, true).protocol(6).payload(40));
  const Parsed p = read(later).parsed;
  EXPECT_TRUE(p.fragment && p.later_fragment);
  EXPECT_EQ(p.tuple, (Tuple{test::ip(kA), test::ip(kB), 0, 0, proto::kTcp}));
}

// Bit by bit, as RFC 9260 writes it.
uint32_t crc32c(const Bytes& bytes) {
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    }
  }
  return ~crc;
}

TEST(Checksums, OfSctpAreFinishedWhereTheyStandAtZero) {
  constexpr std::string_view kDigits = "123456789";
  ASSERT_EQ(crc32c(Bytes(kDigits.begin(), kDigits.end())), 0xe3069283u) << "the check value";
  for (const size_t size : {0u, 1u, 4u, 8u, 15u, 64u, 1001u}) {
    const Bytes open = ip4().sctp(9, 80).payload(size);
    constexpr size_t kL4 = 34, kField = kL4 + 8;
    Bytes whole = open;
    const uint32_t crc = crc32c(test::slice(open, kL4));
    for (size_t i = 0; i < 4; ++i) {
      whole[kField + i] = static_cast<uint8_t>(crc >> 8 * i);
    }
    for (const Bytes& given : {open, whole}) {
      const Buffer frame(given);
      finish_checksum(frame, read(frame).parsed);
      EXPECT_EQ(frame.bytes(), whole) << size;
    }
    Bytes wrong = whole;
    wrong[kField] ^= 1;
    const Buffer frame(wrong);
    finish_checksum(frame, read(frame).parsed);
    EXPECT_EQ(frame.bytes(), wrong) << "what the sender wrote stays";
  }
}

TEST(Checksums, AreFinishedOnlyWhereTheKernelLeftThemOpen) {
  for (const size_t size : {0u, 1u, 2u, 7u, 8u, 9u, 63u, 64u, 1001u}) {
    const Bytes whole[2] = {ip4().tcp(9, 80, kAck).payload(size),
                            ip4().udp(9, 80).payload(size)};
    const Bytes open[2] = {ip4().tcp(9, 80, kAck).unfinished().payload(size),
                           ip4().udp(9, 80).unfinished().payload(size)};
    for (int i = 0; i < 2; ++i) {
      const Buffer unfinished(open[i]);
      finish_checksum(unfinished, read(unfinished).parsed);
      EXPECT_EQ(unfinished.bytes(), whole[i]) << size;
      const Buffer finished(whole[i]);
      finish_checksum(finished, read(finished).parsed);
      EXPECT_EQ(finished.bytes(), whole[i]) << size;
    }
  }
}

TEST(Checksums, OfUdpThatSumsToZeroIsWrittenAsOnes) {
  // The two payload bytes that bring the sum of everything to ffff.
  Bytes bytes = ip4().udp(9, 80).checksum(0).payload(2);
  test::put16(bytes, 42, 0);
  const uint16_t rest = test::plain_sum(
      test::slice(bytes, 34), test::pseudo_sum(test::ip(kA), test::ip(kB), proto::kUdp, 10));
  test::put16(bytes, 42, static_cast<uint16_t>(~rest));
  test::put16(bytes, 40, test::pseudo_sum(test::ip(kA), test::ip(kB), proto::kUdp, 10));
  const Buffer frame(bytes);
  const Parsed p = read(frame).parsed;
  finish_checksum(frame, p);
  EXPECT_EQ(test::get16(frame.bytes(), 40), 0xffff);
  EXPECT_TRUE(l4_checksum_ok(frame, p));
}

TEST(Checksums, AreAbsentFromUdpZeroFragmentsAndOtherProtocols) {
  for (const Bytes& bytes : {ip4().udp(1, 2).checksum(0).payload(3).build(),
                             ip4().fragment(0, true).udp(1, 2).checksum(7).payload(8).build(),
                             ip4().protocol(89).payload(9).build()}) {
    const Buffer frame(bytes);
    const Parsed p = read(frame).parsed;
    EXPECT_TRUE(l4_checksum_ok(frame, p));
    finish_checksum(frame, p);
    EXPECT_EQ(frame.bytes(), bytes);
  }
}

TEST(Checksums, OfADeviceCountUntilTheyAreForgotten) {
  const Buffer frame(ip4().tcp(9, 80, kAck).checksum(7));
  const Parsed p = read(frame).parsed;
  frame.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_BAD | RTE_MBUF_F_RX_RSS_HASH;
  EXPECT_FALSE(l4_checksum_ok(frame, p));
  frame.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_RSS_HASH;
  EXPECT_TRUE(l4_checksum_ok(frame, p));
  forget_device_checksum(frame);
  EXPECT_EQ(frame.get()->ol_flags, RTE_MBUF_F_RX_RSS_HASH);
  EXPECT_FALSE(l4_checksum_ok(frame, p));
}

// Drivers call good whatever they found no fault with.
TEST(Checksums, OfADeviceDoNotCountForIcmp) {
  Bytes wrong = ip4().echo(4);
  wrong[36] ^= 1;
  const Buffer frame(wrong);
  frame.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  EXPECT_FALSE(l4_checksum_ok(frame, read(frame).parsed));
}

// Frames with bytes changed at random: the same answers as sums over 16-bit words.
TEST(Checksums, AgreeWithPlainSumsOnMutatedFrames) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  unsigned right = 0;
  for (int round = 0; round < 20000; ++round) {
    const size_t size = random() % 100;
    const size_t shape = random() % 5;
    Bytes bytes = shape == 0   ? ip4().tcp(9, 80, kAck).payload(size)
                  : shape == 1 ? ip4().udp(9, 80).payload(size)
                  : shape == 2 ? ip4().echo(4).payload(size)
                  : shape == 3 ? ip4().tcp(9, 80, kAck).unfinished().payload(size)
                               : ip4().udp(9, 80).unfinished().payload(size);
    for (size_t n = random() % 3; n > 0; --n) {
      bytes[34 + random() % (bytes.size() - 34)] = static_cast<uint8_t>(random());
    }
    const Buffer frame(bytes);
    const Read out = read(frame);
    if (out.reason != DropReason::none) {
      continue;
    }
    const uint8_t protocol = out.parsed.tuple.protocol;
    const bool udp = protocol == proto::kUdp;
    const Bytes l4 = test::slice(bytes, 34, udp ? test::get16(bytes, 38) : SIZE_MAX);
    const uint16_t pseudo = protocol == proto::kIcmp
                                ? uint16_t{0}
                                : test::pseudo_sum(test::ip(kA), test::ip(kB), protocol,
                                                   static_cast<uint16_t>(l4.size()));
    const size_t field = udp ? 40 : protocol == proto::kTcp ? 50 : 36;
    const bool ok =
        (udp && test::get16(bytes, 40) == 0) || test::plain_sum(l4, pseudo) == 0xffff;
    ASSERT_EQ(l4_checksum_ok(frame, out.parsed), ok);
    right += ok;
    Bytes finished = bytes;
    if (protocol != proto::kIcmp && test::get16(bytes, field) == pseudo) {
      const auto sum = static_cast<uint16_t>(~test::plain_sum(l4));
      test::put16(finished, field, udp && sum == 0 ? uint16_t{0xffff} : sum);
    }
    finish_checksum(frame, out.parsed);
    ASSERT_EQ(frame.bytes(), finished);
  }
  EXPECT_GT(right, 3000u);
}

}  // namespace
}  // namespace sluice
