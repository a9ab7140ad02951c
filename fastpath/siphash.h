// SPDX-License-Identifier: Apache-2.0
// SipHash-1-3 of a message of exactly 16 bytes, the size of a packed connection key.
//
// Keyed, and not linear: who does not know the key cannot choose tuples that share a bucket.
// One compression round per word and three to finish, as in Linux' and Rust's hash tables.
// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with c=1 and d=3.
#ifndef SLUICE_FASTPATH_SIPHASH_H_
#define SLUICE_FASTPATH_SIPHASH_H_

#include <array>
#include <cstdint>

namespace sluice {

// Of one message, or of as many as a vector has lanes of 64 bits.
template <typename Word>
struct SipState {
  Word v0, v1, v2, v3;

  static constexpr void rotate(Word& word, int bits) noexcept {
    if constexpr (sizeof(Word) == 32) {
      if (bits % 16 == 0) {  // one step instead of three
        using Halves [[gnu::vector_size(32)]] = uint16_t;
        const auto w = reinterpret_cast<Halves>(word);
        word = reinterpret_cast<Word>(
            bits == 32 ? __builtin_shufflevector(w, w, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14,
                                                 15, 12, 13)
                       : __builtin_shufflevector(w, w, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15,
                                                 12, 13, 14));
        return;
      }
    }
    word = word << bits | word >> (64 - bits);
  }
  constexpr void round() noexcept {
    v0 += v1;
    rotate(v1, 13);
    v1 ^= v0;
    rotate(v0, 32);
    v2 += v3;
    rotate(v3, 16);
    v3 ^= v2;
    v0 += v3;
    rotate(v3, 21);
    v3 ^= v0;
    v2 += v1;
    rotate(v1, 17);
    v1 ^= v2;
    rotate(v2, 32);
  }
  constexpr void take(const Word& word) noexcept {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

// The hash of the bytes of `low` and then `high`, each as it lies in memory.
template <typename Word>
[[gnu::always_inline]] inline constexpr void siphash13(const std::array<uint64_t, 2>& key,
                                                       const Word& low, const Word& high,
                                                       Word& hash) noexcept {
  const Word zero = {};
  SipState<Word> s{zero + (key[0] ^ 0x736f6d6570736575u), zero + (key[1] ^ 0x646f72616e646f6du),
                   zero + (key[0] ^ 0x6c7967656e657261u),
                   zero + (key[1] ^ 0x7465646279746573u)};
  s.take(low);
  s.take(high);
  s.take(zero + (uint64_t{16} << 56));  // the length
  s.v2 ^= zero + 0xff;
  s.round();
  s.round();
  s.round();
  hash = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
constexpr uint64_t siphash13(const std::array<uint64_t, 2>& key, uint64_t low,
                             uint64_t high) noexcept {
  uint64_t hash = 0;
  siphash13<uint64_t>(key, low, high, hash);
  return hash;
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_SIPHASH_H_
