// SPDX-License-Identifier: Apache-2.0
#include "fastpath/parse_plain.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>

#include <rte_mbuf.h>

#include "fastpath/l4_wire.h"
#include "fastpath/rewrite.h"
#include "fastpath/wide.h"
#include "fastpath/words.h"

namespace sluice {
namespace {

// To the end of the words that OtherWords reads behind a header in a tunnel.
static_assert(kPlainReach == kEtherBytes + kIp4Bytes + sizeof(Words) + sizeof(Words) / 2);

using Frames = std::array<const uint8_t*, kLanes>;

template <typename T>
T load_as(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The first eight words of eight packets from their IPv4 headers on, as they lie in memory.
struct Ip4Words {
  Words begin, fragment, ttl, src, dst;  // the header
  Words ports, seq, ack;                 // of UDP: ports, length and checksum

  [[gnu::always_inline]] static Ip4Words at(const Frames& headers) {
    EightWords rows;
#pragma GCC unroll 8
    for (unsigned i = 0; i < kLanes; ++i) {
      rows[i] = load_words(headers[i]);
    }
    transpose(rows);
    return {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]};
  }
  [[gnu::always_inline]] Words total_length() const {
    return swap_words(begin) & 0xffff;
  }
  [[gnu::always_inline]] Words ecn() const {
    return begin >> 8 & 3;
  }
  [[gnu::always_inline]] Words protocol() const {
    return ttl >> 8 & 0xff;
  }
};

// The Ethernet headers, and what TCP has behind its acknowledgement.
struct OtherWords {
  Words dst, dst_src, src, type;   // MAC addresses, and two bytes of IPv4
  Words flags, checksum, options;  // data offset, flags, window; checksum; the first option

  [[gnu::always_inline]] static OtherWords at(const Frames& frames, const Frames& headers) {
    EightWords rows;
#pragma GCC unroll 8
    for (unsigned i = 0; i < kLanes; ++i) {
      std::memcpy(&rows[i], frames[i], sizeof rows[i] / 2);
      std::memcpy(reinterpret_cast<uint8_t*>(&rows[i]) + sizeof rows[i] / 2,
                  headers[i] + sizeof rows[i], sizeof rows[i] / 2);
    }
    transpose(rows);
    return {rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6]};
  }
};

// For us, of IPv4, from one other.
[[gnu::always_inline]] inline Lanes plain_ether(const OtherWords& w, uint64_t own) {
  const auto own_low = static_cast<uint32_t>(own);
  const auto own_high = static_cast<uint32_t>(own >> 32);
  constexpr uint32_t kGroup = 1u << 16;
  const Words src_begin = w.dst_src >> 16;
  const Lanes from_own =
      (src_begin == (own_low & 0xffff)) & (w.src == (own_low >> 16 | own_high << 16));
  return (w.dst == own_low) & ((w.dst_src & 0xffff) == own_high) & ~from_own &
         ((src_begin | w.src) != 0) & ((w.dst_src & kGroup) == 0) &
         ((w.type & 0xffff) == Be16::of(kTypeIp4).wire);
}

// Ip4::is_unusable() of an address as it lies in memory.
[[gnu::always_inline]] inline Lanes unusable(Words address) {
  const Words top = address & 0xff;
  return (top == 0) | (top == 127) | (top >= 224);
}

// A right header without options, of a whole packet of at most `available` bytes.
[[gnu::always_inline]] inline Lanes plain_header(const Ip4Words& h, Words available) {
  constexpr uint32_t kPieces = uint32_t{Be16::of(Ip4Header::kMf | Ip4Header::kOffset).wire}
                               << 16;
  const Words total = h.total_length();
  const Words sum =
      halves(h.begin) + halves(h.fragment) + halves(h.ttl) + halves(h.src) + halves(h.dst);
  return ((h.begin & 0xff) == 0x45) & ((h.fragment & kPieces) == 0) & is_all_ones(sum) &
         (total >= kIp4Bytes) & (total <= available) & ~unusable(h.src) & ~unusable(h.dst) &
         (h.src != h.dst);
}

// Eight packets on their way to being Plain.
struct Group {
  Frames frames;         // where they begin
  Frames headers;        // where their innermost IPv4 headers do
  Words bytes;           // of the frames
  Lanes good;            // plain, as far as was looked
  Words peers = all(0);  // of the tunnels they were in, as the header has them
  Lanes odd = {};        // good but for TCP's options, which nobody has read
};

// Those that are in a tunnel to us are taken out of it.
[[gnu::always_inline]] inline void open_tunnels(Group& g, PlainTunnels& tunnels, Ip4Words& h,
                                                Lanes tunnelled) {
  const Words payload = h.total_length() - kIp4Bytes;
  const Words outer_ecn = h.ecn(), src = swap_words(h.src);
  Lanes known = src == tunnels.last.value;
  g.good &= ~tunnelled | ((swap_words(h.dst) == tunnels.own.value) & (payload >= kIp4Bytes));
  for (uint32_t others = bits(g.good & tunnelled & ~known); others != 0; others &= others - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(others));
    if (src[i] == tunnels.last.value || tunnels.peers->contains(src[i])) {
      tunnels.last = Ip4{src[i]};
      known[i] = -1;
    }
  }
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes; ++i) {
    g.headers[i] += tunnelled[i] != 0 ? kIp4Bytes : 0;
  }
  g.peers = only(tunnelled, src);
  const Words outer_bytes = g.bytes - kEtherBytes;
  h = Ip4Words::at(g.headers);
  // The inner header stays as it is where ECN has nothing, or nothing new, to tell.
  const Lanes same_ecn = (outer_ecn == 0) | (outer_ecn == h.ecn());
  g.good &=
      plain_header(h, tunnelled ? payload : outer_bytes) & (~tunnelled | (known & same_ecn));
}

// What lies behind the header, and all of it as rows of Plain.
[[gnu::always_inline]] inline EightWords plain_rows(Group& g, const Ip4Words& h,
                                                    const OtherWords& w) {
  // The length in words, and of the flags those that tell what a segment is for.
  constexpr uint32_t kTells = 0xf0 | (tcp::kFin | tcp::kSyn | tcp::kRst | tcp::kAck) << 8;
  constexpr uint32_t kBare = 0x50 | tcp::kAck << 8, kTimed = 0x80 | tcp::kAck << 8;
  constexpr uint32_t kTimes = __builtin_bswap32(kOnlyTimestamps);
  constexpr uint32_t kWithTime = kTcpBytes + kTimestampsBytes;
  const Words total = h.total_length(), protocol = h.protocol();
  const Words bytes = total - kIp4Bytes;
  const Lanes tcp = protocol == proto::kTcp, udp = protocol == proto::kUdp;
  const Words udp_length = swap_words(h.seq) >> 16;
  const Lanes bare = (w.flags & kTells) == kBare;
  const Lanes timed =
      ((w.flags & kTells) == kTimed) & (w.options == kTimes) & (bytes >= kWithTime);
  const Lanes ports = ((h.ports >> 16) != 0) & (udp | ((h.ports & 0xffff) != 0));
  g.good &= ports &
            ((tcp & (bytes >= kTcpBytes)) |
             (udp & (bytes >= kUdpBytes) & (udp_length >= kUdpBytes) & (udp_length <= bytes)));
  g.odd = g.good & tcp & ~bare & ~timed;
  const Words l4_bytes = tcp ? bytes : udp_length;
  const Words header = tcp ? (bare ? all(kTcpBytes) : all(kWithTime)) : all(kUdpBytes);
  const Words pseudo =
      halves(h.src) + halves(h.dst) + (protocol << 8) + (swap_words(l4_bytes) >> 16);
  const Words checksum = tcp ? w.checksum & 0xffff : h.seq >> 16;
  const Lanes unfinished = halves(halves(pseudo)) == checksum;
  // Window, flags, marks.
  const Words tcps = (swap_words(w.flags) & 0xffff) | (w.flags & 0xff00) << 8;
  using M = Plain::Marks;
  const Words marks = M::kNoTcpScale | only(unfinished, all(M::kUnfinished)) |
                      only((h.ttl & 0xff) <= 1, all(M::kLastHop));
  return {swap_words(h.src),
          swap_words(h.dst),
          swap_halves(h.ports),
          protocol,
          only(tcp, swap_words(h.seq)),
          only(tcp, swap_words(h.ack)),
          ((l4_bytes - header) & 0xffff) | total << 16,
          only(tcp, tcps) | marks};
}

// A header of any length and flags that mean something.
[[gnu::noinline]] bool plain_options(const uint8_t* at, Plain& out) {
  const uint32_t header = 4u * (at[offsetof(TcpWire, offset)] >> 4);
  const uint32_t bytes = out.total_length - uint32_t{kIp4Bytes};
  if (header < kTcpBytes || header > bytes || !good_tcp_flags(out.tcp_flags)) {
    return false;
  }
  const TcpOptions options = read_tcp_options({at + kTcpBytes, header - kTcpBytes}, out.ack);
  out.marks.tcp_scale = options.scale & 15;
  out.payload = static_cast<uint16_t>(bytes - header);
  return options.sack == out.ack;
}

// The rows of the good ones, of which those are left that options do not make odd.
[[gnu::always_inline]] inline uint32_t put_rows(const Group& g, EightWords& rows, Plain* out) {
  transpose(rows);
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes; ++i) {
    std::memcpy(static_cast<void*>(&out[i]), &rows[i], sizeof rows[i]);
  }
  uint32_t good = bits(g.good);
  for (uint32_t odd = bits(g.odd); odd != 0; odd &= odd - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(odd));
    if (!plain_options(g.headers[i] + kIp4Bytes, out[i])) {
      good &= ~(1u << i);
    }
  }
  return good;
}

// How long eight frames are: read as words, as to write halves and read them together would
// wait for the writes.
[[gnu::always_inline]] inline Words data_bytes(rte_mbuf* const* frames) {
  const auto word = [&](unsigned i) {
    return load_as<uint32_t>(reinterpret_cast<const uint8_t*>(&frames[i]->data_len));
  };
  return Words{word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7)} & 0xffff;
}

// Where up to eight frames lie.
[[gnu::always_inline]] inline Group group_of(std::span<rte_mbuf* const> frames, uint32_t least,
                                             uint32_t most) {
  Group g;
  std::array<rte_mbuf*, kLanes> eight;
  rte_mbuf* const* each = frames.data();
  if (frames.size() < kLanes) [[unlikely]] {
    eight.fill(frames.back());  // stands in for those missing
    std::copy(frames.begin(), frames.end(), eight.begin());
    each = eight.data();
  }
  // Of the group: frames of several segments, or at the end of their memory, are rare.
  uint32_t segments = 1;
  int32_t room = 0;  // negative: some have too little
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes; ++i) {
    const rte_mbuf& frame = *each[i];
    g.frames[i] = rte_pktmbuf_mtod(&frame, const uint8_t*);
    g.headers[i] = g.frames[i] + kEtherBytes;
    segments |= frame.nb_segs;
    room |= frame.buf_len - frame.data_off - static_cast<int32_t>(kPlainReach);
  }
  g.bytes = data_bytes(each);
  const Lanes whole = segments == 1 && room >= 0 ? ~Lanes{} : Lanes{};
  g.good = whole & (g.bytes >= least) & (g.bytes <= most) &
           lanes_below(static_cast<unsigned>(frames.size()));
  return g;
}

// A frame begins at its innermost header now, and padding is none of it.
inline void shorten_to(rte_mbuf* frame, const Plain& p, bool stripped) {
  frame->data_len = static_cast<uint16_t>(kEtherBytes + p.total_length);
  frame->pkt_len = kEtherBytes + uint32_t{p.total_length};
  if (stripped) {
    frame->data_off = static_cast<uint16_t>(frame->data_off + kIp4Bytes);
    forget_device_checksum(frame);
  }
}

uint32_t l4_bytes(const Plain& p) {  // of the segment or datagram
  return p.tuple.protocol == proto::kUdp ? p.payload + kUdpBytes
                                         : p.total_length - uint32_t{kIp4Bytes};
}

[[gnu::always_inline]] inline uint64_t parse_new(std::span<rte_mbuf* const> frames,
                                                 const L2Options& l2, PlainTunnels& tunnels,
                                                 std::array<Plain, kMaxBurst>& out,
                                                 std::array<Ip4, kMaxBurst>& outer_sources) {
  static_assert(kMaxBurst % kLanes == 0);
  uint64_t taken = 0;
  for (size_t first = 0; first < frames.size(); first += kLanes) {
    const auto these = frames.subspan(first, std::min<size_t>(kLanes, frames.size() - first));
    Group g = group_of(these, kEtherBytes + kIp4Bytes, uint32_t{l2.mtu} + kEtherBytes);
    if (bits(g.good) == 0) [[unlikely]] {
      continue;  // perhaps there is nothing to read
    }
    Ip4Words h = Ip4Words::at(g.headers);
    g.good &= plain_header(h, g.bytes - kEtherBytes);
    const Lanes tunnelled = g.good & (h.protocol() == proto::kIpip);
    if (bits(tunnelled) != 0) {
      open_tunnels(g, tunnels, h, tunnelled);
    }
    const OtherWords w = OtherWords::at(g.frames, g.headers);
    g.good &= plain_ether(w, l2.own.number());
    EightWords rows = plain_rows(g, h, w);
    std::memcpy(static_cast<void*>(&outer_sources[first]), &g.peers, sizeof g.peers);
    const uint32_t good = put_rows(g, rows, &out[first]);
    const Lanes longer = g.bytes != h.total_length() + kEtherBytes;
    for (uint32_t some = good & bits(longer); some != 0; some &= some - 1) {
      const auto i = static_cast<unsigned>(std::countr_zero(some));
      shorten_to(these[i], out[first + i], outer_sources[first + i].value != 0);
    }
    taken |= uint64_t{good} << first;
  }
  return taken;
}

[[gnu::always_inline]] inline uint64_t parse_again(std::span<rte_mbuf* const> frames,
                                                   std::array<Plain, kMaxBurst>& out) {
  uint64_t taken = 0;
  for (size_t first = 0; first < frames.size(); first += kLanes) {
    const auto these = frames.subspan(first, std::min<size_t>(kLanes, frames.size() - first));
    Group g = group_of(these, kEtherBytes + kIp4Bytes, UINT16_MAX);
    if (bits(g.good) == 0) [[unlikely]] {
      continue;
    }
    const Ip4Words h = Ip4Words::at(g.headers);
    g.good &= plain_header(h, g.bytes - kEtherBytes);
    EightWords rows = plain_rows(g, h, OtherWords::at(g.frames, g.headers));
    taken |= uint64_t{put_rows(g, rows, &out[first])} << first;
  }
  return taken;
}

}  // namespace

uint64_t parse_plain(std::span<rte_mbuf* const> frames, const L2Options& l2,
                     PlainTunnels& tunnels, std::array<Plain, kMaxBurst>& out,
                     std::array<Ip4, kMaxBurst>& outer_sources) noexcept {
  return run_best<parse_new>(frames, l2, tunnels, out, outer_sources);
}

uint64_t parse_plain_again(std::span<rte_mbuf* const> frames,
                           std::array<Plain, kMaxBurst>& out) noexcept {
  return run_best<parse_again>(frames, out);
}

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
  const bool none = p.tuple.protocol == proto::kUdp &&
                    load_as<uint16_t>(l4 + offsetof(UdpWire, checksum)) == 0;
  const bool good =
      (frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
  if (none || good || p.marks.checksum_made != 0) {
    return true;
  }
  const uint32_t bytes = l4_bytes(p);
  const uint64_t pseudo = uint64_t{Be32::of(p.tuple.src.value).wire} +
                          Be32::of(p.tuple.dst.value).wire + Be16::of(p.tuple.protocol).wire +
                          Be16::of(static_cast<uint16_t>(bytes)).wire;
  return checksum_fold(checksum_add({l4, bytes}, pseudo)).wire == 0;
}

void widen(const Plain& plain, const Ip4Header& h, Parsed& out) noexcept {
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
  out.id = h.id.host();
  out.tos = h.tos;
  out.ttl = h.ttl;
  out.dont_fragment = (h.fragment.host() & Ip4Header::kDf) != 0;
  out.piece_bytes = static_cast<uint16_t>(plain.total_length - kIp4Bytes);
}

}  // namespace sluice
