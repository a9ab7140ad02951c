// SPDX-License-Identifier: Apache-2.0
// The address sets that rules ask about, numbered.
//
// Three things in a rule are questions of the form "is the address in this set?", and each
// distinct one gets a MembershipId:
//   - an address set (selectors, network sets), by its SetId;
//   - the literal nets of one side of a rule, as the list they are;
//   - of a named-port or service set, the addresses that have one (protocol, port) pair.  The
//     rule then reads "transport = pair and address in S_pair", once for each pair.
// Made by control for one RuleSet, immutable afterwards.  Made with a predecessor, what both
// contain keeps its number, so that a class keeps its meaning from one policy to the next.
#ifndef SLUICE_CLASSIFIER_MEMBERSHIPS_H_
#define SLUICE_CLASSIFIER_MEMBERSHIPS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "classifier/class_directory.h"
#include "classifier/rule.h"

namespace sluice {

class Memberships {
 public:
  struct PortPair {
    uint8_t protocol = 0;
    uint16_t port = 0;
    MembershipId members = 0;
    friend bool operator==(const PortPair&, const PortPair&) = default;
  };

  // Of the rules in the lists that are read (by ListId).
  Memberships(const RuleSet& rules, const std::vector<bool>& read,
              const Memberships* previous = nullptr);
  // As before, but for who is in the sets: the rules that are read are the very same.
  // REQUIRES: before.same_port_sets(rules).
  Memberships(const RuleSet& rules, const Memberships& before);

  MembershipId of_set(SetId set) const { return asked_->sets[set]; }
  MembershipId of_nets(const std::vector<Prefix>& nets) const { return asked_->nets.at(nets); }
  std::span<const PortPair> of_port_set(SetId set) const { return asked_->pairs.at(set); }

  const AddressSet& members(MembershipId id) const { return *members_[id]; }
  // Ids are below this; those that no rule of this RuleSet asks about have no members.
  size_t size() const { return members_.size(); }
  // Is it a list of literal nets, whose members never change?
  bool is_literal(MembershipId id) const { return asked_->literal[id]; }
  // Does a rule of this RuleSet ask about it?
  bool asks(MembershipId id) const { return asked_->ids[id]; }
  // Is everything asked here also asked there, by the same number, whatever its members?
  bool asks_within(const Memberships& other) const;
  // Are the port sets that are asked about the very same?
  bool same_port_sets(const RuleSet& rules) const;
  // Have the port sets that both ask about the same pairs?  Then rules are the same terms.
  bool same_pairs(const Memberships& other) const;
  // REQUIRES: both know the id.
  bool same_members(MembershipId id, const Memberships& other) const {
    return members_[id].is(other.members_[id]) || *members_[id] == *other.members_[id];
  }
  // Is everything here also there, with the same members?
  bool within(const Memberships& other) const;

 private:
  using PairKey = std::tuple<SetId, uint8_t, uint16_t>;
  static constexpr MembershipId kNotAsked = UINT32_MAX;

  // What the rules ask, whoever the members are.
  struct Questions {
    std::vector<MembershipId> sets;  // by SetId
    std::map<std::vector<Prefix>, MembershipId> nets;
    std::map<SetId, std::vector<PortPair>> pairs;
    std::map<SetId, Shared<PortSet>> port_sets;  // whose pairs these are
    std::map<PairKey, MembershipId> by_pair;
    std::vector<bool> ids;  // those that are asked
    std::vector<bool> literal;
  };

  void add_side(const RuleSet& rules, const RuleSide& side);
  void add_port_set(const RuleSet& rules, SetId set);
  void add_nets(const std::vector<Prefix>& nets);
  MembershipId next();
  void ask(MembershipId id, Shared<AddressSet> members);

  std::shared_ptr<Questions> asked_;  // shared by those who ask the same; never changes then
  std::vector<Shared<AddressSet>> members_;
  const Memberships* previous_ = nullptr;  // during construction
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_MEMBERSHIPS_H_
