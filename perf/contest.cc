// SPDX-License-Identifier: Apache-2.0
#include "perf/contest.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <sys/prctl.h>

#include "perf/bench.h"
#include "perf/callgrind.h"
#include "perf/five_tuple_policy.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

// What comes in: established flows in their order, and new ones among them.
class Traffic {
 public:
  explicit Traffic(const Trial& trial)
      : scene_(trial.scene), order_(trial.scene), is_new_(trial.new_ratio) {
    next_new_.resize(scene_.pods());
  }

  // A ring of frames; `ports` are the bursts'.
  void write(std::span<rte_mbuf*> frames, std::span<PortId> ports) {
    std::array<uint32_t, kMaxBurst> flows;
    for (size_t b = 0; b < ports.size(); ++b) {
      order_.next(flows);
      ports[b] = scene_.initiator_port(flows[0]);
      for (unsigned i = 0; i < kMaxBurst; ++i) {
        rte_mbuf* frame = frames[b * kMaxBurst + i];
        if (is_new_(random_)) {
          write_frame(scene_, new_flow(scene_.pod(flows[i])), tcp::kSyn, true, frame);
        } else {
          write_frame(scene_, flows[i], tcp::kAck, true, frame);
        }
      }
    }
  }
  // The flows that were new since the last call, which are new again from now on.
  std::vector<Tuple> take_new() {
    std::vector<Tuple> flows;
    for (unsigned pod = 0; pod < next_new_.size(); ++pod) {
      for (uint32_t k = 0; k < next_new_[pod]; ++k) {
        flows.push_back(scene_.tuple(number(pod, k)));
      }
      next_new_[pod] = 0;
    }
    return flows;
  }

 private:
  uint32_t number(unsigned pod, uint32_t k) const {
    const uint32_t pods = scene_.pods();
    return (scene_.flows / pods + 1 + k) * pods + pod;
  }
  uint32_t new_flow(unsigned pod) { return number(pod, next_new_[pod]++); }

  Scene scene_;
  Order order_;
  std::bernoulli_distribution is_new_;
  std::mt19937 random_{2};          // the same in every run
  std::vector<uint32_t> next_new_;  // by pod
};

struct Contender {
  std::string name;
  std::shared_ptr<Subject> subject;  // of all its stages
  Stage stage;
  Traffic traffic;
  std::vector<double> runs;
};

double run_once(Contender& contender, const Trial& trial, std::span<rte_mbuf*> frames) {
  Subject& subject = *contender.subject;
  subject.stop_after(contender.stage);
  // Every flow comes once, unless that is not what is asked.
  const bool all_flows = trial.new_ratio == 0 && !trial.counted;
  const uint64_t rounds =
      std::max<uint64_t>(trial.packets, all_flows ? trial.scene.flows : 0) / kRing;
  std::array<PortId, kRing / kMaxBurst> ports;
  uint64_t spent = 0;
  const uint64_t sent = subject.sent();
  for (uint64_t round = 0; round < rounds; ++round) {
    contender.traffic.write(frames, ports);
    toggle_counting();
    const uint64_t start = rte_rdtsc_precise();
    for (unsigned b = 0; b < ports.size(); ++b) {
      subject.port(ports[b]).offer(frames.subspan(size_t{b} * kMaxBurst, kMaxBurst));
      subject.burst(ports[b]);
    }
    spent += rte_rdtsc_precise() - start;
    toggle_counting();
  }
  const uint64_t packets = rounds * kRing;
  if (subject.sent() - sent != packets) {
    std::fprintf(stderr, "%s: only %lu of %lu packets came out\n", contender.name.c_str(),
                 subject.sent() - sent, packets);
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  subject.forget(contender.traffic.take_new());
  return static_cast<double>(spent) / static_cast<double>(packets);
}

bool has_five_tuples(const Node& node) {
  return std::all_of(node.pods.begin(), node.pods.end(), [&node](const Node::Pod& pod) {
    const std::vector<Program>& programs = node.rules->programs;
    return five_tuple_policy(*node.rules, programs[pod.egress]) &&
           five_tuple_policy(*node.rules, programs[pod.ingress]);
  });
}

// How much of this process lies on transparent huge pages.
uint64_t huge_kib() {
  return kib_of("smaps_rollup", "AnonHugePages:");
}

// How this trial's instructions are called; instructions.sh reads it.
std::string dump_name(const Contender& contender, const Trial& trial) {
  return std::string(name(trial.scene.path)) + "|" + std::to_string(trial.scene.flows) + "|" +
         (trial.new_ratio == 0   ? "established"
          : trial.new_ratio == 1 ? "first"
                                 : "mixed") +
         "|" + std::to_string(trial.rules) + "|" +
         std::to_string(trial.packets / kRing * kRing) + "|" + contender.name;
}

}  // namespace

const char* name(Pages pages) {
  return pages == Pages::small ? "4k" : "huge";
}

std::vector<Outcome> measure(const Trial& trial, rte_mempool* pool,
                             std::span<rte_mbuf*> frames) {
  const Scene& scene = trial.scene;
  std::vector<Contender> all;
  const auto add = [&](const char* name, std::shared_ptr<Subject> subject,
                       Stage stage = Stage::all) {
    all.push_back({name, std::move(subject), stage, Traffic(trial), {}});
  };
  // Half of a table may be flows that nobody has answered, and half one endpoint's.
  const auto opened =
      static_cast<uint32_t>(trial.new_ratio * static_cast<double>(trial.packets));
  const bool room = opened > 0 || scene.lanes != nullptr;
  const uint32_t table =
      std::max(kTableSize, (room ? 2 : 1) * (scene.flows + opened + opened / 8));
  prctl(PR_SET_THP_DISABLE, trial.pages == Pages::small ? 1 : 0, 0, 0, 0);
  const uint64_t before = huge_kib();
  add(kSluice, make_sluice(scene, *trial.node, pool, frames, table));
  if (trial.pages == Pages::huge && huge_kib() <= before) {
    std::fprintf(stderr, "the kernel gave no huge pages: no figures for them\n");
    return {};
  }
  if (trial.new_ratio == 0) {
    add(kReading, all[0].subject, Stage::read);
    add(kFinding, all[0].subject, Stage::find);
  }
  if (has_five_tuples(*trial.node)) {
    add(kFirewall, make_dpdk_firewall(scene, *trial.node, frames, table));
  } else {
    std::fprintf(stderr, "a policy has no form as five-tuples: no DPDK firewall\n");
  }
  if (trial.new_ratio == 0) {
    add(kPlainDpdk, make_plain_dpdk(scene, *trial.node));
    add(kFloor, make_floor());
  }
  for (unsigned run = 0; run < trial.runs + 1; ++run) {
    for (Contender& c : all) {
      forget_counts();
      const double cycles = run_once(c, trial, frames);
      if (run == 0) {  // warms up
        continue;
      }
      c.runs.push_back(cycles);
      if (trial.counted) {
        dump_counts(dump_name(c, trial));
      }
    }
  }
  std::vector<Outcome> outcomes;
  outcomes.reserve(all.size());
  for (const Contender& c : all) {
    outcomes.push_back({c.name, figure_of(c.runs)});
  }
  return outcomes;
}

}  // namespace sluice::perf
