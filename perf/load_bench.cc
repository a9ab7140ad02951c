// SPDX-License-Identifier: Apache-2.0
// Processor time and memory to load, resolve and compile a large cluster, at three sizes a
// factor ten apart, so that what is worse than linear shows; and to build again after one pod's
// labels changed.  Each size runs in a child process of its own, whose peak memory is the
// figure.
//   load_bench [--endpoints N] [--local PERCENT] [-o table|json]
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/load.h"
#include "control/build.h"

namespace sluice::perf {
namespace {

struct Size {
  unsigned endpoints = 0;
  unsigned policies = 0;  // half as many
  unsigned members = 0;   // of network sets: ten times as many
  unsigned local = 0;     // of the endpoints, on this node
};

struct Row {
  Size size;
  double load = 0, build = 0, again = 0;  // seconds
  double memory = 0;                      // MiB at the peak
  bool ok = false;
};

constexpr const char* kSettings = R"(
node: n1
uplink: {interface: eth0, addresses: [192.168.0.1/16], gateway: 192.168.255.254}
tunnel: {address: 10.255.255.1}
)";

std::string number(unsigned n) {
  return std::to_string(n);
}
std::string ip4(unsigned value) {
  return number(value >> 24) + "." + number(value >> 16 & 255) + "." +
         number(value >> 8 & 255) + "." + number(value & 255);
}

// Namespaces of fifty pods; an application has ten of them.
constexpr unsigned kPodsOfSpace = 50, kPodsOfApp = 10;

void add_pods(const Size& size, std::string& out) {
  for (unsigned i = 0; i < size.endpoints; i += kPodsOfSpace) {
    const std::string space = "ns" + number(i / kPodsOfSpace);
    out += "---\n{apiVersion: v1, kind: Namespace, metadata: {name: " + space +
           ", labels: {team: t" + number(i / kPodsOfSpace % 20) + "}}}\n";
  }
  for (unsigned i = 0; i < size.endpoints; ++i) {
    out += "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p" + number(i) +
           "\n  namespace: ns" + number(i / kPodsOfSpace) + "\n  labels: {app: a" +
           number(i / kPodsOfApp) + ", tier: t" + number(i % 3) + ", pod: p" + number(i) +
           "}\nspec:\n  nodeName: " + (i < size.local ? "n1" : "n2") +
           "\n  containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]\n" +
           "status: {phase: Running, podIP: " + ip4(0x0a000001 + i) + "}\n";
  }
}

void add_policies(const Size& size, std::string& out) {
  const unsigned apps = size.endpoints / kPodsOfApp + 1;
  for (unsigned i = 0; i < size.policies; ++i) {
    const unsigned app = i % apps;
    const unsigned space = app * kPodsOfApp / kPodsOfSpace;
    out += "---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: np" +
           number(i) + ", namespace: ns" + number(space) +
           "}\nspec:\n  order: " + number(i % 100) + "\n  selector: app == 'a" + number(app) +
           "'\n  ingress:\n  - {action: Allow, protocol: TCP, source: {selector: \"app == 'a" +
           number((app + 1) % apps) + "'\"}, destination: {ports: [80, web]}}\n" +
           "  - {action: Deny, source: {namespaceSelector: all(), selector: \"set == 's" +
           number(i % 100) + "'\"}}\n  egress:\n  - {action: Allow}\n";
  }
}

std::string cluster(const Size& size) {
  std::string out;
  add_pods(size, out);
  constexpr unsigned kMembersOfSet = 1000;
  for (unsigned i = 0; i < size.members; i += kMembersOfSet) {
    const unsigned set = i / kMembersOfSet;
    out += "---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s" +
           number(set) + ", namespace: ns0, labels: {set: s" + number(set) +
           "}}\nspec:\n  nets:\n";
    for (unsigned n = i; n < i + kMembersOfSet && n < size.members; ++n) {
      out += "  - " + ip4(0x40000000 + 2 * n) + "/32\n";
    }
  }
  add_policies(size, out);
  return out;
}

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

Row measure(const Size& size) {
  Row row{size};
  const std::string text = cluster(size);
  Clock clock;
  config::Loaded loaded = config::load_text(text, "cluster.yaml");
  row.load = clock.lap();
  loaded.model.settings = config::load_settings_text(kSettings, "sluice.yaml").model.settings;
  control::Registries registries;
  clock.lap();
  const control::Built first =
      control::build(loaded.model, registries, nullptr, loaded.findings);
  row.build = clock.lap();
  config::Pod relabelled = loaded.model.pods[0];
  relabelled.meta.labels["app"] = "a1";
  loaded.model.pods[0] = std::move(relabelled);
  clock.lap();
  const control::Built second =
      control::build(loaded.model, registries, &first, loaded.findings);
  row.again = clock.lap();
  row.ok = loaded.ok() && second.policy.endpoints.size() == size.local;
  if (!row.ok) {
    std::fprintf(stderr, "%s\n", loaded.findings.format(loaded.model.files).c_str());
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  row.memory = static_cast<double>(usage.ru_maxrss) / 1024;
  return row;
}

// In a child, so that no size inherits another's memory.
Row measure_apart(const Size& size) {
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
  std::printf("%9s %8s %8s %7s %9s %9s %9s %9s  of the next smaller size, for a pod each\n",
              "endpoints", "policies", "members", "local", "load s", "build s", "again s",
              "peak MiB");
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& r = rows[i];
    std::printf("%9u %8u %8u %7u %9.3f %9.3f %9.3f %9.1f", r.size.endpoints, r.size.policies,
                r.size.members, r.size.local, r.load, r.build, r.again, r.memory);
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
                   {"buildAgainSeconds", r.again},
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
