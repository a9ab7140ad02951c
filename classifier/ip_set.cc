// SPDX-License-Identifier: Apache-2.0
#include "classifier/ip_set.h"

#include <algorithm>

namespace sluice {
namespace {

// IPv4 addresses stand among the IPv6 ones, but "::/0" and other prefixes around them do not
// mean them.
void add_ranges(const Prefix& member, std::vector<AddressSet::Range>& to) {
  const Address first_v4 = Address::of(Ip4{0});
  const Address last_v4 = Address::of(Ip4{UINT32_MAX});
  const bool around = member.base < first_v4 && last_v4 <= member.last();
  if (member.is_v4() || !around) {
    to.push_back({member.base, member.last()});
    return;
  }
  to.push_back({member.base, {0, first_v4.lo - 1}});
  if (last_v4 < member.last()) {
    to.push_back({last_v4.next(), member.last()});
  }
}

}  // namespace

AddressSet::AddressSet(std::span<const Prefix> members) {
  std::vector<Range> sorted;
  for (const Prefix& member : members) {
    add_ranges(member, sorted);
  }
  std::sort(sorted.begin(), sorted.end(), [](const Range& a, const Range& b) {
    return a.first < b.first || (a.first == b.first && a.last < b.last);
  });
  for (const Range& range : sorted) {
    if (ranges_.empty()) {
      ranges_.push_back(range);
      continue;
    }
    Range& previous = ranges_.back();
    const Address after = previous.last.next();
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

Intervals AddressSet::ip4() const {
  std::vector<Interval> out;
  for (const Range& range : ranges_) {
    const Address first = std::max(range.first, Address::of(Ip4{0}));
    const Address last = std::min(range.last, Address::of(Ip4{UINT32_MAX}));
    if (first <= last) {
      out.push_back({first.v4().value, last.v4().value});
    }
  }
  return Intervals(std::move(out));
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
