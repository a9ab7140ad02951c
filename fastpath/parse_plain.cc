// SPDX-License-Identifier: Apache-2.0
#include "fastpath/parse_plain.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>

#include <rte_mbuf.h>

#include "fastpath/l4_wire.h"
#include "fastpath/rewrite.h"

namespace sluice {
namespace {

template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Of the sums of RFC 1071 only the remainder counts: 2^16, 2^32 and 2^64 leave 1 each.
constexpr uint64_t kOnes = 0xffff;
// sum % kOnes == 0, which compilers divide for where they think it is rare: times the inverse
// multiples come out small.
constexpr bool is_multiple_of_ones(uint64_t sum) {
  constexpr uint64_t kInverse = 0xfffefffefffeffff;
  static_assert(kInverse * kOnes == 1);
  return sum * kInverse <= UINT64_MAX / kOnes;
}
constexpr uint64_t add_ones(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < a ? 1 : 0);
}

// Addresses as words of which the upper 16 bits are others' bytes.
bool plain_ether(const uint8_t* at, uint64_t own) {
  constexpr uint64_t kMac = 0xffffffffffff, kGroup = 1;
  const uint64_t dst = load<uint64_t>(at) & kMac;
  const uint64_t src_and_type = load<uint64_t>(at + sizeof(MacAddress));
  const uint64_t src = src_and_type & kMac;
  return dst == own && src_and_type >> 48 == Be16::of(kTypeIp4).wire && src != own &&
         src != 0 && (src & kGroup) == 0;
}

// By the first byte of an address: Ip4::is_unusable().
constexpr std::array<bool, 256> kUnusable = [] {
  std::array<bool, 256> out = {};
  for (uint32_t i = 0; i < out.size(); ++i) {
    out[i] = Ip4{i << 24}.is_unusable();
  }
  return out;
}();

// A right header without options, of a whole packet of at most `available` bytes.
[[gnu::always_inline]] inline bool plain_header(const Ip4Words& h, uint32_t available) {
  constexpr uint64_t kPieces = Be16::of(Ip4Header::kMf | Ip4Header::kOffset).wire;
  constexpr uint64_t kFixed = kPieces << 48 | 0xff;
  const uint32_t total = h.total_length();
  const uint64_t sum = add_ones(add_ones(h.first, h.addresses), h.second);
  return (h.first & kFixed) == 0x45 && total >= kIp4Bytes && total <= available &&
         is_multiple_of_ones(sum) &&
         !(kUnusable[h.addresses & 0xff] || kUnusable[h.addresses >> 32 & 0xff]) &&
         static_cast<uint32_t>(h.addresses) != h.addresses >> 32;
}

uint64_t pseudo_sum(const Ip4Words& h, uint32_t l4_bytes) {
  return (h.addresses & UINT32_MAX) + (h.addresses >> 32) + Be16::of(h.protocol()).wire +
         Be16::of(static_cast<uint16_t>(l4_bytes)).wire;
}

// Is a checksum the folded sum of the pseudo-header, as kernels leave it to be finished?
bool is_unfinished(const Ip4Words& h, uint32_t l4_bytes, uint16_t checksum) {
  return checksum != 0 && is_multiple_of_ones(pseudo_sum(h, l4_bytes) + (checksum ^ kOnes));
}

// Of the segment or datagram.
uint32_t l4_bytes(const Plain& p) {
  return p.tuple.protocol == proto::kUdp ? p.payload + kUdpBytes
                                         : p.total_length - uint32_t{kIp4Bytes};
}

// As the two words it is: an assignment would go byte by byte.
void set_tuple(const Ip4Words& h, uint32_t ports, Tuple& out) {
  const uint64_t words[2] = {
      std::rotl(__builtin_bswap64(h.addresses), 32),
      std::rotl(__builtin_bswap32(ports), 16) | uint64_t{h.protocol()} << 32};
  static_assert(sizeof out == sizeof words);
  std::memcpy(&out, words, sizeof words);
}

// A header of any length and flags that mean something.
[[gnu::noinline]] bool plain_options(const uint8_t* at, uint32_t bytes, Plain& out) {
  const uint32_t header = 4u * (at[offsetof(TcpWire, offset)] >> 4);
  if (header < kTcpBytes || header > bytes || !good_tcp_flags(out.tcp_flags)) {
    return false;
  }
  const TcpOptions options = read_tcp_options({at + kTcpBytes, header - kTcpBytes}, out.ack);
  out.marks.tcp_scale = options.scale & 15;
  out.payload = static_cast<uint16_t>(bytes - header);
  return options.sack == out.ack;
}

[[gnu::always_inline]] inline bool plain_tcp(const uint8_t* at, uint32_t bytes,
                                             const Ip4Words& ip, Plain& out) {
  if (bytes < kTcpBytes) {
    return false;
  }
  const auto ports = load<uint32_t>(at);
  const auto word = load<uint32_t>(at + offsetof(TcpWire, offset));  // and flags, window
  // The length in words, and of the flags those that tell what a segment is for.
  constexpr uint32_t kTells = 0xf0 | (tcp::kFin | tcp::kSyn | tcp::kRst | tcp::kAck) << 8;
  constexpr uint32_t kBare = 0x50 | tcp::kAck << 8, kTimed = 0x80 | tcp::kAck << 8;
  set_tuple(ip, ports, out.tuple);
  out.seq = load<Be32>(at + offsetof(TcpWire, seq)).host();
  out.ack = load<Be32>(at + offsetof(TcpWire, ack)).host();
  out.tcp_flags = static_cast<uint8_t>(word >> 8);
  out.window = Be16{static_cast<uint16_t>(word >> 16)}.host();
  const bool unfinished =
      is_unfinished(ip, bytes, load<uint16_t>(at + offsetof(TcpWire, checksum)));
  out.marks = {kNoScale, unfinished, 0, 0};
  const bool ports_given = (ports & 0xffff) != 0 && ports >> 16 != 0;
  if ((word & kTells) == kBare) {
    out.payload = static_cast<uint16_t>(bytes - kTcpBytes);
    return ports_given;
  }
  constexpr uint32_t kWithTime = kTcpBytes + kTimestampsBytes;
  if ((word & kTells) == kTimed && bytes >= kWithTime &&
      load<Be32>(at + kTcpBytes).host() == kOnlyTimestamps) {
    out.payload = static_cast<uint16_t>(bytes - kWithTime);
    return ports_given;
  }
  return ports_given && plain_options(at, bytes, out);
}

bool plain_udp(const uint8_t* at, uint32_t bytes, const Ip4Words& ip, Plain& out) {
  if (bytes < kUdpBytes) {
    return false;
  }
  const auto h = load<UdpWire>(at);
  const uint32_t length = h.length.host();
  set_tuple(ip, load<uint32_t>(at), out.tuple);
  out.seq = out.ack = 0;
  out.tcp_flags = 0;
  out.window = 0;
  out.payload = static_cast<uint16_t>(length - kUdpBytes);
  out.marks = {kNoScale, is_unfinished(ip, length, h.checksum.wire), 0, 0};
  return length >= kUdpBytes && length <= bytes && out.tuple.dst_port != 0;
}

// TCP or UDP behind a plain header at `at`.
[[gnu::always_inline]] inline bool plain_packet(const Ip4Words& h, const uint8_t* at,
                                                Plain& out) {
  const uint32_t total = h.total_length();
  const uint32_t bytes = total - kIp4Bytes;
  at += kIp4Bytes;
  const bool whole = h.protocol() == proto::kTcp   ? plain_tcp(at, bytes, h, out)
                     : h.protocol() == proto::kUdp ? plain_udp(at, bytes, h, out)
                                                   : false;
  out.total_length = static_cast<uint16_t>(total);
  out.ip = h;
  return whole;
}

}  // namespace

void finish_plain(rte_mbuf* frame, Plain& p) noexcept {
  p.marks.checksum_made = 1;
  uint8_t* l4 = rte_pktmbuf_mtod_offset(frame, uint8_t*, Plain::kL4);
  const bool udp = p.tuple.protocol == proto::kUdp;
  Be16 sum = checksum_fold(checksum_add({l4, l4_bytes(p)}, 0));
  if (udp && sum.wire == 0) {
    sum.wire = 0xffff;
  }
  std::memcpy(l4 + (udp ? offsetof(UdpWire, checksum) : offsetof(TcpWire, checksum)), &sum,
              sizeof sum);
}

bool plain_checksum_ok(const rte_mbuf* frame, const Plain& p) noexcept {
  const auto* l4 = rte_pktmbuf_mtod_offset(frame, const uint8_t*, Plain::kL4);
  const bool none =
      p.tuple.protocol == proto::kUdp && load<uint16_t>(l4 + offsetof(UdpWire, checksum)) == 0;
  const bool good =
      (frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  const uint32_t bytes = l4_bytes(p);
  return none || good || p.marks.checksum_made != 0 ||
         is_multiple_of_ones(checksum_add({l4, bytes}, pseudo_sum(p.ip, bytes)));
}

void widen(const Plain& plain, Parsed& out) noexcept {
  std::construct_at(&out);  // in place: an assignment would copy it
  out.tuple = plain.tuple;
  out.tcp_flags = plain.tcp_flags;
  out.tcp_seq = plain.seq;
  out.tcp_ack = out.tcp_sack = plain.ack;
  out.tcp_window = plain.window;
  out.tcp_scale = plain.marks.tcp_scale;
  out.checksum_made = plain.marks.checksum_made != 0;
  out.payload = plain.payload;
  out.l3_offset = Plain::kL3;
  out.l4_offset = Plain::kL4;
  out.total_length = plain.total_length;
  out.id = plain.ip.id();
  out.tos = plain.ip.tos();
  out.ttl = plain.ip.ttl();
  out.dont_fragment = plain.ip.dont_fragment();
  out.piece_bytes = static_cast<uint16_t>(plain.total_length - kIp4Bytes);
}

bool parse_plain(rte_mbuf* frame, const L2Options& l2, uint64_t own, PlainTunnels& tunnels,
                 Plain& out, Ip4& outer_source) noexcept {
  const uint32_t length = frame->data_len;
  if (frame->nb_segs != 1 || length < kEtherBytes + kIp4Bytes ||
      length > uint32_t{l2.mtu} + kEtherBytes) {
    return false;
  }
  const uint8_t* at = rte_pktmbuf_mtod(frame, const uint8_t*);
  if (!plain_ether(at, own)) {
    return false;
  }
  at += kEtherBytes;
  Ip4Words h = Ip4Words::at(at);
  if (!plain_header(h, length - kEtherBytes)) {
    return false;
  }
  Ip4 peer;
  uint16_t stripped = 0;
  if (h.protocol() == proto::kIpip) {
    peer = h.src();
    const uint32_t payload = h.total_length() - kIp4Bytes;
    if (h.dst() != tunnels.own || payload < kIp4Bytes ||
        (peer != tunnels.last && !tunnels.peers->contains(peer.value))) {
      return false;
    }
    stripped = kIp4Bytes;
    at += kIp4Bytes;
    constexpr uint8_t kEcn = 3;
    const uint8_t outer_ecn = h.tos() & kEcn;
    h = Ip4Words::at(at);
    // The inner header stays as it is where ECN has nothing, or nothing new, to tell.
    if (!plain_header(h, payload) || (outer_ecn != 0 && outer_ecn != (h.tos() & kEcn))) {
      return false;
    }
  }
  if (!plain_packet(h, at, out)) {
    return false;
  }
  frame->data_off = static_cast<uint16_t>(frame->data_off + stripped);
  frame->data_len = static_cast<uint16_t>(kEtherBytes + out.total_length);  // without padding
  frame->pkt_len = kEtherBytes + uint32_t{out.total_length};
  if (stripped != 0) {
    forget_device_checksum(frame);
    tunnels.last = peer;
  }
  outer_source = peer;
  return true;
}

bool parse_plain_again(rte_mbuf* frame, Plain& out) noexcept {
  const uint32_t length = frame->data_len;
  if (frame->nb_segs != 1 || length < kEtherBytes + kIp4Bytes) {
    return false;
  }
  const uint8_t* at = rte_pktmbuf_mtod_offset(frame, const uint8_t*, kEtherBytes);
  const Ip4Words h = Ip4Words::at(at);
  return plain_header(h, length - kEtherBytes) && plain_packet(h, at, out);
}

}  // namespace sluice
