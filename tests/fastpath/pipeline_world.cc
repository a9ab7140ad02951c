// SPDX-License-Identifier: Apache-2.0
#include "tests/fastpath/pipeline_world.h"

#include <rte_ring.h>

namespace sluice::test {

std::shared_ptr<const RuleSet> rules() {
  auto set = std::make_shared<RuleSet>();
  Rule allow;
  allow.action = Action::allow;
  allow.counter = 0;
  Rule allow80 = allow;
  allow80.protocol = proto::kTcp;
  allow80.destination.ports = {{80, 80}};
  allow80.counter = 1;
  set->lists = {RuleList{{allow}}, RuleList{}, RuleList{{allow80}}};
  for (const ListId list : {0u, 1u, 2u}) {
    set->programs.push_back({{{{list}, TierEnd::deny, false, 2 + list}}});
  }
  set->programs.push_back({{{{1}, TierEnd::pass}}});
  return set;
}

std::shared_ptr<RouteTable> routes() {
  auto t = std::make_shared<RouteTable>();
  t->version = 1;
  t->routes = {
      {RouteKind::endpoint, 0, {}, {}},
      {RouteKind::endpoint, 1, {}, {}},
      {RouteKind::tunnel, kNoEndpoint, ip(kPeer), ip(kPeer)},
      {RouteKind::local, kNoEndpoint, {}, {}},
      {RouteKind::connected, kNoEndpoint, {}, {}},
      {RouteKind::blackhole, kNoEndpoint, {}, {}},
      {RouteKind::gateway, kNoEndpoint, ip6(kPeer6), ip6(kPeer6)},
  };
  const auto entry = [](std::string_view prefix, uint32_t value) {
    return Lpm4::Entry{parse_prefix(prefix).value(), value};
  };
  const Lpm4::Entry entries[] = {entry("10.244.1.2/32", 0),    entry("10.244.1.3/32", 1),
                                 entry("10.244.2.0/24", 2),    entry("192.168.100.111/32", 3),
                                 entry("192.168.100.0/24", 4), entry("10.244.1.0/24", 5)};
  t->lpm = Lpm4(entries);
  const auto entry6 = [](std::string_view prefix, uint32_t value) {
    return Lpm6::Entry{parse_prefix(prefix).value(), value};
  };
  const Lpm6::Entry entries6[] = {entry6("fd00:1::2/128", 0),    entry6("fd00:1::3/128", 1),
                                  entry6("fd00:64::111/128", 3), entry6("fd00:64::/64", 4),
                                  entry6("fd00:1::/64", 5),      entry6("::/0", 6)};
  t->lpm6 = Lpm6(entries6);
  t->source6 = ip6(kNode6);
  t->peers = {ip(kPeer).value};
  t->own = {ip(kNode), ip6(kNode6)};
  t->broadcasts = {ip("192.168.100.255")};
  t->outer_source = ip(kNode);
  return t;
}

Lane::Lane(uint8_t id, uint8_t count, Neighbours& neighbours, uint32_t max, bool short_ways)
    : counters(64),
      connections(std::move(*ConnTable::make({max, Timeouts::linux_preset(), {1, 2}}))),
      output(id, counters, neighbours, test::pool()),
      pipeline({id, count, 1, false, {}, short_ways}, connections, output) {
  output.sample_drops(&samples);
}

World::World(ProgramId ingress_of_b, uint8_t workers, uint16_t uplink_mtu,
             uint32_t max_connections, bool short_ways) {
  test::pool();
  auto g = std::make_shared<Generation>();
  g->number = 1;
  static const auto the_rules = std::make_shared<const Linear>(rules());
  static const std::shared_ptr<const RouteTable> the_routes = routes();
  g->linear = the_rules;
  g->routes = the_routes;
  for (const PortId port : {kPodA, kPodB}) {
    const bool a = port == kPodA;
    Endpoint e;
    e.port = port;
    e.worker = static_cast<uint8_t>(a ? 0 : workers - 1);
    e.ready = true;
    e.ingress = a ? kAllowAll : ingress_of_b;
    e.egress = kAllowAll;
    e.addresses = {ip(a ? kA : kB), ip6(a ? kA6 : kB6)};
    e.mac = a ? kPodAMac : kPodBMac;
    for (const Address& address : e.addresses) {
      g->by_address[address] = static_cast<EndpointId>(g->endpoints.size());
    }
    g->endpoints.push_back(e);
  }
  g->endpoint_of_port = {kNoEndpoint, kNoEndpoint, 0, 1};
  const auto add = [this](const char* name, MacAddress mac, uint8_t worker, uint16_t mtu) {
    ports_.push_back(std::make_unique<MemoryPort>(Port::Info{name, mac, mtu, true, true}));
    view_.serve(static_cast<PortId>(ports_.size() - 1), ports_.back().get(), worker);
  };
  add("uplink", kUplinkMac, 0, uplink_mtu);
  add("host", kHostMac, 0, kEtherMtu);
  add("calia", kCalico, 0, kEtherMtu);
  add("calib", kCalico, static_cast<uint8_t>(workers - 1), kEtherMtu);
  view_.serial = 1;
  publish(g);
  view_.host_mac = kKernelMac;
  view_.node_mac = kKernelMac;
  neighbours_.learn(neighbours_.find(kUplinkPort, ip(kPeer)), kRemoteMac);
  neighbours_.learn(neighbours_.find(kUplinkPort, ip6(kPeer6)), kRemoteMac);
  for (uint8_t w = 0; w < workers; ++w) {
    lanes_.push_back(
        std::make_unique<Lane>(w, workers, neighbours_, max_connections, short_ways));
  }
  if (workers == 2) {
    static unsigned rings = 0;
    for (int to : {0, 1}) {
      const std::string name = "ring" + std::to_string(rings++);
      lanes_[static_cast<size_t>(to)]->inbox =
          rte_ring_create(name.c_str(), kRingSize, SOCKET_ID_ANY, 0);
      lanes_[static_cast<size_t>(1 - to)]->output.connect(
          static_cast<uint8_t>(to), lanes_[static_cast<size_t>(to)]->inbox);
    }
  }
}

World::~World() {
  for (auto& lane : lanes_) {
    lane->pipeline.free_held();
    rte_ring_free(lane->inbox);
  }
}

void World::burst(PortId port, const std::vector<Bytes>& packets) {
  std::vector<rte_mbuf*> frames;
  for (const Bytes& bytes : packets) {
    rte_mbuf* frame = frames.emplace_back(rte_pktmbuf_alloc(test::pool()));
    void* to = rte_pktmbuf_append(frame, static_cast<uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(to));
    meta(frame) = PacketMeta{};
  }
  now += 1000;
  const size_t turn = ++bursts_ % lanes_.size();
  const bool spread = port == kUplinkPort && view_.uplink[turn] != nullptr;
  Pipeline& first = lanes_[spread ? turn : view_.owner[port]]->pipeline;
  first.begin(view_, now);
  first.receive(frames, port);
  for (int round = 0; round < 4; ++round) {
    for (auto& lane : lanes_) {
      std::array<rte_mbuf*, kMaxBurst> next;
      const unsigned n =
          lane->inbox == nullptr
              ? 0
              : rte_ring_dequeue_burst(lane->inbox, reinterpret_cast<void**>(next.data()),
                                       kMaxBurst, nullptr);
      if (n > 0) {
        lane->pipeline.begin(view_, now);
        lane->pipeline.resume({next.data(), n});
      }
    }
  }
}

void World::change(ProgramId ingress_of_b, bool recheck) {
  auto next = std::make_shared<Generation>(*view_.generation);
  ++next->number;
  next->options.recheck = recheck;
  next->endpoints[1].ingress = ingress_of_b;
  publish(next);
}

void World::give_b_to_a() {
  auto next = std::make_shared<Generation>(*view_.generation);
  auto table = std::make_shared<RouteTable>(*next->routes);
  ++next->number;
  ++table->version;
  table->routes[1].endpoint = 0;
  next->routes = table;
  next->endpoints[0].addresses.push_back(ip(kB));
  next->endpoints[0].ingress = kDenyAll;
  next->endpoints[1].addresses.clear();
  next->by_address[ip(kB)] = 0;
  publish(next);
}

void World::protect(const HostPolicy& uplink, const HostPolicy& tunnel,
                    const HostPolicy& pods) {
  auto next = std::make_shared<Generation>(*view_.generation);
  ++next->number;
  next->uplink = uplink;
  next->tunnel = tunnel;
  next->pods = pods;
  next->host_endpoints = true;
  next->untracked =
      uplink.untracked_in.program != kNoProgram || uplink.untracked_out.program != kNoProgram;
  publish(next);
}

void World::knew(NodeFlows flows) {
  view_.node_flows_since = now;
  view_.node_flows = std::make_shared<const NodeFlows>(std::move(flows));
}

void World::tick() {
  for (auto& lane : lanes_) {
    lane->pipeline.begin(view_, now);
    lane->pipeline.tick();
  }
}

void World::age(size_t worker) {
  lanes_[worker]->pipeline.begin(view_, now);
  lanes_[worker]->pipeline.age();
}

Bytes World::out(PortId port) {
  auto& sent = ports_[port]->sent;
  if (sent.empty()) {
    return {};
  }
  Bytes first = sent.front();
  sent.pop_front();
  return first;
}

std::vector<uint64_t> World::counts() const {
  std::vector<uint64_t> sums;
  for (const auto& lane : lanes_) {
    std::vector<uint64_t> all;
    const Counters& counters = lane->counters;
    all.push_back(counters.connections_opened.get());
    for (size_t port = 0; port < ports_.size(); ++port) {
      const PortCounters& c = counters.port(static_cast<PortId>(port));
      for (const Counter* n :
           {&c.rx_packets, &c.rx_bytes, &c.tx_packets, &c.tx_bytes, &c.originated}) {
        all.push_back(n->get());
      }
      for (const Counter& fate : c.fates) {
        all.push_back(fate.get());
      }
    }
    for (CounterSlot slot = 0; slot < counters.rules(); ++slot) {
      const RuleCounters& c = counters.rule(slot);
      all.insert(all.end(), {c.judged.get(), c.packets.get(), c.bytes.get()});
    }
    sums.resize(all.size());
    std::transform(all.begin(), all.end(), sums.begin(), sums.begin(), std::plus<>());
  }
  return sums;
}

uint64_t World::judged(CounterSlot slot) const {
  return lanes_[0]->counters.rule(slot).judged.get();
}

uint64_t World::carried(CounterSlot slot) const {
  return lanes_[0]->counters.rule(slot).packets.get();
}

uint64_t World::drops(DropReason reason) const {
  uint64_t n = 0;
  for (const auto& lane : lanes_) {
    n += lane->counters.drops[static_cast<size_t>(reason)].get();
  }
  return n;
}

uint64_t World::inner_drops(DropReason reason) const {
  uint64_t n = 0;
  for (const auto& lane : lanes_) {
    n += lane->counters.inner_drops[static_cast<size_t>(reason)].get();
  }
  return n;
}

std::vector<DropSample> World::samples(size_t worker) {
  std::vector<DropSample> out(1);
  while (lanes_[worker]->samples.take(out.back())) {
    out.emplace_back();
  }
  out.pop_back();
  return out;
}

uint64_t World::fate(PortId port, Fate of) const {
  uint64_t n = 0;
  for (const auto& lane : lanes_) {
    n += lane->counters.port(port).fates[static_cast<size_t>(of)].get();
  }
  return n;
}

void World::kernel_uplink() {
  Port::Info info = ports_[kUplinkPort]->info();
  info.own_neighbours = false;
  ports_[kUplinkPort] = std::make_unique<MemoryPort>(info);
  view_.ports[kUplinkPort] = view_.uplink[0] = ports_[kUplinkPort].get();
  ++view_.serial;
}

void World::edit(const std::function<void(Generation&)>& edit) {
  auto next = std::make_shared<Generation>(*view_.generation);
  ++next->number;
  edit(*next);
  publish(next);
}

void World::publish(const std::shared_ptr<Generation>& next) {
  const Status compiled = compile(*next, {}, nullptr);
  ASSERT_TRUE(compiled) << compiled.error().what;
  view_.generation = next;
  ++view_.serial;
}

void World::expect_sums() const {
  for (size_t port = 0; port < ports_.size(); ++port) {
    uint64_t rx = 0;
    uint64_t fates = 0;
    for (const auto& lane : lanes_) {
      const PortCounters& c = lane->counters.port(static_cast<PortId>(port));
      rx += c.rx_packets.get();
      for (const Counter& fate : c.fates) {
        fates += fate.get();
      }
    }
    EXPECT_EQ(rx, fates) << ports_[port]->info().name;
  }
}

}  // namespace sluice::test
