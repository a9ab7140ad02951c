// SPDX-License-Identifier: Apache-2.0
#include "fastpath/worker.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <system_error>

#include <pthread.h>
#include <rte_atomic.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_ring.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace sluice {
namespace {
constexpr unsigned kRingSize = 4096;
}

Nanos monotonic_now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + static_cast<Nanos>(t.tv_nsec);
}

Worker::Worker(const Options& options, ConnTable connections, Published& published,
               Neighbours& neighbours, rte_mempool* pool)
    : options_(options),
      published_(published),
      counters_(options.rule_counters),
      drop_samples_(options.count),
      connections_(std::move(connections)),
      output_(options.id, counters_, neighbours, pool),
      pipeline_(
          {options.id, options.count, options.first_id, false, options.connections.hash_key},
          connections_, output_) {
  output_.sample_drops(&drop_samples_);
}

Result<std::unique_ptr<Worker>> Worker::create(const Options& options, Published& published,
                                               Neighbours& neighbours, rte_mempool* pool) {
  ConnTable::Options size = options.connections;
  size.tables = options.count;
  auto table = ConnTable::make(size);
  if (!table) {
    return table.error();
  }
  std::unique_ptr<Worker> w(
      new Worker(options, std::move(*table), published, neighbours, pool));
  w->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  w->event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (w->epoll_ < 0 || w->event_ < 0) {
    return Error{std::string("worker: cannot make its epoll set: ") +
                 std::generic_category().message(errno)};
  }
  return w;
}

Worker::~Worker() {
  stop();
  for (rte_ring* ring : inboxes_) {
    rte_ring_free(ring);
  }
  if (epoll_ >= 0) {
    close(epoll_);
  }
  if (event_ >= 0) {
    close(event_);
  }
}

Status Worker::connect(std::vector<std::unique_ptr<Worker>>& workers) {
  for (auto& to : workers) {
    for (auto& from : workers) {
      from->peers_.resize(workers.size());
      from->peers_[to->options_.id] = to.get();
      if (to == from) {
        continue;
      }
      const std::string name =
          "sluice_" + std::to_string(from->options_.id) + "_" + std::to_string(to->options_.id);
      rte_ring* ring = rte_ring_create(name.c_str(), kRingSize, SOCKET_ID_ANY,
                                       RING_F_SP_ENQ | RING_F_SC_DEQ);
      if (ring == nullptr) {
        return Error{"no memory for the ring " + name};
      }
      to->inboxes_.push_back(ring);
      from->output_.connect(to->options_.id, ring);
    }
  }
  return Ok{};
}

Status Worker::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(options_.core, &cpus);
  const int error = pthread_setaffinity_np(thread_.native_handle(), sizeof(cpus), &cpus);
  if (error != 0) {
    stop();
    return Error{"workers.cores: cannot pin a worker to core " + std::to_string(options_.core) +
                     ": " + std::generic_category().message(error),
                 "`nproc` and `taskset -p 1` show which cores there are"};
  }
  const std::string name = "sluice-w" + std::to_string(options_.id);
  pthread_setname_np(thread_.native_handle(), name.c_str());
  return Ok{};
}

void Worker::stop() {
  stop_ = true;
  wake();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Worker::wake() noexcept {
  if (event_ >= 0) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(event_, &one, sizeof(one));
  }
}

bool Worker::call(const std::function<void(const ConnTable&)>& task) {
  task_.store(&task, std::memory_order_release);
  wake();
  for (int i = 0; i < 20000; ++i) {
    if (task_.load(std::memory_order_acquire) == nullptr) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  // Take it back, unless the worker is in it just now: then it must end first.
  const std::function<void(const ConnTable&)>* mine = &task;
  if (task_.compare_exchange_strong(mine, nullptr)) {
    return false;
  }
  while (task_.load(std::memory_order_acquire) != nullptr) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

void Worker::answer_call() noexcept {
  static const std::function<void(const ConnTable&)> running;
  const auto* task = task_.load(std::memory_order_acquire);
  if (task == nullptr || !task_.compare_exchange_strong(task, &running)) {
    return;
  }
  (*task)(connections_);
  task_.store(nullptr, std::memory_order_release);
}

// A new view: list the queues that are ours and wait on their descriptors from now on.
void Worker::adopt(const View& view) noexcept {
  seen_ = view.serial;
  mine_.clear();
  lively_.clear();
  sleepable_ = true;
  close(epoll_);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = kCalled;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, event_, &event);
  for (const View::Queue& queue : view.queues) {
    if (queue.worker != options_.id) {
      continue;
    }
    const int fd = queue.of->wait_fd();
    event.data.u32 = static_cast<uint32_t>(mine_.size());
    lively_.push_back(event.data.u32);
    mine_.push_back({queue, fd >= 0});
    if (view.way_out(queue.port, options_.id) == queue.of) {
      sends_[queue.port] = event.data.u32;
    }
    sleepable_ = sleepable_ && fd >= 0;
    if (fd >= 0) {
      epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
  }
  // Ports alone may have changed.
  if (view.generation->number != taken_.load(std::memory_order_relaxed)) {
    taken_at_.store(monotonic_now(), std::memory_order_relaxed);
    taken_.store(view.generation->number, std::memory_order_release);
  }
}

// Hundreds of pods that send nothing must not slow down those that do: their queues rest, and
// the kernel tells of their frames.
unsigned Worker::poll_queues() noexcept {
  std::array<rte_mbuf*, kMaxBurst> frames;
  unsigned found = 0;
  for (size_t i = 0; i < lively_.size();) {
    Polled& polled = mine_[lively_[i]];
    const unsigned n = polled.queue.of->receive(frames);
    if (n > 0) {
      pipeline_.receive({frames.data(), n}, polled.queue.port);
      found += n;
    }
    polled.empty = n > 0 ? 0 : polled.empty + 1;
    polled.rests = mine_.size() > kFewQueues && polled.wakes_us && polled.empty >= kRestAfter &&
                   !polled.queue.of->busy();
    if (polled.rests) {
      lively_[i] = lively_.back();
      lively_.pop_back();
    } else {
      ++i;
    }
  }
  return found;
}

// Rouses what has frames; waits for the first.
void Worker::look(int patience_ms) noexcept {
  std::array<epoll_event, kMaxEvents> events;
  const int n = epoll_wait(epoll_, events.data(), kMaxEvents, patience_ms);
  for (int i = 0; i < n; ++i) {
    if (events[static_cast<size_t>(i)].data.u32 != kCalled) {
      rouse(events[static_cast<size_t>(i)].data.u32, 0);
    }
  }
}

void Worker::rouse(uint32_t which, unsigned empty) noexcept {
  Polled& polled = mine_[which];
  if (polled.rests) {
    polled.rests = false;
    polled.empty = empty;
    lively_.push_back(which);
  }
}

// Those that were sent to and are not done.  Before the next view, which numbers them anew.
void Worker::rouse_busy() noexcept {
  for (const PortId port : output_.take_busy()) {
    rouse(sends_[port], kRestAfter - 1);
  }
}

// An eighth of them, for one poll: the buffers that they have sent come back.
void Worker::rouse_some() noexcept {
  round_ = (round_ + 1) % kRounds;
  for (uint32_t which = round_; which < mine_.size(); which += kRounds) {
    rouse(which, kRestAfter - 1);
  }
}

unsigned Worker::turn(const View& view, Nanos now) noexcept {
  pipeline_.begin(view, now);
  unsigned found = poll_queues();
  std::array<rte_mbuf*, kMaxBurst> frames;
  for (rte_ring* ring : inboxes_) {
    const unsigned n = rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(frames.data()),
                                                 kMaxBurst, nullptr);
    if (n > 0) {
      pipeline_.resume({frames.data(), n});
      found += n;
    }
  }
  pipeline_.age();
  if (lively_.size() < mine_.size() && (found == 0 || now - looked_ >= kLookEvery)) {
    looked_ = now;
    look(0);
  }
  return found;
}

// Those that got something and may sleep.
void Worker::wake_peers() noexcept {
  uint64_t wakes = output_.take_wakes();
  if (wakes == 0) {
    return;
  }
  // What the peer's ring got must be seen before we believe that it does not sleep.
  rte_smp_mb();
  for (; wakes != 0; wakes &= wakes - 1) {
    Worker* peer = peers_[static_cast<size_t>(__builtin_ctzll(wakes))];
    if (peer->asleep_.load(std::memory_order_seq_cst)) {
      peer->wake();
    }
  }
}

void Worker::run() noexcept {
  rte_thread_register();
  published_.enter(options_.id);
  unsigned idle = 0;
  Nanos ticked = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    const View* view = published_.view();
    if (view != nullptr && view->serial != seen_) {
      adopt(*view);
    }
    unsigned found = 0;
    if (view != nullptr) {
      const Nanos now = monotonic_now();
      found = turn(*view, now);
      if (now - ticked >= kTickEvery) {
        pipeline_.tick();
        rouse_some();
        ticked = now;
        connection_count_.store(connections_.size(), std::memory_order_relaxed);
      }
      wake_peers();
      rouse_busy();
    }
    answer_call();
    turns_.add(1);
    busy_turns_.add(found > 0 ? 1 : 0);
    published_.quiescent(options_.id);
    idle = found > 0 ? 0 : idle + 1;
    if (idle > kIdleTurns && !options_.poll) {
      sleep();
      idle = kIdleTurns - kTurnsAwake;
    } else if (found == 0) {
      rte_pause();
    }
  }
  pipeline_.free_held();
  published_.leave(options_.id);
  rte_thread_unregister();
}

void Worker::sleep() noexcept {
  published_.offline(options_.id);
  if (!sleepable_) {
    // A polled device cannot wake us: 200 µs is the price of idling on one.
    const timespec nap{0, 200000};
    nanosleep(&nap, nullptr);
    published_.online(options_.id);
    return;
  }
  asleep_.store(true, std::memory_order_seq_cst);
  bool empty = task_.load() == nullptr && !stop_.load();
  for (rte_ring* ring : inboxes_) {
    empty = empty && rte_ring_empty(ring) != 0;
  }
  if (empty) {
    look(kSleepMs);
    uint64_t ignored = 0;
    [[maybe_unused]] const ssize_t n = ::read(event_, &ignored, sizeof(ignored));
  }
  asleep_.store(false, std::memory_order_relaxed);
  published_.online(options_.id);
}

}  // namespace sluice
