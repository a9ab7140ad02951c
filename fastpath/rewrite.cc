// SPDX-License-Identifier: Apache-2.0
#include "fastpath/rewrite.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include <rte_mbuf.h>

#include "fastpath/ip6.h"

namespace sluice {
namespace {

constexpr uint16_t kErrorBytes = 576;  // of the whole IPv4 packet, RFC 1812 4.3.2.3
constexpr uint8_t kOwnTtl = 64;

template <typename T>
void put(uint8_t* at, const T& value) {
  std::memcpy(at, &value, sizeof value);
}

// The header of an ICMPv6 packet of our own, `bytes` of it behind that.
void put_ip6(uint8_t* at, const AddressPair& pair, uint16_t bytes, uint8_t hops) {
  Ip6Header h{Be32::of(6u << 28), Be16::of(bytes), proto::kIcmp6, hops, {}, {}};
  put_ip6_address(pair.src, h.src);
  put_ip6_address(pair.dst, h.dst);
  put(at, h);
}

// Of an ICMPv6 message behind the header at `ip`, with zero in its place.
Be16 icmp6_checksum(const uint8_t* ip, std::span<const uint8_t> message) {
  const uint64_t rest = uint64_t{Be16::of(proto::kIcmp6).wire} +
                        Be16::of(static_cast<uint16_t>(message.size())).wire;
  const std::span<const uint8_t> addresses{ip + offsetof(Ip6Header, src), 32};
  return checksum_fold(checksum_add(message, checksum_add(addresses, rest)));
}

// The number that the next bytes are; `at` is behind them then.
template <typename T>
T take(const uint8_t*& at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

}  // namespace

uint64_t checksum_add(std::span<const uint8_t> bytes, uint64_t initial) noexcept {
  // Halves of 64-bit words, each into a sum of its own: no carry to wait for, and no overflow
  // below 2^34 bytes.
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint64_t low = initial;
  uint64_t high = 0;
  for (; left >= 8; left -= 8) {
    const auto word = take<uint64_t>(at);
    low += static_cast<uint32_t>(word);
    high += word >> 32;
  }
  if ((left & 4) != 0) {
    low += take<uint32_t>(at);
  }
  if ((left & 2) != 0) {
    high += take<uint16_t>(at);
  }
  if ((left & 1) != 0) {  // an odd byte precedes a zero
    high += *at;
  }
  return low + high;
}

void decrement_ttl(rte_mbuf* frame, const Parsed& p) noexcept {
  uint8_t* header = rte_pktmbuf_mtod_offset(frame, uint8_t*, p.l3_offset);
  if (p.tuple.six) {
    header[offsetof(Ip6Header, hop_limit)] -= 1;
    return;
  }
  decrement_ttl(header);
}

void write_ether(rte_mbuf* frame, MacAddress src, MacAddress dst, uint16_t type) noexcept {
  uint8_t* at = rte_pktmbuf_mtod(frame, uint8_t*);
  put(at + offsetof(EtherHeader, dst), dst);
  put(at + offsetof(EtherHeader, src), src);
  put(at + offsetof(EtherHeader, type), Be16::of(type));
}

void make_arp(rte_mbuf* out, const ArpPacket& arp, MacAddress frame_dst) noexcept {
  constexpr uint16_t kBytes = 28;
  uint8_t* at = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(out, kEtherBytes + kBytes));
  if (at == nullptr) {
    return;
  }
  put(at, EtherHeader{frame_dst, arp.sender_mac, Be16::of(kTypeArp)});
  at += kEtherBytes;
  constexpr uint8_t kEthernetIp4[6] = {0, 1, 8, 0, 6, 4};
  put(at, kEthernetIp4);
  put(at + 6, Be16::of(arp.operation));
  put(at + 8, arp.sender_mac);
  put(at + 14, Be32::of(arp.sender.value));
  put(at + 18, arp.target_mac);
  put(at + 24, Be32::of(arp.target.value));
}

void make_icmp_error(rte_mbuf* out, const rte_mbuf* offender, const Parsed& p, Ip4 src,
                     IcmpError error, uint16_t id) noexcept {
  constexpr uint16_t kHeaders = kIp4Bytes + kIcmpBytes;
  const uint16_t quote = std::min<uint16_t>(p.total_length, kErrorBytes - kHeaders);
  const auto total = static_cast<uint16_t>(kHeaders + quote);
  if (offender->data_len < p.l3_offset + quote) {
    return;
  }
  uint8_t* at = reinterpret_cast<uint8_t*>(
      rte_pktmbuf_append(out, static_cast<uint16_t>(kEtherBytes + total)));
  if (at == nullptr) {
    return;
  }
  std::memset(at, 0, kEtherBytes);
  uint8_t* ip = at + kEtherBytes;
  uint8_t* icmp = ip + kIp4Bytes;
  std::memcpy(icmp + kIcmpBytes, rte_pktmbuf_mtod_offset(offender, const uint8_t*, p.l3_offset),
              quote);
  Ip4Header h{0x45,
              0,
              Be16::of(total),
              Be16::of(id),
              {},
              kOwnTtl,
              proto::kIcmp,
              {},
              Be32::of(src.value),
              Be32::of(p.tuple.src.value)};
  put(ip, h);
  put(ip + offsetof(Ip4Header, checksum), checksum_fold(checksum_add({ip, kIp4Bytes}, 0)));

  constexpr uint8_t kUnreachable = 3, kTooBig = 4;
  const uint8_t start[4] = {error.type, error.code, 0, 0};
  put(icmp, start);
  const bool tells_mtu = error.type == kUnreachable && error.code == kTooBig;
  put(icmp + 4, Be32::of(tells_mtu ? error.mtu : 0u));
  const size_t icmp_bytes = size_t{kIcmpBytes} + quote;
  put(icmp + 2, checksum_fold(checksum_add({icmp, icmp_bytes}, 0)));
}

void make_nd(rte_mbuf* out, const NdPacket& nd, MacAddress frame_dst) noexcept {
  constexpr uint8_t kAdvertisement = 136;
  constexpr uint16_t kBytes = 32;  // with one link address
  uint8_t* at = reinterpret_cast<uint8_t*>(
      rte_pktmbuf_append(out, uint16_t{kEtherBytes + kIp6Bytes + kBytes}));
  if (at == nullptr) {
    return;
  }
  put(at, EtherHeader{frame_dst, nd.link, Be16::of(kTypeIp6)});
  uint8_t* ip = at + kEtherBytes;
  put_ip6(ip, {nd.source, nd.destination}, kBytes, 255);
  uint8_t* icmp = ip + kIp6Bytes;
  const bool answer = nd.type == kAdvertisement;
  const uint8_t start[8] = {nd.type, 0, 0, 0, static_cast<uint8_t>(answer ? 0xc0 : 0)};
  put(icmp, start);
  put_ip6_address(nd.target, icmp + 8);
  const uint8_t option[2] = {static_cast<uint8_t>(answer ? 2 : 1), 1};
  put(icmp + 24, option);
  put(icmp + 26, nd.link);
  put(icmp + 2, icmp6_checksum(ip, {icmp, kBytes}));
}

void make_icmp6_error(rte_mbuf* out, const rte_mbuf* offender, const Parsed& p,
                      const Address& src, IcmpError error) noexcept {
  constexpr uint16_t kMost = 1280 - kIp6Bytes - kIcmpBytes;
  const uint16_t quote = std::min<uint16_t>(p.total_length, kMost);
  const auto bytes = static_cast<uint16_t>(kIcmpBytes + quote);
  if (offender->data_len < p.l3_offset + quote) {
    return;
  }
  uint8_t* at = reinterpret_cast<uint8_t*>(
      rte_pktmbuf_append(out, static_cast<uint16_t>(kEtherBytes + kIp6Bytes + bytes)));
  if (at == nullptr) {
    return;
  }
  std::memset(at, 0, kEtherBytes);
  uint8_t* ip = at + kEtherBytes;
  put_ip6(ip, {src, p.pair.src}, bytes, kOwnTtl);
  uint8_t* icmp = ip + kIp6Bytes;
  const uint8_t start[4] = {error.type, error.code, 0, 0};
  put(icmp, start);
  put(icmp + 4, Be32::of(error.mtu));
  std::memcpy(icmp + kIcmpBytes, rte_pktmbuf_mtod_offset(offender, const uint8_t*, p.l3_offset),
              quote);
  put(icmp + 2, icmp6_checksum(ip, {icmp, bytes}));
}

bool may_answer_with_icmp(const Parsed& p) noexcept {
  if (p.icmp_error || p.later_fragment) {
    return false;
  }
  return p.tuple.six || (!p.tuple.src.is_unusable() && !p.tuple.dst.is_unusable());
}

}  // namespace sluice
