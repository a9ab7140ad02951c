// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX-512: port boundaries are compared 32 at a time.
#include <immintrin.h>

#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Avx512 {
  static constexpr uint32_t kLanes = 32;

  // Reads up to PortMap::kSlack values past the n.
  static uint32_t last_at_most(const uint16_t* sorted, uint32_t n, uint32_t value) noexcept {
    uint32_t skipped = 0;
    while (n - skipped > kLanes) {
      const uint32_t half = (n - skipped) / 2;
      if (sorted[skipped + half] <= value) {
        skipped += half;
      } else {
        n = skipped + half;
      }
    }
    const __m512i wanted = _mm512_set1_epi16(static_cast<int16_t>(value));
    const __mmask32 valid = _bzhi_u32(~0u, n - skipped);
    const __mmask32 hits =
        _mm512_mask_cmple_epu16_mask(valid, _mm512_loadu_si512(sorted + skipped), wanted);
    return skipped + static_cast<uint32_t>(_mm_popcnt_u32(hits)) - 1;
  }
};

}  // namespace

void classify_avx512(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx512>(tables, burst);
}

}  // namespace sluice
