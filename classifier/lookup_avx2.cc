// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX2: port boundaries are compared 16 at a time.
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
    return lookup::place_by_blocks<Avx2>(firsts, slice, value);
  }

  // Bit j: the word `i + j` of eight has a term.
  static uint32_t live(const lookup::Bits& bits, size_t i) noexcept {
    return half(bits, i) | half(bits, i + 4) << 4;
  }

 private:
  static uint32_t half(const lookup::Bits& bits, size_t i) noexcept {
    const auto four = [i](const uint64_t* from) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    };
    const __m256i all =
        _mm256_and_si256(_mm256_and_si256(four(bits.source), four(bits.destination)),
                         _mm256_and_si256(four(bits.column), four(bits.port)));
    const __m256i none = _mm256_cmpeq_epi64(all, _mm256_setzero_si256());
    return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(none))) ^ 0xf;
  }
};

}  // namespace

void classify_avx2(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx2>(tables, burst);
}

}  // namespace sluice
