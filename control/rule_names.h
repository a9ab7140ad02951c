// SPDX-License-Identifier: Apache-2.0
// The registry of rule counters: a stable slot for each (kind, namespace, name, tier,
// direction, rule), so that a rule's counts survive reloads that keep the rule.
//
// Written by control only, while it compiles; workers know the slots, never the names.
// Capacity is fixed at kMaxCounters, because the workers' counter arrays are.
#ifndef SLUICE_CONTROL_RULE_NAMES_H_
#define SLUICE_CONTROL_RULE_NAMES_H_

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "classifier/rule.h"

namespace sluice::control {

inline constexpr CounterSlot kMaxCounters = 1u << 18;

struct RuleName {
  std::string kind;  // of the policy; for a tier's default: of the first policy of the
  std::string namespace_name;  // tier that selected the endpoint; "Profile" for profiles
  std::string policy;
  std::string tier;  // __PROFILE__ for profiles
  bool ingress = true;
  int rule = 0;  // 0-based; -1 is the tier's default
  Action action = Action::deny;
  friend auto operator<=>(const RuleName&, const RuleName&) = default;
};

class RuleNames {
 public:
  // The slot of `name`, given now if it is new.  kNoCounter when all are taken: such a rule is
  // enforced but not counted, and full() says so.
  CounterSlot slot(const RuleName& name);
  // REQUIRES: slot < size().
  const RuleName& name(CounterSlot slot) const { return *by_slot_[slot]; }
  size_t size() const { return by_slot_.size(); }
  bool full() const { return full_; }

 private:
  std::map<RuleName, CounterSlot> slots_;
  std::vector<const RuleName*> by_slot_;
  bool full_ = false;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_RULE_NAMES_H_
