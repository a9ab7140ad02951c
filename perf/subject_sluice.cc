// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "fastpath/pipeline.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

constexpr Nanos kTurn = 10'000;  // of the pipeline's clock, from burst to burst

// Programs 0 (egress) and 1 (ingress): rules that do not match, and one that does.
std::shared_ptr<const RuleSet> make_rules(unsigned rules) {
  auto set = std::make_shared<RuleSet>();
  RuleList list;
  for (unsigned n = 0; n + 1 < rules; ++n) {
    Rule rule;
    rule.action = Action::deny;
    rule.protocol = proto::kUdp;
    rule.source.nets = {Prefix::of(Address::of(Ip4{0xac100000 + (n << 8)}), 120)};
    rule.destination.ports = {
        {static_cast<uint16_t>(2000 + n), static_cast<uint16_t>(2000 + n)}};
    list.rules.push_back(rule);
  }
  Rule last;
  last.action = Action::allow;
  last.counter = 0;
  list.rules.push_back(last);
  set->lists = {list};
  set->programs.resize(2, Program{{Tier{{0}, TierEnd::deny, false, kNoCounter}}});
  return set;
}

std::shared_ptr<const RouteTable> make_routes() {
  auto table = std::make_shared<RouteTable>();
  table->version = 1;
  table->own = {kNode};
  table->peers = {kPeerNode.value};
  table->outer_source = kNode;
  std::vector<Lpm4::Entry> entries;
  for (unsigned pod = 0; pod < kPods; ++pod) {
    entries.push_back({Prefix::of(Address::of(pod_address(pod)), 128), pod});
    table->routes.push_back({RouteKind::endpoint, pod, {}, {}});
  }
  entries.push_back({Prefix::of(Address::of(kRemoteNet), 96 + 16), kPods});
  table->routes.push_back({RouteKind::tunnel, kNoEndpoint, kPeerNode, kPeerNode});
  table->lpm = Lpm4(entries);
  return table;
}

std::shared_ptr<const Generation> make_generation(unsigned rules) {
  auto g = std::make_shared<Generation>();
  g->number = 1;
  g->linear = std::make_shared<const Linear>(make_rules(rules));
  g->routes = make_routes();
  g->endpoint_of_port.resize(kFirstPodPort, kNoEndpoint);
  for (unsigned pod = 0; pod < kPods; ++pod) {
    Endpoint e;
    e.port = static_cast<PortId>(kFirstPodPort + pod);
    e.ready = true;
    e.egress = 0;
    e.ingress = 1;
    e.addresses = {pod_address(pod)};
    e.mac = pod_mac(pod);
    g->endpoints.push_back(e);
    g->endpoint_of_port.push_back(pod);
    g->by_address[pod_address(pod)] = pod;
  }
  if (const Status made = compile(*g, {}, nullptr); !made) {
    std::fprintf(stderr, "%s\n", made.error().what.c_str());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return g;
}

ConnTable make_table(uint32_t max) {
  auto made = ConnTable::make({max, Timeouts::linux_preset(), {1, 2}});
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().what.c_str());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return std::move(*made);
}

class Sluice : public Subject {
 public:
  Sluice(const Scene& scene, unsigned rules, rte_mempool* pool, std::span<rte_mbuf*> frames,
         uint32_t table_size)
      : counters_(1),
        table_(make_table(std::max(table_size, scene.flows))),
        output_(0, counters_, neighbours_, pool),
        pipeline_({}, table_, output_) {
    ports_.resize(kFirstPodPort + kPods);
    for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
      Port::Info info;
      info.name = id == kUplinkPort ? "uplink" : "pod";
      info.mac = kOurMac;
      info.unfinished_checksums = id != kUplinkPort;  // as on a veth
      ports_[id] = std::make_unique<MemoryPort>(info);
      view_.ports[id] = ports_[id].get();
    }
    view_.serial = 1;
    view_.generation = make_generation(rules);
    neighbours_.learn(neighbours_.find(kUplinkPort, kPeerNode), kPeerMac);
    open(scene, frames);
  }

  void burst(PortId port) override {
    std::array<rte_mbuf*, kMaxBurst> frames;
    const unsigned n = ports_[port]->receive(frames);
    now_ += kTurn;
    pipeline_.begin(view_, now_);
    pipeline_.receive({frames.data(), n}, port);
    pipeline_.age();
  }
  const ConnTable* connections() const override { return &table_; }
  uint64_t drops(DropReason reason) const override {
    return counters_.drops[static_cast<size_t>(reason)].get();
  }
  MemoryPort& port(PortId id) override { return *ports_[id]; }
  uint64_t sent() const override {
    uint64_t all = 0;
    for (const auto& port : ports_) {
      all += port->sent();
    }
    return all;
  }

 private:
  // Every flow's handshake, through the pipeline.  Flows of one pod share a burst.
  void open(const Scene& scene, std::span<rte_mbuf*> frames) {
    std::vector<uint32_t> flows;
    for (unsigned pod = 0; pod < scene.pods(); ++pod) {
      for (uint32_t n = pod; n < scene.flows; n += scene.pods()) {
        flows.push_back(n);
        if (flows.size() == kMaxBurst || n + scene.pods() >= scene.flows) {
          shake(scene, flows, frames);
          flows.clear();
        }
      }
    }
    if (table_.size() != scene.flows || sent() != 3 * uint64_t{scene.flows}) {
      std::fprintf(stderr, "only %u of %u flows could be opened\n", table_.size(), scene.flows);
      std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
    }
  }
  void shake(const Scene& scene, std::span<const uint32_t> flows, std::span<rte_mbuf*> frames) {
    for (const uint8_t flags : {tcp::kSyn, uint8_t{tcp::kSyn | tcp::kAck}, tcp::kAck}) {
      const bool from_initiator = flags != (tcp::kSyn | tcp::kAck);
      for (size_t i = 0; i < flows.size(); ++i) {
        write_frame(scene, flows[i], flags, from_initiator, frames[i]);
      }
      const PortId from =
          from_initiator ? scene.initiator_port(flows[0]) : scene.responder_port(flows[0]);
      ports_[from]->offer(frames.first(flows.size()));
      burst(from);
    }
  }

  Counters counters_;
  Neighbours neighbours_;
  ConnTable table_;
  Output output_;
  Pipeline pipeline_;
  std::vector<std::unique_ptr<MemoryPort>> ports_;
  View view_;
  Nanos now_ = 1'000'000'000;
};

class Floor : public Subject {
 public:
  void burst(PortId) override {
    std::array<rte_mbuf*, kMaxBurst> frames;
    Port& port = port_;  // as the pipeline calls it
    const unsigned n = port.receive(frames);
    port.transmit({frames.data(), n});
  }
  MemoryPort& port(PortId) override { return port_; }
  uint64_t sent() const override { return port_.sent(); }

 private:
  MemoryPort port_{{}};
};

}  // namespace

std::unique_ptr<Subject> make_floor() {
  return std::make_unique<Floor>();
}

std::unique_ptr<Subject> make_sluice(const Scene& scene, unsigned rules, rte_mempool* pool,
                                     std::span<rte_mbuf*> frames, uint32_t table_size) {
  return std::make_unique<Sluice>(scene, rules, pool, frames, table_size);
}

}  // namespace sluice::perf
