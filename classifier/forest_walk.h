// SPDX-License-Identifier: Apache-2.0
// The walk of a burst through a forest, written once for all instruction sets.
//
// In rounds: in each, every key that is still undecided goes through the next tree of its own,
// best priority first.  All keys take a step (root, nodes, blocks) before any takes the next,
// so that their loads overlap; each step prefetches what the next one reads, and keys move
// between the lists of the steps without branches.
// Included by forest_scalar.cc, forest_avx2.cc and forest_avx512.cc, each of which gives an
// `Isa` with three functions: `extract` (gather the bits of a word under a mask), `match`
// (which rules of a block match a key) and `undecided` (for which keys a further tree may hold
// something better, as bits).  The first priorities that count are a burst's `floors`, or none.
// Everything is in an unnamed namespace and free of library templates: no code compiled for one
// processor must end up in another's.
#ifndef SLUICE_CLASSIFIER_FOREST_WALK_H_
#define SLUICE_CLASSIFIER_FOREST_WALK_H_

#include "classifier/forest_layout.h"

namespace sluice::forest {
namespace {

constexpr unsigned kBurst = Forest::kMaxBurst;
constexpr unsigned kSmallTopShift = 32 - 16;  // tables from 64 KiB on are worth a prefetch

struct KeyWords {
  uint64_t word[2];
};

// A step's keys, and where each of them stands.
template <typename T>
struct Front {
  const T* at[kBurst];
  uint32_t key[kBurst];
};

struct Burst {
  KeyWords keys[kBurst];
  uint32_t trees[kBurst];             // bitmap of those worth a visit, after the current one
  alignas(64) uint32_t best[kBurst];  // priority of the best match so far
  alignas(64) uint32_t next[kBurst];  // best priority of the first of `trees`; kNone if none
};

inline void prefetch(const void* address) {
  __builtin_prefetch(address);
}

template <typename T>
inline const T* at_byte(const Line* lines, uint64_t offset) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(lines) + offset);
}

template <typename Isa>
inline uint64_t child_index(const uint64_t (&mask)[2], uint32_t shift, const KeyWords& key) {
  return Isa::extract(key.word[0], mask[0]) | Isa::extract(key.word[1], mask[1]) << shift;
}

// The number of the lowest bit that is set; kMaxTrees if none is.
inline unsigned first_tree(uint32_t trees) {
  return static_cast<unsigned>(__builtin_ctz(trees | 1u << kMaxTrees));
}

// To the root of the key's next tree; returns the child that the key selects there.
template <typename Isa>
inline const uint32_t* enter(const View& view, Burst& burst, unsigned key) {
  const uint32_t trees = burst.trees[key];
  const Root& root = view.roots[first_tree(trees)];
  const uint32_t rest = trees & (trees - 1);
  burst.trees[key] = rest;
  burst.next[key] = view.roots[first_tree(rest)].best_priority;
  const uint32_t* child = at_byte<uint32_t>(view.lines, root.children) +
                          child_index<Isa>(root.mask, root.shift, burst.keys[key]);
  prefetch(child);
  return child;
}

// Down from the children in `front` to leaves, a level at a time.  Returns how many get there.
template <typename Isa>
unsigned descend(const View& view, const Burst& burst, Front<uint32_t>& front, unsigned count,
                 Front<Block>& leaves) {
  const Line* const lines = view.lines;
  Front<Node> nodes;
  unsigned leaf_count = 0;
  while (count != 0) {
    unsigned node_count = 0;
    for (unsigned i = 0; i < count; ++i) {
      const uint32_t child = *front.at[i];
      const uint32_t key = front.key[i];
      const Line* line = lines + (child >> 2);
      prefetch(line);
      prefetch(line + 1);
      leaves.at[leaf_count] = reinterpret_cast<const Block*>(line);
      leaves.key[leaf_count] = key;
      leaf_count += child & kLeaf;
      nodes.at[node_count] = reinterpret_cast<const Node*>(line);
      nodes.key[node_count] = key;
      node_count += (child & kNode) >> 1;
    }
    for (unsigned i = 0; i < node_count; ++i) {
      // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): written below node_count
      const Node& node = *nodes.at[i];
      const uint32_t key = nodes.key[i];
      const uint32_t* child =
          node.first_child + child_index<Isa>(node.mask, node.shift, burst.keys[key]);
      prefetch(child);
      front.at[i] = child;
      front.key[i] = key;
    }
    count = node_count;
  }
  return leaf_count;
}

// In arithmetic, because GCC 12 makes the plain minimum a vector one, with moves there and
// back.
inline uint32_t lesser(uint32_t a, uint32_t b) {
  return b - ((b - a) & (a < b ? UINT32_MAX : 0));
}

// Bit i: rule i of the block has a priority from `floor` on.
inline unsigned reaching(const Block& block, uint32_t floor) {
  unsigned bits = 0;
  for (unsigned i = 0; i < kBlockRules; ++i) {
    bits |= (block.priority[i] >= floor ? 1u : 0u) << i;
  }
  return bits;
}

// Tests the blocks of each leaf, as long as the next one may hold something better.
template <typename Isa, bool kFloors>
void test_leaves(Front<Block>& leaves, unsigned count, Burst& burst, const uint32_t* floors) {
  while (count != 0) {
    unsigned left = 0;
    for (unsigned i = 0; i < count; ++i) {
      const Block* block = leaves.at[i];
      const uint32_t key = leaves.key[i];
      unsigned matching = Isa::match(*block, burst.keys[key]);
      if constexpr (kFloors) {
        matching &= reaching(*block, floors[key]);
      }
      const uint32_t found = (&block->priority[0])[__builtin_ctz(matching | 1u << kBlockRules)];
      const uint32_t best = lesser(found, burst.best[key]);
      burst.best[key] = best;
      leaves.at[left] = block + 1;
      leaves.key[left] = key;
      left += block->next_priority < best ? 1 : 0;
    }
    count = left;
  }
}

template <typename Isa, bool kFloors>
void walk_from(const View& view, const FiveTuple* keys, size_t size, const uint32_t* floors,
               uint32_t* first) {
  const auto count = static_cast<unsigned>(size);
  Burst burst;
  Front<uint32_t> front;
  Front<Block> leaves;
  if (view.top_shift <= kSmallTopShift) {
    for (unsigned i = 0; i < count; ++i) {
      prefetch(&view.top[0][keys[i].src >> view.top_shift]);
      prefetch(&view.top[1][keys[i].dst >> view.top_shift]);
    }
  }
  for (unsigned i = 0; i < count; ++i) {
    __builtin_memcpy(&burst.keys[i], &keys[i], sizeof(FiveTuple));
    burst.trees[i] = static_cast<uint32_t>(view.top[0][keys[i].src >> view.top_shift] &
                                           view.top[1][keys[i].dst >> view.top_shift]);
    burst.best[i] = Forest::kNone;
    front.at[i] = enter<Isa>(view, burst, i);
    front.key[i] = i;
  }
  unsigned entered = count;
  while (entered != 0) {
    const unsigned reached = descend<Isa>(view, burst, front, entered, leaves);
    test_leaves<Isa, kFloors>(leaves, reached, burst, floors);
    entered = 0;
    for (uint64_t open = Isa::undecided(burst, count); open != 0; open &= open - 1) {
      const auto key = static_cast<unsigned>(__builtin_ctzll(open));
      front.at[entered] = enter<Isa>(view, burst, key);
      front.key[entered++] = key;
    }
  }
  for (unsigned i = 0; i < count; ++i) {
    first[i] = burst.best[i];
  }
}

// `floors` is null if all rules count.
template <typename Isa>
void walk(const View& view, const FiveTuple* keys, size_t size, const uint32_t* floors,
          uint32_t* first) {
  floors == nullptr ? walk_from<Isa, false>(view, keys, size, floors, first)
                    : walk_from<Isa, true>(view, keys, size, floors, first);
}

}  // namespace
}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_WALK_H_
