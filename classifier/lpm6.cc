// SPDX-License-Identifier: Apache-2.0
#include "classifier/lpm6.h"

#include <bit>
#include <bitset>
#include <cassert>

namespace sluice {

Lpm6::Lpm6(std::span<const Entry> entries) : slots_(std::bit_ceil(entries.size() * 2 + 1)) {
  std::bitset<129> present;
  for (const Entry& entry : entries) {
    assert(!entry.prefix.is_v4() && entry.value < kNone);
    slots_[slot_of(entry.prefix.base, entry.prefix.length)] = {entry.prefix.base, entry.value,
                                                               entry.prefix.length};
    present.set(entry.prefix.length);
  }
  for (unsigned length = 129; length-- > 0;) {
    if (present[length]) {
      const Address ones = {~uint64_t{0}, ~uint64_t{0}};
      levels_.push_back({Prefix::of(ones, length).base, static_cast<uint8_t>(length)});
    }
  }
}

}  // namespace sluice
