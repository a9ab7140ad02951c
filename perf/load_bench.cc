// SPDX-License-Identifier: Apache-2.0
// Processor time and memory to load, resolve and compile a large cluster, at three sizes a
// factor ten apart, so that what is worse than linear shows; and to load and to build again
// after one pod's labels changed.  The cluster is in files of a directory of its own under
// /tmp, one for each namespace.  Each size runs in a child process, whose peak memory is the
// figure.
//   load_bench [--endpoints N] [--local PERCENT] [-o table|json]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/load.h"
#include "config/read_files.h"
#include "control/build.h"
#include "perf/cluster_files.h"

namespace sluice::perf {
namespace {

struct Row {
  ClusterSize size;
  double load = 0, build = 0;              // seconds
  double load_again = 0, build_again = 0;  // after one label has changed
  double memory = 0;                       // MiB at the peak
  bool ok = false;
};

// Processor time, which does not depend on what else the machine does.
class Clock {
 public:
  // Seconds since the last lap.
  double lap() {
    const std::clock_t now = std::clock();
    const double seconds = static_cast<double>(now - last_) / CLOCKS_PER_SEC;
    last_ = now;
    return seconds;
  }

 private:
  std::clock_t last_ = std::clock();
};

Row measure(const ClusterSize& size) {
  Row row{size};
  Files files = cluster_files(size);
  const ClusterDirectory directory(files);
  // What is read at once after it was written would not be taken as known.
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  config::ReadFiles known;
  const config::LoadOptions options{.strict = false, .known = &known};
  control::Registries registries;
  Clock clock;
  config::Loaded loaded = config::load(directory.settings(), options);
  row.load = clock.lap();
  const control::Built first =
      control::build(loaded.model, registries, nullptr, loaded.findings);
  row.build = clock.lap();
  std::string& text = files["ns0"];
  directory.write("ns0", text.replace(text.find("app: a0,"), 7, "app: a1"));
  clock.lap();
  config::Loaded reloaded = config::load(directory.settings(), options);
  row.load_again = clock.lap();
  const control::Built second =
      control::build(reloaded.model, registries, &first, reloaded.findings);
  row.build_again = clock.lap();
  row.ok = loaded.ok() && reloaded.ok() && known.read() == 1 &&
           second.policy.endpoints.size() == size.local;
  if (!row.ok) {
    std::fprintf(stderr, "%s%s\n", loaded.findings.format(loaded.model.files).c_str(),
                 reloaded.findings.format(reloaded.model.files).c_str());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  row.memory = static_cast<double>(usage.ru_maxrss) / 1024;
  return row;
}

// In a child, so that no size inherits another's memory.
Row measure_apart(const ClusterSize& size) {
  Row row{size};
  int ends[2];
  if (pipe(ends) != 0) {
    return row;
  }
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    const Row made = measure(size);
    const bool sent = write(ends[1], &made, sizeof(made)) == sizeof(made);
    _exit(sent ? 0 : 1);
  }
  close(ends[1]);
  if (child < 0 || read(ends[0], &row, sizeof(row)) != sizeof(row)) {
    row = Row{size};
  }
  close(ends[0]);
  if (child > 0) {
    waitpid(child, nullptr, 0);
  }
  return row;
}

void print_table(const std::vector<Row>& rows) {
  std::printf("%9s %8s %8s %7s %8s %8s %8s %8s %8s\n", "", "", "", "", "all", "all", "changed",
              "changed", "peak");
  std::printf("%9s %8s %8s %7s %8s %8s %8s %8s %8s  of the next smaller size, for a pod each\n",
              "endpoints", "policies", "members", "local", "load s", "build s", "load s",
              "build s", "MiB");
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& r = rows[i];
    std::printf("%9u %8u %8u %7u %8.3f %8.3f %8.3f %8.3f %8.1f", r.size.endpoints,
                r.size.policies, r.size.members, r.size.local, r.load, r.build, r.load_again,
                r.build_again, r.memory);
    if (i > 0) {
      const Row& s = rows[i - 1];
      const double scale =
          static_cast<double>(r.size.endpoints) / static_cast<double>(s.size.endpoints);
      std::printf("  load x%.2f build x%.2f", r.load / s.load / scale,
                  r.build / s.build / scale);
    }
    std::printf("\n");
  }
}

void print_json(const std::vector<Row>& rows) {
  nlohmann::json out = nlohmann::json::array();
  for (const Row& r : rows) {
    out.push_back({{"endpoints", r.size.endpoints},
                   {"policies", r.size.policies},
                   {"members", r.size.members},
                   {"local", r.size.local},
                   {"loadSeconds", r.load},
                   {"buildSeconds", r.build},
                   {"loadAgainSeconds", r.load_again},
                   {"buildAgainSeconds", r.build_again},
                   {"peakMebibytes", r.memory}});
  }
  std::printf("%s\n", out.dump(2).c_str());
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  unsigned endpoints = 10000;
  unsigned local = 2;
  std::string output = "table";
  CLI::App app{"load_bench: how long a large cluster takes to load and compile"};
  app.add_option("--endpoints", endpoints,
                 "of the largest size; policies are half as many, "
                 "members of sets ten times as many")
      ->check(CLI::Range(1000, 1000000));
  app.add_option("--local", local, "percent of the endpoints that are on this node")
      ->check(CLI::Range(1, 100));
  app.add_option("-o,--output", output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  CLI11_PARSE(app, argc, argv);
  std::vector<Row> rows;
  bool ok = true;
  for (const unsigned part : {100u, 10u, 1u}) {
    const unsigned n = endpoints / part;
    rows.push_back(measure_apart({n, n / 2, n * 10, std::max(1u, n * local / 100)}));
    ok = ok && rows.back().ok;
  }
  output == "json" ? print_json(rows) : print_table(rows);
  return ok ? 0 : 1;
}
