// SPDX-License-Identifier: Apache-2.0
#include "control/rule_names.h"

namespace sluice::control {

CounterSlot RuleNames::slot(const RuleName& name) {
  if (const auto known = slots_.find(name); known != slots_.end()) {
    return known->second;
  }
  if (by_slot_.size() >= kMaxCounters) {
    full_ = true;
    return kNoCounter;
  }
  const auto slot = static_cast<CounterSlot>(by_slot_.size());
  // A map's keys keep their addresses.
  by_slot_.push_back(&slots_.emplace(name, slot).first->first);
  return slot;
}

}  // namespace sluice::control
