// SPDX-License-Identifier: Apache-2.0
// How the trees of a forest lie in memory: what forest_build writes and forest_walk reads.
//
//   Trees ── top[0], top[1]: bitmap of trees worth a visit, by the top bits of src and of dst
//         ── roots:          one per tree, best priority first
//         ── lines:          nodes and blocks, in units of a cache line
//
// A key is two words: src | dst << 32, and src port | dst port << 16 | protocol << 32.  A node
// picks bits of both with two masks; they are the index of its child.  A child is 4 bytes: 0
// for nothing, else the line it starts at and what it is.  A leaf is one or more blocks, one
// behind the other, in order of priority.
#ifndef SLUICE_CLASSIFIER_FOREST_LAYOUT_H_
#define SLUICE_CLASSIFIER_FOREST_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "classifier/forest.h"

namespace sluice::forest {

inline constexpr unsigned kBlockRules = 4;
inline constexpr unsigned kMaxTrees = 8;

struct alignas(64) Line {
  uint32_t words[16];
};

// Four rules.  Slots without a rule come last and have priority kNone, so it does no harm if
// they match.
struct alignas(64) Block {
  struct Ports {
    uint16_t src = 0;
    uint16_t dst = 0;
  };
  uint64_t value[kBlockRules];  // addresses, as in the key's first word
  uint64_t care[kBlockRules];
  Ports low[kBlockRules];
  Ports extent[kBlockRules];  // high - low
  uint32_t priority[kBlockRules];
  uint32_t none;           // kNone: what a search that found nothing reads behind `priority`
  uint32_t next_priority;  // the best of the block behind this one; kNone if this is the last
  uint8_t protocol[kBlockRules];
  uint8_t protocol_care[kBlockRules];
};
static_assert(sizeof(Block) == 128);

// Followed by 2^bits children.
struct Node {
  uint64_t mask[2];
  uint32_t shift;  // bits in mask[1]
  uint32_t first_child[1];
};
static_assert(offsetof(Node, first_child) == 20);

// A child: line << 2 | kind.
inline constexpr uint32_t kLeaf = 1;
inline constexpr uint32_t kNode = 2;

// The root node of a tree, with what decides whether to go there.
struct Root {
  uint64_t mask[2] = {};
  uint32_t shift = 0;
  uint32_t best_priority = UINT32_MAX;
  uint64_t children = 0;  // where they begin, in bytes from the first line
};

// What a lookup reads.
struct View {
  unsigned top_shift = 32;  // address >> top_shift is the index into `top`
  const uint8_t* top[2] = {};
  // By number of the tree; those that are not there, and number kMaxTrees, have nothing in them
  // and no key finds anything better there.
  const Root* roots = nullptr;
  const Line* lines = nullptr;
};

// Its memory.
struct Trees {
  std::vector<uint8_t> top[2];
  std::vector<Root> roots;
  std::vector<Line> lines;
  unsigned count = 0;
  View view;
};

// The lookups of one SimdLevel, compiled in a file of its own with its own compiler flags.
// REQUIRES: count <= Forest::kMaxBurst.
struct Tables;
struct Lookups {
  // For key i, rules before floors[i] do not count; all do if `floors` is null.
  void (*trees)(const View& view, const FiveTuple* keys, size_t count, const uint32_t* floors,
                uint32_t* first);
  void (*tables)(const Tables& tables, const FiveTuple* keys, size_t count, uint32_t* first);
};
extern const Lookups kScalar, kAvx2, kAvx512;

}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_LAYOUT_H_
