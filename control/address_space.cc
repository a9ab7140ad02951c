// SPDX-License-Identifier: Apache-2.0
#include "control/address_space.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice::control {

AddressSpace::AddressSpace(const RuleSet& rules)
    : rules_(rules),
      memberships_(rules, std::vector<bool>(rules.lists.size(), true)),
      classes_(memberships_) {
  if (ok()) {
    find_starts();
  }
}

// A class begins where a set begins or has ended.
void AddressSpace::find_starts() {
  starts_ = {Address::of(Ip4{0}), Address{}};
  for (MembershipId id = 0; id < memberships_.size(); ++id) {
    for (const AddressSet::Range& range : memberships_.members(id).ranges()) {
      starts_.insert(range.first);
      const Address after = range.last.next();
      if (after.is_v4() == range.last.is_v4()) {
        starts_.insert(after);
      }
    }
  }
  std::set<std::pair<bool, ClassId>> seen;
  for (const Address& address : starts_) {
    if (seen.emplace(address.is_v4(), classes_.find(address)).second) {
      one_of_class_[address.is_v4() ? 0 : 1].push_back(address);
    }
  }
}

void AddressSpace::collect(const RuleSide& side, std::set<MembershipId>& asked) const {
  for (const auto* sets : {&side.sets, &side.not_sets}) {
    for (const SetId set : *sets) {
      asked.insert(memberships_.of_set(set));
    }
  }
  for (const auto* nets : {&side.nets, &side.not_nets}) {
    if (!nets->empty()) {
      asked.insert(memberships_.of_nets(*nets));
    }
  }
  for (const auto* sets : {&side.port_sets, &side.not_port_sets}) {
    for (const SetId set : *sets) {
      for (const Memberships::PortPair& pair : memberships_.of_port_set(set)) {
        asked.insert(pair.members);
      }
    }
  }
}

AddressSpace::Question AddressSpace::question(std::span<const ListId> lists,
                                              RuleSide Rule::*side) const {
  std::set<MembershipId> asked;
  for (const ListId list : lists) {
    for (const Rule& rule : rules_.lists[list]->rules) {
      collect(rule.*side, asked);
    }
  }
  return {asked.begin(), asked.end()};
}

void AddressSpace::add(const Question& question, const Address& address, Kinds& kinds) const {
  const auto all = classes_.directory().signature(classes_.find(address));
  std::vector<MembershipId> in;
  std::set_intersection(all.begin(), all.end(), question.begin(), question.end(),
                        std::back_inserter(in));
  kinds.try_emplace(std::move(in), address);
}

AddressSpace::Kinds AddressSpace::all(const Question& question, bool v4) const {
  Kinds out;
  for (const Address& address : one_of_class_[v4 ? 0 : 1]) {
    add(question, address, out);
  }
  return out;
}

std::vector<Address> AddressSpace::within(const Prefix& prefix) const {
  std::vector<Address> out = {prefix.base};
  std::copy_if(starts_.upper_bound(prefix.base), starts_.upper_bound(prefix.last()),
               std::back_inserter(out), [&](const Address& a) { return prefix.contains(a); });
  return out;
}

}  // namespace sluice::control
