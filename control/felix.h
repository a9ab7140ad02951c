// SPDX-License-Identifier: Apache-2.0
// What FelixConfiguration says for this node: the object `node.<name>` wins over `default`,
// field by field, and Felix' own defaults fill the rest.
//
// Pure, asked by control for each generation.  Source: Calico semantics, sections 1.9 and 5.5.
#ifndef SLUICE_CONTROL_FELIX_H_
#define SLUICE_CONTROL_FELIX_H_

#include <string>
#include <vector>

#include "config/findings.h"
#include "config/model.h"

namespace sluice::control {

struct Felix {
  bool any_source = false;  // endpoints may be allowed sources besides their own
  bool allow_ipip = false;  // from workloads
  bool allow_vxlan = false;
  // What becomes of a workload's packet for its own node, once its egress policy allows it.
  // Without any FelixConfiguration it is accepted, as Calico's manifests have it.
  config::EndpointToHost endpoint_to_host = config::EndpointToHost::accept;
  std::string endpoint_to_host_said_by = "default";  // the object's name
  std::vector<Prefix> external_nodes;  // that may send us IPIP besides the cluster's
  std::vector<std::string> interface_prefixes = {"cali"};
  std::vector<config::FailsafePort> failsafe_inbound;
  std::vector<config::FailsafePort> failsafe_outbound;
};

Felix felix_of(const config::Model& model);
// Its findings: that workloads cannot reach their node, where no object says that they shall
// not.
void check_felix(const config::Model& model, config::Findings& findings);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_FELIX_H_
