// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX2: port boundaries are compared 16 at a time.
#include <immintrin.h>

#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Avx2 {
  static constexpr uint32_t kLanes = 16;

  // Reads up to PortMap::kSlack values past the n.
  static uint32_t last_at_most(const uint16_t* sorted, uint32_t n, uint32_t value) noexcept {
    uint32_t skipped = 0;
    while (n - skipped > 2 * kLanes) {
      const uint32_t half = (n - skipped) / 2;
      if (sorted[skipped + half] <= value) {
        skipped += half;
      } else {
        n = skipped + half;
      }
    }
    const __m256i wanted = _mm256_set1_epi16(static_cast<int16_t>(value));
    const auto at_most = [&](uint32_t from) {
      const __m256i some =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sorted + skipped + from));
      return static_cast<uint32_t>(
          _mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_max_epu16(some, wanted), wanted)));
    };
    const uint64_t hits = at_most(0) | uint64_t{at_most(kLanes)} << 32;  // two bits each
    const uint64_t valid = _bzhi_u64(~uint64_t{0}, 2 * (n - skipped));
    return skipped + static_cast<uint32_t>(_mm_popcnt_u64(hits & valid)) / 2 - 1;
  }
};

}  // namespace

void classify_avx2(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx2>(tables, burst);
}

}  // namespace sluice
