// SPDX-License-Identifier: Apache-2.0
#include "classifier/ip_set.h"

#include <algorithm>

namespace sluice {
namespace {

// The address after `a`; wraps to zero after the last one.
Address next(Address a) {
  ++a.lo;
  a.hi += a.lo == 0 ? 1 : 0;
  return a;
}

}  // namespace

AddressSet::AddressSet(std::span<const Prefix> members) {
  std::vector<Prefix> sorted(members.begin(), members.end());
  std::sort(sorted.begin(), sorted.end());
  for (const Prefix& member : sorted) {
    const Range range{member.base, member.last()};
    if (ranges_.empty()) {
      ranges_.push_back(range);
      continue;
    }
    Range& previous = ranges_.back();
    const Address after = next(previous.last);
    const bool touches =
        after == Address{} || range.first <= after;  // nothing lies past the end
    if (touches) {
      previous.last = std::max(previous.last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
  ranges_.shrink_to_fit();
}

bool AddressSet::contains(const Address& address) const noexcept {
  const auto above =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](const Address& a, const Range& range) { return a < range.first; });
  return above != ranges_.begin() && address <= std::prev(above)->last;
}

PortSet::PortSet(std::span<const Member> members) : members_(members.begin(), members.end()) {
  std::sort(members_.begin(), members_.end());
  members_.erase(std::unique(members_.begin(), members_.end()), members_.end());
  members_.shrink_to_fit();
}

bool PortSet::contains(const Member& member) const noexcept {
  return std::binary_search(members_.begin(), members_.end(), member);
}

}  // namespace sluice
