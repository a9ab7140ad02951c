// SPDX-License-Identifier: Apache-2.0
#include "control/endpoints.h"

#include <algorithm>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include "control/felix.h"
#include "control/kubernetes.h"

namespace sluice::control {
namespace {

constexpr const char* kNamespaceLabel = "projectcalico.org/namespace";
constexpr const char* kOrchestratorLabel = "projectcalico.org/orchestrator";
constexpr const char* kAccountLabel = "projectcalico.org/serviceaccount";

void strip_inherited_keys(config::Labels& labels) {
  std::erase_if(labels, [](const auto& label) {
    return label.first.starts_with("pcns.") || label.first.starts_with("pcsa.");
  });
}

// Own labels first, then those of the first profile that has the key.
void inherit(config::Labels& labels, const std::vector<std::string>& names,
             const Profiles& profiles) {
  for (const std::string& name : names) {
    if (const auto it = profiles.find(name); it != profiles.end()) {
      labels.insert(it->second.labels_to_apply.begin(), it->second.labels_to_apply.end());
    }
  }
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

void check_local(const config::Model& model, const Inventory& inventory,
                 const Profiles& profiles, bool any_source, config::Findings& findings) {
  // Of each node, where none is ours to speak for.
  std::map<std::pair<std::string, Address>, const LocalEndpoint*> addresses;
  std::map<std::pair<std::string, std::string>, const LocalEndpoint*> interfaces;
  std::set<std::string> missing;
  const auto at = [&](const LocalEndpoint& e) {
    return "\"" + e.name + "\" (" + model.files[e.where.file] + ":" +
           std::to_string(e.where.line) + ")";
  };
  for (const Workload& w : inventory.workloads) {
    const LocalEndpoint& e = w.endpoint;
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
      if (rules_matter && !profiles.contains(profile) && missing.insert(profile).second) {
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
  std::vector<Address> out = p.pod_ips;
  for (const char* key : {"cni.projectcalico.org/podIPs", "cni.projectcalico.org/podIP",
                          "vpc.amazonaws.com/pod-ips"}) {
    const auto note = p.meta.annotations.find(key);
    if (out.empty() && note != p.meta.annotations.end()) {
      out = noted_addresses(note->second);
    }
  }
  return out;
}

Profiles all_profiles(const config::Model& model) {
  Profiles out;
  config::Rule allow;
  allow.action = Action::allow;
  config::Profile open;
  open.meta.kind = "Profile";
  open.meta.name = "projectcalico-default-allow";
  open.ingress = {allow};
  open.egress = {allow};
  out[open.meta.name] = open;
  for (const config::Profile& profile : model.profiles) {
    out[profile.meta.name] = profile;
  }
  // What Kubernetes says wins over a dump of what Calico made of it.
  for (const config::Namespace& object : model.namespaces) {
    out[namespace_profile(object.meta.name)] = to_profile(object);
  }
  for (const config::ServiceAccount& object : model.service_accounts) {
    config::Profile profile = to_profile(object);
    out[profile.meta.name] = std::move(profile);
  }
  return out;
}

Inventory take_inventory(const config::Model& model, const Profiles& profiles,
                         config::Findings& findings) {
  Inventory out;
  const Felix felix = felix_of(model);
  std::set<std::pair<std::string, std::string>> known;  // namespace, pod
  const auto add = [&](Workload w, const std::string& kind) {
    if (usable(w, kind, findings)) {
      inherit(w.endpoint.labels, w.endpoint.profiles, profiles);
      w.labels = out.index.add(w.endpoint.labels);
      out.workloads.push_back(std::move(w));
    }
  };
  for (const config::WorkloadEndpoint& w : model.workload_endpoints) {
    known.emplace(w.meta.namespace_name, w.pod);
    add(from_endpoint(w), "WorkloadEndpoint");
  }
  for (const config::Pod& pod : model.pods) {
    const bool eligible = !pod.node.empty() && !pod.host_network && !finished(pod);
    if (eligible && !known.contains({pod.meta.namespace_name, pod.meta.name})) {
      add(from_pod(pod, felix, findings), "Pod");
    }
  }
  for (const config::HostEndpoint& host : model.host_endpoints) {
    Workload w = from_host(host);
    inherit(w.endpoint.labels, w.endpoint.profiles, profiles);
    w.labels = out.index.add(w.endpoint.labels);
    out.hosts.push_back(std::move(w));
  }
  for (const config::NetworkSet& set : model.network_sets) {
    config::Labels labels = set.meta.labels;
    if (!set.global) {
      labels[kNamespaceLabel] = set.meta.namespace_name;
      inherit(labels, {namespace_profile(set.meta.namespace_name)}, profiles);
    }
    out.sets.push_back({set.nets, out.index.add(labels)});
  }
  for (const config::EndpointSlice& slice : model.endpoint_slices) {
    add_slice(slice, out.services[{slice.meta.namespace_name, slice.service}]);
  }
  check_local(model, out, profiles, felix.any_source, findings);
  return out;
}

}  // namespace sluice::control
