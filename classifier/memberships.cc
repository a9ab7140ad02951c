// SPDX-License-Identifier: Apache-2.0
#include "classifier/memberships.h"

#include <algorithm>

namespace sluice {

Memberships::Memberships(const RuleSet& rules, const std::vector<bool>& read,
                         const Memberships* previous)
    : asked_(std::make_shared<Questions>()), previous_(previous) {
  asked_->sets.assign(rules.address_sets.size(), kNotAsked);
  members_.assign(previous == nullptr ? 0 : previous->size(), Shared<AddressSet>());
  asked_->ids.assign(members_.size(), false);
  if (previous != nullptr) {
    asked_->literal = previous->asked_->literal;
  }
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

Memberships::Memberships(const RuleSet& rules, const Memberships& before)
    : asked_(before.asked_), members_(before.members_) {
  const size_t sets = std::min(asked_->sets.size(), rules.address_sets.size());
  for (SetId set = 0; set < sets; ++set) {
    if (const MembershipId id = asked_->sets[set]; id != kNotAsked) {
      members_[id] = rules.address_sets[set];
    }
  }
}

bool Memberships::same_port_sets(const RuleSet& rules) const {
  return std::all_of(asked_->port_sets.begin(), asked_->port_sets.end(),
                     [&](const auto& entry) {
                       return entry.first < rules.port_sets.size() &&
                              entry.second.is(rules.port_sets[entry.first]);
                     });
}

void Memberships::ask(MembershipId id, Shared<AddressSet> members) {
  members_[id] = std::move(members);
  asked_->ids[id] = true;
}

MembershipId Memberships::next() {
  members_.emplace_back();
  asked_->ids.push_back(false);
  asked_->literal.push_back(false);
  return static_cast<MembershipId>(members_.size() - 1);
}

void Memberships::add_side(const RuleSet& rules, const RuleSide& side) {
  for (const auto* sets : {&side.sets, &side.not_sets}) {
    for (const SetId set : *sets) {
      if (asked_->sets[set] != kNotAsked) {
        continue;
      }
      const bool known = previous_ != nullptr && set < previous_->asked_->sets.size() &&
                         previous_->asked_->sets[set] != kNotAsked;
      const MembershipId id = known ? previous_->asked_->sets[set] : next();
      asked_->sets[set] = id;
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
  if (nets.empty() || asked_->nets.contains(nets)) {
    return;
  }
  const bool known = previous_ != nullptr && previous_->asked_->nets.contains(nets);
  const MembershipId id = known ? previous_->asked_->nets.at(nets) : next();
  asked_->nets[nets] = id;
  asked_->literal[id] = true;
  ask(id, known ? previous_->members_[id] : Shared<AddressSet>(AddressSet(nets)));
}

void Memberships::add_port_set(const RuleSet& rules, SetId set) {
  if (asked_->pairs.contains(set)) {
    return;
  }
  std::vector<PortPair>& pairs = asked_->pairs[set];
  const Shared<PortSet>& port_set = rules.port_sets[set];
  asked_->port_sets[set] = port_set;
  const auto before =
      previous_ == nullptr ? asked_->port_sets.end() : previous_->asked_->port_sets.find(set);
  if (previous_ != nullptr && before != previous_->asked_->port_sets.end() &&
      before->second.is(port_set)) {
    pairs = previous_->asked_->pairs.at(set);
    for (const PortPair& pair : pairs) {
      asked_->by_pair[{set, pair.protocol, pair.port}] = pair.members;
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
    const bool known = previous_ != nullptr && previous_->asked_->by_pair.contains(key);
    const MembershipId id = known ? previous_->asked_->by_pair.at(key) : next();
    asked_->by_pair[key] = id;
    ask(id, AddressSet(members));
    pairs.push_back({pair.first, pair.second, id});
  }
}

bool Memberships::asks_within(const Memberships& other) const {
  if (asked_ == other.asked_) {
    return true;
  }
  const auto all_in = [](const auto& mine, const auto& theirs) {
    return std::all_of(mine.begin(), mine.end(), [&](const auto& entry) {
      const auto found = theirs.find(entry.first);
      return found != theirs.end() && found->second == entry.second;
    });
  };
  for (SetId set = 0; set < asked_->sets.size(); ++set) {
    const bool same =
        set < other.asked_->sets.size() && asked_->sets[set] == other.asked_->sets[set];
    if (asked_->sets[set] != kNotAsked && !same) {
      return false;
    }
  }
  return all_in(asked_->nets, other.asked_->nets) &&
         all_in(asked_->by_pair, other.asked_->by_pair) && same_pairs(other) &&
         std::all_of(asked_->pairs.begin(), asked_->pairs.end(), [&](const auto& entry) {
           return other.asked_->pairs.contains(entry.first);
         });
}

bool Memberships::same_pairs(const Memberships& other) const {
  return std::all_of(asked_->pairs.begin(), asked_->pairs.end(), [&](const auto& entry) {
    const auto theirs = other.asked_->pairs.find(entry.first);
    return theirs == other.asked_->pairs.end() || theirs->second == entry.second;
  });
}

bool Memberships::within(const Memberships& other) const {
  if (!asks_within(other)) {
    return false;
  }
  for (MembershipId id = 0; id < members_.size(); ++id) {
    if (asks(id) && !same_members(id, other)) {
      return false;
    }
  }
  return true;
}

}  // namespace sluice
