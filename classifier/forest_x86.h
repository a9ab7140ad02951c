// SPDX-License-Identifier: Apache-2.0
// What the walks for AVX2 and AVX-512 have in common.  As in forest_walk.h, everything is in an
// unnamed namespace: each of the two files has its own.
#ifndef SLUICE_CLASSIFIER_FOREST_X86_H_
#define SLUICE_CLASSIFIER_FOREST_X86_H_

#include <immintrin.h>

#include "classifier/forest_layout.h"

namespace sluice::forest {
namespace {

struct X86 {
  static uint64_t extract(uint64_t word, uint64_t mask) { return _pext_u64(word, mask); }

  static __m128i four_bytes(const uint8_t (&bytes)[kBlockRules]) {
    int word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return _mm_cvtsi32_si128(word);
  }

  // The lowest `count` bits.
  static uint64_t lowest(uint64_t bits, unsigned count) {
    return count < 64 ? bits & ((uint64_t{1} << count) - 1) : bits;
  }
};

}  // namespace
}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_X86_H_
