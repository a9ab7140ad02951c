// SPDX-License-Identifier: Apache-2.0
// Counters to JSON: the shapes that `sluicectl stats`, counters.json and the tests read.
//
// Read-only over the workers' counters, which may move while we add them up; run by control.
#ifndef SLUICE_CONTROL_REPORT_H_
#define SLUICE_CONTROL_REPORT_H_

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/rule_names.h"
#include "fastpath/counters.h"

namespace sluice::control {

struct PortName {
  PortId id = kNoPort;
  std::string name;
  uint64_t missed = 0;  // lost by the device before we saw them: rx_missed
};

// {"<port>": {rx_packets, rx_bytes, tx_packets, tx_bytes, forwarded, punted, consumed, held,
// dropped, originated, missed}}
nlohmann::json ports_json(std::span<const Counters* const> workers,
                          std::span<const PortName> ports);

// {"<reason>": n}, reasons that counted only.  `ports` adds rx_missed.
nlohmann::json drops_json(std::span<const Counters* const> workers,
                          std::span<const PortName> ports);
// The same, of packets that came out of a tunnel.
nlohmann::json inner_drops_json(std::span<const Counters* const> workers);

// [{kind, namespace, policy, tier, direction, rule, action, connections, packets, bytes}], for
// every rule that has a name, in the order of tier, policy and rule.
nlohmann::json rules_json(std::span<const Counters* const> workers, const RuleNames& names);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_REPORT_H_
