// SPDX-License-Identifier: Apache-2.0
// IPIP (RFC 2003): strip and add the outer IPv4 header, and fragment what is too big for the
// tunnel.  ECN by RFC 6040.  Worker-local; whether a tunnel is allowed is decided elsewhere.
// Source: reliability rules, section 5.
#ifndef SLUICE_FASTPATH_IPIP_H_
#define SLUICE_FASTPATH_IPIP_H_

#include <cstring>

#include "fastpath/packet.h"
#include "fastpath/rewrite.h"

namespace sluice {

// The outer header of one tunnel: TTL 64, DF set.  Its sum comes from the fields: to read back
// what was just written in smaller pieces would wait for the writes.
class OuterHeader {
 public:
  OuterHeader() = default;
  OuterHeader(Ip4 src, Ip4 dst) noexcept
      : src_(Be32::of(src.value).wire),
        dst_(Be32::of(dst.value).wire),
        sum_(kBegin + kDf + kTtlAndProtocol + (src_ & 0xffff) + (src_ >> 16) + (dst_ & 0xffff) +
             (dst_ >> 16)) {}

  // In front of an IPv4 packet with this TOS, `total` bytes with this header.
  void put(uint8_t* at, uint8_t tos, uint16_t total, uint16_t id) const noexcept {
    const uint64_t length = Be16::of(total).wire, number = Be16::of(id).wire;
    auto sum = static_cast<uint32_t>(sum_ + (uint32_t{tos} << 8) + length + number);
    sum = (sum & 0xffff) + (sum >> 16);  // nine halves: twice is enough
    const auto checksum = static_cast<uint16_t>(~(sum + (sum >> 16)));
    const uint64_t words[2] = {
        kBegin | uint64_t{tos} << 8 | length << 16 | number << 32 | uint64_t{kDf} << 48,
        kTtlAndProtocol | uint64_t{checksum} << 16 | uint64_t{src_} << 32};
    std::memcpy(at, words, sizeof words);
    std::memcpy(at + sizeof words, &dst_, sizeof dst_);
  }

 private:
  // As they lie in memory.
  static constexpr uint16_t kBegin = 0x45, kTtlAndProtocol = 64 | proto::kIpip << 8;
  static constexpr uint16_t kDf = Be16::of(Ip4Header::kDf).wire;
  uint32_t src_ = 0, dst_ = 0;
  uint32_t sum_ = 0;
};

// `outer` is the parsed outer header (protocol 4, checked).  On success the outer header's
// bytes are gone from the frame and what padded the inner packet; 14 bytes of any content are
// left before it for the Ethernet header, which is written last.  `inner` holds the inner L3
// and L4 parts, and the inner ECN is combined (checksum updated).  Reasons: tun_fragment, the
// ip4_* and L4 reasons for the inner packet, tun_nested, tun_ecn.
DropReason decapsulate(rte_mbuf* frame, const Parsed& outer, bool allow_options,
                       Parsed& inner) noexcept;

// Puts an outer header in front of the IPv4 packet at p.l3_offset (14) and room for an Ethernet
// header before that, which the caller writes.  DSCP and ECN copied, `id` as given.  Adjusts
// p.l3_offset and p.l4_offset by 20.  False when the headroom does not hold it.
bool encapsulate(rte_mbuf* frame, Parsed& p, Ip4 src, Ip4 dst, uint16_t id) noexcept;

// Splits the IPv4 packet (DF clear) into fragments of at most `mtu` bytes each, as new frames
// from `pool` with room for an outer header; each has an Ethernet header to be filled.
// Returns how many were written to `out` (at most `max`), 0 when it cannot be done (no buffer,
// or more than `max`); the input frame is untouched and still the caller's.
unsigned fragment_ip4(const rte_mbuf* frame, const Parsed& p, uint16_t mtu, rte_mempool* pool,
                      rte_mbuf** out, unsigned max) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_IPIP_H_
