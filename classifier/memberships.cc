// SPDX-License-Identifier: Apache-2.0
#include "classifier/memberships.h"

#include <algorithm>

namespace sluice {

Memberships::Memberships(const RuleSet& rules, const std::vector<bool>& read,
                         const Memberships* previous)
    : sets_(rules.address_sets.size(), kNotAsked), previous_(previous) {
  members_.assign(previous == nullptr ? 0 : previous->size(), Shared<AddressSet>());
  asked_.assign(members_.size(), false);
  literal_ = previous == nullptr ? std::vector<bool>() : previous->literal_;
  for (size_t list = 0; list < rules.lists.size(); ++list) {
    if (!read[list]) {
      continue;
    }
    for (const Rule& rule : rules.lists[list]->rules) {
      add_side(rules, rule.source);
      add_side(rules, rule.destination);
    }
  }
  previous_ = nullptr;
}

void Memberships::ask(MembershipId id, Shared<AddressSet> members) {
  members_[id] = std::move(members);
  asked_[id] = true;
}

MembershipId Memberships::next() {
  members_.emplace_back();
  asked_.push_back(false);
  literal_.push_back(false);
  return static_cast<MembershipId>(members_.size() - 1);
}

void Memberships::add_side(const RuleSet& rules, const RuleSide& side) {
  for (const auto* sets : {&side.sets, &side.not_sets}) {
    for (const SetId set : *sets) {
      if (sets_[set] != kNotAsked) {
        continue;
      }
      const bool known = previous_ != nullptr && set < previous_->sets_.size() &&
                         previous_->sets_[set] != kNotAsked;
      const MembershipId id = known ? previous_->sets_[set] : next();
      sets_[set] = id;
      ask(id, rules.address_sets[set]);
    }
  }
  for (const auto* sets : {&side.port_sets, &side.not_port_sets}) {
    for (const SetId set : *sets) {
      add_port_set(rules, set);
    }
  }
  add_nets(side.nets);
  add_nets(side.not_nets);
}

void Memberships::add_nets(const std::vector<Prefix>& nets) {
  if (nets.empty() || nets_.contains(nets)) {
    return;
  }
  const bool known = previous_ != nullptr && previous_->nets_.contains(nets);
  const MembershipId id = known ? previous_->nets_.at(nets) : next();
  nets_[nets] = id;
  literal_[id] = true;
  ask(id, known ? previous_->members_[id] : Shared<AddressSet>(AddressSet(nets)));
}

void Memberships::add_port_set(const RuleSet& rules, SetId set) {
  if (pairs_.contains(set)) {
    return;
  }
  std::vector<PortPair>& pairs = pairs_[set];
  const Shared<PortSet>& port_set = rules.port_sets[set];
  port_sets_[set] = port_set;
  const auto before = previous_ == nullptr ? port_sets_.end() : previous_->port_sets_.find(set);
  if (previous_ != nullptr && before != previous_->port_sets_.end() &&
      before->second.is(port_set)) {
    pairs = previous_->pairs_.at(set);
    for (const PortPair& pair : pairs) {
      by_pair_[{set, pair.protocol, pair.port}] = pair.members;
      ask(pair.members, previous_->members_[pair.members]);
    }
    return;
  }
  std::map<std::pair<uint8_t, uint16_t>, std::vector<Prefix>> addresses;
  for (const PortSet::Member& member : port_set->members()) {
    if (proto::has_ports(member.protocol)) {
      addresses[{member.protocol, member.port}].push_back({member.address, 128});
    }
  }
  for (const auto& [pair, members] : addresses) {
    const PairKey key{set, pair.first, pair.second};
    const bool known = previous_ != nullptr && previous_->by_pair_.contains(key);
    const MembershipId id = known ? previous_->by_pair_.at(key) : next();
    by_pair_[key] = id;
    ask(id, AddressSet(members));
    pairs.push_back({pair.first, pair.second, id});
  }
}

bool Memberships::asks_within(const Memberships& other) const {
  const auto all_in = [](const auto& mine, const auto& theirs) {
    return std::all_of(mine.begin(), mine.end(), [&](const auto& entry) {
      const auto found = theirs.find(entry.first);
      return found != theirs.end() && found->second == entry.second;
    });
  };
  for (SetId set = 0; set < sets_.size(); ++set) {
    const bool same = set < other.sets_.size() && sets_[set] == other.sets_[set];
    if (sets_[set] != kNotAsked && !same) {
      return false;
    }
  }
  return all_in(nets_, other.nets_) && all_in(by_pair_, other.by_pair_) && same_pairs(other) &&
         std::all_of(pairs_.begin(), pairs_.end(),
                     [&](const auto& entry) { return other.pairs_.contains(entry.first); });
}

bool Memberships::same_pairs(const Memberships& other) const {
  return std::all_of(pairs_.begin(), pairs_.end(), [&](const auto& entry) {
    const auto theirs = other.pairs_.find(entry.first);
    return theirs == other.pairs_.end() || theirs->second == entry.second;
  });
}

bool Memberships::within(const Memberships& other) const {
  if (!asks_within(other)) {
    return false;
  }
  for (MembershipId id = 0; id < members_.size(); ++id) {
    if (asked_[id] && !same_members(id, other)) {
      return false;
    }
  }
  return true;
}

}  // namespace sluice
