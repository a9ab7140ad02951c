// SPDX-License-Identifier: Apache-2.0
// Do four judges agree on random packets in random clusters?  The evaluator that walks the
// resources as Calico's semantics are written, explain, the linear matcher, and the data path.
//   differential_test [--packets N] [--seed S] [--each N]
// A difference is made small and printed: the seed, the YAML, the packet and all answers.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "fastpath/eal.h"
#include "tests/differential/generate.h"
#include "tests/differential/minimise.h"
#include "tests/differential/subject.h"

namespace sluice::differential {
namespace {

struct Options {
  uint64_t packets = 100000;
  uint64_t seed = std::random_device{}();
  uint64_t each = 500;  // packets for each cluster
};

// Leaving out what the packet comes from or goes to would be another failure, no smaller one.
bool has_ends(const Cluster& all, const Cluster& c, const Packet& p) {
  const auto sends = [&](const Pod& pod) {
    const bool other = std::any_of(pod.sources.begin(), pod.sources.end(),
                                   [&](const Net& n) { return n.contains(p.src); });
    return pod.ip == p.src || pod.ip6 == p.src || (other && name_of(pod) == p.in);
  };
  const auto pods_at_ends = [&](const Cluster& x) {
    return std::count_if(x.pods.begin(), x.pods.end(), sends) +
           std::count_if(x.pods.begin(), x.pods.end(),
                         [&](const Pod& pod) { return pod.ip == p.dst || pod.ip6 == p.dst; });
  };
  return pods_at_ends(all) == pods_at_ends(c);
}

void report(uint64_t seed, const Case& failing, const Difference& first,
            const std::string& directory) {
  std::printf("seed %lu: the answers differ; making it small ...\n", seed);
  std::fflush(stdout);
  const std::vector<Packet> packets =
      first.packet ? std::vector<Packet>{*first.packet} : failing.packets;
  Difference last = first;
  const auto fails = [&](const Cluster& c) {
    Tally unused;
    if (first.packet && !has_ends(failing.cluster, c, *first.packet)) {
      return false;
    }
    const auto now = compare(c, packets, directory, unused);
    const bool same = now && now->packet.has_value() == first.packet.has_value();
    if (same) {
      last = *now;
    }
    return same;
  };
  Cluster small = failing.cluster;
  if (fails(small)) {
    small = minimise(std::move(small), fails);
  } else {
    std::printf("(alone, the packet does not fail: what came before it matters)\n");
  }
  std::printf("%s\n", yaml(small).c_str());
  if (last.packet) {
    std::printf("packet: %s\n", text(*last.packet).c_str());
  }
  std::printf("%s\nagain: differential_test --seed %lu --packets 1\n", last.answers.c_str(),
              seed);
}

int run(const Options& options) {
  const std::string directory = std::filesystem::temp_directory_path().string() +
                                "/sluice-differential-" + std::to_string(getpid());
  std::printf("seed %lu\n", options.seed);
  Tally tally;
  uint64_t clusters = 0;
  bool same = true;
  while (same && tally.packets < options.packets) {
    const uint64_t seed = options.seed + clusters++;
    const Case next = generate(seed, options.each);
    if (const auto difference = compare(next.cluster, next.packets, directory, tally)) {
      report(seed, next, *difference, directory);
      same = false;
    }
  }
  std::filesystem::remove_all(directory);
  std::printf(
      "%lu packets in %lu clusters: %lu allowed, %lu decided by a policy's rule, "
      "%lu with staged policies, %lu of IPv6: %s\n",
      tally.packets, clusters, tally.allowed, tally.by_rule, tally.pending, tally.six,
      same ? "no difference" : "a difference");
  return same ? 0 : 1;
}

}  // namespace
}  // namespace sluice::differential

int main(int argc, char** argv) {
  sluice::differential::Options options;
  CLI::App app{"differential_test: four judges of random packets in random clusters"};
  app.add_option("--packets", options.packets, "how many packets, at least");
  app.add_option("--seed", options.seed, "of the first cluster; by chance if left out");
  app.add_option("--each", options.each, "packets for each cluster");
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(spdlog::level::err);
  if (const sluice::Status s = sluice::start_eal(sluice::eal_options("")); !s) {
    std::fprintf(stderr, "%s\n", s.error().what.c_str());
    return 2;
  }
  return sluice::differential::run(options);
}
