// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest.h"

#include <cassert>
#include <string>

#include "classifier/forest_build.h"
#include "classifier/forest_layout.h"
#include "classifier/forest_tables.h"

namespace sluice {

namespace {

Status check(std::span<const FiveTupleRule> rules) {
  if (rules.size() > Forest::kMaxRules) {
    return Error{"rule list: " + std::to_string(rules.size()) + " rules exceed " +
                 std::to_string(Forest::kMaxRules)};
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    const FiveTupleRule& rule = rules[i];
    if (rule.src_length > 32 || rule.dst_length > 32) {
      return Error{"rule " + std::to_string(i) + ": a prefix is longer than 32 bits"};
    }
    if (rule.src_port.low > rule.src_port.high || rule.dst_port.low > rule.dst_port.high) {
      return Error{"rule " + std::to_string(i) + ": a port range is empty"};
    }
  }
  return Ok{};
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& vector) {
  return std::as_bytes(std::span(vector));
}

const forest::Lookups& lookups(SimdLevel level) {
  return level == SimdLevel::avx512 ? forest::kAvx512
         : level == SimdLevel::avx2 ? forest::kAvx2
                                    : forest::kScalar;
}

}  // namespace

Forest::Forest() = default;
Forest::Forest(Forest&&) noexcept = default;
Forest& Forest::operator=(Forest&&) noexcept = default;
Forest::~Forest() = default;

Result<Forest> Forest::make(std::span<const FiveTupleRule> rules, const Limits& limits) {
  if (const Status valid = check(rules); !valid) {
    return valid.error();
  }
  Forest made;
  made.rules_ = rules.size();
  if (limits.form != Form::trees) {
    made.tables_ = forest::build_tables(rules, limits.bytes);
  }
  if (made.tables_ == nullptr && limits.form != Form::tables) {
    made.trees_ = forest::build_trees(rules, limits.bytes);
  }
  if (made.tables_ != nullptr) {
    made.memory_ = {bytes_of(made.tables_->first.cells),
                    bytes_of(made.tables_->addresses.cells)};
  } else if (made.trees_ != nullptr) {
    made.memory_ = {bytes_of(made.trees_->lines), bytes_of(made.trees_->top[0]),
                    bytes_of(made.trees_->top[1])};
  } else {
    return Error{"rule list: " + std::to_string(rules.size()) + " rules need more than the " +
                 std::to_string(limits.bytes) + " bytes allowed"};
  }
  return made;
}

void Forest::find(std::span<const FiveTuple> keys, std::span<uint32_t> first,
                  SimdLevel level) const noexcept {
  assert(keys.size() == first.size() && keys.size() <= kMaxBurst);
  if (tables_ != nullptr) {
    lookups(level).tables(*tables_, keys.data(), keys.size(), first.data());
  } else {
    lookups(level).trees(trees_->view, keys.data(), keys.size(), nullptr, first.data());
  }
}

void Forest::find_from(std::span<const FiveTuple> keys, std::span<const uint32_t> floors,
                       std::span<uint32_t> first, SimdLevel level) const noexcept {
  assert(trees_ != nullptr && keys.size() == first.size() && keys.size() <= kMaxBurst &&
         keys.size() == floors.size());
  lookups(level).trees(trees_->view, keys.data(), keys.size(), floors.data(), first.data());
}

unsigned Forest::trees() const {
  return trees_ != nullptr ? trees_->count : 0;
}

size_t Forest::bytes() const {
  if (tables_ != nullptr) {
    return tables_->bytes();
  }
  return bytes_of(trees_->top[0]).size() + bytes_of(trees_->top[1]).size() +
         bytes_of(trees_->roots).size() + bytes_of(trees_->lines).size();
}

}  // namespace sluice
