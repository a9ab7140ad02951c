// SPDX-License-Identifier: Apache-2.0
#include "fastpath/decide.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

Ip4 ip(const char* text) {
  return parse_address(text)->v4();
}

constexpr PortId kPodA = kFirstPodPort;
constexpr PortId kPodB = kFirstPodPort + 1;
constexpr PortId kEmptyPort = kFirstPodPort + 2;

// Node 192.168.0.1 (tunnel 10.0.0.63) holds 10.0.0.0/26 with pods 10.0.0.1 (also 10.0.0.11,
// and allowed 10.9.0.0/16) and 10.0.0.2; 192.168.0.2 (tunnel 10.0.1.0) holds 10.0.1.0/26 behind
// a tunnel; 192.168.0.3 holds 10.0.2.0/26 without one.
Generation make_generation() {
  auto table = std::make_shared<RouteTable>();
  std::vector<Lpm4::Entry> entries;
  const auto add = [&](const char* prefix, const Route& route) {
    entries.push_back({*parse_prefix(prefix), static_cast<uint32_t>(table->routes.size())});
    table->routes.push_back(route);
  };
  const Ip4 gateway = ip("192.168.0.254");
  const Ip4 peer = ip("192.168.0.2");
  add("0.0.0.0/0", {RouteKind::gateway, kNoEndpoint, gateway, gateway});
  add("192.168.0.0/24", {RouteKind::connected, kNoEndpoint, {}, {}});
  add("10.0.0.0/26", {RouteKind::blackhole, kNoEndpoint, {}, {}});
  add("10.0.0.1/32", {RouteKind::endpoint, 0, {}, {}});
  add("10.0.0.11/32", {RouteKind::endpoint, 0, {}, {}});
  add("10.0.0.2/32", {RouteKind::endpoint, 1, {}, {}});
  add("10.0.1.0/26", {RouteKind::tunnel, kNoEndpoint, peer, peer});
  add("10.0.2.0/26", {RouteKind::gateway, kNoEndpoint, ip("192.168.0.3"), ip("192.168.0.3")});
  add("192.168.0.1/32", {RouteKind::local, kNoEndpoint, {}, {}});
  add("10.0.0.63/32", {RouteKind::local, kNoEndpoint, {}, {}});
  table->lpm = Lpm4(entries);
  table->version = 1;
  table->peers = {peer.value, ip("192.168.0.3").value};
  table->own = {ip("192.168.0.1"), ip("10.0.0.63")};
  table->external_nodes = {*parse_prefix("192.168.9.0/24")};
  table->broadcasts = {ip("192.168.0.255")};
  table->outer_source = ip("192.168.0.1");

  Generation g;
  g.number = 1;
  g.routes = table;
  g.endpoints.resize(3);
  g.endpoints[0].port = kPodA;
  g.endpoints[0].addresses = {ip("10.0.0.1"), ip("10.0.0.11")};
  g.endpoints[0].allowed_sources = {*parse_prefix("10.9.0.0/16")};
  g.endpoints[1].port = kPodB;
  g.endpoints[1].addresses = {ip("10.0.0.2")};
  g.endpoint_of_port = {kNoEndpoint, kNoEndpoint, 0, 1, kNoEndpoint};
  g.by_address = {{ip("10.0.0.1"), 0}, {ip("10.0.0.11"), 0}, {ip("10.0.0.2"), 1}};
  return g;
}

Origin from(PortId port) {
  return {port, {}};
}
Origin through(const char* peer) {
  return {kUplinkPort, ip(peer)};
}

TEST(CheckSource, EachPortMayClaimWhatIsBehindIt) {
  const struct {
    const char* sentence;
    Origin origin;
    const char* src;
    DropReason reason;
  } rows[] = {
      {"a pod's own address", from(kPodA), "10.0.0.1", DropReason::none},
      {"a pod's second address", from(kPodA), "10.0.0.11", DropReason::none},
      {"a pod's allowed source", from(kPodA), "10.9.1.1", DropReason::none},
      {"another pod's address", from(kPodA), "10.0.0.2", DropReason::rpf_workload},
      {"the allowance is not the other pod's", from(kPodB), "10.9.1.1",
       DropReason::rpf_workload},
      {"a port without a pod", from(kEmptyPort), "10.0.0.1", DropReason::endpoint_down},
      {"no port at all", from(kNoPort), "10.0.0.1", DropReason::endpoint_down},
      {"the world, plain", from(kUplinkPort), "198.51.100.1", DropReason::none},
      {"a neighbour, plain", from(kUplinkPort), "192.168.0.2", DropReason::none},
      {"a remote pod that is routed plain", from(kUplinkPort), "10.0.2.5", DropReason::none},
      {"a remote pod that must be tunnelled", from(kUplinkPort), "10.0.1.5",
       DropReason::rpf_uplink},
      {"a local pod, plain", from(kUplinkPort), "10.0.0.1", DropReason::rpf_uplink},
      {"a free address of our block", from(kUplinkPort), "10.0.0.40", DropReason::rpf_uplink},
      {"the node itself", from(kUplinkPort), "192.168.0.1", DropReason::rpf_uplink},
      {"a broadcast address", from(kUplinkPort), "192.168.0.255", DropReason::ip4_src},
      {"a remote pod through its node", through("192.168.0.2"), "10.0.1.5", DropReason::none},
      {"the peer itself through its tunnel", through("192.168.0.2"), "192.168.0.2",
       DropReason::none},
      {"a remote pod through another node", through("192.168.0.3"), "10.0.1.5",
       DropReason::rpf_tunnel},
      {"a plainly routed pod, tunnelled", through("192.168.0.3"), "10.0.2.5",
       DropReason::rpf_tunnel},
      {"the world, tunnelled", through("192.168.0.2"), "198.51.100.1", DropReason::rpf_tunnel},
      {"a local pod, tunnelled", through("192.168.0.2"), "10.0.0.1", DropReason::rpf_tunnel},
      {"an external node itself", through("192.168.9.1"), "192.168.9.1", DropReason::none},
      {"what is behind an external node", through("192.168.9.1"), "198.51.100.1",
       DropReason::none},
      {"a neighbour behind an external node", through("192.168.9.1"), "192.168.0.77",
       DropReason::none},
      {"a local pod, from an external node", through("192.168.9.1"), "10.0.0.1",
       DropReason::rpf_tunnel},
      {"the node itself, from an external node", through("192.168.9.1"), "192.168.0.1",
       DropReason::rpf_tunnel},
      {"a free address of ours, from an external node", through("192.168.9.1"), "10.0.0.40",
       DropReason::rpf_tunnel},
      {"another node's pod, from an external node", through("192.168.9.1"), "10.0.1.5",
       DropReason::rpf_tunnel},
      {"a plainly routed node's pod, from an external node", through("192.168.9.1"), "10.0.2.5",
       DropReason::rpf_tunnel},
      {"a stranger's tunnel", through("192.168.0.9"), "10.0.1.5", DropReason::tun_src},
      {"the host's own address", from(kHostPort), "192.168.0.1", DropReason::none},
      {"what the host forwards", from(kHostPort), "172.17.0.2", DropReason::none},
      {"a pod's address from the host", from(kHostPort), "10.0.0.1", DropReason::rpf_uplink},
  };
  const Generation g = make_generation();
  for (const auto& row : rows) {
    EXPECT_EQ(name(check_source(g, row.origin, ip(row.src))), name(row.reason)) << row.sentence;
  }
}

TEST(DecideWay, NamesTheJudgesAndRefusesTransit) {
  const struct {
    const char* sentence;
    Origin origin;
    const char* dst;
    DropReason reason;
    EndpointId source;
    EndpointId destination;
  } rows[] = {
      {"pod to pod", from(kPodA), "10.0.0.2", DropReason::none, 0, 1},
      {"pod to the world", from(kPodA), "198.51.100.1", DropReason::none, 0, kNoEndpoint},
      {"pod to a remote pod", from(kPodA), "10.0.1.5", DropReason::none, 0, kNoEndpoint},
      {"pod to the node", from(kPodA), "192.168.0.1", DropReason::none, 0, kNoEndpoint},
      {"pod to itself", from(kPodA), "10.0.0.11", DropReason::rt_no_route, 0, kNoEndpoint},
      {"pod to a free address", from(kPodA), "10.0.0.40", DropReason::rt_blackhole, 0,
       kNoEndpoint},
      {"pod to broadcast", from(kPodA), "192.168.0.255", DropReason::ip4_dst, kNoEndpoint,
       kNoEndpoint},
      {"a port without a pod", from(kEmptyPort), "10.0.0.2", DropReason::endpoint_down,
       kNoEndpoint, kNoEndpoint},
      {"host to pod is not policed", from(kHostPort), "10.0.0.1", DropReason::none, kNoEndpoint,
       kNoEndpoint},
      {"host to the world", from(kHostPort), "198.51.100.1", DropReason::none, kNoEndpoint,
       kNoEndpoint},
      {"host to itself", from(kHostPort), "192.168.0.1", DropReason::rt_no_route, kNoEndpoint,
       kNoEndpoint},
      {"world to pod", from(kUplinkPort), "10.0.0.1", DropReason::none, kNoEndpoint, 0},
      {"world to the node", from(kUplinkPort), "192.168.0.1", DropReason::none, kNoEndpoint,
       kNoEndpoint},
      {"world to the world", from(kUplinkPort), "198.51.100.1", DropReason::rt_transit,
       kNoEndpoint, kNoEndpoint},
      {"world to a remote pod", from(kUplinkPort), "10.0.1.5", DropReason::rt_transit,
       kNoEndpoint, kNoEndpoint},
      {"world to a free address", from(kUplinkPort), "10.0.0.40", DropReason::rt_blackhole,
       kNoEndpoint, kNoEndpoint},
      {"tunnel to pod", through("192.168.0.2"), "10.0.0.2", DropReason::none, kNoEndpoint, 1},
      {"tunnel to our tunnel address", through("192.168.0.2"), "10.0.0.63", DropReason::none,
       kNoEndpoint, kNoEndpoint},
      {"tunnel to a free address", through("192.168.0.2"), "10.0.0.40", DropReason::tun_dst,
       kNoEndpoint, kNoEndpoint},
      {"tunnel to the world", through("192.168.0.2"), "198.51.100.1", DropReason::tun_dst,
       kNoEndpoint, kNoEndpoint},
      {"tunnel to a third node", through("192.168.0.3"), "10.0.1.5", DropReason::tun_dst,
       kNoEndpoint, kNoEndpoint},
  };
  const Generation g = make_generation();
  for (const auto& row : rows) {
    const Way way = decide_way(g, row.origin, ip(row.dst));
    EXPECT_EQ(name(way.reason), name(row.reason)) << row.sentence;
    EXPECT_EQ(way.source, row.source) << row.sentence;
    EXPECT_EQ(way.destination, row.destination) << row.sentence;
  }
}

TEST(DecideWay, TransitMayEnterATunnelButNeverLeavesAsItCame) {
  Generation g = make_generation();
  g.options.transit = true;
  EXPECT_EQ(decide_way(g, from(kUplinkPort), ip("10.0.1.5")).reason, DropReason::none);
  EXPECT_EQ(decide_way(g, from(kUplinkPort), ip("198.51.100.1")).reason,
            DropReason::rt_transit);
  EXPECT_EQ(decide_way(g, through("192.168.0.2"), ip("10.0.1.5")).reason, DropReason::tun_dst);
}

TEST(DecideWay, WithoutADefaultRouteTheWorldIsUnknown) {
  Generation g = make_generation();
  auto empty = std::make_shared<RouteTable>();
  empty->version = 2;
  g.routes = empty;
  EXPECT_EQ(decide_way(g, from(kPodA), ip("8.8.8.8")).reason, DropReason::rt_no_route);
  EXPECT_EQ(decide_way(g, from(kUplinkPort), ip("8.8.8.8")).reason, DropReason::rt_no_route);
}

TEST(DecideWay, ARouteToAPodThatHasGoneIsDown) {
  Generation g = make_generation();
  g.endpoints[1].port = kNoPort;
  EXPECT_EQ(decide_way(g, from(kPodA), ip("10.0.0.2")).reason, DropReason::endpoint_down);
}

// IPv4 goes a way of its own there.
TEST(WayOf, IsWhatBothQuestionsSayApart) {
  const Generation g = make_generation();
  const Origin origins[] = {from(kUplinkPort),
                            from(kHostPort),
                            from(kPodA),
                            from(kPodB),
                            from(kEmptyPort),
                            through("192.168.0.2"),
                            through("192.168.9.1"),
                            through("192.168.0.9")};
  std::vector<Address> addresses;
  for (const char* text :
       {"10.0.0.1", "10.0.0.2", "10.0.0.11", "10.0.0.40", "10.0.1.5", "10.0.2.5", "10.9.1.1",
        "192.168.0.1", "192.168.0.2", "192.168.0.255", "192.168.9.1", "198.51.100.1"}) {
    addresses.emplace_back(ip(text));
  }
  addresses.push_back(*parse_address("fd00::1"));
  std::set<DropReason> reasons;
  for (const Origin origin : origins) {
    for (const Address& src : addresses) {
      for (const Address& dst : addresses) {
        const DropReason first = check_source(g, origin, src);
        const Way then = decide_way(g, origin, dst);
        const Way both = way_of(g, origin, src, dst);
        reasons.insert(both.reason);
        ASSERT_EQ(name(both.reason), name(first != DropReason::none ? first : then.reason));
        if (both.reason == DropReason::none) {
          ASSERT_EQ(both.route, then.route);
          ASSERT_EQ(both.source, then.source);
          ASSERT_EQ(both.destination, then.destination);
        }
      }
    }
  }
  EXPECT_GE(reasons.size(), 10u);
}

TEST(PortTowards, KnowsWhatIsBehindEachPort) {
  const Generation g = make_generation();
  const struct {
    const char* dst;
    PortId port;
  } rows[] = {
      {"10.0.0.1", kPodA},          {"10.0.0.11", kPodA},         {"10.0.0.2", kPodB},
      {"10.0.0.9", kNoPort},        {"10.0.1.9", kUplinkPort},    {"10.0.2.9", kUplinkPort},
      {"192.168.0.7", kUplinkPort}, {"203.0.113.1", kUplinkPort}, {"192.168.0.1", kHostPort},
      {"10.0.0.63", kHostPort},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(port_towards(g, ip(row.dst)), row.port) << row.dst;
  }
}

TEST(CheckFields, RefusesWhatHeadersAloneShow) {
  const auto key = [](const char* src, const char* dst, uint8_t protocol, uint16_t sport,
                      uint16_t dport) {
    return FlowKey{*parse_address(src), *parse_address(dst), sport, dport, protocol};
  };
  const struct {
    FlowKey key;
    DropReason reason;
  } rows[] = {
      {key("10.0.0.1", "10.0.0.2", 6, 1, 80), DropReason::none},
      {key("10.0.0.1", "10.0.0.1", 6, 1, 80), DropReason::ip4_land},
      {key("127.0.0.1", "10.0.0.1", 6, 1, 80), DropReason::ip4_src},
      {key("224.0.0.1", "10.0.0.1", 6, 1, 80), DropReason::ip4_src},
      {key("10.0.0.1", "0.1.2.3", 6, 1, 80), DropReason::ip4_dst},
      {key("10.0.0.1", "255.255.255.255", 17, 68, 67), DropReason::ip4_dst},
      {key("10.0.0.1", "10.0.0.2", 6, 0, 80), DropReason::l4_port_zero},
      {key("10.0.0.1", "10.0.0.2", 132, 1, 0), DropReason::l4_port_zero},
      {key("10.0.0.1", "10.0.0.2", 17, 0, 53), DropReason::none},
      {key("10.0.0.1", "10.0.0.2", 17, 53, 0), DropReason::l4_port_zero},
      {key("10.0.0.1", "10.0.0.2", 1, 0, 8 << 8), DropReason::none},
      {key("10.0.0.1", "10.0.0.2", 1, 0, 5 << 8), DropReason::icmp_type},
      {key("10.0.0.1", "10.0.0.2", 47, 0, 0), DropReason::none},
      {key("fd00::1", "fd00::2", 6, 1, 80), DropReason::none},
      {key("::1", "fd00::2", 6, 1, 80), DropReason::ip6_src},
      {key("fe80::1", "fd00::2", 6, 1, 80), DropReason::ip6_src},
      {key("::ffff:10.0.0.1", "fd00::2", 6, 1, 80), DropReason::ip6_src},
      {key("fd00::2", "fd00::2", 6, 1, 80), DropReason::ip6_src},
      {key("fd00::1", "ff02::1", 6, 1, 80), DropReason::ip6_dst},
      {key("fd00::1", "::", 6, 1, 80), DropReason::ip6_dst},
      {key("fd00::1", "fd00::2", 58, 0, 128 << 8), DropReason::none},
      {key("fd00::1", "fd00::2", 58, 0, 134 << 8), DropReason::icmp_type},
  };
  PathOptions options;
  for (const auto& row : rows) {
    const DropReason l3 = check_addresses(options, row.key);
    const DropReason reason = l3 == DropReason::none ? check_l4(row.key) : l3;
    EXPECT_EQ(name(reason), name(row.reason))
        << to_string(row.key.src) << " " << to_string(row.key.dst);
  }
}

TEST(IsTunnel, KnowsTheFourThatBypassPolicy) {
  for (const uint8_t protocol : {proto::kIpip, proto::kIp6, proto::kGre}) {
    EXPECT_TRUE(is_tunnel(protocol, 0));
  }
  EXPECT_TRUE(is_tunnel(proto::kUdp, 4789));
  EXPECT_FALSE(is_tunnel(proto::kTcp, 4789));
  EXPECT_FALSE(is_tunnel(proto::kUdp, 53));
}

TEST(MaySend, EachTunnelHasItsPermission) {
  Endpoint none;
  Endpoint ipip;
  ipip.allow_ipip = true;
  Endpoint vxlan;
  vxlan.allow_vxlan = true;
  Endpoint all;
  all.allow_tunnels = true;
  const struct {
    uint8_t protocol;
    uint16_t port;
    const char* who;  // n: nobody in particular, i, v, a
  } rows[] = {
      {proto::kTcp, 80, "niva"},   {proto::kUdp, 53, "niva"}, {proto::kIpip, 0, "ia"},
      {proto::kUdp, 4789, "va"},   {proto::kIp6, 0, "a"},     {proto::kGre, 0, "a"},
      {proto::kTcp, 4789, "niva"},
  };
  for (const auto& row : rows) {
    std::string who;
    who += may_send(none, row.protocol, row.port) ? "n" : "";
    who += may_send(ipip, row.protocol, row.port) ? "i" : "";
    who += may_send(vxlan, row.protocol, row.port) ? "v" : "";
    who += may_send(all, row.protocol, row.port) ? "a" : "";
    EXPECT_EQ(who, row.who) << int{row.protocol} << "/" << row.port;
  }
}

TEST(CheckToHost, RefusesAWorkloadItsNodeAndNobodyElse) {
  Generation g = make_generation();
  for (const char* own : {"192.168.0.1", "10.0.0.63"}) {
    EXPECT_EQ(name(check_to_host(g, 0, ip(own))), "none");
  }
  g.options.endpoint_to_host = false;
  for (const char* own : {"192.168.0.1", "10.0.0.63"}) {
    EXPECT_EQ(name(check_to_host(g, 0, ip(own))), "policy_deny_egress");
    EXPECT_EQ(name(check_to_host(g, kNoEndpoint, ip(own))), "none");
  }
  for (const char* other : {"10.0.0.2", "192.168.0.2", "198.51.100.1", "10.0.1.5"}) {
    EXPECT_EQ(name(check_to_host(g, 0, ip(other))), "none");
  }
}

}  // namespace
}  // namespace sluice
