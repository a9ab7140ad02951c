// SPDX-License-Identifier: Apache-2.0
// What the pipeline knows of a frame while it is under way, and the wire layouts it reads.
//
// `Parsed` is written by parse (the only code that casts frame bytes) and read by all later
// stages.  `PacketMeta` lives in the mbuf's private area and travels with a frame that changes
// hands (another worker's ring, the hold queue).  Offsets count from the start of the frame.
#ifndef SLUICE_FASTPATH_PACKET_H_
#define SLUICE_FASTPATH_PACKET_H_

#include <cstdint>

#include "classifier/types.h"
#include "classifier/verdict.h"
#include "fastpath/buffers.h"
#include "fastpath/tables.h"
#include "fastpath/tcp_window.h"

struct rte_mbuf;

namespace sluice {

inline constexpr uint16_t kEtherBytes = 14;
inline constexpr uint16_t kIp4Bytes = 20;
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

namespace tcp {
inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32;
}

// One IPv4 flow as the path keys it: host order.  For ICMP queries both ports hold the
// identifier, and `icmp_class` tells echo (1) from timestamp (2), and a question from its
// answer, which has the negative; for protocols without ports both ports are 0.
struct Tuple4 {
  Ip4 src;
  Ip4 dst;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint8_t protocol = 0;
  int8_t icmp_class = 0;
  friend bool operator==(const Tuple4&, const Tuple4&) = default;
  Tuple4 reversed() const {
    return {dst, src, dst_port, src_port, protocol, static_cast<int8_t>(-icmp_class)};
  }
};

// The innermost IPv4 packet of a frame, after decapsulation.
struct Parsed {
  Tuple4 tuple;
  uint16_t l3_offset = 0;  // of the IPv4 header, from the start of the frame
  uint16_t l4_offset = 0;
  uint16_t total_length = 0;  // of the IPv4 packet
  uint16_t id = 0;            // IPv4 identification
  uint8_t tos = 0;
  uint8_t ttl = 0;
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  bool dont_fragment = false;
  bool fragment = false;        // offset or MF set
  bool later_fragment = false;  // offset set: no L4 header here
  bool icmp_error = false;      // its quote belongs to a flow; see `quoted`
  bool more_fragments = false;
  uint16_t fragment_offset = 0;  // bytes of the datagram's payload before this piece's
  uint32_t tcp_seq = 0;
  uint32_t tcp_ack = 0;
  uint16_t tcp_window = 0;
  uint8_t tcp_scale = kNoScale;
  uint32_t tcp_sack = 0;    // the highest byte acknowledged, by SACK blocks or tcp_ack
  uint16_t payload = 0;     // L4 payload bytes
  uint32_t quoted_seq = 0;  // of an ICMP error about TCP
  Tuple4 quoted;            // of an ICMP error: the tuple of the packet it complains about
  FlowKey flow_key() const {
    const bool icmp = tuple.protocol == proto::kIcmp;
    return {Address::of(tuple.src), Address::of(tuple.dst), icmp ? uint16_t{0} : tuple.src_port,
            icmp ? static_cast<uint16_t>(icmp_type << 8 | icmp_code) : tuple.dst_port,
            tuple.protocol};
  }
};

// Travels in the mbuf's private area.
struct PacketMeta {
  // untracked: by a host endpoint; no connection is looked for.
  enum class Stage : uint8_t { received, judged_egress, untracked, ready };
  Origin origin;              // where it came from
  PortId in_port = kNoPort;   // who counts its fate
  PortId out_port = kNoPort;  // for Stage::ready: the frame is complete, transmit it there
  Stage stage = Stage::received;
  Fate fate = Fate::forwarded;  // for Stage::ready: what counts when it is sent
  uint32_t index = 0;           // replay: the frame's number on its port
};
static_assert(sizeof(PacketMeta) <= kPrivateBytes);

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PACKET_H_
