// SPDX-License-Identifier: Apache-2.0
// What the programs of a flow's two ends said, step by step, and the words for it.
//
// The steps come from the published matcher's own walk; what did not match is asked of the same
// rules.  Used by explain, test and diff alike, so that they cannot disagree.  Pure; any
// thread. Source: Calico semantics, section 2.3.
#ifndef SLUICE_CONTROL_POLICY_TRAIL_H_
#define SLUICE_CONTROL_POLICY_TRAIL_H_

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "classifier/linear.h"
#include "control/compile.h"

namespace sluice::control {

inline constexpr Ip4 kWorld{0xcb007101};                  // 203.0.113.1 (RFC 5737): "world"
inline constexpr Address kWorld6{0x20010db800000000, 1};  // 2001:db8::1 (RFC 3849), as well
inline constexpr uint16_t kEphemeralPort = 40000;         // a client's, where none is given

struct TrailStep {
  Direction direction = Direction::ingress;
  ProgramId program = kNoProgram;
  Step step;
  // Of a host endpoint's list: untracked, preDNAT, forward or normal; else null.
  const char* stage = nullptr;
};
// The workloads' egress first, then their ingress, between the host endpoints' stages; the last
// step of all decided.
using Trail = std::vector<TrailStep>;

std::string_view word(Direction direction);

// Runs one end's program and adds its steps to `trail`.  Returns whether it allows `key`.
bool ask(const Linear& matcher, ProgramId program, Direction direction, const FlowKey& key,
         Trail& trail);

// One list of a host endpoint, called `name`.  none: go on; so it is for failsafe ports, whose
// steps, unlike those of failsafes that do not match, stand in the trail.
Verdict::Kind ask_stage(const Linear& matcher, const HostStage& stage, const char* name,
                        Direction direction, const FlowKey& key, Trail& trail);

// The policy or profile of a step; for a tier's default the tier's first policy, which made the
// tier apply.  nullptr for the end of no profiles at all.
const ListName* policy_of(const CompiledPolicy& policy, const TrailStep& step);
const std::string& tier_of(const CompiledPolicy& policy, const TrailStep& step);

// {kind, namespace, policy, tier, direction, rule, action, file, line, column}
nlohmann::json rule_json(const CompiledPolicy& policy, const std::vector<std::string>& files,
                         ListId list, size_t rule);

// {direction, tier, policy: {kind, namespace, name}, rule, action}, and stage if it has one
nlohmann::json step_json(const CompiledPolicy& policy, const TrailStep& step);

// "tcp/80", "icmp/8/0", "protocol 47"
std::string l4_text(const FlowKey& key);
// "NetworkPolicy shop/db"
std::string policy_text(const ListName& name);
// "FILE:LINE:COL"; "" where no place is known.
std::string place_text(const config::Where& where, const std::vector<std::string>& files);
// Who decided: "NetworkPolicy shop/db rule 0", or "the end of tier default", with the policies
// that selected the endpoint and did not allow the flow.
std::string decider_text(const CompiledPolicy& policy, const TrailStep& step);
// Where to edit: the rule's place, or that of the policy behind a tier's default.
config::Where decider_place(const CompiledPolicy& policy, const TrailStep& step);

// Everything that one direction of `trail` considered, in order: tiers, their policies, which
// rule matched, or why none did; indented, a line each.  "" if that direction was not asked.
std::string considered_text(const CompiledPolicy& policy, const Trail& trail,
                            Direction direction, const FlowKey& key,
                            const std::vector<std::string>& files);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_POLICY_TRAIL_H_
