// SPDX-License-Identifier: Apache-2.0
// The protocols and ports that rules tell apart: a partition of all flows into parts within
// which every rule says the same.
//
// Computed from rule sets by the bounds of what their rules name; pure.  Used by diff and
// by the report of shadowed rules.
#ifndef SLUICE_CONTROL_FLOW_SPACE_H_
#define SLUICE_CONTROL_FLOW_SPACE_H_

#include <span>
#include <string>
#include <vector>

#include "classifier/rule.h"

namespace sluice::control {

struct FlowPart {
  uint8_t protocol = 0;
  bool others = false;    // stands for all protocols that no rule names
  PortRange destination;  // type << 8 | code for ICMP; {0, 0} without ports
  PortRange source;
};

// For IPv4 or IPv6: the other's ICMP is left out.  Sorted by protocol, source, destination.
std::vector<FlowPart> flow_parts(std::span<const RuleSet* const> rules, bool v4);

// Some of `all` in words: "tcp/80,443", "udp", "everything".  `chosen`: ascending indices.
std::string flow_text(const std::vector<FlowPart>& all, const std::vector<size_t>& chosen);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_FLOW_SPACE_H_
