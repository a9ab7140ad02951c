// SPDX-License-Identifier: Apache-2.0
// Which rules can never do anything, because what comes before them takes all that they match.
//
// Exact, for the endpoints and members of sets as they are: every program is asked about one
// packet of each kind that its rules tell apart (address_space, flow_space), at each endpoint
// that runs it.  A rule that is on no packet's way, and that some of them match, is shadowed;
// one that none of them match is idle: its set is empty now, say.  A written rule that was
// compiled to several (protocols and peers of Kubernetes') is there if none of them acts.
// Rules of staged policies count as if these were enforced, beside what they would replace.
// A host endpoint's stage, behind its failsafe ports, is asked about packets between any two
// addresses: which of them another stage, or routing, keeps from it is not looked at, so there
// it errs on the side of silence.  Pure; one thread.  Bounds: refused above kMaxAsked packets.
#ifndef SLUICE_CONTROL_SHADOWED_H_
#define SLUICE_CONTROL_SHADOWED_H_

#include <string>
#include <vector>

#include "classifier/result.h"
#include "control/compile.h"

namespace sluice::control {

inline constexpr uint64_t kMaxAsked = 20'000'000;

struct RulePlace {
  ListId list = 0;
  uint32_t rule = 0;
  friend auto operator<=>(const RulePlace&, const RulePlace&) = default;
};

struct Shadowed {
  RulePlace rule;
  RulePlace hidden_by;      // which takes the most kinds of packets from it; or
  std::string end_of_tier;  // not "": the default of this tier, or the failsafe ports
  size_t others = 0;        // how many more take the rest
  bool whatever = false;    // whatever the members of sets are, as long as both rules run
};

struct ShadowReport {
  std::vector<Shadowed> shadowed;  // by list and rule; written rules only
  std::vector<RulePlace> idle;     // likewise
};

Result<ShadowReport> find_shadowed(const CompiledPolicy& policy);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_SHADOWED_H_
