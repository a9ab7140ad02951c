// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_tables_walk.h"
#include "classifier/forest_walk.h"
#include "classifier/forest_x86.h"

namespace sluice::forest {
namespace {

struct Avx2 : X86 {
  static uint32_t not_above(const Boundaries::Line& line, uint32_t address) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(address));
    uint32_t bits = 0;
    for (const unsigned half : {0u, 8u}) {
      const __m256i at = _mm256_load_si256(reinterpret_cast<const __m256i*>(line.at + half));
      const __m256i reached = _mm256_cmpeq_epi32(_mm256_max_epu32(all, at), all);
      bits |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(reached))) << half;
    }
    return static_cast<uint32_t>(_mm_popcnt_u32(bits));
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

    const __m128i protocol = _mm_set1_epi8(static_cast<char>(key.word[1] >> 32));
    const __m128i wrong = _mm_and_si128(_mm_xor_si128(protocol, four_bytes(block.protocol)),
                                        four_bytes(block.protocol_care));
    const int of_protocol =
        _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm256_castsi256_si128(zero)));
    return static_cast<unsigned>(in_nets & in_ranges & of_protocol);
  }

  static uint64_t undecided(const Burst& burst, unsigned count) {
    uint64_t keys = 0;
    for (unsigned i = 0; i < count; i += 8) {
      const __m256i next = _mm256_load_si256(reinterpret_cast<const __m256i*>(burst.next + i));
      const __m256i best = _mm256_load_si256(reinterpret_cast<const __m256i*>(burst.best + i));
      const __m256i settled = _mm256_cmpeq_epi32(_mm256_min_epu32(next, best), best);
      const auto eight =
          ~static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(settled)));
      keys |= uint64_t{eight & 0xff} << i;
    }
    return lowest(keys, count);
  }
};

}  // namespace

const Lookups kAvx2 = {walk<Avx2>, find_by_classes<Avx2>};

}  // namespace sluice::forest
