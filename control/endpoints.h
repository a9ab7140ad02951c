// SPDX-License-Identifier: Apache-2.0
// Everything that selectors can match: the cluster's workloads, host endpoints and network
// sets, with their effective labels.
//
// Built once per compilation from the model; immutable afterwards.  A WorkloadEndpoint wins
// over the Pod it stands for.  Source: Calico semantics, sections 1.7 and 3.5.
#ifndef SLUICE_CONTROL_ENDPOINTS_H_
#define SLUICE_CONTROL_ENDPOINTS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "classifier/ip_set.h"
#include "config/findings.h"
#include "config/model.h"
#include "control/compile.h"
#include "control/labels.h"

namespace sluice::control {

using Profiles = std::map<std::string, config::Profile>;

// Of the Profile, Namespace and ServiceAccount resources, and Calico's own default-allow.
Profiles all_profiles(const config::Model& model);

// Has the pod ended, so that its addresses are nobody's?
bool finished(const config::Pod& pod);
// The pod's, from its status or else its annotations.
std::vector<Address> addresses_of(const config::Pod& pod);

struct Workload {
  LocalEndpoint endpoint;  // programs are not set yet
  std::vector<config::NamedPort> ports;
  LabelsId labels = 0;
};
struct LabelledSet {
  std::vector<Prefix> nets;
  LabelsId labels = 0;
};

// Who stands behind a service.
struct ServiceMembers {
  std::vector<Prefix> addresses;
  std::vector<PortSet::Member> ports;
};
using ServiceName = std::pair<std::string, std::string>;  // namespace, name

struct Inventory {
  LabelIndex index;
  std::vector<Workload> workloads;  // of all nodes
  std::vector<Workload> hosts;  // HostEndpoints of all nodes; their addresses are expectedIPs
  std::vector<LabelledSet> sets;
  std::map<ServiceName, ServiceMembers> services;  // that have an EndpointSlice
};

// Findings: workloads that cannot be endpoints, profiles that do not exist, two local endpoints
// with one address or one interface.
Inventory take_inventory(const config::Model& model, const Profiles& profiles,
                         config::Findings& findings);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_ENDPOINTS_H_
