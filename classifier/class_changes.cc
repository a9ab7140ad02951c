// SPDX-License-Identifier: Apache-2.0
#include "classifier/class_changes.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace sluice {
namespace {

using Range = AddressSet::Range;

// Calls visit(address) for the addresses that only one of the sets has.  False once it says so.
template <typename Visit>
bool visit_differences(const AddressSet& a, const AddressSet& b, const Visit& visit) {
  const auto less = [](const Range& x, const Range& y) {
    return x.first < y.first || (x.first == y.first && x.last < y.last);
  };
  std::vector<Range> changed;  // ranges that are not in both as they are
  std::set_symmetric_difference(a.ranges().begin(), a.ranges().end(), b.ranges().begin(),
                                b.ranges().end(), std::back_inserter(changed), less);
  // Each set begins or ends at these, so every other stretch between them is of one set only.
  std::vector<Address> edges;
  for (const Range& range : changed) {
    edges.push_back(range.first);
    if (const Address end = range.last.next(); !end.is_zero()) {
      edges.push_back(end);
    }
  }
  if (edges.size() % 2 != 0) {  // one goes on to the last address of all
    return false;
  }
  std::sort(edges.begin(), edges.end());
  for (size_t i = 0; i < edges.size(); i += 2) {
    for (Address at = edges[i]; at != edges[i + 1]; at = at.next()) {
      if (!visit(at)) {
        return false;
      }
    }
  }
  return true;
}

bool room_for(const std::vector<ClassChange>& changes, const AddressClasses& classes) {
  size_t lines = 0, keys = 0;
  for (const ClassChange& change : changes) {
    if (change.address.is_v4()) {
      lines += classes.ip4().lines_for(change.address.v4());
    } else {
      ++keys;
    }
  }
  return lines <= classes.ip4().lines_free() && keys <= classes.ip6().keys_free();
}

}  // namespace

std::optional<std::vector<ClassChange>> class_changes(const Memberships& before,
                                                      const Memberships& after,
                                                      AddressClasses& classes, size_t limit) {
  if (!after.asks_within(before)) {
    return std::nullopt;
  }
  size_t walked = 0;
  std::map<Address, std::vector<MembershipId>> changed;  // with what each joins or leaves
  for (MembershipId id = 0; id < after.size(); ++id) {
    if (!after.asks(id) || after.same_members(id, before)) {
      continue;
    }
    const bool few =
        visit_differences(before.members(id), after.members(id), [&](const Address& address) {
          changed[address].push_back(id);
          return ++walked <= limit;
        });
    if (!few) {
      return std::nullopt;
    }
  }
  std::vector<ClassChange> out;
  for (const auto& [address, ids] : changed) {
    const auto signature = classes.directory().signature(classes.find(address));
    std::vector<MembershipId> now;
    std::set_symmetric_difference(signature.begin(), signature.end(), ids.begin(), ids.end(),
                                  std::back_inserter(now));
    out.push_back({address, classes.directory().id_of(now)});
  }
  return room_for(out, classes) ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace sluice
