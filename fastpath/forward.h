// SPDX-License-Identifier: Apache-2.0
// From a decided route to the way out: TTL or hop limit, size, encapsulation, next hop; and the
// ICMP errors that tell a sender why its packet did not fit.
//
// Owned by one worker.  ICMP errors: 1000 a second with a burst of 50, of all workers together;
// of the unreachables one a second about a destination to a source, unless it tells another
// MTU, by a table of kTold pairs where the newer takes the older's place; to unicast sources
// only, never about errors or later fragments.  What goes unsaid is counted (icmp_suppressed).
// Source: reliability rules, section 5 (encapsulation and size), RFC 1812.
#ifndef SLUICE_FASTPATH_FORWARD_H_
#define SLUICE_FASTPATH_FORWARD_H_

#include <cstring>
#include <memory>

#include <rte_mbuf.h>

#include "fastpath/ipip.h"
#include "fastpath/output.h"
#include "fastpath/parse_plain.h"
#include "fastpath/rewrite.h"
#include "fastpath/token_bucket.h"

namespace sluice {

class Forward {
 public:
  static constexpr uint8_t kNoWorker = UINT8_MAX;
  // The last step of plain packets along one route, to one destination or to all behind it.
  struct alignas(64) Hop {
    RouteId route = Lpm4::kNone;
    Ip4 destination;  // 0: any
    Ip4 tunnel_to;    // 0: none
    PortId port = kNoPort;
    uint16_t mtu = 0;            // of the port
    uint8_t worker = kNoWorker;  // who goes on with it, as the destination's; or we do
    bool straight = false;       // out of a port of ours, without a tunnel
    EtherHeader ether;
    OuterHeader outer;  // of the tunnel
  };

  Forward(Output& out, uint16_t first_id, uint8_t workers)
      : out_(out),
        next_id_(first_id),
        others_(workers > 1),
        error_every_(kErrorEvery * workers) {}

  // Can the packet go that way: none, or ip4_ttl or mtu_exceeded (then the sender is told).
  // `from_host`: the node's own packet, whose TTL has not been spent.
  DropReason fits(const rte_mbuf* frame, const Parsed& p, const Route& route,
                  bool from_host) noexcept;

  // At the begin of a turn, after the output's.
  void begin() noexcept;
  // How a packet that is not the node's own leaves by that route; null if there is more to it
  // than depart() does, or it is too large to leave whole.
  const Hop* hop_of(RouteId route, const Plain& p) noexcept {
    Hop& hop = hops_[route % kHops];
    const bool known =
        hop.route == route && (hop.destination.value == 0 || hop.destination == p.tuple.dst);
    return (known || find_hop(route, p.tuple.dst, hop)) && takes(hop, p) ? &hop : nullptr;
  }
  // Sends a packet whose TTL is above 1, and ends it.  REQUIRES: `hop` is hop_of() it.
  void depart(rte_mbuf* frame, const Plain& p, const Hop& hop) noexcept;

  // Sends the packet along `route` and ends it.  REQUIRES: fits() said none.
  void send(rte_mbuf* frame, Parsed& p, const Route& route, bool from_host) noexcept;

 private:
  static constexpr Nanos kErrorEvery = 1000000;  // 1000 a second
  static constexpr Nanos kErrorBurst = 50 * kErrorEvery;
  static constexpr Nanos kTellAgain = kSecond;
  static constexpr uint32_t kTold = 4096;
  struct Told {  // of an unreachable destination
    Ip4 who;
    Ip4 about;
    uint16_t mtu = 0;
    Nanos until = 0;
  };

  static constexpr size_t kHops = 256;
  // What was found out of ports and neighbours is believed until the first turn after that
  // long, in one view.
  static constexpr Nanos kBelieveFor = 1000000;

  bool find_hop(RouteId id, Ip4 destination, Hop& hop) const noexcept;
  // A tunnel's path may have become narrower at any time.
  bool takes(const Hop& hop, const Plain& p) const noexcept {
    const Ip4 peer = hop.tunnel_to;
    return peer.value == 0 ? p.total_length <= hop.mtu
                           : p.total_length + kIp4Bytes <=
                                 out_.neighbours().path_mtu().of(peer, hop.mtu, out_.now());
  }
  uint16_t mtu(const Route& route) const noexcept;
  bool may_tell(const Parsed& p, IcmpError what) noexcept;
  void complain(const rte_mbuf* frame, const Parsed& p, IcmpError what) noexcept;
  void send_fragments(rte_mbuf* frame, const Parsed& p, const Route& route) noexcept;
  Address own_address6(const Route& route) const noexcept;
  MacAddress chosen_by_kernel(rte_mbuf* frame) const noexcept;
  void emit(rte_mbuf* frame, Parsed& p, const Route& route, Fate fate) noexcept;

  Output& out_;
  uint16_t next_id_;
  bool others_;  // there are workers besides this one
  uint64_t serial_ = 0;
  Nanos begun_ = 0;
  std::array<Hop, kHops> hops_;  // by route; the newer takes the place of the older
  Nanos error_every_;
  TokenBucket errors_;
  std::unique_ptr<Told[]> told_ = std::make_unique<Told[]>(kTold);
};

[[gnu::always_inline]] inline void Forward::depart(rte_mbuf* frame, const Plain& p,
                                                   const Hop& hop) noexcept {
  auto* at = rte_pktmbuf_mtod(frame, uint8_t*);
  if (hop.straight) [[likely]] {
    decrement_ttl(at + Plain::kL3);
    std::memcpy(at, &hop.ether, sizeof hop.ether);
    out_.send_by_own(frame, hop.port, Fate::forwarded);
    return;
  }
  if (hop.worker != kNoWorker) {
    meta(frame).stage = PacketMeta::Stage::judged_egress;
    out_.hand_over(frame, hop.worker);
    return;
  }
  decrement_ttl(at + Plain::kL3);
  if (hop.tunnel_to.value != 0) {
    const uint8_t tos =
        at[Plain::kL3 + offsetof(Ip4Header, tos)];  // alone: not the TTL just written
    at = reinterpret_cast<uint8_t*>(rte_pktmbuf_prepend(frame, kIp4Bytes));
    if (at == nullptr) {
      out_.drop(frame, DropReason::sys_bug);
      return;
    }
    hop.outer.put(at + Plain::kL3, tos, static_cast<uint16_t>(p.total_length + kIp4Bytes),
                  next_id_++);
  }
  std::memcpy(at, &hop.ether, sizeof hop.ether);
  out_.send_ready(frame, hop.port, Fate::forwarded);
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_FORWARD_H_
