// SPDX-License-Identifier: Apache-2.0
#include "fastpath/forward.h"

#include "fastpath/ip6.h"

namespace sluice {
namespace {
constexpr IcmpError kTimeExceeded{11}, kTimeExceeded6{3};

IcmpError too_big(const Parsed& p, uint16_t mtu) {
  return p.tuple.six ? IcmpError{2, 0, mtu} : IcmpError{3, 4, mtu};
}
constexpr unsigned kMaxPieces = 64;
}  // namespace

uint16_t Forward::mtu(const Route& route) const noexcept {
  const View& view = out_.view();
  const auto of = [&view](PortId id) {
    return view.ports[id] == nullptr ? kEtherMtu : view.ports[id]->info().mtu;
  };
  switch (route.kind) {
    case RouteKind::endpoint:
      return of(view.generation->endpoints[route.endpoint].port);
    case RouteKind::tunnel:
      return static_cast<uint16_t>(
          out_.neighbours().path_mtu().of(route.next_hop.v4(), of(kUplinkPort), out_.now()) -
          kIp4Bytes);
    case RouteKind::gateway:
    case RouteKind::connected:
      return of(kUplinkPort);
    case RouteKind::local:
    case RouteKind::blackhole:
      break;
  }
  return UINT16_MAX;  // the kernel's own port takes what came in
}

void Forward::begin() noexcept {
  const View& view = out_.view();
  if (view.serial != serial_ || out_.now() - begun_ >= kBelieveFor) {
    for (Hop& hop : hops_) {
      hop.route = Lpm4::kNone;
    }
    serial_ = view.serial;
    begun_ = out_.now();
  }
}

// False: there is more to that way than depart() does.
bool Forward::find_hop(RouteId id, Ip4 destination, Hop& hop) const noexcept {
  const View& view = out_.view();
  const RouteTable& routes = *view.generation->routes;
  const Route& route = routes.routes[id];
  Address next = route.next_hop;
  MacAddress to;
  Hop found;
  found.route = id;
  found.port = kUplinkPort;
  switch (route.kind) {
    case RouteKind::endpoint: {
      const Endpoint& pod = view.generation->endpoints[route.endpoint];
      if (others_ && pod.worker != out_.worker()) {
        found.worker = pod.worker;
        found.mtu = mtu(route);
        hop = found;
        return true;
      }
      if (pod.port == kNoPort || !view.sends(pod.port, out_.worker())) {
        return false;
      }
      found.port = pod.port;
      to = pod.mac;
      next = found.destination = destination;
      break;
    }
    case RouteKind::tunnel:
      found.tunnel_to = route.next_hop.v4();
      found.outer = OuterHeader(routes.outer_source, found.tunnel_to);
      next = route.neighbour;
      break;
    case RouteKind::gateway:
      break;
    case RouteKind::connected:
      next = found.destination = destination;
      break;
    case RouteKind::local:
    case RouteKind::blackhole:
      return false;
  }
  const Port* port = view.ports[found.port];
  if (port == nullptr) {
    return false;
  }
  Neighbours& neighbours = out_.neighbours();
  if (to.is_zero()) {
    // A packet that may yet be refused asks for nobody new.
    if (neighbours.known(found.port, next) == Neighbours::kNone) {
      return false;
    }
    const uint32_t slot = neighbours.find(found.port, next, out_.now());
    if (slot == Neighbours::kNone || !neighbours.mac(slot, to)) {
      return false;
    }
  }
  found.mtu = port->info().mtu;
  found.straight = found.tunnel_to.value == 0 && view.sends(found.port, out_.worker());
  found.ether = {to, port->info().mac, Be16::of(kTypeIp4)};
  hop = found;
  return true;
}

DropReason Forward::fits(const rte_mbuf* frame, const Parsed& p, const Route& route,
                         bool from_host) noexcept {
  if (p.ttl <= 1 && route.kind != RouteKind::local && !from_host) {
    if (p.ttl == 1) {
      complain(frame, p, p.tuple.six ? kTimeExceeded6 : kTimeExceeded);
    }
    return p.tuple.six ? DropReason::ip6_hop : DropReason::ip4_ttl;
  }
  const uint16_t limit = mtu(route);
  if (p.total_length > limit && p.dont_fragment) {
    complain(frame, p, too_big(p, limit));
    return DropReason::mtu_exceeded;
  }
  return DropReason::none;
}

void Forward::send(rte_mbuf* frame, Parsed& p, const Route& route, bool from_host) noexcept {
  if (route.kind == RouteKind::local) {
    const Origin from = meta(frame).origin();
    const bool plain = from.port == kUplinkPort && from.outer_source.value == 0;
    out_.send(frame, kHostPort, p.destination(),
              plain ? out_.view().node_mac : out_.view().host_mac, Fate::punted);
    return;
  }
  if (!from_host) {
    decrement_ttl(frame, p);
  }
  if (!p.dont_fragment && p.total_length > mtu(route)) {  // fits() has refused the others
    send_fragments(frame, p, route);
    return;
  }
  emit(frame, p, route, Fate::forwarded);
}

// The neighbour that the node's kernel was sending this frame to; zero: it left that to us.
MacAddress Forward::chosen_by_kernel(rte_mbuf* frame) const noexcept {
  const Port* host = out_.view().ports[kHostPort];
  if (meta(frame).from != kHostPort || host == nullptr || !host->info().kernel_routes) {
    return {};
  }
  const MacAddress to = ether_destination(frame);
  return to == host->info().mac ? MacAddress{} : to;
}

void Forward::emit(rte_mbuf* frame, Parsed& p, const Route& route, Fate fate) noexcept {
  const Generation& g = *out_.view().generation;
  switch (route.kind) {
    case RouteKind::endpoint: {
      const Endpoint& to = g.endpoints[route.endpoint];
      if (to.port == kNoPort) {
        out_.drop(frame, DropReason::port_down);
        return;
      }
      out_.send(frame, to.port, p.destination(), to.mac, fate);
      return;
    }
    case RouteKind::tunnel:
      if (p.tuple.six ||
          !encapsulate(frame, p, g.routes->outer_source, route.next_hop.v4(), next_id_++)) {
        out_.drop(frame, DropReason::sys_bug);
        return;
      }
      out_.send(frame, kUplinkPort, route.neighbour, {}, fate);
      return;
    case RouteKind::gateway:
      out_.send(frame, kUplinkPort, route.next_hop, chosen_by_kernel(frame), fate);
      return;
    case RouteKind::connected:
      out_.send(frame, kUplinkPort, p.destination(), chosen_by_kernel(frame), fate);
      return;
    case RouteKind::local:
    case RouteKind::blackhole:
      break;
  }
  out_.drop(frame, DropReason::sys_bug);
}

void Forward::send_fragments(rte_mbuf* frame, const Parsed& p, const Route& route) noexcept {
  std::array<rte_mbuf*, kMaxPieces> pieces;
  const unsigned n = fragment_ip4(frame, p, mtu(route), frame->pool, pieces.data(), kMaxPieces);
  if (n == 0) {
    out_.drop(frame, DropReason::res_mbuf);
    return;
  }
  // The first piece carries the frame's fate; the others are of our own making.
  for (unsigned i = 0; i < n; ++i) {
    meta(pieces[i]) = i == 0 ? meta(frame) : PacketMeta{};
    replay_index(pieces[i]) = replay_index(frame);
    Parsed piece = p;
    piece.l3_offset = kEtherBytes;
    piece.total_length = static_cast<uint16_t>(pieces[i]->pkt_len - kEtherBytes);
    emit(pieces[i], piece, route, Fate::forwarded);
  }
  rte_pktmbuf_free(frame);
}

// Is it an ICMP error's turn?  If so it is counted as sent.
bool Forward::may_tell(const Parsed& p, IcmpError what) noexcept {
  const Nanos now = out_.now();
  const uint64_t pair = uint64_t{p.tuple.src.value} << 32 | p.tuple.dst.value;
  Told& told = told_[(pair * 0x9e3779b97f4a7c15u) >> 32 & (kTold - 1)];
  const bool unreachable = what.mtu != 0;
  const bool same = told.who == p.tuple.src && told.about == p.tuple.dst;
  // Another size is news: the path outside has just turned out to be narrower.
  if (unreachable && same && told.mtu == what.mtu && now < told.until) {
    return false;
  }
  if (!errors_.take(now, error_every_, kErrorBurst)) {
    return false;
  }
  if (unreachable) {
    told = {p.tuple.src, p.tuple.dst, what.mtu, now + kTellAgain};
  }
  return true;
}

// Who we are to a sender of IPv6 behind `route`: the node, or its link's gateway.
Address Forward::own_address6(const Route& route) const noexcept {
  const View& view = out_.view();
  const RouteTable& routes = *view.generation->routes;
  if (route.kind != RouteKind::local && !routes.source6.is_zero()) {
    return routes.source6;
  }
  const PortId id = route.kind == RouteKind::local ? kHostPort
                    : route.kind == RouteKind::endpoint
                        ? view.generation->endpoints[route.endpoint].port
                        : kUplinkPort;
  const Port* port = id == kNoPort ? nullptr : view.ports[id];
  return port == nullptr ? Address{} : link_local(port->info().mac);
}

void Forward::complain(const rte_mbuf* frame, const Parsed& p, IcmpError what) noexcept {
  const Generation& g = *out_.view().generation;
  const RouteId back = g.routes->find(p.source());
  if (!may_answer_with_icmp(p) || back == Lpm4::kNone) {
    return;
  }
  if (!may_tell(p, what)) {
    out_.counters().icmp_suppressed.add(1);
    return;
  }
  rte_mbuf* error = out_.allocate();
  if (error == nullptr) {
    return;
  }
  const Route& route = g.routes->routes[back];
  const bool local = route.kind == RouteKind::local;
  Parsed made;
  made.l3_offset = kEtherBytes;
  if (p.tuple.six) {
    made.tuple.six = true;
    made.pair = {own_address6(route), p.pair.src};
    make_icmp6_error(error, frame, p, made.pair.src, what);
  } else {
    made.tuple = {local ? kLinkLocal : g.routes->outer_source, p.tuple.src};
    make_icmp_error(error, frame, p, made.tuple.src, what, next_id_++);
  }
  made.total_length = static_cast<uint16_t>(error->pkt_len - kEtherBytes);
  if (local) {
    out_.send(error, kHostPort, p.source(), out_.view().host_mac, Fate::forwarded);
    return;
  }
  emit(error, made, route, Fate::forwarded);
}

}  // namespace sluice
