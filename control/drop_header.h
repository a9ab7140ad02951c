// SPDX-License-Identifier: Apache-2.0
// The first bytes of a dropped frame in words, for people: no check, no verdict.
//
// A dropped frame may be broken in any way, so whatever the bytes do not hold is left out, and
// nothing is read past them.  Addresses and numbers only: nothing of the frame is passed on as
// text.  A pure function; run by control.
#ifndef SLUICE_CONTROL_DROP_HEADER_H_
#define SLUICE_CONTROL_DROP_HEADER_H_

#include <cstdint>
#include <span>

#include <nlohmann/json.hpp>

namespace sluice::control {

// {srcMac, dstMac, etherType, proto, src, dst, length, ttl, sport, dport, flags, icmpType,
// icmpCode, fragment, operation, inner}, those that are there.  `length` is what the IP header
// says, `inner` what is inside of IPIP (or IPv6 in IPv4), one level deep.
// `past_ethernet`: the Ethernet header had been read before the frame was dropped, and may be
// gone with a tunnel's header, or not be written yet: then an IP header is at byte 14 all the
// same, and there are no MAC addresses to tell.
nlohmann::json header_json(std::span<const uint8_t> frame, bool past_ethernet);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_DROP_HEADER_H_
