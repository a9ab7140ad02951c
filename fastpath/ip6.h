// SPDX-License-Identifier: Apache-2.0
// The chain of IPv6 extension headers (RFC 8200), and the shorthand of IPv6 addresses by which
// flows are kept.  Pure functions; worker-local.
// Bounds: 8 headers and 256 bytes of them.  Source: reliability rules, section 2.
#ifndef SLUICE_FASTPATH_IP6_H_
#define SLUICE_FASTPATH_IP6_H_

#include <array>
#include <cstdint>
#include <span>

#include "fastpath/packet.h"

namespace sluice {

// What the headers between an IPv6 header and the upper layer say.
struct Ip6Chain {
  // ip6_ext: too many or too long, cut off, hop-by-hop options not first, a routing header of
  // type 0, or two fragment headers.
  DropReason reason = DropReason::none;
  uint8_t protocol = 0;      // of what stands at `end`; of a later fragment, what it says
  uint16_t end = kIp6Bytes;  // where the chain ends, from the IPv6 header
  uint16_t piece = 0;        // where the fragment's payload begins; 0: it is no fragment
  bool more_fragments = false;
  uint16_t fragment_offset = 0;  // in bytes
  uint32_t id = 0;
};
// `packet` begins with an IPv6 header and ends with its payload.  Atomic fragments (RFC 6946)
// are none.  REQUIRES: packet.size() >= kIp6Bytes.
Ip6Chain walk_ip6(std::span<const uint8_t> packet) noexcept;

Address ip6_address(const uint8_t (&wire)[16]) noexcept;
void put_ip6_address(const Address& address, uint8_t* wire) noexcept;

// Writes the shorthands of an IPv6 flow's addresses, and of those it quotes, into its tuples: a
// keyed hash, so that nobody can choose two that are alike.  Nothing for IPv4.
void shorten(PacketFlow& flow, const std::array<uint64_t, 2>& key) noexcept;

// fe80::/64 with the interface identifier of `mac` (RFC 4291, appendix A).
Address link_local(const MacAddress& mac) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_IP6_H_
