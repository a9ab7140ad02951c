// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "classifier/forest_walk.h"

namespace sluice::forest {
namespace {

struct Avx512 {
  static uint64_t extract(uint64_t word, uint64_t mask) { return _pext_u64(word, mask); }

  static uint64_t wanted(const Burst& burst, unsigned tree, uint32_t best_priority) {
    const __m512i bit = _mm512_set1_epi32(static_cast<int>(1u << tree));
    const __m512i priority = _mm512_set1_epi32(static_cast<int>(best_priority));
    uint64_t keys = 0;
    for (unsigned i = 0; i < kBurst; i += 16) {
      const __mmask16 visit = _mm512_mask_test_epi32_mask(
          _mm512_cmplt_epu32_mask(priority, _mm512_load_si512(burst.best + i)),
          _mm512_load_si512(burst.trees + i), bit);
      keys |= uint64_t{visit} << i;
    }
    return keys;
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
    const __mmask8 in_ranges = _mm_testn_epi32_mask(beyond, beyond);

    uint32_t protocols;
    uint32_t care;
    __builtin_memcpy(&protocols, block.protocol, sizeof(protocols));
    __builtin_memcpy(&care, block.protocol_care, sizeof(care));
    const auto protocol = static_cast<uint8_t>(key.word[1] >> 32);
    const __m128i wrong =
        _mm_cvtsi32_si128(static_cast<int>((protocol * 0x01010101u ^ protocols) & care));
    const __mmask16 of_protocol = _mm_testn_epi8_mask(wrong, wrong);
    return static_cast<unsigned>(in_nets) & in_ranges & of_protocol;
  }
};

}  // namespace

void find_avx512(const View& view, const FiveTuple* keys, size_t count, uint32_t* first) {
  walk<Avx512>(view, keys, count, first);
}

}  // namespace sluice::forest
