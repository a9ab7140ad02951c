// SPDX-License-Identifier: Apache-2.0
// The decisions about a packet that the published tables alone answer: may it have this source,
// where does it go, whose policies judge it.  Shared by the pipeline and by `explain`, so the
// two cannot differ.  Pure functions over a Generation; no DPDK.
//
// Source: reliability rules sections 5 (points 6 and 7) and 6.
#ifndef SLUICE_FASTPATH_DECIDE_H_
#define SLUICE_FASTPATH_DECIDE_H_

#include "classifier/verdict.h"
#include "fastpath/tables.h"

namespace sluice {

// May a packet from `origin` claim the source `src`?  none, or rpf_workload, rpf_uplink,
// rpf_tunnel, endpoint_down (a pod port without an endpoint), tun_src (unknown outer source),
// ip4_src (a broadcast address of the uplink).
//
//   a pod port:           the endpoint's own addresses and what it was allowed besides
//   the uplink, plain:    all but the node itself, our blocks, and what must come tunnelled
//   the uplink, tunnelled: what we would send back to that very peer through the tunnel; from
//                         an external node all but what is ours or another node's
//   the host port:        all but local pods; the node's own, and what its kernel forwards
DropReason check_source(const Generation& g, Origin origin, const Address& src);

// Where a packet goes and which policies judge it.
struct Way {
  DropReason reason = DropReason::none;  // rt_no_route, rt_blackhole, rt_transit, tun_dst, ...
  RouteId route = 0;
  EndpointId source = kNoEndpoint;  // its egress judges; none when it came from elsewhere
  EndpointId destination =
      kNoEndpoint;  // its ingress judges; none when it leaves by the uplink,
                    // and none when the host itself sends (never policed)
};
// A packet never leaves by the port it came by: that is rt_no_route for pods and the host, and
// rt_transit for the uplink, unless `transit` is on and the two differ in encapsulation.  A
// tunnelled packet for anything but a local pod or the node is tun_dst.
// REQUIRES: check_source() said none for `origin`.
Way decide_way(const Generation& g, Origin origin, const Address& dst);

// Both of these: the reason is that of whichever says no.
Way way_of(const Generation& g, Origin origin, const Address& src, const Address& dst);

// The host endpoints' lists that judge a packet, in this order; around them the workloads':
// source's egress and destination's ingress stand between `in` and `out`.
struct HostStages {
  HostStage untracked_in, pre_dnat, in, out, untracked_out;
};
// The lists that a packet from `origin` on `way` meets.  None between the node and its own
// pods; `in` and `out` are the forward lists, but the normal ones at the node's own end.  The
// node's own IPIP to its peers is exempt from `out`.
// REQUIRES: way.reason == none.
HostStages host_stages(const Generation& g, Origin origin, const Way& way, const FlowKey& key);

// What the compiled program says of a flow's first packet.  The rules as written are asked for
// a flow whose local end is another than the program was pinned to: its pod could use that
// address when the flow was opened.
// REQUIRES: `who` is one of g's instances.
Verdict verdict_of(const Generation& g, InstanceId who, const FlowKey& key) noexcept;
// Of a host endpoint's list; none: go on, as for what its failsafe program allows.
Verdict::Kind verdict_of(const Generation& g, const HostStage& stage,
                         const FlowKey& key) noexcept;

// Where the packets come from that a reply to `src` goes to.
Origin origin_towards(const Generation& g, const Address& src);

// The port behind which `dst` is; kNoPort: behind none.
PortId port_towards(const Generation& g, const Address& dst);

// Protocols that a workload may not send, because they bypass policy: IPIP, 6in4, GRE, VXLAN.
inline bool is_tunnel(uint8_t protocol, uint16_t dst_port) {
  constexpr uint16_t kVxlan = 4789;
  return protocol == proto::kIpip || protocol == proto::kIp6 || protocol == proto::kGre ||
         (protocol == proto::kUdp && dst_port == kVxlan);
}
// May a workload send it: is it no tunnel, or one that it is allowed?
inline bool may_send(const Endpoint& source, uint8_t protocol, uint16_t dst_port) {
  return protocol == proto::kTcp || source.allow_tunnels || !is_tunnel(protocol, dst_port) ||
         (source.allow_ipip && protocol == proto::kIpip) ||
         (source.allow_vxlan && protocol == proto::kUdp);
}

// May this node send us IPIP: is it one of the cluster's, or of externalNodesList?
bool may_tunnel_to_us(const RouteTable& table, Ip4 outer);

// defaultEndpointToHostAction, asked once the egress of the workload `source` has allowed it:
// policy_deny_egress for a packet to the node itself where that is Drop.
DropReason check_to_host(const Generation& g, EndpointId source, const Address& dst);

// The checks that a packet's addresses alone decide, before check_source(): ip6_disabled
// (path.ip6 is off), ip4_src, ip4_dst, ip4_land, ip6_src (the same as the destination, too),
// ip6_dst, or none.
DropReason check_addresses(const PathOptions& options, const FlowKey& key);
// The same of the addresses of an IPv6 packet alone: ip6_src, ip6_dst or none.
DropReason check_addresses6(const Address& src, const Address& dst);
// Those that its protocol, ports and ICMP type decide, between check_source() and
// decide_way(): icmp_type, l4_port_zero, or none.  TCP means a SYN.
DropReason check_l4(const FlowKey& key);

}  // namespace sluice

#endif  // SLUICE_FASTPATH_DECIDE_H_
