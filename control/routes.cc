// SPDX-License-Identifier: Apache-2.0
#include "control/routes.h"

#include <algorithm>
#include <string>

#include "control/felix.h"

namespace sluice::control {
namespace {

using config::EncapMode;
using config::Findings;
using config::IpPool;
using config::Model;

struct RemoteBlock {
  Prefix block;
  Address node;  // of the block's family
  bool tunnel = true;
};

Prefix host_prefix(const Address& address) {
  return Prefix::of(address, 128);
}

std::optional<Address> address_of(const config::Node& node, bool v4) {
  if (!v4) {
    return node.address6_host;
  }
  return node.address_host ? std::optional(Address::of(*node.address_host)) : std::nullopt;
}

class Planner {
 public:
  Planner(const Model& model, const std::vector<LocalEndpoint>& endpoints,
          const EndpointSlots& slots, Borrowed& borrowed, Findings& findings)
      : model_(model),
        settings_(model.settings),
        endpoints_(endpoints),
        slots_(slots),
        borrowed_(borrowed),
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
    for (const Address& address : plan_.own) {
      plan_.routes[host_prefix(address)] = {RouteKind::local, kNoEndpoint, {}, {}};
    }
    check();
    return std::move(plan_);
  }

 private:
  void find_nodes() {
    for (const config::Node& node : model_.nodes) {
      if (node.meta.name == settings_.node) {
        us_ = &node;
        continue;
      }
      peers_.emplace(node.meta.name, &node);
      if (node.address_host) {
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
    for (const config::Uplink::InterfaceAddress& one : settings_.uplink.addresses) {
      plan_.own.insert(one.address);
    }
    if (const auto source = own_address(true)) {
      plan_.outer_source = source->v4();
    }
    plan_.source6 = own_address(false).value_or(Address{});
    plan_.tunnel_address = settings_.tunnel_address;
    if (!plan_.tunnel_address && us_ != nullptr) {
      plan_.tunnel_address = us_->tunnel_address;
    }
    if (plan_.tunnel_address) {
      plan_.own.insert(*plan_.tunnel_address);
    }
    for (const Address& address : plan_.own) {
      if (address.is_v4()) {
        plan_.peers.erase(address.v4());
      }
    }
    plan_.external_nodes = felix_of(model_).external_nodes;
  }

  // The Node's, else the uplink's first.  Nobody else's from here on.
  std::optional<Address> own_address(bool v4) {
    if (const auto address = us_ != nullptr ? address_of(*us_, v4) : std::nullopt) {
      plan_.own.insert(*address);
      return address;
    }
    for (const config::Uplink::InterfaceAddress& one : settings_.uplink.addresses) {
      if (one.address.is_v4() == v4) {
        return one.address;
      }
    }
    return std::nullopt;
  }

  void add_uplink() {
    for (const config::Uplink::InterfaceAddress& one : settings_.uplink.addresses) {
      subnets_.push_back(one.subnet());
    }
    if (us_ != nullptr && settings_.uplink.addresses.empty()) {
      for (const std::optional<Prefix>& subnet : {us_->address, us_->address6}) {
        if (subnet) {
          subnets_.push_back(*subnet);
        }
      }
    }
    for (const bool v4 : {true, false}) {
      if (const auto gateway = gateway_of(v4)) {
        plan_.routes[Prefix::of(v4 ? Address(Ip4{0}) : Address{}, v4 ? 96 : 0)] = {
            RouteKind::gateway, kNoEndpoint, *gateway, *gateway};
      }
    }
    for (const Prefix& subnet : subnets_) {
      if (subnet.length < 128) {
        plan_.routes[subnet] = {RouteKind::connected, kNoEndpoint, {}, {}};
      }
      // A /31 has no broadcast address (RFC 3021), nor has IPv6.
      if (subnet.is_v4() && subnet.written_length() < 31) {
        plan_.broadcasts.insert(subnet.last().v4());
      }
    }
  }

  std::optional<Address> gateway_of(bool v4) const {
    const config::Uplink& uplink = settings_.uplink;
    if (!v4) {
      return uplink.gateway6;
    }
    return uplink.gateway ? std::optional(Address::of(*uplink.gateway)) : std::nullopt;
  }

  bool on_link(const Address& address) const {
    return address.is_link_local() ||
           std::any_of(subnets_.begin(), subnets_.end(),
                       [&](const Prefix& subnet) { return subnet.contains(address); });
  }

  // Whose MAC a packet for `node` goes to.
  Address neighbour_for(const Address& node) const {
    return on_link(node) ? node : gateway_of(node.is_v4()).value_or(node);
  }

  // Is what `node` holds at `address` reached through a tunnel?  The pool decides; without any
  // pool in the files the cluster is taken to be one of IPIP.
  bool tunnelled(const Address& address, const Address& node) const {
    if (!address.is_v4()) {
      return false;
    }
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
  bool in_our_subnet(const Address& node) const {
    if (us_ != nullptr && us_->address) {
      return us_->address->contains(node);
    }
    return on_link(node);
  }

  std::vector<RemoteBlock> remote_blocks() const {
    std::vector<RemoteBlock> blocks;
    if (!settings_.routes.empty()) {
      for (const config::StaticRoute& route : settings_.routes) {
        if (!plan_.own.contains(route.node)) {
          blocks.push_back({route.block, route.node, route.tunnel});
        }
      }
      return blocks;
    }
    for (const config::Block& block : model_.blocks) {
      const auto node = peer_address(block.node, block.cidr.is_v4());
      if (node && !block.deleted) {
        blocks.push_back({block.cidr, *node, tunnelled(block.cidr.base, *node)});
      }
    }
    return blocks;
  }

  // Of another node than ours.
  std::optional<Address> peer_address(const std::string& node, bool v4) const {
    const auto peer = peers_.find(node);
    return peer == peers_.end() ? std::nullopt : address_of(*peer->second, v4);
  }

  void add_remote(const RemoteBlock& remote) {
    const Address neighbour = neighbour_for(remote.node);
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
      if (block.length < 128) {
        plan_.routes[block] = Route{};
      }
    };
    for (const config::Block& block : model_.blocks) {
      if (block.node == settings_.node && !block.deleted) {
        blackhole(block.cidr);
      }
    }
    for (const config::StaticRoute& route : settings_.routes) {
      if (plan_.own.contains(route.node)) {
        blackhole(route.block);
      }
    }
  }

  void add_tunnel_addresses() {
    for (const auto& [name, node] : peers_) {
      const auto peer = address_of(*node, true);
      if (node->tunnel_address && peer) {
        const Prefix address = host_prefix(*node->tunnel_address);
        add_remote({address, *peer, tunnelled(address.base, *peer)});
      }
    }
  }

  // An endpoint of another node whose address lies outside that node's blocks.
  void add_borrowed(const std::vector<RemoteBlock>& blocks) {
    Borrowed::Homes homes;
    for (const auto& [name, node] : peers_) {
      homes.nodes[name] = {address_of(*node, false), address_of(*node, true)};
    }
    for (const RemoteBlock& block : blocks) {
      homes.blocks[block.node].push_back(block.block);
    }
    for (const auto& [who, all] : borrowed_.update(model_, std::move(homes))) {
      for (const Borrowed::One& one : all) {
        add_remote({host_prefix(one.address), one.node, tunnelled(one.address, one.node)});
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
        plan_.routes[host_prefix(address)] = {RouteKind::endpoint, *slot, {}, {}};
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
    check_own_addresses();
    for (const IpPool& pool : model_.ip_pools) {
      if (pool.vxlan != EncapMode::never) {
        findings_.warning(pool.meta.where,
                          "IPPool \"" + pool.meta.name +
                              "\": vxlanMode is not applied, its blocks are "
                              "routed without encapsulation",
                          pool.cidr.is_v4() ? "use ipipMode" : "vxlanMode: Never");
      }
    }
  }

  // The Node's, of either family that the settings speak of.
  void check_own_addresses() {
    const auto& addresses = settings_.uplink.addresses;
    for (const bool v4 : {true, false}) {
      const auto ours = us_ != nullptr ? address_of(*us_, v4) : std::nullopt;
      const bool listed = std::any_of(addresses.begin(), addresses.end(),
                                      [&](const auto& a) { return a.address == ours; });
      if (ours && !listed && !addresses.empty()) {
        findings_.warning(settings_.uplink.where, "uplink.addresses lacks " + to_string(*ours) +
                                                      ", the address of Node \"" +
                                                      settings_.node + "\"");
      }
    }
  }

  const Model& model_;
  const config::Settings& settings_;
  const std::vector<LocalEndpoint>& endpoints_;
  const EndpointSlots& slots_;
  Borrowed& borrowed_;
  Findings& findings_;
  const config::Node* us_ = nullptr;
  std::map<std::string, const config::Node*> peers_;  // all nodes but ours
  std::vector<Prefix> subnets_;                       // of the uplink
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
                      const EndpointSlots& slots, Borrowed& borrowed, Findings& findings) {
  return Planner(model, endpoints, slots, borrowed, findings).run();
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
  table->broadcasts.assign(plan.broadcasts.begin(), plan.broadcasts.end());
  table->outer_source = plan.outer_source;
  table->source6 = plan.source6;
  return table;
}

}  // namespace sluice::control
