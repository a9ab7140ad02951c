// SPDX-License-Identifier: Apache-2.0
#include "fastpath/nd.h"

#include <algorithm>

#include "fastpath/ip6.h"
#include "fastpath/parse.h"
#include "fastpath/rewrite.h"

namespace sluice {
namespace {

constexpr uint8_t kLastListener = 132, kRouterSolicitation = 133, kSolicitation = 135,
                  kAdvertisement = 136, kListenerReport2 = 143;

bool is_of(const Generation& g, PortId port, const Address& address) {
  const EndpointId id = g.endpoint_at(port);
  if (id == kNoEndpoint) {
    return false;
  }
  const std::vector<Address>& own = g.endpoints[id].addresses;
  return std::find(own.begin(), own.end(), address) != own.end();
}

// What only routers send is refused; so is a pod that speaks for another.
DropReason check_sender(const Generation& g, PortId port, const NdPacket& nd) {
  if (nd.source.is_group()) {
    return DropReason::ip6_src;
  }
  if (nd.type != kSolicitation && nd.type != kAdvertisement && nd.type != kRouterSolicitation &&
      nd.type > kLastListener && nd.type != kListenerReport2) {
    return DropReason::icmp_type;
  }
  if (port < kFirstPodPort) {
    return DropReason::none;
  }
  if (g.endpoint_at(port) == kNoEndpoint) {
    return DropReason::endpoint_down;
  }
  const auto may_claim = [&](const Address& a) {
    return a.is_link_local() || is_of(g, port, a);
  };
  const bool fine = (nd.source.is_zero() || may_claim(nd.source)) &&
                    (nd.type != kAdvertisement || may_claim(nd.target));
  return fine ? DropReason::none : DropReason::rpf_workload;
}

// Remembers who has the speaker's address.  On pod ports it is the pod's own; on the uplink one
// that a packet waits for or went to before, so that strangers fill no table.
void learn(Output& out, PortId port, const NdPacket& nd) {
  const Address& speaker = nd.type == kAdvertisement ? nd.target : nd.source;
  if (nd.link.is_zero()) {
    return;
  }
  uint32_t slot = Neighbours::kNone;
  if (port == kUplinkPort) {
    slot = out.neighbours().known(port, speaker);
  } else if (is_of(*out.view().generation, port, speaker)) {
    slot = out.neighbours().find(port, speaker, out.now());
  }
  if (slot != Neighbours::kNone) {
    out.neighbours().learn(slot, nd.link);
  }
}

bool answers_for(const View& view, PortId port, const NdPacket& nd) {
  const Generation& g = *view.generation;
  if (nd.type != kSolicitation || nd.source.is_zero()) {
    return false;  // who has no address yet asks whether another has it
  }
  if (nd.target.is_link_local()) {
    // The kernel's next hop may be link-local; whatever it is, its packets come to us.
    return port == kHostPort ? nd.target != link_local(view.host_mac)
                             : nd.target == link_local(view.ports[port]->info().mac);
  }
  const bool nodes = g.routes->own.contains(nd.target);
  if (port == kUplinkPort) {
    return nodes;
  }
  return port == kHostPort ? !nodes : !is_of(g, port, nd.target);
}

}  // namespace

bool is_nd(const rte_mbuf* frame, const Parsed& p) noexcept {
  if (!p.is_icmp() || p.fragment) {
    return false;
  }
  const uint8_t type = icmp_type_of(frame, p);
  return (type >= 130 && type <= 137) || type == kListenerReport2;
}

void handle_nd(Output& out, PuntPolice& police, rte_mbuf* frame, const Parsed& p,
               PortId port) noexcept {
  const Port::Info& info = out.view().ports[port]->info();
  if (port == kUplinkPort && !info.own_neighbours) {
    out.consume(frame);  // the kernel's link, of which it has told us what we are to know
    return;
  }
  NdPacket nd;
  DropReason reason = parse_nd(frame, p, nd);
  const Generation& g = *out.view().generation;
  if (reason == DropReason::none) {
    reason = check_sender(g, port, nd);
  }
  if (reason != DropReason::none) {
    out.drop(frame, reason);
    return;
  }
  learn(out, port, nd);
  if (answers_for(out.view(), port, nd)) {
    if (!police.arp(g.options, out.now())) {
      out.drop(frame, DropReason::res_punt_rate);
      return;
    }
    if (rte_mbuf* reply = out.allocate()) {
      NdPacket answer;
      answer.type = kAdvertisement;
      answer.source = nd.target;
      answer.destination = nd.source;
      answer.target = nd.target;
      answer.link = info.mac;
      make_nd(reply, answer, nd.from);
      out.send_ready(reply, port, Fate::forwarded);
    }
  }
  out.consume(frame);
}

void ask_nd(Output& out, PortId port, const Address& source, const Address& target) noexcept {
  rte_mbuf* frame = out.allocate();
  if (frame == nullptr) {
    return;
  }
  NdPacket question;
  question.type = kSolicitation;
  question.source = source;
  // The solicited-node group (RFC 4291, 2.7.1).
  question.destination = {uint64_t{0xff02} << 48,
                          uint64_t{0x1ff} << 24 | (target.lo & 0xffffff)};
  question.target = target;
  question.link = out.view().ports[port]->info().mac;
  const auto low = static_cast<uint32_t>(question.destination.lo);
  make_nd(frame, question,
          {{0x33, 0x33, static_cast<uint8_t>(low >> 24), static_cast<uint8_t>(low >> 16),
            static_cast<uint8_t>(low >> 8), static_cast<uint8_t>(low)}});
  out.send_ready(frame, port, Fate::forwarded);
}

}  // namespace sluice
