// SPDX-License-Identifier: Apache-2.0
#include "classifier/types.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>
#include <utility>

#include <arpa/inet.h>

namespace sluice {
namespace {

constexpr std::pair<std::string_view, uint8_t> kProtocols[] = {
    {"icmp", proto::kIcmp}, {"icmpv6", proto::kIcmp6}, {"sctp", proto::kSctp},
    {"tcp", proto::kTcp},   {"udp", proto::kUdp},      {"udplite", proto::kUdpLite}};

uint64_t load_be64(const unsigned char* bytes) {
  uint64_t wire = 0;
  std::memcpy(&wire, bytes, sizeof wire);
  return __builtin_bswap64(wire);
}

void store_be64(uint64_t host, unsigned char* bytes) {
  const uint64_t wire = __builtin_bswap64(host);
  std::memcpy(bytes, &wire, sizeof wire);
}

// The network bits of a prefix of `length` bits, one half of the address at a time.
struct Mask {
  uint64_t hi;
  uint64_t lo;
};
Mask mask_of(unsigned length) {
  const uint64_t ones = ~uint64_t{0};
  if (length == 0) {
    return {0, 0};
  }
  if (length <= 64) {
    return {ones << (64 - length), 0};
  }
  return {ones, ones << (128 - length)};
}

// A decimal number without sign or leading zeros, at most `max`.
std::optional<unsigned> parse_length(std::string_view text, unsigned max) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value > max) {
    return std::nullopt;
  }
  if (text.size() > 1 && text[0] == '0') {
    return std::nullopt;
  }
  return value;
}

std::optional<uint8_t> parse_hex_byte(std::string_view text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(value);
}

}  // namespace

std::string proto::name(uint8_t protocol) {
  for (const auto& [name, number] : kProtocols) {
    if (number == protocol) {
      return std::string(name);
    }
  }
  return std::to_string(protocol);
}

std::optional<uint8_t> proto::number(std::string_view text) {
  for (const auto& [name, number] : kProtocols) {
    const auto same = [](char a, char b) {
      return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
    };
    if (std::equal(text.begin(), text.end(), name.begin(), name.end(), same)) {
      return number;
    }
  }
  uint8_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && stop == end ? std::optional(value) : std::nullopt;
}

Prefix Prefix::of(Address address, unsigned length) {
  assert(length <= 128);
  const Mask mask = mask_of(length);
  return {{address.hi & mask.hi, address.lo & mask.lo}, static_cast<uint8_t>(length)};
}

bool Prefix::contains(const Address& a) const {
  if (a.is_v4() && !is_v4()) {
    return false;  // among the IPv6 addresses, but not meant by "::/0"
  }
  const Mask mask = mask_of(length);
  // ::/0 to ::/80 lie around the mapped IPv4 addresses; longer prefixes are of one family.
  return (a.hi & mask.hi) == base.hi && (a.lo & mask.lo) == base.lo &&
         (length >= 96 || !a.is_v4());
}

Address Prefix::last() const {
  const Mask mask = mask_of(length);
  return {base.hi | ~mask.hi, base.lo | ~mask.lo};
}

std::optional<Address> parse_address(std::string_view text) {
  // inet_pton is as strict as we need: no leading zeros, no white space, no zone.
  char copy[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  unsigned char bytes[16];
  if (text.find(':') == std::string_view::npos) {
    uint32_t wire = 0;
    if (inet_pton(AF_INET, copy, &wire) != 1) {
      return std::nullopt;
    }
    return Address::of(Ip4{Be32{wire}.host()});
  }
  if (inet_pton(AF_INET6, copy, bytes) != 1) {
    return std::nullopt;
  }
  return Address{load_be64(bytes), load_be64(bytes + 8)};
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const std::optional<Address> address = parse_address(host);
  if (!address) {
    return std::nullopt;
  }
  if (slash == std::string_view::npos) {
    return Prefix::of(*address, 128);
  }
  const bool dotted = host.find(':') == std::string_view::npos;
  const auto length = parse_length(text.substr(slash + 1), dotted ? 32 : 128);
  if (!length) {
    return std::nullopt;
  }
  return Prefix::of(*address, dotted ? *length + 96 : *length);
}

std::string to_string(const Address& address) {
  if (address.is_v4()) {
    return to_string(address.v4());
  }
  unsigned char bytes[16];
  store_be64(address.hi, bytes);
  store_be64(address.lo, bytes + 8);
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(AF_INET6, bytes, text, sizeof text);
}

std::string to_string(Ip4 address) {
  const uint32_t wire = Be32::of(address.value).wire;
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &wire, text, sizeof text);
}

std::string to_string(const Prefix& prefix) {
  return to_string(prefix.base) + "/" + std::to_string(prefix.written_length());
}

std::optional<MacAddress> parse_mac(std::string_view text) {
  if (text.size() != 17) {
    return std::nullopt;
  }
  MacAddress mac;
  for (size_t i = 0; i < 6; ++i) {
    if (i > 0 && text[i * 3 - 1] != ':') {
      return std::nullopt;
    }
    const auto byte = parse_hex_byte(text.substr(i * 3, 2));
    if (!byte) {
      return std::nullopt;
    }
    mac.bytes[i] = *byte;
  }
  return mac;
}

std::string to_string(const MacAddress& mac) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : mac.bytes) {
    if (!text.empty()) {
      text += ':';
    }
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace sluice
