// SPDX-License-Identifier: Apache-2.0
// One pinned thread: polls its queues and its rings, runs the pipeline, sleeps when idle.
//
// Control creates, starts and stops it; between start and stop its connection table and
// pipeline belong to the thread, and control reaches them only through call().  Under `poll` it
// spins; under adaptive idling it sleeps in epoll after kIdleTurns empty turns, offline for
// RCU, and wakes by a frame, a hand-over, a call or kSleepMs.
#ifndef SLUICE_FASTPATH_WORKER_H_
#define SLUICE_FASTPATH_WORKER_H_

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "classifier/result.h"
#include "fastpath/conntrack.h"
#include "fastpath/output.h"
#include "fastpath/pipeline.h"
#include "fastpath/published.h"

struct rte_ring;

namespace sluice {

class Worker {
 public:
  struct Options {
    uint8_t id = 0;
    uint8_t count = 1;  // workers in all
    unsigned core = 0;
    bool poll = false;  // else adaptive
    uint16_t first_id = 0;
    CounterSlot rule_counters = 0;
    ConnTable::Options connections;
  };

  static Result<std::unique_ptr<Worker>> create(const Options& options, Published& published,
                                                Neighbours& neighbours, rte_mempool* pool);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Gives every pair of workers their rings.  Before any start().
  static Status connect(std::vector<std::unique_ptr<Worker>>& workers);

  Status start();
  void stop();  // returns when the thread has ended; twice is fine

  // Runs `task` on the worker between two bursts and waits for it.  False when the worker did
  // not take it within two seconds.
  bool call(const std::function<void(const ConnTable&)>& task);
  void wake() noexcept;

  // The last generation that it has taken up, and when: its next burst was judged by that.
  struct Taken {
    uint64_t generation = 0;  // 0: none yet
    Nanos at = 0;
  };
  Taken taken() const noexcept {
    const uint64_t generation = taken_.load(std::memory_order_acquire);
    return {generation, taken_at_.load(std::memory_order_relaxed)};
  }

  const Counters& counters() const { return counters_; }
  // For one reader.
  DropSamples& drop_samples() { return drop_samples_; }
  const Options& options() const { return options_; }
  uint64_t turns() const { return turns_.get(); }            // polls of all queues
  uint64_t busy_turns() const { return busy_turns_.get(); }  // of which found frames
  uint32_t connections() const { return connection_count_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned kIdleTurns = 2000;
  static constexpr unsigned kTurnsAwake = 16;  // after a sleep that found nothing
  static constexpr int kSleepMs = 10;
  static constexpr Nanos kTickEvery = 1000000;
  static constexpr size_t kFewQueues = 16;    // are polled sooner than the kernel is asked
  static constexpr unsigned kRestAfter = 64;  // polls that found nothing
  static constexpr Nanos kLookEvery =
      100000;  // for frames of those that rest, while others bring some
  static constexpr uint32_t kRounds = 8;  // ticks, in which each that rests is polled once
  static constexpr unsigned kMaxEvents = 64;
  static constexpr uint32_t kCalled = ~uint32_t{0};  // by event_

  Worker(const Options& options, ConnTable connections, Published& published,
         Neighbours& neighbours, rte_mempool* pool);
  void run() noexcept;
  void adopt(const View& view) noexcept;
  unsigned turn(const View& view, Nanos now) noexcept;
  unsigned poll_queues() noexcept;
  void look(int patience_ms) noexcept;
  void rouse(uint32_t which, unsigned empty) noexcept;
  void rouse_busy() noexcept;
  void rouse_some() noexcept;
  void wake_peers() noexcept;
  void answer_call() noexcept;
  void sleep() noexcept;

  Options options_;
  Published& published_;
  Counters counters_;
  DropSamples drop_samples_;
  ConnTable connections_;
  Output output_;
  Pipeline pipeline_;
  std::vector<rte_ring*> inboxes_;  // from each other worker, owned by us
  std::vector<Worker*> peers_;      // by worker id
  uint64_t seen_ = 0;               // serial of the View whose queues `mine_` lists
  struct Polled {
    View::Queue queue;
    bool wakes_us = false;
    bool rests = false;
    unsigned empty = 0;  // polls since the last that found any
  };
  std::vector<Polled> mine_;
  std::array<uint32_t, kMaxPorts> sends_{};  // by PortId, which of mine_ does, if one
  std::vector<uint32_t> lively_;  // those of mine_ that do not rest: polled in every turn
  Nanos looked_ = 0;              // for frames of the others
  uint32_t round_ = 0;
  bool sleepable_ = true;  // every queue of ours can wake us
  int epoll_ = -1;
  int event_ = -1;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> stop_{false};
  std::atomic<const std::function<void(const ConnTable&)>*> task_{nullptr};
  std::atomic<uint32_t> connection_count_{0};
  std::atomic<uint64_t> taken_{0};  // number of the generation
  std::atomic<Nanos> taken_at_{0};
  Counter turns_;
  Counter busy_turns_;
  std::thread thread_;
};

// Nanoseconds of CLOCK_MONOTONIC.
Nanos monotonic_now() noexcept;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_WORKER_H_
