// SPDX-License-Identifier: Apache-2.0
// Everything that selectors can match: the cluster's workloads, host endpoints and network
// sets, with their effective labels.
//
// Brought up to date from each model by a compilation, and read by it until the next.  It
// follows the objects that came and went; what comes of the others is kept, and who changed is
// told.  A WorkloadEndpoint wins over the Pod it stands for.  Cost of an update: a look at each
// file's block of objects, and work for those that differ.  Source: Calico semantics, sections
// 1.7 and 3.5.
#ifndef SLUICE_CONTROL_ENDPOINTS_H_
#define SLUICE_CONTROL_ENDPOINTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "classifier/ip_set.h"
#include "config/findings.h"
#include "config/model.h"
#include "control/compile.h"
#include "control/felix.h"
#include "control/labels.h"

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
  bool host = false;         // a HostEndpoint
  mutable size_t place = 0;  // among the bearers of its labels; the Inventory's
};
struct LabelledSet {
  std::vector<Prefix> nets;
  std::vector<std::string> profiles;  // of its namespace
  LabelsId labels = 0;
  mutable size_t place = 0;  // as a Workload's
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
  void update(const config::Model& model, Whose whose, config::Findings& findings);

  const Felix& felix() const { return felix_; }
  const LabelIndex& index() const { return index_; }
  const Profiles& profiles() const { return profiles_; }
  bool profiles_changed() const { return profiles_changed_; }  // by the last update
  // Of the nodes that were asked for, of all if the settings name none; by namespace and name.
  const std::vector<const Workload*>& workloads() const { return workloads_; }
  // HostEndpoints of all nodes; their addresses are expectedIPs.
  const std::vector<const Workload*>& hosts() const { return hosts_; }
  // nullptr: it has no EndpointSlice.
  const ServiceMembers* service(const ServiceName& name) const;

  struct Bearers {  // of one label set
    std::vector<const Workload*> ends;
    std::vector<const LabelledSet*> sets;
    bool none() const { return ends.empty() && sets.empty(); }
  };
  const Bearers& bearers(LabelsId id) const;

  // Who bears a label set since the last update, or does so no more; nullptr: too many to tell.
  struct Move {
    LabelsId labels = 0;
    bool came = false;
    std::variant<Workload, LabelledSet> who;
  };
  const std::vector<Move>* moves() const { return moves_ ? &*moves_ : nullptr; }

  // The number of updates, and what the last one changed: label sets whose bearers are not what
  // they were, services whose members are not, and how many objects were read for it.
  uint64_t serial() const { return serial_; }
  bool changed(const std::vector<LabelsId>& ids) const;  // which ascend
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
  // What came of the objects of one kind that the last model had.
  template <typename Object, typename T>
  struct Kind {
    config::Objects<Object> objects;
    std::unordered_map<const Object*, Made<T>> made;
  };

  void update_profiles(const config::Model& model);
  void note_changed_profiles(const Profiles& before);
  void update_workloads(const config::Model& model);
  void update_hosts(const config::Model& model);
  void update_sets(const config::Model& model);
  void update_services(const config::Model& model);
  void ask_for(Whose whose, const std::string& node);

  // Follows what came and went, and makes anew what inherits from another profile than before.
  template <typename Object, typename T, typename Make>
  config::Difference<Shared<Object>> follow(Kind<Object, T>& kind,
                                            const config::Objects<Object>& now,
                                            const Make& make);
  template <typename Object, typename T, typename Make>
  void add(Kind<Object, T>& kind, const Object& object, const Make& make);
  template <typename Object, typename T>
  void remove(Kind<Object, T>& kind, const Object& object);
  template <typename Object, typename T, typename Make>
  void inherit(Kind<Object, T>& kind, const Make& make);

  // Who is made appears, and vanishes, to those who ask for bearers and findings.
  template <typename T>
  void enter(const Made<T>& made);
  template <typename T>
  void leave(const Made<T>& made);
  Bearers& changing(LabelsId id);
  template <typename T>
  void move(const T& who, bool came);
  template <typename T>
  void label(Made<T>& made, config::Labels& labels);
  void note(const Workload& w, bool came);
  void note(const LabelledSet&, bool) {}

  Felix felix_;
  LabelIndex index_;
  Profiles profiles_;
  bool profiles_changed_ = false;
  std::set<std::string> changed_profiles_;  // that lend other labels, by the last update
  Whose whose_ = Whose::of_our_node;
  std::string node_;
  std::vector<const Workload*> workloads_, hosts_;
  bool in_order_ = true;          // workloads_
  std::vector<Bearers> bearers_;  // by LabelsId
  size_t borne_ = 0;              // label sets that have some
  struct Service {
    std::vector<Shared<config::EndpointSlice>> slices;
    ServiceMembers members;
  };
  std::map<ServiceName, Service> services_;
  uint64_t serial_ = 0;
  std::vector<bool> is_changed_;   // by LabelsId
  std::vector<LabelsId> changed_;  // those
  std::set<ServiceName> changed_services_;
  std::optional<std::vector<Move>> moves_;
  size_t objects_read_ = 0;
  std::unordered_set<const config::Findings*> said_;  // of what is made, where there are some

  config::Objects<config::Profile> written_profiles_;
  config::Objects<config::Namespace> namespaces_;
  config::Objects<config::ServiceAccount> accounts_;
  config::Objects<config::EndpointSlice> slices_;
  std::multiset<std::pair<std::string, std::string>> stood_for_;   // pods that have an endpoint
  std::unordered_map<const void*, Shared<config::Profile>> lent_;  // by the object that lends
  Kind<config::WorkloadEndpoint, Workload> endpoints_;
  Kind<config::Pod, Workload> pods_;
  Kind<config::HostEndpoint, Workload> host_endpoints_;
  Kind<config::NetworkSet, LabelledSet> sets_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_ENDPOINTS_H_
