// SPDX-License-Identifier: Apache-2.0
#include "config/kinds.h"
#include "config/rules.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

std::vector<Value> list_at(const Value& v, std::string_view key) {
  const auto x = v.get(key);
  return x ? x->list() : std::vector<Value>();
}

// An endpoint has addresses, not networks.
std::vector<Prefix> read_host_networks(const Value& v) {
  std::vector<Prefix> out = read_prefixes(v);
  for (const Prefix& p : out) {
    if (p.length != 128) {
      v.error(to_string(p) + " is not one address", "write it as 10.0.0.1/32");
    }
  }
  return out;
}

void read_pod_spec(const Value& spec, Pod& p) {
  p.node = spec.text_at("nodeName");
  p.service_account = spec.text_at("serviceAccountName");
  if (const auto v = spec.get("hostNetwork")) {
    read_boolean(*v, p.host_network);
  }
  for (const std::string_view group : {"containers", "initContainers"}) {
    for (const Value& container : list_at(spec, group)) {
      for (const Value& port : list_at(container, "ports")) {
        p.ports.push_back(read_named_port(port, "containerPort", {"hostIP", "hostPort"}));
      }
    }
  }
  std::erase_if(p.ports, [](const NamedPort& port) { return port.name.empty(); });
}

void read_pod_status(const Value& status, Pod& p) {
  p.phase = status.text_at("phase");
  for (const Value& item : list_at(status, "podIPs")) {
    if (const auto ip = item.get("ip")) {
      if (const auto address = read_address(*ip)) {
        p.pod_ips.push_back(*address);
      }
    }
  }
  const auto ip = status.get("podIP");
  if (p.pod_ips.empty() && ip && !ip->written().empty()) {
    if (const auto address = read_address(*ip)) {
      p.pod_ips.push_back(*address);
    }
  }
}

}  // namespace

NamedPort read_named_port(const Value& v, std::string_view number_key,
                          const std::set<std::string_view>& ignored) {
  NamedPort p;
  v.fields(
      {
          {"name", [&](const Value& x) { p.name = x.text(); }},
          {"protocol",
           [&](const Value& x) {
             if (const auto protocol = read_protocol(x)) {
               p.protocol = protocol->number;
             }
           }},
          {number_key,
           [&](const Value& x) {
             p.port = static_cast<uint16_t>(x.integer(1, 65535).value_or(0));
           }},
      },
      ignored, Null::absent);
  if (!v.get(number_key)) {
    v.error(std::string(number_key) + " is missing");
  }
  return p;
}

void read_workload_endpoint(const Value& object, Meta meta, ResourceLists& model) {
  WorkloadEndpoint w;
  read_spec(object,
            {
                {"node", [&](const Value& x) { w.node = x.text(); }},
                {"orchestrator", [&](const Value& x) { w.orchestrator = x.text(); }},
                {"pod", [&](const Value& x) { w.pod = x.text(); }},
                {"interfaceName", [&](const Value& x) { w.interface_name = x.text(); }},
                {"ipNetworks", [&](const Value& x) { w.ip_networks = read_host_networks(x); }},
                {"profiles", [&](const Value& x) { w.profiles = x.texts(); }},
                {"mac",
                 [&](const Value& x) {
                   if (!x.written().empty()) {
                     w.mac = read_mac(x);
                   }
                 }},
                {"ports",
                 [&](const Value& x) {
                   for (const Value& item : x.list()) {
                     w.ports.push_back(read_named_port(item, "port"));
                   }
                 }},
                {"serviceAccountName", [&](const Value& x) { w.service_account = x.text(); }},
                {"allowSpoofedSourcePrefixes",
                 [&](const Value& x) { w.allowed_source_prefixes = read_prefixes(x); }},
            },
            {"containerID", "endpoint", "ipNATs", "ipv4Gateway", "ipv6Gateway", "qosControls",
             "workload"});
  w.meta = std::move(meta);
  model.workload_endpoints.push_back(std::move(w));
}

void read_host_endpoint(const Value& object, Meta meta, ResourceLists& model) {
  constexpr size_t kMaxInterfaceName = 15;
  HostEndpoint h;
  read_spec(object, {
                        {"node", [&](const Value& x) { h.node = x.text(); }},
                        {"interfaceName",
                         [&](const Value& x) {
                           h.interface_name = x.text();
                           if (h.interface_name.size() > kMaxInterfaceName) {
                             x.error("an interface name has at most 15 bytes");
                           }
                         }},
                        {"expectedIPs",
                         [&](const Value& x) {
                           for (const Value& item : x.list()) {
                             if (const auto address = read_address(item)) {
                               h.expected_ips.push_back(*address);
                             }
                           }
                         }},
                        {"profiles", [&](const Value& x) { h.profiles = x.texts(); }},
                        {"ports",
                         [&](const Value& x) {
                           for (const Value& item : x.list()) {
                             h.ports.push_back(read_named_port(item, "port"));
                           }
                         }},
                    });
  if (h.node.empty()) {
    object.error("spec.node is missing");
  }
  if (h.interface_name.empty() && h.expected_ips.empty()) {
    object.error("a HostEndpoint needs interfaceName or expectedIPs");
  }
  h.meta = std::move(meta);
  model.host_endpoints.push_back(std::move(h));
}

void read_pod(const Value& object, Meta meta, ResourceLists& model) {
  Pod p;
  if (const auto metadata = object.get("metadata")) {
    p.deleting = metadata->get("deletionTimestamp").has_value();
  }
  for (const auto& [key, value] : meta.annotations) {
    if (key.starts_with("qos.projectcalico.org/")) {
      object.warning(key + " is not applied");
    }
  }
  if (const auto spec = object.get("spec")) {
    read_pod_spec(*spec, p);
  }
  if (const auto status = object.get("status")) {
    read_pod_status(*status, p);
  }
  p.meta = std::move(meta);
  model.pods.push_back(std::move(p));
}

void read_namespace(const Value&, Meta meta, ResourceLists& model) {
  model.namespaces.push_back(Namespace{std::move(meta)});
}

void read_service_account(const Value&, Meta meta, ResourceLists& model) {
  model.service_accounts.push_back(ServiceAccount{std::move(meta)});
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): as all readers
void read_service(const Value& object, Meta, ResourceLists& model) {
  model.service = model.service.value_or(object.where());
}

}  // namespace sluice::config
