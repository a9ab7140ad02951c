// SPDX-License-Identifier: Apache-2.0
#include "fastpath/fragments.h"

#include <algorithm>

#include "fastpath/siphash.h"

namespace sluice {

Fragments::Fragments(const Options& options)
    : options_(options),
      records_(std::make_unique<Record[]>(kRecords)),
      held_(std::make_unique<Held[]>(kPlaces)),
      heads_(std::make_unique<Index[]>(kRecords)),
      sources_(std::make_unique<uint16_t[]>(kSources)) {
  static_assert(kRecords < kNil && (kRecords & (kRecords - 1)) == 0 && kPlaces < kNil);
  options_.held = std::min(options_.held, kMaxHeld);
  for (uint32_t i = 0; i < kRecords; ++i) {
    records_[i].chain = static_cast<Index>(i + 1 < kRecords ? i + 1 : kNil);
    heads_[i] = kNil;
  }
  for (uint32_t i = 0; i < kPlaces; ++i) {
    held_[i].next = static_cast<Index>(i + 1 < kPlaces ? i + 1 : kNil);
  }
}

// ---- records -----------------------------------------------------------------------------

namespace {

// Of IPv6 the protocol is no part of the key: only the first piece tells it (RFC 8200, 4.5).
uint8_t key_protocol(const Tuple& t) {
  return t.six ? 0 : t.protocol;
}

}  // namespace

uint64_t Fragments::hash(Ip4 a, Ip4 b, uint64_t rest) const noexcept {
  return siphash13(options_.hash_key, uint64_t{a.value} << 32 | b.value, rest);
}

Fragments::Index& Fragments::head(const PacketFlow& flow, uint32_t id, PortId port) noexcept {
  const uint64_t rest = uint64_t{id} << 32 | uint64_t{port} << 8 | key_protocol(flow.tuple);
  return heads_[hash(flow.tuple.src, flow.tuple.dst, rest) & (kRecords - 1)];
}

// The count that a source shares with about one in kSources others, whom nobody can choose.
uint16_t& Fragments::share(Ip4 source) noexcept {
  return sources_[hash(source, {}, ~uint64_t{0}) & (kSources - 1)];
}

Fragments::Index Fragments::find(const Parsed& p, PortId port) noexcept {
  for (Index at = head(p, p.id, port); at != kNil; at = records_[at].chain) {
    const Record& r = records_[at];
    const Tuple& t = r.flow.tuple;
    if (r.id == p.id && r.port == port && t.src == p.tuple.src && t.dst == p.tuple.dst &&
        t.six == p.tuple.six && key_protocol(t) == key_protocol(p.tuple) &&
        r.flow.pair == p.pair) {
      return at;
    }
  }
  return kNil;
}

Fragments::Index Fragments::create(const Parsed& p, PortId port, Nanos now) noexcept {
  uint16_t& mine = share(p.tuple.src);
  if (mine >= kPerSource) {
    return kNil;
  }
  if (free_ == kNil) {
    forget(oldest_, DropReason::frag_table_full);
  }
  const Index at = free_;
  Record& r = records_[at];
  free_ = r.chain;
  r = Record{};
  r.flow = p;
  r.id = p.id;
  r.port = port;
  Index& first = head(p, p.id, port);
  r.chain = first;
  first = at;
  ++mine;
  ++size_;
  r.seen = now;
  r.older = newest_;
  (newest_ == kNil ? oldest_ : records_[newest_].newer) = at;
  newest_ = at;
  return at;
}

void Fragments::unlink(Index at) noexcept {
  Record& r = records_[at];
  (r.older == kNil ? oldest_ : records_[r.older].newer) = r.newer;
  (r.newer == kNil ? newest_ : records_[r.newer].older) = r.older;
}

void Fragments::touch(Index at, Nanos now) noexcept {
  unlink(at);
  Record& r = records_[at];
  r.seen = now;
  r.older = newest_;
  r.newer = kNil;
  (newest_ == kNil ? oldest_ : records_[newest_].newer) = at;
  newest_ = at;
}

// Takes the record out; what waited for its first piece is lost for the reason `held`.
void Fragments::forget(Index at, DropReason held) noexcept {
  Record& r = records_[at];
  lose(r, held);
  unlink(at);
  Index* link = &head(r.flow, r.id, r.port);
  while (*link != at) {
    link = &records_[*link].chain;
  }
  *link = r.chain;
  --share(r.flow.tuple.src);
  --size_;
  r.chain = free_;
  free_ = at;
}

// ---- pieces ------------------------------------------------------------------------------

DropReason Fragments::check(const Record& r, Range range, bool last) noexcept {
  if (r.poisoned) {
    return DropReason::frag_overlap;
  }
  for (unsigned i = 0; i < r.pieces; ++i) {
    const Range& other = r.ranges[i];
    if (range.begin < other.end && other.begin < range.end) {
      const bool same = range.begin == other.begin && range.end == other.end;
      return same ? DropReason::frag_duplicate : DropReason::frag_overlap;
    }
  }
  const bool past_end = r.end != 0 && range.end > r.end;
  if (past_end || (last && range.end < r.highest)) {
    return DropReason::frag_len;
  }
  return r.pieces == kPieces ? DropReason::frag_too_many : DropReason::none;
}

void Fragments::note(Record& r, Range range, bool last) noexcept {
  r.ranges[r.pieces++] = range;
  r.highest = std::max(r.highest, range.end);
  r.end = last ? range.end : r.end;
  r.bytes = static_cast<uint16_t>(r.bytes + (range.end - range.begin));
}

DropReason Fragments::tell(const Record& r, Parsed& later) noexcept {
  static_cast<PacketFlow&>(later) = r.flow;
  return r.reason;
}

Fragments::Answer Fragments::add(Parsed& p, PortId port, rte_mbuf* frame, Nanos now) noexcept {
  give_up(now);
  Index at = find(p, port);
  if (at != kNil && now - records_[at].seen >= kIdle) {
    forget(at, DropReason::frag_no_head);
    at = kNil;
  }
  if (at == kNil) {
    if (p.later_fragment && full()) {
      return {DropReason::frag_no_head};
    }
    at = create(p, port, now);
    if (at == kNil) {
      return {DropReason::frag_table_full};
    }
  }
  touch(at, now);
  Record& r = records_[at];
  const Range range{p.fragment_offset,
                    static_cast<uint16_t>(p.fragment_offset + p.piece_bytes)};
  const DropReason reason = check(r, range, !p.more_fragments);
  if (reason != DropReason::none) {
    if (reason == DropReason::frag_overlap) {
      r.poisoned = true;
      lose(r, reason);
    }
    return {reason};
  }
  if (p.later_fragment && !r.has_first) {
    if (r.held == kHeldPerKey || full()) {
      return {DropReason::frag_no_head};
    }
    note(r, range, !p.more_fragments);
    hold(at, frame, now);
    return {DropReason::none, true};
  }
  note(r, range, !p.more_fragments);
  if (!p.later_fragment) {
    r.has_first = true;
    r.flow = p;
    return {};
  }
  const Answer answer{tell(r, p)};
  if (r.end != 0 && r.bytes == r.end) {
    forget(at, DropReason::none);
  }
  return answer;
}

void Fragments::refuse(const Parsed& first, PortId port, DropReason reason) noexcept {
  const Index at = find(first, port);
  if (at != kNil) {
    records_[at].reason = reason;
  }
}

rte_mbuf* Fragments::release(const Parsed& first, PortId port) noexcept {
  const Index at = find(first, port);
  if (at == kNil) {
    return nullptr;
  }
  Record& r = records_[at];
  if (r.first_held != kNil) {
    const Index h = pop_held(r);
    rte_mbuf* frame = held_[h].frame;
    held_[h].next = free_held_;
    free_held_ = h;
    return frame;
  }
  if (r.end != 0 && r.bytes == r.end) {
    forget(at, DropReason::none);
  }
  return nullptr;
}

DropReason Fragments::inherit(Parsed& later, PortId port) noexcept {
  const Index at = find(later, port);
  return at == kNil ? DropReason::frag_no_head : tell(records_[at], later);
}

// ---- those that wait ---------------------------------------------------------------------

// REQUIRES: !full().
void Fragments::hold(Index at, rte_mbuf* frame, Nanos now) noexcept {
  const Index h = free_held_;
  free_held_ = held_[h].next;
  held_[h] = {frame, now + kHoldFor, DropReason::none, at, newest_held_, kNil, kNil};
  (newest_held_ == kNil ? oldest_held_ : held_[newest_held_].newer) = h;
  newest_held_ = h;
  Record& r = records_[at];
  (r.last_held == kNil ? r.first_held : held_[r.last_held].next) = h;
  r.last_held = h;
  ++r.held;
  ++held_count_;
}

// Takes the record's oldest one out of both lists.  REQUIRES: there is one.
Fragments::Index Fragments::pop_held(Record& r) noexcept {
  const Index at = r.first_held;
  Held& h = held_[at];
  (h.older == kNil ? oldest_held_ : held_[h.older].newer) = h.newer;
  (h.newer == kNil ? newest_held_ : held_[h.newer].older) = h.older;
  r.first_held = h.next;
  r.last_held = h.next == kNil ? kNil : r.last_held;
  h.next = kNil;
  --r.held;
  --held_count_;
  return at;
}

void Fragments::lose(Record& r, DropReason reason) noexcept {
  while (r.first_held != kNil) {
    const Index at = pop_held(r);
    held_[at].reason = reason;
    (last_lost_ == kNil ? lost_ : held_[last_lost_].next) = at;
    last_lost_ = at;
  }
}

// Those whose time is over, oldest first.  A record that was only of such goes, too.
void Fragments::give_up(Nanos now) noexcept {
  while (oldest_held_ != kNil && held_[oldest_held_].until < now) {
    const Index at = held_[oldest_held_].record;
    Record& r = records_[at];
    const Index h = pop_held(r);
    held_[h].reason = DropReason::frag_no_head;
    (last_lost_ == kNil ? lost_ : held_[last_lost_].next) = h;
    last_lost_ = h;
    if (r.held == 0) {
      forget(at, DropReason::none);
    }
  }
}

void Fragments::expire(Nanos now) noexcept {
  give_up(now);
  for (uint32_t i = 0; i < kForgetPerCall; ++i) {
    if (oldest_ == kNil || now - records_[oldest_].seen < kIdle) {
      return;
    }
    forget(oldest_, DropReason::frag_no_head);
  }
}

Fragments::Lost Fragments::take_lost() noexcept {
  if (lost_ == kNil) {
    return {};
  }
  Held& h = held_[lost_];
  const Index at = lost_;
  lost_ = h.next;
  last_lost_ = lost_ == kNil ? kNil : last_lost_;
  h.next = free_held_;
  free_held_ = at;
  return {h.frame, h.reason};
}

rte_mbuf* Fragments::take_held() noexcept {
  if (oldest_held_ == kNil) {
    return nullptr;
  }
  const Index at = pop_held(records_[held_[oldest_held_].record]);
  held_[at].next = free_held_;
  free_held_ = at;
  return held_[at].frame;
}

}  // namespace sluice
