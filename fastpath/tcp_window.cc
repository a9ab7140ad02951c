// SPDX-License-Identifier: Apache-2.0
#include "fastpath/tcp_window.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr uint8_t kLargestScale = 14;  // RFC 7323, section 2.3

constexpr Side peer_of(Side side) {
  return side == kOriginal ? kReply : kOriginal;
}

uint32_t largest_of(const TcpWindow& w, const TcpMarks& m, Side side) {
  return uint32_t{w.largest[side]} << m.scale(side);
}

// The largest window of the side is at least `bytes`.
void raise_largest(TcpWindow& w, const TcpMarks& m, Side side, uint32_t bytes) {
  const unsigned scale = m.scale(side);
  const uint64_t units = (uint64_t{bytes} + (1u << scale) - 1) >> scale;
  w.largest[side] = static_cast<uint16_t>(
      std::clamp<uint64_t>(units, std::max<uint16_t>(w.largest[side], 1), UINT16_MAX));
}

void set_scale(TcpMarks& m, Side side, unsigned scale) {
  if (side == kOriginal) {
    m.original_scale = scale & 15;
  } else {
    m.reply_scale = scale & 15;
  }
}

// The highest byte that the receiver of `s` may send by it.
void raise_allowed(TcpWindow& w, Side receiver, uint32_t sack, uint32_t window) {
  const uint32_t to = sack + std::max(window, 1u);  // a probe goes into a closed window
  if (seq_after(to, w.allowed[receiver])) {
    w.allowed[receiver] = to;
  }
}

uint32_t be32(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
         bytes[3];
}

}  // namespace

TcpOptions read_tcp_options(std::span<const uint8_t> options, uint32_t ack) noexcept {
  constexpr uint8_t kEnd = 0, kNop = 1, kScale = 3, kSack = 5;
  constexpr uint32_t kHalfCircle = uint32_t{1} << 31;
  TcpOptions out;
  out.sack = ack;
  for (size_t i = 0; i < options.size() && options[i] != kEnd;) {
    if (options[i] == kNop) {
      ++i;
      continue;
    }
    if (options.size() - i < 2 || options[i + 1] < 2 || options[i + 1] > options.size() - i) {
      break;
    }
    const size_t length = options[i + 1];
    if (options[i] == kScale && length == 3) {
      out.scale = std::min(options[i + 2], kLargestScale);
    } else if (options[i] == kSack) {
      for (size_t block = 2; block + 8 <= length; block += 8) {
        // Counted from the acknowledgement: from block to block one could go round the circle.
        const uint32_t ahead = be32(&options[i + block + 4]) - ack;
        out.sack = ahead < kHalfCircle && ahead > out.sack - ack ? ack + ahead : out.sack;
      }
    }
    i += length;
  }
  return out;
}

void open_window(TcpWindow& w, TcpMarks& m, Side side, const TcpSegment& s) noexcept {
  const Side peer = peer_of(side);
  w.end[side] = s.end;
  w.allowed[side] = s.end;
  w.acked[side] = s.seq;
  w.largest[side] = std::max<uint16_t>(s.window, 1);
  set_scale(m, side, s.scale);
  m.last_sender = side & 1;
  if (side == kOriginal || w.largest[peer] == 0) {
    return;
  }
  // Both SYNs are there: windows are scaled if both said so.
  if (m.original_scale == kNoScale || m.reply_scale == kNoScale) {
    m.original_scale = 0;
    m.reply_scale = 0;
  }
  for (const Side each : {kOriginal, kReply}) {
    const uint32_t bytes = w.largest[each];
    w.largest[each] = 0;
    raise_largest(w, m, each, bytes);
  }
  if (s.has_ack) {
    w.acked[peer] = seq_after(s.ack, w.acked[peer]) ? s.ack : w.acked[peer];
    raise_allowed(w, peer, s.sack, s.window);
  }
}

void pick_up_window(TcpWindow& w, TcpMarks& m, Side side, const TcpSegment& s) noexcept {
  const Side peer = peer_of(side);
  m.original_scale = kLargestScale;
  m.reply_scale = kLargestScale;
  m.last_sender = side & 1;
  w.end[side] = s.end;
  w.acked[side] = s.seq;
  w.largest[side] = std::max<uint16_t>(s.window, 1);
  w.allowed[side] = s.end + largest_of(w, m, side);
  w.end[peer] = s.sack;
  w.allowed[peer] = s.sack;
  w.acked[peer] = s.ack;
  w.largest[peer] = 0;
  raise_allowed(w, peer, s.sack, largest_of(w, m, side));
}

Fit pass_window(TcpWindow& w, TcpMarks& m, Side side, const TcpSegment& s) noexcept {
  const Side peer = peer_of(side);
  if (w.largest[side] == 0) [[unlikely]] {  // its first segment: what it says is all we know
    w.end[side] = s.end;
    w.largest[side] = std::max<uint16_t>(s.window, 1);
    w.allowed[side] = s.end + largest_of(w, m, side);
  }
  const uint32_t peers_largest = largest_of(w, m, peer);
  const uint32_t ack = s.has_ack ? s.ack : w.end[peer];
  const uint32_t sack = s.has_ack ? s.sack : w.end[peer];
  const bool over =
      seq_after(s.seq, w.allowed[side]);  // (I), and how far a stack may go over it
  if ((over && s.end - w.allowed[side] >= peers_largest) ||
      seq_after(sack, w.end[peer])) {  // (III)
    return Fit::beyond;
  }
  const uint32_t slack = std::max(kAckSlack, largest_of(w, m, side));
  if ((peers_largest != 0 && seq_before(s.end, w.end[side] - peers_largest)) ||  // (II)
      seq_before(sack, w.end[peer] - slack)) {                                   // (IV)
    return over ? Fit::beyond : Fit::stale;
  }
  const uint32_t window = uint32_t{s.window} << (s.syn ? 0 : m.scale(side));
  raise_largest(w, m, side, window + (sack - ack));
  const bool is_new = seq_after(s.end, w.end[side]);
  const bool acknowledges = seq_after(ack, w.acked[peer]);
  if (seq_after(s.end, w.allowed[side]) && peers_largest != 0) {
    raise_largest(w, m, peer, peers_largest + (s.end - w.allowed[side]));
  }
  // Of a fragmented segment the rest may reach as far as the window does.
  const bool guess = s.first_fragment && seq_after(w.allowed[side], s.end);
  const uint32_t end = guess ? w.allowed[side] : s.end;
  if (guess || (is_new && s.data)) {
    m.end_guessed = guess;
  }
  w.end[side] = seq_after(end, w.end[side]) ? end : w.end[side];
  w.acked[peer] = acknowledges ? ack : w.acked[peer];
  raise_allowed(w, peer, sack, window);
  if (is_new || acknowledges) {
    m.retransmissions = 0;
  } else if (s.data && m.last_sender != (side & 1)) {
    m.retransmissions = 1;  // the other side still answers: perhaps a keep-alive's byte
  } else if (s.data && m.retransmissions < 3) {
    ++m.retransmissions;
  }
  m.zero_window = s.window == 0;
  m.last_sender = side & 1;
  m.reset_waits = 0;
  return Fit::good;
}

Reset judge_reset(const TcpWindow& w, const TcpMarks& m, Side side, const TcpSegment& s,
                  bool unanswered) noexcept {
  const Side peer = peer_of(side);
  const bool has_ack = s.has_ack && s.ack != 0;  // some stacks set the flag and no number
  if (has_ack && seq_after(s.ack, w.end[peer])) {
    return Reset::beyond;
  }
  if (unanswered && side == kReply) {
    // RFC 9293, 3.10.7.3: to a SYN only the acknowledgement proves anything.
    return has_ack && s.ack == w.end[peer] ? Reset::exact : Reset::inexact;
  }
  if (seq_before(s.seq, w.acked[side])) {
    return Reset::old;
  }
  if (seq_after(s.seq, w.allowed[side])) {
    return Reset::beyond;
  }
  const bool continues = m.last_sender == side && s.seq == w.end[side];
  return s.seq == w.acked[side] || continues ? Reset::exact : Reset::inexact;
}

}  // namespace sluice
