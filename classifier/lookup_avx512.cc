// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX-512: port boundaries are compared 32 at a time.
#include <immintrin.h>

#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Avx512 {
  static constexpr SimdLevel kLevel = SimdLevel::avx512;

  using Words [[gnu::vector_size(64)]] = uint32_t;

  // As those of lookup::Scalar, which says what they do.
  static uint32_t below(const PortMap::Line& line, uint32_t value) noexcept {
    const __m512i wanted = _mm512_set1_epi16(static_cast<int16_t>(value));
    const __m512i values = _mm512_load_si512(line.values.data());
    return static_cast<uint32_t>(_mm_popcnt_u32(_mm512_cmplt_epu16_mask(values, wanted)));
  }

  static uint32_t live(const lookup::Bits& bits, size_t i) noexcept {
    const auto eight = [i](const uint64_t* from) { return _mm512_loadu_si512(from + i); };
    return _mm512_test_epi64_mask(_mm512_and_si512(eight(bits.source), eight(bits.destination)),
                                  _mm512_and_si512(eight(bits.column), eight(bits.port)));
  }

  static uint64_t signs(const Words& words) noexcept {
    return _mm512_movepi32_mask(__m512i(words));
  }

  static void unpack(const Words& cells, Verdict* verdicts) noexcept {
    const auto [low, high] = outcome::halves(cells);
    const __m512i first =
        _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i second = _mm512_or_si512(first, _mm512_set1_epi32(8));
    _mm512_storeu_si512(verdicts,
                        _mm512_permutex2var_epi32(__m512i(low), first, __m512i(high)));
    _mm512_storeu_si512(verdicts + 8,
                        _mm512_permutex2var_epi32(__m512i(low), second, __m512i(high)));
  }
};

}  // namespace

void classify_avx512(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx512>(tables, burst);
}

}  // namespace sluice
