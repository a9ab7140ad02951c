// SPDX-License-Identifier: Apache-2.0
#include "control/host_endpoints.h"

#include <algorithm>

namespace sluice::control {
namespace {

// Of both families.
void add_addresses(const config::Node& node, std::vector<Address>& out) {
  if (node.address_host) {
    out.push_back(Address::of(*node.address_host));
  }
  if (node.address6_host) {
    out.push_back(*node.address6_host);
  }
}

std::vector<Address> uplink_addresses(const config::Model& model) {
  std::vector<Address> out;
  for (const auto& one : model.settings.uplink.addresses) {
    out.push_back(one.address);
  }
  for (const config::Node& node : model.nodes) {
    if (node.meta.name == model.settings.node) {
      add_addresses(node, out);
    }
  }
  return out;
}

std::vector<Address> tunnel_addresses(const config::Model& model) {
  std::vector<Address> out;
  if (model.settings.tunnel_address) {
    out.push_back(Address::of(*model.settings.tunnel_address));
  }
  for (const config::Node& node : model.nodes) {
    if (node.meta.name == model.settings.node && node.tunnel_address) {
      out.push_back(Address::of(*node.tunnel_address));
    }
  }
  return out;
}

bool stands_for(const LocalEndpoint& host, const std::string& interface,
                const std::vector<Address>& addresses) {
  if (!host.interface_name.empty()) {
    return host.interface_name == interface;
  }
  return std::any_of(
      host.addresses.begin(), host.addresses.end(), [&](const Address& expected) {
        return std::find(addresses.begin(), addresses.end(), expected) != addresses.end();
      });
}

// Of those that stand for the interface the one whose name is bytewise smallest.
const Workload* choose(const std::vector<const Workload*>& local, const std::string& interface,
                       const std::vector<Address>& addresses) {
  const Workload* best = nullptr;
  for (const Workload* host : local) {
    if (stands_for(host->endpoint, interface, addresses) &&
        (best == nullptr || host->endpoint.name < best->endpoint.name)) {
      best = host;
    }
  }
  return best;
}

}  // namespace

ProtectedInterfaces resolve_host_endpoints(const config::Model& model,
                                           const Inventory& inventory,
                                           config::Findings& findings) {
  std::vector<const Workload*> local;
  for (const Workload* host : inventory.hosts()) {
    if (host->endpoint.node == model.settings.node) {
      local.push_back(host);
    }
  }
  ProtectedInterfaces out;
  const config::Uplink& uplink = model.settings.uplink;
  out.pods = choose(local, kEveryInterface, {});
  out.uplink = choose(local, uplink.interface, uplink_addresses(model));
  out.tunnel = choose(local, kTunnelInterface, tunnel_addresses(model));
  out.uplink = out.uplink == nullptr ? out.pods : out.uplink;
  out.tunnel = out.tunnel == nullptr ? out.pods : out.tunnel;
  const auto warn_without = [&](const char* gateway) {
    findings.warning(out.uplink->endpoint.where,
                     "HostEndpoint \"" + out.uplink->endpoint.name + "\": without uplink." +
                         gateway +
                         " the node itself reaches no further than the uplink's subnets");
  };
  const std::vector<Address> own = uplink_addresses(model);
  const bool ip6 = model.settings.path.ip6 &&
                   !std::all_of(own.begin(), own.end(),
                                [](const Address& address) { return address.is_v4(); });
  if (out.uplink != nullptr && !uplink.gateway) {
    warn_without("gateway");
  }
  if (out.uplink != nullptr && !uplink.gateway6 && ip6) {
    warn_without("gateway6");
  }
  for (const Workload* host : local) {
    if (host != out.pods && host != out.uplink && host != out.tunnel) {
      findings.warning(host->endpoint.where,
                       "HostEndpoint \"" + host->endpoint.name +
                           "\" is not applied: it stands for no interface that sluice has, or "
                           "another of the same interface has the smaller name");
    }
  }
  return out;
}

ProtectedInterfaces host_endpoints_of(const config::Model& model, const Inventory& inventory,
                                      const std::string& node) {
  std::vector<const Workload*> local, others;
  for (const Workload* host : inventory.hosts()) {
    const std::string& interface = host->endpoint.interface_name;
    if (host->endpoint.node == node) {
      local.push_back(host);
      if (interface != kEveryInterface && interface != kTunnelInterface) {
        others.push_back(host);
      }
    }
  }
  std::vector<Address> addresses;
  for (const config::Node& n : model.nodes) {
    if (n.meta.name == node) {
      add_addresses(n, addresses);
    }
  }
  ProtectedInterfaces out;
  out.pods = choose(local, kEveryInterface, {});
  out.tunnel = choose(local, kTunnelInterface, {});
  out.tunnel = out.tunnel == nullptr ? out.pods : out.tunnel;
  out.uplink = out.pods;
  bool by_address = false;
  for (const Workload* host : others) {
    const auto& expected = host->endpoint.addresses;
    const bool has = std::any_of(expected.begin(), expected.end(), [&](const Address& a) {
      return std::find(addresses.begin(), addresses.end(), a) != addresses.end();
    });
    const bool first = out.uplink == out.pods;
    if (first || (has && !by_address) ||
        (has == by_address && host->endpoint.name < out.uplink->endpoint.name)) {
      out.uplink = host;
      by_address = has;
    }
  }
  return out;
}

std::vector<config::Rule> failsafe_rules(const Felix& felix, Direction direction,
                                         bool replies) {
  // What answers inbound traffic goes out, and the other way round.
  const bool inbound = (direction == Direction::ingress) != replies;
  std::vector<config::Rule> out;
  for (const config::FailsafePort& port :
       inbound ? felix.failsafe_inbound : felix.failsafe_outbound) {
    config::Rule rule;
    rule.action = Action::allow;
    rule.protocol = config::Protocol{port.protocol, true};
    (replies ? rule.source : rule.destination).ports = {PortRange{port.port, port.port}};
    if (port.net) {  // the other end's
      (direction == Direction::ingress ? rule.source : rule.destination).nets = {*port.net};
    }
    out.push_back(std::move(rule));
  }
  return out;
}

}  // namespace sluice::control
