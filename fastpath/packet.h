// SPDX-License-Identifier: Apache-2.0
// What the pipeline knows of a frame while it is under way, and the wire layouts it reads.
//
// `Parsed` is written by parse and parse_plain, and read by all later stages.  Offsets count
// from the start of the frame.
#ifndef SLUICE_FASTPATH_PACKET_H_
#define SLUICE_FASTPATH_PACKET_H_

#include <array>
#include <bit>
#include <cstdint>

#include "classifier/types.h"
#include "classifier/verdict.h"
#include "fastpath/tables.h"
#include "fastpath/tcp_window.h"

struct rte_mbuf;

namespace sluice {

inline constexpr uint16_t kEtherBytes = 14;
inline constexpr uint16_t kIp4Bytes = 20, kIp6Bytes = 40, kIcmpBytes = 8;
inline constexpr uint16_t kTypeIp4 = 0x0800, kTypeArp = 0x0806, kTypeIp6 = 0x86dd;

struct EtherHeader {
  MacAddress dst;
  MacAddress src;
  Be16 type;
};
static_assert(sizeof(EtherHeader) == kEtherBytes);

struct Ip4Header {
  uint8_t version_ihl;
  uint8_t tos;
  Be16 total_length;
  Be16 id;
  Be16 fragment;  // flags and offset
  uint8_t ttl;
  uint8_t protocol;
  Be16 checksum;
  Be32 src;
  Be32 dst;
  static constexpr uint16_t kDf = 0x4000, kMf = 0x2000, kOffset = 0x1fff;
};
static_assert(sizeof(Ip4Header) == kIp4Bytes);

struct Ip6Header {
  Be32 version_class_label;  // 4 bits, 8 bits, 20 bits
  Be16 payload_length;
  uint8_t next;
  uint8_t hop_limit;
  uint8_t src[16];
  uint8_t dst[16];
};
static_assert(sizeof(Ip6Header) == kIp6Bytes);

namespace tcp {
inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;
}

// One flow as the path keys it: host order.  For ICMP queries both ports hold the identifier,
// and `icmp_class` tells echo (1) from timestamp (2), and a question from its answer, which has
// the negative; for protocols without ports both ports are 0.  An IPv6 flow has a shorthand of
// its addresses here (shorten()), which tells flows apart but for one chance in 2^64; the
// addresses stand beside the tuple wherever one is kept.
struct Tuple {
  Ip4 src;
  Ip4 dst;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint8_t protocol = 0;
  int8_t icmp_class = 0;
  bool six = false;
  uint8_t zero = 0;  // so that tuples are compared as two words
  friend constexpr bool operator==(const Tuple& a, const Tuple& b) {
    using Words = std::array<uint64_t, 2>;
    const auto x = std::bit_cast<Words>(a), y = std::bit_cast<Words>(b);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
  }
  bool is_icmp() const { return protocol == (six ? proto::kIcmp6 : proto::kIcmp); }
  Tuple reversed() const {
    return {dst, src, dst_port, src_port, protocol, static_cast<int8_t>(-icmp_class), six};
  }
};
static_assert(sizeof(Tuple) == 16);

// The addresses of an IPv6 packet; zero for IPv4.
struct AddressPair {
  Address src;
  Address dst;
  friend bool operator==(const AddressPair&, const AddressPair&) = default;
  AddressPair reversed() const { return {dst, src}; }
};

// What flow a packet is of; all fragments of a datagram share it.
struct PacketFlow {
  Tuple tuple;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  bool icmp_error = false;  // its quote belongs to a flow
  uint32_t quoted_seq = 0;  // of an ICMP error about TCP
  Tuple quoted;             // of an ICMP error: the tuple of the packet it complains about
  AddressPair pair;         // of `tuple`
  AddressPair quoted_pair;

  Address source() const { return tuple.six ? pair.src : Address(tuple.src); }
  Address destination() const { return tuple.six ? pair.dst : Address(tuple.dst); }
  Address quoted_destination() const {
    return quoted.six ? quoted_pair.dst : Address(quoted.dst);
  }
  bool is_icmp() const { return tuple.is_icmp(); }
  FlowKey flow_key() const {
    const bool icmp = is_icmp();
    return {source(), destination(), icmp ? uint16_t{0} : tuple.src_port,
            icmp ? static_cast<uint16_t>(icmp_type << 8 | icmp_code) : tuple.dst_port,
            tuple.protocol};
  }
};

// The innermost IP packet of a frame, after decapsulation.
struct Parsed : PacketFlow {
  uint16_t l3_offset = 0;     // of the IP header, from the start of the frame
  uint16_t l4_offset = 0;     // behind options and extension headers
  uint16_t total_length = 0;  // of the IP packet
  uint32_t id = 0;            // of the datagram whose fragment it is
  uint8_t tos = 0;            // or traffic class
  uint8_t ttl = 0;            // or hop limit
  uint8_t tcp_flags = 0;
  bool dont_fragment = false;   // always so for IPv6
  bool fragment = false;        // offset or MF set
  bool later_fragment = false;  // offset set: no L4 header here
  bool more_fragments = false;
  uint16_t fragment_offset = 0;  // bytes of the datagram's payload before this piece's
  uint16_t piece_bytes = 0;      // of the datagram's payload in this piece
  uint32_t tcp_seq = 0;
  uint32_t tcp_ack = 0;
  uint16_t tcp_window = 0;
  uint8_t tcp_scale = kNoScale;
  uint32_t tcp_sack = 0;       // the highest byte acknowledged, by SACK blocks or tcp_ack
  uint16_t payload = 0;        // L4 payload bytes
  bool checksum_made = false;  // we finished the L4 checksum: it needs no proof
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PACKET_H_
