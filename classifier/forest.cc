// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest.h"

#include <cassert>
#include <string>

#include "classifier/forest_build.h"
#include "classifier/forest_layout.h"

namespace sluice {

namespace forest {
struct Tables {};
}  // namespace forest

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

}  // namespace

SimdLevel best_simd_level() noexcept {
  if (__builtin_cpu_supports("bmi2") == 0 || __builtin_cpu_supports("avx2") == 0) {
    return SimdLevel::scalar;
  }
  const bool wide =
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return wide ? SimdLevel::avx512 : SimdLevel::avx2;
}

Forest::Forest() = default;
Forest::Forest(Forest&&) noexcept = default;
Forest& Forest::operator=(Forest&&) noexcept = default;
Forest::~Forest() = default;

Result<Forest> Forest::make(std::span<const FiveTupleRule> rules, const Limits& limits) {
  if (const Status valid = check(rules); !valid) {
    return valid.error();
  }
  Forest made;
  made.trees_ = forest::build_trees(rules, limits.bytes);
  if (made.trees_ == nullptr) {
    return Error{"rule list: " + std::to_string(rules.size()) + " rules need more than the " +
                 std::to_string(limits.bytes) + " bytes allowed"};
  }
  switch (limits.simd) {
    case SimdLevel::scalar:
      made.find_trees_ = forest::find_scalar;
      break;
    case SimdLevel::avx2:
      made.find_trees_ = forest::find_avx2;
      break;
    case SimdLevel::avx512:
      made.find_trees_ = forest::find_avx512;
      break;
  }
  made.memory_ = {bytes_of(made.trees_->lines), bytes_of(made.trees_->top[0]),
                  bytes_of(made.trees_->top[1])};
  return made;
}

void Forest::find(std::span<const FiveTuple> keys, std::span<uint32_t> first) const noexcept {
  assert(keys.size() == first.size() && keys.size() <= kMaxBurst);
  find_trees_(trees_->view, keys.data(), keys.size(), first.data());
}

unsigned Forest::trees() const {
  return trees_->count;
}

size_t Forest::bytes() const {
  return bytes_of(trees_->top[0]).size() + bytes_of(trees_->top[1]).size() +
         bytes_of(trees_->roots).size() + bytes_of(trees_->lines).size();
}

}  // namespace sluice
