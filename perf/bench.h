// SPDX-License-Identifier: Apache-2.0
// What a benchmark of the packet path runs on: one core, DPDK without devices, and frames that
// lie ready as in a NIC's ring.
//
// One per process; the thread that made it is the one that is pinned.
#ifndef SLUICE_PERF_BENCH_H_
#define SLUICE_PERF_BENCH_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "classifier/result.h"
#include "fastpath/buffers.h"

struct rte_mbuf;
struct rte_mempool;

namespace sluice::perf {

class Bench {
 public:
  // Pins the caller to `core`, starts EAL and takes `frames` of four times as many buffers.
  static Result<Bench> start(unsigned core, unsigned frames);
  Bench(Bench&&) = default;
  Bench& operator=(Bench&&) = delete;
  ~Bench();

  rte_mempool* pool() const { return buffers_->pool(); }
  std::span<rte_mbuf*> frames() { return frames_; }

 private:
  Bench(std::unique_ptr<Buffers> buffers, std::vector<rte_mbuf*> frames)
      : buffers_(std::move(buffers)), frames_(std::move(frames)) {}

  std::unique_ptr<Buffers> buffers_;
  std::vector<rte_mbuf*> frames_;
};

// How many KiB a file of /proc/self says for `key`; 0: it does not say.
uint64_t kib_of(const char* file, std::string_view key);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_BENCH_H_
