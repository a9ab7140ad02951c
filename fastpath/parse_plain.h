// SPDX-License-Identifier: Apache-2.0
// The common packet in few steps: a right TCP or UDP packet in IPv4 without options or
// fragments, as it is or in the IPIP of a peer.
//
// A short cut, never a judge: what it takes, the long way (parse_l2, parse_ip4, decapsulate,
// parse_l4) would have taken with the very same result (widen()), which tests/fuzz/frame_fuzz
// compares; all else it leaves untouched to the long way, which knows the reasons.
#ifndef SLUICE_FASTPATH_PARSE_PLAIN_H_
#define SLUICE_FASTPATH_PARSE_PLAIN_H_

#include <unordered_set>

#include "fastpath/parse.h"

namespace sluice {

// The tunnels that may end here.
struct PlainTunnels {
  Ip4 own;                                              // 0: none
  const std::unordered_set<uint32_t>* peers = nullptr;  // whose they are: Ip4::value
  Ip4 last = {};  // the last peer that was met, which need not be looked up again
};

// All that the short way needs of a packet: its headers lie where they always do.
struct Plain {
  static constexpr uint16_t kL3 = kEtherBytes, kL4 = kEtherBytes + kIp4Bytes;  // offsets
  Tuple tuple;
  uint32_t seq = 0, ack = 0;  // of TCP, as are window and flags
  uint16_t window = 0;
  uint16_t payload = 0;  // L4 payload bytes
  uint16_t total_length = 0;
  uint16_t id = 0;
  uint8_t tos = 0;
  uint8_t ttl = 0;
  uint8_t tcp_flags = 0;
  bool dont_fragment = false;
  bool unfinished = false;  // the L4 checksum is that of the pseudo-header, as kernels leave it
};
// The same packet as the long way tells it.
void widen(const Plain& plain, Parsed& out) noexcept;

// True: the frame is at its innermost IP header as after decapsulate(), `out` is filled, and
// `outer_source` is the tunnel's peer, or zero.  False: nothing has changed but `out`.
bool parse_plain(rte_mbuf* frame, const L2Options& l2, PlainTunnels& tunnels, Plain& out,
                 Ip4& outer_source) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PARSE_PLAIN_H_
