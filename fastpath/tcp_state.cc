// SPDX-License-Identifier: Apache-2.0
#include "fastpath/tcp_state.h"

#include <array>

#include "fastpath/packet.h"

namespace sluice {
namespace {

// A cell of the table: a state, or one of the two that are not.
using Cell = uint8_t;
constexpr Cell kInvalid = 0xff;
constexpr Cell kIgnored = 0xfe;

constexpr Cell cell(TcpState s) {
  return static_cast<Cell>(s);
}
// NOLINTBEGIN(readability-identifier-naming): as the table writes them
constexpr Cell SS = cell(TcpState::syn_sent), SR = cell(TcpState::syn_recv),
               ES = cell(TcpState::established), FW = cell(TcpState::fin_wait),
               CW = cell(TcpState::close_wait), LA = cell(TcpState::last_ack),
               TW = cell(TcpState::time_wait), CL = cell(TcpState::close),
               S2 = cell(TcpState::simultaneous_open), iv = kInvalid, ig = kIgnored;
// NOLINTEND(readability-identifier-naming)

using Rows = std::array<std::array<Cell, kTcpStates>, 5>;

// clang-format off
constexpr Rows kFromInitiator = {{
    //NO  SS  SR  ES  FW  CW  LA  TW  CL  S2
    {{SS, SS, ig, ig, ig, ig, ig, SS, SS, S2}},  // SYN
    {{iv, iv, SR, iv, iv, iv, iv, iv, iv, SR}},  // SYN+ACK
    {{iv, iv, FW, FW, LA, LA, LA, TW, CL, iv}},  // FIN
    {{ES, iv, ES, ES, CW, CW, TW, TW, CL, iv}},  // ACK
    {{iv, CL, CL, CL, CL, CL, CL, CL, CL, CL}},  // RST
}};
constexpr Rows kFromResponder = {{
    //NO  SS  SR  ES  FW  CW  LA  TW  CL  S2
    {{iv, S2, iv, iv, iv, iv, iv, SS, iv, S2}},  // SYN
    {{iv, SR, ig, ig, ig, ig, ig, ig, ig, SR}},  // SYN+ACK
    {{iv, iv, FW, FW, LA, LA, LA, TW, CL, iv}},  // FIN
    {{iv, ig, SR, ES, CW, CW, TW, TW, CL, ig}},  // ACK
    {{iv, CL, CL, CL, CL, CL, CL, CL, CL, CL}},  // RST
}};
// clang-format on

}  // namespace

std::string_view name(TcpState state) {
  static constexpr std::array<std::string_view, kTcpStates> kNames = {
      "none",       "syn_sent", "syn_recv",  "established", "fin_wait",
      "close_wait", "last_ack", "time_wait", "close",       "simultaneous_open"};
  return kNames[static_cast<uint8_t>(state)];
}

TcpEvent event_of(uint8_t tcp_flags) noexcept {
  if ((tcp_flags & tcp::kRst) != 0) {
    return TcpEvent::rst;
  }
  if ((tcp_flags & tcp::kSyn) != 0) {
    return (tcp_flags & tcp::kAck) != 0 ? TcpEvent::syn_ack : TcpEvent::syn;
  }
  return (tcp_flags & tcp::kFin) != 0 ? TcpEvent::fin : TcpEvent::ack;
}

TcpStep step(TcpState state, TcpEvent event, bool from_initiator) noexcept {
  const Rows& rows = from_initiator ? kFromInitiator : kFromResponder;
  const Cell next = rows[static_cast<uint8_t>(event)][static_cast<uint8_t>(state)];
  if (next == kInvalid) {
    return {state, false, false};
  }
  if (next == kIgnored) {
    return {state, true, true};
  }
  return {static_cast<TcpState>(next), true, false};
}

}  // namespace sluice
