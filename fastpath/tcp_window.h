// SPDX-License-Identifier: Apache-2.0
// Which sequence and acknowledgement numbers a middlebox takes for TCP's own, and which for a
// stranger's: the window each side was given, as far as both halves of the connection show it.
//
// Per side, as sender: the end of the highest byte sent, the end of the highest byte it may
// send, what the peer has acknowledged, the largest window it advertised.  Pure arithmetic,
// modulo 2^32, on 30 bytes that live in the connection's entry; no packets, no time.
// Source: reliability rules, section 3, "Window" and "RST"; van Rooij, "Real Stateful TCP
// Packet Filtering in IP Filter" (2000); RFC 7323 (scale), RFC 2018 (SACK), RFC 5961 (RST).
#ifndef SLUICE_FASTPATH_TCP_WINDOW_H_
#define SLUICE_FASTPATH_TCP_WINDOW_H_

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <type_traits>

namespace sluice {

enum Side : uint8_t { kOriginal = 0, kReply = 1 };

// a is before b, on the circle of sequence numbers.
constexpr bool seq_before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}
constexpr bool seq_after(uint32_t a, uint32_t b) {
  return seq_before(b, a);
}

inline constexpr uint32_t kAckSlack = 66000;  // of condition (IV): an unscaled window and a bit
inline constexpr uint8_t kNoScale = 15;       // the SYN did not offer one; 14 is the largest

struct TcpOptions {
  uint8_t scale = kNoScale;
  uint32_t sack = 0;  // the highest right edge of a SACK block, or what the walk was given
};
// Walks the options of one TCP header, 40 bytes at most.  What is cut or malformed ends it.
TcpOptions read_tcp_options(std::span<const uint8_t> options, uint32_t ack) noexcept;

// One segment, as far as windows go.
struct TcpSegment {
  uint32_t seq = 0;
  uint32_t end = 0;  // seq and all that takes up sequence space: data, SYN, FIN
  uint32_t ack = 0;
  uint32_t sack = 0;  // the highest byte reported as received; `ack` without SACK blocks
  uint16_t window = 0;
  uint8_t scale = kNoScale;
  bool syn = false;
  bool has_ack = false;
  bool data = false;
  bool first_fragment = false;  // more of it follows, nobody knows how much
};

struct TcpWindow {
  std::array<uint32_t, 2> end = {};      // by side: the highest byte sent, plus one
  std::array<uint32_t, 2> allowed = {};  // the highest byte the peer lets it send, plus one
  std::array<uint32_t, 2> acked = {};    // what the peer has acknowledged of it
  // The largest window that the side advertised, in units of its scale, rounded up; 0: the side
  // was not seen yet, nothing is known of it.
  std::array<uint16_t, 2> largest = {};
};
static_assert(sizeof(TcpWindow) == 28);

struct TcpMarks {
  uint8_t original_scale : 4 = 0;  // kNoScale until both SYNs were seen
  uint8_t reply_scale : 4 = 0;
  uint8_t retransmissions : 2 = 0;  // of data, since anything new; stays at 3
  uint8_t last_sender : 1 = 0;      // the side of the last good segment
  uint8_t zero_window : 1 = 0;      // and it closed the window
  uint8_t reset_waits : 1 = 0;      // an inexact RST passed, nothing good since
  uint8_t end_guessed : 1 = 0;      // a segment came in fragments: nobody saw where it ended
  uint8_t spare : 2 = 0;            // so that all bits of the word have a value
  unsigned scale(Side side) const {
    const unsigned n = side == kOriginal ? original_scale : reply_scale;
    return n == kNoScale ? 0 : n;
  }
};
static_assert(sizeof(TcpMarks) == 2);

// The same as one word, for who changes most of them at once.
namespace marks {
inline constexpr unsigned kRetransmissions = 8, kLastSender = 10;  // their lowest bits
inline constexpr uint32_t kZeroWindow = 1u << 11, kResetWaits = 1u << 12,
                          kEndGuessed = 1u << 13;
}  // namespace marks

enum class Fit : uint8_t {
  good,    // the window moves with it
  stale,   // old and harmless: pass it, forget it
  beyond,  // what the peer cannot have allowed or sent: ct_window
};

// The side's SYN, or SYN+ACK: all that is known of the side begins here.
void open_window(TcpWindow& w, TcpMarks& m, Side side, const TcpSegment& s) noexcept;
// A connection that was under way: `s` is all that is known of both sides.  Its scales are not,
// so the largest are taken.
void pick_up_window(TcpWindow& w, TcpMarks& m, Side side, const TcpSegment& s) noexcept;
// Judges a segment, and moves the windows on if it is good.
Fit pass_window(TcpWindow& w, TcpMarks& m, Side side, const TcpSegment& s) noexcept;

// The same for most segments there are, in few steps: no SYN, FIN, RST, SACK or fragment, with
// an acknowledgement, inside the window from end to end, of a connection both sides of which
// were seen.  In words: of one segment, or of several side by side.
template <typename Word>
struct CommonStep {
  // The segment, and the side that sent it: 0 or 1.
  Word side, seq, bytes, ack, window;
  // What is known of the sender and of its peer; TcpMarks.
  Word end, allowed, largest;
  Word peers_end, peers_allowed, peers_acked, peers_largest;
  Word marks;

  static auto negative(Word w) {
    if constexpr (std::is_integral_v<Word>) {
      return static_cast<int32_t>(w) < 0;
    } else {
      return reinterpret_cast<decltype(w < w)>(w) < 0;
    }
  }
  // Moves on what is known.  False: it is not one of those, or not good; what is known counts
  // no more.
  [[gnu::always_inline]] auto take() noexcept {
    const Word zero = {}, one = zero + 1, least = zero + kAckSlack;
    const Word scale = marks >> side * 4 & 15, peers_scale = marks >> (4 - side * 4) & 15;
    const Word next = seq + bytes;
    const Word room = largest << scale, peers_room = peers_largest << peers_scale;
    const Word slack = room < least ? least : room;
    const Word beyond = (allowed - next) | (allowed - seq) | (peers_end - ack) |
                        (next - (end - peers_room)) | (ack - (peers_end - slack));
    const auto bad = negative(beyond) | (room == 0) | (peers_room == 0) | (scale == kNoScale) |
                     (peers_scale == kNoScale);
    const auto is_new = negative(end - next), acknowledges = negative(peers_acked - ack);
    const Word offered = window << scale;
    const Word allows = ack + (offered == 0 ? one : offered);
    largest = window > largest ? window : largest;
    end = is_new ? next : end;
    peers_acked = acknowledges ? ack : peers_acked;
    peers_allowed = negative(peers_allowed - allows) ? allows : peers_allowed;
    // Data that brings nothing new counts, while the other side is silent (see pass_window()).
    const Word counted = marks >> marks::kRetransmissions & 3;
    const Word more = counted == 3 ? counted : counted + 1;
    const Word again = (marks >> marks::kLastSender & 1) == side ? more : one;
    const Word stays = (bytes == 0 ? counted : again) << marks::kRetransmissions;
    const Word guessed = marks & marks::kEndGuessed;
    marks = (marks & 0xff) | ((is_new | acknowledges) ? zero : stays) |
            side << marks::kLastSender | (window == 0 ? zero + marks::kZeroWindow : zero) |
            ((is_new & (bytes != 0)) ? zero : guessed);
    return !bad;
  }
};

struct CommonSegment {
  uint32_t seq, bytes, ack;
  uint16_t window;
};
// Of one segment.  False: nothing has changed.
[[gnu::always_inline]] inline bool pass_common(TcpWindow& w, TcpMarks& m, Side side,
                                               const CommonSegment& s) noexcept {
  const unsigned peer = side ^ 1u;
  CommonStep<uint32_t> step{side,
                            s.seq,
                            s.bytes,
                            s.ack,
                            s.window,
                            w.end[side],
                            w.allowed[side],
                            w.largest[side],
                            w.end[peer],
                            w.allowed[peer],
                            w.acked[peer],
                            w.largest[peer],
                            std::bit_cast<uint16_t>(m)};
  if (!step.take()) {
    return false;
  }
  w.end[side] = step.end;
  w.largest[side] = static_cast<uint16_t>(step.largest);
  w.allowed[peer] = step.peers_allowed;
  w.acked[peer] = step.peers_acked;
  m = std::bit_cast<TcpMarks>(static_cast<uint16_t>(step.marks));
  return true;
}

enum class Reset : uint8_t {
  exact,    // the receiver believes it: the connection ends
  inexact,  // the receiver answers with a challenge: let both through
  beyond,   // ct_window
  old,      // below what the peer has acknowledged: ct_rst
};
// Judges a RST.  `unanswered`: the side has sent nothing else; then the acknowledgement counts.
Reset judge_reset(const TcpWindow& w, const TcpMarks& m, Side side, const TcpSegment& s,
                  bool unanswered) noexcept;

// Data that the peer has not acknowledged yet, on either side.
inline bool unacknowledged(const TcpWindow& w) {
  return ((w.end[0] ^ w.acked[0]) | (w.end[1] ^ w.acked[1])) != 0;
}

// The side has sent that sequence number, and the peer has not acknowledged it (RFC 5927).
inline bool under_way(const TcpWindow& w, Side side, uint32_t seq) {
  return !seq_before(seq, w.acked[side]) && !seq_after(seq, w.end[side]);
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_TCP_WINDOW_H_
