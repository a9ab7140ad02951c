// SPDX-License-Identifier: Apache-2.0
#include "fastpath/conntrack.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include <unistd.h>

#include "fastpath/conntrack_index.h"
#include "fastpath/parse_plain.h"

namespace sluice {
namespace {

// In a crowded table: what is left of a timeout at least.
constexpr Nanos kLeastSpan = 5 * kSecond, kLeastEstablished = 300 * kSecond;

bool closing(const Connection& c) {
  return c.tcp >= TcpState::fin_wait && c.tcp <= TcpState::close;
}

}  // namespace

Timeouts Timeouts::linux_preset() {
  Timeouts t;
  //        NO   SS   SR  ES      FW   CW  LA  TW   CL  S2
  t.tcp = {120, 120, 60, 432000, 120, 60, 30, 120, 10, 120};
  t.udp_one_way = 30;
  t.udp_both_ways = 120;
  t.icmp = 30;
  t.other = 600;
  t.midflow = 300;
  t.stalled = 300;
  return t;
}

// Calico shortens the timeout only once it has seen both FINs.
Timeouts Timeouts::calico_bpf_preset() {
  Timeouts t;
  //        NO  SS  SR  ES    FW    CW    LA  TW  CL  S2
  t.tcp = {20, 20, 20, 3600, 3600, 3600, 30, 30, 40, 20};
  t.udp_one_way = 60;
  t.udp_both_ways = 60;
  t.icmp = 5;
  t.other = 600;
  t.midflow = 300;
  t.stalled = 0;
  t.grace = 10;
  return t;
}

// ---- memory ------------------------------------------------------------------------------

// Half full at most when all entries are in use: see insert().
uint32_t ConnTable::buckets_for(uint32_t max) {
  return std::bit_ceil(std::max(max / (kSlots / 2), 2u));
}

uint64_t ConnTable::bytes_for(uint32_t max) {
  return uint64_t{buckets_for(max)} * sizeof(Bucket) +
         uint64_t{max} * (sizeof(Connection) + sizeof(AddressPair) + sizeof(ConnId));
}

bool ConnTable::allocate(uint32_t max, bool populate) {
  buckets_ = RegionOf<Bucket>(buckets_for(max));
  entries_ = RegionOf<Connection>(max);
  pairs_ = RegionOf<AddressPair>(max);
  free_ = RegionOf<ConnId>(max);
  const bool mapped = buckets_ && entries_ && pairs_ && free_;
  return mapped && (!populate || (buckets_.populate() && entries_.populate() &&
                                  pairs_.populate() && free_.populate()));
}

ConnTable::Memory ConnTable::Memory::now() {
  const uint64_t all = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                       static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return {all, available_memory().value_or(all)};
}

bool ConnTable::fits(const Options& options, const Memory& memory) {
  const uint64_t each = bytes_for(options.max);
  return each * options.tables <= memory.all && (!options.populate || each <= memory.available);
}

Error ConnTable::too_large(const Options& options, const Memory& memory) {
  const uint64_t each = bytes_for(options.max);
  const auto mebibytes = [](uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; };
  return {"connections.max: " + std::to_string(uint64_t{options.max} * options.tables) +
              " connections need " + mebibytes(each * options.tables) +
              " of memory; this machine has " + mebibytes(memory.all) + " in all, and " +
              mebibytes(memory.available) + " to give",
          "a smaller connections.max; a connection takes " +
              std::to_string(each / options.max) + " bytes"};
}

Result<ConnTable> ConnTable::make(const Options& options) {
  assert(options.max > 0 && options.max < kNoConn);
  const Memory memory = Memory::now();
  ConnTable made;
  if (!fits(options, memory) || !made.allocate(options.max, options.populate)) {
    return too_large(options, memory);
  }
  made.bucket_mask_ = buckets_for(options.max) - 1;
  made.max_ = options.max;
  made.key_ = options.hash_key;
  made.endpoint_limit_ =
      options.endpoint_share >= 1
          ? options.max + 1  // a full table says so itself
          : std::max(static_cast<uint32_t>(options.max * options.endpoint_share), 1u);
  made.opened_by_.resize(kNoEnd);
  const Timeouts& t = options.timeouts;
  for (unsigned i = 0; i < kTcpStates; ++i) {
    made.spans_.tcp[i] = t.tcp[i] * kSecond;
  }
  made.spans_.udp_one_way = t.udp_one_way * kSecond;
  made.spans_.udp_both_ways = t.udp_both_ways * kSecond;
  made.spans_.icmp = t.icmp * kSecond;
  made.spans_.other = t.other * kSecond;
  made.spans_.midflow = t.midflow * kSecond;
  made.spans_.stalled = t.stalled == 0 ? ~Nanos{0} : t.stalled * kSecond;
  made.spans_.grace = t.grace * kSecond;
  const Nanos established = made.spans_.tcp[static_cast<uint8_t>(TcpState::established)];
  made.spans_.established = {established, std::min(established, made.spans_.stalled)};
  made.spans_.outlive_grace =
      std::min(made.spans_.established[1], made.spans_.udp_both_ways) >= made.spans_.grace;
  return made;
}

// ---- entries come and go -----------------------------------------------------------------

// What a timeout is worth in a table as full as this one: all of it up to three quarters, a
// tenth from 95 % on.
double ConnTable::shrink() const noexcept {
  constexpr double kFrom = 0.75, kTo = 0.95, kLeast = 0.1;
  const double full = static_cast<double>(size_) / max_;
  return full <= kFrom ? 1
                       : std::max(kLeast, 1 - (1 - kLeast) * (full - kFrom) / (kTo - kFrom));
}

// Past its deadline, or what is left of it in a crowded table.  find() knows only the whole
// deadline: what still sends, lives.
bool ConnTable::gone_quiet(const Connection& c, Nanos now, double shrink) const noexcept {
  if (c.expired(now) || shrink >= 1) {
    return c.expired(now);
  }
  const bool established = c.assured != 0 && c.tcp == TcpState::established;
  const Nanos span = span_of(c);
  const Nanos least = std::min(span, established ? kLeastEstablished : kLeastSpan);
  const Nanos shrunk = std::max(static_cast<Nanos>(static_cast<double>(span) * shrink), least);
  return c.deadline - (span - shrunk) <= now;
}

// Which of the place's entries should go for a new one, or kNoConn.  Unless `crowd` is all,
// only one of those that has gone quiet will do.
ConnId ConnTable::victim(const Place& place, Nanos now, Crowd crowd) const noexcept {
  for (unsigned n = 0; n < 2 * kSlots; ++n) {  // they lie anywhere: fetched all at once
    __builtin_prefetch(&entries_[candidate(place, n)]);
  }
  const double shrunk = shrink();
  ConnId best = kNoConn;
  bool best_closing = false;
  for (unsigned n = 0; n < 2 * kSlots; ++n) {
    if (buckets_[place.buckets()[n / kSlots]].tags[n % kSlots] == 0) {
      continue;
    }
    const ConnId id = candidate(place, n);
    const Connection& c = entries_[id];
    const bool of_crowd = crowd.all || (crowd.embryonic && c.replied == 0) ||
                          (crowd.source != kNoEndpoint && c.source() == crowd.source);
    if (of_crowd && gone_quiet(c, now, shrunk)) {
      return id;
    }
    const bool ends = closing(c);
    if (!crowd.all || (!ends && c.replied != 0)) {
      continue;
    }
    const bool better =
        best == kNoConn || (ends && !best_closing) ||
        (ends && c.deadline < entries_[best].deadline) ||
        (!ends && !best_closing && seq_before(c.created, entries_[best].created));
    if (better) {
      best = id;
      best_closing = ends;
    }
  }
  return best;
}

// Would one more unreplied entry of `source` be too many?  Then why, and whose must go.
bool ConnTable::over_limit(EndpointId source, Crowd& crowd, DropReason& reason) const noexcept {
  if (too_many_embryonic()) {
    crowd = {false, true, kNoEndpoint};
    reason = DropReason::ct_embryonic;
    return true;
  }
  if (opened_too_many(source)) {
    crowd = {false, false, source};
    reason = DropReason::ct_endpoint_limit;
    return true;
  }
  return false;
}

// A free entry, put into the index at `place`; kNoConn if there is none, or no slot.
[[gnu::always_inline]] inline ConnId ConnTable::take(const Place& place) noexcept {
  const ConnId next = free_count_ > 0 ? free_[free_count_ - 1] : used_;
  // Entries lie anywhere: that of a later call is fetched meanwhile.
  constexpr uint32_t kAhead = 8;
  prefetch(free_count_ > kAhead ? free_[free_count_ - 1 - kAhead]
                                : std::min(used_ + kAhead, max_ - 1),
           false);
  if (size_ >= max_ || !insert(next, place)) {
    return kNoConn;
  }
  if (free_count_ > 0) {
    --free_count_;
  } else {
    ++used_;
  }
  return next;
}

// Fills an entry that was taken.
[[gnu::always_inline]] inline Connection& ConnTable::begin(ConnId id, const Tuple& tuple,
                                                           Nanos now, EndpointId source,
                                                           EndpointId destination) noexcept {
  ++size_;
  ++embryonic_;
  Connection& c = entries_[id];
  static constexpr Connection kFresh;
  std::memcpy(&c, &kFresh, sizeof c);  // in a few wide stores
  c.tuple = tuple;
  c.live = 1;
  c.created = ticks(now);
  c.set_ends(source, destination);
  if (source != kNoEndpoint) {
    ++opened_by_[source];
  }
  return c;
}

ConnTable::Created ConnTable::create(const Tuple& tuple, Nanos now, EndpointId source,
                                     EndpointId destination, const AddressPair& pair,
                                     std::optional<uint64_t> hash) noexcept {
  const Place place = hash ? Place{*hash, bucket_mask_} : place_of(tuple);
  Created made;
  // One entry goes at most, so that the caller learns of all that go.
  const auto recycle = [&](ConnId id) {
    if (id == kNoConn || made.recycled != nullptr) {
      return false;
    }
    recycled_ = entries_[id];
    made.recycled = &recycled_;
    erase(id);
    return true;
  };
  Side side;  // the same flow's expired entry, which find() no longer shows
  recycle(find_at(place, tuple, &pair, side));
  Crowd crowd;
  DropReason reason = DropReason::none;
  while (over_limit(source, crowd, reason)) {
    if (!recycle(victim(place, now, crowd))) {
      made.reason = reason;
      return made;
    }
  }
  made.id = take(place);
  if (made.id == kNoConn && recycle(victim(place, now, {}))) {
    made.id = take(place);
  }
  if (made.id == kNoConn) {
    made.reason = DropReason::ct_table_full;
    return made;
  }
  if (tuple.six) {
    pairs_[made.id] = pair;
  }
  Connection& c = begin(made.id, tuple, now, source, destination);
  c.deadline = now + std::max(span_of(c), spans_.grace);
  return made;
}

ConnId ConnTable::open(const Plain& p, Nanos now, EndpointId source, EndpointId destination,
                       uint64_t hash) noexcept {
  const Place place{hash, bucket_mask_};
  Side side;
  if (find_at(place, p.tuple, nullptr, side) != kNoConn) {
    return kNoConn;
  }
  const ConnId id = take(place);
  if (id == kNoConn) {
    return kNoConn;
  }
  Connection& c = begin(id, p.tuple, now, source, destination);
  if (p.tuple.protocol == proto::kTcp) {
    TcpSegment syn;
    syn.seq = p.seq;
    syn.end = p.seq + p.payload + 1;
    syn.window = p.window;
    syn.scale = p.marks.tcp_scale;
    open_window(c.window, c.marks, kOriginal, syn);
    c.tcp = TcpState::syn_sent;
  }
  c.count(kOriginal, p.total_length);
  renew(c, now);
  return id;
}

PacketFlow ConnTable::flow(ConnId id) const noexcept {
  PacketFlow flow;
  flow.tuple = entries_[id].tuple;
  if (flow.tuple.six) {
    flow.pair = pairs_[id];
  }
  return flow;
}

void ConnTable::cut(ConnId id, Nanos now) noexcept {
  entries_[id].tcp = TcpState::close;
  entries_[id].cut = 1;
  entries_[id].deadline = now + kCutFor;
}

void ConnTable::erase(ConnId id) noexcept {
  Connection& c = entries_[id];
  assert(c.live != 0);
  remove(id, place_of(c.tuple));
  c.live = 0;
  embryonic_ -= c.replied == 0 ? 1 : 0;
  if (c.source() != kNoEndpoint) {
    --opened_by_[c.source()];
  }
  free_[free_count_++] = id;
  --size_;
}

void ConnTable::expire(Nanos now, uint32_t slots,
                       const std::function<void(const Connection&)>& gone,
                       const std::function<void(Connection&)>& alive) {
  const double shrunk = shrink();
  for (uint32_t n = std::min(slots, used_); n > 0; --n) {
    sweep_ = sweep_ + 1 < used_ ? sweep_ + 1 : 0;
    Connection& c = entries_[sweep_];
    if (c.live == 0) {
      continue;
    }
    if (!gone_quiet(c, now, shrunk)) {
      if (alive) {
        alive(c);
      }
      continue;
    }
    if (gone) {
      gone(c);
    }
    erase(sweep_);
  }
}

void ConnTable::for_each(const std::function<void(ConnId, const Connection&)>& visit) const {
  for (ConnId id = 0; id < used_; ++id) {
    if (entries_[id].live != 0) {
      visit(id, entries_[id]);
    }
  }
}

}  // namespace sluice
