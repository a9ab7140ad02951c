// SPDX-License-Identifier: Apache-2.0
// The last touches on a packet that leaves: TTL with incremental checksum (RFC 1624), Ethernet
// header; and the packets that sluice makes itself: ARP, neighbour discovery and ICMP errors.
// Worker-local.
#ifndef SLUICE_FASTPATH_REWRITE_H_
#define SLUICE_FASTPATH_REWRITE_H_

#include <cstddef>
#include <cstring>
#include <span>

#include "fastpath/packet.h"
#include "fastpath/parse.h"

namespace sluice {

// The ones' complement sum of RFC 1071 over `bytes`, added to `initial`, not yet folded.
uint64_t checksum_add(std::span<const uint8_t> bytes, uint64_t initial) noexcept;
// Folded and complemented, as it stands in a header (wire order).
inline Be16 checksum_fold(uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return {static_cast<uint16_t>(~sum)};
}

// Of an IPv4 header; its checksum moves along.  REQUIRES: the TTL is above 1.
inline void decrement_ttl(uint8_t* header) noexcept {
  uint8_t* at = header + offsetof(Ip4Header, ttl);
  uint32_t word;  // TTL, protocol, checksum
  std::memcpy(&word, at, sizeof word);
  // As one's complement knows no byte order: what the word of the TTL loses in its first byte,
  // its complement gains there (RFC 1624, equation 3).
  word += 0x10000 - 1 + (word >= 0xfffe0000 ? 0x10000 : 0);
  std::memcpy(at, &word, sizeof word);
}
// REQUIRES: the header at p.l3_offset is there and its TTL, or hop limit, is above 1.
void decrement_ttl(rte_mbuf* frame, const Parsed& p) noexcept;

// Writes the Ethernet header in front of the outermost IP header.
void write_ether(rte_mbuf* frame, MacAddress src, MacAddress dst, uint16_t type) noexcept;

// Makes a whole ARP frame in an empty mbuf.
void make_arp(rte_mbuf* out, const ArpPacket& arp, MacAddress frame_dst) noexcept;

// Makes a whole frame of a solicitation or an advertisement in an empty mbuf, with nd.link as
// its Ethernet source and link address.  An advertisement is solicited, a router's, and does
// not override (as of a proxy, RFC 4861 7.2.8).
void make_nd(rte_mbuf* out, const NdPacket& nd, MacAddress frame_dst) noexcept;

// Makes an ICMP error about the packet in `offender` (frame starts at its Ethernet header, IPv4
// at p.l3_offset) in the empty mbuf `out`: IPv4 + ICMP + quoted header and at least 8 bytes,
// at most 576 in all; Ethernet header left to the caller.
struct IcmpError {
  uint8_t type = 0;
  uint8_t code = 0;
  uint16_t mtu = 0;  // of the next hop; only counts for 3/4, and 2/0 of ICMPv6
};
void make_icmp_error(rte_mbuf* out, const rte_mbuf* offender, const Parsed& p, Ip4 src,
                     IcmpError error, uint16_t id) noexcept;

// The same for ICMPv6: quotes as much as 1280 bytes hold (RFC 4443).
void make_icmp6_error(rte_mbuf* out, const rte_mbuf* offender, const Parsed& p,
                      const Address& src, IcmpError error) noexcept;

// May an ICMP error answer this packet at all (RFC 1122 3.2.2, RFC 1812 4.3.2.7)?
bool may_answer_with_icmp(const Parsed& p) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_REWRITE_H_
