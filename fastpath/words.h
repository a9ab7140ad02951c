// SPDX-License-Identifier: Apache-2.0
// Words of eight packets side by side, a lane each: what the burst's first stages compute with.
// GCC's vectors; the path is built for processors with AVX2.  Pure functions.
#ifndef SLUICE_FASTPATH_WORDS_H_
#define SLUICE_FASTPATH_WORDS_H_

#include <array>
#include <cstdint>
#include <cstring>

#include <immintrin.h>

namespace sluice {

inline constexpr unsigned kLanes = 8;
using Words [[gnu::vector_size(32)]] = uint32_t;
using Lanes [[gnu::vector_size(32)]] = int32_t;  // of a comparison: -1 where it holds, else 0
using EightWords = std::array<Words, kLanes>;

[[gnu::always_inline]] inline Words all(uint32_t word) {
  return Words{} + word;
}
// Of any eight words in memory.  Whole: vectors put together there would be read late.
[[gnu::always_inline]] inline Words load_words(const void* at) {
  Words words;
  std::memcpy(&words, at, sizeof words);
  return words;
}
// A bit for each lane.
[[gnu::always_inline]] inline uint32_t bits(Lanes lanes) {
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(lanes)));
}
// The first `count` of them.
[[gnu::always_inline]] inline Lanes lanes_below(unsigned count) {
  return Words{0, 1, 2, 3, 4, 5, 6, 7} < all(count);
}
// The lowest bits, each as a byte.
template <typename Byte>
[[gnu::always_inline]] inline void put_bits(uint32_t bits, Byte* eight) {
  static_assert(sizeof(Byte) == 1);
  const __m128i each = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m128i set = _mm_and_si128(_mm_set1_epi8(static_cast<char>(bits)), each);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(eight),
                   _mm_and_si128(_mm_cmpeq_epi8(set, each), _mm_set1_epi8(1)));
}
// Eight bytes, each as a word.
template <typename Byte>
[[gnu::always_inline]] inline Words words_of_bytes(const Byte* bytes) {
  static_assert(sizeof(Byte) == 1);
  return reinterpret_cast<Words>(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
}
// Where the same word stands in a lower lane, too.
[[gnu::always_inline]] inline Lanes repeated(Words w) {
  Lanes out = {};
#pragma GCC unroll 7
  for (unsigned by = 1; by < kLanes; ++by) {
    const Words lane = {0, 1, 2, 3, 4, 5, 6, 7};
    const auto below = reinterpret_cast<Words>(_mm256_permutevar8x32_epi32(
        reinterpret_cast<__m256i>(w), reinterpret_cast<__m256i>((lane - by) & 7)));
    out |= (w == below) & (lane >= all(by));
  }
  return out;
}
[[gnu::always_inline]] inline Words only(Lanes lanes, Words words) {
  return reinterpret_cast<Words>(lanes) & words;
}

// Row r's word c becomes row c's word r.
[[gnu::always_inline]] inline void transpose(EightWords& r) {
  EightWords pairs, fours;
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes; i += 2) {
    pairs[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes; i += 4) {
#pragma GCC unroll 2
    for (unsigned k = 0; k < 2; ++k) {
      const Words low = pairs[i + k], high = pairs[i + 2 + k];
      fours[i + 2 * k] = __builtin_shufflevector(low, high, 0, 1, 8, 9, 4, 5, 12, 13);
      fours[i + 2 * k + 1] = __builtin_shufflevector(low, high, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
#pragma GCC unroll 8
  for (unsigned i = 0; i < kLanes / 2; ++i) {
    r[i] = __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    r[i + 4] = __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

// The same of two times four rows of four words, one in each half of `r`.
[[gnu::always_inline]] inline void transpose_fours(std::array<Words, 4>& r) {
  const Words a = __builtin_shufflevector(r[0], r[1], 0, 8, 1, 9, 4, 12, 5, 13);
  const Words b = __builtin_shufflevector(r[0], r[1], 2, 10, 3, 11, 6, 14, 7, 15);
  const Words c = __builtin_shufflevector(r[2], r[3], 0, 8, 1, 9, 4, 12, 5, 13);
  const Words d = __builtin_shufflevector(r[2], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
  r = {__builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13),
       __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15),
       __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13),
       __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15)};
}

// Words of 64 bits of a lower and an upper half each: of the lanes 0, 1, 4 and 5, and of the
// others.
using FourLongs [[gnu::vector_size(32)]] = uint64_t;
[[gnu::always_inline]] inline FourLongs pair_even(Words lower, Words upper) {
  return reinterpret_cast<FourLongs>(
      __builtin_shufflevector(lower, upper, 0, 8, 1, 9, 4, 12, 5, 13));
}
[[gnu::always_inline]] inline FourLongs pair_odd(Words lower, Words upper) {
  return reinterpret_cast<FourLongs>(
      __builtin_shufflevector(lower, upper, 2, 10, 3, 11, 6, 14, 7, 15));
}

// Every other word of sixteen, from the first or from the second on.
[[gnu::always_inline]] inline Words even_words(Words a, Words b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
[[gnu::always_inline]] inline Words odd_words(Words a, Words b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}

// From network to host order and back: of each word, of each half of it.
[[gnu::always_inline]] inline Words swap_words(Words w) {
  using Bytes [[gnu::vector_size(32)]] = char;
  const auto b = reinterpret_cast<Bytes>(w);
  return reinterpret_cast<Words>(
      __builtin_shufflevector(b, b, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19,
                              18, 17, 16, 23, 22, 21, 20, 27, 26, 25, 24, 31, 30, 29, 28));
}
[[gnu::always_inline]] inline Words swap_halves(Words w) {
  const Words swapped = swap_words(w);
  return swapped << 16 | swapped >> 16;
}

// For sums of RFC 1071, of less than 2^16 halves: the halves of each word added up; is the sum
// a multiple of 2^16 - 1?  REQUIRES: it is not zero.
[[gnu::always_inline]] inline Words halves(Words w) {
  return (w & 0xffff) + (w >> 16);
}
[[gnu::always_inline]] inline Lanes is_all_ones(Words sum) {
  return halves(halves(sum)) == 0xffff;
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_WORDS_H_
