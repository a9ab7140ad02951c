// SPDX-License-Identifier: Apache-2.0
// Eight packets and the connections that they found, side by side: what ConnTable::pass does of
// one, in the steps of one.
//
// Lives for eight packets of a burst, in one worker.  Inlined into the loop that uses it; does
// what pass() does, which Conntrack.EightTakeThePlainWayAsOne compares on random input.
#ifndef SLUICE_FASTPATH_CONNTRACK_EIGHT_H_
#define SLUICE_FASTPATH_CONNTRACK_EIGHT_H_

#include "fastpath/conntrack.h"
#include "fastpath/parse_plain.h"
#include "fastpath/words.h"

namespace sluice {

class EightHits {
 public:
  // ids[i], the side of which sides[i] sent packets[i], may be kNoConn.  REQUIRES: there are
  // eight of each.
  [[gnu::always_inline]] EightHits(ConnTable& table, const ConnId* ids, const Side* sides,
                                   const Plain* packets) noexcept;

  // By packet: where those of its side come from, and go.
  [[gnu::always_inline]] Words port() const {
    return (reply_ ? head_[kPorts] >> 16 : head_[kPorts]) & 0xffff;
  }
  [[gnu::always_inline]] Words outer_source() const { return head_[kOuterSource]; }
  [[gnu::always_inline]] Words route() const {
    return reply_ ? head_[kReplyRoute] : head_[kOriginalRoute];
  }
  [[gnu::always_inline]] Words route_version() const { return head_[kRouteVersion]; }
  // Of the packets: whose TTL is spent here.
  [[gnu::always_inline]] Lanes last_hop() const {
    return (packets_[7] & Plain::Marks::kLastHop) != 0;
  }
  [[gnu::always_inline]] Words generation() const { return head_[kGeneration]; }

  // Which of them pass() takes, were each alone, and may be kept; of those whose connection has
  // another packet before them among the eight, none.  Forwards nothing yet.
  // REQUIRES: table.passes().
  [[gnu::always_inline]] Lanes pass(const ConnTable& table) noexcept;
  // Writes down what packet i has done to its connection.  REQUIRES: pass() took it, and the
  // connection is as it was then.
  [[gnu::always_inline]] void keep(unsigned i, Nanos now) noexcept;

 private:
  // The words of an entry from `tcp` on, and what the bits of the first are.
  enum : unsigned {
    kState,
    kRouteVersion,
    kOriginalRoute,
    kReplyRoute,
    kPorts,
    kOuterSource,
    kGeneration
  };
  static constexpr size_t kHead = sizeof(Tuple);
  static_assert(offsetof(Connection, route_version) ==
                    kHead + kRouteVersion * sizeof(uint32_t) &&
                offsetof(Connection, route) == kHead + kOriginalRoute * sizeof(uint32_t) &&
                offsetof(Connection, port) == kHead + kPorts * sizeof(uint32_t) &&
                offsetof(Connection, outer_source) == kHead + kOuterSource * sizeof(uint32_t) &&
                offsetof(Connection, generation) == kHead + kGeneration * sizeof(uint32_t) &&
                offsetof(Connection, syn_end) ==
                    offsetof(Connection, window) + sizeof(TcpWindow));
  static constexpr uint32_t kTcp = 15, kReplied = 1u << 8, kMidflow = 1u << 11,
                            kSynPassed = 1u << 13, kCut = 1u << 14;
  static constexpr unsigned kMarks = 16;
  static constexpr uint32_t kUdp = 2;  // of deadlines_

  [[gnu::always_inline]] Lanes step_windows() noexcept;

  std::array<Connection*, kLanes> entries_;
  Words ids_;
  Lanes reply_;
  EightWords head_;     // by columns, as are the next two
  EightWords window_;   // TcpWindow, `syn_end`; after pass() by rows
  EightWords packets_;  // Plain
  Words state_, kind_;  // after pass(): kState, moved on; which deadline
  std::array<Nanos, 3> spans_;
};

inline EightHits::EightHits(ConnTable& table, const ConnId* ids, const Side* sides,
                            const Plain* packets) noexcept {
  static Connection none;  // for those without one; nobody writes to it
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes; ++i) {
    entries_[i] = ids[i] == kNoConn ? &none : &table.at(ids[i]);
    head_[i] = load_words(reinterpret_cast<const uint8_t*>(entries_[i]) + kHead);
    window_[i] = load_words(&entries_[i]->window);
    packets_[i] = load_words(&packets[i]);
  }
  transpose(head_);
  transpose(window_);
  transpose(packets_);
  ids_ = load_words(ids);
  reply_ = words_of_bytes(sides) != 0;
}

// The windows of TCP: on by one segment each, rows again; and which of them are good.
inline Lanes EightHits::step_windows() noexcept {
  const auto& [end0, end1, allowed0, allowed1, acked0, acked1, largest, syn_end] = window_;
  const Words largest0 = largest & 0xffff, largest1 = largest >> 16;
  const Words tcp = packets_[7];  // window, flags, marks
  CommonStep<Words> s;
  s.side = only(reply_, all(1));
  s.seq = packets_[4];
  s.bytes = packets_[6] & 0xffff;
  s.ack = packets_[5];
  s.window = tcp & 0xffff;
  s.end = reply_ ? end1 : end0;
  s.allowed = reply_ ? allowed1 : allowed0;
  s.largest = reply_ ? largest1 : largest0;
  s.peers_end = reply_ ? end0 : end1;
  s.peers_allowed = reply_ ? allowed0 : allowed1;
  s.peers_acked = reply_ ? acked0 : acked1;
  s.peers_largest = reply_ ? largest0 : largest1;
  s.marks = state_ >> kMarks;
  const Lanes good = s.take();
  window_[0] = reply_ ? end0 : s.end;
  window_[1] = reply_ ? s.end : end1;
  window_[2] = reply_ ? s.peers_allowed : allowed0;
  window_[3] = reply_ ? allowed1 : s.peers_allowed;
  window_[4] = reply_ ? s.peers_acked : acked0;
  window_[5] = reply_ ? acked1 : s.peers_acked;
  window_[6] = reply_ ? largest0 | s.largest << 16 : s.largest | largest1 << 16;
  state_ = (state_ & 0xffff) | s.marks << kMarks;
  return good;
}

inline Lanes EightHits::pass(const ConnTable& table) noexcept {
  constexpr uint32_t kEstablished = static_cast<uint32_t>(TcpState::established);
  constexpr uint32_t kTells = (tcp::kSyn | tcp::kFin | tcp::kRst | tcp::kAck) << 16;
  state_ = head_[kState];
  spans_ = table.plain_spans();
  const Lanes is_tcp = (packets_[3] & 0xff) == proto::kTcp;
  const Lanes known = ((state_ & (kReplied | kCut)) == kReplied) & ~repeated(ids_);
  const Lanes good = ((state_ & (kTcp | kMidflow | kSynPassed)) == kEstablished) &
                     ((packets_[7] & kTells) == tcp::kAck << 16) & step_windows();
  const auto& [end0, end1, allowed0, allowed1, acked0, acked1, largest, syn_end] = window_;
  const Words marks = state_ >> kMarks;
  const Lanes unacknowledged = ((end0 ^ acked0) | (end1 ^ acked1)) != 0;
  const Lanes stalled = (unacknowledged & ((marks & marks::kEndGuessed) == 0)) |
                        ((marks & marks::kZeroWindow) != 0) |
                        ((marks >> marks::kRetransmissions & 3) == 3);
  kind_ = is_tcp ? only(stalled, all(1)) : all(kUdp);
  transpose(window_);
  return known & (good | ~is_tcp);
}

inline void EightHits::keep(unsigned i, Nanos now) noexcept {
  Connection& c = *entries_[i];
  if (kind_[i] != kUdp) {
    std::memcpy(static_cast<void*>(&c.window), &window_[i], sizeof window_[i]);
    const auto marks = static_cast<uint16_t>(state_[i] >> kMarks);
    c.marks = std::bit_cast<TcpMarks>(marks);
  } else {
    c.assure(now);
  }
  c.count(reply_[i] != 0 ? kReply : kOriginal, packets_[6][i] >> 16);
  c.deadline = now + spans_[kind_[i]];
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_CONNTRACK_EIGHT_H_
