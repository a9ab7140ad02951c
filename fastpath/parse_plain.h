// SPDX-License-Identifier: Apache-2.0
// The common packets of a burst in few steps, eight at a time: right TCP or UDP packets in IPv4
// without IP options, SACK blocks or fragments, as they are or in the IPIP of a peer.
//
// A short cut, never a judge: what it takes, the long way (parse_l2, parse_ip4, decapsulate,
// parse_l4) would have taken with the very same result (widen()), which tests/fuzz/frame_fuzz
// compares; all else it leaves untouched to the long way, which knows the reasons.
#ifndef SLUICE_FASTPATH_PARSE_PLAIN_H_
#define SLUICE_FASTPATH_PARSE_PLAIN_H_

#include <array>
#include <cstring>
#include <span>
#include <unordered_set>

#include "fastpath/parse.h"
#include "fastpath/port.h"

namespace sluice {

// How far from a frame's begin bytes are looked at, be they the frame's or not.  Who has not so
// much memory goes the long way.
inline constexpr uint32_t kPlainReach = 82;

// The tunnels that may end here.
struct PlainTunnels {
  Ip4 own;                                              // 0: none
  const std::unordered_set<uint32_t>* peers = nullptr;  // whose they are: Ip4::value
  Ip4 last = {};  // the last peer that was met, which need not be looked up again
};

// All that the short way needs of a packet besides its IPv4 header, which lies where it always
// does.  What is not TCP's has no numbers, flags or window.
struct Plain {
  static constexpr uint16_t kL3 = kEtherBytes, kL4 = kEtherBytes + kIp4Bytes;  // offsets
  struct Marks {
    uint8_t tcp_scale : 4 = kNoScale;
    // The L4 checksum is that of the pseudo-header, as kernels leave it to be finished.
    uint8_t unfinished : 1 = 0;
    uint8_t checksum_made : 1 = 0;  // finish_plain() was here
    uint8_t last_hop : 1 = 0;       // the TTL is spent here
    uint8_t spare : 1 = 0;          // so that all bits are written at once
    // The same in the last word of a row.
    static constexpr uint32_t kNoTcpScale = uint32_t{kNoScale} << 24, kUnfinished = 1u << 28,
                              kLastHop = 1u << 30;
  };
  Tuple tuple;
  uint32_t seq = 0, ack = 0;
  uint16_t payload = 0;  // L4 payload bytes
  uint16_t total_length = 0;
  uint16_t window = 0;
  uint8_t tcp_flags = 0;
  Marks marks;

  FlowKey flow_key() const {
    return {Address(tuple.src), Address(tuple.dst), tuple.src_port, tuple.dst_port,
            tuple.protocol};
  }
};
static_assert(sizeof(Plain) == 32, "a row of eight words");

// Its header.
inline Ip4Header plain_ip4(const rte_mbuf* frame) noexcept {
  Ip4Header header;
  std::memcpy(&header, rte_pktmbuf_mtod_offset(frame, const uint8_t*, Plain::kL3),
              sizeof header);
  return header;
}

// Bit i of the result: frames[i] is at its innermost IP header as after decapsulate(), out[i]
// is filled, and outer_sources[i] is the tunnel's peer, or zero.  Of the others nothing has
// changed but out[i] and outer_sources[i], which go up to the next multiple of eight.
// REQUIRES: at most kMaxBurst frames.
uint64_t parse_plain(std::span<rte_mbuf* const> frames, const L2Options& l2,
                     PlainTunnels& tunnels, std::array<Plain, kMaxBurst>& out,
                     std::array<Ip4, kMaxBurst>& outer_sources) noexcept;
// The same of frames that another worker took, and has brought to their innermost IP headers.
uint64_t parse_plain_again(std::span<rte_mbuf* const> frames,
                           std::array<Plain, kMaxBurst>& out) noexcept;

// What finish_checksum() does of a packet whose checksum is unfinished.
void finish_plain(rte_mbuf* frame, Plain& p) noexcept;
// The same packet as the long way tells it.
void widen(const Plain& plain, const Ip4Header& header, Parsed& out) noexcept;
// As l4_checksum_ok() of that.
bool plain_checksum_ok(const rte_mbuf* frame, const Plain& p) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PARSE_PLAIN_H_
