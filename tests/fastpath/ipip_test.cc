// SPDX-License-Identifier: Apache-2.0
#include "fastpath/ipip.h"

#include <array>
#include <cstring>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "fastpath/parse.h"
#include "tests/fastpath/ends.h"
#include "tests/support/packet_builder.h"

namespace sluice {
namespace {

using test::Buffer;
using test::Bytes;
using test::Frame;
using test::kA;
using test::kB;
using test::kNode;
using test::kPeer;

Frame outer() {
  return Frame().ip4(kPeer, kNode);
}

Parsed parse_outer(rte_mbuf* frame, bool allow_options = false) {
  Parsed p;
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  EXPECT_EQ(name(parse_ip4(frame, kEtherBytes, available, {allow_options, false}, p)), "none");
  return p;
}

// The IPv4 packet behind the Ethernet header.
Bytes packet(const Bytes& frame) {
  return test::slice(frame, kEtherBytes);
}

bool header_ok(const Bytes& ip4) {
  return test::plain_sum(test::slice(ip4, 0, size_t{4} * (ip4[0] & 0xf))) == 0xffff;
}

TEST(Decapsulate, NamesWhatIsWrongInsideTheTunnel) {
  using enum DropReason;
  struct Case {
    std::string sentence;
    Bytes frame;
    DropReason reason = none;
  };
  const auto nested = [](uint8_t protocol) {
    return outer().ip4(kA, kB).protocol(protocol).payload(40);
  };
  const std::vector<Case> cases = {
      {"a good packet", outer().ip4(kA, kB).udp(1, 2).payload(4)},
      {"an outer first fragment", outer().fragment(0, true).ip4(kA, kB).udp(1, 2),
       tun_fragment},
      {"an outer later fragment", outer().fragment(4, false).ip4(kA, kB).udp(1, 2),
       tun_fragment},
      {"an empty tunnel", outer().protocol(4), ip4_truncated},
      {"19 bytes", outer().protocol(4).payload(19), ip4_truncated},
      {"IPv6 in protocol 4", outer().ip4(kA, kB).version_ihl(0x60).payload(40), ip4_version},
      {"inner IHL 4", outer().ip4(kA, kB).version_ihl(0x44).udp(1, 2), ip4_ihl},
      {"inner length past the outer payload", outer().ip4(kA, kB).length(29).udp(1, 2),
       ip4_total_len},
      {"bytes of the frame past the outer length do not count",
       outer().length(48).ip4(kA, kB).length(29).udp(1, 2).payload(20), ip4_total_len},
      {"inner checksum", outer().ip4(kA, kB).checksum(1).udp(1, 2), ip4_checksum},
      {"inner options", outer().ip4(kA, kB).options({1, 1, 1, 1}).udp(1, 2), ip4_options},
      {"inner source", outer().ip4("127.0.0.1", kB).udp(1, 2), ip4_src},
      {"inner destination", outer().ip4(kA, "224.0.0.5").udp(1, 2), ip4_dst},
      {"inner land", outer().ip4(kA, kA).udp(1, 2), ip4_land},
      {"IPIP in IPIP", nested(4), tun_nested},
      {"6in4 in IPIP", nested(41), tun_nested},
      {"GRE in IPIP", nested(47), tun_nested},
      {"inner L4", outer().ip4(kA, kB).udp(1, 0), l4_port_zero},
      {"an inner fragment", outer().ip4(kA, kB).fragment(5, false).protocol(17).payload(9)},
  };
  for (const Case& c : cases) {
    const Buffer frame(c.frame);
    const Parsed p = parse_outer(frame);
    Parsed inner;
    EXPECT_EQ(name(decapsulate(frame, p, false, inner)), name(c.reason)) << c.sentence;
  }
}

TEST(Decapsulate, LeavesTheInnerPacketBehindAnEthernetHeaderAndNothingElse) {
  const Bytes alone = Frame().ip4(kA, kB).ttl(9).udp(1000, 53).payload(6);
  const Buffer frame(outer()
                         .options({1, 1, 1, 0})
                         .ip4(kA, kB)
                         .ttl(9)
                         .udp(1000, 53)
                         .raw(test::slice(alone, 42))
                         .cut(120));
  const Parsed p = parse_outer(frame, true);
  Parsed inner;
  // The padding inside the outer packet goes, too.
  ASSERT_EQ(name(decapsulate(frame, p, false, inner)), "none");
  EXPECT_EQ(packet(frame.bytes()), packet(alone));
  EXPECT_EQ(inner.tuple, (Tuple{test::ip(kA), test::ip(kB), 1000, 53, proto::kUdp}));
  EXPECT_EQ(inner.l3_offset, 14);
  EXPECT_EQ(inner.l4_offset, 34);
  EXPECT_EQ(inner.total_length, 34);
  EXPECT_EQ(inner.payload, 6);
}

TEST(Decapsulate, TrimsWhatPadsTheInnerPacket) {
  const Buffer frame(outer().ip4(kA, kB).length(28).udp(1, 2).length(8).payload(30));
  const Parsed p = parse_outer(frame);
  Parsed inner;
  frame.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  ASSERT_EQ(name(decapsulate(frame, p, false, inner)), "none");
  EXPECT_EQ(frame.get()->pkt_len, 42u);
  EXPECT_EQ(frame.get()->ol_flags, 0u) << "of the outer packet";
}

TEST(Decapsulate, CombinesEcnAsRfc6040Says) {
  // By outer, then inner: Not-ECT, ECT(1), ECT(0), CE.  4: dropped.
  constexpr uint8_t kExpected[4][4] = {{0, 1, 2, 3}, {0, 1, 1, 3}, {0, 1, 2, 3}, {4, 3, 3, 3}};
  constexpr uint8_t kDscp = 0xb8;
  for (uint8_t out = 0; out < 4; ++out) {
    for (uint8_t in = 0; in < 4; ++in) {
      const auto inner_tos = static_cast<uint8_t>(kDscp | in);
      const Buffer frame(outer().tos(out).ip4(kA, kB).tos(inner_tos).udp(1, 2));
      const Parsed p = parse_outer(frame);
      Parsed inner;
      const DropReason reason = decapsulate(frame, p, false, inner);
      const uint8_t expected = kExpected[out][in];
      if (expected == 4) {
        EXPECT_EQ(name(reason), "tun_ecn");
        continue;
      }
      ASSERT_EQ(name(reason), "none") << int{out} << " " << int{in};
      EXPECT_EQ(inner.tos, kDscp | expected) << int{out} << " " << int{in};
      const Bytes ip4 = packet(frame.bytes());
      EXPECT_EQ(ip4[1], inner.tos);
      EXPECT_TRUE(header_ok(ip4)) << int{out} << " " << int{in};
    }
  }
}

TEST(Encapsulate, WritesTheOuterHeaderOfTheRules) {
  const Bytes inner = Frame().ip4(kA, kB).tos(0xba).udp(1, 2).payload(11);
  const Buffer frame(inner);
  Parsed p = parse_outer(frame);
  ASSERT_TRUE(encapsulate(frame, p, test::ip(kNode), test::ip(kPeer), 0x1234));
  const Bytes expected =
      Frame().ip4(kNode, kPeer).tos(0xba).id(0x1234).df().protocol(4).raw(packet(inner));
  EXPECT_EQ(packet(frame.bytes()), packet(expected));
  EXPECT_EQ(p.l3_offset, 34);
  EXPECT_EQ(p.l4_offset, 54);
}

// Also where its sum carries twice.
TEST(OuterHeader, HasARightChecksumWhateverItsFields) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto any = [&] {
    const uint32_t extremes[] = {0, 1, 0xffff, 0x10000, 0xffff0000, 0xffffffff};
    return random() % 3 == 0 ? extremes[random() % 6] : static_cast<uint32_t>(random());
  };
  for (int round = 0; round < 100000; ++round) {
    const Ip4 src{any()}, dst{any()};
    const auto tos = static_cast<uint8_t>(any());
    const auto total = static_cast<uint16_t>(any()), id = static_cast<uint16_t>(any());
    Bytes header(kIp4Bytes);
    OuterHeader(src, dst).put(header.data(), tos, total, id);
    ASSERT_EQ(test::plain_sum(header), 0xffff) << round;
    Ip4Header h;
    std::memcpy(&h, header.data(), sizeof h);
    ASSERT_EQ(h.version_ihl, 0x45);
    ASSERT_EQ(h.tos, tos);
    ASSERT_EQ(h.total_length.host(), total);
    ASSERT_EQ(h.id.host(), id);
    ASSERT_EQ(h.fragment.host(), Ip4Header::kDf);
    ASSERT_EQ(h.ttl, 64);
    ASSERT_EQ(h.protocol, proto::kIpip);
    ASSERT_EQ(h.src.host(), src.value);
    ASSERT_EQ(h.dst.host(), dst.value);
  }
}

TEST(Encapsulate, SaysWhenTheHeaderDoesNotFit) {
  const Buffer frame(Frame().ip4(kA, kB).udp(1, 2));
  Parsed p = parse_outer(frame);
  rte_pktmbuf_prepend(frame, static_cast<uint16_t>(rte_pktmbuf_headroom(frame) - 19));
  EXPECT_FALSE(encapsulate(frame, p, test::ip(kNode), test::ip(kPeer), 1));
  Parsed big = p;
  big.total_length = 65516;
  EXPECT_FALSE(encapsulate(frame, big, test::ip(kNode), test::ip(kPeer), 1));
}

TEST(Encapsulate, IsUndoneByDecapsulate) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    const size_t size = random() % 1400;
    const auto port = static_cast<uint16_t>(1 + random() % 65535);
    Frame made = Frame().ip4(kA, kB);
    made.tos(static_cast<uint8_t>(random())).ttl(static_cast<uint8_t>(random()));
    made.id(static_cast<uint16_t>(random()));
    if (random() % 2 == 0) {
      made.udp(port, port).payload(size);
    } else {
      made.tcp(port, port, tcp::kAck).payload(size);
    }
    const Bytes bytes = made;
    const Buffer frame(bytes);
    Parsed before = parse_outer(frame);
    ASSERT_EQ(name(parse_l4(frame, before)), "none");
    Parsed moved = before;
    ASSERT_TRUE(encapsulate(frame, moved, test::ip(kNode), test::ip(kPeer),
                            static_cast<uint16_t>(random())));
    const Parsed p = parse_outer(frame);
    EXPECT_EQ(p.tuple.protocol, proto::kIpip);
    Parsed after;
    ASSERT_EQ(name(decapsulate(frame, p, false, after)), "none");
    ASSERT_EQ(packet(frame.bytes()), packet(bytes));
    EXPECT_EQ(after.tuple, before.tuple);
    EXPECT_EQ(after.payload, before.payload);
  }
}

// ---- fragments ---------------------------------------------------------------------------

struct Piece {
  size_t offset;
  size_t header;
  bool more;
  Bytes bytes;  // the whole IPv4 packet
};

class Fragmented {
 public:
  Fragmented(const Bytes& frame, uint16_t mtu, unsigned max = 64) {
    const Buffer input(frame);
    const Parsed p = parse_outer(input, true);
    std::array<rte_mbuf*, 64> out{};
    count_ = fragment_ip4(input, p, mtu, test::pool(), out.data(), max);
    EXPECT_EQ(input.bytes(), frame);
    for (unsigned i = 0; i < count_; ++i) {
      const Buffer piece(out[i]);
      EXPECT_GE(rte_pktmbuf_headroom(piece), kIp4Bytes);
      const Bytes ip4 = packet(piece.bytes());
      EXPECT_LE(ip4.size(), mtu);
      EXPECT_EQ(test::get16(ip4, 2), ip4.size());
      EXPECT_TRUE(header_ok(ip4));
      const uint16_t field = test::get16(ip4, 6);
      pieces_.push_back({size_t{8} * (field & 0x1fff), size_t{4} * (ip4[0] & 0xf),
                         (field & 0x2000) != 0, ip4});
    }
  }
  unsigned count() const { return count_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  // The payloads put together, from the offset of the first piece on.
  Bytes payload() const {
    Bytes all;
    for (const Piece& piece : pieces_) {
      EXPECT_EQ(piece.offset, pieces_.front().offset + all.size());
      const Bytes part = test::slice(piece.bytes, piece.header);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }

 private:
  unsigned count_ = 0;
  std::vector<Piece> pieces_;
};

TEST(FragmentIp4, PiecesAddUpToThePacketAtAnyMtu) {
  const Bytes whole = Frame().ip4(kA, kB).id(77).tos(3).ttl(9).udp(1, 2).payload(1000);
  for (uint16_t mtu = 68; mtu < 1100; ++mtu) {
    const Fragmented f(whole, mtu);
    ASSERT_GT(f.count(), 0u);
    ASSERT_EQ(f.payload(), test::slice(whole, 34)) << mtu;
    for (const Piece& piece : f.pieces()) {
      EXPECT_EQ(piece.more, &piece != &f.pieces().back());
      EXPECT_EQ(test::get16(piece.bytes, 4), 77);
      EXPECT_EQ(piece.bytes[1], 3);
      EXPECT_EQ(piece.bytes[8], 9);
      EXPECT_EQ(piece.bytes[9], proto::kUdp);
      EXPECT_EQ(test::slice(piece.bytes, 12, 8), test::slice(whole, 26, 8));
    }
  }
}

TEST(FragmentIp4, OfAFragmentGoesOnFromItsOffset) {
  for (const bool more : {false, true}) {
    const Bytes whole = Frame().ip4(kA, kB).fragment(100, more).protocol(17).payload(800);
    const Fragmented f(whole, 300);
    ASSERT_EQ(f.count(), 3u);
    EXPECT_EQ(f.pieces()[0].offset, 800u);
    EXPECT_EQ(f.payload(), test::slice(whole, 34));
    EXPECT_TRUE(f.pieces()[0].more && f.pieces()[1].more);
    EXPECT_EQ(f.pieces()[2].more, more);
  }
}

TEST(FragmentIp4, CarriesOptionsInTheFirstPieceOnly) {
  const Bytes whole =
      Frame().ip4(kA, kB).options({148, 4, 0, 0, 1, 1, 1, 0}).udp(1, 2).payload(300);
  const Fragmented f(whole, 100);
  ASSERT_GT(f.count(), 2u);
  EXPECT_EQ(f.payload(), test::slice(whole, 42));
  EXPECT_EQ(f.pieces()[0].header, 28u);
  EXPECT_EQ(test::slice(f.pieces()[0].bytes, 20, 8), test::slice(whole, 34, 8));
  EXPECT_EQ(f.pieces()[1].header, 20u);
}

TEST(FragmentIp4, GivesNothingWhenItCannotAndReturnsTheBuffers) {
  const Bytes whole = Frame().ip4(kA, kB).udp(1, 2).payload(1000);
  const unsigned before = rte_mempool_avail_count(test::pool());
  EXPECT_EQ(Fragmented(whole, 300, 3).count(), 0u);
  EXPECT_EQ(Fragmented(whole, 27).count(), 0u);
  std::vector<rte_mbuf*> taken;
  while (rte_mempool_avail_count(test::pool()) > 3) {
    taken.push_back(rte_pktmbuf_alloc(test::pool()));
  }
  EXPECT_EQ(Fragmented(whole, 300).count(), 0u);
  rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
  EXPECT_EQ(rte_mempool_avail_count(test::pool()), before);
}

}  // namespace
}  // namespace sluice
