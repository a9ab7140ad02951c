// SPDX-License-Identifier: Apache-2.0
// Long literal five-tuple lists: the forest beside DPDK's rte_acl, on the same rules and the
// same packets, runs taking turns.  Thread CPU time; every size proves a sample of both
// answers against a loop over the rules.
#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sched.h>

#include "classifier/forest.h"
#include "fastpath/eal.h"
#include "perf/dpdk_heap.h"
#include "perf/figure.h"
#include "perf/five_tuple_acl.h"
#include "perf/five_tuple_sets.h"
#include "perf/huge_pages.h"

namespace sluice::perf {
namespace {

constexpr size_t kBurst = Forest::kMaxBurst;

struct Settings {
  std::vector<std::string> shapes = {"acl", "fw", "ipc", "acl-b", "fw-b", "ipc-b"};
  std::vector<std::string> files;
  std::vector<size_t> rules = {1000, 10'000, 100'000, 500'000};
  size_t packets = 4'000'000;
  size_t serial_packets = 200'000;
  size_t checked = 2000;
  uint64_t seed = 1;
  unsigned runs = 9;
  unsigned core = 1;
  unsigned peer_memory_mb = 8192;
  size_t peer_rules = 100'000;  // not built above: minutes and gigabytes
  std::string form = "automatic";
  std::string simd = "best";
  std::string output = "table";
};

struct Subject {
  std::optional<std::string> failed;  // why it could not be built
  double build_ms = 0;
  double bytes_per_rule = 0;
  Figure burst_ns;
  Figure serial_ns;
  size_t wrong = 0;  // of the checked answers
};

struct Row {
  std::string shape;
  size_t rules = 0;
  size_t distinct = 0;  // packets of the trace
  std::string form;
  unsigned trees = 0;
  Subject forest;
  std::optional<Subject> acl;
};

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// What a run of a subject returns is added up, so that no compiler leaves it out.
uint64_t sink = 0;

template <size_t kSize, typename Key, typename Find>
double ns_per_packet(std::span<const Key> trace, const Find& find) {
  std::array<uint32_t, kSize> first;
  const double start = thread_seconds();
  for (size_t at = 0; at + kSize <= trace.size(); at += kSize) {
    find(trace.subspan(at, kSize), std::span(first));
    sink += first[0] + first[kSize - 1];
  }
  return (thread_seconds() - start) * 1e9 / static_cast<double>(trace.size());
}

// One packet at a time, each waiting for the answer to the one before.
template <typename Key, typename Find>
double ns_serialised(std::span<const Key> trace, const Find& find) {
  std::array<uint32_t, 1> first = {0};
  const double start = thread_seconds();
  for (size_t i = 0; i < trace.size(); ++i) {
    // Always i, but only the answer tells.
    const size_t at = i + (static_cast<uint64_t>(first[0]) >> 32);
    Key key = trace[at];
    asm volatile("" : "+m"(key) : "r"(first[0]) : "memory");
    find(std::span<const Key>(&key, 1), std::span(first));
    __builtin_ia32_lfence();
  }
  return (thread_seconds() - start) * 1e9 / static_cast<double>(trace.size());
}

size_t wrong_answers(std::span<const FiveTupleRule> rules, std::span<const FiveTuple> sample,
                     std::span<const uint32_t> answers) {
  size_t wrong = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    uint32_t expected = 0;
    while (expected < rules.size() && !rules[expected].matches(sample[i])) {
      ++expected;
    }
    wrong += answers[i] != (expected == rules.size() ? Forest::kNone : expected) ? 1 : 0;
  }
  return wrong;
}

template <size_t kSize, typename Key, typename Find>
std::vector<uint32_t> answers(std::span<const Key> sample, const Find& find) {
  std::vector<uint32_t> all(sample.size());
  for (size_t at = 0; at < sample.size(); at += kSize) {
    const size_t count = std::min(kSize, sample.size() - at);
    find(sample.subspan(at, count), std::span(all).subspan(at, count));
  }
  return all;
}

struct Input {
  std::vector<FiveTupleRule> rules;
  std::vector<FiveTuple> trace;
  std::vector<FiveTupleAcl::Key> acl_trace;
};

Input make_input(std::vector<FiveTupleRule> rules, const Settings& settings) {
  Input in;
  in.rules = std::move(rules);
  in.trace = make_trace(in.rules, settings.packets, settings.seed);
  in.acl_trace = FiveTupleAcl::keys_of(in.trace);
  return in;
}

Forest::Limits limits(const Settings& settings) {
  Forest::Limits limits;
  if (settings.form != "automatic") {
    limits.form = settings.form == "trees" ? Forest::Form::trees : Forest::Form::tables;
  }
  return limits;
}

SimdLevel level(const Settings& settings) {
  return settings.simd == "best"     ? best_simd_level()
         : settings.simd == "scalar" ? SimdLevel::scalar
                                     : SimdLevel::avx2;
}

std::unique_ptr<FiveTupleAcl> build_peer(const Input& in, Subject& subject) {
  const double start = thread_seconds();
  auto acl = FiveTupleAcl::make(in.rules, 0);
  subject.build_ms = (thread_seconds() - start) * 1e3;
  if (!acl) {
    subject.failed = acl.error().what;
    return nullptr;
  }
  subject.bytes_per_rule =
      static_cast<double>((*acl)->bytes()) / static_cast<double>(in.rules.size());
  return std::move(*acl);
}

struct Samples {
  std::vector<double> burst, serial;
  void store(Subject& subject) {
    subject.burst_ns = figure_of(burst);
    subject.serial_ns = figure_of(serial);
  }
};

void time_both(const Input& in, const Settings& settings, const Forest& forest,
               FiveTupleAcl* acl, Row& row) {
  const std::span<const FiveTuple> trace = in.trace;
  const std::span<const FiveTupleAcl::Key> acl_trace = in.acl_trace;
  const SimdLevel simd = level(settings);
  const auto ours = [&](auto keys, auto first) { forest.find(keys, first, simd); };
  const auto theirs = [&](auto keys, auto first) { acl->find(keys, first); };
  Samples forest_samples;
  Samples acl_samples;
  const size_t serial = std::min(settings.serial_packets, trace.size());
  for (unsigned run = 0; run <= settings.runs; ++run) {
    const bool counts = run != 0;  // the first one warms up
    const double burst = ns_per_packet<kBurst>(trace, ours);
    const double single = ns_serialised(trace.first(serial), ours);
    if (counts) {
      forest_samples.burst.push_back(burst);
      forest_samples.serial.push_back(single);
    }
    if (acl != nullptr) {
      const double acl_burst = ns_per_packet<FiveTupleAcl::kBatch>(acl_trace, theirs);
      const double acl_single = ns_serialised(acl_trace.first(serial), theirs);
      if (counts) {
        acl_samples.burst.push_back(acl_burst);
        acl_samples.serial.push_back(acl_single);
      }
    }
  }
  forest_samples.store(row.forest);
  const size_t checked = std::min(settings.checked, trace.size());
  row.forest.wrong = wrong_answers(in.rules, trace.first(checked),
                                   answers<kBurst>(trace.first(checked), ours));
  if (acl != nullptr) {
    acl_samples.store(*row.acl);
    row.acl->wrong =
        wrong_answers(in.rules, trace.first(checked),
                      answers<FiveTupleAcl::kBatch>(acl_trace.first(checked), theirs));
  }
}

Row measure(std::string name, std::vector<FiveTupleRule> rules, const Settings& settings) {
  const Input in = make_input(std::move(rules), settings);
  Row row;
  row.shape = std::move(name);
  row.rules = in.rules.size();
  row.distinct = count_distinct(in.trace);
  std::unique_ptr<FiveTupleAcl> acl;
  if (in.rules.size() <= settings.peer_rules) {
    row.acl.emplace();
    acl = build_peer(in, *row.acl);
  }
  const double start = thread_seconds();
  Result<Forest> made = Forest::make(in.rules, limits(settings));
  row.forest.build_ms = (thread_seconds() - start) * 1e3;
  if (!made) {
    row.forest.failed = made.error().what;
    return row;
  }
  const auto forest = std::make_shared<const Forest>(std::move(*made));
  for (const auto part : forest->memory()) {
    collapse(part.data(), part.size());
  }
  row.form = forest->form() == Forest::Form::trees ? "trees" : "tables";
  row.trees = forest->trees();
  row.forest.bytes_per_rule =
      static_cast<double>(forest->bytes()) / static_cast<double>(in.rules.size());
  time_both(in, settings, *forest, acl.get(), row);
  return row;
}

void print_subject(const char* name, const Subject& s) {
  if (s.failed) {
    std::printf("    %-8s cannot be built: %s (after %.0f ms)\n", name, s.failed->c_str(),
                s.build_ms);
    return;
  }
  std::printf("    %-8s %7.1f (%.1f-%.1f) %7.1f %9.1f %10.0f %6zu\n", name, s.burst_ns.median,
              s.burst_ns.least, s.burst_ns.most, s.serial_ns.median, s.bytes_per_rule,
              s.build_ms, s.wrong);
}

void print_row(const Row& row) {
  std::printf("%-6s %zu rules, %zu different packets; %s", row.shape.c_str(), row.rules,
              row.distinct, row.form.c_str());
  if (row.trees != 0) {
    std::printf(", %u of them", row.trees);
  }
  if (row.acl && !row.acl->failed && !row.forest.failed) {
    std::printf("; %.2f times rte_acl", row.acl->burst_ns.median / row.forest.burst_ns.median);
  }
  std::printf("\n");
  print_subject("forest", row.forest);
  if (row.acl) {
    print_subject("rte_acl", *row.acl);
  }
  std::fflush(stdout);
}

nlohmann::json figure_json(const Figure& v) {
  return {{"median", v.median}, {"least", v.least}, {"most", v.most}};
}

nlohmann::json to_json(const Subject& s) {
  if (s.failed) {
    return {{"failed", *s.failed}, {"buildMs", s.build_ms}};
  }
  return {{"burstNs", figure_json(s.burst_ns)},
          {"serialisedNs", figure_json(s.serial_ns)},
          {"bytesPerRule", s.bytes_per_rule},
          {"buildMs", s.build_ms},
          {"wrong", s.wrong}};
}

nlohmann::json to_json(const Row& row) {
  nlohmann::json out = {{"shape", row.shape},       {"rules", row.rules},
                        {"distinct", row.distinct}, {"form", row.form},
                        {"trees", row.trees},       {"forest", to_json(row.forest)}};
  if (row.acl) {
    out["rte_acl"] = to_json(*row.acl);
  }
  return out;
}

int run(const Settings& settings) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(settings.core, &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
    std::fprintf(stderr, "core %u is not there\n", settings.core);
    return 2;
  }
  if (const Status up = start_eal({"", settings.peer_memory_mb}); !up) {
    std::fprintf(stderr, "%s\n", up.error().what.c_str());
    return 1;
  }
  make_dpdk_heap_anonymous();
  nlohmann::json all = nlohmann::json::array();
  bool wrong = false;
  const std::vector<std::string> no_shapes;
  if (settings.output == "table") {
    std::printf("             ns at burst    serial  B a rule  build, ms  wrong\n");
  }
  const auto add = [&](const std::string& name, std::vector<FiveTupleRule> rules) {
    const Row row = measure(name, std::move(rules), settings);
    wrong = wrong || row.forest.failed || row.forest.wrong != 0;
    settings.output == "table" ? print_row(row) : all.push_back(to_json(row));
  };
  for (const std::string& path : settings.files) {
    auto rules = read_rules(path);
    if (!rules) {
      std::fprintf(stderr, "%s\n", rules.error().what.c_str());
      return 2;
    }
    add(path.substr(path.rfind('/') + 1), std::move(*rules));
  }
  for (const std::string& name : settings.files.empty() ? settings.shapes : no_shapes) {
    for (const size_t count : settings.rules) {
      add(name, make_rules(*find_shape(name), count, settings.seed));
    }
  }
  if (settings.output == "json") {
    std::printf("%s\n", all.dump(2).c_str());
  }
  return wrong ? 1 : 0;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"First match over long literal five-tuple lists, beside DPDK's rte_acl"};
  app.add_option("--shape", s.shapes, "acl, fw, ipc, acl-b, fw-b, ipc-b; all by default")
      ->check([](const std::string& name) {
        return find_shape(name) != nullptr ? "" : "no such shape: " + name;
      });
  app.add_option("--file", s.files, "rules in ClassBench's format, instead of shapes")
      ->check(CLI::ExistingFile);
  app.add_option("--rules", s.rules, "sizes of lists")->check(CLI::Range(1u, 2'000'000u));
  app.add_option("--packets", s.packets, "in a trace")->check(CLI::Range(1024u, 64'000'000u));
  app.add_option("--seed", s.seed, "of rules and trace");
  app.add_option("--runs", s.runs, "of which the median counts")->check(CLI::Range(1u, 1001u));
  app.add_option("--checked", s.checked, "packets whose answers are proven");
  app.add_option("--form", s.form, "of the forest")
      ->check(CLI::IsMember({"automatic", "tables", "trees"}));
  app.add_option("--simd", s.simd, "of the forest")
      ->check(CLI::IsMember({"best", "avx2", "scalar"}));
  app.add_option("--peer-rules", s.peer_rules, "the longest list that rte_acl gets, too");
  app.add_option("--peer-memory", s.peer_memory_mb, "MiB that rte_acl may use");
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
