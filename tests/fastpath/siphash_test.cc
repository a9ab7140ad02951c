// SPDX-License-Identifier: Apache-2.0
#include "fastpath/siphash.h"

#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

// SipHash-c-d as the paper writes it, byte by byte, for any length.
uint64_t naive(int c, int d, const std::array<uint64_t, 2>& key, std::vector<uint8_t> bytes) {
  uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                   key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
  const auto left = [](uint64_t x, int n) { return x << n | x >> (64 - n); };
  const auto rounds = [&](int n) {
    while (n-- > 0) {
      v[0] += v[1], v[2] += v[3];
      v[1] = left(v[1], 13), v[3] = left(v[3], 16);
      v[1] ^= v[0], v[3] ^= v[2];
      v[0] = left(v[0], 32);
      v[2] += v[1], v[0] += v[3];
      v[1] = left(v[1], 17), v[3] = left(v[3], 21);
      v[1] ^= v[2], v[3] ^= v[0];
      v[2] = left(v[2], 32);
    }
  };
  const auto length = static_cast<uint8_t>(bytes.size());
  while (bytes.size() % 8 != 7) {
    bytes.push_back(0);
  }
  bytes.push_back(length);
  for (size_t i = 0; i < bytes.size(); i += 8) {
    uint64_t m = 0;
    for (size_t b = 0; b < 8; ++b) {
      m |= uint64_t{bytes[i + b]} << (8 * b);
    }
    v[3] ^= m;
    rounds(c);
    v[0] ^= m;
  }
  v[2] ^= 0xff;
  rounds(d);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

TEST(SipHash, NaiveTwinGivesThePublishedVector) {
  // Aumasson and Bernstein, appendix A: key 00..0f, message 00..0e, SipHash-2-4.
  std::vector<uint8_t> message(15);
  for (uint8_t i = 0; i < 15; ++i) {
    message[i] = i;
  }
  EXPECT_EQ(naive(2, 4, {0x0706050403020100u, 0x0f0e0d0c0b0a0908u}, message),
            0xa129ca6149be45e5u);
}

TEST(SipHash, EqualsItsNaiveTwin) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10000; ++i) {
    const std::array<uint64_t, 2> key = {random(), random()};
    const uint64_t words[2] = {random(), random()};
    std::vector<uint8_t> bytes(16);
    std::memcpy(bytes.data(), words, 16);
    ASSERT_EQ(siphash13(key, words[0], words[1]), naive(1, 3, key, bytes));
  }
}

TEST(SipHash, FourAtATimeAreTheSame) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1000; ++i) {
    const std::array<uint64_t, 2> key = {random(), random()};
    using FourLongs [[gnu::vector_size(32)]] = uint64_t;
    const FourLongs low = {random(), random(), random(), random()};
    const FourLongs high = {random(), random(), random(), random()};
    FourLongs hashes = {};
    siphash13<FourLongs>(key, low, high, hashes);
    for (size_t n = 0; n < 4; ++n) {
      ASSERT_EQ(hashes[n], siphash13(key, low[n], high[n]));
    }
  }
}

}  // namespace
}  // namespace sluice
