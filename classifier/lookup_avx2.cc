// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX2: port boundaries are compared 16 at a time.
#include <immintrin.h>

#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Avx2 {
  static constexpr SimdLevel kLevel = SimdLevel::avx2;

  using Words [[gnu::vector_size(32)]] = uint32_t;

  // As those of lookup::Scalar, which says what they do.
  static uint32_t below(const PortMap::Line& line, uint32_t value) noexcept {
    const __m256i wanted = _mm256_set1_epi16(static_cast<int16_t>(value));
    const auto at_least = [&](const uint16_t* from) {
      const __m256i some = _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
      return _mm256_cmpeq_epi16(_mm256_max_epu16(some, wanted), some);
    };
    const __m256i bytes =
        _mm256_packs_epi16(at_least(line.values.data()), at_least(line.values.data() + 16));
    const auto others = static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
    return static_cast<uint32_t>(_mm_popcnt_u32(~others));
  }

  static uint32_t live(const lookup::Bits& bits, size_t i) noexcept {
    return half(bits, i) | half(bits, i + 4) << 4;
  }

  static uint64_t signs(const Words& words) noexcept {
    return static_cast<uint32_t>(_mm256_movemask_ps(__m256(words)));
  }

  static void unpack(const Words& cells, Verdict* verdicts) noexcept {
    const auto [low, high] = outcome::halves(cells);
    const __m256i even = _mm256_unpacklo_epi32(__m256i(low), __m256i(high));  // 0 1 4 5
    const __m256i odd = _mm256_unpackhi_epi32(__m256i(low), __m256i(high));   // 2 3 6 7
    auto* to = reinterpret_cast<__m256i*>(verdicts);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
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
