// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX2: port boundaries are compared 16 at a time.
#include <algorithm>

#include <immintrin.h>

#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Avx2 {
  static constexpr SimdLevel kLevel = SimdLevel::avx2;

  // How many of the first n values are at most `value`, less one.  Reads a whole block.
  // REQUIRES: n <= PortMap::kBlock.
  static uint32_t in_block(const uint16_t* sorted, uint32_t n, uint32_t value) noexcept {
    const __m256i wanted = _mm256_set1_epi16(static_cast<int16_t>(value));
    const auto at_most = [&](const uint16_t* from) {
      const __m256i some = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      return static_cast<uint32_t>(
          _mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_max_epu16(some, wanted), wanted)));
    };
    const uint64_t hits = at_most(sorted) | uint64_t{at_most(sorted + 16)}
                                                << 32;  // two bits each
    return static_cast<uint32_t>(_mm_popcnt_u64(_bzhi_u64(hits, uint64_t{n} * 2))) / 2 - 1;
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

void classify_avx2(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx2>(tables, burst);
}

}  // namespace sluice
