// SPDX-License-Identifier: Apache-2.0
// From a changed file to the first packet judged by it: what a SIGHUP does, in process.
//
// A cluster in files is read, resolved, compiled and published to a thread that stands for a
// worker: it classifies one packet again and again, by whatever is published.  Then one file
// changes so that the packet's verdict must change, one pod's label or one policy's rule in
// turn, and the same code as the daemon's carries the change; the packet judged otherwise ends
// it.  Wall-clock time; medians over the edits of a kind.
//   reload_bench [--size small|medium|large|"extra large"]... [--edits N] [-o table|json]
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "config/load.h"
#include "config/read_files.h"
#include "control/build.h"
#include "fastpath/output.h"
#include "fastpath/published.h"
#include "perf/cluster_files.h"
#include "perf/figure.h"

namespace sluice::perf {
namespace {

using Clock = std::chrono::steady_clock;

// Pods, local pods and the feed are those of policy_workload.h.
struct NamedSize {
  const char* name;
  ClusterSize size;
};
constexpr NamedSize kSizes[] = {
    {"small", {2'000, 1'000, 1'000, 10}},
    {"medium", {20'000, 10'000, 10'000, 22}},
    {"large", {150'000, 75'000, 100'000, 50}},
    {"extra large", {300'000, 150'000, 100'000, 250}},
};

double ms(Clock::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

// What the packet is judged by, and when it was first judged otherwise.
class Reader {
 public:
  Reader(Published& published, const Address& from, const Address& to)
      : published_(published), key_{from, to, 40000, 80, proto::kTcp} {
    thread_ = std::thread([this] { run(); });
  }
  ~Reader() {
    stop_ = true;
    thread_.join();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  Clock::time_point changed() const { return changed_.load(std::memory_order_relaxed); }

 private:
  void run() {
    published_.enter(0);
    Verdict::Kind before = Verdict::Kind::none;
    while (!stop_.load(std::memory_order_relaxed)) {
      const Generation& g = *published_.view()->generation;
      const InstanceId judge = g.endpoints[g.by_address.at(key_.dst)].judge_in[0];
      Verdict verdict;
      g.matcher->classify({&key_, 1}, {&judge, 1}, {&verdict, 1});
      if (verdict.kind != before) {
        before = verdict.kind;
        changed_.store(Clock::now(), std::memory_order_relaxed);
        changes_.fetch_add(1, std::memory_order_release);
      }
      published_.quiescent(0);
    }
    published_.leave(0);
  }

  Published& published_;
  FlowKey key_;
  std::atomic<bool> stop_{false};
  std::atomic<Clock::time_point> changed_{};
  std::atomic<uint64_t> changes_{0};
  std::thread thread_;
};

// One change, in milliseconds.
struct Sample {
  double load = 0, select = 0, compile = 0, publish = 0, first_packet = 0;
};

double median(std::vector<double> values) {
  return values.empty() ? 0 : figure_of(std::move(values)).median;
}

class Node {
 public:
  explicit Node(const ClusterSize& size) : files_(cluster_files(size)), directory_(files_) {}

  // False if the files say what they should not.
  bool start() {
    // What is read at once after it was written would not be taken as known.
    std::this_thread::sleep_for(std::chrono::milliseconds(2100));
    auto published = Published::create(1);
    if (!published || !load()) {
      return false;
    }
    published_ = std::move(*published);
    build();
    publish();
    reader_.emplace(*published_, *parse_address("10.0.0.11"), *parse_address("10.0.0.1"));
    wait_for_change(0);
    for (int i = 0; i < 5; ++i) {  // all files are known, and looked at
      const auto begun = Clock::now();
      load();
      unchanged_.push_back(ms(Clock::now() - begun));
    }
    return loaded_.ok();
  }

  double unchanged() const { return median(unchanged_); }

  // Replaces `from` by `to` in the file of ns0, and carries it to the packets.
  bool edit(const std::string& from, const std::string& to, Sample& out) {
    std::string& text = files_["ns0"];
    const size_t at = text.find(from);
    if (at == std::string::npos) {
      return false;
    }
    directory_.write("ns0", text.replace(at, from.size(), to));
    const uint64_t changes = reader_->changes();
    const auto begun = Clock::now();
    const bool ok = load();
    const auto read = Clock::now();
    build();
    const auto compiled = Clock::now();
    publish();
    const auto published = Clock::now();
    if (!ok || !loaded_.ok() || known_.read() != 1 || !wait_for_change(changes)) {
      return false;
    }
    out = {ms(read - begun), ms(compiled - read - built_->compiled_in), ms(built_->compiled_in),
           ms(published - compiled), ms(reader_->changed() - begun)};
    return true;
  }

  std::string findings() const { return loaded_.findings.format(loaded_.model.files); }

 private:
  bool load() {
    loaded_ = config::load(directory_.settings(), {.strict = false, .known = &known_});
    return loaded_.ok();
  }
  void build() {
    built_ = control::build(loaded_.model, registries_, built_ ? &*built_ : nullptr,
                            loaded_.findings);
  }
  // As Daemon::publish does, and settle_members.
  void publish() {
    auto view = std::make_unique<View>();
    view->serial = built_->generation->number;
    view->generation = built_->generation;
    published_->replace(std::move(view), std::chrono::seconds(10));
    while (!published_->settled() && !published_->settle()) {
      std::this_thread::yield();
    }
    built_->generation->matcher->settle();
  }
  bool wait_for_change(uint64_t changes) const {
    const auto deadline = Clock::now() + std::chrono::seconds(10);
    while (reader_->changes() == changes) {
      if (Clock::now() > deadline) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }

  Files files_;
  ClusterDirectory directory_;
  config::ReadFiles known_;
  config::Loaded loaded_;
  control::Registries registries_;
  std::optional<control::Built> built_;
  std::unique_ptr<Published> published_;
  std::optional<Reader> reader_;  // ends before what it reads
  std::vector<double> unchanged_;
};

struct Edit {
  const char* name;
  std::string from, to;  // and back
};

struct Row {
  const char* size;
  const char* edit;
  double read = 0, parse = 0, select = 0, compile = 0, publish = 0, first_packet = 0, worst = 0;
};

bool measure(const NamedSize& size, unsigned edits, std::vector<Row>& rows) {
  Node node(size.size);
  const Edit kinds[] = {
      // A pod of the source's application joins another.
      {"pod's label", "name: p10\n  namespace: ns0\n  labels: {app: a1,",
       "name: p10\n  namespace: ns0\n  labels: {app: a3,"},
      {"policy", "{action: Allow, protocol: TCP, source: {selector: \"app == 'a1'\"}",
       "{action: Deny, protocol: TCP, source: {selector: \"app == 'a1'\"}"},
  };
  bool ok = node.start();
  for (const Edit& kind : kinds) {
    std::vector<Sample> samples(edits + edits % 2);  // so that the last is back
    for (size_t i = 0; ok && i < samples.size(); ++i) {
      ok = i % 2 == 0 ? node.edit(kind.from, kind.to, samples[i])
                      : node.edit(kind.to, kind.from, samples[i]);
    }
    const auto of = [&](double Sample::*field) {
      std::vector<double> values;
      values.reserve(samples.size());
      for (const Sample& s : samples) {
        values.push_back(s.*field);
      }
      return values;
    };
    Row row{size.name, kind.name};
    row.read = node.unchanged();
    row.parse = std::max(0.0, median(of(&Sample::load)) - row.read);
    row.select = median(of(&Sample::select));
    row.compile = median(of(&Sample::compile));
    row.publish = median(of(&Sample::publish));
    const std::vector<double> all = of(&Sample::first_packet);
    row.first_packet = median(all);
    row.worst = *std::max_element(all.begin(), all.end());
    rows.push_back(row);
  }
  if (!ok) {
    std::fprintf(stderr, "%s: no change came through\n%s\n", size.name,
                 node.findings().c_str());
  }
  return ok;
}

void print_table(const std::vector<Row>& rows) {
  std::printf("%-12s %-12s %8s %8s %8s %8s %8s %13s %8s  ms\n", "size", "edit", "read", "parse",
              "select", "compile", "publish", "first packet", "worst");
  for (const Row& r : rows) {
    std::printf("%-12s %-12s %8.2f %8.2f %8.2f %8.2f %8.3f %13.2f %8.2f\n", r.size, r.edit,
                r.read, r.parse, r.select, r.compile, r.publish, r.first_packet, r.worst);
  }
}

void print_json(const std::vector<Row>& rows) {
  nlohmann::json out = nlohmann::json::array();
  for (const Row& r : rows) {
    out.push_back({{"size", r.size},
                   {"edit", r.edit},
                   {"readMs", r.read},
                   {"parseMs", r.parse},
                   {"selectMs", r.select},
                   {"compileMs", r.compile},
                   {"publishMs", r.publish},
                   {"firstPacketMs", r.first_packet},
                   {"worstMs", r.worst}});
  }
  std::printf("%s\n", out.dump(2).c_str());
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  std::vector<std::string> sizes = {"small", "medium"};
  unsigned edits = 10;
  std::string output = "table";
  CLI::App app{"reload_bench: from a changed file to the first packet judged by it"};
  std::vector<std::string> known;
  for (const NamedSize& size : kSizes) {
    known.emplace_back(size.name);
  }
  app.add_option("--size", sizes, "small, medium, large (minutes to read), extra large")
      ->check(CLI::IsMember(known));
  app.add_option("--edits", edits, "of each kind")->check(CLI::Range(2, 1000));
  app.add_option("-o,--output", output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  CLI11_PARSE(app, argc, argv);
  std::vector<Row> rows;
  bool ok = true;
  for (const NamedSize& size : kSizes) {
    if (std::find(sizes.begin(), sizes.end(), size.name) != sizes.end()) {
      ok = measure(size, edits, rows) && ok;
    }
  }
  output == "json" ? print_json(rows) : print_table(rows);
  return ok ? 0 : 1;
}
