// SPDX-License-Identifier: Apache-2.0
// Times chunks of packets by the TSC.  The median chunk stands for the run, so that one that
// was interrupted does not count.
#ifndef SLUICE_PERF_CHUNK_CLOCK_H_
#define SLUICE_PERF_CHUNK_CLOCK_H_

#include <cstdint>
#include <vector>

#include <rte_cycles.h>

#include "perf/figure.h"

namespace sluice::perf {

class ChunkClock {
 public:
  // Returns what `work` does.
  template <typename Work>
  auto time(const Work& work) {
    const Stop stop{*this, rte_rdtsc_precise()};
    return work();
  }
  // Nanoseconds.  REQUIRES: a chunk was timed.
  double median() const { return figure_of(cycles_).median * 1e9 / hz_; }

 private:
  struct Stop {
    ChunkClock& clock;
    uint64_t start;
    ~Stop() { clock.cycles_.push_back(static_cast<double>(rte_rdtsc_precise() - start)); }
  };
  std::vector<double> cycles_;
  double hz_ = static_cast<double>(rte_get_tsc_hz());
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_CHUNK_CLOCK_H_
