// SPDX-License-Identifier: Apache-2.0
#include "fastpath/parse_plain.h"

#include <random>

#include <gtest/gtest.h>

#include "tests/fastpath/ends.h"
#include "tests/support/long_way.h"
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

const L2Options kLink{test::kOwnMac, 1500, false};
const std::unordered_set<uint32_t> kPeers = {test::ip(kPeer).value};

PlainTunnels tunnels() {
  return {test::ip(kNode), &kPeers};
}

// Is it taken?  Taken or not, it must be right.  `device`: what that says of its checksum.
bool taken(const Bytes& bytes, uint64_t device = 0) {
  const Buffer frame(bytes);
  frame.get()->ol_flags = device;
  bool out = false;
  EXPECT_TRUE(test::short_way_is_right(*frame.get(), kLink, tunnels(), &out));
  return out;
}

struct Out {
  std::array<Plain, kMaxBurst> plain;
  std::array<Ip4, kMaxBurst> peers;
};

Frame plain() {
  return Frame().ip4(kA, kB);
}
Frame tunnelled(std::string_view peer = kPeer) {
  return Frame().ip4(peer, kNode).ip4(kA, kB);
}

TEST(ParsePlain, TakesWhatIsCommonAndLeavesTheRest) {
  struct Row {
    const char* sentence;
    Bytes frame;
    bool taken;
  };
  const Bytes timestamps = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
  const Bytes sack = {1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2};
  const Bytes scale = {1, 3, 3, 7};
  const Row rows[] = {
      {"an ACK", plain().tcp(1, 2, tcp::kAck), true},
      {"data", plain().tcp(1, 2, tcp::kAck | tcp::kPsh).payload(100), true},
      {"with timestamps", plain().tcp(1, 2, tcp::kAck).data_offset(8).raw(timestamps), true},
      {"with SACK", plain().tcp(1, 2, tcp::kAck).data_offset(8).raw(sack), false},
      {"a header that is cut", plain().tcp(1, 2, tcp::kAck).data_offset(8), false},
      {"a SYN", plain().tcp(1, 2, tcp::kSyn), true},
      {"a SYN with a scale", plain().tcp(1, 2, tcp::kSyn).data_offset(6).raw(scale), true},
      {"a SYN with half of it", plain().tcp(1, 2, tcp::kSyn).data_offset(6).raw({1, 3, 3}),
       false},
      {"a SYN+ACK", plain().tcp(1, 2, tcp::kSyn | tcp::kAck), true},
      {"a SYN+FIN", plain().tcp(1, 2, tcp::kSyn | tcp::kFin), false},
      {"a FIN", plain().tcp(1, 2, tcp::kFin | tcp::kAck), true},
      {"a RST", plain().tcp(1, 2, tcp::kRst | tcp::kAck), true},
      {"no flags", plain().tcp(1, 2, 0), false},
      {"port 0", plain().tcp(0, 2, tcp::kAck), false},
      {"UDP", plain().udp(1, 2).payload(30), true},
      {"UDP from port 0", plain().udp(0, 2), true},
      {"UDP to port 0", plain().udp(1, 0), false},
      {"UDP of another length", plain().udp(1, 2).length(60), false},
      {"an echo", plain().echo(1), false},
      {"a padded frame", plain().udp(1, 2).cut(60), true},
      {"don't fragment", Frame().ip4(kA, kB).df().udp(1, 2), true},
      {"a fragment", Frame().ip4(kA, kB).fragment(0, true).udp(1, 2).payload(8), false},
      {"a wrong header checksum", Frame().ip4(kA, kB).checksum(1).udp(1, 2), false},
      {"a total length past the frame", Frame().ip4(kA, kB).length(100).udp(1, 2), false},
      {"options", Frame().ip4(kA, kB).options({1, 1, 1, 1}).udp(1, 2), false},
      {"from itself", Frame().ip4(kA, kA).udp(1, 2), false},
      {"to a group", Frame().ip4(kA, "224.0.0.1").udp(1, 2), false},
      {"from nowhere", Frame().ip4("0.0.0.1", kB).udp(1, 2), false},
      {"for another", plain().ether(test::kPeerMac, test::kPeerMac).udp(1, 2), false},
      {"from a group's MAC", plain().ether(test::kOwnMac, test::kBroadcastMac).udp(1, 2),
       false},
      {"IPv6", Frame().ip6("fd00::1", "fd00::2").udp(1, 2), false},
      {"larger than the link's MTU", plain().udp(1, 2).payload(1500), false},
      {"in the tunnel of a peer", tunnelled().tcp(1, 2, tcp::kAck), true},
      {"UDP in the tunnel of a peer", tunnelled().udp(1, 2).payload(3), true},
      {"in a stranger's", tunnelled("192.0.2.9").udp(1, 2), false},
      {"in a tunnel to another", Frame().ip4(kPeer, kB).ip4(kA, kB).udp(1, 2), false},
      {"padded behind the tunnel", tunnelled().udp(1, 2).cut(90), true},
      {"with ECN outside", Frame().ip4(kPeer, kNode).tos(2).ip4(kA, kB).udp(1, 2), false},
      {"with the same ECN on both",
       Frame().ip4(kPeer, kNode).tos(2).ip4(kA, kB).tos(2).udp(1, 2), true},
      {"with congestion on both", Frame().ip4(kPeer, kNode).tos(3).ip4(kA, kB).tos(3).udp(1, 2),
       true},
      {"with congestion outside", Frame().ip4(kPeer, kNode).tos(3).ip4(kA, kB).tos(2).udp(1, 2),
       false},
      {"with ECN inside", Frame().ip4(kPeer, kNode).ip4(kA, kB).tos(3).udp(1, 2), true},
      {"nested", Frame().ip4(kPeer, kNode).ip4(kA, kB).ip4(kA, kB).udp(1, 2), false},
      {"a tunnel in pieces", Frame().ip4(kPeer, kNode).fragment(0, true).ip4(kA, kB).udp(1, 2),
       false},
      {"nothing in the tunnel", Frame().ip4(kPeer, kNode).protocol(proto::kIpip).payload(10),
       false},
      {"a runt", plain().udp(1, 2).cut(20), false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.sentence);
    EXPECT_EQ(taken(row.frame), row.taken);
  }
}

TEST(ParsePlain, ForgetsWhatADeviceSaidOfTheOuterPacket) {
  for (const bool tunnel : {false, true}) {
    const Buffer frame(tunnel ? tunnelled().udp(1, 2) : plain().udp(1, 2));
    frame.get()->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    PlainTunnels here = tunnels();
    Out out;
    rte_mbuf* const burst[] = {frame};
    ASSERT_EQ(parse_plain(burst, kLink, here, out.plain, out.peers), 1u);
    EXPECT_EQ(frame.get()->ol_flags, tunnel ? 0 : RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  }
}

TEST(ParsePlain, RemembersThePeer) {
  const Buffer frame(tunnelled().udp(1, 2));
  const std::unordered_set<uint32_t> nobody;
  PlainTunnels known{test::ip(kNode), &nobody, test::ip(kPeer)};
  Out out;
  rte_mbuf* const burst[] = {frame};
  EXPECT_EQ(parse_plain(burst, kLink, known, out.plain, out.peers), 1u);
  EXPECT_EQ(out.peers[0], test::ip(kPeer));
}

// A frame that may be plain, and may be changed at some places.
Bytes any_frame(std::mt19937& random) {
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  Frame frame = below(2) == 0 ? plain() : tunnelled();
  const auto flags = static_cast<uint8_t>(below(2) == 0 ? tcp::kAck : below(64));
  below(3) != 0 ? frame.tcp(1, static_cast<uint16_t>(below(3)), flags)
                : frame.udp(1, static_cast<uint16_t>(below(3)));
  if (below(3) == 0) {
    frame.unfinished();
  }
  Bytes bytes = frame.payload(below(40)).build();
  for (uint32_t changes = below(3); changes > 0; --changes) {
    const uint32_t at = below(static_cast<uint32_t>(bytes.size()));
    bytes[at] = static_cast<uint8_t>(below(2) == 0 ? bytes[at] ^ 1u << below(8) : below(256));
    if (at >= 14 && at < 34 && below(4) != 0) {  // the outermost header's checksum
      test::put16(bytes, 24, 0);
      test::put16(bytes, 24,
                  static_cast<uint16_t>(~test::plain_sum(test::slice(bytes, 14, 20))));
    }
  }
  return bytes;
}

TEST(ParsePlain, SaysWhatTheLongWaySaysOfChangedFrames) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  size_t plain_ones = 0;
  for (int i = 0; i < 30'000; ++i) {
    const uint64_t says[] = {0, RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD};
    plain_ones += taken(any_frame(random), says[random() % 3]) ? 1 : 0;
  }
  EXPECT_GT(plain_ones, 5000u);
}

// Whoever its neighbours in a burst are, and wherever it has its place.
TEST(ParsePlain, ReadsABurstAsItsFrames) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 1000; ++i) {
    std::vector<std::unique_ptr<test::Copy>> together, alone;
    std::vector<rte_mbuf*> burst;
    for (auto left = 1 + random() % kMaxBurst; left > 0; --left) {
      const Buffer frame(any_frame(random));
      together.push_back(std::make_unique<test::Copy>(*frame.get()));
      alone.push_back(std::make_unique<test::Copy>(*frame.get()));
      burst.push_back(together.back()->frame());
    }
    PlainTunnels here = tunnels();
    Out all, one;
    const uint64_t taken = parse_plain(burst, kLink, here, all.plain, all.peers);
    ASSERT_EQ(burst.size() == 64 ? 0 : taken >> burst.size(), 0u);
    for (size_t k = 0; k < burst.size(); ++k) {
      rte_mbuf* const single[] = {alone[k]->frame()};
      const uint64_t bit = parse_plain(single, kLink, here, one.plain, one.peers);
      ASSERT_EQ(taken >> k & 1, bit) << k;
      ASSERT_TRUE(together[k]->read({}, {}) == alone[k]->read({}, {}));
      if (bit != 0) {
        ASSERT_EQ(std::memcmp(&all.plain[k], &one.plain[0], sizeof(Plain)), 0) << k;
        ASSERT_EQ(all.peers[k], one.peers[0]);
      }
    }
  }
}

// As a sanitizer sees.
TEST(ParsePlain, ReadsNothingBehindABuffer) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 1000; ++i) {
    std::vector<std::unique_ptr<test::Copy>> copies;
    std::vector<rte_mbuf*> burst;
    bool room = true;
    for (auto left = 1 + random() % 8; left > 0; --left) {
      const Buffer frame(any_frame(random));
      const size_t least = random() % 4 == 0 ? 0 : kPlainReach;
      copies.push_back(std::make_unique<test::Copy>(*frame.get(), least));
      burst.push_back(copies.back()->frame());
      room &= burst.back()->buf_len >= kPlainReach;
    }
    PlainTunnels here = tunnels();
    Out out;
    const uint64_t taken = parse_plain(burst, kLink, here, out.plain, out.peers);
    ASSERT_TRUE(room || taken == 0);
    ASSERT_TRUE(room || parse_plain_again(burst, out.plain) == 0);
  }
}

}  // namespace
}  // namespace sluice
