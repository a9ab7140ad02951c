// SPDX-License-Identifier: Apache-2.0
#include "fastpath/ipip.h"

#include <algorithm>
#include <cstring>

#include <rte_mbuf.h>

#include "fastpath/parse.h"
#include "fastpath/rewrite.h"

namespace sluice {
namespace {

constexpr uint8_t kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3, kEcn = 3;

// What the packet's ECN becomes when the outer header goes (RFC 6040, figure 4); `drop` when
// congestion was met and the sender of the inner packet could not be told.
struct Ecn {
  uint8_t value;
  bool drop = false;
};
Ecn combine_ecn(uint8_t outer, uint8_t inner) {
  if (outer == kCe) {
    return {kCe, inner == kNotEct};
  }
  if (outer == kEct1 && inner == kEct0) {
    return {kEct1};
  }
  return {inner};
}

// Replaces the TOS byte and moves the checksum along (RFC 1624, equation 3).
void set_tos(uint8_t* header, uint8_t old_tos, uint8_t tos) {
  uint8_t* field = header + offsetof(Ip4Header, checksum);
  Be16 checksum;
  std::memcpy(&checksum, field, sizeof checksum);
  const auto removed = static_cast<uint16_t>(~Be16::of(old_tos).wire);
  const uint64_t sum =
      uint64_t{static_cast<uint16_t>(~checksum.wire)} + removed + Be16::of(tos).wire;
  checksum = checksum_fold(sum);
  header[offsetof(Ip4Header, tos)] = tos;
  std::memcpy(field, &checksum, sizeof checksum);
}

}  // namespace

DropReason decapsulate(rte_mbuf* frame, const Parsed& outer, bool allow_options,
                       Parsed& inner) noexcept {
  if (outer.fragment) {
    return DropReason::tun_fragment;
  }
  const auto payload =
      static_cast<uint16_t>(outer.total_length - (outer.l4_offset - outer.l3_offset));
  const DropReason reason =
      parse_ip4(frame, outer.l4_offset, payload, {allow_options, true}, inner);
  if (reason != DropReason::none) {
    return reason;
  }
  const uint8_t protocol = inner.tuple.protocol;
  if (protocol == proto::kIpip || protocol == proto::kIp6 || protocol == proto::kGre) {
    return DropReason::tun_nested;
  }
  const Ecn ecn = combine_ecn(outer.tos & kEcn, inner.tos & kEcn);
  if (ecn.drop) {
    return DropReason::tun_ecn;
  }
  const auto tos = static_cast<uint8_t>((inner.tos & ~kEcn) | ecn.value);
  if (tos != inner.tos) {
    set_tos(rte_pktmbuf_mtod_offset(frame, uint8_t*, inner.l3_offset), inner.tos, tos);
    inner.tos = tos;
  }
  const auto stripped = static_cast<uint16_t>(inner.l3_offset - kEtherBytes);
  rte_pktmbuf_adj(frame, stripped);
  forget_device_checksum(frame);
  inner.l3_offset = kEtherBytes;
  inner.l4_offset = static_cast<uint16_t>(inner.l4_offset - stripped);
  const uint32_t length = uint32_t{kEtherBytes} + inner.total_length;
  if (frame->pkt_len > length) {
    rte_pktmbuf_trim(frame, static_cast<uint16_t>(frame->pkt_len - length));
  }
  return parse_l4(frame, inner);
}

bool encapsulate(rte_mbuf* frame, Parsed& p, Ip4 src, Ip4 dst, uint16_t id) noexcept {
  const uint32_t total = uint32_t{p.total_length} + kIp4Bytes;
  if (total > UINT16_MAX || rte_pktmbuf_prepend(frame, kIp4Bytes) == nullptr) {
    return false;
  }
  OuterHeader(src, dst).put(rte_pktmbuf_mtod_offset(frame, uint8_t*, p.l3_offset), p.tos,
                            static_cast<uint16_t>(total), id);
  p.l3_offset = static_cast<uint16_t>(p.l3_offset + kIp4Bytes);
  p.l4_offset = static_cast<uint16_t>(p.l4_offset + kIp4Bytes);
  return true;
}

unsigned fragment_ip4(const rte_mbuf* frame, const Parsed& p, uint16_t mtu, rte_mempool* pool,
                      rte_mbuf** out, unsigned max) noexcept {
  const uint32_t full_header = uint32_t{p.l4_offset} - p.l3_offset;
  if (frame->data_len < uint32_t{p.l3_offset} + p.total_length || mtu < full_header + 8) {
    return 0;
  }
  const uint8_t* packet = rte_pktmbuf_mtod_offset(frame, const uint8_t*, p.l3_offset);
  const uint32_t payload = p.total_length - full_header;
  Ip4Header h;
  std::memcpy(&h, packet, sizeof h);
  const uint32_t first_field = h.fragment.host();
  unsigned n = 0;
  for (uint32_t done = 0; done < payload; ++n) {
    // Options travel with the first piece only.
    const uint32_t header = done == 0 ? full_header : kIp4Bytes;
    const uint32_t left = payload - done;
    const bool last = left <= mtu - header;
    const uint32_t bytes = last ? left : (mtu - header) & ~7u;
    rte_mbuf* piece = n < max ? rte_pktmbuf_alloc(pool) : nullptr;
    char* room =
        piece == nullptr
            ? nullptr
            : rte_pktmbuf_append(piece, static_cast<uint16_t>(kEtherBytes + header + bytes));
    if (room == nullptr) {
      rte_pktmbuf_free(piece);
      rte_pktmbuf_free_bulk(out, n);
      return 0;
    }
    uint8_t* at = reinterpret_cast<uint8_t*>(room) + kEtherBytes;
    std::memset(room, 0, kEtherBytes);
    h.version_ihl = static_cast<uint8_t>(0x40 | header / 4);
    h.total_length = Be16::of(static_cast<uint16_t>(header + bytes));
    h.fragment = Be16::of(
        static_cast<uint16_t>((first_field + done / 8) | (last ? 0u : Ip4Header::kMf)));
    h.checksum = {};
    std::memcpy(at, &h, sizeof h);
    std::memcpy(at + kIp4Bytes, packet + kIp4Bytes, header - kIp4Bytes);
    const Be16 checksum = checksum_fold(checksum_add({at, header}, 0));
    std::memcpy(at + offsetof(Ip4Header, checksum), &checksum, sizeof checksum);
    std::memcpy(at + header, packet + full_header + done, bytes);
    out[n] = piece;
    done += bytes;
  }
  return n;
}

}  // namespace sluice
