// SPDX-License-Identifier: Apache-2.0
// Texts that mean addresses, prefixes and MACs, with a complaint at their place.  Pure.
#ifndef SLUICE_CONFIG_SCALARS_H_
#define SLUICE_CONFIG_SCALARS_H_

#include "config/yaml.h"

namespace sluice::config {

// What read_l4_protocol reads, in that order.
inline constexpr uint8_t kL4Protocols[] = {proto::kTcp, proto::kUdp, proto::kSctp};

// "TCP", "UDP" or "SCTP", as Kubernetes writes them.
inline std::optional<uint8_t> read_l4_protocol(const Value& v) {
  const auto i = v.one_of({"TCP", "UDP", "SCTP"});
  return i ? std::optional(kL4Protocols[*i]) : std::nullopt;
}

inline std::optional<Address> read_address(const Value& v) {
  const std::string s = v.written();
  const auto address = parse_address(s);
  if (!address) {
    v.error("\"" + s + "\" is no IP address");
  }
  return address;
}

inline std::optional<Ip4> read_ip4(const Value& v) {
  const std::string s = v.written();
  const auto address = parse_address(s);
  if (!address || !address->is_v4()) {
    v.error("\"" + s + "\" is no IPv4 address");
    return {};
  }
  return address->v4();
}

inline std::optional<Address> read_ip6(const Value& v) {
  const std::string s = v.written();
  const auto address = parse_address(s);
  if (!address || address->is_v4()) {
    v.error("\"" + s + "\" is no IPv6 address");
    return {};
  }
  return address;
}

inline std::optional<Prefix> read_prefix(const Value& v) {
  const std::string s = v.written();
  const auto prefix = parse_prefix(s);
  if (!prefix) {
    v.error("\"" + s + "\" is no CIDR", "write it as 10.0.0.0/8 or fd00::/8");
  }
  return prefix;
}

// Of a pool or a block: says exactly what it means.
inline std::optional<Prefix> read_cidr(const Value& v) {
  const auto prefix = read_prefix(v);
  const std::string s = v.written();
  if (prefix && parse_address(std::string_view(s).substr(0, s.find('/'))) != prefix->base) {
    v.error("\"" + s + "\" has host bits set", "write it as " + to_string(*prefix));
    return {};
  }
  return prefix;
}

inline std::vector<Prefix> read_prefixes(const Value& v) {
  std::vector<Prefix> out;
  for (const Value& item : v.list()) {
    if (const auto prefix = read_prefix(item)) {
      out.push_back(*prefix);
    }
  }
  return out;
}

inline std::optional<MacAddress> read_mac(const Value& v) {
  const std::string s = v.written();
  const auto mac = parse_mac(s);
  if (!mac || mac->is_multicast() || mac->is_zero()) {
    v.error("\"" + s + "\" is no unicast MAC address",
            "write it in quotes: \"02:00:00:00:00:11\"");
    return {};
  }
  return mac;
}

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_SCALARS_H_
