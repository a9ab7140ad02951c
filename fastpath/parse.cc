// SPDX-License-Identifier: Apache-2.0
#include "fastpath/parse.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include <nmmintrin.h>
#include <rte_mbuf.h>

#include "fastpath/ip6.h"
#include "fastpath/l4_wire.h"
#include "fastpath/rewrite.h"

namespace sluice {
namespace {

constexpr uint32_t kSctpBytes = 12;
constexpr uint8_t kUnreachable = 3, kTooBig = 4, kExceeded = 11, kBadParameter = 12;
constexpr uint16_t kLowestMtu = 68;
constexpr uint32_t kLowestMtu6 = 1280;
constexpr uint32_t kEnoughL4 = 8;  // holds the ports of every protocol that has them

struct ArpWire {
  Be16 hardware;
  Be16 protocol;
  uint8_t hardware_bytes;
  uint8_t protocol_bytes;
  Be16 operation;
  MacAddress sender_mac;
  uint8_t sender[4];
  MacAddress target_mac;
  uint8_t target[4];
};
static_assert(sizeof(ArpWire) == 28);

struct IcmpWire {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be16 id;   // of a query or its reply
  Be16 mtu;  // of the next hop, in 3/4
};
static_assert(sizeof(IcmpWire) == kIcmpBytes);

// Headers stand at odd addresses in a frame: they are copied, which costs the same loads.
template <typename T>
T read(const rte_mbuf* frame, uint32_t offset) {
  T value;
  std::memcpy(&value, rte_pktmbuf_mtod_offset(frame, const uint8_t*, offset), sizeof value);
  return value;
}

Ip4 ip4_of(const uint8_t (&bytes)[4]) {
  Be32 wire;
  std::memcpy(&wire, bytes, sizeof wire);
  return {wire.host()};
}

// A well-formed option list without a source route.
bool options_harmless(const uint8_t* list, uint32_t bytes) {
  constexpr uint8_t kEnd = 0, kNop = 1, kLooseRoute = 131, kStrictRoute = 137;
  for (uint32_t i = 0; i < bytes;) {
    const uint8_t type = list[i];
    if (type == kEnd) {
      return true;
    }
    if (type == kNop) {
      ++i;
      continue;
    }
    if (type == kLooseRoute || type == kStrictRoute || bytes - i < 2 || list[i + 1] < 2 ||
        list[i + 1] > bytes - i) {
      return false;
    }
    i += list[i + 1];
  }
  return true;
}

// Sum of an IPv4 header of `words` 32-bit words, at least 5; unfolded.
uint64_t sum_words(const uint8_t* bytes, uint32_t words) {
  const auto word = [bytes](uint32_t i) {
    uint32_t value;
    std::memcpy(&value, bytes + size_t{4} * i, sizeof value);
    return uint64_t{value};
  };
  uint64_t sum = word(0) + word(1) + word(2) + word(3) + word(4);
  for (uint32_t i = 5; i < words; ++i) {
    sum += word(i);
  }
  return sum;
}

// Tuple::icmp_class of a query or its answer; 0 for any other type.
int8_t icmp_class(uint8_t type, bool six) {
  if (six) {
    return static_cast<int8_t>(type == 128 ? 1 : type == 129 ? -1 : 0);
  }
  switch (type) {
    case 8:
      return 1;
    case 0:
      return -1;
    case 13:
      return 2;
    case 14:
      return -2;
    default:
      return 0;
  }
}
bool is_icmp_error(uint8_t type, bool six) {
  if (six) {
    return type >= 1 && type <= 4;
  }
  return type == kUnreachable || type == kExceeded || type == kBadParameter;
}

uint16_t l4_bytes(const Parsed& p) {
  return static_cast<uint16_t>(p.total_length - (p.l4_offset - p.l3_offset));
}

// A first fragment must hold the whole L4 header, or its flow could not be told.
DropReason too_short(const Parsed& p) {
  return p.fragment ? DropReason::frag_tiny : DropReason::l4_truncated;
}

// The options of a TCP header: what the window of its connection needs to know.
// REQUIRES: they are inside the frame.
void read_options(const rte_mbuf* frame, uint32_t bytes, Parsed& out) {
  const uint32_t at = out.l4_offset + kTcpBytes;
  if (bytes == kTimestampsBytes && read<Be32>(frame, at).host() == kOnlyTimestamps) {
    return;
  }
  const TcpOptions options = read_tcp_options(
      {rte_pktmbuf_mtod_offset(frame, const uint8_t*, at), bytes}, out.tcp_ack);
  out.tcp_scale = options.scale;
  out.tcp_sack = options.sack;
}

DropReason parse_tcp(const rte_mbuf* frame, uint32_t bytes, Parsed& out) {
  if (bytes < kTcpBytes) {
    return too_short(out);
  }
  const auto h = read<TcpWire>(frame, out.l4_offset);
  const uint32_t header = 4u * (h.offset >> 4);
  if (header < kTcpBytes) {
    return DropReason::tcp_offset;
  }
  if (header > bytes) {
    return out.fragment ? DropReason::frag_tiny : DropReason::tcp_offset;
  }
  if (!good_tcp_flags(h.flags)) {
    return DropReason::tcp_flags;
  }
  out.tuple.src_port = h.src.host();
  out.tuple.dst_port = h.dst.host();
  if (out.tuple.src_port == 0 || out.tuple.dst_port == 0) {
    return DropReason::l4_port_zero;
  }
  out.tcp_flags = h.flags;
  out.tcp_seq = h.seq.host();
  out.tcp_ack = h.ack.host();
  out.tcp_window = h.window.host();
  out.tcp_sack = out.tcp_ack;
  if (header > kTcpBytes) {
    read_options(frame, header - kTcpBytes, out);
  }
  out.payload = static_cast<uint16_t>(bytes - header);
  return DropReason::none;
}

DropReason parse_udp(const rte_mbuf* frame, uint32_t bytes, Parsed& out) {
  if (bytes < kUdpBytes) {
    return too_short(out);
  }
  const auto h = read<UdpWire>(frame, out.l4_offset);
  out.tuple.src_port = h.src.host();
  out.tuple.dst_port = h.dst.host();
  if (out.tuple.dst_port == 0) {
    return DropReason::l4_port_zero;
  }
  // The length is the whole datagram's, of which a first fragment holds only a part.
  const uint32_t length = h.length.host();
  if (length < kUdpBytes || (length > bytes && !out.fragment)) {
    return DropReason::udp_len;
  }
  out.payload = static_cast<uint16_t>(std::min(length, bytes) - kUdpBytes);
  return DropReason::none;
}

DropReason parse_sctp(const rte_mbuf* frame, uint32_t bytes, Parsed& out) {
  if (bytes < kSctpBytes) {
    return too_short(out);
  }
  out.tuple.src_port = read<Be16>(frame, out.l4_offset).host();
  out.tuple.dst_port = read<Be16>(frame, out.l4_offset + 2u).host();
  if (out.tuple.src_port == 0 || out.tuple.dst_port == 0) {
    return DropReason::l4_port_zero;
  }
  out.payload = static_cast<uint16_t>(bytes - kSctpBytes);
  return DropReason::none;
}

// Ports, ICMP identifier and number of a quoted packet, whose L4 header is at `offset`.
DropReason parse_quoted_l4(const rte_mbuf* frame, uint32_t offset, PacketFlow& out) {
  Tuple& t = out.quoted;
  if (t.is_icmp()) {
    const auto icmp = read<IcmpWire>(frame, offset);
    t.icmp_class = icmp_class(icmp.type, t.six);
    if (t.icmp_class == 0) {
      return DropReason::icmp_quote;
    }
    t.src_port = t.dst_port = icmp.id.host();
  } else if (proto::has_ports(t.protocol)) {
    t.src_port = read<Be16>(frame, offset).host();
    t.dst_port = read<Be16>(frame, offset + 2).host();
    out.quoted_seq = read<Be32>(frame, offset + 4).host();
  }
  return DropReason::none;
}

DropReason parse_quote6(const rte_mbuf* frame, uint32_t offset, uint32_t bytes,
                        PacketFlow& out) {
  if (bytes < kIp6Bytes + kEnoughL4) {
    return DropReason::icmp_quote;
  }
  const auto h = read<Ip6Header>(frame, offset);
  const Ip6Chain chain =
      walk_ip6({rte_pktmbuf_mtod_offset(frame, const uint8_t*, offset), bytes});
  if (h.version_class_label.host() >> 28 != 6 || chain.reason != DropReason::none ||
      chain.end + kEnoughL4 > bytes || chain.fragment_offset != 0) {
    return DropReason::icmp_quote;
  }
  out.quoted.six = true;
  out.quoted.protocol = chain.protocol;
  out.quoted_pair = {ip6_address(h.src), ip6_address(h.dst)};
  return parse_quoted_l4(frame, offset + chain.end, out);
}

// The tuple (and, of TCP, the number) of the packet that an ICMP error quotes, from the `bytes`
// behind the ICMP header.
DropReason parse_quote(const rte_mbuf* frame, uint32_t offset, uint32_t bytes,
                       PacketFlow& out) {
  if (bytes < kIp4Bytes + kEnoughL4) {
    return DropReason::icmp_quote;
  }
  const auto h = read<Ip4Header>(frame, offset);
  const uint32_t header = 4u * (h.version_ihl & 0xf);
  if (h.version_ihl >> 4 != 4 || header < kIp4Bytes || header + kEnoughL4 > bytes ||
      (h.fragment.host() & Ip4Header::kOffset) != 0) {
    return DropReason::icmp_quote;
  }
  out.quoted = {{h.src.host()}, {h.dst.host()}, 0, 0, h.protocol};
  return parse_quoted_l4(frame, offset + header, out);
}

DropReason parse_icmp(const rte_mbuf* frame, uint32_t bytes, Parsed& out) {
  if (bytes < kIcmpBytes) {
    return too_short(out);
  }
  const auto h = read<IcmpWire>(frame, out.l4_offset);
  out.icmp_type = h.type;
  out.icmp_code = h.code;
  out.payload = static_cast<uint16_t>(bytes - kIcmpBytes);
  const bool six = out.tuple.six;
  out.tuple.icmp_class = icmp_class(h.type, six);
  if (out.tuple.icmp_class != 0) {
    out.tuple.src_port = out.tuple.dst_port = h.id.host();
    return DropReason::none;
  }
  if (!is_icmp_error(h.type, six)) {
    return DropReason::icmp_type;
  }
  out.icmp_error = true;
  const uint32_t quote = out.l4_offset + kIcmpBytes;
  const DropReason reason = six ? parse_quote6(frame, quote, bytes - kIcmpBytes, out)
                                : parse_quote(frame, quote, bytes - kIcmpBytes, out);
  if (reason != DropReason::none) {
    return reason;
  }
  if (six) {
    constexpr uint8_t kTooBig6 = 2;
    const bool narrow =
        h.type == kTooBig6 && read<Be32>(frame, out.l4_offset + 4u).host() < kLowestMtu6;
    return narrow || out.pair.dst != out.quoted_pair.src ? DropReason::icmp_quote_mismatch
                                                         : DropReason::none;
  }
  const uint16_t mtu = h.mtu.host();
  const bool bad_mtu =
      h.type == kUnreachable && h.code == kTooBig && mtu != 0 && mtu < kLowestMtu;
  return bad_mtu || out.tuple.dst != out.quoted.src ? DropReason::icmp_quote_mismatch
                                                    : DropReason::none;
}

// What a fragment says of itself, whatever the others of its datagram say.
DropReason check_fragment(const Parsed& p) {
  const uint32_t offset = p.fragment_offset;
  const uint32_t bytes = p.piece_bytes;
  if (p.tuple.protocol == proto::kTcp && offset == 8) {
    return DropReason::frag_tiny;  // would write over the flags of the first
  }
  if (bytes == 0 || (p.more_fragments && bytes % 8 != 0)) {
    return DropReason::frag_len;
  }
  const uint32_t whole = offset + (p.tuple.six ? bytes : p.total_length);
  return whole > UINT16_MAX ? DropReason::frag_oversize : DropReason::none;
}

// The sum of the pseudo-header over `bytes` of L4; wire order, unfolded.
uint64_t pseudo_sum(const Parsed& p, uint32_t bytes) {
  const uint64_t rest =
      uint64_t{Be16::of(p.tuple.protocol).wire} + Be16::of(static_cast<uint16_t>(bytes)).wire;
  if (!p.tuple.six) {
    return rest + Be32::of(p.tuple.src.value).wire + Be32::of(p.tuple.dst.value).wire;
  }
  uint8_t wire[32];
  put_ip6_address(p.pair.src, wire);
  put_ip6_address(p.pair.dst, wire + 16);
  return checksum_add(wire, rest);
}

// Where the checksum of a TCP or UDP header stands, and how many bytes it covers.
struct L4Sum {
  uint32_t field;
  uint32_t bytes;
  uint64_t pseudo;  // sum of the pseudo-header, wire order, unfolded
};
// REQUIRES: TCP or UDP, not a fragment, parsed.
L4Sum l4_sum(const rte_mbuf* frame, const Parsed& p) {
  const bool udp = p.tuple.protocol == proto::kUdp;
  L4Sum s;
  s.field = p.l4_offset + (udp ? 6u : 16u);
  s.bytes = udp ? read<UdpWire>(frame, p.l4_offset).length.host() : l4_bytes(p);
  s.pseudo = pseudo_sum(p, s.bytes);
  return s;
}

std::span<const uint8_t> l4_span(const rte_mbuf* frame, const Parsed& p, uint32_t bytes) {
  return {rte_pktmbuf_mtod_offset(frame, const uint8_t*, p.l4_offset), bytes};
}

// CRC32c in place of a checksum (RFC 9260, appendix A): 0 is what a veth peer left to do.
void finish_sctp(rte_mbuf* frame, const Parsed& p) noexcept {
  constexpr uint32_t kField = 8;
  if (read<uint32_t>(frame, p.l4_offset + kField) != 0) {
    return;
  }
  const std::span<const uint8_t> bytes = l4_span(frame, p, l4_bytes(p));
  uint64_t crc = 0xffffffff;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= bytes.size(); i += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, &bytes[i], sizeof word);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; i < bytes.size(); ++i) {
    crc = _mm_crc32_u8(static_cast<uint32_t>(crc), bytes[i]);
  }
  const auto sum = static_cast<uint32_t>(~crc);
  std::memcpy(rte_pktmbuf_mtod_offset(frame, uint8_t*, p.l4_offset + kField), &sum, sizeof sum);
}

}  // namespace

L2 parse_l2(rte_mbuf* frame, const L2Options& options) noexcept {
  const uint32_t length = frame->pkt_len;
  if (length < kEtherBytes) {
    return {DropReason::l2_runt, L2Kind::unknown};
  }
  if (length > uint32_t{options.mtu} + kEtherBytes) {
    return {DropReason::l2_oversize, L2Kind::unknown};
  }
  if (frame->nb_segs > 1 && rte_pktmbuf_linearize(frame) != 0) {
    return {DropReason::res_mbuf, L2Kind::unknown};  // no room in the first
  }
  const auto h = read<EtherHeader>(frame, 0);
  const uint16_t type = h.type.host();
  const bool six_group = type == kTypeIp6 && h.dst.bytes[0] == 0x33 && h.dst.bytes[1] == 0x33;
  const bool accepted = h.dst.is_multicast() ? type == kTypeArp || six_group
                                             : options.any_unicast || h.dst == options.own;
  if (!accepted) {
    return {DropReason::l2_bad_dst, L2Kind::unknown};
  }
  if (h.src.is_multicast() || h.src.is_zero() || h.src == options.own) {
    return {DropReason::l2_bad_src, L2Kind::unknown};
  }
  switch (type) {
    case kTypeIp4:
      return {DropReason::none, L2Kind::ip4};
    case kTypeArp:
      return {DropReason::none, L2Kind::arp};
    case kTypeIp6:
      return {DropReason::none, L2Kind::ip6};
    case 0x8100:
    case 0x88a8:
    case 0x9100:
      return {DropReason::l2_vlan, L2Kind::unknown};
    default:
      return {DropReason::l2_ethertype, L2Kind::unknown};
  }
}

MacAddress ether_destination(const rte_mbuf* frame) noexcept {
  return read<EtherHeader>(frame, 0).dst;
}

DropReason parse_arp(rte_mbuf* frame, ArpPacket& out) noexcept {
  if (frame->data_len < kEtherBytes + sizeof(ArpWire)) {
    return DropReason::arp_invalid;
  }
  const auto h = read<ArpWire>(frame, kEtherBytes);
  const auto ether = read<EtherHeader>(frame, 0);
  const uint16_t operation = h.operation.host();
  if (h.hardware.host() != 1 || h.protocol.host() != kTypeIp4 || h.hardware_bytes != 6 ||
      h.protocol_bytes != 4 || (operation != 1 && operation != 2) ||
      h.sender_mac != ether.src || h.sender_mac.is_multicast() || h.sender_mac.is_zero()) {
    return DropReason::arp_invalid;
  }
  out = {operation, h.sender_mac, ip4_of(h.sender), h.target_mac, ip4_of(h.target)};
  return DropReason::none;
}

uint8_t icmp_type_of(const rte_mbuf* frame, const Parsed& p) noexcept {
  return l4_bytes(p) > 0 ? read<uint8_t>(frame, p.l4_offset) : uint8_t{0};
}

DropReason parse_nd(const rte_mbuf* frame, const Parsed& p, NdPacket& out) noexcept {
  constexpr uint8_t kSolicitation = 135, kAdvertisement = 136;
  constexpr uint32_t kHeader = 24, kUnit = 8;
  const uint32_t bytes = l4_bytes(p);
  const uint8_t type = read<uint8_t>(frame, p.l4_offset);
  const bool has_target = type == kSolicitation || type == kAdvertisement;
  if (bytes < (has_target ? kHeader : kUnit)) {
    return DropReason::l4_truncated;
  }
  const auto h = read<IcmpWire>(frame, p.l4_offset);
  out.type = type;
  out.source = p.pair.src;
  out.destination = p.pair.dst;
  out.from = read<EtherHeader>(frame, 0).src;
  if (!l4_checksum_ok(frame, p)) {
    return DropReason::l4_checksum;
  }
  if (!has_target) {
    return DropReason::none;
  }
  if (p.ttl != 255) {
    return DropReason::ip6_hop;
  }
  uint8_t target[16];
  std::memcpy(target, rte_pktmbuf_mtod_offset(frame, const uint8_t*, p.l4_offset + kUnit),
              sizeof target);
  out.target = ip6_address(target);
  if (out.target.is_v4() || out.target.is_zero() || out.target.is_group()) {
    return DropReason::icmp_type;
  }
  for (uint32_t at = kHeader; at + kUnit <= bytes;) {
    const uint32_t length = kUnit * read<uint8_t>(frame, p.l4_offset + at + 1);
    if (length == 0) {
      return DropReason::icmp_type;
    }
    const bool tells =
        read<uint8_t>(frame, p.l4_offset + at) == (type == kSolicitation ? 1 : 2);
    const auto mac = read<MacAddress>(frame, p.l4_offset + at + 2);
    if (tells && length == kUnit && mac == out.from && !mac.is_multicast()) {
      out.link = mac;
    }
    at += length;
  }
  return h.code == 0 ? DropReason::none : DropReason::icmp_type;
}

DropReason parse_ip4(rte_mbuf* frame, uint16_t offset, uint16_t available,
                     const L3Options& options, Parsed& out) noexcept {
  const uint32_t behind = frame->data_len > offset ? uint32_t{frame->data_len} - offset : 0u;
  const uint32_t bytes = std::min<uint32_t>(available, behind);
  if (bytes < kIp4Bytes) {
    return DropReason::ip4_truncated;
  }
  const auto h = read<Ip4Header>(frame, offset);
  // Before the header's length is believed: only version 4 has one.
  if (h.version_ihl >> 4 != 4) {
    return DropReason::ip4_version;
  }
  const uint32_t header = 4u * (h.version_ihl & 0xf);
  if (header < kIp4Bytes) {
    return DropReason::ip4_ihl;
  }
  if (header > bytes) {
    return DropReason::ip4_truncated;
  }
  const uint16_t total = h.total_length.host();
  if (total < header || total > bytes) {
    return DropReason::ip4_total_len;
  }
  if (!options.tunnelled && behind > total) {
    rte_pktmbuf_trim(frame, static_cast<uint16_t>(behind - total));
  }
  const uint8_t* start = rte_pktmbuf_mtod_offset(frame, const uint8_t*, offset);
  if (checksum_fold(sum_words(start, header / 4)).wire != 0) {
    return DropReason::ip4_checksum;
  }
  if (header > kIp4Bytes &&
      (!options.allow_options || !options_harmless(start + kIp4Bytes, header - kIp4Bytes))) {
    return DropReason::ip4_options;
  }
  out.tuple = {{h.src.host()}, {h.dst.host()}, 0, 0, h.protocol};
  if (out.tuple.src.is_unusable()) {
    return DropReason::ip4_src;
  }
  if (out.tuple.dst.is_unusable()) {
    return DropReason::ip4_dst;
  }
  if (out.tuple.src == out.tuple.dst) {
    return DropReason::ip4_land;
  }
  const uint16_t fragment = h.fragment.host();
  out.l3_offset = offset;
  out.l4_offset = static_cast<uint16_t>(offset + header);
  out.total_length = total;
  out.id = h.id.host();
  out.tos = h.tos;
  out.ttl = h.ttl;
  out.dont_fragment = (fragment & Ip4Header::kDf) != 0;
  out.fragment = (fragment & (Ip4Header::kMf | Ip4Header::kOffset)) != 0;
  out.later_fragment = (fragment & Ip4Header::kOffset) != 0;
  out.more_fragments = (fragment & Ip4Header::kMf) != 0;
  out.fragment_offset = static_cast<uint16_t>(8u * (fragment & Ip4Header::kOffset));
  out.piece_bytes = static_cast<uint16_t>(total - header);
  return DropReason::none;
}

DropReason parse_ip6(rte_mbuf* frame, uint16_t offset, uint16_t available,
                     Parsed& out) noexcept {
  const uint32_t behind = frame->data_len > offset ? uint32_t{frame->data_len} - offset : 0u;
  const uint32_t bytes = std::min<uint32_t>(available, behind);
  if (bytes < kIp6Bytes) {
    return DropReason::ip6_truncated;
  }
  const auto h = read<Ip6Header>(frame, offset);
  const uint32_t first = h.version_class_label.host();
  if (first >> 28 != 6) {
    return DropReason::ip6_version;
  }
  out.pair = {ip6_address(h.src), ip6_address(h.dst)};  // also of what is refused below
  const uint32_t total = uint32_t{kIp6Bytes} + h.payload_length.host();
  if (total > bytes) {
    return DropReason::ip6_len;
  }
  if (behind > total) {
    rte_pktmbuf_trim(frame, static_cast<uint16_t>(behind - total));
  }
  const Ip6Chain chain =
      walk_ip6({rte_pktmbuf_mtod_offset(frame, const uint8_t*, offset), total});
  if (chain.reason != DropReason::none) {
    return chain.reason;
  }
  out.tuple.six = true;
  out.tuple.protocol = chain.protocol;
  out.l3_offset = offset;
  out.l4_offset = static_cast<uint16_t>(offset + chain.end);
  out.total_length = static_cast<uint16_t>(total);
  out.id = chain.id;
  out.tos = static_cast<uint8_t>(first >> 20);
  out.ttl = h.hop_limit;
  out.dont_fragment = true;
  out.fragment = chain.piece != 0;
  out.later_fragment = chain.fragment_offset != 0;
  out.more_fragments = chain.more_fragments;
  out.fragment_offset = chain.fragment_offset;
  out.piece_bytes = static_cast<uint16_t>(total - chain.piece);
  return DropReason::none;
}

unsigned ip_version(const rte_mbuf* frame, uint16_t offset) noexcept {
  return frame->data_len > offset ? read<uint8_t>(frame, offset) >> 4u : 0u;
}

DropReason parse_l4(rte_mbuf* frame, Parsed& out) noexcept {
  const uint32_t bytes = l4_bytes(out);
  if (out.fragment) {
    const DropReason reason = check_fragment(out);
    if (reason != DropReason::none || out.later_fragment) {
      return reason;
    }
  }
  switch (out.tuple.protocol) {
    case proto::kTcp:
      return parse_tcp(frame, bytes, out);
    case proto::kUdp:
      return parse_udp(frame, bytes, out);
    case proto::kSctp:
      return parse_sctp(frame, bytes, out);
    default:
      if (out.is_icmp()) {
        return parse_icmp(frame, bytes, out);
      }
      out.payload = static_cast<uint16_t>(bytes);
      return DropReason::none;
  }
}

uint16_t next_hop_mtu(const rte_mbuf* frame, const Parsed& p) noexcept {
  return read<IcmpWire>(frame, p.l4_offset).mtu.host();
}

bool finish_checksum(rte_mbuf* frame, const Parsed& p) noexcept {
  if (!p.fragment && p.tuple.protocol == proto::kSctp) {
    finish_sctp(frame, p);
    return false;
  }
  if (p.fragment || (p.tuple.protocol != proto::kTcp && p.tuple.protocol != proto::kUdp)) {
    return false;
  }
  const L4Sum s = l4_sum(frame, p);
  const auto unfinished = static_cast<uint16_t>(~checksum_fold(s.pseudo).wire);
  if (read<Be16>(frame, s.field).wire != unfinished) {
    return false;
  }
  // The field already holds the pseudo-header's share of the sum.
  Be16 sum = checksum_fold(checksum_add(l4_span(frame, p, s.bytes), 0));
  if (p.tuple.protocol == proto::kUdp && sum.wire == 0) {
    sum.wire = 0xffff;
  }
  std::memcpy(rte_pktmbuf_mtod_offset(frame, uint8_t*, s.field), &sum, sizeof sum);
  return true;
}

bool l4_checksum_ok(const rte_mbuf* frame, const Parsed& p) noexcept {
  if (p.fragment || p.checksum_made) {
    return true;
  }
  if (p.is_icmp()) {
    const uint64_t pseudo = p.tuple.six ? pseudo_sum(p, l4_bytes(p)) : 0;
    return checksum_fold(checksum_add(l4_span(frame, p, l4_bytes(p)), pseudo)).wire == 0;
  }
  if (p.tuple.protocol != proto::kTcp && p.tuple.protocol != proto::kUdp) {
    return true;
  }
  const L4Sum s = l4_sum(frame, p);
  if (p.tuple.protocol == proto::kUdp && read<Be16>(frame, s.field).wire == 0) {
    return !p.tuple.six;  // RFC 8200, 8.1
  }
  // Only of these: drivers say so of all they found no fault with, whether they looked or not.
  if (!p.tuple.six &&
      (frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD) {
    return true;
  }
  return checksum_fold(checksum_add(l4_span(frame, p, s.bytes), s.pseudo)).wire == 0;
}

}  // namespace sluice
