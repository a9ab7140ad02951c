// SPDX-License-Identifier: Apache-2.0
// The burst look-up for processors with AVX-512: port boundaries are compared 32 at a time.
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
    return lookup::place_by_blocks<Avx512>(firsts, slice, value);
  }

  // Bit j: the word `i + j` of eight has a term.
  static uint32_t live(const lookup::Bits& bits, size_t i) noexcept {
    const auto eight = [i](const uint64_t* from) { return _mm512_loadu_si512(from + i); };
    return _mm512_test_epi64_mask(_mm512_and_si512(eight(bits.source), eight(bits.destination)),
                                  _mm512_and_si512(eight(bits.column), eight(bits.port)));
  }
};

}  // namespace

void classify_avx512(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Avx512>(tables, burst);
}

}  // namespace sluice
