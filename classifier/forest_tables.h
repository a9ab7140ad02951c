// SPDX-License-Identifier: Apache-2.0
// The form of a forest for about a thousand rules: tables over classes of field values.
//
// After RFC (Gupta, McKeown, SIGCOMM 1999).  Two values of a field are of one class if the same
// rules hold for both.  A key's five classes are combined pairwise, each pair by one table:
//
//   src, dst ─► addresses ─┐
//   dst port, protocol ─► service ─┐├─► first rule
//                 src port ────────┴► l4 ┘
//
// At last, classes that no key can tell apart by its answer are merged, in all tables.
// An address finds its class by a search in sorted boundaries, sixteen compared at a time; a
// port by two loads, pages with equal content being kept once.
// Built by control, read by any number of workers.  Lists beyond the bounds below become trees.
#ifndef SLUICE_CLASSIFIER_FOREST_TABLES_H_
#define SLUICE_CLASSIFIER_FOREST_TABLES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "classifier/forest.h"

namespace sluice::forest {

inline constexpr size_t kMaxTableRules = 2048;
inline constexpr size_t kMaxCells = size_t{1} << 20;  // of one table, before merging
inline constexpr size_t kMaxAddressCells = size_t{1} << 18;
inline constexpr size_t kMaxTableBytes = size_t{2} << 20;  // beyond, trees are as fast
inline constexpr uint16_t kNoRule = UINT16_MAX;

// Sorted numbers in lines of sixteen, a tree with 17 ways at each.
inline constexpr unsigned kWays = 17;
struct Boundaries {
  struct alignas(64) Line {
    uint32_t at[kWays - 1];
  };
  unsigned levels = 0;
  std::vector<Line> lines;        // level by level
  std::vector<uint16_t> classes;  // by how many boundaries are not above the address
};

struct PortClasses {
  std::array<uint16_t, 256> page = {};  // of the high byte, in units of 256 classes
  std::vector<uint16_t> classes;
};

struct Cross {
  uint32_t columns = 0;
  std::vector<uint16_t> cells;
};

struct Tables {
  Boundaries src, dst;
  PortClasses src_port, dst_port;
  std::array<uint16_t, 256> protocol = {};
  Cross addresses;  // src x dst
  Cross service;    // dst port x protocol
  Cross l4;         // service x src port
  Cross first;      // addresses x l4: the first rule, or kNoRule

  size_t bytes() const;
};

// Null if the list does not suit, or if it would take more than `max_bytes`.
// REQUIRES: rules are valid (lengths, ranges).
std::unique_ptr<Tables> build_tables(std::span<const FiveTupleRule> rules, size_t max_bytes);

}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_TABLES_H_
