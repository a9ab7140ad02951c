// SPDX-License-Identifier: Apache-2.0
// SipHash-1-3 of a message of exactly 16 bytes, the size of a packed connection key.
//
// Keyed, and not linear: who does not know the key cannot choose tuples that share a bucket.
// One compression round per word and three to finish, as in Linux' and Rust's hash tables.
// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with c=1 and d=3.
#ifndef SLUICE_FASTPATH_SIPHASH_H_
#define SLUICE_FASTPATH_SIPHASH_H_

#include <array>
#include <bit>
#include <cstdint>

namespace sluice {

struct SipState {
  uint64_t v0, v1, v2, v3;

  constexpr void round() noexcept {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  constexpr void take(uint64_t word) noexcept {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

// The hash of the bytes of `low` and then `high`, each as it lies in memory.
constexpr uint64_t siphash13(const std::array<uint64_t, 2>& key, uint64_t low,
                             uint64_t high) noexcept {
  SipState s{key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
             key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
  s.take(low);
  s.take(high);
  s.take(uint64_t{16} << 56);  // the length
  s.v2 ^= 0xff;
  s.round();
  s.round();
  s.round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_SIPHASH_H_
