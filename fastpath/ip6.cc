// SPDX-License-Identifier: Apache-2.0
#include "fastpath/ip6.h"

#include <cstring>

#include "fastpath/siphash.h"

namespace sluice {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51,
                  kDestination = 60;
constexpr unsigned kMaxHeaders = 8, kMaxBytes = 256, kUnit = 8;

Ip4 shorthand(const Address& address, const std::array<uint64_t, 2>& key) {
  return {static_cast<uint32_t>(siphash13(key, address.hi, address.lo))};
}

uint64_t read_half(const uint8_t* wire) {
  uint64_t half;
  std::memcpy(&half, wire, sizeof half);
  return __builtin_bswap64(half);
}

}  // namespace

Address ip6_address(const uint8_t (&wire)[16]) noexcept {
  return {read_half(wire), read_half(wire + 8)};
}

void put_ip6_address(const Address& address, uint8_t* wire) noexcept {
  const uint64_t halves[2] = {__builtin_bswap64(address.hi), __builtin_bswap64(address.lo)};
  std::memcpy(wire, halves, sizeof halves);
}

Ip6Chain walk_ip6(std::span<const uint8_t> packet) noexcept {
  constexpr size_t kNext = 6;  // of the IPv6 header
  Ip6Chain chain;
  uint8_t next = packet[kNext];
  size_t at = kIp6Bytes;
  unsigned fragments = 0;
  const auto refuse = [&chain] {
    chain.reason = DropReason::ip6_ext;
    return chain;
  };
  for (unsigned headers = 0;; ++headers) {
    const bool extension = next == kHopByHop || next == kRouting || next == kFragment ||
                           next == kAuthentication || next == kDestination;
    if (!extension) {
      break;
    }
    if (headers == kMaxHeaders || packet.size() - at < kUnit ||
        (next == kHopByHop && at != kIp6Bytes)) {
      return refuse();
    }
    const uint8_t* header = &packet[at];
    size_t bytes = (size_t{header[1]} + 1) * kUnit;
    if (next == kRouting && header[2] == 0) {
      return refuse();
    }
    if (next == kAuthentication) {
      bytes = (size_t{header[1]} + 2) * 4;
    }
    if (next == kFragment) {
      if (fragments++ != 0) {
        return refuse();
      }
      bytes = kUnit;
      uint16_t field;
      std::memcpy(&field, header + 2, sizeof field);
      field = __builtin_bswap16(field);
      std::memcpy(&chain.id, header + 4, sizeof chain.id);
      chain.fragment_offset = field & 0xfff8;
      chain.more_fragments = (field & 1) != 0;
      if (chain.fragment_offset != 0 || chain.more_fragments) {
        chain.piece = static_cast<uint16_t>(at + bytes);
      }
    }
    if (bytes > packet.size() - at || at + bytes - kIp6Bytes > kMaxBytes) {
      return refuse();
    }
    next = header[0];
    at += bytes;
    if (chain.fragment_offset != 0) {
      break;  // what follows is the middle of something
    }
  }
  chain.protocol = next;
  chain.end = static_cast<uint16_t>(at);
  return chain;
}

void shorten(PacketFlow& flow, const std::array<uint64_t, 2>& key) noexcept {
  if (flow.tuple.six) {
    flow.tuple.src = shorthand(flow.pair.src, key);
    flow.tuple.dst = shorthand(flow.pair.dst, key);
  }
  if (flow.quoted.six) {
    flow.quoted.src = shorthand(flow.quoted_pair.src, key);
    flow.quoted.dst = shorthand(flow.quoted_pair.dst, key);
  }
}

Address link_local(const MacAddress& mac) noexcept {
  const auto& b = mac.bytes;
  const uint64_t high = uint64_t{static_cast<uint8_t>(b[0] ^ 2)} << 16 | b[1] << 8 | b[2];
  const uint64_t low = uint64_t{b[3]} << 16 | b[4] << 8 | b[5];
  return {uint64_t{0xfe80} << 48, high << 40 | uint64_t{0xfffe} << 24 | low};
}

}  // namespace sluice
