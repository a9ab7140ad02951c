// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any bytes as a frame, through every stage that reads them, and first
// through the short cut, which must say what these say or leave the frame alone.  The frame
// sits at the end of its buffer, so that reading past it is seen.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

#include <rte_mbuf.h>

#include "fastpath/buffers.h"
#include "fastpath/ip6.h"
#include "fastpath/ipip.h"
#include "fastpath/parse.h"
#include "fastpath/parse_plain.h"
#include "fastpath/rewrite.h"
#include "tests/fuzz/input.h"
#include "tests/support/long_way.h"

namespace {

using namespace sluice;
using fuzz::check;

// Rights the checksum of an IPv4 header, which the fuzzer would seldom guess.  Returns where
// its payload starts.
size_t right_checksum(uint8_t* frame, size_t length, size_t at) {
  if (at >= length || (frame[at] & 0xf) < 5 || at + size_t{4} * (frame[at] & 0xf) > length) {
    return length;
  }
  const size_t header = size_t{4} * (frame[at] & 0xf);
  std::memset(frame + at + 10, 0, 2);
  const Be16 sum = checksum_fold(checksum_add({frame + at, header}, 0));
  std::memcpy(frame + at + 10, &sum, sizeof sum);
  return at + header;
}

void read_ip4(rte_mbuf* frame, bool allow_options) {
  Parsed p;
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  if (parse_ip4(frame, kEtherBytes, available, {allow_options, false}, p) != DropReason::none) {
    return;
  }
  if (p.tuple.protocol == proto::kIpip) {
    const Parsed outer = p;
    if (decapsulate(frame, outer, allow_options, p) != DropReason::none) {
      return;
    }
  } else if (parse_l4(frame, p) != DropReason::none) {
    return;
  }
  check(frame->pkt_len == uint32_t{kEtherBytes} + p.total_length);
  finish_checksum(frame, p);
  l4_checksum_ok(frame, p);
  if (p.ttl > 1) {
    decrement_ttl(frame, p);
  }
  Parsed again;
  check(parse_ip4(frame, kEtherBytes, p.total_length, {allow_options, false}, again) ==
        DropReason::none);
  check(parse_l4(frame, again) == DropReason::none);
  check(again.tuple == p.tuple && again.quoted == p.quoted && again.payload == p.payload);
}

void read_ip6(rte_mbuf* frame) {
  Parsed p;
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  if (parse_ip6(frame, kEtherBytes, available, p) != DropReason::none) {
    return;
  }
  check(frame->pkt_len == uint32_t{kEtherBytes} + p.total_length);
  check(p.l4_offset <= frame->pkt_len);
  NdPacket nd;
  if (p.is_icmp() && !p.fragment && icmp_type_of(frame, p) != 0) {
    parse_nd(frame, p, nd);
  }
  if (parse_l4(frame, p) != DropReason::none) {
    return;
  }
  shorten(p, {1, 2});
  finish_checksum(frame, p);
  l4_checksum_ok(frame, p);
  if (p.ttl > 1) {
    decrement_ttl(frame, p);
  }
  Parsed again;
  check(parse_ip6(frame, kEtherBytes, p.total_length, again) == DropReason::none);
  check(parse_l4(frame, again) == DropReason::none);
  shorten(again, {1, 2});
  check(again.tuple == p.tuple && again.pair == p.pair && again.quoted == p.quoted &&
        again.payload == p.payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 2049) {
    return 0;
  }
  const bool allow_options = (data[0] & 1) != 0;
  const size_t length = size - 1;
  // An mbuf of our own, without EAL: one segment, no room behind it.
  const std::unique_ptr<uint8_t[]> bytes(new uint8_t[length]);
  std::memcpy(bytes.get(), data + 1, length);
  if ((data[0] & 2) != 0) {
    const size_t payload = right_checksum(bytes.get(), length, kEtherBytes);
    right_checksum(bytes.get(), length, payload);
    right_checksum(bytes.get(), length, kEtherBytes);
  }
  rte_mbuf frame{};
  frame.buf_addr = bytes.get();
  frame.buf_len = static_cast<uint16_t>(length);
  frame.data_len = static_cast<uint16_t>(length);
  frame.pkt_len = static_cast<uint32_t>(length);
  frame.nb_segs = 1;
  rte_mbuf_refcnt_set(&frame, 1);

  const std::unordered_set<uint32_t> peers = {0x0a0a0a0a, 0xc0a86470};
  check(test::short_way_is_right(frame, {{{2, 0, 0, 0, 0, 1}}, kMaxMtu, false},
                                 {Ip4{0xc0a8646f}, &peers}));
  rte_mbuf* const burst[] = {&frame};  // short ones have no room for parse_plain()
  std::array<Plain, kMaxBurst> plain;
  check(length >= kPlainReach || parse_plain_again(burst, plain) == 0);
  const L2 l2 = parse_l2(&frame, {{{2, 0, 0, 0, 0, 1}}, kMaxMtu, true});
  if (l2.reason != DropReason::none) {
    return 0;
  }
  if (l2.kind == L2Kind::arp) {
    ArpPacket arp;
    parse_arp(&frame, arp);
  } else if (l2.kind == L2Kind::ip4) {
    read_ip4(&frame, allow_options);
  } else if (l2.kind == L2Kind::ip6) {
    read_ip6(&frame);
  }
  return 0;
}
