// SPDX-License-Identifier: Apache-2.0
// A port without a device that gives the same frames over and over, as a NIC that never rests:
// receive takes a buffer from the pool and copies the next prepared frame into it, transmit
// counts and gives the buffer back.
//
// The worker that owns the port receives and transmits; the benchmark's thread loads it, and
// only while nothing is under way: after as many frames were sent, by all ports together, as
// were loaded.
#ifndef SLUICE_PERF_ENDLESS_PORT_H_
#define SLUICE_PERF_ENDLESS_PORT_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "fastpath/port.h"

struct rte_mempool;

namespace sluice::perf {

class EndlessPort : public Port {
 public:
  struct Frame {
    static constexpr size_t kMost = 94;
    uint16_t bytes = 0;
    std::array<uint8_t, kMost> data;
  };
  static Frame frame_of(const rte_mbuf* frame);

  // Frames come from `pool`; only every `every`th call of receive finds any, beginning with
  // number `first`.
  EndlessPort(Info info, rte_mempool* pool, unsigned every, unsigned first)
      : Port(std::move(info)), pool_(pool), every_(every), polls_(every - first) {}

  // What it gives from now on, until it has given `count`.  REQUIRES: frames is not empty, or
  // count is 0.
  void load(std::vector<Frame> frames, uint64_t count);
  // As many again of the same.
  void repeat(uint64_t count);
  uint64_t sent() const { return sent_.load(std::memory_order_acquire); }
  // The TSC when the last frame was sent.
  uint64_t last_sent() const { return last_sent_.load(std::memory_order_acquire); }

  unsigned receive(std::span<rte_mbuf*> out) noexcept override;
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override;

 private:
  rte_mempool* pool_;
  const unsigned every_;
  unsigned polls_;
  std::vector<Frame> frames_;
  size_t next_ = 0;
  uint64_t given_ = 0;
  std::atomic<uint64_t> to_give_{0};  // since it was made
  // Written by the worker that sends, read by the benchmark.
  alignas(64) std::atomic<uint64_t> sent_{0};
  std::atomic<uint64_t> last_sent_{0};
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_ENDLESS_PORT_H_
