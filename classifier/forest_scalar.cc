// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_tables_walk.h"
#include "classifier/forest_walk.h"

namespace sluice::forest {
namespace {

struct Scalar {
  static uint32_t not_above(const Boundaries::Line& line, uint32_t address) {
    uint32_t count = 0;
    for (const uint32_t at : line.at) {
      count += at <= address ? 1 : 0;
    }
    return count;
  }

  static uint64_t extract(uint64_t word, uint64_t mask) {
    uint64_t bits = 0;
    for (unsigned i = 0; mask != 0; ++i, mask &= mask - 1) {
      bits |= (word >> __builtin_ctzll(mask) & 1) << i;
    }
    return bits;
  }

  // Bit i: rule i of the block matches.
  static unsigned match(const Block& block, const KeyWords& key) {
    const auto src_port = static_cast<uint16_t>(key.word[1]);
    const auto dst_port = static_cast<uint16_t>(key.word[1] >> 16);
    const auto protocol = static_cast<uint8_t>(key.word[1] >> 32);
    unsigned matching = 0;
    for (unsigned i = 0; i < kBlockRules; ++i) {
      const bool hit =
          ((key.word[0] ^ block.value[i]) & block.care[i]) == 0 &&
          static_cast<uint16_t>(src_port - block.low[i].src) <= block.extent[i].src &&
          static_cast<uint16_t>(dst_port - block.low[i].dst) <= block.extent[i].dst &&
          ((protocol ^ block.protocol[i]) & block.protocol_care[i]) == 0;
      matching |= (hit ? 1u : 0u) << i;
    }
    return matching;
  }

  static uint64_t undecided(const Burst& burst, unsigned count) {
    uint64_t keys = 0;
    for (unsigned i = 0; i < count; ++i) {
      keys |= uint64_t{burst.next[i] < burst.best[i]} << i;
    }
    return keys;
  }
};

}  // namespace

const Lookups kScalar = {walk<Scalar>, find_by_classes<Scalar>};

}  // namespace sluice::forest
