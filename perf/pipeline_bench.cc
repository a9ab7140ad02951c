// SPDX-License-Identifier: Apache-2.0
// Cycles per packet of the established path in memory, without any device, beside a plain DPDK
// loop on the same frames.  See README.md for what is and what is not in the figures.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include "perf/bench.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

constexpr unsigned kRing = 1024;  // frames that lie ready, as in a NIC's ring
constexpr uint64_t kLeastPackets = 524288;
constexpr const char* kFloor = "floor";
constexpr const char* kPeerDoes =
    "rte_hash (CRC) 5-tuple bulk lookup, rte_lpm bulk lookup, one counter entry per flow, TTL "
    "and checksum, MACs, IPIP header off or on";
constexpr const char* kPeerDoesNot =
    "validate headers or checksums, check sources or tunnel peers, track TCP state or time, "
    "match both directions, keyed hashing, fan out to ports, count fates, finish checksums";

struct Settings {
  std::vector<uint32_t> flows = {1, 10000, 1000000};
  uint16_t frame = 64;
  std::vector<std::string> paths;
  unsigned rules = 100;
  unsigned runs = 9;
  unsigned core = 1;
  std::string output = "table";
};

struct Figure {
  double median = 0, least = 0, most = 0;  // cycles per packet
};

struct Row {
  Scene scene;
  std::string subject;
  Figure cycles;
};

// One run: rings of frames are written, then timed from the first burst to the last.
double cycles_per_packet(Subject& subject, const Scene& scene, Order& order,
                         std::span<rte_mbuf*> frames) {
  const uint64_t rounds = std::max<uint64_t>(kLeastPackets, scene.flows) / kRing;
  std::array<PortId, kRing / kMaxBurst> ports;
  std::array<uint32_t, kMaxBurst> flows;
  uint64_t spent = 0;
  const uint64_t sent = subject.sent();
  for (uint64_t round = 0; round < rounds; ++round) {
    for (unsigned b = 0; b < ports.size(); ++b) {
      order.next(flows);
      ports[b] = scene.initiator_port(flows[0]);
      for (unsigned i = 0; i < kMaxBurst; ++i) {
        write_frame(scene, flows[i], tcp::kAck, true, frames[b * kMaxBurst + i]);
      }
    }
    const uint64_t start = rte_rdtsc_precise();
    for (unsigned b = 0; b < ports.size(); ++b) {
      subject.port(ports[b]).offer(frames.subspan(size_t{b} * kMaxBurst, kMaxBurst));
      subject.burst(ports[b]);
    }
    spent += rte_rdtsc_precise() - start;
  }
  const uint64_t packets = rounds * kRing;
  if (subject.sent() - sent != packets) {
    std::fprintf(stderr, "only %lu of %lu packets came out\n", subject.sent() - sent, packets);
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return static_cast<double>(spent) / static_cast<double>(packets);
}

Figure figure_of(std::vector<double> runs) {
  std::sort(runs.begin(), runs.end());
  return {runs[runs.size() / 2], runs.front(), runs.back()};
}

// How much of this process lies on transparent huge pages.
uint64_t huge_kib() {
  return kib_of("smaps_rollup", "AnonHugePages:");
}

// All subjects of one scene; runs are taken in turn, so that a noisy moment meets them all.
std::vector<Row> measure(const Scene& scene, const Settings& settings, rte_mempool* pool,
                         std::span<rte_mbuf*> frames) {
  struct Contender {
    std::string name;
    std::unique_ptr<Subject> subject;
    Order order;
    std::vector<double> runs;
  };
  std::vector<Contender> all;
  const auto add = [&](const char* name, std::unique_ptr<Subject> subject) {
    all.push_back({name, std::move(subject), Order(scene), {}});
  };
  // DPDK's tables lie on plain pages here, so ours are measured on such, too.
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  const uint64_t before = huge_kib();
  auto on_huge_pages = make_sluice(scene, settings.rules, pool, frames);
  if (huge_kib() > before) {
    add("sluice, huge pages", std::move(on_huge_pages));
  } else {
    std::fprintf(stderr, "the kernel gave no huge pages: no figures for them\n");
  }
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  add("sluice", make_sluice(scene, settings.rules, pool, frames));
  add("plain DPDK", make_plain_dpdk(scene));
  add(kFloor, make_floor());
  for (unsigned run = 0; run < settings.runs + 1; ++run) {
    for (Contender& c : all) {
      const double cycles = cycles_per_packet(*c.subject, scene, c.order, frames);
      if (run > 0) {  // the first warms up
        c.runs.push_back(cycles);
      }
    }
  }
  std::vector<Row> rows;
  rows.reserve(all.size());
  for (const Contender& c : all) {
    rows.push_back({scene, c.name, figure_of(c.runs)});
  }
  return rows;
}

std::string machine() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string model = "unknown CPU";
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  }
  utsname system{};
  uname(&system);
  return model + ", TSC " + std::to_string(rte_get_tsc_hz() / 1000000) + " MHz, Linux " +
         system.release;
}

bool forwards(const Row& row) {
  return row.subject != kFloor;
}

double mpps(double cycles) {
  return static_cast<double>(rte_get_tsc_hz()) / cycles / 1e6;
}

void print_table(const std::vector<Row>& rows, const Settings& s) {
  std::printf("%s\n", machine().c_str());
  std::printf("%u-byte frames, %u rules, median of %u runs; TSC cycles per packet\n\n", s.frame,
              s.rules, s.runs);
  std::printf("%-9s %8s  %-20s %8s %17s %8s\n", "path", "flows", "subject", "cycles", "spread",
              "Mpps");
  for (const Row& row : rows) {
    std::printf("%-9s %8u  %-20s %8.1f %8.1f-%8.1f", std::string(name(row.scene.path)).c_str(),
                row.scene.flows, row.subject.c_str(), row.cycles.median, row.cycles.least,
                row.cycles.most);
    forwards(row) ? std::printf(" %8.2f\n", mpps(row.cycles.median)) : std::printf("\n");
  }
  std::printf("\nfloor: the memory ports alone, contained in the other figures.\n");
  std::printf("plain DPDK does: %s.\nIt does not: %s.\n", kPeerDoes, kPeerDoesNot);
}

void print_json(const std::vector<Row>& rows, const Settings& s) {
  nlohmann::json out = {{"machine", machine()},
                        {"tsc_hz", rte_get_tsc_hz()},
                        {"frame_bytes", s.frame},
                        {"rules", s.rules},
                        {"runs", s.runs},
                        {"peer", {{"does", kPeerDoes}, {"does_not", kPeerDoesNot}}},
                        {"results", nlohmann::json::array()}};
  for (const Row& row : rows) {
    nlohmann::json result = {
        {"path", name(row.scene.path)},     {"flows", row.scene.flows},
        {"subject", row.subject},           {"cycles", row.cycles.median},
        {"cycles_least", row.cycles.least}, {"cycles_most", row.cycles.most}};
    if (forwards(row)) {
      result["mpps"] = mpps(row.cycles.median);
    }
    out["results"].push_back(result);
  }
  std::printf("%s\n", out.dump(2).c_str());
}

int run(const Settings& settings) {
  auto bench = Bench::start(settings.core, kRing);
  if (!bench) {
    std::fprintf(stderr, "%s\n", bench.error().what.c_str());
    return 2;
  }
  std::vector<Row> rows;
  for (const Path path : kPaths) {
    const bool wanted =
        settings.paths.empty() ||
        std::count(settings.paths.begin(), settings.paths.end(), name(path)) > 0;
    for (const uint32_t flows : settings.flows) {
      if (wanted) {
        const auto more =
            measure({path, flows, settings.frame}, settings, bench->pool(), bench->frames());
        rows.insert(rows.end(), more.begin(), more.end());
      }
    }
  }
  settings.output == "json" ? print_json(rows, settings) : print_table(rows, settings);
  return 0;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"Cycles per packet of the established path, in memory, beside plain DPDK"};
  app.add_option("--flows", s.flows, "numbers of flows")->check(CLI::Range(1u, 5000000u));
  app.add_option("--frame", s.frame, "bytes of a frame at the pod, without FCS")
      ->check(CLI::Range(54, 1500));
  app.add_option("--path", s.paths, "ipip-in, ipip-out, pod-pod; all by default")
      ->check(CLI::IsMember({"ipip-in", "ipip-out", "pod-pod"}));
  app.add_option("--rules", s.rules, "rules per policy program")->check(CLI::Range(1u, 60000u));
  app.add_option("--runs", s.runs, "runs, of which the median counts")
      ->check(CLI::Range(9u, 1001u));
  app.add_option("--core", s.core, "the CPU to run on");
  app.add_option("-o,--output", s.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(s);
}
