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

}  // namespace

uint32_t find_live(const View& view, const FiveTuple& key, std::span<const uint64_t> removed) {
  uint64_t words[2];
  std::memcpy(words, &key, sizeof(key));
  uint32_t best = Forest::kNone;
  unsigned trees = static_cast<unsigned>(view.top[0][key.src >> view.top_shift] &
                                         view.top[1][key.dst >> view.top_shift]);
  for (; trees != 0; trees &= trees - 1) {
    const Root& root = view.roots[std::countr_zero(trees)];
    uint64_t line = root.children / sizeof(Line);  // a node's children begin in its first line
    uint32_t child = kNode;
    while ((child & kNode) != 0) {
      const auto* node = reinterpret_cast<const Node*>(view.lines + line);
      child = node->first_child[extract(words[0], node->mask[0]) |
                                extract(words[1], node->mask[1]) << node->shift];
      line = child >> 2;
    }
    if (child == 0) {
      continue;
    }
    const auto* block = reinterpret_cast<const Block*>(view.lines + line);
    for (bool more = true; more; ++block) {
      for (unsigned i = 0; i < kBlockRules; ++i) {
        const uint32_t rule = block->priority[i];
        if (rule < best && matches(*block, i, key, words[0]) &&
            (removed[rule / 64] >> (rule % 64) & 1) == 0) {
          best = rule;
        }
      }
      more = block->next_priority < best;
    }
  }
  return best;
}

}  // namespace sluice::forest
