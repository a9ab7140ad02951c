// SPDX-License-Identifier: Apache-2.0
// The connection table alone, beside rte_hash and absl::flat_hash_map: looking flows up that
// are there and that are not, and putting new ones in, at 64 k to 16 M flows.  See README.md
// for what is and what is not in the figures.
#include <algorithm>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <rte_cycles.h>
#include <sched.h>
#include <sys/prctl.h>

#include "fastpath/eal.h"
#include "perf/bench.h"
#include "perf/chunk_clock.h"
#include "perf/conntrack_subject.h"
#include "perf/dpdk_heap.h"
#include "perf/figure.h"
#include "perf/machine.h"

namespace sluice::perf {
namespace {

constexpr size_t kChunk = 1024;             // packets that lie ready; what is timed at once
constexpr size_t kLookups = 1u << 20;       // in a run
constexpr size_t kMostReplaced = 1u << 18;  // flows that a run takes out and puts in again

struct Settings {
  std::vector<uint64_t> sizes = {1u << 16, 1u << 20, 1u << 22, 1u << 24};
  unsigned runs = 9;
  unsigned core = 1;
  uint64_t seed = 1;
  std::string pages = "huge";
  std::string output = "table";
};

// Every bit of the number counts for every bit of the result, and none is lost.
uint64_t mixed(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27;
  x *= 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// Different for every n: a client in 10/8 and one of 65536 servers, some with lower addresses.
Tuple flow(uint64_t n, uint64_t seed) {
  const uint64_t x = mixed(n + seed * 0x9e3779b97f4a7c15);
  const auto server = static_cast<uint32_t>(x >> 40 & 0xffff);
  Tuple t;
  t.src.value = 10u << 24 | static_cast<uint32_t>(x & 0xffffff);
  t.dst.value = ((server & 1) != 0 ? 9u << 24 : 172u << 24 | 16u << 16) | server;
  t.src_port = static_cast<uint16_t>(x >> 24);
  t.dst_port = static_cast<uint16_t>(8000 + (x >> 56));
  t.protocol = proto::kUdp;
  return t;
}

// Packets as parsing has just written them: in a near cache, and nothing else is.
class Chunk {
 public:
  void clear() {
    tuples_.clear();
    keys_.clear();
    replies_ = 0;
  }
  void add(Tuple tuple, bool reply) {
    tuples_.push_back(reply ? tuple.reversed() : tuple);
    keys_.push_back(OrderedKey::of(tuple));
    replies_ += reply ? 1 : 0;
  }
  Packets packets() const { return {tuples_, keys_}; }
  size_t replies() const { return replies_; }

 private:
  std::vector<Tuple> tuples_;
  std::vector<OrderedKey> keys_;
  size_t replies_ = 0;
};

// Where the packets come from: `size` flows, shuffled once, each once a round.
class Traffic {
 public:
  Traffic(uint32_t size, uint64_t seed) : order_(size), seed_(seed) {
    for (uint32_t n = 0; n < size; ++n) {
      order_[n] = n;
    }
    for (uint32_t n = size; n > 1; --n) {
      std::swap(order_[n - 1], order_[mixed(n ^ seed << 32) % n]);
    }
  }

  uint32_t size() const { return static_cast<uint32_t>(order_.size()); }
  // As they were opened, from the n-th on.
  const Chunk& opening(uint64_t n) {
    chunk_.clear();
    for (uint64_t i = n; i < std::min<uint64_t>(n + kChunk, size()); ++i) {
      chunk_.add(flow(i, seed_), false);
    }
    return chunk_;
  }
  // Shuffled, from the given place on, the initiator's packets, or half of them replies.
  const Chunk& known(uint64_t at, bool both_ways) {
    chunk_.clear();
    for (uint64_t i = at; i < at + kChunk; ++i) {
      const uint32_t n = order_[i % size()];
      chunk_.add(flow(n, seed_), both_ways && (mixed(i ^ ~seed_) & 1) != 0);
    }
    return chunk_;
  }
  // Flows that are in no table.
  const Chunk& unknown(uint64_t at) {
    chunk_.clear();
    for (uint64_t i = at; i < at + kChunk; ++i) {
      chunk_.add(flow(size() + i, seed_), false);
    }
    return chunk_;
  }

 private:
  std::vector<uint32_t> order_;
  uint64_t seed_;
  Chunk chunk_;
};

// A table, asked in one way, and what that took in nanoseconds per packet.
struct Contender {
  FlowTable* table;
  Way way;
  std::vector<double> hit, miss, insert;
  uint64_t hit_at = 0, miss_at = 0, insert_at = 0;
  size_t wrong = 0;  // answers; must stay 0
};

struct Row {
  uint32_t flows = 0;
  std::string subject;
  Way way = Way::index;
  Figure hit, miss, insert;
  double index_bytes = 0, entry_bytes = 0;  // per flow
  size_t wrong = 0;
};

double time_hits(Contender& c, Traffic& traffic) {
  ChunkClock clock;
  for (size_t done = 0; done < kLookups; done += kChunk) {
    const Chunk& chunk = traffic.known(c.hit_at, true);
    c.hit_at += kChunk;
    const auto found = clock.time([&] { return c.table->find(chunk.packets(), c.way); });
    c.wrong += kChunk - found.flows;
    c.wrong += c.table->tells_directions() && found.replies != chunk.replies() ? 1 : 0;
  }
  return clock.median() / kChunk;
}

double time_misses(Contender& c, Traffic& traffic) {
  ChunkClock clock;
  for (size_t done = 0; done < kLookups; done += kChunk) {
    const Chunk& chunk = traffic.unknown(c.miss_at);
    c.miss_at += kChunk;
    const auto found = clock.time([&] { return c.table->find(chunk.packets(), c.way); });
    c.wrong += found.flows;
  }
  return clock.median() / kChunk;
}

// Flows end, and as many begin: the same, so that all are there afterwards.
double time_inserts(Contender& c, Traffic& traffic) {
  const size_t replaced = std::min<size_t>(traffic.size() / 4, kMostReplaced) / kChunk * kChunk;
  for (size_t done = 0; done < replaced; done += kChunk) {
    c.table->erase(traffic.known(c.insert_at + done, false).packets());
  }
  ChunkClock clock;
  for (size_t done = 0; done < replaced; done += kChunk) {
    const Packets packets = traffic.known(c.insert_at + done, false).packets();
    c.wrong += kChunk - clock.time([&] { return c.table->insert(packets, c.way); });
    c.table->settle(packets, c.way);
  }
  c.insert_at += replaced;
  return clock.median() / kChunk;
}

void fill(FlowTable& table, Traffic& traffic, size_t& wrong) {
  for (uint64_t n = 0; n < traffic.size(); n += kChunk) {
    const Packets packets = traffic.opening(n).packets();
    wrong += packets.size() - table.insert(packets, Way::entry);
    table.settle(packets, Way::entry);
  }
}

struct Measured {
  std::vector<Row> rows;
  uint64_t resident_mib = 0, huge_mib = 0;
};

Result<Measured> measure(uint32_t size, const Settings& settings) {
  Traffic traffic(size, settings.seed);
  std::vector<std::unique_ptr<FlowTable>> tables;
  std::vector<Contender> all;
  for (const auto make : {make_conn_table, make_rte_hash, make_flat_hash_map}) {
    auto table = make(size);
    if (!table) {
      return table.error();
    }
    size_t wrong = 0;
    fill(**table, traffic, wrong);
    if (settings.pages == "huge") {
      (*table)->collapse();
    }
    for (const Way way : (*table)->ways()) {
      all.push_back({table->get(), way, {}, {}, {}});
      all.back().wrong = wrong;
    }
    tables.push_back(std::move(*table));
  }
  for (unsigned run = 0; run < settings.runs + 1; ++run) {
    for (Contender& c : all) {
      const double hit = time_hits(c, traffic);
      const double miss = time_misses(c, traffic);
      const double insert = time_inserts(c, traffic);
      if (run > 0) {  // the first warms up
        c.hit.push_back(hit);
        c.miss.push_back(miss);
        c.insert.push_back(insert);
      }
    }
  }
  Measured out;
  for (const Contender& c : all) {
    out.rows.push_back({size, c.table->name(), c.way, figure_of(c.hit), figure_of(c.miss),
                        figure_of(c.insert), static_cast<double>(c.table->index_bytes()) / size,
                        static_cast<double>(c.table->entry_bytes()), c.wrong});
  }
  constexpr const char* kMaps = "smaps_rollup";
  out.resident_mib = kib_of(kMaps, "Rss:") / 1024;
  out.huge_mib = (kib_of(kMaps, "AnonHugePages:") + kib_of(kMaps, "ShmemPmdMapped:")) / 1024;
  return out;
}

// Of all tables of this size and what is needed to ask them, with room for others.
uint64_t bytes_needed(uint64_t size) {
  return size * (3 * 128 + 24 + 48 + 16) + rte_hash_bytes(static_cast<uint32_t>(size)) +
         (uint64_t{1} << 30);
}

const char* reads(Way way) {
  switch (way) {
    case Way::index:
      return "index only";
    case Way::entry:
      return "and entry";
    case Way::ahead:
      return "and entry, prefetch()";
  }
  return "";
}

void print_figure(const Figure& f) {
  std::printf(" %7.1f (%6.1f-%6.1f)", f.median, f.least, f.most);
}

void print_header(const Settings& s) {
  std::printf("%s\n", machine().c_str());
  std::printf(
      "median (least-most) of %u runs, ns per packet; bursts of 64, one thread\n"
      "index only: the flow's key was compared.  and entry: its record of 128 bytes was\n"
      "fetched, too, and compared; at insertion, written.\n\n",
      s.runs);
  std::printf("%-20s %-21s %-23s %-23s %-23s %8s %8s\n", "table", "reads", "    look-up, hit",
              "    look-up, miss", "    insertion", "B index", "B entry");
}

void print_table(uint32_t size, const Measured& m) {
  std::printf("%u flows; %lu of %lu MiB on huge pages\n", size, m.huge_mib, m.resident_mib);
  for (const Row& row : m.rows) {
    std::printf("%-20s %-21s", row.subject.c_str(), reads(row.way));
    print_figure(row.hit);
    print_figure(row.miss);
    print_figure(row.insert);
    std::printf(" %8.1f %8.0f\n", row.index_bytes, row.entry_bytes);
  }
  std::fflush(stdout);
}

nlohmann::json figure_json(const Figure& f) {
  return {{"median", f.median}, {"least", f.least}, {"most", f.most}};
}

void add_json(const Measured& m, nlohmann::json& results) {
  for (const Row& row : m.rows) {
    results.push_back({{"flows", row.flows},
                       {"subject", row.subject},
                       {"reads", reads(row.way)},
                       {"hit_ns", figure_json(row.hit)},
                       {"miss_ns", figure_json(row.miss)},
                       {"insert_ns", figure_json(row.insert)},
                       {"index_bytes_per_flow", row.index_bytes},
                       {"entry_bytes_per_flow", row.entry_bytes},
                       {"wrong", row.wrong},
                       {"resident_mib", m.resident_mib},
                       {"huge_page_mib", m.huge_mib}});
  }
}

Status start(const Settings& settings) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(settings.core, &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
    return Error{"core " + std::to_string(settings.core) + " is not there"};
  }
  // Before any memory is asked for.
  prctl(PR_SET_THP_DISABLE, settings.pages == "plain" ? 1 : 0, 0, 0, 0);
  const uint64_t largest = *std::max_element(settings.sizes.begin(), settings.sizes.end());
  const uint64_t heap = rte_hash_bytes(static_cast<uint32_t>(largest));
  Status up = start_eal({"", static_cast<unsigned>((heap + heap / 4) >> 20) + 64});
  if (up) {
    make_dpdk_heap_anonymous();
  }
  return up;
}

int run(const Settings& settings) {
  if (const Status up = start(settings); !up) {
    std::fprintf(stderr, "%s\n", up.error().what.c_str());
    return 2;
  }
  const bool table = settings.output == "table";
  nlohmann::json out = {{"machine", machine()},    {"tsc_hz", rte_get_tsc_hz()},
                        {"runs", settings.runs},   {"seed", settings.seed},
                        {"pages", settings.pages}, {"results", nlohmann::json::array()}};
  if (table) {
    print_header(settings);
  }
  size_t wrong = 0;
  for (const uint64_t size : settings.sizes) {
    if (bytes_needed(size) > available_bytes()) {
      std::fprintf(stderr, "%lu flows: skipped, needs %lu MiB of memory and %lu are there\n",
                   size, bytes_needed(size) >> 20, available_bytes() >> 20);
      continue;
    }
    const auto measured = measure(static_cast<uint32_t>(size), settings);
    if (!measured) {
      std::fprintf(stderr, "%s\n", measured.error().what.c_str());
      return 1;
    }
    table ? print_table(static_cast<uint32_t>(size), *measured)
          : add_json(*measured, out["results"]);
    for (const Row& row : measured->rows) {
      wrong += row.wrong;
    }
  }
  if (!table) {
    std::printf("%s\n", out.dump(2).c_str());
  }
  if (wrong != 0) {
    std::fprintf(stderr, "%zu answers were wrong\n", wrong);
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::perf

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  using namespace sluice::perf;
  Settings s;
  CLI::App app{"The connection table beside rte_hash and absl::flat_hash_map, in memory"};
  app.add_option("--sizes", s.sizes, "numbers of flows, such as 64k and 16M (of 1024)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{8192}, uint64_t{1} << 26));
  app.add_option("--runs", s.runs, "runs, of which the median counts")
      ->check(CLI::Range(9u, 1001u));
  app.add_option("--core", s.core, "the CPU to run on");
  app.add_option("--seed", s.seed, "of flows and their order");
  app.add_option("--pages", s.pages, "huge (transparent ones) or plain, under all tables")
      ->check(CLI::IsMember({"huge", "plain"}));
  app.add_option("-o,--output", s.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return run(s);
}
