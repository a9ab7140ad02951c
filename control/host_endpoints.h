// SPDX-License-Identifier: Apache-2.0
// Which HostEndpoint protects which of the node's interfaces, and what no policy of theirs can
// cut.
//
// Asked once per compilation; pure.  sluice has three places that a HostEndpoint can stand for:
// the uplink, the tunnel (tunl0, where packets out of IPIP appear) and all pod ports (`*`).
// Source: Calico semantics, sections 1.9, 5.1, 5.3 and 5.5.
#ifndef SLUICE_CONTROL_HOST_ENDPOINTS_H_
#define SLUICE_CONTROL_HOST_ENDPOINTS_H_

#include <vector>

#include "control/endpoints.h"
#include "control/felix.h"

namespace sluice::control {

inline constexpr const char* kEveryInterface = "*";
inline constexpr const char* kTunnelInterface = "tunl0";

// nullptr: no HostEndpoint there.
struct ProtectedInterfaces {
  const Workload* uplink = nullptr;
  const Workload* tunnel = nullptr;
  const Workload* pods = nullptr;  // a `*` one, or none
};

// Findings: HostEndpoints of this node that protect nothing, and why.
ProtectedInterfaces resolve_host_endpoints(const config::Model& model,
                                           const Inventory& inventory,
                                           config::Findings& findings);

// Those of any node, of which no settings tell the interfaces: the uplink is what holds the
// node's address, else the interface that is no other.
ProtectedInterfaces host_endpoints_of(const config::Model& model, const Inventory& inventory,
                                      const std::string& node);

// Traffic of the node itself that is always let through, as rules.  `replies`: what answers
// it, which only a stage without connections needs to know.
std::vector<config::Rule> failsafe_rules(const Felix& felix, Direction direction, bool replies);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_HOST_ENDPOINTS_H_
