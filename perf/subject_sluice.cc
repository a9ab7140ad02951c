// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "fastpath/parse_plain.h"
#include "fastpath/pipeline.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

constexpr Nanos kTurn = 10'000;  // of the pipeline's clock, from burst to burst

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
  Sluice(const Scene& scene, const Node& node, rte_mempool* pool, std::span<rte_mbuf*> frames,
         uint32_t table_size)
      : counters_(node.counters),
        table_(make_table(std::max(table_size, scene.flows))),
        output_(0, counters_, neighbours_, pool),
        pipeline_({}, table_, output_),
        ports_(make_ports()) {
    for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
      view_.serve(id, ports_[id].get(), 0);
    }
    view_.serial = 1;
    view_.generation = make_generation(node);
    neighbours_.learn(neighbours_.find(kUplinkPort, kPeerNode), kPeerMac);
    open_flows(*this, scene, frames);
    if (table_.size() != scene.flows) {
      std::fprintf(stderr, "only %u of %u flows could be opened\n", table_.size(), scene.flows);
      std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
    }
  }

  void burst(PortId port) override {
    std::array<rte_mbuf*, kMaxBurst> frames;
    const unsigned n = ports_[port]->receive(frames);
    now_ += kTurn;
    if (stage_ != Stage::all) {
      go_so_far({frames.data(), n}, port);
      return;
    }
    pipeline_.begin(view_, now_);
    pipeline_.receive({frames.data(), n}, port);
    pipeline_.age();
  }
  void stop_after(Stage stage) override { stage_ = stage; }
  bool has_stages() const override { return true; }
  void forget(std::span<const Tuple> flows) override {
    for (const Tuple& flow : flows) {
      ConnId id = kNoConn;
      Side side;
      table_.find({&flow, 1}, now_, {&id, 1}, {&side, 1});
      if (id != kNoConn) {
        table_.erase(id);
      }
    }
  }
  const ConnTable* connections() const override { return &table_; }
  uint64_t drops(DropReason reason) const override {
    return counters_.drops[static_cast<size_t>(reason)].get();
  }
  MemoryPort& port(PortId id) override { return *ports_[id]; }
  uint64_t sent() const override { return perf::sent(ports_); }

 private:
  // The stages that can be called alone, as the pipeline calls them for plain frames.
  void go_so_far(std::span<rte_mbuf*> frames, PortId id) {
    Port& port = *ports_[id];
    const L2Options l2{port.info().mac, port.info().mtu, false};
    PlainTunnels tunnels;
    if (id == kUplinkPort) {
      tunnels = {kNode, &view_.generation->routes->peers};
    }
    for (rte_mbuf* frame : frames) {
      rte_prefetch0(rte_pktmbuf_mtod(frame, void*));
    }
    const size_t n = frames.size();
    std::array<Ip4, kMaxBurst> outers;
    const uint64_t taken = parse_plain(frames, l2, tunnels, plain_, outers);
    bool good = std::popcount(taken) == static_cast<int>(n);
    if (stage_ == Stage::find) {
      std::array<Tuple, kMaxBurst> tuples;
      std::array<ConnId, kMaxBurst> ids;
      std::array<Side, kMaxBurst> sides;
      for (size_t i = 0; i < n; ++i) {
        tuples[i] = plain_[i].tuple;
      }
      table_.find({tuples.data(), n}, now_, {ids.data(), n}, {sides.data(), n});
      good = good &&
             std::count(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n), kNoConn) == 0;
    }
    if (good) {  // else the benchmark misses them
      port.transmit(frames);
    }
  }

  Stage stage_ = Stage::all;
  std::array<Plain, kMaxBurst> plain_;
  Counters counters_;
  Neighbours neighbours_;
  ConnTable table_;
  Output output_;
  Pipeline pipeline_;
  MemoryPorts ports_;
  View view_;
  Nanos now_ = 1'000'000'000;
};

}  // namespace

std::unique_ptr<Subject> make_sluice(const Scene& scene, const Node& node, rte_mempool* pool,
                                     std::span<rte_mbuf*> frames, uint32_t table_size) {
  return std::make_unique<Sluice>(scene, node, pool, frames, table_size);
}

std::unique_ptr<Subject> make_sluice(const Scene& scene, unsigned rules, rte_mempool* pool,
                                     std::span<rte_mbuf*> frames, uint32_t table_size) {
  return make_sluice(scene, make_node(rules), pool, frames, table_size);
}

}  // namespace sluice::perf
