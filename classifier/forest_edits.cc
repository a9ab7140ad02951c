// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_edits.h"

#include <array>
#include <cassert>
#include <string>

namespace sluice {
namespace {

Status check(const Forest& base, std::span<const EditedForest::Added> added,
             std::span<const uint32_t> removed) {
  if (base.form() != Forest::Form::trees) {
    return Error{"rule list: a short list takes no edits"};
  }
  if (added.size() > EditedForest::kMaxAdded) {
    return Error{"rule list: " + std::to_string(added.size()) + " added rules exceed " +
                 std::to_string(EditedForest::kMaxAdded)};
  }
  for (size_t i = 0; i < added.size(); ++i) {
    if (added[i].before > base.rules() || (i != 0 && added[i].before < added[i - 1].before)) {
      return Error{"added rule " + std::to_string(i) + ": not in order of its place"};
    }
  }
  for (const uint32_t rule : removed) {
    if (rule >= base.rules()) {
      return Error{"removed rule " + std::to_string(rule) + ": the list has " +
                   std::to_string(base.rules())};
    }
  }
  return Ok{};
}

}  // namespace

Result<EditedForest> EditedForest::make(std::shared_ptr<const Forest> base,
                                        std::span<const Added> added,
                                        std::span<const uint32_t> removed) {
  if (const Status valid = check(*base, added, removed); !valid) {
    return valid.error();
  }
  std::vector<FiveTupleRule> rules;
  std::vector<uint32_t> before;
  for (const Added& a : added) {
    rules.push_back(a.rule);
    before.push_back(a.before);
  }
  Result<Forest> small =
      Forest::make(rules, {.bytes = size_t{64} << 20, .form = Forest::Form::trees});
  if (!small) {
    return small.error();
  }
  EditedForest made(std::move(base), std::move(*small));
  made.before_ = std::move(before);
  made.removed_.resize(made.base_->rules() / 64 + 1);
  for (const uint32_t rule : removed) {
    made.removed_[rule / 64] |= uint64_t{1} << (rule % 64);
  }
  return made;
}

void EditedForest::find(std::span<const FiveTuple> keys, std::span<uint32_t> first,
                        SimdLevel level) const noexcept {
  assert(keys.size() == first.size() && keys.size() <= Forest::kMaxBurst);
  std::array<uint32_t, Forest::kMaxBurst> added;
  base_->find(keys, first, level);
  added_.find(keys, std::span(added).first(keys.size()), level);
  for (size_t i = 0; i < keys.size(); ++i) {
    // An added rule is before the base rule of its place: no later than the first match, it
    // wins whether that match is still there or not.
    const auto added_wins = [&] {
      return added[i] != Forest::kNone && before_[added[i]] <= first[i];
    };
    if (first[i] != Forest::kNone && is_removed(first[i]) && !added_wins()) {
      first[i] = base_->find_among(keys[i], removed_);
    }
    if (added_wins()) {
      first[i] = kAdded | added[i];
    }
  }
}

}  // namespace sluice
