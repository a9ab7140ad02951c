// SPDX-License-Identifier: Apache-2.0
// The common packet in few steps: a right TCP or UDP packet in IPv4 without IP options, SACK
// blocks or fragments, as it is or in the IPIP of a peer.
//
// A short cut, never a judge: what it takes, the long way (parse_l2, parse_ip4, decapsulate,
// parse_l4) would have taken with the very same result (widen()), which tests/fuzz/frame_fuzz
// compares; all else it leaves untouched to the long way, which knows the reasons.
#ifndef SLUICE_FASTPATH_PARSE_PLAIN_H_
#define SLUICE_FASTPATH_PARSE_PLAIN_H_

#include <cstring>
#include <unordered_set>

#include "fastpath/parse.h"

namespace sluice {

// The tunnels that may end here.
struct PlainTunnels {
  Ip4 own;                                              // 0: none
  const std::unordered_set<uint32_t>* peers = nullptr;  // whose they are: Ip4::value
  Ip4 last = {};  // the last peer that was met, which need not be looked up again
};

// An IPv4 header without options as the words it is made of, in memory's order.
struct Ip4Words {
  uint64_t first = 0;      // version to fragment
  uint64_t addresses = 0;  // source, destination
  uint32_t second = 0;     // TTL, protocol, checksum

  static Ip4Words at(const uint8_t* header) noexcept {
    Ip4Words h;
    std::memcpy(&h.first, header, sizeof h.first);
    std::memcpy(&h.second, header + 8, sizeof h.second);
    std::memcpy(&h.addresses, header + 12, sizeof h.addresses);
    return h;
  }
  uint8_t tos() const { return static_cast<uint8_t>(first >> 8); }
  uint32_t total_length() const { return Be16{static_cast<uint16_t>(first >> 16)}.host(); }
  uint16_t id() const { return Be16{static_cast<uint16_t>(first >> 32)}.host(); }
  bool dont_fragment() const { return (first >> 48 & Be16::of(Ip4Header::kDf).wire) != 0; }
  uint8_t ttl() const { return static_cast<uint8_t>(second); }
  uint8_t protocol() const { return static_cast<uint8_t>(second >> 8); }
  Ip4 src() const { return {Be32{static_cast<uint32_t>(addresses)}.host()}; }
  Ip4 dst() const { return {Be32{static_cast<uint32_t>(addresses >> 32)}.host()}; }
};

// All that the short way needs of a packet: its headers lie where they always do.
struct Plain {
  static constexpr uint16_t kL3 = kEtherBytes, kL4 = kEtherBytes + kIp4Bytes;  // offsets
  Tuple tuple;
  Ip4Words ip;
  uint16_t window = 0;  // of TCP, as are the next
  uint8_t tcp_flags = 0;
  struct Marks {
    uint8_t tcp_scale : 4 = kNoScale;
    // The L4 checksum is that of the pseudo-header, as kernels leave it to be finished.
    uint8_t unfinished : 1 = 0;
    uint8_t checksum_made : 1 = 0;  // finish_plain() was here
    uint8_t spare : 2 = 0;          // so that all bits are written at once
  } marks;
  uint32_t seq = 0, ack = 0;
  uint16_t payload = 0;  // L4 payload bytes
  uint16_t total_length = 0;

  FlowKey flow_key() const {
    return {Address(tuple.src), Address(tuple.dst), tuple.src_port, tuple.dst_port,
            tuple.protocol};
  }
};
static_assert(sizeof(Plain) == 56);
// What finish_checksum() does of a packet whose checksum is unfinished.
void finish_plain(rte_mbuf* frame, Plain& p) noexcept;
// The same packet as the long way tells it.
void widen(const Plain& plain, Parsed& out) noexcept;
// As l4_checksum_ok() of that.
bool plain_checksum_ok(const rte_mbuf* frame, const Plain& p) noexcept;

// True: the frame is at its innermost IP header as after decapsulate(), `out` is filled, and
// `outer_source` is the tunnel's peer, or zero.  False: nothing has changed but `out`.
// `own`: l2.own.number().
bool parse_plain(rte_mbuf* frame, const L2Options& l2, uint64_t own, PlainTunnels& tunnels,
                 Plain& out, Ip4& outer_source) noexcept;
// The same of a frame that another worker took, and has brought to its innermost IP header.
bool parse_plain_again(rte_mbuf* frame, Plain& out) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PARSE_PLAIN_H_
