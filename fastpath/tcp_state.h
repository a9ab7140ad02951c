// SPDX-License-Identifier: Apache-2.0
// The TCP table of a middlebox that sees both halves: pure transitions, no packets, no time.
// Not RFC 9293's table.  Source: reliability rules, section 3.
#ifndef SLUICE_FASTPATH_TCP_STATE_H_
#define SLUICE_FASTPATH_TCP_STATE_H_

#include <cstdint>
#include <string_view>

namespace sluice {

enum class TcpState : uint8_t {
  none,
  syn_sent,
  syn_recv,
  established,
  fin_wait,
  close_wait,
  last_ack,
  time_wait,
  close,
  simultaneous_open,
};
inline constexpr unsigned kTcpStates = 10;
std::string_view name(TcpState state);

enum class TcpEvent : uint8_t { syn, syn_ack, fin, ack, rst };
// RST, else SYN(+ACK), else FIN, else ACK.
TcpEvent event_of(uint8_t tcp_flags) noexcept;

struct TcpStep {
  TcpState next = TcpState::none;  // the state itself when it stays
  bool valid = false;              // false: drop with ct_invalid
  bool ignored = false;            // pass, state unchanged
};
// One packet of the initiator (who sent the first SYN) or of the responder.  The footnotes of
// the table need more than the state, and are ConnTable::update's.
TcpStep step(TcpState state, TcpEvent event, bool from_initiator) noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_TCP_STATE_H_
