// SPDX-License-Identifier: Apache-2.0
// From a decided route to the way out: TTL, size, encapsulation, next hop; and the ICMP errors
// that tell a sender why its packet did not fit.
//
// Owned by one worker.  ICMP errors: 1000 a second with a burst of 50, to unicast sources only,
// never about errors or later fragments.  Source: reliability rules, section 5 (encapsulation
// and size), RFC 1812.
#ifndef SLUICE_FASTPATH_FORWARD_H_
#define SLUICE_FASTPATH_FORWARD_H_

#include "fastpath/output.h"
#include "fastpath/packet.h"
#include "fastpath/rewrite.h"

namespace sluice {

class Forward {
 public:
  Forward(Output& out, uint16_t first_id) : out_(out), next_id_(first_id) {}

  // Can the packet go that way: none, or ip4_ttl or mtu_exceeded (then the sender is told).
  // `from_host`: the node's own packet, whose TTL has not been spent.
  DropReason fits(const rte_mbuf* frame, const Parsed& p, const Route& route,
                  bool from_host) noexcept;

  // Sends the packet along `route` and ends it.  REQUIRES: fits() said none.
  void send(rte_mbuf* frame, Parsed& p, const Route& route, bool from_host) noexcept;

 private:
  static constexpr Nanos kErrorEvery = 1000000;  // 1000 a second
  static constexpr Nanos kErrorBurst = 50 * kErrorEvery;

  uint16_t mtu(const Route& route) const noexcept;
  void complain(const rte_mbuf* frame, const Parsed& p, IcmpError what) noexcept;
  void send_fragments(rte_mbuf* frame, const Parsed& p, const Route& route) noexcept;
  MacAddress chosen_by_kernel(rte_mbuf* frame) const noexcept;
  void emit(rte_mbuf* frame, Parsed& p, const Route& route, Fate fate) noexcept;

  Output& out_;
  uint16_t next_id_;
  Nanos error_credit_at_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_FORWARD_H_
