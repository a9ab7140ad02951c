// SPDX-License-Identifier: Apache-2.0
// One key's way through the trees, plainly, past rules that are no longer there.
#include <algorithm>
#include <bit>
#include <cstring>

#include "classifier/forest_layout.h"

namespace sluice::forest {
namespace {

uint64_t extract(uint64_t word, uint64_t mask) {
  uint64_t bits = 0;
  for (unsigned i = 0; mask != 0; ++i, mask &= mask - 1) {
    bits |= (word >> std::countr_zero(mask) & 1) << i;
  }
  return bits;
}

bool matches(const Block& block, unsigned i, const FiveTuple& key, uint64_t addresses) {
  return ((addresses ^ block.value[i]) & block.care[i]) == 0 &&
         static_cast<uint16_t>(key.src_port - block.low[i].src) <= block.extent[i].src &&
         static_cast<uint16_t>(key.dst_port - block.low[i].dst) <= block.extent[i].dst &&
         ((key.protocol ^ block.protocol[i]) & block.protocol_care[i]) == 0;
}

bool is_set(std::span<const uint64_t> bits, uint32_t i) {
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}

// The leaf of a tree that the key reaches; null if there is none.
const Block* leaf_of(const View& view, const Root& root, const uint64_t (&words)[2]) {
  uint64_t line = root.children / sizeof(Line);  // a node's children begin in its first line
  uint32_t child = kNode;
  while ((child & kNode) != 0) {
    const auto* node = reinterpret_cast<const Node*>(view.lines + line);
    child = node->first_child[extract(words[0], node->mask[0]) |
                              extract(words[1], node->mask[1]) << node->shift];
    line = child >> 2;
  }
  return child == 0 ? nullptr : reinterpret_cast<const Block*>(view.lines + line);
}

// The first rule of a block that matches and is still there; kNone if there is none.
uint32_t first_live(const Block& block, const FiveTuple& key, uint64_t addresses,
                    std::span<const uint64_t> removed) {
  for (unsigned i = 0; i < kBlockRules; ++i) {
    const uint32_t rule = block.priority[i];
    if (rule != Forest::kNone && matches(block, i, key, addresses) && !is_set(removed, rule)) {
      return rule;
    }
  }
  return Forest::kNone;
}

}  // namespace

uint32_t find_live(const View& view, const FiveTuple& key, std::span<const uint64_t> removed) {
  uint64_t words[2];
  std::memcpy(words, &key, sizeof(key));
  uint32_t best = Forest::kNone;
  auto trees = static_cast<unsigned>(view.top[0][key.src >> view.top_shift] &
                                     view.top[1][key.dst >> view.top_shift]);
  for (; trees != 0; trees &= trees - 1) {
    const Block* block = leaf_of(view, view.roots[std::countr_zero(trees)], words);
    for (bool more = block != nullptr; more; ++block) {
      best = std::min(best, first_live(*block, key, words[0], removed));
      more = block->next_priority < best;
    }
  }
  return best;
}

}  // namespace sluice::forest
