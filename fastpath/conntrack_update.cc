// SPDX-License-Identifier: Apache-2.0
// What one packet does to its connection: ConnTable::update and what it stands on.
#include <algorithm>

#include "fastpath/conntrack.h"

namespace sluice {
namespace {

constexpr Nanos kResetWait = 10 * kSecond;  // for the challenge that an inexact RST meets

// REQUIRES: TCP, and not a later fragment.
TcpSegment segment_of(const Parsed& p) {
  const bool syn = (p.tcp_flags & tcp::kSyn) != 0;
  const bool fin = (p.tcp_flags & tcp::kFin) != 0;
  TcpSegment s;
  s.seq = p.tcp_seq;
  s.end = p.tcp_seq + p.payload + (syn ? 1 : 0) + (fin ? 1 : 0);
  s.ack = p.tcp_ack;
  s.sack = p.tcp_sack;
  s.window = p.tcp_window;
  s.scale = p.tcp_scale;
  s.syn = syn;
  s.has_ack = (p.tcp_flags & tcp::kAck) != 0;
  s.data = s.end != s.seq;
  s.first_fragment = p.fragment;
  return s;
}

// May a segment outside of the window pass?  Then it refreshes, as one inside does.
bool tolerate(Connection& c, bool liberal) {
  if (!liberal && c.midflow == 0) {
    return false;
  }
  c.marks.reset_waits = 0;
  return true;
}

}  // namespace

// How long the entry lives from its last packet on: a function of the entry alone.
Nanos ConnTable::span_of(const Connection& c) const noexcept {
  switch (c.tuple.protocol) {
    case proto::kTcp: {
      if (c.marks.reset_waits != 0) [[unlikely]] {
        return kResetWait;
      }
      if (c.cut != 0) [[unlikely]] {
        return kCutFor;
      }
      const Nanos span = spans_.tcp[static_cast<uint8_t>(c.tcp)];
      const bool stalled = (unacknowledged(c.window) && c.marks.end_guessed == 0) ||
                           c.marks.zero_window != 0 || c.marks.retransmissions >= 3;
      const Nanos least = stalled ? std::min(span, spans_.stalled) : span;
      return c.midflow != 0 && c.replied == 0 ? std::min(least, spans_.midflow) : least;
    }
    case proto::kUdp:
      return c.replied != 0 ? spans_.udp_both_ways : spans_.udp_one_way;
    default:
      return c.tuple.is_icmp() ? spans_.icmp : spans_.other;
  }
}

// A RST by its sequence number, once the table has taken it.  `ignored`: it passes, and the
// state stays.
DropReason ConnTable::update_reset(Connection& c, Side side, const TcpSegment& s, Nanos now,
                                   bool& ignored) noexcept {
  const bool unanswered = c.replied == 0;
  Reset reset = judge_reset(c.window, c.marks, side, s, unanswered);
  if (reset != Reset::exact && unanswered && side == kReply && c.syn_passed != 0 && s.has_ack &&
      s.ack == c.syn_end) {
    reset = Reset::exact;  // it refuses the SYN that we remember, not the first
  }
  switch (reset) {
    case Reset::beyond:
      return DropReason::ct_window;
    case Reset::old:
      return DropReason::ct_rst;
    case Reset::inexact:
      ignored = true;
      c.marks.reset_waits = 1;
      c.deadline = now + kResetWait;
      return DropReason::none;
    case Reset::exact:
      c.tcp = TcpState::close;
      c.syn_passed = 0;
      c.marks.reset_waits = 0;
      if (unanswered && side == kReply) {
        ignored = true;
        c.deadline = now;
      }
      return DropReason::none;
  }
  return DropReason::none;
}

// A SYN that opens, opens again, or is out of turn; its answer.  False: it is for the window to
// judge like any other segment.
bool ConnTable::begins_anew(Connection& c, Side side, const TcpSegment& s, TcpEvent event,
                            TcpStep& to) noexcept {
  if (event == TcpEvent::syn &&
      (to.ignored || (c.tcp == TcpState::syn_sent && side == kOriginal &&
                      s.seq != c.window.acked[kOriginal]))) {
    // Remembered, in case that the responder takes it for the beginning.
    c.syn_passed = 1;
    c.syn_end = s.end;
    c.syn_scale = s.scale & 15;
    return true;
  }
  if (event == TcpEvent::syn_ack && side == kReply && c.syn_passed != 0 && s.ack == c.syn_end &&
      (to.ignored || c.tcp == TcpState::syn_sent)) {
    TcpSegment first;
    first.end = c.syn_end;
    first.seq = c.syn_end - 1;
    first.scale = c.syn_scale;
    // Its window was not kept; the one it had before is as good.
    const uint32_t before = uint32_t{c.window.largest[kOriginal]} << c.marks.scale(kOriginal);
    first.window = static_cast<uint16_t>(std::min<uint32_t>(before, UINT16_MAX));
    c.window = TcpWindow{};
    c.marks = TcpMarks{};
    open_window(c.window, c.marks, kOriginal, first);
    open_window(c.window, c.marks, kReply, s);
    to = {TcpState::syn_recv, true, false};
    return true;
  }
  return to.ignored;
}

// The windows' say on a segment that the table takes.
Fit ConnTable::fit(Connection& c, Side side, const TcpSegment& s, TcpEvent event) noexcept {
  if (c.tcp == TcpState::none && event == TcpEvent::ack) {
    pick_up_window(c.window, c.marks, side, s);
    return Fit::good;
  }
  if (s.syn && c.window.largest[side] == 0) {
    if (event == TcpEvent::syn_ack) {
      const uint32_t sent = c.window.end[kOriginal];
      if (seq_after(s.ack, sent) || seq_before(s.ack, sent - kAckSlack)) {  // (III), (IV)
        return seq_after(s.ack, sent) ? Fit::beyond : Fit::stale;
      }
    }
    open_window(c.window, c.marks, side, s);
    return Fit::good;
  }
  if (event == TcpEvent::syn && c.tcp == TcpState::syn_sent && side == kOriginal) {
    open_window(c.window, c.marks, side, s);  // sent again, perhaps with fewer options
    return Fit::good;
  }
  return pass_window(c.window, c.marks, side, s);
}

// The table of TCP with its footnotes, then the windows.  `ignored`: the packet passes and
// changes nothing.
DropReason ConnTable::update_tcp(Connection& c, Side side, const Parsed& p, Nanos now,
                                 bool liberal, bool& ignored) noexcept {
  const TcpEvent event = event_of(p.tcp_flags);
  const TcpState old = c.tcp;
  TcpStep to = step(old, event, side == kOriginal);
  if (!to.valid || reopens(c, side, p)) {
    return DropReason::ct_invalid;
  }
  const TcpSegment s = segment_of(p);
  if (event == TcpEvent::rst) {
    return update_reset(c, side, s, now, ignored);
  }
  if (event == TcpEvent::ack && side == kReply) {
    if (old == TcpState::last_ack && c.syn_passed != 0) {
      // A challenge to that SYN, not the last acknowledgement (RFC 5961, section 4).
      c.syn_passed = 0;
      to = {old, true, true};
    } else if (old == TcpState::syn_recv && c.simultaneous != 0) {
      to.next = TcpState::established;
    }
  }
  const bool anew = begins_anew(c, side, s, event, to);
  if (!anew) {
    const Fit fits = fit(c, side, s, event);
    if (fits == Fit::beyond && !tolerate(c, liberal)) {
      return DropReason::ct_window;
    }
    to.ignored = fits == Fit::stale;
  }
  ignored = to.ignored;
  if (ignored) {
    return DropReason::none;
  }
  if (old == TcpState::none && to.next == TcpState::established) {
    c.midflow = 1;
  }
  if (to.next == TcpState::simultaneous_open) {
    c.simultaneous = 1;
  }
  if (old == TcpState::syn_recv && to.next == TcpState::established) {
    c.assured = 1;
  }
  c.syn_passed = anew && event == TcpEvent::syn ? 1 : 0;
  c.tcp = to.next;
  return DropReason::none;
}

DropReason ConnTable::update(ConnId id, Side side, const Parsed& p, Nanos now,
                             bool liberal) noexcept {
  Connection& c = entries_[id];
  bool ignored = false;
  if (c.tuple.protocol == proto::kTcp) {
    const bool plain = (p.tcp_flags & (tcp::kSyn | tcp::kFin | tcp::kRst)) == 0;
    if (p.later_fragment) {
      ignored = true;  // no flags here; the first fragment had them
    } else if (plain && c.tcp == TcpState::established && c.syn_passed == 0) [[likely]] {
      const Fit fits = pass_window(c.window, c.marks, side, segment_of(p));
      if (fits == Fit::beyond && !tolerate(c, liberal)) {
        return DropReason::ct_window;
      }
      ignored = fits == Fit::stale;
    } else {
      const DropReason reason = update_tcp(c, side, p, now, liberal, ignored);
      if (reason != DropReason::none) {
        return reason;
      }
    }
  }
  c.count(side, p.total_length);
  if (ignored) {
    return DropReason::none;
  }
  if (side == kReply && c.replied == 0) {
    c.replied = 1;
    --embryonic_;
  }
  const bool by_age = c.tuple.protocol != proto::kTcp && !c.tuple.is_icmp();
  if (by_age && c.replied != 0 && age(c.created, now) > kAssuredAge) {
    c.assured = 1;
  }
  renew(c, now);
  return DropReason::none;
}

// The entry lives on from now.
void ConnTable::renew(Connection& c, Nanos now) const noexcept {
  c.deadline = now + span_of(c);
  if (spans_.grace != 0) {
    c.deadline = std::max(
        c.deadline, (now >> kTickShift << kTickShift) - age(c.created, now) + spans_.grace);
  }
}

bool ConnTable::quiet_since(ConnId id, Nanos then) const noexcept {
  return entries_[id].deadline < then + span_of(entries_[id]);
}

bool ConnTable::reopens(const Connection& c, Side side, const Parsed& p) noexcept {
  if (c.tuple.protocol != proto::kTcp || p.later_fragment ||
      (c.tcp != TcpState::time_wait && c.tcp != TcpState::close) ||
      event_of(p.tcp_flags) != TcpEvent::syn) {
    return false;
  }
  return step(c.tcp, TcpEvent::syn, side == kOriginal).next == TcpState::syn_sent;
}

DropReason ConnTable::may_open(const Parsed& p, bool loose) noexcept {
  if (p.is_icmp() && !p.later_fragment) {
    return p.tuple.icmp_class > 0 ? DropReason::none : DropReason::icmp_unsolicited;
  }
  if (p.tuple.protocol != proto::kTcp || p.later_fragment) {
    return DropReason::none;
  }
  switch (event_of(p.tcp_flags)) {
    case TcpEvent::syn:
      return DropReason::none;
    case TcpEvent::ack:
      return loose ? DropReason::none : DropReason::ct_midflow;
    default:
      return DropReason::ct_invalid;
  }
}

}  // namespace sluice
