// SPDX-License-Identifier: Apache-2.0
// The values that every part of sluice speaks in: addresses, prefixes, port ranges, wire
// integers and the key that a rule is matched against.
//
// An Address is always 128 bits, in host order; an IPv4 address is held in its mapped form
// (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so one table and one comparison serve both
// families.  A Prefix counts its length from the top of those 128 bits: 10.0.0.0/8 is
// ::ffff:10.0.0.0/104.  Everything here is a plain value; any thread may use it.
#ifndef SLUICE_CLASSIFIER_TYPES_H_
#define SLUICE_CLASSIFIER_TYPES_H_

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

// Integers as they stand on the wire.  They have no arithmetic: convert first.
struct Be16 {
  uint16_t wire = 0;
  static constexpr Be16 of(uint16_t host) { return {__builtin_bswap16(host)}; }
  constexpr uint16_t host() const { return __builtin_bswap16(wire); }
  friend constexpr bool operator==(Be16, Be16) = default;
};
struct Be32 {
  uint32_t wire = 0;
  static constexpr Be32 of(uint32_t host) { return {__builtin_bswap32(host)}; }
  constexpr uint32_t host() const { return __builtin_bswap32(wire); }
  friend constexpr bool operator==(Be32, Be32) = default;
};
static_assert(std::endian::native == std::endian::little);

// An IPv4 address in host order: 10.0.0.1 is 0x0a000001.
struct Ip4 {
  uint32_t value = 0;
  // 0/8, 127/8, multicast, class E and limited broadcast: neither a source nor a destination.
  constexpr bool is_unusable() const {
    const uint32_t top = value >> 24;
    return top == 0 || top == 127 || top >= 224;
  }
  friend constexpr auto operator<=>(Ip4, Ip4) = default;
};

struct Address {
  uint64_t hi = 0;
  uint64_t lo = 0;
  static constexpr uint64_t kMapped = 0xffff00000000u;

  constexpr Address() = default;
  constexpr Address(uint64_t high, uint64_t low) : hi(high), lo(low) {}
  constexpr Address(Ip4 ip) : lo(kMapped | ip.value) {}  // NOLINT(google-explicit-constructor)
  static constexpr Address of(Ip4 ip) { return ip; }
  constexpr bool is_v4() const { return hi == 0 && (lo >> 32) == 0xffff; }
  // REQUIRES: is_v4().
  constexpr Ip4 v4() const { return {static_cast<uint32_t>(lo)}; }
  constexpr Address next() const { return {hi + (lo == UINT64_MAX ? 1 : 0), lo + 1}; }
  constexpr Address previous() const { return {hi - (lo == 0 ? 1 : 0), lo - 1}; }
  constexpr bool is_zero() const { return (hi | lo) == 0; }           // ::
  constexpr bool is_group() const { return hi >> 56 == 0xff; }        // ff00::/8
  constexpr bool is_link_local() const { return hi >> 54 == 0x3fa; }  // fe80::/10
  // Of neither family a source or destination that is forwarded: as of Ip4; ::, ::1, groups and
  // link-local ones.
  constexpr bool is_unusable() const {
    return is_v4() ? v4().is_unusable() : (hi == 0 && lo <= 1) || is_group() || is_link_local();
  }
  friend constexpr auto operator<=>(const Address&, const Address&) = default;
};
// For tables that control fills and no stranger: it is not keyed.
struct AddressHash {
  size_t operator()(const Address& a) const noexcept {
    return (a.hi * 0x9e3779b97f4a7c15u ^ a.lo) * 0xff51afd7ed558ccdu >> 16;
  }
};

struct Prefix {
  Address base;          // host bits are zero
  uint8_t length = 128;  // 0..128, counted on the 128-bit form

  // Clears the host bits of `address`.
  static Prefix of(Address address, unsigned length);
  bool is_v4() const { return base.is_v4() && length >= 96; }
  bool contains(const Address& a) const;  // of the same family only: ::/0 has no IPv4 address
  Address last() const;                   // the highest address inside
  // Length as people write it: 0..32 for IPv4, 0..128 for IPv6.
  unsigned written_length() const { return is_v4() ? length - 96u : length; }
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

// Strict text forms: dotted quad without leading zeros, RFC 4291 for IPv6; nothing around them.
std::optional<Address> parse_address(std::string_view text);
// "10.0.0.0/8", or a bare address (its full length).  Host bits are cleared, as Calico does.
std::optional<Prefix> parse_prefix(std::string_view text);
std::string to_string(const Address& address);
std::string to_string(Ip4 address);
std::string to_string(const Prefix& prefix);

// IP protocol numbers that mean something to sluice.
namespace proto {
inline constexpr uint8_t kIcmp = 1, kIpip = 4, kTcp = 6, kUdp = 17, kIp6 = 41, kGre = 47,
                         kIcmp6 = 58, kSctp = 132, kUdpLite = 136;
constexpr bool has_ports(uint8_t p) {
  return p == kTcp || p == kUdp || p == kSctp;
}
constexpr bool is_icmp(uint8_t p) {
  return p == kIcmp || p == kIcmp6;
}
std::string name(uint8_t protocol);  // "tcp"; "47" for those without a name here
std::optional<uint8_t> number(std::string_view text);  // a name in any case, or 0 to 255
}  // namespace proto

struct PortRange {
  uint16_t low = 0;  // inclusive, host order
  uint16_t high = 0;
  constexpr bool contains(uint16_t p) const { return low <= p && p <= high; }
  friend constexpr auto operator<=>(PortRange, PortRange) = default;
};

// What rules are matched against: a packet's headers after parsing (and, later, after DNAT).
// For ICMP `dst_port` holds type << 8 | code and `src_port` is 0; for protocols without ports
// both are 0.
struct FlowKey {
  Address src;
  Address dst;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint8_t protocol = 0;
  uint8_t icmp_type() const { return static_cast<uint8_t>(dst_port >> 8); }
  uint8_t icmp_code() const { return static_cast<uint8_t>(dst_port); }
  friend bool operator==(const FlowKey&, const FlowKey&) = default;
};

struct MacAddress {
  uint8_t bytes[6] = {};
  constexpr bool is_zero() const { return number() == 0; }
  constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
  constexpr uint64_t number() const {
    const auto halves = std::bit_cast<std::array<uint16_t, 3>>(*this);
    return halves[0] | uint64_t{halves[1]} << 16 | uint64_t{halves[2]} << 32;
  }
  friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
    return a.number() == b.number();
  }
};
std::optional<MacAddress> parse_mac(std::string_view text);
std::string to_string(const MacAddress& mac);

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_TYPES_H_
