// SPDX-License-Identifier: Apache-2.0
// The transport part of a key as one number, so that protocol, destination port, ICMP type and
// code, and the address family are one axis of ranges.
//
//   key = kind << 16 | value
//   kind: TCP, UDP, SCTP, the family's ICMP, other; once for IPv4, once for IPv6
//   value: destination port; type << 8 | code; or the protocol number
//
// ICMP in IPv6 and ICMPv6 in IPv4 are "other": no ICMP rule means them.  Source ports are an
// axis of their own, since rules about them are rare.
#ifndef SLUICE_CLASSIFIER_TRANSPORT_H_
#define SLUICE_CLASSIFIER_TRANSPORT_H_

#include <array>
#include <cstdint>

#include "classifier/intervals.h"
#include "classifier/rule.h"

namespace sluice::transport {

enum Kind : uint32_t { kTcp, kUdp, kSctp, kIcmp, kOther };
inline constexpr uint32_t kKindsOfFamily = 5, kKinds = 2 * kKindsOfFamily;
inline constexpr uint32_t kLast = (kKinds << 16) - 1;
inline constexpr uint32_t kLastPort = UINT16_MAX;

// What a protocol means for a key.
struct Meaning {
  uint16_t kind = 0;
  uint16_t ports = 0;   // all bits if the value is that of the ports' field, else 0
  uint16_t number = 0;  // else the value
};
inline constexpr std::array<Meaning, 512> kMeanings = [] {  // family << 8 | protocol
  std::array<Meaning, 512> out{};
  for (uint32_t family = 0; family < 2; ++family) {
    for (uint32_t p = 0; p < 256; ++p) {
      const bool icmp = p == (family == 0 ? proto::kIcmp : proto::kIcmp6);
      const uint32_t kind = p == proto::kTcp    ? kTcp
                            : p == proto::kUdp  ? kUdp
                            : p == proto::kSctp ? kSctp
                            : icmp              ? kIcmp
                                                : kOther;
      const auto of_family = static_cast<uint16_t>(family * kKindsOfFamily + kind);
      out[family << 8 | p] = kind == kOther ? Meaning{of_family, 0, static_cast<uint16_t>(p)}
                                            : Meaning{of_family, UINT16_MAX, 0};
    }
  }
  return out;
}();

struct Key {
  uint32_t kind;
  uint32_t value;
};

// Without a branch, which packets of mixed protocols would mispredict.
inline Key key_of(const FlowKey& key, bool six) noexcept {
  const Meaning& means = kMeanings[uint32_t{six} << 8 | key.protocol];
  return {means.kind, uint32_t{means.number} | (key.dst_port & means.ports)};
}
// The family is that of the destination, as in Linear.
inline Key key_of(const FlowKey& key) noexcept {
  return key_of(key, !key.dst.is_v4());
}

// What the parts of a rule allow.  Each covers both families.
Intervals of_protocol(uint8_t protocol);
Intervals of_families(uint8_t families);
Intervals of_icmp(const IcmpMatch& match);
Intervals of_ports(std::span<const PortRange> ports);  // of any port protocol
Intervals of_port(uint8_t protocol, uint16_t port);    // REQUIRES: has_ports
inline Intervals everything() {
  return {0, kLast};
}
inline Intervals every_port() {
  return {0, kLastPort};
}

}  // namespace sluice::transport

#endif  // SLUICE_CLASSIFIER_TRANSPORT_H_
