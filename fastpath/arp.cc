// SPDX-License-Identifier: Apache-2.0
#include "fastpath/arp.h"

#include <algorithm>

#include "fastpath/parse.h"
#include "fastpath/rewrite.h"

namespace sluice {
namespace {

constexpr uint16_t kRequest = 1;

// May `arp` come from this port, and is its sender one to learn?
DropReason check_sender(const Generation& g, PortId port, const ArpPacket& arp, bool& learn) {
  learn = false;
  const bool probe = arp.sender.value == 0;  // RFC 5227: the asker has no address yet
  if (port == kHostPort) {
    return DropReason::none;
  }
  if (port == kUplinkPort) {
    const RouteId route = g.routes->lpm.find(arp.sender);
    learn =
        !probe && route != Lpm4::kNone && g.routes->routes[route].kind == RouteKind::connected;
    return DropReason::none;
  }
  const EndpointId id = g.endpoint_at(port);
  if (id == kNoEndpoint) {
    return DropReason::endpoint_down;
  }
  const std::vector<Address>& own = g.endpoints[id].addresses;
  learn = std::find(own.begin(), own.end(), Address(arp.sender)) != own.end();
  return learn || probe ? DropReason::none : DropReason::arp_invalid;
}

bool answers_for(const Generation& g, PortId port, const ArpPacket& arp) {
  if (arp.operation != kRequest || arp.sender.value == 0 || arp.target == arp.sender) {
    return false;
  }
  if (port == kUplinkPort) {
    return g.routes->own.contains(arp.target);
  }
  if (port == kHostPort) {
    return !g.routes->own.contains(arp.target);
  }
  const std::vector<Address>& own = g.endpoints[g.endpoint_at(port)].addresses;
  return std::find(own.begin(), own.end(), Address(arp.target)) == own.end();
}

}  // namespace

void handle_arp(Output& out, PuntPolice& police, rte_mbuf* frame, PortId port) noexcept {
  ArpPacket arp;
  DropReason reason = parse_arp(frame, arp);
  bool learn = false;
  const Generation& g = *out.view().generation;
  if (reason == DropReason::none) {
    reason = check_sender(g, port, arp, learn);
  }
  if (reason != DropReason::none) {
    out.drop(frame, reason);
    return;
  }
  if (learn) {
    const uint32_t slot = out.neighbours().find(port, arp.sender, out.now());
    if (slot != Neighbours::kNone) {
      out.neighbours().learn(slot, arp.sender_mac);
    }
  }
  if (answers_for(g, port, arp)) {
    if (!police.arp(g.options, out.now())) {
      out.drop(frame, DropReason::res_punt_rate);
      return;
    }
    if (rte_mbuf* reply = out.allocate()) {
      const MacAddress own = out.view().ports[port]->info().mac;
      make_arp(reply, {2, own, arp.target, arp.sender_mac, arp.sender}, arp.sender_mac);
      out.send_ready(reply, port, Fate::forwarded);
    }
  }
  out.consume(frame);
}

}  // namespace sluice
