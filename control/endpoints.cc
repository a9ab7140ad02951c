// SPDX-License-Identifier: Apache-2.0
#include "control/endpoints.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
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
  out.host = true;
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

const std::vector<std::string>& profiles_of(const Workload& w) {
  return w.endpoint.profiles;
}
const std::vector<std::string>& profiles_of(const LabelledSet& set) {
  return set.profiles;
}

}  // namespace

void Inventory::update_profiles(const config::Model& model) {
  profiles_changed_ = !change(written_profiles_, model.profiles).none() ||
                      !change(namespaces_, model.namespaces).none() ||
                      !change(accounts_, model.service_accounts).none() || profiles_.empty();
  changed_profiles_.clear();
  if (!profiles_changed_) {
    return;
  }
  written_profiles_ = model.profiles;
  const Profiles before = std::exchange(profiles_, {});
  const auto add = [this](const Shared<config::Profile>& profile) {
    profiles_.insert_or_assign(profile->meta.name, profile);
  };
  const auto add_lenders = [&](auto& known, const auto& now) {
    const auto changed = change(known, now);
    for (const auto& object : changed.gone) {
      lent_.erase(object.address());
    }
    for (const auto& object : changed.come) {
      lent_.emplace(object.address(), to_profile(*object));
    }
    known = now;
    for (const auto& object : now) {
      add(lent_.at(object.address()));
    }
  };
  static const Shared<config::Profile> open = default_allow();
  add(open);
  std::for_each(model.profiles.begin(), model.profiles.end(), add);
  // What Kubernetes says wins over a dump of what Calico made of it.
  add_lenders(namespaces_, model.namespaces);
  add_lenders(accounts_, model.service_accounts);
  note_changed_profiles(before);
}

// Those that lend other labels than before, or are new, or have gone.
void Inventory::note_changed_profiles(const Profiles& before) {
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

// The bearers of a label set, which are about to change.
Inventory::Bearers& Inventory::changing(LabelsId id) {
  if (id >= bearers_.size()) {
    bearers_.resize(index_.size());
    is_changed_.resize(index_.size());
  }
  if (!is_changed_[id]) {
    is_changed_[id] = true;
    changed_.push_back(id);
  }
  return bearers_[id];
}

namespace {

auto& list_of(Inventory::Bearers& bearers, const Workload&) {
  return bearers.ends;
}
auto& list_of(Inventory::Bearers& bearers, const LabelledSet&) {
  return bearers.sets;
}

template <typename T>
void put_in(std::vector<const T*>& of, const T& one) {
  one.place = of.size();
  of.push_back(&one);
}
template <typename T>
void take_out(std::vector<const T*>& of, const T& one) {
  of.back()->place = one.place;
  of[one.place] = of.back();
  of.pop_back();
}

}  // namespace

template <typename T>
void Inventory::move(const T& who, bool came) {
  constexpr size_t kMany = 1000;
  if (moves_ && moves_->size() == kMany) {
    moves_.reset();
  }
  if (moves_) {
    moves_->push_back({who.labels, came, who});
  }
}

template <typename T>
void Inventory::enter(const Made<T>& made) {
  ++objects_read_;
  if (!made.findings.all().empty()) {
    said_.insert(&made.findings);
  }
  if (made.usable) {
    Bearers& bearers = changing(made.value.labels);
    borne_ += bearers.none() ? 1 : 0;
    put_in(list_of(bearers, made.value), made.value);
    note(made.value, true);
    move(made.value, true);
  }
}

template <typename T>
void Inventory::leave(const Made<T>& made) {
  said_.erase(&made.findings);
  if (made.usable) {
    Bearers& bearers = changing(made.value.labels);
    take_out(list_of(bearers, made.value), made.value);
    note(made.value, false);
    move(made.value, false);
    borne_ -= bearers.none() ? 1 : 0;
  }
}

template <typename Object, typename T, typename Make>
void Inventory::add(Kind<Object, T>& kind, const Object& object, const Make& make) {
  const auto [it, fresh] = kind.made.try_emplace(&object);
  if (fresh) {
    make(object, it->second);
    enter(it->second);
  }
}

template <typename Object, typename T>
void Inventory::remove(Kind<Object, T>& kind, const Object& object) {
  if (const auto it = kind.made.find(&object); it != kind.made.end()) {
    leave(it->second);
    kind.made.erase(it);
  }
}

template <typename Object, typename T, typename Make>
void Inventory::inherit(Kind<Object, T>& kind, const Make& make) {
  if (changed_profiles_.empty()) {
    return;
  }
  for (auto& [object, made] : kind.made) {
    const std::vector<std::string>& names = profiles_of(made.value);
    if (std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return changed_profiles_.contains(name);
        })) {
      leave(made);
      made = {};
      make(*object, made);
      enter(made);
    }
  }
}

template <typename Object, typename T, typename Make>
config::Difference<Shared<Object>> Inventory::follow(Kind<Object, T>& kind,
                                                     const config::Objects<Object>& now,
                                                     const Make& make) {
  auto changed = change(kind.objects, now);
  for (const Object& object : changed.gone) {
    remove(kind, object);
  }
  inherit(kind, make);
  for (const Object& object : changed.come) {
    add(kind, object, make);
  }
  kind.objects = now;
  return changed;
}

void Inventory::update_workloads(const config::Model& model) {
  Felix felix = felix_of(model);
  const bool renamed = felix_.interface_prefixes.front() != felix.interface_prefixes.front();
  felix_ = std::move(felix);
  const auto finish = [this](Made<Workload>& made, const char* kind) {
    made.usable = usable(made.value, kind, made.findings);
    if (made.usable) {
      label(made, made.value.endpoint.labels);
    }
  };
  const auto ends = follow(endpoints_, model.workload_endpoints,
                           [&](const config::WorkloadEndpoint& w, Made<Workload>& made) {
                             made.value = from_endpoint(w);
                             finish(made, "WorkloadEndpoint");
                           });
  for (const config::WorkloadEndpoint& w : ends.gone) {
    stood_for_.extract({w.meta.namespace_name, w.pod});  // one of them
  }
  for (const config::WorkloadEndpoint& w : ends.come) {
    stood_for_.emplace(w.meta.namespace_name, w.pod);
  }

  const auto make_pod = [&](const config::Pod& p, Made<Workload>& made) {
    made.value = from_pod(p, felix_, made.findings);
    finish(made, "Pod");
  };
  const auto look_at = [&](const config::Pod& pod) {
    const bool eligible = !pod.node.empty() && !pod.host_network && !finished(pod);
    eligible && !stood_for_.contains({pod.meta.namespace_name, pod.meta.name})
        ? add(pods_, pod, make_pod)
        : remove(pods_, pod);
  };
  const auto pods = change(pods_.objects, model.pods);
  for (const config::Pod& pod : pods.gone) {
    remove(pods_, pod);
  }
  for (const config::Pod& pod : renamed ? pods_.objects : config::Objects<config::Pod>()) {
    remove(pods_, pod);
  }
  inherit(pods_, make_pod);
  pods_.objects = model.pods;
  if (renamed || !ends.none()) {
    std::for_each(model.pods.begin(), model.pods.end(), look_at);
  } else {
    std::for_each(pods.come.begin(), pods.come.end(), look_at);
  }
}

void Inventory::update_hosts(const config::Model& model) {
  const auto changed = follow(host_endpoints_, model.host_endpoints,
                              [&](const config::HostEndpoint& host, Made<Workload>& made) {
                                made.value = from_host(host);
                                label(made, made.value.endpoint.labels);
                              });
  if (changed.none()) {
    return;
  }
  hosts_.clear();
  for (const config::HostEndpoint& host : model.host_endpoints) {
    hosts_.push_back(&host_endpoints_.made.at(&host).value);
  }
}

void Inventory::update_sets(const config::Model& model) {
  follow(sets_, model.network_sets,
         [&](const config::NetworkSet& set, Made<LabelledSet>& made) {
           config::Labels labels = set.meta.labels;
           if (!set.global) {
             labels[kNamespaceLabel] = set.meta.namespace_name;
             made.value.profiles = {namespace_profile(set.meta.namespace_name)};
           }
           made.value.nets = set.nets;
           label(made, labels);
         });
}

void Inventory::update_services(const config::Model& model) {
  changed_services_.clear();
  const auto slices = change(slices_, model.endpoint_slices);
  slices_ = model.endpoint_slices;
  const auto service_of = [this](const config::EndpointSlice& slice) -> Service& {
    const ServiceName name{slice.meta.namespace_name, slice.service};
    changed_services_.insert(name);
    return services_[name];
  };
  for (const auto& slice : slices.gone) {
    std::erase_if(service_of(slice).slices, [&](const auto& one) { return one.is(slice); });
  }
  for (const auto& slice : slices.come) {
    service_of(slice).slices.push_back(slice);
  }
  for (const ServiceName& name : changed_services_) {
    Service& service = services_[name];
    service.members = {};
    for (const config::EndpointSlice& slice : service.slices) {
      add_slice(slice, service.members);
    }
    if (service.slices.empty()) {
      services_.erase(name);
    }
  }
}

void Inventory::update(const config::Model& model, Whose whose, config::Findings& findings) {
  ++serial_;
  objects_read_ = 0;
  moves_.emplace();
  for (const LabelsId id : std::exchange(changed_, {})) {
    is_changed_[id] = false;
  }
  ask_for(whose, model.settings.node);
  update_profiles(model);
  update_workloads(model);
  update_hosts(model);
  update_sets(model);
  update_services(model);
  if (!std::exchange(in_order_, true)) {
    std::sort(workloads_.begin(), workloads_.end(), [](const Workload* a, const Workload* b) {
      const LocalEndpoint &x = a->endpoint, &y = b->endpoint;
      return std::tie(x.namespace_name, x.name, x.interface_name) <
             std::tie(y.namespace_name, y.name, y.interface_name);
    });
  }
  for (const config::Findings* said : said_) {
    findings.add(*said);
  }
  check_local(model, *this, felix_.any_source, findings);
}

// From now on workloads() are those.
void Inventory::ask_for(Whose whose, const std::string& node) {
  if (whose == whose_ && node == node_) {
    return;
  }
  whose_ = whose;
  node_ = node;
  workloads_.clear();
  const auto keep = [this](const auto& kind) {
    for (const auto& [object, made] : kind.made) {
      if (made.usable) {
        note(made.value, true);
      }
    }
  };
  keep(endpoints_);
  keep(pods_);
}

// It came, or goes.
void Inventory::note(const Workload& w, bool came) {
  const bool asked = whose_ == Whose::of_all_nodes || node_.empty() || w.endpoint.node == node_;
  if (w.host || !asked) {
    return;
  }
  if (came) {
    in_order_ = false;
    workloads_.push_back(&w);
  } else {
    std::erase(workloads_, &w);
  }
}

const ServiceMembers* Inventory::service(const ServiceName& name) const {
  const auto it = services_.find(name);
  return it == services_.end() ? nullptr : &it->second.members;
}

bool Inventory::changed(const std::vector<LabelsId>& ids) const {
  if (changed_.size() < ids.size()) {
    return std::any_of(changed_.begin(), changed_.end(), [&](LabelsId id) {
      return std::binary_search(ids.begin(), ids.end(), id);
    });
  }
  return std::any_of(ids.begin(), ids.end(),
                     [&](LabelsId id) { return id < is_changed_.size() && is_changed_[id]; });
}

const Inventory::Bearers& Inventory::bearers(LabelsId id) const {
  static const Bearers nobody;
  return id < bearers_.size() ? bearers_[id] : nobody;
}

bool Inventory::mostly_stale() const {
  constexpr size_t kSlack = 1000;
  return bearers_.size() > 2 * borne_ + kSlack;
}

}  // namespace sluice::control
