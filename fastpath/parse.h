// SPDX-License-Identifier: Apache-2.0
// Frame bytes to Parsed, or a drop reason.  With parse_plain, all that reads what comes from
// outside; what reads or writes frames later relies on what was proved here.
//
// Each function proves that the bytes are there, inside the frame and inside the IP total
// length, before it reads them.  Checks run in the order of the reliability rules, sections 1
// and 2; the first that fails names the reason.  Worker-local, no state.
#ifndef SLUICE_FASTPATH_PARSE_H_
#define SLUICE_FASTPATH_PARSE_H_

#include <rte_mbuf.h>

#include "fastpath/packet.h"

namespace sluice {

struct ArpPacket {
  uint16_t operation = 0;  // 1 request, 2 reply
  MacAddress sender_mac;
  Ip4 sender;
  MacAddress target_mac;
  Ip4 target;
};

// A message of neighbour discovery.
struct NdPacket {
  uint8_t type = 0;
  Address source;
  Address destination;
  Address target;   // of solicitations and advertisements
  MacAddress link;  // of the sender, or of an advertisement's target; zero: it tells none
  MacAddress from;  // whose frame it is
};

struct L2Options {
  MacAddress own;  // the port's own address
  uint16_t mtu = 1500;
  // Replay also takes the capture's own unicast destination.
  bool any_unicast = false;
};

enum class L2Kind : uint8_t { ip4, arp, ip6, unknown };
struct L2 {
  DropReason reason = DropReason::none;  // l2_*, or res_mbuf: segments that cannot be joined
  L2Kind kind = L2Kind::ip4;
};
// Ethernet header: length, addresses, ethertype.  Group addresses are for ARP and for IPv6's
// own groups only.  A frame of several segments is made one; everything below, and ipip and
// rewrite, take frames of one segment.
L2 parse_l2(rte_mbuf* frame, const L2Options& options) noexcept;

// REQUIRES: parse_l2() took the frame, and nothing was put in front since.
MacAddress ether_destination(const rte_mbuf* frame) noexcept;

// A whole ARP packet after the Ethernet header; arp_invalid unless all of section 2 holds.
DropReason parse_arp(rte_mbuf* frame, ArpPacket& out) noexcept;

// The type of an ICMP message; 0 if its first byte is not there.
uint8_t icmp_type_of(const rte_mbuf* frame, const Parsed& p) noexcept;
// ip6_hop, l4_truncated, icmp_type (a code, or options that cannot be), l4_checksum, or none.
// A link address counts only if it is unicast and the frame's own source.
// REQUIRES: p.is_icmp(), not a fragment, of a type that is_nd().
DropReason parse_nd(const rte_mbuf* frame, const Parsed& p, NdPacket& out) noexcept;

struct L3Options {
  bool allow_options = false;
  bool tunnelled = false;  // inner header: its total length may not pass the outer payload
};
// The IPv4 header at `offset`, with at most `available` bytes behind it (frame or outer
// payload).  Fills the L3 part of `out`, trims padding of the frame when it is the outermost
// header.  Broadcast and multicast destinations give ip4_dst.
DropReason parse_ip4(rte_mbuf* frame, uint16_t offset, uint16_t available,
                     const L3Options& options, Parsed& out) noexcept;

// The same for IPv6, its chain of extension headers included; `out.pair` is filled as soon as
// the header is one.  Whether the addresses may be
// used is not asked here (check_addresses6()), as neighbour discovery has others.
DropReason parse_ip6(rte_mbuf* frame, uint16_t offset, uint16_t available,
                     Parsed& out) noexcept;

// The L4 header behind it: ports, flags, ICMP type, quote.  Later fragments have none.  What a
// fragment alone gives away is judged first: frag_tiny, frag_len, frag_oversize.
DropReason parse_l4(rte_mbuf* frame, Parsed& out) noexcept;

// The version that the IP header at `offset` claims; 0: there is none.
unsigned ip_version(const rte_mbuf* frame, uint16_t offset) noexcept;

// The next hop's MTU that an ICMP 3/4 tells.  REQUIRES: parse_l4() took it, whole.
uint16_t next_hop_mtu(const rte_mbuf* frame, const Parsed& p) noexcept;

// Finishes an L4 checksum that the sending kernel left at its pseudo-header sum (TCP, UDP) or
// at 0 (SCTP); anything else is left as it is.  Reads only the first bytes unless it hits.
// True: it was TCP's or UDP's.
bool finish_checksum(rte_mbuf* frame, const Parsed& p) noexcept;

// What a device said was of the outer packet, or of nobody knows which.
inline void forget_device_checksum(rte_mbuf* frame) noexcept {
  frame->ol_flags &= ~uint64_t{RTE_MBUF_F_RX_L4_CKSUM_MASK};
}

// True if the L4 checksum is right (or absent: UDP 0, fragments, other protocols): we made it,
// the device has found it right (forget_device_checksum() behind a tunnel), or so do we.
bool l4_checksum_ok(const rte_mbuf* frame, const Parsed& p) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PARSE_H_
