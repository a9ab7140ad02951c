// SPDX-License-Identifier: Apache-2.0
#include "classifier/transport.h"

namespace sluice::transport {
namespace {

Interval range(uint32_t kind, uint32_t first, uint32_t last) {
  return {kind << 16 | first, kind << 16 | last};
}

}  // namespace

Intervals of_protocol(uint8_t protocol) {
  std::vector<Interval> out;
  for (uint32_t family = 0; family < 2; ++family) {
    const Meaning& means = kMeanings[family << 8 | protocol];
    out.push_back(range(means.kind, means.number, means.number | uint32_t{means.ports}));
  }
  return Intervals(std::move(out));
}

Intervals of_families(uint8_t families) {
  std::vector<Interval> out;
  if ((families & Rule::kV4) != 0) {
    out.push_back({0, (kKindsOfFamily << 16) - 1});
  }
  if ((families & Rule::kV6) != 0) {
    out.push_back({kKindsOfFamily << 16, kLast});
  }
  return Intervals(std::move(out));
}

Intervals of_icmp(const IcmpMatch& match) {
  const uint32_t first = uint32_t{match.type} << 8 | (match.any_code ? 0u : match.code);
  const uint32_t last = match.any_code ? first | 0xff : first;
  return Intervals({range(kIcmp, first, last), range(kIcmp + kKindsOfFamily, first, last)});
}

Intervals of_ports(std::span<const PortRange> ports) {
  std::vector<Interval> out;
  out.reserve(6 * ports.size());
  for (const PortRange& p : ports) {
    for (const uint32_t kind : {kTcp + 0u, kUdp + 0u, kSctp + 0u}) {
      if (p.low <= p.high) {
        out.push_back(range(kind, p.low, p.high));
        out.push_back(range(kind + kKindsOfFamily, p.low, p.high));
      }
    }
  }
  return Intervals(std::move(out));
}

Intervals of_port(uint8_t protocol, uint16_t port) {
  const uint32_t kind = kMeanings[protocol].kind;
  return Intervals({range(kind, port, port), range(kind + kKindsOfFamily, port, port)});
}

}  // namespace sluice::transport
