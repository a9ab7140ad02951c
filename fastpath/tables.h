// SPDX-License-Identifier: Apache-2.0
// Everything that control publishes to the workers: endpoints, routes, peers and the matcher,
// as one immutable Generation behind one pointer.  Pure standard C++: `explain` reads it
// without DPDK.
//
// Control builds a Generation, stores the pointer, waits until every worker has passed a
// quiescent point and frees the old one.  Workers load the pointer once per burst.  What did
// not change (the rule set, the route table) is shared with the generation before.
//
// Numbers that connections remember outlive generations: an EndpointId and a CounterSlot name
// the same thing for as long as it exists.  A RouteId is only good for one RouteTable::version.
#ifndef SLUICE_FASTPATH_TABLES_H_
#define SLUICE_FASTPATH_TABLES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "classifier/linear.h"
#include "classifier/lpm.h"
#include "classifier/lpm6.h"
#include "classifier/matcher.h"
#include "classifier/types.h"

namespace sluice {

// A port is known by its slot; slots are given by control and stay with the port while it
// lives.
using PortId = uint16_t;
inline constexpr PortId kUplinkPort = 0;
inline constexpr PortId kHostPort = 1;  // the veth pair into the node's own kernel
inline constexpr PortId kFirstPodPort = 2;
inline constexpr PortId kMaxPorts = 4096;
inline constexpr PortId kNoPort = UINT16_MAX;

inline constexpr InstanceId kNoInstance = UINT32_MAX;

using EndpointId = uint32_t;  // index into Generation::endpoints
inline constexpr EndpointId kNoEndpoint = UINT32_MAX;

// A local workload.  A slot whose `port` is kNoPort is free, or belongs to a pod that has gone.
struct Endpoint {
  PortId port = kNoPort;
  uint8_t worker = 0;          // the worker that owns its flows
  bool ready = false;          // policy is loaded; else policy_not_ready
  bool allow_tunnels = false;  // may send protocol 4, 41, 47 and UDP/4789
  bool allow_ipip = false;     // of those, protocol 4
  bool allow_vxlan = false;    // of those, UDP/4789
  ProgramId ingress = kNoProgram;
  ProgramId egress = kNoProgram;
  // Those two as compiled for this endpoint, of IPv4 and of IPv6; written by compile().  None
  // for a family of which it has no packets.
  std::array<InstanceId, 2> judge_in = {kNoInstance, kNoInstance};
  std::array<InstanceId, 2> judge_out = {kNoInstance, kNoInstance};
  // With staged policies among the enforced: for their counts.  kNoProgram where none is.
  ProgramId pending_ingress = kNoProgram;
  ProgramId pending_egress = kNoProgram;
  std::vector<Address> addresses;       // its own, the only sources it may use
  std::vector<Prefix> allowed_sources;  // besides those
  MacAddress mac;                       // zero: learn it by ARP or neighbour discovery
};

enum class RouteKind : uint8_t {
  endpoint,   // a local pod: out of its port
  tunnel,     // a remote block: IPIP to the node `next_hop`
  gateway,    // plain, through the neighbour `next_hop` on the uplink
  connected,  // plain, the destination itself is the neighbour
  local,      // the node's own address: to the host's kernel
  blackhole,  // an unallocated address of our own blocks
};
std::string_view name(RouteKind kind);  // "endpoint"

using RouteId = uint32_t;  // index into RouteTable::routes
struct Route {
  RouteKind kind = RouteKind::blackhole;
  EndpointId endpoint = kNoEndpoint;  // for kind endpoint
  Address next_hop;                   // tunnel: the peer's (IPv4); gateway: the gateway
  Address neighbour;                  // tunnel: who to ARP for (the peer, or the gateway)
  friend bool operator==(const Route&, const Route&) = default;
};

struct RouteTable {
  uint32_t version = 0;  // changes whenever the content does; never 0 once published
  Lpm4 lpm;              // destination -> RouteId
  Lpm6 lpm6;
  std::vector<Route> routes;
  std::unordered_set<uint32_t>
      peers;  // Ip4::value of every node allowed to send IPIP, but ours
  std::vector<Prefix> external_nodes;            // besides the peers
  std::unordered_set<Address, AddressHash> own;  // the node's uplink and tunnel addresses
  std::vector<Ip4> broadcasts;                   // of the uplink's subnets: very few
  Ip4 outer_source;  // the node's address, source of our IPIP packets
  Address source6;   // source of our ICMPv6 errors; ::: the node has none

  bool is_broadcast(Ip4 address) const noexcept {
    bool found = false;
    for (const Ip4 broadcast : broadcasts) {
      found |= broadcast == address;
    }
    return found;
  }
  bool is_broadcast(const Address& address) const noexcept {
    return address.is_v4() && is_broadcast(address.v4());
  }
  // Lpm4::kNone: there is no route.
  RouteId find(Ip4 destination) const noexcept { return lpm.find(destination); }
  RouteId find(const Address& destination) const noexcept {
    return destination.is_v4() ? lpm.find(destination.v4()) : lpm6.find(destination);
  }
};

// One of the two ends of the way a packet came: which port, and through whose tunnel.
struct Origin {
  PortId port = kNoPort;
  Ip4 outer_source;  // 0: not tunnelled
  friend bool operator==(const Origin&, const Origin&) = default;
};

// One list of a host endpoint's policies, in one direction.  No verdict means: go on.
struct HostStage {
  ProgramId program = kNoProgram;   // none: there is nothing to ask
  ProgramId failsafe = kNoProgram;  // what this allows, the stage does not judge
  // Those two as compiled; written by compile().
  InstanceId judge = kNoInstance;
  InstanceId failsafe_judge = kNoInstance;
};

// What a host endpoint says of packets on its interface (Calico semantics 5.2).
struct HostPolicy {
  HostStage untracked_in, untracked_out;  // every packet; what it allows is not tracked
  HostStage pre_dnat;                     // new flows; what it allows skips the next two
  HostStage forward_in, forward_out;      // new flows that do not end, or begin, at the node
  HostStage normal_in, normal_out;        // new flows that do
};
struct HostStageName {
  const char* name;
  bool ingress;
  HostStage HostPolicy::*stage;
};
inline constexpr std::array<HostStageName, 7> kHostStages = {{
    {"untracked", true, &HostPolicy::untracked_in},
    {"untracked", false, &HostPolicy::untracked_out},
    {"preDNAT", true, &HostPolicy::pre_dnat},
    {"forward", true, &HostPolicy::forward_in},
    {"forward", false, &HostPolicy::forward_out},
    {"normal", true, &HostPolicy::normal_in},
    {"normal", false, &HostPolicy::normal_out},
}};

// What the packet path accepts; the `path:` section of sluice.yaml, in the path's own terms.
struct PathOptions {
  bool ip_options = false;      // forward IPv4 packets with harmless options
  bool ip6 = true;              // forward IPv6 at all
  bool uplink_ip6_punt = true;  // if not: the kernel's, where it came by the uplink; else drop
  bool verify_l4_all = false;   // l4Checksum: full
  bool verify_l4_control = true;  // l4Checksum: control or full
  bool transit = false;
  bool endpoint_to_host = true;  // may workloads reach the node itself?
  bool recheck = false;          // connections.onPolicyChange: recheck
  bool tcp_loose = true;         // mid-stream pickup: tcpLoose on or grace
  bool tcp_grace = true;         // only for kLooseGrace after the start
  bool tcp_liberal = false;      // of TCP, only RSTs must fit the window
  uint32_t punt_rate = 20000;    // packets a second, of all workers; 0: no limit
  uint32_t punt_arp_rate = 2000;
};

struct Generation {
  uint64_t number = 0;
  PathOptions options;
  std::shared_ptr<const Linear> linear;    // the rules as written: tells every step
  std::shared_ptr<const Matcher> matcher;  // the same, compiled: tells who decides
  std::shared_ptr<const RouteTable> routes;
  // Empty where no host endpoint is.  `tunnel` sees what is inside IPIP, `uplink` what is
  // outside; `pods` is any pod's port, and has the stages preDNAT and forward only.
  HostPolicy uplink, tunnel, pods;
  bool host_endpoints = false;               // any of the three is not empty
  bool untracked = false;                    // one of them has an untracked stage
  std::vector<Endpoint> endpoints;           // by EndpointId
  std::vector<EndpointId> endpoint_of_port;  // by PortId; kNoEndpoint for none
  std::unordered_map<Address, EndpointId, AddressHash> by_address;  // of local pods

  EndpointId endpoint_at(PortId port) const {
    return port < endpoint_of_port.size() ? endpoint_of_port[port] : kNoEndpoint;
  }
};

// Makes the generation's matcher from linear->rules(), with a program for each endpoint, pinned
// to its address where it has but one of the family and sends from no other, and for each host
// endpoint's list; and tells them their instances.  What is the same as in `previous` (may be
// null) is shared with its matcher.  The error names the limit that was passed.
Status compile(Generation& g, const Matcher::Options& options, const Matcher* previous);

}  // namespace sluice

#endif  // SLUICE_FASTPATH_TABLES_H_
