// SPDX-License-Identifier: Apache-2.0
// Everything that selectors can match: the cluster's workloads, host endpoints and network
// sets, with their effective labels.
//
// Brought up to date from each model by a compilation, and read by it until the next; what
// comes of objects that are the same as before is kept, and who changed is told.  A
// WorkloadEndpoint wins over the Pod it stands for.  Source: Calico semantics, sections 1.7 and
// 3.5.
#ifndef SLUICE_CONTROL_ENDPOINTS_H_
#define SLUICE_CONTROL_ENDPOINTS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "classifier/ip_set.h"
#include "config/findings.h"
#include "config/model.h"
#include "control/compile.h"
#include "control/felix.h"
#include "control/labels.h"
#include "control/memo.h"

namespace sluice::control {

// By name: Profiles, and what Namespaces and ServiceAccounts lend.
using Profiles = std::map<std::string, Shared<config::Profile>, std::less<>>;

// Has the pod ended, so that its addresses are nobody's?
bool finished(const config::Pod& pod);
// The pod's, from its status or else its annotations.
std::vector<Address> addresses_of(const config::Pod& pod);

struct Workload {
  LocalEndpoint endpoint;  // programs are not set
  std::vector<config::NamedPort> ports;
  LabelsId labels = 0;
};
struct LabelledSet {
  std::vector<Prefix> nets;
  std::vector<std::string> profiles;  // of its namespace
  LabelsId labels = 0;
};

// Who stands behind a service.
struct ServiceMembers {
  std::vector<Prefix> addresses;
  std::vector<PortSet::Member> ports;
};
using ServiceName = std::pair<std::string, std::string>;  // namespace, name

class Inventory {
 public:
  // Takes stock of the model.  Findings: workloads that cannot be endpoints, profiles that do
  // not exist, two local endpoints with one address or one interface.
  // REQUIRES: the model outlives what is read here before the next update.
  void update(const config::Model& model, config::Findings& findings);

  const Felix& felix() const { return felix_; }
  const LabelIndex& index() const { return index_; }
  const Profiles& profiles() const { return profiles_; }
  const std::vector<const Workload*>& workloads() const { return workloads_; }  // of all nodes
  // HostEndpoints of all nodes; their addresses are expectedIPs.
  const std::vector<const Workload*>& hosts() const { return hosts_; }
  // nullptr: it has no EndpointSlice.
  const ServiceMembers* service(const ServiceName& name) const;

  struct Bearers {  // of one label set
    std::vector<const Workload*> ends;
    std::vector<const LabelledSet*> sets;
  };
  const Bearers& bearers(LabelsId id) const { return bearers_[id]; }

  // The number of updates, and what the last one changed: label sets whose bearers are not what
  // they were, services whose members are not, and how many objects were read for it.
  uint64_t serial() const { return serial_; }
  bool changed(const std::vector<LabelsId>& ids) const;
  bool changed(const ServiceName& service) const { return changed_services_.contains(service); }
  size_t objects_read() const { return objects_read_; }
  // Label sets only come: when most are nobody's it is time for a new Inventory.
  bool mostly_stale() const;

 private:
  // What came of one object.  Good while the profiles that it inherits from lend the same.
  template <typename T>
  struct Made {
    T value;
    bool usable = true;
    config::Findings findings;
  };
  template <typename Object, typename T, typename Make>
  const T* derive(Memo<Object, Made<T>>& memo, const Shared<Object>& object, const Make& make,
                  config::Findings& findings);
  void note_changed_profiles(const Profiles& before);
  void update_profiles(const config::Model& model);
  void update_workloads(const config::Model& model, config::Findings& findings);
  void update_sets(const config::Model& model, config::Findings& findings);
  void update_services(const config::Model& model);
  template <typename T>
  void label(Made<T>& made, config::Labels& labels);
  template <typename T>
  void note_change(const Made<T>& made);

  Felix felix_;
  LabelIndex index_;
  Profiles profiles_;
  std::set<std::string> changed_profiles_;  // by the last update
  std::vector<const Workload*> workloads_, hosts_;
  std::vector<const LabelledSet*> sets_;
  std::vector<Bearers> bearers_;  // by LabelsId
  struct Service {
    std::vector<Shared<config::EndpointSlice>> slices;
    ServiceMembers members;
  };
  std::map<ServiceName, Service> services_;
  uint64_t serial_ = 0;
  std::vector<bool> changed_;  // by LabelsId
  std::set<ServiceName> changed_services_;
  size_t objects_read_ = 0;

  Memo<config::Namespace, Shared<config::Profile>> of_namespaces_;
  Memo<config::ServiceAccount, Shared<config::Profile>> of_accounts_;
  Memo<config::WorkloadEndpoint, Made<Workload>> of_endpoints_;
  Memo<config::Pod, Made<Workload>> of_pods_;
  Memo<config::HostEndpoint, Made<Workload>> of_hosts_;
  Memo<config::NetworkSet, Made<LabelledSet>> of_sets_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_ENDPOINTS_H_
