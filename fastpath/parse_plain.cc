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
bool plain_ether(const uint8_t* at, const L2Options& options) {
  constexpr uint64_t kMac = 0xffffffffffff, kGroup = 1;
  const uint64_t own = options.own.number();
  const uint64_t dst = load<uint64_t>(at) & kMac;
  const uint64_t src = load<uint64_t>(at + sizeof(MacAddress)) & kMac;
  return dst == own && src != own && src != 0 && (src & kGroup) == 0 &&
         load<Be16>(at + 2 * sizeof(MacAddress)) == Be16::of(kTypeIp4);
}

// A right header without options, of a whole packet of at most `available` bytes.
bool plain_header(const Ip4Header& h, const uint8_t* at, uint32_t available) {
  const uint32_t total = h.total_length.host();
  const uint16_t pieces = Be16::of(Ip4Header::kMf | Ip4Header::kOffset).wire;
  const uint64_t sum = load<uint64_t>(at), more = load<uint64_t>(at + 8);
  const uint64_t whole = (sum & UINT32_MAX) + (sum >> 32) + (more & UINT32_MAX) + (more >> 32) +
                         load<uint32_t>(at + 16);
  const Ip4 src{h.src.host()}, dst{h.dst.host()};
  return h.version_ihl == kPlainIhl && total >= kIp4Bytes && total <= available &&
         (h.fragment.wire & pieces) == 0 && checksum_fold(whole).wire == 0 &&
         !src.is_unusable() && !dst.is_unusable() && src != dst;
}

// Neither opens nor ends a connection, and has no options but timestamps.
bool plain_tcp(const uint8_t* at, uint32_t bytes, Parsed& out) {
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
  out.tcp_seq = h.seq.host();
  out.tcp_ack = out.tcp_sack = h.ack.host();
  out.tcp_window = h.window.host();
  out.payload = static_cast<uint16_t>(bytes - header);
  return true;
}

bool plain_udp(const uint8_t* at, uint32_t bytes, Parsed& out) {
  if (bytes < kUdpBytes) {
    return false;
  }
  const auto h = load<UdpWire>(at);
  const uint32_t length = h.length.host();
  out.tuple.src_port = h.src.host();
  out.tuple.dst_port = h.dst.host();
  out.payload = static_cast<uint16_t>(length - kUdpBytes);
  return length >= kUdpBytes && length <= bytes && out.tuple.dst_port != 0;
}

}  // namespace

bool parse_plain(rte_mbuf* frame, const L2Options& l2, PlainTunnels& tunnels, Parsed& out,
                 Ip4& outer_source) noexcept {
  const uint32_t length = frame->data_len;
  if (frame->nb_segs != 1 || length < kEtherBytes + kIp4Bytes ||
      length > uint32_t{l2.mtu} + kEtherBytes) {
    return false;
  }
  const uint8_t* at = rte_pktmbuf_mtod(frame, const uint8_t*);
  if (!plain_ether(at, l2)) {
    return false;
  }
  at += kEtherBytes;
  auto h = load<Ip4Header>(at);
  if (!plain_header(h, at, length - kEtherBytes)) {
    return false;
  }
  Ip4 peer;
  if (h.protocol == proto::kIpip) {
    peer = {h.src.host()};
    if (Ip4{h.dst.host()} != tunnels.own ||
        (peer != tunnels.last && !tunnels.peers->contains(peer.value))) {
      return false;
    }
    const uint32_t payload = h.total_length.host() - kIp4Bytes;
    at += kIp4Bytes;
    if (payload < kIp4Bytes) {
      return false;
    }
    constexpr uint8_t kEcn = 3;
    const uint8_t outer_ecn = h.tos & kEcn;
    h = load<Ip4Header>(at);
    // The inner header stays as it is where ECN has nothing, or nothing new, to tell.
    if (!plain_header(h, at, payload) || (outer_ecn != 0 && outer_ecn != (h.tos & kEcn))) {
      return false;
    }
  }
  const uint32_t total = h.total_length.host();
  const uint32_t bytes = total - kIp4Bytes;
  std::construct_at(&out);  // in place: an assignment would copy it
  const bool whole = h.protocol == proto::kTcp   ? plain_tcp(at + kIp4Bytes, bytes, out)
                     : h.protocol == proto::kUdp ? plain_udp(at + kIp4Bytes, bytes, out)
                                                 : false;
  if (!whole) {
    return false;
  }
  out.tuple.src = {h.src.host()};
  out.tuple.dst = {h.dst.host()};
  out.tuple.protocol = h.protocol;
  out.l3_offset = kEtherBytes;
  out.l4_offset = kEtherBytes + kIp4Bytes;
  out.total_length = static_cast<uint16_t>(total);
  out.id = h.id.host();
  out.tos = h.tos;
  out.ttl = h.ttl;
  out.dont_fragment = (h.fragment.wire & Be16::of(Ip4Header::kDf).wire) != 0;
  out.piece_bytes = static_cast<uint16_t>(bytes);
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
