// SPDX-License-Identifier: Apache-2.0
// From the model to the route table: where every destination lives, who our peers are and what
// is ours.
//
// Pure, run by control for each generation.  Remote blocks come from `routes:` of the settings
// if there are any, else from BlockAffinity / IPAMBlock, Node and IPPool resources.
// Source: Calico semantics, sections 1.8, 8.2 and 8.3.
#ifndef SLUICE_CONTROL_ROUTES_H_
#define SLUICE_CONTROL_ROUTES_H_

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "config/findings.h"
#include "config/model.h"
#include "control/borrowed.h"
#include "control/compile.h"
#include "control/endpoint_slots.h"
#include "fastpath/tables.h"

namespace sluice::control {

// The route table before it is numbered; comparable, so an unchanged one can be shared.
struct RoutePlan {
  std::map<Prefix, Route> routes;
  std::set<Ip4> peers;  // IPIP is IPv4's alone
  std::vector<Prefix> external_nodes;
  std::set<Address> own;
  std::set<Ip4> broadcasts;
  Ip4 outer_source;
  Address source6;  // ::: the node has no IPv6 address
  std::optional<Ip4> tunnel_address;
  std::vector<Prefix> remote_blocks;  // of other nodes, tunnelled or not

  friend bool operator==(const RoutePlan&, const RoutePlan&) = default;
};

// Local pods are routed to the slots they have in `slots`; those without one get no route.
// Findings: tunnels without an address of our own, an uplink that lacks the node's address, and
// pools whose encapsulation is not IPIP.  IPv6 is never tunnelled.
RoutePlan plan_routes(const config::Model& model, const std::vector<LocalEndpoint>& endpoints,
                      const EndpointSlots& slots, Borrowed& borrowed,
                      config::Findings& findings);

// Numbers the plan's routes in the order of their prefixes.
std::shared_ptr<const RouteTable> make_route_table(const RoutePlan& plan, uint32_t version);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_ROUTES_H_
