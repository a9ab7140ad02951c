// SPDX-License-Identifier: Apache-2.0
#include "control/routes.h"

#include <random>

#include <gtest/gtest.h>

#include "control/build.h"

namespace sluice::control {
namespace {

Ip4 ip(const char* text) {
  return parse_address(text)->v4();
}

config::Node node(const char* name, const char* address, const char* tunnel) {
  config::Node n;
  n.meta.name = name;
  n.address = parse_prefix(address);
  n.address_host = ip(std::string(address).substr(0, std::string(address).find('/')).c_str());
  if (tunnel != nullptr) {
    n.tunnel_address = ip(tunnel);
  }
  return n;
}

config::Block block(const char* cidr, const char* owner) {
  config::Block b;
  b.cidr = *parse_prefix(cidr);
  b.node = owner;
  return b;
}

config::WorkloadEndpoint workload(const char* name, const char* owner, const char* address) {
  config::WorkloadEndpoint w;
  w.meta.kind = "WorkloadEndpoint";
  w.meta.namespace_name = "ns1";
  w.meta.name = name;
  w.node = owner;
  w.interface_name = std::string("cali") + name;
  w.ip_networks = {*parse_prefix(address)};
  return w;
}

LocalEndpoint local(const char* interface_name, const char* address) {
  LocalEndpoint e;
  e.interface_name = interface_name;
  e.addresses = {*parse_address(address)};
  return e;
}

// Three nodes: ours, one on our subnet, one beyond the gateway.
config::Model cluster(config::EncapMode mode) {
  config::Model m;
  m.settings.node = "node1";
  m.settings.uplink.addresses = {{Address::of(ip("192.168.0.1")), 120}};
  m.settings.uplink.gateway = ip("192.168.0.254");
  m.nodes = {node("node1", "192.168.0.1/24", "10.0.0.0"),
             node("node2", "192.168.0.2/24", "10.0.1.0"),
             node("node3", "192.168.7.3/24", nullptr)};
  m.blocks = {block("10.0.0.0/26", "node1"), block("10.0.1.0/26", "node2"),
              block("10.0.3.0/26", "node3")};
  config::IpPool pool;
  pool.cidr = *parse_prefix("10.0.0.0/16");
  pool.ipip = mode;
  m.ip_pools = {pool};
  return m;
}

std::string text(const Route& route) {
  const std::string kind(name(route.kind));
  switch (route.kind) {
    case RouteKind::endpoint:
      return kind + " " + std::to_string(route.endpoint);
    case RouteKind::tunnel:
      return kind + " " + to_string(route.next_hop) + " by " + to_string(route.neighbour);
    case RouteKind::gateway:
      return kind + " " + to_string(route.next_hop);
    default:
      return kind;
  }
}

struct Planned {
  RoutePlan plan;
  config::Findings findings;
  std::string route(const char* address) const {
    const auto table = make_route_table(plan, 1);
    const RouteId id = table->find(*parse_address(address));
    return id == Lpm4::kNone ? "none" : text(table->routes[id]);
  }
};

Planned plan(const config::Model& model, const std::vector<LocalEndpoint>& endpoints = {}) {
  EndpointSlots slots;
  for (const LocalEndpoint& e : endpoints) {
    slots.assign(e.interface_name);
  }
  Borrowed borrowed;
  Planned p;
  p.plan = plan_routes(model, endpoints, slots, borrowed, p.findings);
  return p;
}

TEST(Routes, FollowPoolsBlocksAndNodes) {
  const struct {
    config::EncapMode mode;
    const char* address;
    const char* route;
  } rows[] = {
      {config::EncapMode::always, "10.0.1.5", "tunnel 192.168.0.2 by 192.168.0.2"},
      {config::EncapMode::always, "10.0.3.5", "tunnel 192.168.7.3 by 192.168.0.254"},
      {config::EncapMode::always, "10.0.1.0", "tunnel 192.168.0.2 by 192.168.0.2"},
      {config::EncapMode::cross_subnet, "10.0.1.5", "gateway 192.168.0.2"},
      {config::EncapMode::cross_subnet, "10.0.3.5", "tunnel 192.168.7.3 by 192.168.0.254"},
      {config::EncapMode::never, "10.0.1.5", "gateway 192.168.0.2"},
      {config::EncapMode::never, "10.0.3.5", "gateway 192.168.0.254"},
      {config::EncapMode::always, "10.0.0.7", "endpoint 0"},
      {config::EncapMode::always, "10.0.0.9", "blackhole"},
      {config::EncapMode::always, "10.0.0.0", "local"},
      {config::EncapMode::always, "192.168.0.1", "local"},
      {config::EncapMode::always, "192.168.0.77", "connected"},
      {config::EncapMode::always, "198.51.100.1", "gateway 192.168.0.254"},
  };
  for (const auto& row : rows) {
    const Planned p = plan(cluster(row.mode), {local("cali7", "10.0.0.7")});
    EXPECT_EQ(p.route(row.address), row.route) << row.address;
    EXPECT_TRUE(p.findings.all().empty()) << row.address;
  }
}

// The same three nodes with IPv6 beside IPv4.
config::Model cluster6() {
  config::Model m = cluster(config::EncapMode::always);
  m.settings.uplink.addresses.push_back({*parse_address("fd00:7::1"), 64});
  m.settings.uplink.gateway6 = parse_address("fe80::fe");
  const char* hosts[] = {"fd00:7::1", "fd00:7::2", "fd00:8::3"};
  for (size_t i = 0; i < 3; ++i) {
    config::Node n = *m.nodes.at(i);
    n.address6_host = parse_address(hosts[i]);
    n.address6 = Prefix::of(*n.address6_host, 64);
    m.nodes.replace(i, n);
  }
  m.blocks.push_back(block("fd00:1::/122", "node1"));
  m.blocks.push_back(block("fd00:1::40/122", "node2"));
  m.blocks.push_back(block("fd00:1::80/122", "node3"));
  config::IpPool pool;
  pool.meta.name = "six";
  pool.cidr = *parse_prefix("fd00:1::/48");
  m.ip_pools.push_back(pool);
  return m;
}

TEST(Routes, OfIpv6AreNeverTunnelled) {
  const struct {
    const char* address;
    const char* route;
  } rows[] = {
      {"fd00:1::45", "gateway fd00:7::2"},
      {"fd00:1::85", "gateway fe80::fe"},
      {"fd00:1::7", "endpoint 0"},
      {"fd00:1::9", "blackhole"},
      {"fd00:7::1", "local"},
      {"fd00:7::77", "connected"},
      {"2001:db8::1", "gateway fe80::fe"},
      {"10.0.1.5", "tunnel 192.168.0.2 by 192.168.0.2"},
      {"10.0.0.7", "endpoint 0"},
      {"fd00:1::46", "gateway fe80::fe"},
  };
  config::Model m = cluster6();
  m.workload_endpoints = {workload("6", "node3", "fd00:1::46/128")};  // borrowed
  LocalEndpoint both = local("cali7", "10.0.0.7");
  both.addresses.push_back(*parse_address("fd00:1::7"));
  const Planned p = plan(m, {both});
  for (const auto& row : rows) {
    EXPECT_EQ(p.route(row.address), row.route) << row.address;
  }
  EXPECT_TRUE(p.findings.all().empty());
  EXPECT_EQ(to_string(p.plan.source6), "fd00:7::1");
  EXPECT_EQ(to_string(make_route_table(p.plan, 1)->source6), "fd00:7::1");
  EXPECT_TRUE(p.plan.own.contains(*parse_address("fd00:7::1")));
  EXPECT_EQ(p.plan.peers.size(), 2u);
}

TEST(Routes, OfIpv6AreAskedOfANodeThatHasAnAddress) {
  config::Model m = cluster6();
  config::Node n = *m.nodes.at(1);
  n.address6_host.reset();
  m.nodes.replace(1, n);
  n = *m.nodes.at(2);
  n.address_host.reset();  // of IPv6 only
  m.nodes.replace(2, n);
  m.settings.uplink.gateway6.reset();
  const Planned p = plan(m);
  EXPECT_EQ(p.route("fd00:1::45"), "none");
  EXPECT_EQ(p.route("10.0.1.5"), "tunnel 192.168.0.2 by 192.168.0.2");
  EXPECT_EQ(p.route("fd00:1::85"), "gateway fd00:8::3");
  EXPECT_EQ(p.route("10.0.3.5"), "gateway 192.168.0.254");
  EXPECT_EQ(p.route("2001:db8::1"), "none");
}

TEST(Routes, OfIpv6ComeFromTheSettingsToo) {
  config::Model m = cluster6();
  config::StaticRoute direct, ours;
  direct.block = *parse_prefix("fd00:9::/64");
  direct.node = *parse_address("fd00:7::9");
  direct.tunnel = false;
  ours.block = *parse_prefix("fd00:a::/64");
  ours.node = *parse_address("fd00:7::1");
  ours.tunnel = false;
  m.settings.routes = {direct, ours};
  const Planned p = plan(m);
  EXPECT_EQ(p.route("fd00:9::1"), "gateway fd00:7::9");
  EXPECT_EQ(p.route("fd00:a::1"), "blackhole");
  EXPECT_FALSE(p.plan.peers.contains(ip("192.168.0.9")));
}

TEST(Routes, AnUplinkWithoutTheNodesIpv6AddressIsDoubtful) {
  config::Model m = cluster6();
  m.settings.uplink.addresses.pop_back();
  const Planned p = plan(m);
  ASSERT_EQ(p.findings.all().size(), 1u);
  EXPECT_NE(p.findings.all()[0].message.find("fd00:7::1"), std::string::npos);
  EXPECT_EQ(p.route("fd00:7::1"), "local") << "it is ours nevertheless";
}

TEST(Routes, AVxlanPoolOfIpv6IsRoutedPlainly) {
  config::Model m = cluster6();
  config::IpPool pool = *m.ip_pools.at(1);
  pool.vxlan = config::EncapMode::always;
  m.ip_pools.replace(1, pool);
  const Planned p = plan(m);
  ASSERT_EQ(p.findings.all().size(), 1u);
  EXPECT_NE(p.findings.all()[0].message.find("without encapsulation"), std::string::npos);
  EXPECT_EQ(p.findings.all()[0].hint, "vxlanMode: Never");
  EXPECT_EQ(p.route("fd00:1::45"), "gateway fd00:7::2");
}

TEST(Routes, PeersAreTheOtherNodes) {
  const RoutePlan p = plan(cluster(config::EncapMode::always)).plan;
  EXPECT_EQ(p.peers, (std::set<Ip4>{ip("192.168.0.2"), ip("192.168.7.3")}));
  EXPECT_EQ(p.own, (std::set<Address>{ip("192.168.0.1"), ip("10.0.0.0")}));
  EXPECT_EQ(p.broadcasts, (std::set<Ip4>{ip("192.168.0.255")}));
  EXPECT_EQ(p.outer_source, ip("192.168.0.1"));
  EXPECT_EQ(p.tunnel_address, ip("10.0.0.0"));
}

TEST(Routes, ABorrowedAddressGoesToItsOwner) {
  config::Model m = cluster(config::EncapMode::always);
  m.workload_endpoints = {workload("borrowed", "node3", "10.0.0.20/32"),
                          workload("plain", "node2", "10.0.1.20/32")};
  const Planned p = plan(m);
  EXPECT_EQ(p.route("10.0.0.20"), "tunnel 192.168.7.3 by 192.168.0.254");
  EXPECT_TRUE(p.plan.routes.contains(*parse_prefix("10.0.0.20/32")));
  EXPECT_FALSE(p.plan.routes.contains(*parse_prefix("10.0.1.20/32")));
}

TEST(Routes, ABorrowedPodIsRoutedWhileItIsOne) {
  const struct {
    const char* sentence;
    const char* phase;
    const char* note;  // cni.projectcalico.org/podIP
    bool in_status;
    bool deleting;
    bool routed;
  } rows[] = {
      {"known by its status", "Running", nullptr, true, false, true},
      {"known by its annotation", "Pending", "10.0.0.20/32", false, false, true},
      {"completed", "Completed", nullptr, true, false, false},
      {"its address is taken back", "Running", "", true, true, false},
  };
  for (const auto& row : rows) {
    config::Model m = cluster(config::EncapMode::always);
    config::Pod pod;
    pod.node = "node3";
    pod.phase = row.phase;
    pod.deleting = row.deleting;
    if (row.note != nullptr) {
      pod.meta.annotations["cni.projectcalico.org/podIP"] = row.note;
    }
    if (row.in_status) {
      pod.pod_ips = {*parse_address("10.0.0.20")};
    }
    m.pods = {pod};
    EXPECT_EQ(plan(m).plan.routes.contains(*parse_prefix("10.0.0.20/32")), row.routed)
        << row.sentence;
  }
}

// Pods and endpoints come, go and move, and so do nodes and blocks.
TEST(Routes, BorrowedAddressesFollowFromModelToModel) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
  const auto address = [&] {
    return "10.0." + std::to_string(pick(4)) + "." + std::to_string(pick(6));
  };
  const auto owner = [&] { return "node" + std::to_string(1 + pick(4)); };
  config::Model m = cluster(config::EncapMode::cross_subnet);
  const EndpointSlots slots;
  Borrowed kept;
  for (int round = 0; round < 500; ++round) {
    const auto line = static_cast<int>(pick(8));
    switch (pick(8)) {
      case 0: {
        m.nodes = cluster(config::EncapMode::always).nodes;
        if (pick(2) == 0) {
          m.nodes.erase_if([&](const config::Node& n) { return n.meta.name == owner(); });
        }
        break;
      }
      case 1:
        m.blocks = {
            block(("10.0." + std::to_string(pick(4)) + ".0/29").c_str(), owner().c_str())};
        break;
      case 2:
      case 3: {
        config::WorkloadEndpoint w = workload(("w" + std::to_string(line)).c_str(),
                                              owner().c_str(), (address() + "/32").c_str());
        w.meta.where = {0, line, 1};
        m.workload_endpoints.erase_if(
            [&](const config::WorkloadEndpoint& old) { return old.meta.where.line >= line; });
        m.workload_endpoints.push_back(w);
        break;
      }
      default: {
        config::Pod pod;
        pod.node = owner();
        pod.meta.name = "p" + std::to_string(line);
        pod.pod_ips = {*parse_address(address())};
        pod.phase = pick(4) == 0 ? "Failed" : "Running";
        pod.meta.where = {1, line, 1};
        m.pods.erase_if([&](const config::Pod& old) { return old.meta.where.line >= line; });
        m.pods.push_back(pod);
      }
    }
    Borrowed fresh;
    config::Findings findings;
    const RoutePlan again = plan_routes(m, {}, slots, kept, findings);
    ASSERT_TRUE(again == plan_routes(m, {}, slots, fresh, findings)) << "round " << round;
  }
}

TEST(Routes, AnOwnBlockOfOneAddressIsNoBlackhole) {
  config::Model m = cluster(config::EncapMode::always);
  m.blocks = {block("10.0.0.9/32", "node1")};
  EXPECT_EQ(plan(m).route("10.0.0.9"), "gateway 192.168.0.254");
}

TEST(Routes, StaticRoutesReplaceBlocks) {
  config::Model m = cluster(config::EncapMode::never);
  config::StaticRoute tunnelled;
  tunnelled.block = *parse_prefix("10.0.9.0/26");
  tunnelled.node = Address::of(ip("192.168.0.9"));
  config::StaticRoute direct = tunnelled;
  direct.block = *parse_prefix("10.0.10.0/26");
  direct.tunnel = false;
  m.settings.routes = {tunnelled, direct};
  const Planned p = plan(m);
  EXPECT_EQ(p.route("10.0.9.1"), "tunnel 192.168.0.9 by 192.168.0.9");
  EXPECT_EQ(p.route("10.0.10.1"), "gateway 192.168.0.9");
  EXPECT_EQ(p.route("10.0.3.5"), "gateway 192.168.0.254");
  EXPECT_TRUE(p.plan.peers.contains(ip("192.168.0.9")));
}

TEST(Routes, ATunnelNeedsAnAddressOfOurs) {
  config::Model m = cluster(config::EncapMode::always);
  m.nodes.erase_if([](const config::Node& n) { return n.meta.name == "node1"; });
  m.settings.uplink.addresses.clear();
  EXPECT_TRUE(plan(m).findings.has_errors());
}

TEST(Routes, AnUplinkWithoutTheNodesAddressIsDoubtful) {
  config::Model m = cluster(config::EncapMode::always);
  m.settings.uplink.addresses = {{Address::of(ip("192.168.0.8")), 120}};
  const Planned p = plan(m);
  EXPECT_FALSE(p.findings.has_errors());
  ASSERT_EQ(p.findings.all().size(), 1u);
  EXPECT_NE(p.findings.all()[0].message.find("192.168.0.1"), std::string::npos);
}

TEST(EndpointSlots, StayWhileThePodDoesAndRestAfterwards) {
  EndpointSlots slots;
  EXPECT_EQ(slots.assign("cali1"), 0u);
  EXPECT_EQ(slots.assign("cali2"), 1u);
  EXPECT_EQ(slots.assign("cali1"), 0u);
  EXPECT_EQ(slots.port("cali2"), kFirstPodPort + 1);
  EXPECT_EQ(slots.interface_of(kFirstPodPort), "cali1");
  EXPECT_EQ(slots.interface_of(kUplinkPort), "");
  slots.release_absent({local("cali2", "10.0.0.2")});
  EXPECT_FALSE(slots.find("cali1"));
  EXPECT_EQ(slots.interface_of(kFirstPodPort), "");
  EXPECT_EQ(slots.assign("cali3"), 2u);  // connections may still know slot 0
}

TEST(EndpointSlots, AreReusedWhenAllWereGiven) {
  EndpointSlots slots;
  for (EndpointId i = 0; i < EndpointSlots::kMaxSlots; ++i) {
    ASSERT_EQ(slots.assign("cali" + std::to_string(i)), i);
  }
  EXPECT_FALSE(slots.assign("one too many"));
  slots.release("cali17");
  EXPECT_EQ(slots.assign("next"), 17u);
  EXPECT_EQ(slots.size(), EndpointSlots::kMaxSlots);
}

TEST(Build, SharesAnUnchangedRouteTable) {
  config::Model m = cluster(config::EncapMode::always);
  m.workload_endpoints = {workload("a", "node1", "10.0.0.7/32")};
  Registries registries;
  config::Findings findings;
  const Built first = build(m, registries, nullptr, findings);
  const Built second = build(m, registries, &first, findings);
  EXPECT_EQ(first.generation->routes->version, 1u);
  EXPECT_EQ(second.generation->routes, first.generation->routes);
  EXPECT_EQ(second.generation->number, first.generation->number + 1);
  m.workload_endpoints.push_back(workload("b", "node1", "10.0.0.8/32"));
  const Built third = build(m, registries, &second, findings);
  EXPECT_EQ(third.generation->routes->version, 2u);
  EXPECT_EQ(third.generation->by_address.at(ip("10.0.0.7")), 0u);
  EXPECT_EQ(third.generation->by_address.at(ip("10.0.0.8")), 1u);
  EXPECT_TRUE(third.generation->endpoints[1].ready);
  EXPECT_FALSE(findings.has_errors());
}

TEST(Build, NamesTheNearestNodeWhenOursIsUnknown) {
  config::Model m = cluster(config::EncapMode::always);
  m.settings.node = "nod1";
  Registries registries;
  config::Findings findings;
  build(m, registries, nullptr, findings);
  ASSERT_TRUE(findings.has_errors());
  EXPECT_NE(findings.all()[0].hint.find("node"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
