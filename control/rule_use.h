// SPDX-License-Identifier: Apache-2.0
// When each rule last counted, for `report unused`.
//
// The packet path reads no clock for it: control looks at the workers' rule counters every
// kEvery and notes which have moved, so a use is known to that grain, as later than it was.  A
// rule counts when it judges a packet, and as long as a connection that it admitted carries
// packets.  Kept by CounterSlot, so that it survives reloads as the counters do; a slot that
// another rule got is begun anew.
// Written and read by control only.  Bounds: 24 bytes a slot, a look of some ms at most.
#ifndef SLUICE_CONTROL_RULE_USE_H_
#define SLUICE_CONTROL_RULE_USE_H_

#include <ctime>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/compile.h"
#include "fastpath/conntrack.h"
#include "fastpath/counters.h"

namespace sluice::control {

class RuleUse {
 public:
  static constexpr Nanos kEvery = 10'000'000'000;

  struct Use {
    Nanos since = 0;     // counted from then on
    Nanos last = 0;      // seen to have moved; 0: never
    uint64_t count = 0;  // when looked at last
  };

  bool due(Nanos now) const { return now - looked_ >= kEvery; }
  // Looks at the counters of the first `rules` slots.
  void look(std::span<const Counters* const> workers, CounterSlot rules, Nanos now);
  // Begins anew for the rules of `next` that `last` did not have, or not in their places.
  // REQUIRES: looked at just now, with the slots of both.
  void begin_changed(const CompiledPolicy& last, const CompiledPolicy& next, Nanos now);
  // REQUIRES: the slot was among those that were looked at.
  const Use& of(CounterSlot slot) const { return uses_[slot]; }
  size_t size() const { return uses_.size(); }

 private:
  Nanos looked_ = 0;
  std::vector<Use> uses_;  // by slot
};

// What "now" is by the two clocks.
struct Now {
  Nanos monotonic = 0;
  std::time_t wall = 0;
};

// {"resolution_s", "rules": [{kind, namespace, policy, tier, direction, rule, action, file,
// line, column, last_used, counted_since}]}: the rules in force that have not counted after
// `before`, by file and line; times are seconds since 1970, `last_used` null for never.  A
// written rule that was compiled to several (protocols and peers of Kubernetes') is listed
// once, if none of them has counted.  Rules that nobody has written (ListName::written) and
// those without a counter are left out.
nlohmann::json unused_json(const RuleUse& use, const CompiledPolicy& policy,
                           const std::vector<std::string>& files, Nanos before, const Now& now);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_RULE_USE_H_
