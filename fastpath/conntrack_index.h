// SPDX-License-Identifier: Apache-2.0
// The buckets of a ConnTable, as one who opens a connection needs them: is there one like it,
// and a place for it.  Inlined there; look-ups of bursts are in conntrack_index.cc.
#ifndef SLUICE_FASTPATH_CONNTRACK_INDEX_H_
#define SLUICE_FASTPATH_CONNTRACK_INDEX_H_

#include <bit>

#include <immintrin.h>

#include "fastpath/conntrack.h"

namespace sluice {

// The slots of a bucket that carry a tag, bit by bit.
[[gnu::always_inline]] inline uint32_t ConnTable::slots_with(uint16_t tag,
                                                             uint32_t bucket) const noexcept {
  static_assert(sizeof(Bucket::tags) == sizeof(__m128i));
  const void* tags = buckets_[bucket].tags.data();
  const __m128i equal = _mm_cmpeq_epi16(_mm_load_si128(static_cast<const __m128i*>(tags)),
                                        _mm_set1_epi16(static_cast<short>(tag)));
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
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

}  // namespace sluice

#endif  // SLUICE_FASTPATH_CONNTRACK_INDEX_H_
