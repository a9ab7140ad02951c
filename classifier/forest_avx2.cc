// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "classifier/forest_walk.h"

namespace sluice::forest {
namespace {

struct Avx2 {
  static uint64_t extract(uint64_t word, uint64_t mask) { return _pext_u64(word, mask); }

  static uint64_t wanted(const Burst& burst, unsigned tree, uint32_t best_priority) {
    const __m256i bit = _mm256_set1_epi32(static_cast<int>(1u << tree));
    // best > priority, unsigned, is: max(best, priority + 1) == best.
    const __m256i limit = _mm256_set1_epi32(static_cast<int>(best_priority + 1));
    uint64_t keys = 0;
    for (unsigned i = 0; i < kBurst; i += 8) {
      const __m256i trees =
          _mm256_load_si256(reinterpret_cast<const __m256i*>(burst.trees + i));
      const __m256i best = _mm256_load_si256(reinterpret_cast<const __m256i*>(burst.best + i));
      const __m256i visit =
          _mm256_and_si256(_mm256_cmpeq_epi32(_mm256_and_si256(trees, bit), bit),
                           _mm256_cmpeq_epi32(_mm256_max_epu32(best, limit), best));
      const int eight = _mm256_movemask_ps(_mm256_castsi256_ps(visit));
      keys |= uint64_t{static_cast<uint32_t>(eight)} << i;
    }
    return keys;
  }

  static unsigned match(const Block& block, const KeyWords& key) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i addresses = _mm256_set1_epi64x(static_cast<int64_t>(key.word[0]));
    const __m256i differ = _mm256_and_si256(
        _mm256_xor_si256(addresses,
                         _mm256_load_si256(reinterpret_cast<const __m256i*>(block.value))),
        _mm256_load_si256(reinterpret_cast<const __m256i*>(block.care)));
    const int in_nets =
        _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(differ, zero)));

    const __m128i ports = _mm_set1_epi32(static_cast<int>(key.word[1]));
    const __m128i above =
        _mm_sub_epi16(ports, _mm_load_si128(reinterpret_cast<const __m128i*>(block.low)));
    // What is left after saturation lies beyond the range.
    const __m128i beyond =
        _mm_subs_epu16(above, _mm_load_si128(reinterpret_cast<const __m128i*>(block.extent)));
    const int in_ranges = _mm_movemask_ps(
        _mm_castsi128_ps(_mm_cmpeq_epi32(beyond, _mm256_castsi256_si128(zero))));

    uint32_t protocols;
    uint32_t care;
    __builtin_memcpy(&protocols, block.protocol, sizeof(protocols));
    __builtin_memcpy(&care, block.protocol_care, sizeof(care));
    const auto protocol = static_cast<uint8_t>(key.word[1] >> 32);
    const uint32_t wrong = (protocol * 0x01010101u ^ protocols) & care;
    const __m128i bytes = _mm_cvtsi32_si128(static_cast<int>(wrong));
    const int of_protocol =
        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm256_castsi256_si128(zero)));
    return static_cast<unsigned>(in_nets & in_ranges & of_protocol);
  }
};

}  // namespace

void find_avx2(const View& view, const FiveTuple* keys, size_t count, uint32_t* first) {
  walk<Avx2>(view, keys, count, first);
}

}  // namespace sluice::forest
