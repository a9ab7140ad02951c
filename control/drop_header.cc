// SPDX-License-Identifier: Apache-2.0
#include "control/drop_header.h"

#include <algorithm>
#include <string>

#include "classifier/types.h"
#include "fastpath/packet.h"

namespace sluice::control {
namespace {

using nlohmann::json;

constexpr size_t kIp6Bytes = 40;
constexpr unsigned kExtensions = 8;  // headers, at most
constexpr size_t kArpBytes = 28;

// Big-endian numbers of a part of the frame.  REQUIRES: has(), for what is read.
class Part {
 public:
  explicit Part(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool has(size_t bytes) const { return bytes_.size() >= bytes; }
  uint64_t number(size_t at, size_t bytes) const {
    uint64_t value = 0;
    for (size_t i = at; i < at + bytes; ++i) {
      value = value << 8 | bytes_[i];
    }
    return value;
  }
  std::string ip4(size_t at) const {
    return to_string(Ip4{static_cast<uint32_t>(number(at, 4))});
  }
  std::string ip6(size_t at) const {
    return to_string(Address{number(at, 8), number(at + 8, 8)});
  }
  std::string mac(size_t at) const {
    MacAddress mac;
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at), sizeof mac.bytes, mac.bytes);
    return to_string(mac);
  }
  Part from(size_t at) const { return Part(bytes_.subspan(std::min(at, bytes_.size()))); }

 private:
  std::span<const uint8_t> bytes_;
};

std::string flags_text(uint64_t flags) {
  static constexpr const char* kNames[] = {"FIN", "SYN", "RST", "PSH",
                                           "ACK", "URG", "ECE", "CWR"};
  std::string text;
  for (size_t bit = 0; bit < std::size(kNames); ++bit) {
    if ((flags >> bit & 1) != 0) {
      text += (text.empty() ? "" : ",") + std::string(kNames[bit]);
    }
  }
  return text;
}

void add_transport(Part part, uint8_t protocol, json& out) {
  if (proto::has_ports(protocol) && part.has(4)) {
    out["sport"] = part.number(0, 2);
    out["dport"] = part.number(2, 2);
  }
  if (protocol == proto::kTcp && part.has(14)) {
    out["flags"] = flags_text(part.number(13, 1));
  }
  if (proto::is_icmp(protocol) && part.has(2)) {
    out["icmpType"] = part.number(0, 1);
    out["icmpCode"] = part.number(1, 1);
  }
}

void add_ip6(Part part, json& out);

void add_ip4(Part part, bool outermost, json& out) {
  if (!part.has(kIp4Bytes) || part.number(0, 1) >> 4 != 4) {
    return;
  }
  const uint64_t header = (part.number(0, 1) & 0xf) * 4;
  const uint64_t fragment = part.number(6, 2);
  const auto protocol = static_cast<uint8_t>(part.number(9, 1));
  out["proto"] = proto::name(protocol);
  out["src"] = part.ip4(12);
  out["dst"] = part.ip4(16);
  out["length"] = part.number(2, 2);
  out["ttl"] = part.number(8, 1);
  const uint64_t offset = (fragment & Ip4Header::kOffset) * 8;
  if ((fragment & (Ip4Header::kOffset | Ip4Header::kMf)) != 0) {
    out["fragment"] = {{"id", part.number(4, 2)},
                       {"offset", offset},
                       {"more", (fragment & Ip4Header::kMf) != 0}};
  }
  if (offset != 0 || header < kIp4Bytes || !part.has(header)) {
    return;
  }
  const bool tunnel = protocol == proto::kIpip || protocol == proto::kIp6;
  if (tunnel && outermost) {
    json inner = json::object();
    if (protocol == proto::kIpip) {
      add_ip4(part.from(header), false, inner);
    } else {
      add_ip6(part.from(header), inner);
    }
    out["inner"] = std::move(inner);
  }
  add_transport(part.from(header), protocol, out);
}

void add_ip6(Part part, json& out) {
  if (!part.has(kIp6Bytes) || part.number(0, 1) >> 4 != 6) {
    return;
  }
  constexpr uint64_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestination = 60;
  uint64_t next = part.number(6, 1);
  out["src"] = part.ip6(8);
  out["dst"] = part.ip6(24);
  out["length"] = kIp6Bytes + part.number(4, 2);
  out["ttl"] = part.number(7, 1);
  Part rest = part.from(kIp6Bytes);
  bool first = true;  // no fragment, or the first one
  for (unsigned i = 0; i < kExtensions && first && rest.has(8); ++i) {
    size_t bytes = 8;
    if (next == kFragment) {
      const uint64_t field = rest.number(2, 2);
      first = field >> 3 == 0;
      out["fragment"] = {
          {"id", rest.number(4, 4)}, {"offset", field & 0xfff8}, {"more", (field & 1) != 0}};
    } else if (next == kHopByHop || next == kRouting || next == kDestination) {
      bytes = 8 + rest.number(1, 1) * 8;
    } else {
      break;
    }
    next = rest.number(0, 1);
    rest = rest.from(bytes);
  }
  const auto protocol = static_cast<uint8_t>(next);
  out["proto"] = proto::name(protocol);
  if (first) {
    add_transport(rest, protocol, out);
  }
}

void add_arp(Part part, json& out) {
  if (!part.has(kArpBytes)) {
    return;
  }
  out["proto"] = "arp";
  out["operation"] = part.number(6, 2);
  out["src"] = part.ip4(14);
  out["dst"] = part.ip4(24);
}

}  // namespace

json header_json(std::span<const uint8_t> frame, bool past_ethernet) {
  json out = json::object();
  const Part ether(frame);
  if (!ether.has(kEtherBytes)) {
    return out;
  }
  const uint64_t type = ether.number(12, 2);
  if (!past_ethernet || type == kTypeIp4 || type == kTypeIp6 || type == kTypeArp) {
    char text[8];
    std::snprintf(text, sizeof text, "0x%04x", static_cast<unsigned>(type));
    out["etherType"] = text;
    out["dstMac"] = ether.mac(0);
    out["srcMac"] = ether.mac(6);
  }
  const Part payload = ether.from(kEtherBytes);
  if (type == kTypeArp) {
    add_arp(payload, out);
    return out;
  }
  if (type == kTypeIp4 || past_ethernet) {
    add_ip4(payload, true, out);
  }
  if (type == kTypeIp6 || past_ethernet) {
    add_ip6(payload, out);
  }
  return out;
}

}  // namespace sluice::control
