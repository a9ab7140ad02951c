// SPDX-License-Identifier: Apache-2.0
// The walk of a burst through a forest, written once for all instruction sets.
//
// Tree by tree, and in a tree step by step for all keys that visit it, so that the loads of one
// step overlap: root, nodes, blocks.  Each step prefetches what the next one reads, and keys
// move between the lists of a step without branches.
// Included by forest_scalar.cc, forest_avx2.cc and forest_avx512.cc, each of which gives an
// `Isa` with three functions: `extract` (gather the bits of a word under a mask), `wanted`
// (which of 64 keys visit a tree) and `match` (which rules of a block match a key).
// Everything is in an unnamed namespace and free of library templates: no code compiled for one
// processor must end up in another's.
#ifndef SLUICE_CLASSIFIER_FOREST_WALK_H_
#define SLUICE_CLASSIFIER_FOREST_WALK_H_

#include "classifier/forest_layout.h"

namespace sluice::forest {
namespace {

constexpr unsigned kBurst = Forest::kMaxBurst;

struct KeyWords {
  uint64_t word[2];
};

// One step's keys, and where each of them stands.
template <typename T>
struct Front {
  const T* at[kBurst];
  uint8_t key[kBurst];
  unsigned count = 0;
};

struct Burst {
  alignas(64) KeyWords keys[kBurst];
  alignas(64) uint32_t trees[kBurst];  // bitmap of those worth a visit
  alignas(64) uint32_t best[kBurst];   // priority of the best match so far
};

inline void prefetch(const void* address) {
  __builtin_prefetch(address);
}

void load_keys(const View& view, const FiveTuple* keys, unsigned count, Burst& burst) {
  for (unsigned i = 0; i < count; ++i) {
    __builtin_memcpy(&burst.keys[i], &keys[i], sizeof(FiveTuple));
    prefetch(&view.top[0][keys[i].src >> view.top_shift]);
    prefetch(&view.top[1][keys[i].dst >> view.top_shift]);
  }
  for (unsigned i = 0; i < kBurst; ++i) {
    burst.trees[i] = 0;
    burst.best[i] = Forest::kNone;
  }
  for (unsigned i = 0; i < count; ++i) {
    burst.trees[i] =
        view.top[0][keys[i].src >> view.top_shift] & view.top[1][keys[i].dst >> view.top_shift];
  }
}

template <typename Isa>
inline uint64_t child_index(const uint64_t (&mask)[2], uint32_t shift, const KeyWords& key) {
  return Isa::extract(key.word[0], mask[0]) | Isa::extract(key.word[1], mask[1]) << shift;
}

// Down from the children in `front` to leaves, a level at a time.
template <typename Isa>
void descend(const View& view, const Burst& burst, Front<uint32_t>& front,
             Front<Block>& leaves) {
  Front<Node> nodes;
  while (front.count != 0) {
    nodes.count = 0;
    for (unsigned i = 0; i < front.count; ++i) {
      const uint32_t child = *front.at[i];
      const Line* line = view.lines + (child >> 2);
      prefetch(line);
      prefetch(line + 1);
      leaves.at[leaves.count] = reinterpret_cast<const Block*>(line);
      leaves.key[leaves.count] = front.key[i];
      leaves.count += child & kLeaf;
      nodes.at[nodes.count] = reinterpret_cast<const Node*>(line);
      nodes.key[nodes.count] = front.key[i];
      nodes.count += (child & kNode) >> 1;
    }
    for (unsigned i = 0; i < nodes.count; ++i) {
      const Node& node = *nodes.at[i];
      const uint8_t key = nodes.key[i];
      const uint32_t* child =
          node.first_child + child_index<Isa>(node.mask, node.shift, burst.keys[key]);
      prefetch(child);
      front.at[i] = child;
      front.key[i] = key;
    }
    front.count = nodes.count;
  }
}

template <typename Isa>
void test_leaves(Front<Block>& leaves, Burst& burst) {
  while (leaves.count != 0) {
    unsigned left = 0;
    for (unsigned i = 0; i < leaves.count; ++i) {
      const Block& block = *leaves.at[i];
      const uint8_t key = leaves.key[i];
      const unsigned matching = Isa::match(block, burst.keys[key]) | 1u << kBlockRules;
      const uint32_t found = (&block.priority[0])[__builtin_ctz(matching)];
      const uint32_t best = found < burst.best[key] ? found : burst.best[key];
      burst.best[key] = best;
      leaves.at[left] = &block + 1;
      leaves.key[left] = key;
      left += block.next_priority < best ? 1 : 0;
    }
    leaves.count = left;
  }
}

template <typename Isa>
void walk(const View& view, const FiveTuple* keys, size_t count, uint32_t* first) {
  Burst burst;
  load_keys(view, keys, static_cast<unsigned>(count), burst);
  Front<uint32_t> front;
  Front<Block> leaves;
  for (unsigned t = 0; t < view.root_count; ++t) {
    const Root& root = view.roots[t];
    const auto* node = reinterpret_cast<const Node*>(view.lines + root.line);
    uint64_t wanted = Isa::wanted(burst, t, root.best_priority);
    front.count = 0;
    leaves.count = 0;
    while (wanted != 0) {
      const auto key = static_cast<uint8_t>(__builtin_ctzll(wanted));
      wanted &= wanted - 1;
      const uint32_t* child =
          node->first_child + child_index<Isa>(root.mask, root.shift, burst.keys[key]);
      prefetch(child);
      front.at[front.count] = child;
      front.key[front.count++] = key;
    }
    descend<Isa>(view, burst, front, leaves);
    test_leaves<Isa>(leaves, burst);
  }
  for (size_t i = 0; i < count; ++i) {
    first[i] = burst.best[i];
  }
}

}  // namespace
}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_WALK_H_
