// SPDX-License-Identifier: Apache-2.0
// ConnTable::pass: what a plain packet does to its connection, where packets go by.
//
// Inlined into the loop that calls it for each packet; does what update() does of it, which
// Conntrack.ThePlainWay* compares on random input.
#ifndef SLUICE_FASTPATH_CONNTRACK_PASS_H_
#define SLUICE_FASTPATH_CONNTRACK_PASS_H_

#include "fastpath/conntrack.h"
#include "fastpath/parse_plain.h"

namespace sluice {

inline bool ConnTable::pass(Connection& c, Side side, const Plain& p, Nanos now) noexcept {
  if (!spans_.outlive_grace) {
    return false;
  }
  Nanos span;
  if (p.tuple.protocol == proto::kTcp) {
    constexpr uint8_t kTells = tcp::kSyn | tcp::kFin | tcp::kRst | tcp::kAck;
    if (c.tcp != TcpState::established || (p.tcp_flags & kTells) != tcp::kAck ||
        c.syn_passed != 0 || c.midflow != 0 ||
        !pass_common(c.window, c.marks, side, {p.seq, p.payload, p.ack, p.window})) {
      return false;
    }
    const bool stalled = (unacknowledged(c.window) && c.marks.end_guessed == 0) ||
                         c.marks.zero_window != 0 || c.marks.retransmissions >= 3;
    span = spans_.established[stalled ? 1 : 0];
  } else {
    span = spans_.udp_both_ways;
    c.assure(now);
  }
  c.count(side, p.total_length);
  c.deadline = now + span;
  return true;
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_CONNTRACK_PASS_H_
