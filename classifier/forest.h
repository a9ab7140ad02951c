// SPDX-License-Identifier: Apache-2.0
// First match over long lists of literal IPv4 five-tuple rules: tier C of the classifier.
//
// Input is an ordered list; the answer for a key is the index of the first rule that matches.
// Two forms, chosen by size: *tables* (forest_tables.h) while the cross product of the fields'
// classes is small, about a thousand rules; and *trees*, a forest of bit-selection trees
// (after D2BS and PextCuts) whose leaves hold four rules in two cache lines.  Rules that no
// chosen bit could tell apart go to a further tree; a key visits the trees that two tables over
// the top bits of its addresses name, best priority first, and stops when none can do better.
//
// IPv6 lists do not come here: their rules are kept as address sets and bit vectors.
// Written once by control (make), then immutable and read by any number of workers; `find`
// neither allocates nor fails.  Bounds: 2^24 rules, 8 trees, Limits::bytes of memory.
#ifndef SLUICE_CLASSIFIER_FOREST_H_
#define SLUICE_CLASSIFIER_FOREST_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "classifier/result.h"
#include "classifier/simd.h"
#include "classifier/types.h"

namespace sluice {

// What is looked up.  Addresses and ports in host order; `zero` must stay zero, because the
// lookup reads the struct as two words.
struct FiveTuple {
  uint32_t src = 0;
  uint32_t dst = 0;
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint8_t protocol = 0;
  uint8_t zero[3] = {};
  friend bool operator==(const FiveTuple&, const FiveTuple&) = default;
};
static_assert(sizeof(FiveTuple) == 16);

// A rule: all five parts must hold.  Host bits of the addresses may be set; they are ignored.
struct FiveTupleRule {
  uint32_t src = 0;
  uint32_t dst = 0;
  uint8_t src_length = 0;  // 0..32
  uint8_t dst_length = 0;
  PortRange src_port = {0, 0xffff};
  PortRange dst_port = {0, 0xffff};
  uint8_t protocol = 0;
  bool any_protocol = true;

  static constexpr uint32_t mask(unsigned length) {
    return length == 0 ? 0 : ~uint32_t{0} << (32 - length);
  }
  constexpr bool matches(const FiveTuple& key) const {
    return ((key.src ^ src) & mask(src_length)) == 0 &&
           ((key.dst ^ dst) & mask(dst_length)) == 0 && src_port.contains(key.src_port) &&
           dst_port.contains(key.dst_port) && (any_protocol || protocol == key.protocol);
  }
  friend bool operator==(const FiveTupleRule&, const FiveTupleRule&) = default;
};

namespace forest {
struct Trees;
struct Tables;
}  // namespace forest

class Forest {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kMaxBurst = 64;
  static constexpr size_t kMaxRules = size_t{1} << 24;

  enum class Form : uint8_t { automatic, tables, trees };
  struct Limits {
    size_t bytes = size_t{1} << 30;  // of memory; to make it takes up to about thrice as much
    Form form = Form::automatic;
  };

  // Compiles `rules`.  Fails if there are more than kMaxRules, a rule has a length above 32 or
  // an empty range, or the result would not fit `limits`; nothing is kept then.
  // O(n log n) for lists as people write them.
  static Result<Forest> make(std::span<const FiveTupleRule> rules, const Limits& limits);
  static Result<Forest> make(std::span<const FiveTupleRule> rules) {
    return make(rules, Limits{});
  }

  // Writes the index of the first rule that matches keys[i], or kNone, to first[i].
  // REQUIRES: keys.size() == first.size() <= kMaxBurst; the processor has the level.
  void find(std::span<const FiveTuple> keys, std::span<uint32_t> first,
            SimdLevel level) const noexcept;

  // The same among the rules from floors[i] on.
  // REQUIRES: as find; form() == Form::trees; floors.size() == keys.size().
  void find_from(std::span<const FiveTuple> keys, std::span<const uint32_t> floors,
                 std::span<uint32_t> first, SimdLevel level) const noexcept;

  Form form() const { return tables_ != nullptr ? Form::tables : Form::trees; }
  size_t rules() const { return rules_; }
  size_t bytes() const;    // of memory
  unsigned trees() const;  // 0 in form `tables`

  // The memory that lookups read, for an owner who wants huge pages under it.
  std::span<const std::span<const std::byte>> memory() const { return memory_; }

  Forest(Forest&&) noexcept;
  Forest& operator=(Forest&&) noexcept;
  ~Forest();

 private:
  Forest();

  std::unique_ptr<forest::Trees> trees_;
  std::unique_ptr<forest::Tables> tables_;
  std::vector<std::span<const std::byte>> memory_;
  size_t rules_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_FOREST_H_
