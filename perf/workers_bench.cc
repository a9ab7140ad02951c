// SPDX-License-Identifier: Apache-2.0
// What two workers carry beside one, in memory: real Workers on a core each, with their rings
// and their loop, between ports that never rest.  See README.md for the traffic.
#include <algorithm>
#include <chrono>
#include <cstdio>
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
  std::string output = "table";
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): the other threads end with it
}

// Some workers, their ports and their tables, with all flows established.
class Team {
 public:
  Team(unsigned workers, const Settings& s, rte_mempool* pool)
      : in_{Path::ipip_in, s.flows, 64},
        out_{Path::ipip_out, s.flows, 64},
        pool_(pool),
        node_(make_node(s.rules)),
        idle_(workers) {
    make_ports();
    publish(workers);
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
    for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
      if (ports_[id] != nullptr) {
        ports_[id]->repeat(id == kUplinkPort ? kPods * each : each);
      }
    }
    wait_for(expected);
    const auto spent = static_cast<double>(rte_rdtsc() - began);
    const std::vector<Turns> after = turns();
    for (size_t n = 0; n < workers_.size(); ++n) {
      const uint64_t none = after[n].empty - before[n].empty;
      idle_[n].push_back(static_cast<double>(none) / empty[n] / spent);
    }
    uint64_t ended = 0;
    for (const auto& port : ports_) {
      ended = std::max(ended, port == nullptr ? 0 : port->last_sent());
    }
    const double seconds =
        static_cast<double>(ended - began) / static_cast<double>(rte_get_tsc_hz());
    return static_cast<double>(uint64_t{2} * kPods * each) / seconds / 1e6;
  }
  // The share of its time in which a worker found no frames, while there were some; the median
  // of all runs.
  double idle(unsigned worker) {
    std::vector<double>& all = idle_[worker];
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  }

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
  void make_ports() {
    ports_.resize(kFirstPodPort + kPods);
    for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
      if (id == kHostPort) {
        continue;
      }
      Port::Info info;
      info.name = id == kUplinkPort ? "uplink" : "pod";
      info.mac = kOurMac;
      info.unfinished_checksums = id != kUplinkPort;
      const bool uplink = id == kUplinkPort;  // whose packets are as many as all pods'
      ports_[id] = std::make_unique<EndlessPort>(info, pool_, uplink ? 1 : kPods,
                                                 uplink ? 0u : unsigned{id} - kFirstPodPort);
    }
  }
  // The uplink is the first worker's, the pods are everybody's in turn.
  void publish(unsigned workers) {
    auto made = Published::create(workers);
    if (!made) {
      fail(made.error().what);
    }
    published_ = std::move(*made);
    auto view = std::make_unique<View>();
    view->serial = 1;
    view->generation = make_generation(node_, workers);
    for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
      if (id != kHostPort) {
        view->serve(id, ports_[id].get(),
                    id < kFirstPodPort
                        ? uint8_t{0}
                        : view->generation->endpoints[id - kFirstPodPort].worker);
      }
    }
    neighbours_.learn(neighbours_.find(kUplinkPort, kPeerNode), kPeerMac);
    published_->replace(std::move(view), kPatience);
  }

  // Handshakes in three steps; the last one's frames are what is measured.
  void open() {
    rte_mbuf* scratch = rte_pktmbuf_alloc(pool_);
    for (const uint8_t flags : {tcp::kSyn, uint8_t{tcp::kSyn | tcp::kAck}, tcp::kAck}) {
      const bool from_initiator = flags != (tcp::kSyn | tcp::kAck);
      std::vector<std::vector<EndlessPort::Frame>> frames(ports_.size());
      for (const Scene& scene : {in_, out_}) {
        for (uint32_t n = 0; n < scene.flows; ++n) {
          write_frame(scene, n, flags, from_initiator, scratch);
          const PortId from =
              from_initiator ? scene.initiator_port(n) : scene.responder_port(n);
          frames[from].push_back(EndlessPort::frame_of(scratch));
        }
      }
      std::mt19937 random(1);  // the same order in every run
      const uint64_t expected = sent() + in_.flows + out_.flows;
      for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
        if (ports_[id] != nullptr) {
          std::shuffle(frames[id].begin(), frames[id].end(), random);
          const uint64_t count = frames[id].size();
          ports_[id]->load(std::move(frames[id]), count);
        }
      }
      wait_for(expected);
    }
    rte_pktmbuf_free(scratch);
  }

  uint64_t sent() const {
    uint64_t all = 0;
    for (const auto& port : ports_) {
      all += port == nullptr ? 0 : port->sent();
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
  std::vector<std::unique_ptr<EndlessPort>> ports_;  // by PortId; the host has none
  std::unique_ptr<Published> published_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::vector<double>> idle_;  // by worker, of each run
};

struct Measured {
  std::vector<double> mpps;  // sorted
  std::vector<double> idle;  // by worker
  double median() const { return mpps[mpps.size() / 2]; }
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
  const double ratio = teams[1].median() / teams[0].median();
  if (s.output == "json") {
    nlohmann::json out = {{"flows", 2 * s.flows},
                          {"rules", s.rules},
                          {"packets", s.packets},
                          {"runs", s.runs},
                          {"handed_over", 0.5},
                          {"floor_cycles", floor},
                          {"tsc_hz", rte_get_tsc_hz()},
                          {"ratio", ratio},
                          {"results", nlohmann::json::array()}};
    for (const Measured& team : teams) {
      out["results"].push_back({{"workers", team.idle.size()},
                                {"mpps", team.median()},
                                {"mpps_least", team.mpps.front()},
                                {"mpps_most", team.mpps.back()},
                                {"idle", team.idle}});
    }
    std::printf("%s\n", out.dump(2).c_str());
    return;
  }
  std::printf(
      "%u flows each way, %u rules, %lu packets a run, median of %u runs; with two\n"
      "workers half of all packets change hands\n\n",
      s.flows, s.rules, s.packets, s.runs);
  std::printf("%8s %8s %17s  %s\n", "workers", "Mpps", "spread", "idle");
  for (const Measured& team : teams) {
    std::printf("%8zu %8.2f %8.2f-%8.2f ", team.idle.size(), team.median(), team.mpps.front(),
                team.mpps.back());
    for (const double idle : team.idle) {
      std::printf(" %3.0f %%", 100 * idle);
    }
    std::printf("\n");
  }
  std::printf(
      "\ntwo carry %.2f times as much as one; the ports alone take %.1f cycles a packet\n",
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
  std::vector<Measured> results(2);
  Team one(1, s, pool), two(2, s, pool);
  for (unsigned n = 0; n < s.runs + 1; ++n) {  // the first warms up
    for (Team* team : {&one, &two}) {
      team->start();
      const double mpps = team->run(s.packets);
      team->stop();
      if (n > 0) {
        results[team == &one ? 0 : 1].mpps.push_back(mpps);
      }
    }
  }
  for (Measured& team : results) {
    std::sort(team.mpps.begin(), team.mpps.end());
  }
  results[0].idle = {one.idle(0)};
  results[1].idle = {two.idle(0), two.idle(1)};
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
