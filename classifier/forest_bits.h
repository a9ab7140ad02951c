// SPDX-License-Identifier: Apache-2.0
// Which header bits tell a list of rules apart best: the heart of building a tree.
//
// A rule is seen as 104 ternary bits; a port range counts as the bits that all its ports have
// in common.  Bits are taken greedily: each time the one that leaves the smallest sum of
// squares of the parts that are still larger than a block.  A rule that is wild in the bit
// falls into both parts, so the sum pays for replication by itself.
// Used by control while a forest is built, on one thread; long lists are judged by a sample.
#ifndef SLUICE_CLASSIFIER_FOREST_BITS_H_
#define SLUICE_CLASSIFIER_FOREST_BITS_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "classifier/forest.h"

namespace sluice::forest {

inline constexpr unsigned kKeyBits = 104;

// The bits of a rule in the order of the key's two words.  value is 0 where care is.
struct Ternary {
  uint64_t value[2] = {};
  uint64_t care[2] = {};
  static Ternary of(const FiveTupleRule& rule);
  bool cares(unsigned bit) const { return (care[bit / 64] >> (bit % 64) & 1) != 0; }
  bool one(unsigned bit) const { return (value[bit / 64] >> (bit % 64) & 1) != 0; }
};

class BitChooser {
 public:
  struct Bounds {
    unsigned bits = 0;         // at most so many are taken
    unsigned wild = kKeyBits;  // a rule wild in more of them is left out: it goes elsewhere
    double growth = 2;         // the parts together may hold so many times the rules
  };
  // The chosen bits for `rules` (indices into `all`), best first; none if no bit helps.
  // The span is valid until the next call.
  std::span<const uint8_t> choose(std::span<const Ternary> all, std::span<const uint32_t> rules,
                                  const Bounds& bounds);

 private:
  struct Counts {  // of the rules of one part that have a bit as 0 and as 1
    std::array<uint16_t, kKeyBits> zero, one;
  };
  void sample(std::span<const Ternary> all, std::span<const uint32_t> rules);
  void count(std::span<const uint16_t> part, Counts& counts) const;
  void weigh(std::span<const uint16_t> part);
  bool take(const Bounds& bounds);
  void split(unsigned bit, unsigned wild);
  void keep(std::span<const uint16_t> part, unsigned bit, bool one, unsigned wild);

  std::vector<Ternary> rules_;       // the sample
  std::vector<uint8_t> wild_;        // per rule: chosen bits in which it is wild
  std::vector<uint8_t> candidates_;  // bits that differ somewhere and are not chosen
  std::vector<uint16_t> members_;    // the parts larger than a block, one behind the other
  std::vector<uint32_t> ends_;
  std::vector<uint16_t> next_members_;
  std::vector<uint32_t> next_ends_;
  std::array<uint64_t, kKeyBits> cost_;  // what the parts would cost after taking this bit
  std::array<uint32_t, kKeyBits> replicas_;
  std::vector<uint8_t> chosen_;
  uint64_t current_cost_ = 0;
  size_t settled_ = 0;  // rules in parts that a block holds
};

}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_BITS_H_
