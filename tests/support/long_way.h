// SPDX-License-Identifier: Apache-2.0
// The short cut through a frame beside the long way, on two copies: a test's judgement of
// parse_plain().
#ifndef SLUICE_TESTS_SUPPORT_LONG_WAY_H_
#define SLUICE_TESTS_SUPPORT_LONG_WAY_H_

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include <rte_mbuf.h>

#include "fastpath/ipip.h"
#include "fastpath/parse_plain.h"

namespace sluice::test {

// What a frame came to: where its data lie, what was read, from whose tunnel.
struct Read {
  Parsed p;
  Ip4 outer_source;
  uint16_t offset = 0;
  uint32_t length = 0;

  friend bool operator==(const Read& a, const Read& b) {
    const Parsed &x = a.p, &y = b.p;
    return a.outer_source == b.outer_source && a.offset == b.offset && a.length == b.length &&
           x.tuple == y.tuple && x.icmp_type == y.icmp_type && x.icmp_code == y.icmp_code &&
           x.icmp_error == y.icmp_error && x.quoted_seq == y.quoted_seq &&
           x.quoted == y.quoted && x.pair == y.pair && x.quoted_pair == y.quoted_pair &&
           x.l3_offset == y.l3_offset && x.l4_offset == y.l4_offset &&
           x.total_length == y.total_length && x.id == y.id && x.tos == y.tos &&
           x.ttl == y.ttl && x.tcp_flags == y.tcp_flags && x.dont_fragment == y.dont_fragment &&
           x.fragment == y.fragment && x.later_fragment == y.later_fragment &&
           x.more_fragments == y.more_fragments && x.fragment_offset == y.fragment_offset &&
           x.piece_bytes == y.piece_bytes && x.tcp_seq == y.tcp_seq && x.tcp_ack == y.tcp_ack &&
           x.tcp_window == y.tcp_window && x.tcp_scale == y.tcp_scale &&
           x.tcp_sack == y.tcp_sack && x.payload == y.payload;
  }
};

// A frame of one segment, of its own bytes.  Behind it lies what looks like TCP's timestamps,
// as far as parse_plain() wants memory: to be looked at in vain.  Or there is just as much as
// it has itself.
class Copy {
 public:
  explicit Copy(const rte_mbuf& frame, size_t least = kPlainReach)
      : bytes_(new uint8_t[std::max<size_t>(frame.data_len, least)]), length_(frame.data_len) {
    std::memcpy(bytes_.get(), rte_pktmbuf_mtod(&frame, const uint8_t*), length_);
    const size_t size = std::max<size_t>(length_, least);
    for (size_t i = length_; i < size; ++i) {
      bytes_[i] = std::array<uint8_t, 4>{1, 1, 8, 10}[(i - length_) % 4];
    }
    frame_->buf_addr = bytes_.get();
    frame_->data_len = length_;
    frame_->buf_len = static_cast<uint16_t>(size);
    frame_->pkt_len = length_;
    frame_->nb_segs = 1;
    frame_->ol_flags = frame.ol_flags;
    rte_mbuf_refcnt_set(frame_.get(), 1);
  }
  rte_mbuf* frame() { return frame_.get(); }
  Read read(const Parsed& p, Ip4 outer_source) const {
    return {p, outer_source, frame_->data_off, frame_->pkt_len};
  }
  bool same_bytes(const Copy& other) const {
    return std::memcmp(bytes_.get(), other.bytes_.get(), length_) == 0;
  }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  uint16_t length_;
  std::unique_ptr<rte_mbuf> frame_ = std::make_unique<rte_mbuf>();
};

// All stages one after the other; nothing if one refuses the frame, or it is no IPv4.
inline std::optional<Read> long_way(Copy& copy, const L2Options& l2,
                                    const PlainTunnels& tunnels) {
  rte_mbuf* frame = copy.frame();
  const L2 link = parse_l2(frame, l2);
  if (link.reason != DropReason::none || link.kind != L2Kind::ip4) {
    return std::nullopt;
  }
  Parsed p;
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  if (parse_ip4(frame, kEtherBytes, available, {}, p) != DropReason::none) {
    return std::nullopt;
  }
  if (p.tuple.protocol != proto::kIpip || p.tuple.dst != tunnels.own) {
    return parse_l4(frame, p) == DropReason::none ? std::optional(copy.read(p, {}))
                                                  : std::nullopt;
  }
  const Parsed outer = p;
  p = Parsed{};
  const bool ours = tunnels.peers->contains(outer.tuple.src.value) &&
                    decapsulate(frame, outer, false, p) == DropReason::none;
  return ours ? std::optional(copy.read(p, outer.tuple.src)) : std::nullopt;
}

// Does parse_plain() say the same of the frame, or leave it?
inline bool short_way_is_right(const rte_mbuf& frame, const L2Options& l2, PlainTunnels tunnels,
                               bool* taken = nullptr) {
  Copy fast(frame), slow(frame);
  std::array<Plain, kMaxBurst> plains;
  std::array<Ip4, kMaxBurst> outer_sources;
  rte_mbuf* const burst[] = {fast.frame()};
  const bool took = parse_plain(burst, l2, tunnels, plains, outer_sources) != 0;
  Plain& plain = plains[0];
  if (taken != nullptr) {
    *taken = took;
  }
  if (!took) {
    return fast.same_bytes(slow) && fast.read({}, {}) == Copy(frame).read({}, {});
  }
  Parsed p;
  widen(plain, plain_ip4(fast.frame()), p);
  const std::optional<Read> read = long_way(slow, l2, tunnels);
  if (!read || fast.read(p, outer_sources[0]) != *read || !fast.same_bytes(slow)) {
    return false;
  }
  if (plain_checksum_ok(fast.frame(), plain) != l4_checksum_ok(slow.frame(), p)) {
    return false;
  }
  const bool made = finish_checksum(slow.frame(), p);
  if (plain.marks.unfinished != 0) {
    finish_plain(fast.frame(), plain);
  }
  if (made != (plain.marks.checksum_made != 0)) {
    return false;
  }
  return fast.same_bytes(slow);
}

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_LONG_WAY_H_
