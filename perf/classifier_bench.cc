// SPDX-License-Identifier: Apache-2.0
// Nanoseconds to classify the first packet of a flow, by the compiled matcher and its peers, on
// policies in the shape of Calico's (policy_workload.h), or on hard ones (hard_policies.h).
//   classifier_bench [--size NAME]... [--hard] [--ip6] [--runs N] [--seed N] [-o table|json]
// Exit 1 if an answer differs from the plain matcher's.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sched.h>

#include "classifier/linear.h"
#include "fastpath/eal.h"
#include "perf/chunk_clock.h"
#include "perf/figure.h"
#include "perf/hard_policies.h"
#include "perf/policy_acl.h"
#include "perf/policy_updates.h"
#include "perf/policy_workload.h"

namespace sluice::perf {
namespace {

struct Settings {
  std::vector<std::string> sizes;
  std::string output = "table";
  bool ip6 = false;
  bool hard = false;
  std::optional<Form> form;
  bool acl = true;
  unsigned runs = 9;
  unsigned core = 0;
  size_t packets = 2'000'000;
  uint64_t seed = 1;
};

// The processor time of this thread, so that who shares the core counts little.
double now_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// `work` tells the nanoseconds per packet of one run.
template <typename Work>
Figure measure(unsigned runs, const Work& work) {
  std::vector<double> each;
  for (unsigned run = 0; run < runs + 1; ++run) {  // the first warms up
    each.push_back(work());
  }
  each.erase(each.begin());
  return figure_of(std::move(each));
}

constexpr size_t kBurst = 64, kChunk = 16 * kBurst;

struct Row {
  std::string size;
  size_t rules = 0, classes = 0, programs = 0, distinct = 0;
  size_t by_form[3] = {};  // instances
  double compile_s = 0, class_mb = 0, program_mb = 0;
  Figure by_level[3];  // 0 where the processor has not the level
  Figure serialised, linear;
  std::vector<UpdateRow> updates;  // of the sizes
  AclRow acl;
  size_t wrong = 0;
};

// The packets of the trace in bursts.  As in the pipeline, where parsing has just written them,
// the keys of a burst are in a near cache: each chunk is copied before its time is taken.
class Trace {
 public:
  explicit Trace(const PolicyWorkload& w) : verdicts(w.keys.size()), workload_(w) {}

  double run(const Matcher& matcher) {
    ChunkClock clock;
    for (size_t at = 0; at + kChunk <= workload_.keys.size(); at += kChunk) {
      std::copy_n(workload_.keys.begin() + static_cast<ptrdiff_t>(at), kChunk, keys_);
      std::copy_n(workload_.instances.begin() + static_cast<ptrdiff_t>(at), kChunk, instances_);
      clock.time([&] {
        for (size_t i = 0; i < kChunk; i += kBurst) {
          matcher.classify({keys_ + i, kBurst}, {instances_ + i, kBurst}, {out_ + i, kBurst});
        }
      });
      std::copy_n(out_, kChunk, verdicts.begin() + static_cast<ptrdiff_t>(at));
    }
    return clock.median() / kChunk;
  }

  std::vector<Verdict> verdicts;

 private:
  const PolicyWorkload& workload_;
  FlowKey keys_[kChunk];
  InstanceId instances_[kChunk];
  Verdict out_[kChunk];
};

// One packet at a time, each found only when the verdict on the one before is known.
double classify_serially(const Matcher& matcher, const PolicyWorkload& w, size_t packets) {
  size_t at = 0;
  const double before = now_ns();
  for (size_t i = 0; i < packets; ++i) {
    Verdict verdict;
    matcher.classify({&w.keys[at], 1}, {&w.instances[at], 1}, {&verdict, 1});
    // The next index hangs on the answer, whose kind is never 3.
    at = i + 1 + (static_cast<unsigned>(verdict.kind) == 3 ? 1 : 0);
    asm volatile("" : "+r"(at) : "r"(verdict.kind) : "memory");
  }
  return (now_ns() - before) / static_cast<double>(packets);
}

std::vector<ProgramId> programs_of(const PolicyWorkload& w, size_t from, size_t n) {
  std::vector<ProgramId> out(n);
  for (size_t i = 0; i < n; ++i) {
    out[i] = w.pins[w.instances[from + i]].program;
  }
  return out;
}

// Answers of a sample that is spread over the trace, against Linear.
size_t count_wrong(const PolicyWorkload& w, const std::vector<Verdict>& verdicts,
                   size_t sample) {
  const Linear linear(w.rules);
  size_t wrong = 0;
  for (size_t k = 0; k < sample; ++k) {
    const size_t i = k * (w.keys.size() / sample);
    Verdict right;
    linear.classify({&w.keys[i], 1}, programs_of(w, i, 1), {&right, 1});
    const Verdict& v = verdicts[i];
    wrong += v.kind == right.kind && v.counter == right.counter &&
                     v.passed_or_logged == right.passed_or_logged
                 ? 0
                 : 1;
  }
  return wrong;
}

size_t distinct_keys(const PolicyWorkload& w) {
  std::vector<uint64_t> hashes;
  for (const FlowKey& k : w.keys) {
    uint64_t h = k.src.hi;
    for (const uint64_t part :
         {k.src.lo, k.dst.hi, k.dst.lo,
          uint64_t{k.src_port} << 32 | uint64_t{k.dst_port} << 8 | k.protocol}) {
      h = (h ^ part) * 0x9e3779b97f4a7c15;
      h ^= h >> 29;
    }
    hashes.push_back(h);
  }
  std::sort(hashes.begin(), hashes.end());
  return static_cast<size_t>(std::unique(hashes.begin(), hashes.end()) - hashes.begin());
}

std::shared_ptr<const Matcher> must(Result<std::shared_ptr<const Matcher>> made) {
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().what.c_str());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return *made;
}

// As many packets as Linear judges in a second or so.
size_t few_for_linear(const Row& row) {
  return std::min<size_t>(20'000, 40'000'000 / (row.rules / row.programs + 1));
}

Row run_workload(const char* name, const PolicyWorkload& w, const Settings& s) {
  Row row;
  row.size = name;
  row.distinct = distinct_keys(w);
  for (const auto& list : w.rules->lists) {
    row.rules += list->rules.size();
  }
  const double start = now_ns();
  Matcher::Options options;
  options.form = s.form;
  const auto matcher = must(Matcher::make(w.rules, w.pins, options));
  row.compile_s = (now_ns() - start) / 1e9;
  row.classes = matcher->classes().directory().size();
  row.programs = matcher->program_count();
  for (InstanceId id = 0; id < matcher->instance_count(); ++id) {
    ++row.by_form[static_cast<size_t>(matcher->program(id).form)];
  }
  row.class_mb = static_cast<double>(matcher->memory().classes) / (1 << 20);
  row.program_mb = static_cast<double>(matcher->memory().programs) / (1 << 20);
  Trace trace(w);
  for (const SimdLevel level : simd_levels()) {
    options.level = level;
    const auto at_level = must(Matcher::make(w.rules, w.pins, options, matcher.get()));
    row.by_level[static_cast<size_t>(level)] =
        measure(s.runs, [&] { return trace.run(*at_level); });
    row.wrong += count_wrong(w, trace.verdicts, few_for_linear(row));
  }
  const size_t few = std::min<size_t>(w.keys.size() - 1, 200'000);
  row.serialised = measure(s.runs, [&] { return classify_serially(*matcher, w, few); });
  const size_t slow = std::min(w.keys.size(), few_for_linear(row));
  const Linear linear(w.rules);
  const auto programs = programs_of(w, 0, slow);
  row.linear = measure(std::min(s.runs, 3u), [&] {
    const double before = now_ns();
    linear.classify(std::span(w.keys).first(slow), programs,
                    std::span(trace.verdicts).first(slow));
    return (now_ns() - before) / static_cast<double>(slow);
  });
  return row;
}

size_t trace_size(const Settings& s) {
  return (s.packets + kChunk - 1) / kChunk * kChunk;
}

Row run_size(const PolicySize& size, const Settings& s) {
  const PolicyWorkload w = make_policy_workload(size, s.seed, trace_size(s), s.ip6);
  Row row = run_workload(size.name, w, s);
  row.updates = measure_updates(size, w, row.compile_s);
  for (const UpdateRow& update : row.updates) {
    row.wrong += update.wrong;
  }
  if (s.acl && !s.ip6) {
    row.acl = measure_acl(w, s.runs);
  }
  return row;
}

std::vector<Row> run_all(const Settings& s) {
  const auto wanted = [&](const char* name) {
    return s.sizes.empty() || std::count(s.sizes.begin(), s.sizes.end(), name) > 0;
  };
  std::vector<Row> rows;
  for (const HardPolicy& policy : kHardPolicies) {
    if (s.hard && wanted(policy.name)) {
      const PolicyWorkload w = make_hard_policy(policy, s.seed, trace_size(s));
      rows.push_back(run_workload(policy.name, w, s));
    }
  }
  for (const PolicySize& size : kPolicySizes) {
    if (!s.hard && wanted(size.name)) {
      rows.push_back(run_size(size, s));
    }
  }
  return rows;
}

void print_table(const std::vector<Row>& rows) {
  std::printf("%-14s %6s %8s %-11s %7s %7s %8s %8s | %-28s | %9s %9s\n", "size", "rules",
              "programs", "tab/vec/for", "classes", "class MB", "prog MB", "build s",
              "scalar, avx2, avx512: ns", "serial ns", "linear ns");
  for (const Row& r : rows) {
    std::printf("%-14s %6zu %8zu %3zu/%3zu/%3zu %7zu %7.1f %8.1f %8.3f |", r.size.c_str(),
                r.rules, r.programs, r.by_form[0], r.by_form[1], r.by_form[2], r.classes,
                r.class_mb, r.program_mb, r.compile_s);
    for (const Figure& level : r.by_level) {
      std::printf(" %4.1f/%4.1f", level.least, level.median);
    }
    std::printf(" | %9.1f %9.0f\n", r.serialised.median, r.linear.median);
    std::printf("  distinct packets %zu, wrong answers %zu", r.distinct, r.wrong);
    if (!r.acl.note.empty()) {
      std::printf("; one endpoint: %s", r.acl.note.c_str());
    }
    std::printf("\n");
    for (const UpdateRow& u : r.updates) {
      std::printf("  %-30s median %9.3f ms, worst %9.3f ms, goal %9.3f ms, compiled %zu/%zu\n",
                  u.change.c_str(), u.median_ms, u.worst_ms, u.goal_ms, u.compiled, u.programs);
    }
  }
}

void print_json(const std::vector<Row>& rows, const Settings& s) {
  nlohmann::json out = {{"seed", s.seed}, {"runs", s.runs}, {"ip6", s.ip6}, {"burst", kBurst}};
  const auto spread = [](const Figure& x) {
    return nlohmann::json{{"least", x.least}, {"median", x.median}};
  };
  for (const Row& r : rows) {
    auto updates = nlohmann::json::array();
    for (const UpdateRow& u : r.updates) {
      updates.push_back({{"change", u.change},
                         {"median_ms", u.median_ms},
                         {"worst_ms", u.worst_ms},
                         {"goal_ms", u.goal_ms},
                         {"compiled", u.compiled},
                         {"programs", u.programs}});
    }
    out["sizes"].push_back({{"size", r.size},
                            {"rules", r.rules},
                            {"programs", r.programs},
                            {"tables", r.by_form[0]},
                            {"vectors", r.by_form[1]},
                            {"forests", r.by_form[2]},
                            {"classes", r.classes},
                            {"distinct_packets", r.distinct},
                            {"class_mb", r.class_mb},
                            {"program_mb", r.program_mb},
                            {"compile_s", r.compile_s},
                            {"updates", updates},
                            {"scalar_ns", spread(r.by_level[0])},
                            {"avx2_ns", spread(r.by_level[1])},
                            {"avx512_ns", spread(r.by_level[2])},
                            {"serialised_ns", spread(r.serialised)},
                            {"linear_ns", spread(r.linear)},
                            {"acl",
                             {{"rules", r.acl.rules},
                              {"build_s", r.acl.build_s},
                              {"acl_ns", r.acl.acl_ns},
                              {"matcher_ns", r.acl.matcher_ns},
                              {"wrong", r.acl.wrong},
                              {"note", r.acl.note}}},
                            {"wrong", r.wrong}});
  }
  std::printf("%s\n", out.dump(2).c_str());
}

int run(const Settings& s) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(s.core, &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
    std::fprintf(stderr, "core %u is not there\n", s.core);
    return 2;
  }
  if (const Status up = start_eal({"", 4096}); !up) {
    std::fprintf(stderr, "%s\n", up.error().what.c_str());
    return 1;
  }
  const std::vector<Row> rows = run_all(s);
  size_t wrong = 0;
  for (const Row& row : rows) {
    wrong += row.wrong + row.acl.wrong;
  }
  s.output == "json" ? print_json(rows, s) : print_table(rows);
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"Nanoseconds to classify a packet on policies of Calico's shape"};
  app.add_option("--size", s.sizes, "those of this name; all by default");
  app.add_option("--runs", s.runs, "runs, of which the median counts")
      ->check(CLI::Range(3u, 1001u));
  app.add_option("--packets", s.packets, "of the trace")
      ->check(CLI::Range(20'000, 100'000'000));
  app.add_option("--seed", s.seed, "of the workload");
  app.add_option("--core", s.core, "the CPU to run on");
  app.add_flag("--hard", s.hard, "policies that are hard to compile, instead of sizes");
  app.add_option("--form", s.form, "of all programs")
      ->transform(CLI::Transformer(
          std::map<std::string, sluice::Form>{{"table", sluice::Form::table},
                                              {"vectors", sluice::Form::vectors},
                                              {"forest", sluice::Form::forest}}));
  app.add_flag("--ip6", s.ip6, "the same with IPv6 addresses");
  app.add_flag("!--no-acl", s.acl, "without rte_acl, whose build takes its time");
  app.add_option("-o,--output", s.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(s);
}
