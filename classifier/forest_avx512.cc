// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_tables_walk.h"
#include "classifier/forest_walk.h"
#include "classifier/forest_x86.h"

namespace sluice::forest {
namespace {

struct Avx512 : X86 {
  static uint32_t not_above(const Boundaries::Line& line, uint32_t address) {
    const __mmask16 reached = _mm512_cmple_epu32_mask(
        _mm512_load_si512(line.at), _mm512_set1_epi32(static_cast<int>(address)));
    return static_cast<uint32_t>(_mm_popcnt_u32(reached));
  }

  static unsigned match(const Block& block, const KeyWords& key) {
    const __m256i addresses = _mm256_set1_epi64x(static_cast<int64_t>(key.word[0]));
    const __m256i differ = _mm256_xor_si256(
        addresses, _mm256_load_si256(reinterpret_cast<const __m256i*>(block.value)));
    const __mmask8 in_nets = _mm256_testn_epi64_mask(
        differ, _mm256_load_si256(reinterpret_cast<const __m256i*>(block.care)));

    const __m128i ports = _mm_set1_epi32(static_cast<int>(key.word[1]));
    const __m128i above =
        _mm_sub_epi16(ports, _mm_load_si128(reinterpret_cast<const __m128i*>(block.low)));
    // What is left after saturation lies beyond the range.
    const __m128i beyond =
        _mm_subs_epu16(above, _mm_load_si128(reinterpret_cast<const __m128i*>(block.extent)));
    const __mmask8 in_ranges = _mm_mask_testn_epi32_mask(in_nets, beyond, beyond);

    const __m128i protocol = _mm_set1_epi8(static_cast<char>(key.word[1] >> 32));
    return _mm_mask_testn_epi8_mask(in_ranges,
                                    _mm_xor_si128(protocol, four_bytes(block.protocol)),
                                    four_bytes(block.protocol_care));
  }

  static uint64_t undecided(const Burst& burst, unsigned count) {
    uint64_t keys = 0;
    for (unsigned i = 0; i < count; i += 16) {
      const __mmask16 open = _mm512_cmplt_epu32_mask(_mm512_load_si512(burst.next + i),
                                                     _mm512_load_si512(burst.best + i));
      keys |= uint64_t{open} << i;
    }
    return lowest(keys, count);
  }
};

}  // namespace

const Lookups kAvx512 = {walk<Avx512>, find_by_classes<Avx512>};

}  // namespace sluice::forest
