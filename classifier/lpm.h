// SPDX-License-Identifier: Apache-2.0
// Longest-prefix match for IPv4: DIR-24-8 (Gupta, Lin, McKeown, INFOCOM 1998) with a first
// level that is allocated lazily per /12, so a table of a few thousand routes stays small.
//
// Built once by control, only read afterwards, any number of threads.  Values are indices below
// 2^24 - 1.  A look-up costs two or three dependent loads.
#ifndef SLUICE_CLASSIFIER_LPM_H_
#define SLUICE_CLASSIFIER_LPM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "classifier/types.h"

namespace sluice {

class Lpm4 {
 public:
  static constexpr uint32_t kNone = 0xffffff;
  struct Entry {
    Prefix prefix;  // REQUIRES: is_v4()
    uint32_t value = kNone;
  };
  Lpm4();
  // Of two entries with one prefix the later wins.
  explicit Lpm4(std::span<const Entry> entries);

  // The value of the longest prefix that contains `address`, or kNone.
  uint32_t find(Ip4 address) const noexcept {
    const uint32_t* top = &chunks_[root_[address.value >> 20]];
    const uint32_t entry = top[(address.value >> 8) & 0xfff];
    if ((entry & kGroup) == 0) {
      return entry;
    }
    return groups_[((entry & ~kGroup) << 8) | (address.value & 0xff)];
  }

 private:
  static constexpr uint32_t kGroup = 0x80000000;
  std::vector<uint32_t> root_;    // 4096: offset into chunks_ of the 4096 entries of a /12
  std::vector<uint32_t> chunks_;  // value, or kGroup | group index
  std::vector<uint32_t> groups_;  // 256 values per split /24
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LPM_H_
