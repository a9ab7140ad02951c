// SPDX-License-Identifier: Apache-2.0
// Cycles per packet of the packet path in memory, without any device, beside firewalls of
// DPDK's own libraries on the same frames.  See README.md for what is and what is not in the
// figures.
#include <algorithm>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <rte_cycles.h>

#include "perf/bench.h"
#include "perf/config_node.h"
#include "perf/contest.h"
#include "perf/machine.h"

namespace sluice::perf {
namespace {

constexpr const char* kFirewallDoes =
    "validate both headers with checksums, check tunnel peer and source, rte_hash (CRC, bulk) "
    "with one entry for both directions, counts by direction, last-seen time, TCP state by "
    "flags, rte_lpm (bulk), TTL with checksum, MACs, IPIP header off or on, a batch per port; "
    "of first packets rte_acl in bulk for each end, rte_hash_add_key, hits per rule";
constexpr const char* kFirewallDoesNot =
    "check TCP windows and sequence numbers, keyed hashing, IPv6, fragments, ICMP errors, IP "
    "options, expiry, limits per endpoint, fates per port, unfinished checksums, hand-over "
    "between cores, change of policy or routes under way";
constexpr const char* kPlainDoes =
    "rte_hash (CRC) 5-tuple bulk lookup, rte_lpm bulk lookup, one counter entry per flow, TTL "
    "and checksum, MACs, IPIP header off or on; nothing else";

struct Settings {
  std::vector<uint32_t> flows = {1, 1000, 1000000};
  uint16_t frame = 64;
  std::vector<std::string> paths;
  unsigned rules = 1000;
  std::string config;
  double new_ratio = 0;
  std::vector<unsigned> first_rules = {1, 100, 1000, 10000};
  bool no_first = false;
  std::string pages = "both";
  uint64_t packets = 524288;
  unsigned runs = 9;
  unsigned core = 1;
  bool count = false;
  std::string output = "table";
};

// One subject's figure in one trial.
struct Row {
  Scene scene;
  unsigned rules = 0;
  double new_ratio = 0;
  Pages pages = Pages::small;
  Outcome outcome;
  double peer = 0;  // what the DPDK firewall took in the same trial; 0: it did not run
};

bool forwards(const Row& row) {
  const std::string& subject = row.outcome.subject;
  return subject != kFloor && subject != kReading && subject != kFinding;
}

double mpps(double cycles) {
  return static_cast<double>(rte_get_tsc_hz()) / cycles / 1e6;
}

void print_table(const std::vector<Row>& rows, const Settings& s) {
  std::printf("%s\n", machine().c_str());
  std::printf("%u-byte frames, median of %u runs; TSC cycles per packet\n\n", s.frame, s.runs);
  std::printf("%-9s %8s %6s %5s %5s  %-14s %8s %17s %7s %9s\n", "path", "flows", "rules", "new",
              "pages", "subject", "cycles", "spread", "Mpps", "firewall");
  for (const Row& row : rows) {
    const Figure& cycles = row.outcome.cycles;
    std::printf("%-9s %8u %6u %5.2f %5s  %-14s %8.1f %8.1f-%8.1f",
                std::string(name(row.scene.path)).c_str(), row.scene.flows, row.rules,
                row.new_ratio, name(row.pages), row.outcome.subject.c_str(), cycles.median,
                cycles.least, cycles.most);
    if (forwards(row)) {
      std::printf(" %7.2f", mpps(cycles.median));
    }
    if (row.peer > 0 && forwards(row)) {
      std::printf(" %7.2f x", row.peer / cycles.median);
    }
    std::printf("\n");
  }
  std::printf(
      "\nnew: share of packets that are the first of their flow.  firewall: how many\n"
      "times these cycles the DPDK firewall took.  floor: the memory ports alone,\n"
      "contained in the other figures;\n"
      "read, find: sluice's first stages alone, contained in its figure.\n");
  std::printf("DPDK firewall does: %s.\nIt does not: %s.\n", kFirewallDoes, kFirewallDoesNot);
  std::printf("plain DPDK does: %s.\n", kPlainDoes);
}

void print_json(const std::vector<Row>& rows, const Settings& s) {
  nlohmann::json out = {{"machine", machine()},
                        {"tsc_hz", rte_get_tsc_hz()},
                        {"frame_bytes", s.frame},
                        {"runs", s.runs},
                        {"firewall", {{"does", kFirewallDoes}, {"does_not", kFirewallDoesNot}}},
                        {"plain", {{"does", kPlainDoes}}},
                        {"results", nlohmann::json::array()}};
  for (const Row& row : rows) {
    const Figure& cycles = row.outcome.cycles;
    nlohmann::json result = {{"path", name(row.scene.path)}, {"flows", row.scene.flows},
                             {"rules", row.rules},           {"new_ratio", row.new_ratio},
                             {"pages", name(row.pages)},     {"subject", row.outcome.subject},
                             {"cycles", cycles.median},      {"cycles_least", cycles.least},
                             {"cycles_most", cycles.most}};
    if (forwards(row)) {
      result["mpps"] = mpps(cycles.median);
    }
    out["results"].push_back(result);
  }
  std::printf("%s\n", out.dump(2).c_str());
}

class Contest {
 public:
  // `config`: of --config, or null.
  Contest(const Settings& settings, const ConfigNode* config, Bench& bench)
      : s_(settings), config_(config), bench_(bench) {}

  // Established flows, and first packets at some numbers of rules.
  void run(Pages pages) {
    pages_ = pages;
    for (const Path path : kPaths) {
      if (!s_.paths.empty() && std::count(s_.paths.begin(), s_.paths.end(), name(path)) == 0) {
        continue;
      }
      const std::vector<Lane>* lanes = lanes_of(path);
      if (config_ != nullptr && lanes->empty()) {
        std::fprintf(stderr, "%s: the policies allow no such flow\n",
                     std::string(name(path)).c_str());
        continue;
      }
      for (const uint32_t flows : s_.flows) {
        meet({path, flows, s_.frame, lanes}, s_.rules, s_.new_ratio);
      }
      if (s_.no_first || s_.new_ratio > 0) {
        continue;
      }
      for (const unsigned rules :
           config_ == nullptr ? s_.first_rules : std::vector<unsigned>{0}) {
        meet({path, kKnown, s_.frame, lanes}, rules, 1);
      }
    }
  }
  const std::vector<Row>& rows() const { return rows_; }

 private:
  static constexpr uint32_t kKnown = 1000;  // flows that are there beside first packets

  const std::vector<Lane>* lanes_of(Path path) const {
    return config_ == nullptr ? nullptr : &config_->lanes[static_cast<size_t>(path)];
  }
  // `rules` is of no matter where there is a file.
  void meet(const Scene& scene, unsigned rules, double new_ratio) {
    const Node node = config_ == nullptr ? make_node(rules) : config_->node;
    if (config_ != nullptr) {
      rules = 0;
      for (const RuleList& list : node.rules->lists) {
        rules += static_cast<unsigned>(list.rules.size());
      }
    }
    Trial trial;
    trial.scene = scene;
    trial.node = &node;
    trial.rules = rules;
    trial.new_ratio = new_ratio;
    trial.pages = pages_;
    trial.packets = s_.packets;
    trial.runs = s_.runs;
    trial.counted = s_.count;
    if (flows_of(trial) > room(scene)) {
      std::fprintf(stderr, "%s: the file's endpoints have no %lu different flows\n",
                   std::string(name(scene.path)).c_str(), flows_of(trial));
      return;
    }
    const auto outcomes = measure(trial, bench_.pool(), bench_.frames());
    double peer = 0;
    for (const Outcome& outcome : outcomes) {
      peer = outcome.subject == kFirewall ? outcome.cycles.median : peer;
    }
    for (const Outcome& outcome : outcomes) {
      rows_.push_back({scene, rules, new_ratio, pages_, outcome, peer});
    }
  }

  // How many flows there must be, and how many there are.
  static uint64_t flows_of(const Trial& trial) {
    const double opened = trial.new_ratio * static_cast<double>(trial.packets);
    return trial.scene.flows + static_cast<uint64_t>(1.1 * opened);
  }
  static uint64_t room(const Scene& scene) {
    return scene.lanes == nullptr ? UINT64_MAX : uint64_t{scene.pods()} * Lane::kFlows;
  }

  const Settings& s_;
  const ConfigNode* config_;
  Bench& bench_;
  Pages pages_ = Pages::small;
  std::vector<Row> rows_;
};

int run(const Settings& settings) {
  auto bench = Bench::start(settings.core, kRing);
  if (!bench) {
    std::fprintf(stderr, "%s\n", bench.error().what.c_str());
    return 2;
  }
  std::optional<ConfigNode> config;
  if (!settings.config.empty()) {
    auto read = read_node(settings.config);
    if (!read) {
      std::fprintf(stderr, "%s\n", read.error().what.c_str());
      return 2;
    }
    config = std::move(*read);
  }
  Contest contest(settings, config ? &*config : nullptr, *bench);
  // Small pages first: what EAL has on huge ones stays there.
  if (settings.pages != "huge") {
    contest.run(Pages::small);
  }
  if (settings.pages != "4k" && !settings.count) {
    contest.run(Pages::huge);
  }
  if (settings.count) {
    return 0;
  }
  settings.output == "json" ? print_json(contest.rows(), settings)
                            : print_table(contest.rows(), settings);
  return 0;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"Cycles per packet of the packet path, in memory, beside DPDK's libraries"};
  app.add_option("--flows", s.flows, "numbers of established flows")
      ->check(CLI::Range(1u, 5000000u));
  app.add_option("--frame", s.frame, "bytes of a frame at the pod, without FCS")
      ->check(CLI::Range(54, 1500));
  app.add_option("--path", s.paths, "ipip-in, ipip-out, pod-pod; all by default")
      ->check(CLI::IsMember({"ipip-in", "ipip-out", "pod-pod"}));
  app.add_option("--rules", s.rules, "rules per policy program")->check(CLI::Range(1u, 60000u));
  app.add_option("--config", s.config, "a sluice.yaml whose endpoints and policies to take");
  app.add_option("--new-ratio", s.new_ratio, "share of packets that are the first of a flow")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--first-rules", s.first_rules, "rules to measure first packets alone with")
      ->check(CLI::Range(1u, 60000u));
  app.add_flag("--no-first", s.no_first, "no first packets but those of --new-ratio");
  app.add_option("--pages", s.pages, "4k, huge or both")
      ->check(CLI::IsMember({"4k", "huge", "both"}));
  app.add_option("--runs", s.runs, "runs, of which the median counts")
      ->check(CLI::Range(1u, 1001u));
  app.add_option("--packets", s.packets, "packets of a run, at least")
      ->check(CLI::Range(uint64_t{kRing}, uint64_t{1} << 24));
  app.add_option("--core", s.core, "the CPU to run on");
  app.add_flag("--count", s.count, "under callgrind: dump each subject's counts; no figures");
  app.add_option("-o,--output", s.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(s);
}
