// SPDX-License-Identifier: Apache-2.0
#include "fastpath/decide.h"

#include <algorithm>

namespace sluice {
namespace {

// Here and below A is Ip4, which most addresses are and which is cheaper, or Address.
template <typename A>
const Route* route_of(const RouteTable& table, const A& address) {
  const RouteId id = table.find(address);
  return id == Lpm4::kNone ? nullptr : &table.routes[id];
}

DropReason check_workload_source(const Generation& g, PortId port, const Address& src) {
  const EndpointId id = g.endpoint_at(port);
  if (id == kNoEndpoint) {
    return DropReason::endpoint_down;
  }
  const Endpoint& e = g.endpoints[id];
  const bool own = std::find(e.addresses.begin(), e.addresses.end(), src) != e.addresses.end();
  const bool allowed = own || std::any_of(e.allowed_sources.begin(), e.allowed_sources.end(),
                                          [&src](const Prefix& p) { return p.contains(src); });
  return allowed ? DropReason::none : DropReason::rpf_workload;
}

template <typename A>
DropReason check_tunnel_source(const RouteTable& table, Ip4 outer, const A& src) {
  if (!may_tunnel_to_us(table, outer)) {
    return DropReason::tun_src;
  }
  if (Address(src) == Address(outer)) {
    return DropReason::none;
  }
  const Route* back = route_of(table, src);
  if (!table.peers.contains(outer.value)) {  // external: its blocks are not known
    const bool anybodys =
        back == nullptr || back->kind == RouteKind::connected ||
        (back->kind == RouteKind::gateway && !table.peers.contains(back->next_hop.v4().value));
    return anybodys ? DropReason::none : DropReason::rpf_tunnel;
  }
  const bool same_way =
      back != nullptr && back->kind == RouteKind::tunnel && back->next_hop == Address(outer);
  return same_way ? DropReason::none : DropReason::rpf_tunnel;
}

template <typename A>
DropReason check_plain_source(const Generation& g, const A& src) {
  if (g.by_address.contains(src) || g.routes->own.contains(src)) {
    return DropReason::rpf_uplink;
  }
  const Route* back = route_of(*g.routes, src);
  if (back == nullptr) {
    return DropReason::none;  // loose: no route back is no proof of a lie
  }
  const bool plain = back->kind == RouteKind::gateway || back->kind == RouteKind::connected;
  return plain ? DropReason::none : DropReason::rpf_uplink;
}

// May a packet from the uplink take `route`?
DropReason check_from_uplink(const Generation& g, Origin origin, const Route* route) {
  const bool ends_here = route != nullptr && (route->kind == RouteKind::endpoint ||
                                              route->kind == RouteKind::local);
  if (ends_here) {
    return DropReason::none;
  }
  if (origin.outer_source.value != 0) {
    return DropReason::tun_dst;
  }
  if (route == nullptr) {
    return DropReason::rt_no_route;
  }
  if (route->kind == RouteKind::blackhole) {
    return DropReason::rt_blackhole;
  }
  // Plain in and plain out would leave as it came, whatever the setting.
  const bool leaves_changed = route->kind == RouteKind::tunnel;
  return g.options.transit && leaves_changed ? DropReason::none : DropReason::rt_transit;
}

DropReason check_from_inside(const Generation& g, Origin origin, const Route* route) {
  if (route == nullptr) {
    return DropReason::rt_no_route;
  }
  switch (route->kind) {
    case RouteKind::blackhole:
      return DropReason::rt_blackhole;
    case RouteKind::local:
      return origin.port == kHostPort ? DropReason::rt_no_route : DropReason::none;
    case RouteKind::endpoint:
      return g.endpoints[route->endpoint].port == origin.port ? DropReason::rt_no_route
                                                              : DropReason::none;
    case RouteKind::tunnel:
    case RouteKind::gateway:
    case RouteKind::connected:
      break;
  }
  return DropReason::none;
}

template <typename A>
DropReason check_any_source(const Generation& g, Origin origin, const A& src) {
  if (g.routes->is_broadcast(src)) {
    return DropReason::ip4_src;
  }
  switch (origin.port) {
    case kUplinkPort:
      return origin.outer_source.value != 0
                 ? check_tunnel_source(*g.routes, origin.outer_source, src)
                 : check_plain_source(g, src);
    case kHostPort:
      return g.by_address.contains(src) ? DropReason::rpf_uplink : DropReason::none;
    default:
      return check_workload_source(g, origin.port, src);
  }
}

template <typename A>
Way decide_any_way(const Generation& g, Origin origin, const A& dst) {
  Way way;
  if (g.routes->is_broadcast(dst)) {
    way.reason = DropReason::ip4_dst;
    return way;
  }
  if (origin.port >= kFirstPodPort) {
    way.source = g.endpoint_at(origin.port);
    if (way.source == kNoEndpoint) {
      way.reason = DropReason::endpoint_down;
      return way;
    }
  }
  const RouteId id = g.routes->find(dst);
  const Route* route = id == Lpm4::kNone ? nullptr : &g.routes->routes[id];
  way.reason = origin.port == kUplinkPort ? check_from_uplink(g, origin, route)
                                          : check_from_inside(g, origin, route);
  if (way.reason != DropReason::none) {
    return way;
  }
  way.route = id;
  if (route->kind == RouteKind::endpoint) {
    if (g.endpoints[route->endpoint].port == kNoPort) {
      way.reason = DropReason::endpoint_down;
    } else if (origin.port != kHostPort) {
      way.destination = route->endpoint;
    }
  }
  return way;
}

template <typename A>
Way way_between(const Generation& g, Origin origin, const A& src, const A& dst) {
  const DropReason reason = check_any_source(g, origin, src);
  if (reason == DropReason::none) {
    return decide_any_way(g, origin, dst);
  }
  Way none;
  none.reason = reason;
  return none;
}

}  // namespace

DropReason check_source(const Generation& g, Origin origin, const Address& src) {
  return check_any_source(g, origin, src);
}

Way decide_way(const Generation& g, Origin origin, const Address& dst) {
  return decide_any_way(g, origin, dst);
}

Way way_of(const Generation& g, Origin origin, const Address& src, const Address& dst) {
  return src.is_v4() && dst.is_v4() ? way_between(g, origin, src.v4(), dst.v4())
                                    : way_between(g, origin, src, dst);
}

HostStages host_stages(const Generation& g, Origin origin, const Way& way, const FlowKey& key) {
  HostStages out;
  const RouteKind kind = g.routes->routes[way.route].kind;
  const bool from_node = origin.port == kHostPort;
  const bool from_pod = origin.port >= kFirstPodPort;
  const bool to_node = kind == RouteKind::local;
  const bool own_pod = (from_node && kind == RouteKind::endpoint) || (from_pod && to_node);
  if (!g.host_endpoints || own_pod) {
    return out;
  }
  if (!from_node) {
    const HostPolicy& in = from_pod                         ? g.pods
                           : origin.outer_source.value != 0 ? g.tunnel
                                                            : g.uplink;
    out.untracked_in = in.untracked_in;
    out.pre_dnat = in.pre_dnat;
    out.in = to_node ? in.normal_in : in.forward_in;
  }
  if (!to_node) {
    const HostPolicy& to = kind == RouteKind::endpoint ? g.pods
                           : kind == RouteKind::tunnel ? g.tunnel
                                                       : g.uplink;
    // What the node's kernel forwards has another's source.
    const bool own = from_node && g.routes->own.contains(key.src);
    out.out = own ? to.normal_out : to.forward_out;
    out.untracked_out = own ? to.untracked_out : HostStage{};
    if (own && key.protocol == proto::kIpip && key.dst.is_v4() &&
        g.routes->peers.contains(key.dst.v4().value)) {
      out.out = {};
    }
  }
  return out;
}

Verdict verdict_of(const Generation& g, InstanceId who, const FlowKey& key) noexcept {
  Verdict verdict;
  const Matcher::Pin& pin = g.matcher->pin(who);
  if (pin.fits(key)) [[likely]] {
    g.matcher->classify({&key, 1}, {&who, 1}, {&verdict, 1});
  } else {
    g.linear->classify({&key, 1}, {&pin.program, 1}, {&verdict, 1});
  }
  return verdict;
}

Verdict::Kind verdict_of(const Generation& g, const HostStage& stage,
                         const FlowKey& key) noexcept {
  const bool safe = stage.failsafe_judge != kNoInstance &&
                    verdict_of(g, stage.failsafe_judge, key).kind == Verdict::Kind::allow;
  return safe || stage.judge == kNoInstance ? Verdict::Kind::none
                                            : verdict_of(g, stage.judge, key).kind;
}

Origin origin_towards(const Generation& g, const Address& src) {
  const Route* route = route_of(*g.routes, src);
  const bool tunnel = route != nullptr && route->kind == RouteKind::tunnel;
  return {port_towards(g, src), tunnel ? route->next_hop.v4() : Ip4{}};
}

PortId port_towards(const Generation& g, const Address& dst) {
  const Route* route = route_of(*g.routes, dst);
  if (route == nullptr || route->kind == RouteKind::blackhole) {
    return kNoPort;
  }
  switch (route->kind) {
    case RouteKind::endpoint:
      return g.endpoints[route->endpoint].port;
    case RouteKind::local:
      return kHostPort;
    default:
      return kUplinkPort;
  }
}

bool may_tunnel_to_us(const RouteTable& table, Ip4 outer) {
  return table.peers.contains(outer.value) ||
         std::any_of(table.external_nodes.begin(), table.external_nodes.end(),
                     [outer](const Prefix& p) { return p.contains(Address::of(outer)); });
}

DropReason check_to_host(const Generation& g, EndpointId source, const Address& dst) {
  const bool refused =
      !g.options.endpoint_to_host && source != kNoEndpoint && g.routes->own.contains(dst);
  return refused ? DropReason::policy_deny_egress : DropReason::none;
}

DropReason check_addresses6(const Address& src, const Address& dst) {
  if (src.is_unusable() || src.is_v4() || src == dst) {
    return DropReason::ip6_src;
  }
  return dst.is_unusable() || dst.is_v4() ? DropReason::ip6_dst : DropReason::none;
}

DropReason check_addresses(const PathOptions& options, const FlowKey& key) {
  if (!key.src.is_v4() || !key.dst.is_v4()) {
    return options.ip6 ? check_addresses6(key.src, key.dst) : DropReason::ip6_disabled;
  }
  if (key.src.is_unusable()) {
    return DropReason::ip4_src;
  }
  if (key.dst.is_unusable()) {
    return DropReason::ip4_dst;
  }
  return key.src == key.dst ? DropReason::ip4_land : DropReason::none;
}

DropReason check_l4(const FlowKey& key) {
  const bool both_needed = key.protocol == proto::kTcp || key.protocol == proto::kSctp;
  if (both_needed && (key.src_port == 0 || key.dst_port == 0)) {
    return DropReason::l4_port_zero;
  }
  if (key.protocol == proto::kUdp && key.dst_port == 0) {
    return DropReason::l4_port_zero;
  }
  if (key.protocol == proto::kIcmp6 && !key.src.is_v4()) {
    const uint8_t type = key.icmp_type();
    const bool known = (type >= 1 && type <= 4) || type == 128 || type == 129;
    return known ? DropReason::none : DropReason::icmp_type;
  }
  if (key.protocol == proto::kIcmp && key.src.is_v4()) {
    switch (key.icmp_type()) {
      case 0:
      case 3:
      case 8:
      case 11:
      case 12:
      case 13:
      case 14:
        return DropReason::none;
      default:
        return DropReason::icmp_type;
    }
  }
  return DropReason::none;
}

}  // namespace sluice
