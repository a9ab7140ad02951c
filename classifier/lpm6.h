// SPDX-License-Identifier: Apache-2.0
// Longest-prefix match for IPv6: one hash table of masked prefixes, asked once for each prefix
// length that is present, the longest first.  A node has a handful of lengths (/128 pods and
// addresses, /122 blocks, /64 links, /0), so a look-up costs about as many loads; 129 at most.
//
// Built once by control, only read afterwards, any number of threads.  Values are indices below
// 2^24 - 1.  The table is at most half full, so a probe ends after a few slots; prefixes are
// the cluster's, whoever sends packets cannot make them collide.
#ifndef SLUICE_CLASSIFIER_LPM6_H_
#define SLUICE_CLASSIFIER_LPM6_H_

#include <cstdint>
#include <span>
#include <vector>

#include "classifier/lpm.h"
#include "classifier/types.h"

namespace sluice {

class Lpm6 {
 public:
  static constexpr uint32_t kNone = Lpm4::kNone;
  struct Entry {
    Prefix prefix;  // REQUIRES: !is_v4()
    uint32_t value = kNone;
  };
  Lpm6() : Lpm6(std::span<const Entry>{}) {}
  // Of two entries with one prefix the later wins.
  explicit Lpm6(std::span<const Entry> entries);

  // The value of the longest prefix that contains `address`, or kNone.  No prefix, ::/0
  // neither, has an IPv4 address.
  uint32_t find(const Address& address) const noexcept {
    if (address.is_v4()) {
      return kNone;
    }
    for (const Level& level : levels_) {
      const Address base = {address.hi & level.mask.hi, address.lo & level.mask.lo};
      const uint32_t value = slots_[slot_of(base, level.length)].value;
      if (value != kNone) {
        return value;
      }
    }
    return kNone;
  }

 private:
  struct Level {
    Address mask;
    uint8_t length = 0;
  };
  struct Slot {
    Address base;
    uint32_t value = kNone;  // kNone: free
    uint8_t length = 0;
  };

  // Where the prefix stands, or the free slot where it would.
  size_t slot_of(const Address& base, uint8_t length) const noexcept {
    uint64_t hash = (base.hi ^ length) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ (hash >> 32) ^ base.lo) * 0xd6e8feb86659fd93u;
    size_t slot = (hash ^ (hash >> 32)) & (slots_.size() - 1);
    while (slots_[slot].value != kNone &&
           (slots_[slot].length != length || slots_[slot].base != base)) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }

  std::vector<Level> levels_;  // the longest first
  std::vector<Slot> slots_;    // a power of two, half of them free
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LPM6_H_
