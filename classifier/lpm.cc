// SPDX-License-Identifier: Apache-2.0
#include "classifier/lpm.h"

#include <algorithm>
#include <cassert>

namespace sluice {
namespace {

constexpr uint32_t kRoots = 4096;     // one per /12
constexpr uint32_t kChunk = 4096;     // one entry per /24 of a /12
constexpr uint32_t kGroupSize = 256;  // one value per address of a /24

}  // namespace

Lpm4::Lpm4() : Lpm4(std::span<const Entry>{}) {}

Lpm4::Lpm4(std::span<const Entry> entries) : root_(kRoots, 0), chunks_(kChunk, kNone) {
  // Shorter prefixes first, so that each entry simply overwrites what lies under it.
  std::vector<Entry> sorted(entries.begin(), entries.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const Entry& a, const Entry& b) {
    return a.prefix.length < b.prefix.length;
  });
  std::vector<bool> owned(kRoots, false);  // roots whose chunk no other root shares
  for (const Entry& entry : sorted) {
    assert(entry.prefix.is_v4() && entry.value < kNone);
    const uint32_t base = entry.prefix.base.v4().value;
    const unsigned length = entry.prefix.written_length();
    const uint32_t root = base >> 20;
    if (length <= 12) {
      // All the /12s inside are alike until something longer splits one: share one chunk.
      const auto chunk = static_cast<uint32_t>(chunks_.size());
      chunks_.insert(chunks_.end(), kChunk, entry.value);
      std::fill_n(root_.begin() + root, uint32_t{1} << (12 - length), chunk);
      continue;
    }
    if (!owned[root]) {
      const auto chunk = static_cast<uint32_t>(chunks_.size());
      chunks_.resize(chunks_.size() + kChunk);
      std::copy_n(chunks_.begin() + root_[root], kChunk, chunks_.begin() + chunk);
      root_[root] = chunk;
      owned[root] = true;
    }
    const uint32_t first = root_[root] + ((base >> 8) & (kChunk - 1));
    if (length <= 24) {
      std::fill_n(chunks_.begin() + first, uint32_t{1} << (24 - length), entry.value);
      continue;
    }
    if ((chunks_[first] & kGroup) == 0) {
      const auto group = static_cast<uint32_t>(groups_.size() / kGroupSize);
      groups_.insert(groups_.end(), kGroupSize, chunks_[first]);
      chunks_[first] = kGroup | group;
    }
    const uint32_t inside = ((chunks_[first] & ~kGroup) << 8) | (base & 0xff);
    std::fill_n(groups_.begin() + inside, uint32_t{1} << (32 - length), entry.value);
  }
}

}  // namespace sluice
