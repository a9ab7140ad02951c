// SPDX-License-Identifier: Apache-2.0
// What two workers carry beside one, in memory: real Workers on a core each, with their rings
// and their loop, between ports that never rest; and what pods that rest cost one of them.  See
// README.md for the traffic.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "fastpath/eal.h"
#include "fastpath/worker.h"
#include "perf/endless_port.h"
#include "perf/figure.h"
#include "perf/idle_pods.h"
#include "perf/node.h"

namespace sluice::perf {
namespace {

constexpr uint32_t kBuffers = 2048;  // fewer than a ring between workers holds
constexpr auto kPatience = std::chrono::seconds(60);

struct Settings {
  uint32_t flows = 1000;  // of each direction
  unsigned rules = 1000;
  uint64_t packets = 2'000'000;  // of a run
  unsigned runs = 9;
  std::vector<unsigned> cores = {0, 1};
  unsigned queues = 1;  // of the uplink, with two workers
  unsigned idle_pods = 0;
  std::string output = "table";

  // The share of all packets that changes hands in the other team.
  double handed_over() const { return idle_pods > 0 ? 0 : queues == 1 ? 0.5 : 0.25; }
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): the other threads end with it
}

// Some workers, their ports and their tables, with all flows established.
class Team {
 public:
  // The first has the idle pods, too.
  Team(unsigned workers, const Settings& s, rte_mempool* pool, const IdlePods* idle)
      : in_{Path::ipip_in, s.flows, 64},
        out_{Path::ipip_out, s.flows, 64},
        pool_(pool),
        node_(make_node(s.rules)),
        idle_(workers) {
    make_queues(workers, std::min(workers, s.queues));
    publish(workers, idle);
    for (unsigned n = 0; n < workers; ++n) {
      Worker::Options o;
      o.id = static_cast<uint8_t>(n);
      o.count = static_cast<uint8_t>(workers);
      o.core = s.cores[n];
      o.poll = true;
      o.rule_counters = node_.counters;
      o.connections = {std::max(1'000'000u, 4 * s.flows), Timeouts::linux_preset(), {1, 2}};
      auto made = Worker::create(o, *published_, neighbours_, pool);
      if (!made) {
        fail(made.error().what);
      }
      workers_.push_back(std::move(*made));
    }
    if (const Status connected = Worker::connect(workers_); !connected) {
      fail(connected.error().what);
    }
    start();
    open();
    stop();
  }

  void start() {
    for (auto& worker : workers_) {
      if (const Status started = worker->start(); !started) {
        fail(started.error().what);
      }
    }
  }
  void stop() {
    for (auto& worker : workers_) {
      worker->stop();
    }
  }
  // Half of `packets` come by the uplink for the pods, half from the pods for the uplink.
  // Returns the million packets a second.
  double run(uint64_t packets) {
    const std::vector<double> empty = turns_per_cycle();
    const std::vector<Turns> before = turns();
    const uint64_t each = packets / 2 / kPods;
    const uint64_t expected = sent() + uint64_t{2} * kPods * each;
    const uint64_t began = rte_rdtsc();
    for (const Queue& queue : queues_) {
      queue.port->repeat(queue.id == kUplinkPort ? kPods * each / uplinks_ : each);
    }
    wait_for(expected);
    const auto spent = static_cast<double>(rte_rdtsc() - began);
    const std::vector<Turns> after = turns();
    empty_turns_.push_back(1 / empty[0]);
    for (size_t n = 0; n < workers_.size(); ++n) {
      const uint64_t none = after[n].empty - before[n].empty;
      idle_[n].push_back(static_cast<double>(none) / empty[n] / spent);
    }
    uint64_t ended = 0;
    for (const Queue& queue : queues_) {
      ended = std::max(ended, queue.port->last_sent());
    }
    const double seconds =
        static_cast<double>(ended - began) / static_cast<double>(rte_get_tsc_hz());
    return static_cast<double>(uint64_t{2} * kPods * each) / seconds / 1e6;
  }
  // The share of its time in which a worker found no frames, while there were some; the median
  // of all runs.
  double idle(unsigned worker) { return figure_of(idle_[worker]).median; }
  // The cycles that a turn of the first takes which finds nothing.
  double empty_turn() { return figure_of(empty_turns_).median; }
  unsigned workers() const { return static_cast<unsigned>(workers_.size()); }

 private:
  struct Turns {
    uint64_t all = 0, empty = 0;
  };
  std::vector<Turns> turns() const {
    std::vector<Turns> out;
    out.reserve(workers_.size());
    for (const auto& worker : workers_) {
      const uint64_t busy = worker->busy_turns();  // before all: never more of them
      const uint64_t all = worker->turns();
      out.push_back({all, all - busy});
    }
    return out;
  }
  // How many turns each does in a cycle while there are no frames.
  std::vector<double> turns_per_cycle() const {
    const std::vector<Turns> before = turns();
    const uint64_t began = rte_rdtsc();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto spent = static_cast<double>(rte_rdtsc() - began);
    const std::vector<Turns> after = turns();
    std::vector<double> out;
    for (size_t n = 0; n < after.size(); ++n) {
      const uint64_t count = std::max<uint64_t>(after[n].all - before[n].all, 1);
      out.push_back(static_cast<double>(count) / spent);
    }
    return out;
  }
  // The uplink's queues come first: its packets are as many as all pods'.  They and the pods
  // are everybody's in turn.
  void make_queues(unsigned workers, unsigned uplinks) {
    uplinks_ = uplinks;
    Port::Info info;
    info.mac = kOurMac;
    info.name = "uplink";
    for (unsigned n = 0; n < uplinks; ++n) {
      queues_.push_back({kUplinkPort, static_cast<uint8_t>(n),
                         std::make_unique<EndlessPort>(info, pool_, 1, 0)});
    }
    info.name = "pod";
    info.unfinished_checksums = true;
    for (unsigned n = 0; n < kPods; ++n) {
      queues_.push_back({static_cast<PortId>(kFirstPodPort + n),
                         static_cast<uint8_t>(n % workers),
                         std::make_unique<EndlessPort>(info, pool_, kPods, n)});
    }
  }
  void publish(unsigned workers, const IdlePods* idle) {
    auto made = Published::create(workers);
    if (!made) {
      fail(made.error().what);
    }
    published_ = std::move(*made);
    auto view = std::make_unique<View>();
    view->serial = 1;
    view->generation = make_generation(node_, workers);
    for (const Queue& queue : queues_) {
      view->serve(queue.id, queue.port.get(), queue.worker);
    }
    PortId next = kFirstPodPort + kPods;
    for (size_t n = 0; idle != nullptr && n < idle->ports().size(); ++n) {
      view->serve(next++, idle->ports()[n].get(), 0);
    }
    neighbours_.learn(neighbours_.find(kUplinkPort, kPeerNode), kPeerMac);
    published_->replace(std::move(view), kPatience);
  }

  // Handshakes in three steps; the last one's frames are what is measured.
  void open() {
    rte_mbuf* scratch = rte_pktmbuf_alloc(pool_);
    for (const uint8_t flags : {tcp::kSyn, uint8_t{tcp::kSyn | tcp::kAck}, tcp::kAck}) {
      const bool from_initiator = flags != (tcp::kSyn | tcp::kAck);
      std::vector<std::vector<EndlessPort::Frame>> frames(queues_.size());
      for (const Scene& scene : {in_, out_}) {
        for (uint32_t n = 0; n < scene.flows; ++n) {
          write_frame(scene, n, flags, from_initiator, scratch);
          const PortId from =
              from_initiator ? scene.initiator_port(n) : scene.responder_port(n);
          // Half of a pod's flows by either queue, as a NIC that knows of no pods.
          const size_t queue =
              from == kUplinkPort ? n / kPods % uplinks_ : uplinks_ + from - kFirstPodPort;
          frames[queue].push_back(EndlessPort::frame_of(scratch));
        }
      }
      std::mt19937 random(1);  // the same order in every run
      const uint64_t expected = sent() + in_.flows + out_.flows;
      for (size_t n = 0; n < queues_.size(); ++n) {
        std::shuffle(frames[n].begin(), frames[n].end(), random);
        const uint64_t count = frames[n].size();
        queues_[n].port->load(std::move(frames[n]), count);
      }
      wait_for(expected);
    }
    rte_pktmbuf_free(scratch);
  }

  uint64_t sent() const {
    uint64_t all = 0;
    for (const Queue& queue : queues_) {
      all += queue.port->sent();
    }
    return all;
  }
  void wait_for(uint64_t expected) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (sent() < expected) {
      if (std::chrono::steady_clock::now() >= deadline) {
        fail(std::to_string(expected - sent()) + " packets did not come out: " + drops());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  std::string drops() const {
    std::string out;
    for (const auto& worker : workers_) {
      for (size_t n = 0; n < kDropReasons; ++n) {
        const uint64_t count = worker->counters().drops[n].get();
        if (count > 0) {
          out += std::string(name(static_cast<DropReason>(n))) + " " + std::to_string(count) +
                 "; ";
        }
      }
    }
    return out;
  }

  Scene in_, out_;
  rte_mempool* pool_;
  Node node_;
  Neighbours neighbours_;
  struct Queue {
    PortId id;
    uint8_t worker;
    std::unique_ptr<EndlessPort> port;
  };
  std::vector<Queue> queues_;
  unsigned uplinks_ = 1;  // of them
  std::unique_ptr<Published> published_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::vector<double>> idle_;  // by worker, of each run
  std::vector<double> empty_turns_;        // of the first worker, of each run
};

struct Measured {
  Figure mpps;
  std::vector<double> idle;  // by worker
  double empty_turn = 0;     // cycles
};

// What the ports alone take of a packet, in cycles.
double floor_cycles(rte_mempool* pool, const Scene& scene) {
  rte_mbuf* scratch = rte_pktmbuf_alloc(pool);
  write_frame(scene, 0, tcp::kAck, true, scratch);
  EndlessPort port({}, pool, 1, 0);
  constexpr uint64_t kPackets = 1u << 20;
  port.load({EndlessPort::frame_of(scratch)}, kPackets);
  rte_pktmbuf_free(scratch);
  std::array<rte_mbuf*, kMaxBurst> frames;
  Port& as_used = port;
  const uint64_t began = rte_rdtsc();
  while (port.sent() < kPackets) {
    as_used.transmit({frames.data(), as_used.receive(frames)});
  }
  return static_cast<double>(rte_rdtsc() - began) / kPackets;
}

void print(const std::vector<Measured>& teams, double floor, const Settings& s) {
  const double ratio = teams[1].mpps.median / teams[0].mpps.median;
  if (s.output == "json") {
    nlohmann::json out = {{"flows", 2 * s.flows},
                          {"rules", s.rules},
                          {"packets", s.packets},
                          {"runs", s.runs},
                          {"queues", s.queues},
                          {"handed_over", s.handed_over()},
                          {"idle_pods", s.idle_pods},
                          {"floor_cycles", floor},
                          {"tsc_hz", rte_get_tsc_hz()},
                          {"ratio", ratio},
                          {"results", nlohmann::json::array()}};
    for (const Measured& team : teams) {
      out["results"].push_back({{"workers", team.idle.size()},
                                {"mpps", team.mpps.median},
                                {"mpps_least", team.mpps.least},
                                {"mpps_most", team.mpps.most},
                                {"empty_turn_cycles", team.empty_turn},
                                {"idle", team.idle}});
    }
    std::printf("%s\n", out.dump(2).c_str());
    return;
  }
  std::printf(
      "%u flows each way, %u rules, %lu packets a run, median of %u runs; the other team\n"
      "has %u silent pods more, and hands over %.2f of all packets\n\n",
      s.flows, s.rules, s.packets, s.runs, s.idle_pods, s.handed_over());
  std::printf("%8s %8s %17s %20s  %s\n", "workers", "Mpps", "spread", "cycles, empty turn",
              "idle");
  for (const Measured& team : teams) {
    std::printf("%8zu %8.2f %8.2f-%8.2f %20.0f ", team.idle.size(), team.mpps.median,
                team.mpps.least, team.mpps.most, team.empty_turn);
    for (const double idle : team.idle) {
      std::printf(" %3.0f %%", 100 * idle);
    }
    std::printf("\n");
  }
  std::printf(
      "\nthe other carries %.2f times as much as the first; the ports alone take %.1f cycles a "
      "packet\n",
      ratio, floor);
}

int run(const Settings& s) {
  if (const Status up = start_eal({"", 512}); !up) {
    fail(up.error().what);
  }
  auto buffers = Buffers::create(kBuffers);
  if (!buffers) {
    fail(buffers.error().what);
  }
  rte_mempool* pool = (*buffers)->pool();
  const double floor = floor_cycles(pool, {Path::ipip_in, s.flows, 64});
  std::optional<IdlePods> idle;
  if (s.idle_pods > 0) {
    auto made = IdlePods::make(s.idle_pods);
    if (!made) {
      fail(made.error().what);
    }
    idle.emplace(std::move(*made));
  }
  Team one(1, s, pool, nullptr), other(idle ? 1 : 2, s, pool, idle ? &*idle : nullptr);
  std::array<std::vector<double>, 2> mpps;
  for (unsigned n = 0; n < s.runs + 1; ++n) {  // the first warms up
    for (Team* team : {&one, &other}) {
      team->start();
      const double reached = team->run(s.packets);
      team->stop();
      if (n > 0) {
        mpps[team == &one ? 0 : 1].push_back(reached);
      }
    }
  }
  std::vector<Measured> results;
  for (Team* team : {&one, &other}) {
    Measured& m = results.emplace_back();
    m.mpps = figure_of(mpps[team == &one ? 0 : 1]);
    for (unsigned n = 0; n < team->workers(); ++n) {
      m.idle.push_back(team->idle(n));
    }
    m.empty_turn = team->empty_turn();
  }
  print(results, floor, s);
  return 0;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"What two workers carry beside one, in memory"};
  app.add_option("--flows", s.flows, "flows of each direction")
      ->check(CLI::Range(64u, 1000000u));
  app.add_option("--rules", s.rules, "rules per policy program")->check(CLI::Range(1u, 60000u));
  app.add_option("--packets", s.packets, "packets of a run")
      ->check(CLI::Range(uint64_t{100000}, uint64_t{1} << 32));
  app.add_option("--runs", s.runs, "runs, of which the median counts")
      ->check(CLI::Range(1u, 1001u));
  app.add_option("--queues", s.queues, "of the uplink, with two workers")
      ->check(CLI::Range(1u, 2u));
  app.add_option("--idle-pods", s.idle_pods,
                 "the other team is one worker, too, with as many pods more that send nothing; "
                 "as root")
      ->check(CLI::Range(1u, 1000u));
  app.add_option("--cores", s.cores, "the workers' CPUs")->expected(2);
  app.add_option("-o,--output", s.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(s);
}
