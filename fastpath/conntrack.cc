// SPDX-License-Identifier: Apache-2.0
#include "fastpath/conntrack.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <string>

#include <immintrin.h>
#include <unistd.h>

#include "fastpath/parse_plain.h"
#include "fastpath/port.h"
#include "fastpath/siphash.h"
#include "fastpath/words.h"

namespace sluice {
namespace {

// In a crowded table: what is left of a timeout at least.
constexpr Nanos kLeastSpan = 5 * kSecond, kLeastEstablished = 300 * kSecond;

bool expired(const Connection& c, Nanos now) {
  return c.deadline <= now;
}

// A tuple in one register, and as reversed() has it.
[[gnu::always_inline]] inline __m128i load(const Tuple& t) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(&t));
}
[[gnu::always_inline]] inline __m128i reversed(__m128i t) {
  static_assert(offsetof(Tuple, dst) == 4 && offsetof(Tuple, src_port) == 8 &&
                offsetof(Tuple, dst_port) == 10 && offsetof(Tuple, icmp_class) == 13);
  const __m128i swap = _mm_setr_epi8(4, 5, 6, 7, 0, 1, 2, 3, 10, 11, 8, 9, 12, 13, 14, 15);
  const __m128i negate = _mm_setr_epi8(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1);
  return _mm_sign_epi8(_mm_shuffle_epi8(t, swap), negate);
}
[[gnu::always_inline]] inline bool equal(__m128i a, __m128i b) {
  const __m128i difference = _mm_xor_si128(a, b);
  return _mm_testz_si128(difference, difference) != 0;
}

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

// ---- the index ---------------------------------------------------------------------------

// The words that are hashed: the lower (address, port) end comes first, so both directions give
// the same place.  The class of an ICMP query is left to the comparison: at most four flows
// share a place for it.
[[gnu::always_inline]] inline std::array<uint64_t, 2> ConnTable::ordered(
    const Tuple& t) noexcept {
  const uint64_t src = uint64_t{t.src.value} << 16 | t.src_port;
  const uint64_t dst = uint64_t{t.dst.value} << 16 | t.dst_port;
  // Without a branch, which packets of mixed directions would mispredict every other time.
  const uint64_t swapped = (src ^ dst) & (uint64_t{0} - (dst < src ? 1u : 0u));
  return {(src ^ swapped) | uint64_t{t.protocol} << 48, dst ^ swapped};
}

ConnTable::Place ConnTable::place_of(const Tuple& t) const noexcept {
  const auto [low, high] = ordered(t);
  return {siphash13(key_, low, high), bucket_mask_};
}

// The slots of a bucket that carry a tag, bit by bit.
[[gnu::always_inline]] inline uint32_t ConnTable::slots_with(uint16_t tag,
                                                             uint32_t bucket) const noexcept {
  static_assert(sizeof(Bucket::tags) == sizeof(__m128i));
  const void* tags = buckets_[bucket].tags.data();
  const __m128i equal = _mm_cmpeq_epi16(_mm_load_si128(static_cast<const __m128i*>(tags)),
                                        _mm_set1_epi16(static_cast<short>(tag)));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
}

ConnId ConnTable::candidate(const Place& place, unsigned n) const noexcept {
  return buckets_[place.buckets()[n / kSlots]].ids[n % kSlots];
}

// Is the tuple of the entry, in one direction or the other?  If it is of IPv6, is_of_six() has
// the last word.
[[gnu::always_inline]] inline bool ConnTable::is_of(ConnId id, const Tuple& tuple,
                                                    Side& side) const noexcept {
  // Both are compared: which of them it is, no branch can predict.
  const __m128i entry = load(entries_[id].tuple), asked = load(tuple);
  const bool original = equal(entry, asked), reply = equal(entry, reversed(asked));
  side = static_cast<Side>(!original);
  return original | reply;
}

// The same with the addresses, of which such a tuple has but a part: it may be its own reverse.
bool ConnTable::is_of_six(ConnId id, const Tuple& tuple, const AddressPair* given,
                          Side& side) const noexcept {
  assert(given != nullptr);
  const AddressPair& pair = *given;
  const bool original = entries_[id].tuple == tuple && pairs_[id] == pair;
  const bool reply = entries_[id].tuple == tuple.reversed() && pairs_[id] == pair.reversed();
  side = original ? kOriginal : kReply;
  return original || reply;
}

// The entry of a tuple among the slots with its tag; kNoConn if it is of none of them.
ConnId ConnTable::find_in(uint32_t bucket, uint32_t slots, const Tuple& tuple,
                          const AddressPair* pair, Side& side) const noexcept {
  for (; slots != 0; slots &= slots - 1) {
    const ConnId id = buckets_[bucket].ids[static_cast<unsigned>(std::countr_zero(slots))];
    if (is_of(id, tuple, side) && (!tuple.six || is_of_six(id, tuple, pair, side))) {
      return id;
    }
  }
  return kNoConn;
}

[[gnu::always_inline]] inline void ConnTable::prefetch(ConnId id, bool six) const noexcept {
  const Connection& c = entries_[id];
  __builtin_prefetch(&c, 1);
  __builtin_prefetch(&c.window, 1);
  if (six) {
    __builtin_prefetch(&pairs_[id]);
  }
}

// What ordered() says of eight tuples, as words of which two make one of it.
struct Ordered {
  Words low_begin, low_end, high_begin, high_end;

  [[gnu::always_inline]] static Ordered of(const Tuple* const* tuples) {
    std::array<Words, 4> r;  // two tuples each
#pragma GCC unroll 4
    for (unsigned i = 0; i < r.size(); ++i) {
      r[i] = reinterpret_cast<Words>(_mm256_set_m128i(load(*tuples[i + 4]), load(*tuples[i])));
    }
    transpose_fours(r);
    const auto [src, dst, ports, protocol] = r;
    const Lanes same = src == dst;
    const Lanes swap = (~same & (src > dst)) | (same & ((ports & 0xffff) > (ports >> 16)));
    const Words ends = swap ? ports << 16 | ports >> 16 : ports;
    const Words low = swap ? dst : src, high = swap ? src : dst;
    return {low << 16 | (ends & 0xffff), low >> 16 | (protocol & 0xff) << 16,
            high << 16 | ends >> 16, high >> 16};
  }
};

// Eight at a time, up to the next multiple of eight; and fetches each one's first bucket.
[[gnu::always_inline]] inline void ConnTable::find_hashes(std::span<const Tuple> tuples,
                                                          uint64_t* hashes) const noexcept {
  static_assert(kMaxBurst % kLanes == 0);
  for (size_t i = 0; i < tuples.size(); i += kLanes) {
    std::array<const Tuple*, kLanes> eight;
    for (size_t k = 0; k < kLanes; ++k) {
      eight[k] = &tuples[std::min(i + k, tuples.size() - 1)];
    }
    const Ordered o = Ordered::of(eight.data());
    FourLongs a, b;  // of tuples 0, 1, 4, 5, and of the others
    siphash13<FourLongs>(key_, pair_even(o.low_begin, o.low_end),
                         pair_even(o.high_begin, o.high_end), a);
    siphash13<FourLongs>(key_, pair_odd(o.low_begin, o.low_end),
                         pair_odd(o.high_begin, o.high_end), b);
    const FourLongs begin = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    const FourLongs end = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    std::memcpy(&hashes[i], &begin, sizeof begin);
    std::memcpy(&hashes[i + kLanes / 2], &end, sizeof end);
#pragma GCC unroll 8
    for (size_t k = 0; k < kLanes; ++k) {
      __builtin_prefetch(&buckets_[Place{hashes[i + k], bucket_mask_}.first()]);
    }
  }
}

// Nearly all are in their first bucket: the second one is read only if the first says that some
// are there.
void ConnTable::find(std::span<const Tuple> tuples, Nanos now, std::span<ConnId> ids,
                     std::span<Side> sides, std::span<const AddressPair* const> pairs,
                     std::span<uint64_t> hashes_out) noexcept {
  assert(tuples.size() <= kMaxBurst && ids.size() == tuples.size());
  std::array<uint64_t, kMaxBurst> hashes;
  std::array<uint8_t, kMaxBurst> elsewhere;
  const size_t n = tuples.size();
  size_t others = 0;
  uint64_t absent = 0;  // bit by bit: neither bucket has one like it
  find_hashes(tuples, hashes.data());
  std::copy_n(hashes.begin(), hashes_out.size(), hashes_out.begin());
  for (size_t i = 0; i < n; ++i) {
    const Place place{hashes[i], bucket_mask_};
    const uint32_t with_tag = slots_with(place.tag(), place.first());
    if (with_tag != 0) {
      ids[i] = buckets_[place.first()].ids[static_cast<unsigned>(std::countr_zero(with_tag))];
      prefetch(ids[i], tuples[i].six);
    } else {
      ids[i] = kNoConn;
      if (buckets_[place.first()].elsewhere != 0) {
        __builtin_prefetch(&buckets_[place.second()]);
        elsewhere[others++] = static_cast<uint8_t>(i);
      } else {
        absent |= uint64_t{1} << i;
      }
    }
  }
  for (size_t k = 0; k < others; ++k) {
    const Place place{hashes[elsewhere[k]], bucket_mask_};
    const uint32_t with_tag = slots_with(place.tag(), place.second());
    if (with_tag != 0) {
      prefetch(buckets_[place.second()].ids[static_cast<unsigned>(std::countr_zero(with_tag))],
               tuples[elsewhere[k]].six);
    }
  }
  for (size_t i = 0; i < n; ++i) {
    const bool found = ids[i] != kNoConn && is_of(ids[i], tuples[i], sides[i]) &&
                       (!tuples[i].six || is_of_six(ids[i], tuples[i], pairs[i], sides[i])) &&
                       !expired(entries_[ids[i]], now);
    if (found) [[likely]] {
      continue;
    }
    if ((absent >> i & 1) != 0) {
      sides[i] = kOriginal;
    } else {
      const AddressPair* pair = tuples[i].six ? pairs[i] : nullptr;
      ids[i] = find_again(tuples[i], hashes[i], pair, now, sides[i]);
    }
  }
}

// Where a new flow goes there is hardly ever one that looks like it.
[[gnu::always_inline]] inline ConnId ConnTable::find_at(const Place& place, const Tuple& tuple,
                                                        const AddressPair* pair,
                                                        Side& side) const noexcept {
  side = kOriginal;
  const uint32_t alike = slots_with(place.tag(), place.first());
  const bool more = buckets_[place.first()].elsewhere != 0;
  ConnId id = kNoConn;
  if (alike != 0) {
    id = find_in(place.first(), alike, tuple, pair, side);
  }
  if (id == kNoConn && more) {
    id = find_in(place.second(), slots_with(place.tag(), place.second()), tuple, pair, side);
  }
  return id;
}

ConnId ConnTable::find_again(const Tuple& tuple, uint64_t hash, const AddressPair* pair,
                             Nanos now, Side& side) const noexcept {
  const Place place{hash, bucket_mask_};
  const ConnId id = find_at(place, tuple, pair, side);
  return id != kNoConn && expired(entries_[id], now) ? kNoConn : id;
}

// In the first bucket, where a look-up begins, while it is not crowded; then in the emptier of
// the two, so that both hardly ever overflow.  The second is not in the cache: it is not read
// before.
[[gnu::always_inline]] inline bool ConnTable::insert(ConnId id, const Place& place) noexcept {
  constexpr int kCrowd = kSlots * 3 / 4;
  uint32_t at = place.first();
  uint32_t room = slots_with(0, at);
  if (std::popcount(room) <= static_cast<int>(kSlots) - kCrowd) {
    const uint32_t other = slots_with(0, place.second());
    if (std::popcount(other) > std::popcount(room)) {
      buckets_[at].elsewhere += 1;
      at = place.second();
      room = other;
    }
  }
  if (room == 0) {
    return false;
  }
  const auto slot = static_cast<unsigned>(std::countr_zero(room));
  Bucket& bucket = buckets_[at];
  bucket.tags[slot] = place.tag();
  bucket.ids[slot] = id;
  return true;
}

// REQUIRES: the place is that of the entry.
void ConnTable::remove(ConnId id, const Place& place) noexcept {
  for (const uint32_t b : place.buckets()) {
    Bucket& bucket = buckets_[b];
    for (uint32_t slots = slots_with(place.tag(), b); slots != 0; slots &= slots - 1) {
      const auto slot = static_cast<unsigned>(std::countr_zero(slots));
      if (bucket.ids[slot] == id) {
        bucket.tags[slot] = 0;
        buckets_[place.first()].elsewhere -= b == place.first() ? 0 : 1;
        return;
      }
    }
  }
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
  if (expired(c, now) || shrink >= 1) {
    return expired(c, now);
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
