// SPDX-License-Identifier: Apache-2.0
#include "control/routes.h"

#include <algorithm>
#include <string>

#include "control/endpoints.h"
#include "control/felix.h"

namespace sluice::control {
namespace {

using config::EncapMode;
using config::Findings;
using config::IpPool;
using config::Model;
using config::Node;

struct RemoteBlock {
  Prefix block;
  Ip4 node;
  bool tunnel = true;
};

Prefix host_prefix(Ip4 address) {
  return Prefix::of(Address::of(address), 128);
}

class Planner {
 public:
  Planner(const Model& model, const std::vector<LocalEndpoint>& endpoints,
          const EndpointSlots& slots, Findings& findings)
      : model_(model),
        settings_(model.settings),
        endpoints_(endpoints),
        slots_(slots),
        findings_(findings) {}

  // Later entries win over earlier ones of the same prefix, so the order here is the order of
  // trust: what is outside first, what is ours last.
  RoutePlan run() {
    find_nodes();
    add_own_addresses();
    add_uplink();
    const std::vector<RemoteBlock> blocks = remote_blocks();
    for (const RemoteBlock& block : blocks) {
      add_remote(block);
    }
    add_own_blocks();
    add_tunnel_addresses();
    add_borrowed(blocks);
    add_pods();
    for (const Ip4 address : plan_.own) {
      plan_.routes[host_prefix(address)] = {RouteKind::local, kNoEndpoint, {}, {}};
    }
    check();
    return std::move(plan_);
  }

 private:
  void find_nodes() {
    for (const Node& node : model_.nodes) {
      if (node.meta.name == settings_.node) {
        us_ = &node;
      } else if (node.address_host) {
        peers_.emplace(node.meta.name, &node);
        plan_.peers.insert(*node.address_host);
      }
    }
    for (const config::StaticRoute& route : settings_.routes) {
      if (route.node.is_v4()) {
        plan_.peers.insert(route.node.v4());
      }
    }
  }

  void add_own_addresses() {
    const auto& addresses = settings_.uplink.addresses;
    for (const config::Uplink::InterfaceAddress& one : addresses) {
      if (one.address.is_v4()) {
        plan_.own.insert(one.address.v4());
      }
    }
    const auto first = std::find_if(addresses.begin(), addresses.end(),
                                    [](const auto& one) { return one.address.is_v4(); });
    if (us_ != nullptr && us_->address_host) {
      plan_.outer_source = *us_->address_host;
      plan_.own.insert(plan_.outer_source);
    } else if (first != addresses.end()) {
      plan_.outer_source = first->address.v4();
    }
    plan_.tunnel_address = settings_.tunnel_address;
    if (!plan_.tunnel_address && us_ != nullptr) {
      plan_.tunnel_address = us_->tunnel_address;
    }
    if (plan_.tunnel_address) {
      plan_.own.insert(*plan_.tunnel_address);
    }
    for (const Ip4 address : plan_.own) {
      plan_.peers.erase(address);
    }
    plan_.external_nodes = felix_of(model_).external_nodes;
  }

  void add_uplink() {
    for (const config::Uplink::InterfaceAddress& one : settings_.uplink.addresses) {
      subnets_.push_back(one.subnet());
    }
    if (us_ != nullptr && us_->address && settings_.uplink.addresses.empty()) {
      subnets_.push_back(*us_->address);
    }
    if (settings_.uplink.gateway) {
      const Ip4 gateway = *settings_.uplink.gateway;
      plan_.routes[Prefix::of(Address::of(Ip4{0}), 96)] = {RouteKind::gateway, kNoEndpoint,
                                                           gateway, gateway};
    }
    for (const Prefix& subnet : subnets_) {
      if (subnet.is_v4() && subnet.written_length() < 32) {
        plan_.routes[subnet] = {RouteKind::connected, kNoEndpoint, {}, {}};
      }
      // A /31 has no broadcast address (RFC 3021).
      if (subnet.is_v4() && subnet.written_length() < 31) {
        plan_.broadcasts.insert(subnet.last().v4());
      }
    }
  }

  bool on_link(Ip4 address) const {
    return std::any_of(subnets_.begin(), subnets_.end(), [&](const Prefix& subnet) {
      return subnet.contains(Address::of(address));
    });
  }

  // Whose MAC a packet for `node` goes to.
  Ip4 neighbour_for(Ip4 node) const {
    return on_link(node) || !settings_.uplink.gateway ? node : *settings_.uplink.gateway;
  }

  // Is what `node` holds at `address` reached through a tunnel?  The pool decides; without any
  // pool in the files the cluster is taken to be one of IPIP.
  bool tunnelled(const Address& address, Ip4 node) const {
    const IpPool* best = nullptr;
    for (const IpPool& pool : model_.ip_pools) {
      const bool longer = best == nullptr || pool.cidr.length > best->cidr.length;
      if (pool.cidr.contains(address) && longer) {
        best = &pool;
      }
    }
    if (best == nullptr) {
      return model_.ip_pools.empty();
    }
    switch (best->ipip) {
      case EncapMode::always:
        return true;
      case EncapMode::cross_subnet:
        return !in_our_subnet(node);
      case EncapMode::never:
        break;
    }
    return false;
  }

  // Calico goes by our Node's own CIDR; the uplink's subnets stand in where there is none.
  bool in_our_subnet(Ip4 node) const {
    if (us_ != nullptr && us_->address) {
      return us_->address->contains(Address::of(node));
    }
    return on_link(node);
  }

  std::vector<RemoteBlock> remote_blocks() const {
    std::vector<RemoteBlock> blocks;
    if (!settings_.routes.empty()) {
      for (const config::StaticRoute& route : settings_.routes) {
        if (route.node.is_v4() && !plan_.own.contains(route.node.v4())) {
          blocks.push_back({route.block, route.node.v4(), route.tunnel});
        }
      }
      return blocks;
    }
    for (const config::Block& block : model_.blocks) {
      const auto peer = peers_.find(block.node);
      if (peer == peers_.end() || block.deleted || !block.cidr.is_v4()) {
        continue;
      }
      const Ip4 node = *peer->second->address_host;
      blocks.push_back({block.cidr, node, tunnelled(block.cidr.base, node)});
    }
    return blocks;
  }

  void add_remote(const RemoteBlock& remote) {
    if (!remote.block.is_v4()) {
      return;
    }
    const Ip4 neighbour = neighbour_for(remote.node);
    Route route;
    route.kind = remote.tunnel ? RouteKind::tunnel : RouteKind::gateway;
    route.next_hop = remote.tunnel ? remote.node : neighbour;
    route.neighbour = neighbour;
    plan_.routes[remote.block] = route;
    plan_.remote_blocks.push_back(remote.block);
    tunnels_ = tunnels_ || remote.tunnel;
  }

  void add_own_blocks() {
    const auto blackhole = [&](const Prefix& block) {
      if (block.is_v4() && block.written_length() < 32) {
        plan_.routes[block] = Route{};
      }
    };
    for (const config::Block& block : model_.blocks) {
      if (block.node == settings_.node && !block.deleted) {
        blackhole(block.cidr);
      }
    }
    for (const config::StaticRoute& route : settings_.routes) {
      if (route.node.is_v4() && plan_.own.contains(route.node.v4())) {
        blackhole(route.block);
      }
    }
  }

  void add_tunnel_addresses() {
    for (const auto& [name, node] : peers_) {
      if (node->tunnel_address) {
        const Ip4 peer = *node->address_host;
        const Prefix address = host_prefix(*node->tunnel_address);
        add_remote({address, peer, tunnelled(address.base, peer)});
      }
    }
  }

  // An endpoint of another node whose address lies outside that node's blocks.
  void add_borrowed(const std::vector<RemoteBlock>& blocks) {
    const auto borrow = [&](const std::string& node, const Address& address) {
      const auto peer = peers_.find(node);
      if (peer == peers_.end() || !address.is_v4()) {
        return;
      }
      const Ip4 owner = *peer->second->address_host;
      const bool inside =
          std::any_of(blocks.begin(), blocks.end(), [&](const RemoteBlock& block) {
            return block.node == owner && block.block.contains(address);
          });
      if (!inside) {
        add_remote({Prefix::of(address, 128), owner, tunnelled(address, owner)});
      }
    };
    for (const config::WorkloadEndpoint& endpoint : model_.workload_endpoints) {
      for (const Prefix& network : endpoint.ip_networks) {
        if (network.length == 128) {
          borrow(endpoint.node, network.base);
        }
      }
    }
    for (const config::Pod& pod : model_.pods) {
      if (pod.host_network || finished(pod)) {
        continue;
      }
      for (const Address& address : addresses_of(pod)) {
        borrow(pod.node, address);
      }
    }
  }

  void add_pods() {
    for (const LocalEndpoint& endpoint : endpoints_) {
      const auto slot = slots_.find(endpoint.interface_name);
      if (!slot) {
        continue;
      }
      for (const Address& address : endpoint.addresses) {
        if (address.is_v4()) {
          plan_.routes[Prefix::of(address, 128)] = {RouteKind::endpoint, *slot, {}, {}};
        }
      }
    }
  }

  void check() {
    const config::Where where = settings_.uplink.where;
    if (tunnels_ && plan_.outer_source.value == 0) {
      findings_.error(where,
                      "routes to other nodes are tunnelled, but this node has no address",
                      "give uplink.addresses, or the Node resource of \"" + settings_.node +
                          "\" with spec.bgp.ipv4Address");
    }
    const auto& addresses = settings_.uplink.addresses;
    if (us_ != nullptr && us_->address_host && !addresses.empty()) {
      const Ip4 ours = *us_->address_host;
      const bool listed = std::any_of(addresses.begin(), addresses.end(), [&](const auto& a) {
        return a.address == Address::of(ours);
      });
      if (!listed) {
        findings_.warning(where, "uplink.addresses lacks " + to_string(ours) +
                                     ", the address of Node \"" + settings_.node + "\"");
      }
    }
    for (const IpPool& pool : model_.ip_pools) {
      if (pool.vxlan != EncapMode::never) {
        findings_.warning(pool.meta.where,
                          "IPPool \"" + pool.meta.name +
                              "\": vxlanMode is not applied, its blocks are "
                              "routed without encapsulation",
                          "use ipipMode");
      }
    }
  }

  const Model& model_;
  const config::Settings& settings_;
  const std::vector<LocalEndpoint>& endpoints_;
  const EndpointSlots& slots_;
  Findings& findings_;
  const Node* us_ = nullptr;
  std::map<std::string, const Node*> peers_;  // nodes with an address, but ours
  std::vector<Prefix> subnets_;               // of the uplink
  bool tunnels_ = false;
  RoutePlan plan_;
};

std::unordered_set<uint32_t> values_of(const std::set<Ip4>& addresses) {
  std::unordered_set<uint32_t> values;
  for (const Ip4 address : addresses) {
    values.insert(address.value);
  }
  return values;
}

}  // namespace

RoutePlan plan_routes(const Model& model, const std::vector<LocalEndpoint>& endpoints,
                      const EndpointSlots& slots, Findings& findings) {
  return Planner(model, endpoints, slots, findings).run();
}

std::shared_ptr<const RouteTable> make_route_table(const RoutePlan& plan, uint32_t version) {
  auto table = std::make_shared<RouteTable>();
  table->version = version;
  std::vector<Lpm4::Entry> entries;
  std::vector<Lpm6::Entry> entries6;
  for (const auto& [prefix, route] : plan.routes) {
    const auto id = static_cast<uint32_t>(table->routes.size());
    if (prefix.is_v4()) {
      entries.push_back({prefix, id});
    } else {
      entries6.push_back({prefix, id});
    }
    table->routes.push_back(route);
  }
  table->lpm = Lpm4(entries);
  table->lpm6 = Lpm6(entries6);
  table->peers = values_of(plan.peers);
  table->external_nodes = plan.external_nodes;
  table->own.insert(plan.own.begin(), plan.own.end());
  table->broadcasts = values_of(plan.broadcasts);
  table->outer_source = plan.outer_source;
  return table;
}

}  // namespace sluice::control
