// SPDX-License-Identifier: Apache-2.0
// Where the connection of a tuple is: ConnTable::find and what comes and goes with entries.
#include "fastpath/conntrack_index.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include <immintrin.h>

#include "fastpath/port.h"
#include "fastpath/siphash.h"
#include "fastpath/wide.h"
#include "fastpath/words.h"

namespace sluice {
namespace {

// A tuple in one register, and as reversed() has it.
[[gnu::always_inline]] inline __m128i load(const Tuple& t) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(&t));
}
[[gnu::always_inline]] inline __m256i reversed(__m256i two) {
  static_assert(offsetof(Tuple, dst) == 4 && offsetof(Tuple, src_port) == 8 &&
                offsetof(Tuple, dst_port) == 10 && offsetof(Tuple, icmp_class) == 13);
  const __m128i swap = _mm_setr_epi8(4, 5, 6, 7, 0, 1, 2, 3, 10, 11, 8, 9, 12, 13, 14, 15);
  const __m128i negate = _mm_setr_epi8(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1, 1);
  return _mm256_sign_epi8(_mm256_shuffle_epi8(two, _mm256_broadcastsi128_si256(swap)),
                          _mm256_broadcastsi128_si256(negate));
}
[[gnu::always_inline]] inline __m128i reversed(__m128i t) {
  return _mm256_castsi256_si128(reversed(_mm256_castsi128_si256(t)));
}
[[gnu::always_inline]] inline bool equal(__m128i a, __m128i b) {
  const __m128i difference = _mm_xor_si128(a, b);
  return _mm_testz_si128(difference, difference) != 0;
}

// A bit for each word of 64 bits, all of one value or zero.
[[gnu::always_inline]] inline uint32_t long_bits(__m256i longs) {
  return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(longs)));
}

// Four tuples in two registers: 0 and 1, 2 and 3.
struct FourTuples {
  __m256i a, b;

  [[gnu::always_inline]] FourTuples(const Tuple& t0, const Tuple& t1, const Tuple& t2,
                                    const Tuple& t3)
      : a(_mm256_set_m128i(load(t1), load(t0))), b(_mm256_set_m128i(load(t3), load(t2))) {}
  // A bit for each of 0, 2, 1 and 3: are they equal?
  [[gnu::always_inline]] uint32_t equal(__m256i other_a, __m256i other_b) const {
    const __m256i x = _mm256_cmpeq_epi64(a, other_a), y = _mm256_cmpeq_epi64(b, other_b);
    return long_bits(
        _mm256_and_si256(_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y)));
  }
  // The bits of two times four, each where it belongs.
  static uint32_t in_order(uint32_t bits) {
    return (bits & 0x99) | (bits & 0x22) << 1 | (bits & 0x44) >> 1;
  }
};

}  // namespace

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

// Each one's candidate, which is on its way from memory then; kNoConn if its first bucket has
// none.  Returns those that are in no bucket at all, bit by bit.  Nearly all are in their
// first: the second one is read only if the first says that some are there.
[[gnu::always_inline]] inline uint64_t ConnTable::find_candidates(std::span<const Tuple> tuples,
                                                                  const uint64_t* hashes,
                                                                  ConnId* ids) const noexcept {
  std::array<uint8_t, kMaxBurst> elsewhere;
  size_t others = 0;
  uint64_t absent = 0;
  for (size_t i = 0; i < tuples.size(); ++i) {
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
  return absent;
}

// Of eight candidates those that are what was asked for, of IPv4, and alive, bit by bit; of
// these sides[i] is right.  None where one asks for IPv6.
[[gnu::always_inline]] inline uint32_t ConnTable::confirm_eight(const Tuple* tuples,
                                                                const ConnId* ids, Nanos now,
                                                                Side* sides) const noexcept {
  const Lanes known = load_words(ids) != kNoConn;
  if (bits(known) == 0) {
    return 0;
  }
  const Words slots = only(known, load_words(ids));
  const auto at = [&](unsigned i) { return &entries_[slots[i]]; };
  const __m256i when = _mm256_set1_epi64x(static_cast<int64_t>(now));
  __m256i any = _mm256_setzero_si256();
  uint32_t original = 0, reply = 0, alive = 0;  // in FourTuples' order
#pragma GCC unroll 2
  for (unsigned k = 0; k < kLanes; k += 4) {
    const Connection* c[] = {at(k), at(k + 1), at(k + 2), at(k + 3)};
    const auto deadline = [&](unsigned i) { return static_cast<int64_t>(c[i]->deadline); };
    const FourTuples there(c[0]->tuple, c[1]->tuple, c[2]->tuple, c[3]->tuple);
    const FourTuples asked(tuples[k], tuples[k + 1], tuples[k + 2], tuples[k + 3]);
    const __m256i deadlines =
        _mm256_setr_epi64x(deadline(0), deadline(2), deadline(1), deadline(3));
    original |= there.equal(asked.a, asked.b) << k;
    reply |= there.equal(reversed(asked.a), reversed(asked.b)) << k;
    alive |= long_bits(_mm256_cmpgt_epi64(deadlines, when)) << k;
    any = _mm256_or_si256(any, _mm256_or_si256(asked.a, asked.b));
  }
  constexpr int64_t kSix = int64_t{1} << (8 * (offsetof(Tuple, six) - sizeof(int64_t)));
  if (_mm256_testz_si256(any, _mm256_setr_epi64x(0, kSix, 0, kSix)) == 0) {
    return 0;
  }
  static_assert(kOriginal == 0 && kReply == 1);
  put_bits(~FourTuples::in_order(original), sides);
  return FourTuples::in_order((original | reply) & alive) & bits(known);
}

[[gnu::always_inline]] inline void ConnTable::find_each(
    std::span<const Tuple> tuples, Nanos now, std::span<ConnId> ids, std::span<Side> sides,
    std::span<const AddressPair* const> pairs, std::span<uint64_t> hashes_out) noexcept {
  std::array<uint64_t, kMaxBurst> hashes;
  find_hashes(tuples, hashes.data());
  std::copy_n(hashes.begin(), hashes_out.size(), hashes_out.begin());
  const uint64_t absent = find_candidates(tuples, hashes.data(), ids.data());
  for (size_t first = 0; first < tuples.size(); first += kLanes) {
    const size_t count = std::min<size_t>(tuples.size() - first, kLanes);
    uint32_t others = (1u << count) - 1;
    if (count == kLanes) [[likely]] {
      others &= ~confirm_eight(&tuples[first], &ids[first], now, &sides[first]);
    }
    for (; others != 0; others &= others - 1) {
      const size_t i = first + static_cast<unsigned>(std::countr_zero(others));
      const AddressPair* pair = tuples[i].six ? pairs[i] : nullptr;
      const bool found = ids[i] != kNoConn && is_of(ids[i], tuples[i], sides[i]) &&
                         (!tuples[i].six || is_of_six(ids[i], tuples[i], pair, sides[i])) &&
                         !entries_[ids[i]].expired(now);
      if (!found && (absent >> i & 1) != 0) {
        sides[i] = kOriginal;
      } else if (!found) {
        ids[i] = find_again(tuples[i], hashes[i], pair, now, sides[i]);
      }
    }
  }
}

void ConnTable::find(std::span<const Tuple> tuples, Nanos now, std::span<ConnId> ids,
                     std::span<Side> sides, std::span<const AddressPair* const> pairs,
                     std::span<uint64_t> hashes) noexcept {
  assert(tuples.size() <= kMaxBurst && ids.size() == tuples.size());
  run_best<&ConnTable::find_each>(*this, tuples, now, ids, sides, pairs, hashes);
}

ConnId ConnTable::find_again(const Tuple& tuple, uint64_t hash, const AddressPair* pair,
                             Nanos now, Side& side) const noexcept {
  const Place place{hash, bucket_mask_};
  const ConnId id = find_at(place, tuple, pair, side);
  return id != kNoConn && entries_[id].expired(now) ? kNoConn : id;
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

}  // namespace sluice
