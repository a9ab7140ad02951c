// SPDX-License-Identifier: Apache-2.0
// TCP and UDP headers as they lie in a frame, for those who take frames from outside: parse and
// parse_plain.  Both copy them out of it.  Source: RFC 9293, RFC 768, RFC 7323.
#ifndef SLUICE_FASTPATH_L4_WIRE_H_
#define SLUICE_FASTPATH_L4_WIRE_H_

#include <initializer_list>

#include "fastpath/packet.h"

namespace sluice {

inline constexpr uint32_t kUdpBytes = 8, kTcpBytes = 20;

struct TcpWire {
  Be16 src;
  Be16 dst;
  Be32 seq;
  Be32 ack;
  uint8_t offset;  // in the upper half, counted in words
  uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;
};
static_assert(sizeof(TcpWire) == kTcpBytes);

struct UdpWire {
  Be16 src;
  Be16 dst;
  Be16 length;
  Be16 checksum;
};
static_assert(sizeof(UdpWire) == kUdpBytes);

// Combinations of SYN, FIN, RST, ACK and URG that mean something, each a bit.
inline constexpr unsigned kJudgedFlags =
    tcp::kFin | tcp::kSyn | tcp::kRst | tcp::kAck | tcp::kUrg;
inline constexpr uint64_t kGoodFlags =
    [](std::initializer_list<unsigned> all) {
      uint64_t set = 0;
      for (const unsigned flags : all) {
        set |= uint64_t{1} << flags;
      }
      return set;
    }({tcp::kSyn, tcp::kSyn | tcp::kUrg, tcp::kSyn | tcp::kAck, tcp::kRst,
       tcp::kRst | tcp::kAck, tcp::kFin | tcp::kAck, tcp::kFin | tcp::kAck | tcp::kUrg,
       tcp::kAck, tcp::kAck | tcp::kUrg});
constexpr bool good_tcp_flags(uint8_t flags) {
  return (kGoodFlags >> (flags & kJudgedFlags) & 1) != 0;
}

// TCP options that are timestamps only, as nearly every segment has them: so many bytes that
// begin like this.
inline constexpr uint32_t kOnlyTimestamps = 0x0101080a, kTimestampsBytes = 12;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_L4_WIRE_H_
