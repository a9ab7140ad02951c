// SPDX-License-Identifier: Apache-2.0
#include "fastpath/parse_plain.h"

#include <cstring>
#include <memory>

#include <rte_mbuf.h>

#include "fastpath/l4_wire.h"
#include "fastpath/rewrite.h"

namespace sluice {
namespace {

constexpr uint8_t kPlainIhl = 0x45;

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Addresses as words of which the upper 16 bits are others' bytes.
bool plain_ether(const uint8_t* at, uint64_t own) {
  constexpr uint64_t kMac = 0xffffffffffff, kGroup = 1;
  const uint64_t dst = load<uint64_t>(at) & kMac;
  const uint64_t src = load<uint64_t>(at + sizeof(MacAddress)) & kMac;
  return dst == own && src != own && src != 0 && (src & kGroup) == 0 &&
         load<Be16>(at + 2 * sizeof(MacAddress)) == Be16::of(kTypeIp4);
}

// An IPv4 header as three words of memory: version to identification and so on; fragment to
// source; destination.
struct Words {
  uint64_t first, second;
  uint32_t third;
  explicit Words(const uint8_t* at)
      : first(load<uint64_t>(at)),
        second(load<uint64_t>(at + 8)),
        third(load<uint32_t>(at + 16)) {}

  uint8_t version_ihl() const { return static_cast<uint8_t>(first); }
  uint8_t tos() const { return static_cast<uint8_t>(first >> 8); }
  uint16_t total_length() const { return Be16{static_cast<uint16_t>(first >> 16)}.host(); }
  uint16_t id() const { return Be16{static_cast<uint16_t>(first >> 32)}.host(); }
  Be16 fragment() const { return {static_cast<uint16_t>(first >> 48)}; }
  uint8_t ttl() const { return static_cast<uint8_t>(second); }
  uint8_t protocol() const { return static_cast<uint8_t>(second >> 8); }
  uint32_t src_wire() const { return static_cast<uint32_t>(second >> 32); }
  Ip4 src() const { return {Be32{src_wire()}.host()}; }
  Ip4 dst() const { return {Be32{third}.host()}; }
  bool sum_is_right() const {
    const uint64_t sum =
        (first & UINT32_MAX) + (first >> 32) + (second & UINT32_MAX) + (second >> 32) + third;
    return checksum_fold(sum).wire == 0;
  }
};

// A right header without options, of a whole packet of at most `available` bytes.
bool plain_header(const Words& h, uint32_t available) {
  const uint32_t total = h.total_length();
  const uint16_t pieces = Be16::of(Ip4Header::kMf | Ip4Header::kOffset).wire;
  return h.version_ihl() == kPlainIhl && total >= kIp4Bytes && total <= available &&
         (h.fragment().wire & pieces) == 0 && h.sum_is_right() && !h.src().is_unusable() &&
         !h.dst().is_unusable() && h.src_wire() != h.third;
}

// Is a checksum the folded sum of the pseudo-header, complemented or not as kernels leave it?
bool is_unfinished(const Words& h, uint32_t l4_bytes, Be16 checksum) {
  const uint64_t pseudo = uint64_t{h.src_wire()} + h.third + Be16::of(h.protocol()).wire +
                          Be16::of(static_cast<uint16_t>(l4_bytes)).wire;
  return checksum.wire == static_cast<uint16_t>(~checksum_fold(pseudo).wire);
}

// Neither opens nor ends a connection, and has no options but timestamps.
bool plain_tcp(const uint8_t* at, uint32_t bytes, const Words& ip, Plain& out) {
  if (bytes < kTcpBytes) {
    return false;
  }
  const auto h = load<TcpWire>(at);
  const uint32_t header = 4u * (h.offset >> 4);
  const bool bare = header == kTcpBytes;
  const bool timed = header == kTcpBytes + kTimestampsBytes && header <= bytes &&
                     load<Be32>(at + kTcpBytes).host() == kOnlyTimestamps;
  const uint8_t kinds = h.flags & (tcp::kFin | tcp::kSyn | tcp::kRst | tcp::kAck);
  if ((!bare && !timed) || kinds != tcp::kAck || h.src.wire == 0 || h.dst.wire == 0) {
    return false;
  }
  out.tuple.src_port = h.src.host();
  out.tuple.dst_port = h.dst.host();
  out.tcp_flags = h.flags;
  out.seq = h.seq.host();
  out.ack = h.ack.host();
  out.window = h.window.host();
  out.payload = static_cast<uint16_t>(bytes - header);
  out.unfinished = is_unfinished(ip, bytes, h.checksum);
  return true;
}

bool plain_udp(const uint8_t* at, uint32_t bytes, const Words& ip, Plain& out) {
  if (bytes < kUdpBytes) {
    return false;
  }
  const auto h = load<UdpWire>(at);
  const uint32_t length = h.length.host();
  out.tuple.src_port = h.src.host();
  out.tuple.dst_port = h.dst.host();
  out.seq = out.ack = 0;
  out.window = 0;
  out.tcp_flags = 0;
  out.payload = static_cast<uint16_t>(length - kUdpBytes);
  out.unfinished = is_unfinished(ip, length, h.checksum);
  return length >= kUdpBytes && length <= bytes && out.tuple.dst_port != 0;
}

}  // namespace

void widen(const Plain& plain, Parsed& out) noexcept {
  std::construct_at(&out);  // in place: an assignment would copy it
  out.tuple = plain.tuple;
  out.tcp_flags = plain.tcp_flags;
  out.tcp_seq = plain.seq;
  out.tcp_ack = out.tcp_sack = plain.ack;
  out.tcp_window = plain.window;
  out.payload = plain.payload;
  out.l3_offset = Plain::kL3;
  out.l4_offset = Plain::kL4;
  out.total_length = plain.total_length;
  out.id = plain.id;
  out.tos = plain.tos;
  out.ttl = plain.ttl;
  out.dont_fragment = plain.dont_fragment;
  out.piece_bytes = static_cast<uint16_t>(plain.total_length - kIp4Bytes);
}

bool parse_plain(rte_mbuf* frame, const L2Options& l2, PlainTunnels& tunnels, Plain& out,
                 Ip4& outer_source) noexcept {
  const uint32_t length = frame->data_len;
  if (frame->nb_segs != 1 || length < kEtherBytes + kIp4Bytes ||
      length > uint32_t{l2.mtu} + kEtherBytes) {
    return false;
  }
  const uint8_t* at = rte_pktmbuf_mtod(frame, const uint8_t*);
  if (!plain_ether(at, l2.own.number())) {
    return false;
  }
  at += kEtherBytes;
  Words h(at);
  if (!plain_header(h, length - kEtherBytes)) {
    return false;
  }
  Ip4 peer;
  if (h.protocol() == proto::kIpip) {
    peer = h.src();
    if (h.dst() != tunnels.own ||
        (peer != tunnels.last && !tunnels.peers->contains(peer.value))) {
      return false;
    }
    const uint32_t payload = h.total_length() - kIp4Bytes;
    at += kIp4Bytes;
    if (payload < kIp4Bytes) {
      return false;
    }
    constexpr uint8_t kEcn = 3;
    const uint8_t outer_ecn = h.tos() & kEcn;
    h = Words(at);
    // The inner header stays as it is where ECN has nothing, or nothing new, to tell.
    if (!plain_header(h, payload) || (outer_ecn != 0 && outer_ecn != (h.tos() & kEcn))) {
      return false;
    }
  }
  const uint32_t total = h.total_length();
  const uint32_t bytes = total - kIp4Bytes;
  out.tuple = {h.src(), h.dst(), 0, 0, h.protocol()};
  const bool whole = h.protocol() == proto::kTcp   ? plain_tcp(at + kIp4Bytes, bytes, h, out)
                     : h.protocol() == proto::kUdp ? plain_udp(at + kIp4Bytes, bytes, h, out)
                                                   : false;
  if (!whole) {
    return false;
  }
  out.total_length = static_cast<uint16_t>(total);
  out.id = h.id();
  out.tos = h.tos();
  out.ttl = h.ttl();
  out.dont_fragment = (h.fragment().wire & Be16::of(Ip4Header::kDf).wire) != 0;
  if (peer.value != 0) {
    frame->data_off = static_cast<uint16_t>(frame->data_off + kIp4Bytes);
    tunnels.last = peer;
  }
  frame->data_len = static_cast<uint16_t>(kEtherBytes + total);  // without padding
  frame->pkt_len = kEtherBytes + total;
  outer_source = peer;
  return true;
}

}  // namespace sluice
