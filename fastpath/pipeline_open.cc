// SPDX-License-Identifier: Apache-2.0
// What the bytes of a frame say: headers, tunnel, and what a path tells of itself.
#include <memory>

#include <rte_mbuf.h>

#include "fastpath/arp.h"
#include "fastpath/ip6.h"
#include "fastpath/ipip.h"
#include "fastpath/nd.h"
#include "fastpath/parse.h"
#include "fastpath/pipeline.h"

namespace sluice {

// Those that may end at the port, in the simplest of cases.
PlainTunnels Pipeline::plain_tunnels(PortId port) const noexcept {
  const RouteTable& routes = *g_->routes;
  const bool may_end = port == kUplinkPort && routes.own.contains(routes.outer_source);
  return {may_end ? routes.outer_source : Ip4{}, &routes.peers};
}

// Reads a frame that is not plain: it joins the burst, or has its end.
void Pipeline::read(Burst& b, rte_mbuf* frame, const Port& from, const L2Options& l2) noexcept {
  PacketMeta& m = meta(frame);
  const PortId port = m.in_port;
  Parsed& p = b.parsed[b.count];
  const L2 link = parse_l2(frame, l2);
  DropReason reason = link.reason;
  if (reason == DropReason::none && link.kind == L2Kind::arp) {
    handle_arp(out_, police_, frame, port);
    return;
  }
  if (reason == DropReason::none && link.kind == L2Kind::ip6) {
    if (meet6(frame, from, port, p)) {
      return;
    }
  } else if (reason == DropReason::none) {
    reason = open(frame, from, p, m.origin());
  }
  if (reason != DropReason::none) {
    out_.drop(frame, reason);
  } else if (!p.icmp_error || !learn_path(frame, p, m.origin())) {
    join(b, frame, false);
  }
}

// The same of a frame that another worker has read.
void Pipeline::resume(Burst& b, rte_mbuf* frame) noexcept {
  Parsed& p = b.parsed[b.count];
  DropReason reason = read_again(frame, p);
  if (reason == DropReason::none) {
    reason = open_l4(frame, false, p, meta(frame).origin());
  }
  if (reason != DropReason::none) {
    out_.drop(frame, reason);
  } else {
    join(b, frame, true);
  }
}

// What was proved before is read again.
DropReason Pipeline::read_again(rte_mbuf* frame, Parsed& p) noexcept {
  std::construct_at(&p);  // in place: an assignment would copy it
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  return ip_version(frame, kEtherBytes) == 6
             ? read6(frame, p)
             : parse_ip4(frame, kEtherBytes, available, {g_->options.ip_options, false}, p);
}

// A frame that was read goes on: with the burst, unless nobody follows its connection.  A
// fragment may have to wait, or be what others waited for.
void Pipeline::join(Burst& b, rte_mbuf* frame, bool handed_over) noexcept {
  const Origin origin = meta(frame).origin();
  Parsed& p = b.parsed[b.count];
  const bool fragment = p.fragment;
  if (fragment && !admit(frame, p, origin)) {
    return;
  }
  add(b, frame, handed_over);
  if (fragment) {
    follow(b, p, origin, handed_over);
  }
}

void Pipeline::add(Burst& b, rte_mbuf* frame, bool handed_over) noexcept {
  const PacketMeta& m = meta(frame);
  Parsed& p = b.parsed[b.count];
  if (m.stage == PacketMeta::Stage::untracked) {
    send_untracked(frame, p, m.origin());
  } else if (handed_over || !g_->untracked || !untracked(frame, p, m.origin())) {
    b.add(frame, m.origin(), false);
  }
}

DropReason Pipeline::read6(rte_mbuf* frame, Parsed& p) noexcept {
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  const DropReason reason = parse_ip6(frame, kEtherBytes, available, p);
  shorten(p, options_.hash_key);
  return reason;
}

// The same as open() for IPv6.  True if the frame was ended here: refused, not ours, or a
// neighbour's question.
bool Pipeline::meet6(rte_mbuf* frame, const Port& from, PortId port, Parsed& p) noexcept {
  std::construct_at(&p);
  DropReason reason = read6(frame, p);
  if (!g_->options.ip6) {
    // The kernel might hand on to a pod what no policy has seen.
    const bool for_pod = g_->by_address.contains(p.pair.dst);
    if (port == kUplinkPort && g_->options.uplink_ip6_punt && !for_pod) {
      out_.send(frame, kHostPort, Address{}, out_.view().node_mac, Fate::punted);
    } else {
      out_.drop(frame, DropReason::ip6_disabled);
    }
    return true;
  }
  if (reason == DropReason::none && is_nd(frame, p)) {
    handle_nd(out_, police_, frame, p, port);
    return true;
  }
  if (reason == DropReason::none) {
    reason = check_addresses6(p.pair.src, p.pair.dst);
  }
  if (reason == DropReason::none && ether_destination(frame).is_multicast()) {
    reason = DropReason::l2_bad_dst;
  }
  if (reason == DropReason::none) {
    reason = open_l4(frame, from.info().unfinished_checksums, p, meta(frame).origin());
  }
  if (reason != DropReason::none) {
    out_.drop(frame, reason);
    return true;
  }
  return false;
}

// Bytes to Parsed: the outermost IPv4 header, the tunnel if it is one for us, then L4.
DropReason Pipeline::open(rte_mbuf* frame, const Port& port, Parsed& p,
                          Origin origin) noexcept {
  std::construct_at(&p);
  const auto available = static_cast<uint16_t>(frame->pkt_len - kEtherBytes);
  const DropReason reason =
      parse_ip4(frame, kEtherBytes, available, {g_->options.ip_options, false}, p);
  if (reason != DropReason::none) {
    return reason;
  }
  const RouteTable& routes = *g_->routes;
  if (origin.port == kUplinkPort && p.tuple.protocol == proto::kIpip &&
      routes.own.contains(p.tuple.dst)) {
    const Parsed outer = p;
    return open_tunnel(frame, outer, p, origin);
  }
  if (routes.is_broadcast(p.tuple.dst)) {
    return DropReason::ip4_dst;
  }
  return open_l4(frame, port.info().unfinished_checksums, p, origin);
}

DropReason Pipeline::open_tunnel(rte_mbuf* frame, const Parsed& outer, Parsed& p,
                                 Origin origin) noexcept {
  if (outer.fragment) {
    return DropReason::tun_fragment;
  }
  if (!may_tunnel_to_us(*g_->routes, outer.tuple.src)) {
    return DropReason::tun_src;
  }
  if (g_->untracked) {
    const DropReason denied = check_outer(outer.tuple, outer.total_length, true);
    if (denied != DropReason::none) {
      return denied;
    }
  }
  origin.outer_source = outer.tuple.src;
  meta(frame).set_origin(origin);
  std::construct_at(&p);
  const DropReason reason = decapsulate(frame, outer, g_->options.ip_options, p);
  if (reason != DropReason::none) {
    // As in open_l4, once there is an inner packet of which to check the source.
    const bool whole = p.total_length != 0 && reason != DropReason::tun_nested;
    DropReason before = whole ? check_source(*g_, origin, p.source()) : DropReason::none;
    if (before == DropReason::none && reason == DropReason::tun_ecn) {
      before = decide_way(*g_, origin, p.destination()).reason;
    }
    return before == DropReason::none ? reason : before;
  }
  p.checksum_made = finish_checksum(frame, p);
  return DropReason::none;
}

DropReason Pipeline::open_l4(rte_mbuf* frame, bool unfinished, Parsed& p,
                             Origin origin) noexcept {
  const DropReason reason = parse_l4(frame, p);
  if (reason != DropReason::none) {
    // The source check comes first in the order of checks; it is only done when it matters.
    const DropReason source = check_source(*g_, origin, p.source());
    return source == DropReason::none ? reason : source;
  }
  if (p.icmp_error) {
    shorten(p, options_.hash_key);  // now also what it quotes
  }
  if (unfinished) {
    p.checksum_made = finish_checksum(frame, p);
  }
  return DropReason::none;
}

// An ICMP 3/4 about an outer packet of ours tells the size for that peer; the tunnel is ours,
// so nobody else is to know.  False: it is something else.
bool Pipeline::learn_path(rte_mbuf* frame, const Parsed& p, Origin origin) noexcept {
  constexpr uint8_t kUnreachable = 3, kTooBig = 4;
  const RouteTable& routes = *g_->routes;
  const bool about_tunnel =
      origin.port == kUplinkPort && !p.tuple.six && origin.outer_source.value == 0 &&
      p.icmp_type == kUnreachable && p.icmp_code == kTooBig && !p.fragment &&
      p.quoted.protocol == proto::kIpip && p.quoted.src == routes.outer_source &&
      routes.peers.contains(p.quoted.dst.value);
  if (!about_tunnel) {
    return false;
  }
  const uint16_t mtu = next_hop_mtu(frame, p);
  DropReason reason = check_source(*g_, origin, p.source());
  if (reason == DropReason::none && mtu < PathMtu::kLeast) {
    reason = DropReason::icmp_quote_mismatch;
  }
  if (reason == DropReason::none && g_->options.verify_l4_control &&
      !l4_checksum_ok(frame, p)) {
    reason = DropReason::l4_checksum;
  }
  if (reason != DropReason::none) {
    out_.drop(frame, reason);
    return true;
  }
  out_.neighbours().path_mtu().learn(p.quoted.dst, mtu, now_);
  out_.consume(frame);
  return true;
}

}  // namespace sluice
