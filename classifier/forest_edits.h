// SPDX-License-Identifier: Apache-2.0
// A forest with a few edits beside it, so that one rule's change need not compile a long list.
//
// Added rules (at most kMaxAdded) are a small forest of their own, compiled at each edit;
// removed ones are bits, looked at only when one of them is the answer.  Control publishes an
// EditedForest per edit, which shares the base, and compiles the whole list in the background
// once edits become many.
// Immutable; any number of workers read it.  `find` costs two lookups; a key whose first match
// was removed is walked once more, alone.
#ifndef SLUICE_CLASSIFIER_FOREST_EDITS_H_
#define SLUICE_CLASSIFIER_FOREST_EDITS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "classifier/forest.h"

namespace sluice {

class EditedForest {
 public:
  static constexpr size_t kMaxAdded = 256;
  static constexpr uint32_t kAdded = uint32_t{1} << 31;  // marks an index into `added`

  struct Added {
    uint32_t before = 0;  // of the base list; its size: behind all
    FiveTupleRule rule;
  };

  // `added` is in order of `before`; rules added at one place stay in their order.  `removed`
  // are indices of the base list.  Fails if `base` is not in form `trees` (short lists are
  // compiled again as quickly), `added` is too long or out of order, or an index is not there.
  static Result<EditedForest> make(std::shared_ptr<const Forest> base,
                                   std::span<const Added> added,
                                   std::span<const uint32_t> removed);

  // As Forest::find; the answer is an index of the base list, or kAdded | index of `added`.
  void find(std::span<const FiveTuple> keys, std::span<uint32_t> first,
            SimdLevel level) const noexcept;

 private:
  EditedForest(std::shared_ptr<const Forest> base, Forest added)
      : base_(std::move(base)), added_(std::move(added)) {}
  bool is_removed(uint32_t rule) const { return (removed_[rule / 64] >> (rule % 64) & 1) != 0; }

  std::shared_ptr<const Forest> base_;
  Forest added_;
  std::vector<uint32_t> before_;   // of each added rule
  std::vector<uint64_t> removed_;  // a bit for each rule of the base list
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_FOREST_EDITS_H_
