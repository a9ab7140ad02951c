// SPDX-License-Identifier: Apache-2.0
#include "perf/bench.h"

#include <fstream>
#include <string>

#include <rte_mbuf.h>
#include <sched.h>

#include "fastpath/eal.h"

namespace sluice::perf {

Result<Bench> Bench::start(unsigned core, unsigned frames) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(core, &cpus);
  if (sched_setaffinity(0, sizeof(cpus), &cpus) != 0) {
    return Error{"core " + std::to_string(core) + " is not there"};
  }
  if (const Status up = start_eal({"", 1024}); !up) {
    return up.error();
  }
  auto buffers = Buffers::create(4 * frames);
  if (!buffers) {
    return buffers.error();
  }
  std::vector<rte_mbuf*> ready(frames);
  if (rte_pktmbuf_alloc_bulk((*buffers)->pool(), ready.data(), frames) != 0) {
    return Error{"no buffers"};
  }
  return Bench(std::move(*buffers), std::move(ready));
}

Bench::~Bench() {
  rte_pktmbuf_free_bulk(frames_.data(), static_cast<unsigned>(frames_.size()));
}

uint64_t kib_of(const char* file, std::string_view key) {
  std::ifstream lines(std::string("/proc/self/") + file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) {
      return std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return 0;
}

}  // namespace sluice::perf
