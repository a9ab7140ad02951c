// SPDX-License-Identifier: Apache-2.0
// The addresses that rules tell apart: one of each kind stands for all of which the rules say
// the same.
//
// Computed from the address sets, nets and named ports that a rule set asks about; pure, one
// thread.  Bounds: 65 MiB besides what the sets take.  As flow_space, which does the same for
// protocols and ports; used by the report of shadowed rules.
#ifndef SLUICE_CONTROL_ADDRESS_SPACE_H_
#define SLUICE_CONTROL_ADDRESS_SPACE_H_

#include <array>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "classifier/address_classes.h"
#include "classifier/rule.h"

namespace sluice::control {

class AddressSpace {
 public:
  // What lists ask about one side of a packet, sorted.
  using Question = std::vector<MembershipId>;
  // An address of each kind, by the sets it is in of those that are asked about.
  using Kinds = std::map<std::vector<MembershipId>, Address>;

  // REQUIRES: `rules` outlives this.
  explicit AddressSpace(const RuleSet& rules);
  // False if the system refused the memory: then nothing must be asked.
  bool ok() const { return classes_.ok(); }

  // Of the sources or of the destinations.
  Question question(std::span<const ListId> lists, RuleSide Rule::*side) const;
  // Adds the address, if it is the first of its kind.
  void add(const Question& question, const Address& address, Kinds& kinds) const;
  // All that there are, of IPv4 or of IPv6.
  Kinds all(const Question& question, bool v4) const;
  // One of each kind inside, whoever asks.
  std::vector<Address> within(const Prefix& prefix) const;

 private:
  void find_starts();
  void collect(const RuleSide& side, std::set<MembershipId>& asked) const;

  const RuleSet& rules_;
  const Memberships memberships_;
  const AddressClasses classes_;
  std::set<Address> starts_;  // of every stretch of addresses that are of one class
  std::array<std::vector<Address>, 2> one_of_class_;  // IPv4, IPv6
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_ADDRESS_SPACE_H_
