// SPDX-License-Identifier: Apache-2.0
// The compiled policy in numbers: rules, the sets they name, and the programs that endpoints
// run.  Control writes a RuleSet, a matcher reads it; nothing here knows a name or a selector.
//
//   RuleSet ── programs: one per distinct (ordered tiers, direction)
//           ── lists:    one per (policy, direction), shared by all programs that contain it
//           ── address_sets / port_sets: the members of selectors, named ports and services
//
// Meaning (Calico): tiers in order, in a tier the lists in order, in a list the rules in order.
// allow and deny end the program; pass goes to the next tier; log goes on in the same list.
// A tier that nothing decided ends with its default: deny, or pass to the next tier.  The
// endpoint's profiles are the last tier (Tier::profiles), in which pass means deny.
// A RuleSet is immutable once a matcher was built on it.
#ifndef SLUICE_CLASSIFIER_RULE_H_
#define SLUICE_CLASSIFIER_RULE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "classifier/ip_set.h"
#include "classifier/shared.h"
#include "classifier/types.h"

namespace sluice {

enum class Action : uint8_t { allow, deny, pass, log };
std::string_view name(Action action);  // "allow"

using SetId = uint32_t;      // index into RuleSet::address_sets or port_sets, by context
using ListId = uint32_t;     // index into RuleSet::lists
using ProgramId = uint32_t;  // index into RuleSet::programs
// A place that counts hits; stable over generations (control keeps the registry of names).
using CounterSlot = uint32_t;

inline constexpr ProgramId kNoProgram = UINT32_MAX;
inline constexpr CounterSlot kNoCounter = UINT32_MAX;

// One side of a rule.  Populated fields are ANDed, entries of a list ORed, except `sets`:
// the address must be in every one.
struct RuleSide {
  std::vector<Prefix> nets;
  std::vector<Prefix> not_nets;
  std::vector<SetId> sets;      // address sets: in all of them
  std::vector<SetId> not_sets;  // address sets: in none of them
  // Destination (or source) port: in one of the ranges or in one of the port sets.  Both empty
  // means any port; a set that has no members still restricts.
  std::vector<PortRange> ports;
  std::vector<SetId> port_sets;
  std::vector<PortRange> not_ports;
  std::vector<SetId> not_port_sets;
  friend bool operator==(const RuleSide&, const RuleSide&) = default;
};

struct IcmpMatch {
  uint8_t type = 0;
  bool any_code = true;
  uint8_t code = 0;
  friend bool operator==(const IcmpMatch&, const IcmpMatch&) = default;
};

struct Rule {
  static constexpr uint8_t kV4 = 1;
  static constexpr uint8_t kV6 = 2;

  Action action = Action::deny;
  uint8_t families = kV4 | kV6;  // for which of them this rule exists at all
  std::optional<uint8_t> protocol;
  std::optional<uint8_t> not_protocol;
  std::optional<IcmpMatch> icmp;      // only ICMP of the key's family can match
  std::optional<IcmpMatch> not_icmp;  // holds for all that is not ICMP
  RuleSide source;
  RuleSide destination;
  CounterSlot counter = kNoCounter;
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct RuleList {
  std::vector<Rule> rules;
  bool staged = false;  // judges nothing; what it would have decided is counted
  friend bool operator==(const RuleList&, const RuleList&) = default;
};

enum class TierEnd : uint8_t { deny, pass };

struct Tier {
  std::vector<ListId> lists;
  TierEnd end = TierEnd::deny;
  bool profiles = false;
  CounterSlot counter = kNoCounter;  // counts the default when it denies
  friend bool operator==(const Tier&, const Tier&) = default;
};

struct Program {
  std::vector<Tier> tiers;
  friend bool operator==(const Program&, const Program&) = default;
};

// What did not change since an earlier RuleSet is shared with it.  A set keeps its id from one
// to the next; ids that no list names are empty sets.
struct RuleSet {
  std::vector<Shared<AddressSet>> address_sets;
  std::vector<Shared<PortSet>> port_sets;
  std::vector<Shared<RuleList>> lists;
  std::vector<Program> programs;
};

// What a program said.  `counter` is the slot of the deciding rule or tier default, kNoCounter
// if no tier decided (`none`: lists of host endpoints may end so; workloads never do).
struct Verdict {
  enum class Kind : uint8_t { none, allow, deny };
  Kind kind = Kind::none;
  bool passed_or_logged = false;  // pass and log rules matched on the way: see Linear::walk
  CounterSlot counter = kNoCounter;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_RULE_H_
