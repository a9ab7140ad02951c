// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/frames.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "control/replay.h"
#include "fastpath/nanos.h"

namespace sluice::differential {
namespace {

constexpr uint32_t kPeer = 0xc0a86470;    // 192.168.100.112, at the tunnel's other end
constexpr uint32_t kRemote = 0x0af40200;  // 10.244.2.0/26, behind it

using Bytes = std::string;

void put16(Bytes& to, unsigned value) {
  to += static_cast<char>(value >> 8);
  to += static_cast<char>(value);
}
void put32(Bytes& to, uint32_t value) {
  put16(to, value >> 16);
  put16(to, value & 0xffff);
}

// RFC 1071.
unsigned sum_of(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    sum += i % 2 == 0 ? static_cast<uint32_t>(byte) << 8 : byte;
  }
  while (sum >> 16 != 0) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return ~sum & 0xffff;
}
void set_sum(Bytes& bytes, size_t at, unsigned sum) {
  bytes[at] = static_cast<char>(sum >> 8);
  bytes[at + 1] = static_cast<char>(sum);
}

Bytes ipv4(uint32_t src, uint32_t dst, uint8_t protocol, const Bytes& payload) {
  Bytes out;
  put16(out, 0x4500);
  put16(out, static_cast<unsigned>(20 + payload.size()));
  put32(out, 0x00004000);  // don't fragment
  put16(out, 64u << 8 | protocol);
  put16(out, 0);
  put32(out, src);
  put32(out, dst);
  set_sum(out, 10, sum_of(out));
  return out + payload;
}

void put_ip(Bytes& to, const Ip& ip) {
  for (int shift = ip.v6 ? 96 : 0; shift >= 0; shift -= 32) {
    put32(to, static_cast<uint32_t>(ip.bits >> shift));
  }
}

Bytes ipv6(const Packet& p, const Bytes& payload) {
  Bytes out;
  put32(out, 0x60000000);
  put16(out, static_cast<unsigned>(payload.size()));
  put16(out, p.protocol << 8 | 64u);
  put_ip(out, p.src);
  put_ip(out, p.dst);
  return out + payload;
}

// Of IPv6 the length has 32 bits, which makes no difference to the sum.
Bytes with_pseudo_sum(const Packet& p, Bytes segment, size_t at) {
  Bytes pseudo;
  put_ip(pseudo, p.src);
  put_ip(pseudo, p.dst);
  put16(pseudo, p.protocol);
  put16(pseudo, static_cast<unsigned>(segment.size()));
  const unsigned sum = sum_of(pseudo + segment);
  set_sum(segment, at, sum == 0 ? 0xffff : sum);
  return segment;
}

// What opens a flow: a SYN, a datagram, an INIT, a question.  `id` is the ICMP identifier.
Bytes segment(const Packet& p, unsigned id) {
  Bytes out;
  if (ported(p.protocol)) {
    put16(out, p.sport);
    put16(out, p.dport);
  }
  if (p.protocol == (p.src.v6 ? 58 : 1)) {
    put16(out, static_cast<unsigned>(p.type) << 8 | p.code);
    put16(out, 0);
    put16(out, id);
    put16(out, 1);
    out += Bytes(12, '\0');
    if (p.src.v6) {
      return with_pseudo_sum(p, out, 2);
    }
    set_sum(out, 2, sum_of(out));
    return out;
  }
  switch (p.protocol) {
    case 6:
      put32(out, 1000);
      put32(out, 0);
      put16(out, 0x5002);
      put16(out, 64240);
      put32(out, 0);
      return with_pseudo_sum(p, out, 16);
    case 17:
      put16(out, 8);
      put16(out, 0);
      return with_pseudo_sum(p, out, 6);
    case 132:
      put32(out, 0);
      put32(out, 0);
      put32(out, 0x01000014);  // INIT, 20 bytes
      return out + Bytes(16, '\1');
    default:
      return Bytes(16, '\2');
  }
}

Bytes frame(const Packet& p, unsigned id) {
  const Bytes gateway("\x02\0\0\0\0\x01", 6);
  const Bytes peer("\x02\0\0\0\0\x70", 6);
  const Bytes node("\x02\0\0\0\0\x6f", 6);
  const Bytes proxy(6, '\xee');
  const Bytes pod("\x02\0\0\0\x01\x01", 6);
  const Bytes type = p.src.v6 ? Bytes("\x86\xdd", 2) : Bytes("\x08\0", 2);
  const auto src = static_cast<uint32_t>(p.src.bits);
  const Bytes packet =
      p.src.v6 ? ipv6(p, segment(p, id))
               : ipv4(src, static_cast<uint32_t>(p.dst.bits), p.protocol, segment(p, id));
  if (p.in != "uplink") {
    return proxy + pod + type + packet;
  }
  constexpr uint32_t kBlockMask = 0xffffffc0;
  const bool tunnelled = !p.src.v6 && (src & kBlockMask) == kRemote;
  return node +
         (tunnelled ? peer + type + ipv4(kPeer, kNode, 4, packet) : gateway + type + packet);
}

// Native byte order, nanoseconds: a record a frame, ten milliseconds apart.
class Capture {
 public:
  Capture() {
    for (const uint32_t word : {0xa1b23c4du, 0x00040002u, 0u, 0u, 65535u, 1u}) {
      put(word);
    }
  }
  void add(const Bytes& bytes, uint64_t number) {
    constexpr uint64_t kApart = 10000000;
    put(static_cast<uint32_t>(number * kApart / kSecond));
    put(static_cast<uint32_t>(number * kApart % kSecond));
    put(static_cast<uint32_t>(bytes.size()));
    put(static_cast<uint32_t>(bytes.size()));
    text_ += bytes;
  }
  const Bytes& text() const { return text_; }

 private:
  void put(uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) {
      text_ += static_cast<char>(word >> shift);
    }
  }
  Bytes text_;
};

}  // namespace

Result<std::vector<std::string>> replayed(const config::Loaded& loaded,
                                          const std::vector<Packet>& packets,
                                          const std::string& directory) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  std::map<std::string, Capture> captures;
  std::map<std::string, std::vector<size_t>> places;  // by port, which packet each frame is
  for (size_t i = 0; i < packets.size(); ++i) {
    const Packet& p = packets[i];
    if (opens(p)) {
      captures[p.in].add(frame(p, static_cast<unsigned>(i) + 1), i);
      places[p.in].push_back(i);
    }
  }
  for (const auto& [port, capture] : captures) {
    std::ofstream(directory + "/" + port + ".in.pcap", std::ios::binary) << capture.text();
  }
  if (Status s = control::replay(loaded, directory); !s) {
    return s.error();
  }
  std::ifstream file(directory + "/counters.json");
  const nlohmann::json counters = nlohmann::json::parse(file);
  std::vector<std::string> out(packets.size());
  for (const nlohmann::json& row : counters["fates"]) {
    const size_t at = places.at(row["port"]).at(row["index"]);
    out[at] = row["reason"].is_null() ? row["fate"] : row["reason"];
  }
  return out;
}

}  // namespace sluice::differential
