// SPDX-License-Identifier: Apache-2.0
#include "control/endpoints.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "control/kubernetes.h"

namespace sluice::control {
namespace {

void strip_inherited_keys(config::Labels& labels) {
  std::erase_if(labels, [](const auto& label) {
    return label.first.starts_with("pcns.") || label.first.starts_with("pcsa.");
  });
}

Workload from_endpoint(const config::WorkloadEndpoint& w) {
  Workload out;
  LocalEndpoint& e = out.endpoint;
  e.namespace_name = w.meta.namespace_name;
  e.name = w.pod.empty() ? w.meta.name : w.pod;
  e.interface_name = w.interface_name;
  for (const Prefix& p : w.ip_networks) {
    e.addresses.push_back(p.base);
  }
  e.allowed_sources = w.allowed_source_prefixes;
  e.mac = w.mac;
  e.labels = w.meta.labels;
  strip_inherited_keys(e.labels);
  e.labels[kNamespaceLabel] = w.meta.namespace_name;
  if (!w.orchestrator.empty()) {
    e.labels[kOrchestratorLabel] = w.orchestrator;
  }
  if (!w.service_account.empty()) {
    e.labels[kAccountLabel] = w.service_account;
  }
  e.profiles = w.profiles;
  e.where = w.meta.where;
  e.node = w.node;
  out.ports = w.ports;
  return out;
}

Workload from_host(const config::HostEndpoint& h) {
  Workload out;
  LocalEndpoint& e = out.endpoint;
  e.name = h.meta.name;
  e.interface_name = h.interface_name;
  e.addresses = h.expected_ips;
  e.labels = h.meta.labels;
  e.profiles = h.profiles;
  e.where = h.meta.where;
  e.node = h.node;
  out.ports = h.ports;
  return out;
}

// The addresses in a comma-separated annotation; a prefix length is cut off.
std::vector<Address> noted_addresses(const std::string& text) {
  std::vector<Address> out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (const auto prefix = parse_prefix(std::string_view(text).substr(begin, end - begin))) {
      out.push_back(prefix->base);
    }
    begin = end + 1;
  }
  return out;
}

// The CIDRs of a JSON list in an annotation; what is none is a finding.
std::vector<Prefix> noted_prefixes(const config::Pod& p, config::Findings& findings) {
  constexpr const char* kKey = "cni.projectcalico.org/allowedSourcePrefixes";
  std::vector<Prefix> out;
  const auto note = p.meta.annotations.find(kKey);
  if (note == p.meta.annotations.end() || note->second.empty()) {
    return out;
  }
  const auto list = nlohmann::json::parse(note->second, nullptr, false);
  bool good = list.is_array();
  for (const auto& item : list) {
    const auto prefix =
        item.is_string() ? parse_prefix(item.get_ref<const std::string&>()) : std::nullopt;
    good = good && prefix.has_value();
    out.push_back(prefix.value_or(Prefix{}));
  }
  if (!good) {
    findings.error(p.meta.where,
                   "pod \"" + p.meta.name + "\": annotation " + kKey + " is no list of CIDRs",
                   "write it as '[\"10.9.0.0/16\"]'");
    return {};
  }
  return out;
}

Workload from_pod(const config::Pod& p, const Felix& felix, config::Findings& findings) {
  Workload out;
  LocalEndpoint& e = out.endpoint;
  e.namespace_name = p.meta.namespace_name;
  e.name = p.meta.name;
  e.interface_name =
      pod_interface(p.meta.namespace_name, p.meta.name, felix.interface_prefixes.front());
  e.addresses = addresses_of(p);
  e.labels = p.meta.labels;
  e.labels[kNamespaceLabel] = p.meta.namespace_name;
  e.labels[kOrchestratorLabel] = "k8s";
  strip_inherited_keys(e.labels);
  e.profiles = {namespace_profile(p.meta.namespace_name)};
  if (!p.service_account.empty()) {
    e.labels[kAccountLabel] = p.service_account;
    e.profiles.push_back(account_profile(p.meta.namespace_name, p.service_account));
  }
  e.allowed_sources = noted_prefixes(p, findings);
  e.where = p.meta.where;
  e.node = p.node;
  out.ports = p.ports;
  return out;
}

// Can it be an endpoint at all?
bool usable(const Workload& w, const std::string& kind, config::Findings& findings) {
  const LocalEndpoint& e = w.endpoint;
  if (e.interface_name.empty() || e.addresses.empty()) {
    findings.warning(e.where, kind + " \"" + e.name + "\" has no " +
                                  (e.addresses.empty() ? "address" : "interfaceName") +
                                  ": it is no endpoint, all its traffic is dropped");
    return false;
  }
  return true;
}

void check_local(const config::Model& model, const Inventory& inventory, bool any_source,
                 config::Findings& findings) {
  // Of each node, where none is ours to speak for.
  std::map<std::pair<std::string, Address>, const LocalEndpoint*> addresses;
  std::map<std::pair<std::string, std::string>, const LocalEndpoint*> interfaces;
  std::set<std::string> missing;
  const auto at = [&](const LocalEndpoint& e) {
    return "\"" + e.name + "\" (" + model.files[e.where.file] + ":" +
           std::to_string(e.where.line) + ")";
  };
  for (const Workload* w : inventory.workloads()) {
    const LocalEndpoint& e = w->endpoint;
    if (!model.settings.node.empty() && e.node != model.settings.node) {
      continue;
    }
    if (!e.allowed_sources.empty() && !any_source) {
      findings.error(
          e.where, "\"" + e.name + "\" asks for sources besides its own addresses",
          "FelixConfiguration \"default\" with workloadSourceSpoofing: Any allows it");
    }
    for (const Address& address : e.addresses) {
      const auto [it, fresh] = addresses.emplace(std::pair(e.node, address), &e);
      if (!fresh) {
        findings.error(e.where, "address " + to_string(address) + " of \"" + e.name +
                                    "\" is also that of " + at(*it->second));
      }
    }
    const auto [it, fresh] = interfaces.emplace(std::pair(e.node, e.interface_name), &e);
    if (!fresh) {
      findings.error(e.where, "interface " + e.interface_name + " of \"" + e.name +
                                  "\" is also that of " + at(*it->second));
    }
    for (const std::string& profile : e.profiles) {
      const bool rules_matter = !profile.starts_with("ksa.");
      if (rules_matter && !inventory.profiles().contains(profile) &&
          missing.insert(profile).second) {
        findings.warning(e.where,
                         "profile \"" + profile +
                             "\" does not exist: what no policy "
                             "allows is denied",
                         profile.starts_with("kns.")
                             ? "add the Namespace \"" + profile.substr(4) + "\""
                             : "add the Profile \"" + profile + "\"");
      }
    }
  }
}

// Every address with every port: conditions are not asked (semantics 3.6).
void add_slice(const config::EndpointSlice& slice, ServiceMembers& to) {
  for (const Address& address : slice.addresses) {
    to.addresses.push_back(Prefix::of(address, 128));
    for (const config::EndpointSlice::Port& port : slice.ports) {
      to.ports.push_back({address, port.protocol, port.port});
    }
  }
}

}  // namespace

bool finished(const config::Pod& p) {
  if (p.phase == "Succeeded" || p.phase == "Failed" || p.phase == "Completed") {
    return true;
  }
  const auto annotation = p.meta.annotations.find("cni.projectcalico.org/podIP");
  return p.deleting && annotation != p.meta.annotations.end() && annotation->second.empty();
}

// Of the first place that has some (semantics 1.7).
std::vector<Address> addresses_of(const config::Pod& p) {
  if (!p.pod_ips.empty()) {
    return p.pod_ips;
  }
  std::vector<Address> out;
  for (const char* key : {"cni.projectcalico.org/podIPs", "cni.projectcalico.org/podIP",
                          "vpc.amazonaws.com/pod-ips"}) {
    const auto note = p.meta.annotations.find(key);
    if (out.empty() && note != p.meta.annotations.end()) {
      out = noted_addresses(note->second);
    }
  }
  return out;
}

// ---- the inventory -----------------------------------------------------------------------

namespace {

config::Profile default_allow() {
  config::Rule allow;
  allow.action = Action::allow;
  config::Profile open;
  open.meta.kind = "Profile";
  open.meta.name = "projectcalico-default-allow";
  open.ingress = {allow};
  open.egress = {allow};
  return open;
}

bool same(const std::vector<Shared<config::EndpointSlice>>& a,
          const std::vector<Shared<config::EndpointSlice>>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.is(y); });
}

const std::vector<std::string>& profiles_of(const Workload& w) {
  return w.endpoint.profiles;
}
const std::vector<std::string>& profiles_of(const LabelledSet& set) {
  return set.profiles;
}

}  // namespace

void Inventory::update_profiles(const config::Model& model) {
  const Profiles before = std::exchange(profiles_, {});
  const auto add = [this](const Shared<config::Profile>& profile) {
    profiles_.insert_or_assign(profile->meta.name, profile);
  };
  const auto derive_all = [&](const auto& objects, auto& memo) {
    for (const auto& object : objects) {
      const Shared<config::Profile>* made = memo.find(object);
      add(made != nullptr ? *made : memo.put(object, Shared(to_profile(*object))));
    }
    memo.end_round();
  };
  static const Shared<config::Profile> open = default_allow();
  add(open);
  std::for_each(model.profiles.begin(), model.profiles.end(), add);
  // What Kubernetes says wins over a dump of what Calico made of it.
  derive_all(model.namespaces, of_namespaces_);
  derive_all(model.service_accounts, of_accounts_);
  note_changed_profiles(before);
}

// Those that lend other labels than before, or are new, or have gone.
void Inventory::note_changed_profiles(const Profiles& before) {
  changed_profiles_.clear();
  for (const auto& [name, profile] : profiles_) {
    const auto old = before.find(name);
    if (old == before.end() || old->second->labels_to_apply != profile->labels_to_apply) {
      changed_profiles_.insert(name);
    }
  }
  for (const auto& [name, profile] : before) {
    if (!profiles_.contains(name)) {
      changed_profiles_.insert(name);
    }
  }
}

// Own labels first, then those of the first profile that has the key.
template <typename T>
void Inventory::label(Made<T>& made, config::Labels& labels) {
  for (const std::string& name : profiles_of(made.value)) {
    if (const auto it = profiles_.find(name); it != profiles_.end()) {
      const config::Labels& lent = it->second->labels_to_apply;
      labels.insert(lent.begin(), lent.end());
    }
  }
  made.value.labels = index_.add(labels);
}

// The value that `make` gave for this very object, or gives now.
template <typename Object, typename T, typename Make>
const T* Inventory::derive(Memo<Object, Made<T>>& memo, const Shared<Object>& object,
                           const Make& make, config::Findings& findings) {
  Made<T>* made = memo.find(object);
  const auto inherits_else = [&](const Made<T>& known) {
    const std::vector<std::string>& names = profiles_of(known.value);
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return changed_profiles_.contains(name);
    });
  };
  if (made == nullptr || inherits_else(*made)) {
    if (made != nullptr) {
      note_change(*made);
    }
    Made<T> fresh;
    make(*object, fresh);
    note_change(fresh);
    ++objects_read_;
    made = &memo.put(object, std::move(fresh));
  }
  findings.add(made->findings);
  return made->usable ? &made->value : nullptr;
}

template <typename T>
void Inventory::note_change(const Made<T>& made) {
  if (!made.usable) {
    return;
  }
  const LabelsId id = made.value.labels;
  if (id >= changed_.size()) {
    changed_.resize(id + 1);
  }
  changed_[id] = true;
}

void Inventory::update_workloads(const config::Model& model, config::Findings& findings) {
  const auto gone = [this](const auto& made) { note_change(made); };
  Felix felix = felix_of(model);
  if (felix_.interface_prefixes.front() != felix.interface_prefixes.front()) {
    of_pods_.end_round(gone);
  }
  felix_ = std::move(felix);
  const auto finish = [this](Made<Workload>& made, const char* kind) {
    made.usable = usable(made.value, kind, made.findings);
    if (made.usable) {
      label(made, made.value.endpoint.labels);
    }
  };
  const auto keep = [](std::vector<const Workload*>& in, const Workload* made) {
    if (made != nullptr) {
      in.push_back(made);
    }
  };
  std::set<std::pair<std::string_view, std::string_view>> known;  // namespace, pod
  for (const auto& object : model.workload_endpoints) {
    known.emplace(object->meta.namespace_name, object->pod);
    keep(workloads_, derive(
                         of_endpoints_, object,
                         [&](const auto& w, Made<Workload>& made) {
                           made.value = from_endpoint(w);
                           finish(made, "WorkloadEndpoint");
                         },
                         findings));
  }
  for (const auto& object : model.pods) {
    const config::Pod& pod = *object;
    const bool eligible = !pod.node.empty() && !pod.host_network && !finished(pod);
    if (!eligible || known.contains({pod.meta.namespace_name, pod.meta.name})) {
      continue;
    }
    keep(workloads_, derive(
                         of_pods_, object,
                         [&](const auto& p, Made<Workload>& made) {
                           made.value = from_pod(p, felix_, made.findings);
                           finish(made, "Pod");
                         },
                         findings));
  }
  for (const auto& object : model.host_endpoints) {
    keep(hosts_, derive(
                     of_hosts_, object,
                     [&](const auto& host, Made<Workload>& made) {
                       made.value = from_host(host);
                       label(made, made.value.endpoint.labels);
                     },
                     findings));
  }
  of_endpoints_.end_round(gone);
  of_pods_.end_round(gone);
  of_hosts_.end_round(gone);
}

void Inventory::update_sets(const config::Model& model, config::Findings& findings) {
  sets_.clear();
  for (const auto& object : model.network_sets) {
    sets_.push_back(derive(
        of_sets_, object,
        [&](const config::NetworkSet& set, Made<LabelledSet>& made) {
          config::Labels labels = set.meta.labels;
          if (!set.global) {
            labels[kNamespaceLabel] = set.meta.namespace_name;
            made.value.profiles = {namespace_profile(set.meta.namespace_name)};
          }
          made.value.nets = set.nets;
          label(made, labels);
        },
        findings));
  }
  of_sets_.end_round([this](const auto& made) { note_change(made); });
}

void Inventory::update_services(const config::Model& model) {
  std::map<ServiceName, std::vector<Shared<config::EndpointSlice>>> now;
  for (const auto& slice : model.endpoint_slices) {
    now[{slice->meta.namespace_name, slice->service}].push_back(slice);
  }
  for (auto it = services_.begin(); it != services_.end();) {
    const bool gone = !now.contains(it->first);
    if (gone) {
      changed_services_.insert(it->first);
    }
    it = gone ? services_.erase(it) : std::next(it);
  }
  for (auto& [name, slices] : now) {
    Service& service = services_[name];
    if (same(service.slices, slices)) {
      continue;
    }
    changed_services_.insert(name);
    service = {std::move(slices), {}};
    for (const config::EndpointSlice& slice : service.slices) {
      add_slice(slice, service.members);
    }
  }
}

void Inventory::update(const config::Model& model, config::Findings& findings) {
  ++serial_;
  objects_read_ = 0;
  changed_.assign(index_.size(), false);
  changed_services_.clear();
  workloads_.clear();
  hosts_.clear();
  update_profiles(model);
  update_workloads(model, findings);
  update_sets(model, findings);
  update_services(model);
  bearers_.resize(index_.size());
  for (Bearers& bearers : bearers_) {
    bearers.ends.clear();
    bearers.sets.clear();
  }
  for (const auto* ends : {&workloads_, &hosts_}) {
    for (const Workload* w : *ends) {
      bearers_[w->labels].ends.push_back(w);
    }
  }
  for (const LabelledSet* set : sets_) {
    bearers_[set->labels].sets.push_back(set);
  }
  check_local(model, *this, felix_.any_source, findings);
}

const ServiceMembers* Inventory::service(const ServiceName& name) const {
  const auto it = services_.find(name);
  return it == services_.end() ? nullptr : &it->second.members;
}

bool Inventory::changed(const std::vector<LabelsId>& ids) const {
  return std::any_of(ids.begin(), ids.end(),
                     [&](LabelsId id) { return id < changed_.size() && changed_[id]; });
}

bool Inventory::mostly_stale() const {
  constexpr size_t kSlack = 1000;
  const auto borne = static_cast<size_t>(std::count_if(
      bearers_.begin(), bearers_.end(),
      [](const Bearers& bearers) { return !bearers.ends.empty() || !bearers.sets.empty(); }));
  return bearers_.size() > 2 * borne + kSlack;
}

}  // namespace sluice::control
