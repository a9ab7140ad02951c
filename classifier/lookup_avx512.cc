// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX-512: port boundaries are compared 32 at a time.
#include <algorithm>

#include <immintrin.h>

#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Avx512 {
  static constexpr SimdLevel kLevel = SimdLevel::avx512;

  // How many of the first n values are at most `value`, less one.  Reads a whole block.
  // REQUIRES: n <= PortMap::kBlock.
  static uint32_t in_block(const uint16_t* sorted, uint32_t n, uint32_t value) noexcept {
    const __m512i wanted = _mm512_set1_epi16(static_cast<int16_t>(value));
    const __mmask32 hits = _mm512_cmple_epu16_mask(_mm512_loadu_si512(sorted), wanted);
    return static_cast<uint32_t>(_mm_popcnt_u32(_bzhi_u32(hits, n))) - 1;
  }

  static uint32_t place(const uint16_t* firsts, PortMap::Slice slice, uint32_t value) noexcept {
    if (slice.size > PortMap::kBlock) {
      return place_in_long(firsts, slice, value);
    }
    return slice.start + in_block(firsts + slice.start, slice.size, value);
  }

 private:
  // By the samples: the block, then the place in it.
  static uint32_t place_in_long(const uint16_t* firsts, PortMap::Slice slice,
                                uint32_t value) noexcept {
    const uint32_t samples = (slice.size + PortMap::kBlock - 1) / PortMap::kBlock;
    const uint16_t* samples_at = firsts + slice.start + slice.size;
    const uint32_t block = samples > PortMap::kBlock ? last_at_most(samples_at, samples, value)
                                                     : in_block(samples_at, samples, value);
    const uint32_t before = block * PortMap::kBlock;
    const uint32_t rest = std::min(slice.size - before, PortMap::kBlock);
    return slice.start + before + in_block(firsts + slice.start + before, rest, value);
  }
};

}  // namespace

void classify_avx512(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx512>(tables, burst);
}

}  // namespace sluice
