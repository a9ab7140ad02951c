// SPDX-License-Identifier: Apache-2.0
// A SYN flood against a full connection table, through the real Pipeline in memory: what the
// established flows pay for it, in cycles a packet and in the time that a burst of them takes,
// and whether any is lost.  Frames are written outside of the measured time; the sweep of the
// table runs inside, as in a worker.
#include <algorithm>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "perf/bench.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

constexpr unsigned kRing = 512;

struct Settings {
  uint32_t table = 1'000'000;
  std::vector<unsigned> percents = {70, 100};  // of it, that are established flows
  unsigned flood = 4;                          // SYNs for each established packet
  unsigned rounds = 1000;                      // of kRing established packets
  unsigned core = 1;
};

uint64_t resident_kib() {
  return kib_of("status", "VmRSS:");
}

struct Measured {
  double established = 0;  // cycles a packet, the median of all bursts
  double syn = 0;
  double slow_us = 0;  // microseconds that 99 of 100 bursts of established packets end within
  uint64_t lost = 0;   // established packets that did not come out
};

double quantile(std::vector<uint64_t>& values, double share) {
  const auto place = static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + place, values.end());
  return static_cast<double>(values[static_cast<size_t>(place)]);
}

// What comes in.
struct Traffic {
  const Scene& scene;
  Order order;
  uint32_t next_syn;
  std::span<rte_mbuf*> frames;
};

// `rounds` of bursts of established flows, each preceded by `flood` bursts of SYNs that were
// never seen.
Measured measure(Subject& subject, Traffic& traffic, unsigned rounds, unsigned flood) {
  auto& [scene, order, next_syn, frames] = traffic;
  std::array<uint32_t, kMaxBurst> flows;
  const std::span<rte_mbuf*> acks = frames.first(kMaxBurst);
  const std::span<rte_mbuf*> syns = frames.subspan(kMaxBurst, kMaxBurst);
  std::vector<uint64_t> of_acks;
  std::vector<uint64_t> of_syns;
  Measured out;
  const unsigned bursts = rounds * kRing / kMaxBurst;
  for (unsigned b = 0; b < bursts; ++b) {
    for (unsigned f = 0; f < flood; ++f) {
      for (rte_mbuf* frame : syns) {
        write_frame(scene, next_syn++, tcp::kSyn, true, frame);
      }
      subject.port(kUplinkPort).offer(syns);
      const uint64_t start = rte_rdtsc_precise();
      subject.burst(kUplinkPort);
      of_syns.push_back(rte_rdtsc_precise() - start);
    }
    order.next(flows);
    for (unsigned i = 0; i < kMaxBurst; ++i) {
      write_frame(scene, flows[i], tcp::kAck, true, acks[i]);
    }
    const uint64_t sent = subject.sent();
    subject.port(kUplinkPort).offer(acks);
    const uint64_t start = rte_rdtsc_precise();
    subject.burst(kUplinkPort);
    of_acks.push_back(rte_rdtsc_precise() - start);
    out.lost += kMaxBurst - (subject.sent() - sent);
  }
  out.established = quantile(of_acks, 0.5) / kMaxBurst;
  out.slow_us = quantile(of_acks, 0.99) / static_cast<double>(rte_get_tsc_hz()) * 1e6;
  out.syn = flood == 0 ? 0 : quantile(of_syns, 0.5) / kMaxBurst;
  return out;
}

// Every flow sends once more: how many do not come through.
uint64_t missing(Subject& subject, const Scene& scene, std::span<rte_mbuf*> frames) {
  const uint64_t before = subject.sent();
  for (uint32_t n = 0; n < scene.flows; n += kMaxBurst) {
    const uint32_t count = std::min(scene.flows - n, uint32_t{kMaxBurst});
    for (uint32_t i = 0; i < count; ++i) {
      write_frame(scene, n + i, tcp::kAck, true, frames[i]);
    }
    subject.port(kUplinkPort).offer(frames.first(count));
    subject.burst(kUplinkPort);
  }
  return scene.flows - (subject.sent() - before);
}

// Returns the number of established flows that were lost.
uint64_t flood(const Settings& s, unsigned percent, rte_mempool* pool,
               std::span<rte_mbuf*> frames) {
  const Scene scene{Path::ipip_in, static_cast<uint32_t>(uint64_t{s.table} * percent / 100),
                    64};
  const uint64_t before = resident_kib();
  const auto subject = make_sluice(scene, 100, pool, frames, s.table);
  const double bytes = static_cast<double>(resident_kib() - before) * 1024 / scene.flows;
  Traffic traffic{scene, Order(scene), scene.flows, frames};
  measure(*subject, traffic, s.rounds, 0);  // warms up
  const Measured quiet = measure(*subject, traffic, s.rounds, 0);
  const Measured under = measure(*subject, traffic, s.rounds, s.flood);
  const uint64_t lost = missing(*subject, scene, frames) + quiet.lost + under.lost;
  const uint64_t refused = subject->drops(DropReason::ct_table_full) +
                           subject->drops(DropReason::ct_embryonic) +
                           subject->drops(DropReason::ct_endpoint_limit);
  std::printf("%10u %11u %9.1f %9.1f %10.1f %10.1f %9.1f %10u %10lu %8lu %12.0f\n", s.table,
              scene.flows, quiet.established, under.established, quiet.slow_us, under.slow_us,
              under.syn, traffic.next_syn - scene.flows, refused, lost, bytes);
  return lost;
}

int run(const Settings& s) {
  auto bench = Bench::start(s.core, kRing);
  if (!bench) {
    std::fprintf(stderr, "%s\n", bench.error().what.c_str());
    return 2;
  }
  std::printf(
      "%u SYNs for each established packet; TSC cycles per packet, and microseconds of the\n"
      "slowest of 100 bursts of %u established packets\n\n",
      s.flood, unsigned{kMaxBurst});
  std::printf("%10s %11s %9s %9s %10s %10s %9s %10s %10s %8s %12s\n", "table", "established",
              "quiet", "flooded", "quiet us", "flooded us", "SYN", "SYNs", "refused", "lost",
              "bytes/flow");
  uint64_t lost = 0;
  for (const unsigned percent : s.percents) {
    lost += flood(s, percent, bench->pool(), bench->frames());
  }
  std::printf("\na table of 10000000 connections takes %lu MiB at most, %lu bytes each\n",
              ConnTable::bytes_for(10'000'000) >> 20,
              ConnTable::bytes_for(10'000'000) / 10'000'000);
  return lost == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"A SYN flood against a full connection table, in memory"};
  app.add_option("--table", s.table, "connections that the table holds")
      ->check(CLI::Range(1024u, 100000000u));
  app.add_option("--established", s.percents, "percent of it that are established flows")
      ->check(CLI::Range(1u, 100u));
  app.add_option("--flood", s.flood, "SYNs for each established packet")
      ->check(CLI::Range(1u, 64u));
  app.add_option("--rounds", s.rounds, "of 512 established packets");
  app.add_option("--core", s.core, "the CPU to run on");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(s);
}
