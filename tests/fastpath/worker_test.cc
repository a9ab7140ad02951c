// SPDX-License-Identifier: Apache-2.0
// Two workers on memory ports while control swaps views under them: built for ThreadSanitizer.
#include "fastpath/worker.h"

#include <array>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>

#include <gtest/gtest.h>
#include <rte_mempool.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/packet_builder.h"

namespace sluice {
namespace {

using test::Bytes;
using test::Frame;
using test::ip;

constexpr MacAddress kCalico{{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};
constexpr MacAddress kPodMac{{2, 0, 0, 0, 1, 1}};
constexpr uint32_t kFrames = 60000;  // that a pod sends at the least
constexpr uint32_t kFlows = 8000;    // of each pod; both pods' stay far below the table's 65536
constexpr unsigned kSwaps = 300;
constexpr std::chrono::seconds kPatience{30};

// The free buffers of a pool, under a lock.  DPDK's own free list lives in a library that is
// not instrumented: ThreadSanitizer would not see that giving a buffer back comes before
// taking it again.
struct FreeList {
  std::mutex lock;
  std::vector<void*> buffers;
};

FreeList& free_list(const rte_mempool* pool) {
  return *static_cast<FreeList*>(pool->pool_data);
}

// One pool is made, and stays: it is in memory of DPDK's, where a leak checker does not look.
int make_free_list(rte_mempool* pool) {
  static FreeList list;
  pool->pool_data = &list;
  return 0;
}

void end_free_list(rte_mempool*) {}

int give_back(rte_mempool* pool, void* const* buffers, unsigned count) {
  FreeList& list = free_list(pool);
  const std::lock_guard held(list.lock);
  list.buffers.insert(list.buffers.end(), buffers, buffers + count);
  return 0;
}

int take(rte_mempool* pool, void** buffers, unsigned count) {
  FreeList& list = free_list(pool);
  const std::lock_guard held(list.lock);
  if (list.buffers.size() < count) {
    return -ENOBUFS;
  }
  std::copy_n(list.buffers.end() - count, count, buffers);
  list.buffers.resize(list.buffers.size() - count);
  return 0;
}

unsigned count_free(const rte_mempool* pool) {
  FreeList& list = free_list(pool);
  const std::lock_guard held(list.lock);
  return static_cast<unsigned>(list.buffers.size());
}

rte_mempool* locked_pool() {
  static rte_mempool* const made = [] {
    test::start_eal();
    rte_mempool_ops ops{};
    std::strcpy(ops.name, "locked");
    ops.alloc = make_free_list;
    ops.free = end_free_list;
    ops.enqueue = give_back;
    ops.dequeue = take;
    ops.get_count = count_free;
    return rte_mempool_register_ops(&ops) < 0
               ? nullptr
               : rte_pktmbuf_pool_create_by_ops("locked", 1023, 0, kPrivateBytes,
                                                RTE_PKTMBUF_HEADROOM + kFrameRoom,
                                                SOCKET_ID_ANY, ops.name);
  }();
  return made;
}

// Polls of all SourcePorts.  Of a worker that has one of them, these are its turns.
std::atomic<uint64_t> turns{0};

// Gives out `frame` again and again, with a new source port each time, `total` times.
class SourcePort : public Port {
 public:
  SourcePort(std::string name, Bytes frame, bool sends)
      : Port(Info{std::move(name), kCalico, 1500, true, true}),
        frame_(std::move(frame)),
        sends_(sends) {}
  unsigned receive(std::span<rte_mbuf*> out) noexcept override {
    turns.fetch_add(1, std::memory_order_relaxed);
    unsigned n = 0;
    const bool sends = sends_.load(std::memory_order_acquire);
    while (n < std::min<size_t>(out.size(), 8) && sends) {
      rte_mbuf* frame = rte_pktmbuf_alloc(locked_pool());
      if (frame == nullptr) {
        break;
      }
      auto* to = rte_pktmbuf_append(frame, static_cast<uint16_t>(frame_.size()));
      test::put16(frame_, 34, static_cast<uint16_t>(1 + (given() + n) % kFlows));
      std::copy(frame_.begin(), frame_.end(), reinterpret_cast<uint8_t*>(to));
      out[n++] = frame;
    }
    given_.fetch_add(n, std::memory_order_release);
    silent_.store(!sends, std::memory_order_release);
    return n;
  }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    rte_pktmbuf_free_bulk(frames.data(), static_cast<unsigned>(frames.size()));
    sent_.fetch_add(frames.size(), std::memory_order_relaxed);
    return static_cast<unsigned>(frames.size());
  }
  // Ends the sending; true once it has ended.
  bool end() {
    sends_.store(false, std::memory_order_release);
    return silent_.load(std::memory_order_acquire);
  }
  uint64_t given() const { return given_.load(std::memory_order_acquire); }
  uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }

 private:
  Bytes frame_;
  std::atomic<bool> sends_;
  std::atomic<bool> silent_{false};
  std::atomic<uint64_t> given_{0};
  std::atomic<uint64_t> sent_{0};
};

// Gives out a frame when told to, and wakes who waits for it, as an AF_XDP socket does.  What
// is sent to it has gone when it was polled three times.
class QuietPort : public Port {
 public:
  QuietPort() : Port(Info{"quiet", kCalico, 1500, true, true}) {}
  ~QuietPort() override { close(event_); }
  void give() {
    began_ = turns.load();
    const uint64_t one = 1;
    EXPECT_EQ(write(event_, &one, sizeof(one)), ssize_t{sizeof(one)});
    waiting_.store(true, std::memory_order_release);
  }
  unsigned receive(std::span<rte_mbuf*> out) noexcept override {
    polls_.fetch_add(1, std::memory_order_relaxed);
    if (const unsigned going = going_.load(); going > 0) {
      going_.store(going - 1);
      took_ = turns.load() - began_;
    }
    if (!waiting_.exchange(false, std::memory_order_acquire)) {
      return 0;
    }
    took_ = turns.load() - began_;
    uint64_t ignored = 0;
    EXPECT_EQ(read(event_, &ignored, sizeof(ignored)), ssize_t{sizeof(ignored)});
    static const Bytes frame =
        Frame().ether(kCalico, kPodMac).ip4("10.0.0.1", "10.0.0.2").udp(1, 9);
    out[0] = rte_pktmbuf_alloc(locked_pool());
    std::memcpy(rte_pktmbuf_append(out[0], static_cast<uint16_t>(frame.size())), frame.data(),
                frame.size());
    return 1;
  }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    rte_pktmbuf_free_bulk(frames.data(), static_cast<unsigned>(frames.size()));
    began_ = turns.load();
    going_.store(3);
    sent_.fetch_add(frames.size());
    return static_cast<unsigned>(frames.size());
  }
  bool busy() const noexcept override { return going_.load() > 0; }
  int wait_fd() const noexcept override { return event_; }
  uint64_t polls() const { return polls_.load(std::memory_order_relaxed); }
  uint64_t sent() const { return sent_.load(); }
  // Turns until the frame given last was taken, or what was sent last had gone.
  uint64_t took() const { return took_.load(); }

 private:
  const int event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::atomic<bool> waiting_{false};
  std::atomic<unsigned> going_{0};
  std::atomic<uint64_t> polls_{0}, sent_{0}, began_{0}, took_{0};
};

std::shared_ptr<const Generation> generation(uint64_t number, bool allow) {
  auto set = std::make_shared<RuleSet>();
  Rule rule;
  rule.action = allow ? Action::allow : Action::deny;
  rule.counter = allow ? 0 : 1;
  set->lists = {RuleList{{rule}}};
  set->programs = {{{{{0}, TierEnd::deny, false, 2}}}};
  auto table = std::make_shared<RouteTable>();
  table->version = static_cast<uint32_t>(number);
  table->routes = {{RouteKind::endpoint, 0, {}, {}}, {RouteKind::endpoint, 1, {}, {}}};
  const Lpm4::Entry entries[] = {{parse_prefix("10.0.0.1/32").value(), 0},
                                 {parse_prefix("10.0.0.2/32").value(), 1}};
  table->lpm = Lpm4(entries);
  auto g = std::make_shared<Generation>();
  g->number = number;
  g->options.verify_l4_control = false;
  g->linear = std::make_shared<const Linear>(set);
  g->routes = table;
  for (uint8_t i = 0; i < 2; ++i) {
    Endpoint e;
    e.port = static_cast<PortId>(kFirstPodPort + i);
    e.worker = i;
    e.ready = true;
    e.ingress = 0;
    e.egress = 0;
    e.addresses = {Ip4{ip("10.0.0.1").value + i}};
    e.mac = kPodMac;
    g->by_address[e.addresses[0]] = i;
    g->endpoints.push_back(e);
  }
  g->endpoint_of_port = {kNoEndpoint, kNoEndpoint, 0, 1};
  EXPECT_TRUE(compile(*g, {}, nullptr));
  return g;
}

std::unique_ptr<View> view(uint64_t serial, bool allow, SourcePort& a, SourcePort& b) {
  auto v = std::make_unique<View>();
  v->serial = serial;
  v->generation = generation(serial, allow);
  v->serve(kFirstPodPort, &a, 0);
  v->serve(kFirstPodPort + 1, &b, 1);
  return v;
}

unsigned some_core() {
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof(cpus), &cpus);
  for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &cpus)) {
      return core;
    }
  }
  return 0;
}

// Two workers that run, each with a pod; both pods send to each other, if asked, until told to
// end.  The first view may deny all.
class WorkerTest : public testing::Test {
 protected:
  void start(bool sends, bool poll, bool allow = true) {
    ASSERT_NE(locked_pool(), nullptr);
    auto made = Published::create(2);
    ASSERT_TRUE(made);
    published_ = std::move(*made);
    a_.emplace("a", Frame().ether(kCalico, kPodMac).ip4("10.0.0.1", "10.0.0.2").udp(1, 9),
               sends);
    b_.emplace("b", Frame().ether(kCalico, kPodMac).ip4("10.0.0.2", "10.0.0.1").udp(1, 9),
               sends);
    for (uint8_t id = 0; id < 2; ++id) {
      Worker::Options o;
      o.id = id;
      o.count = 2;
      o.core = some_core();
      o.poll = poll;
      o.rule_counters = 16;
      o.connections.max = 65536;
      auto worker = Worker::create(o, *published_, neighbours_, locked_pool());
      ASSERT_TRUE(worker);
      workers_.push_back(std::move(*worker));
    }
    ASSERT_TRUE(Worker::connect(workers_));
    ASSERT_TRUE(swap(1, allow, kPatience));
    for (auto& worker : workers_) {
      ASSERT_TRUE(worker->start());
    }
  }
  // Puts another view in the place of the one that is there.
  bool swap(uint64_t serial, bool allow, std::chrono::milliseconds patience) {
    return published_->replace(view(serial, allow, *a_, *b_), patience);
  }
  // Frames received on a port, and those that have had their fate.
  std::pair<uint64_t, uint64_t> sums(PortId port) const {
    uint64_t rx = 0;
    uint64_t fates = 0;
    for (const auto& worker : workers_) {
      rx += worker->counters().port(port).rx_packets.get();
      for (const Counter& fate : worker->counters().port(port).fates) {
        fates += fate.get();
      }
    }
    return {rx, fates};
  }
  template <typename So>
  static void wait_until(const So& so) {
    for (int i = 0; i < 500000 && !so(); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    EXPECT_TRUE(so());
  }
  // Takes what was sampled of the drops; how many.
  uint64_t take_samples() {
    uint64_t samples = 0;
    DropSample sample;
    for (auto& worker : workers_) {
      while (worker->drop_samples().take(sample)) {
        ++samples;
        EXPECT_EQ(sample.head_bytes, 42) << name(sample.reason);
      }
    }
    return samples;
  }

  Neighbours neighbours_;
  std::unique_ptr<Published> published_;
  std::optional<SourcePort> a_, b_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

TEST_F(WorkerTest, LosesNothingWhileViewsAreSwapped) {
  ASSERT_NE(locked_pool(), nullptr);
  const unsigned before = rte_mempool_avail_count(locked_pool());
  // Every second view denies all, the first among them: flows are new when they meet it, and
  // what a view has allowed once stays allowed.
  ASSERT_NO_FATAL_FAILURE(start(true, false, false));
  uint64_t samples = 0;
  wait_until([&] { return (samples += take_samples()) > 0; });
  uint64_t serial = 1;
  while (serial < kSwaps) {
    ++serial;
    ASSERT_TRUE(swap(serial, serial % 2 == 0, kPatience));
    take_samples();
  }
  wait_until([&] { return std::min(a_->given(), b_->given()) >= kFrames && a_->sent() > 0; });
  wait_until([&] { return a_->end() && b_->end(); });
  // What is under way between the workers arrives within a bounded time.
  wait_until(
      [&] { return sums(2).first == sums(2).second && sums(3).first == sums(3).second; });
  for (const auto& [port, source] : {std::pair{PortId{2}, &*a_}, std::pair{PortId{3}, &*b_}}) {
    EXPECT_GE(source->given(), kFrames);
    EXPECT_EQ(sums(port).first, source->given());
    EXPECT_EQ(sums(port).second, source->given());
  }
  uint32_t listed = 0;
  EXPECT_TRUE(workers_[0]->call([&](const ConnTable& table) { listed = table.size(); }));
  EXPECT_GT(listed, 0u);
  for (auto& worker : workers_) {
    worker->stop();
    for (size_t r = 1; r < kDropReasons; ++r) {
      const auto reason = static_cast<DropReason>(r);
      const bool policy =
          reason == DropReason::policy_deny_egress || reason == DropReason::policy_deny_ingress;
      // A ring between two workers on one core may fill; nothing else may happen.
      if (!policy && reason != DropReason::res_tx) {
        EXPECT_EQ(worker->counters().drops[r].get(), 0u) << name(reason);
      }
    }
  }
  take_samples();
  EXPECT_GT(a_->sent() + b_->sent(), 0u);
  workers_.clear();
  EXPECT_EQ(rte_mempool_avail_count(locked_pool()), before);
}

// Forty pods of worker 0's that are silent but for a frame now and then, of which the first
// two are A and B; and one that never is silent, if so asked.
class CrowdTest : public WorkerTest {
 protected:
  void crowd(uint64_t serial, bool busy) {
    auto next = std::make_unique<View>();
    auto moved = std::make_shared<Generation>(*generation(serial, true));
    moved->endpoints[1].worker = 0;
    next->serial = serial;
    next->generation = moved;
    for (size_t n = 0; n < quiet_.size(); ++n) {
      next->serve(port(n), &quiet_[n], 0);
    }
    if (busy) {
      next->serve(port(quiet_.size()), &busy_, 0);
    }
    ASSERT_TRUE(published_->replace(std::move(next), kPatience));
  }
  void TearDown() override {
    for (auto& worker : workers_) {
      worker->stop();  // before the ports go
    }
  }
  static PortId port(size_t n) { return static_cast<PortId>(kFirstPodPort + n); }
  static void let_pass(uint64_t count) {
    wait_until([until = turns.load() + count] { return turns.load() > until; });
  }
  // The turns from one poll of a port that rests to the next, where nothing tells of it.
  uint64_t round() const {
    let_pass(1000);
    const uint64_t polls = quiet_[2].polls(), before = turns.load();
    wait_until([&] { return quiet_[2].polls() > polls + 5; });
    return (turns.load() - before) / 5;
  }
  static uint64_t median(std::vector<uint64_t> all) {
    std::nth_element(all.begin(), all.begin() + static_cast<ptrdiff_t>(all.size() / 2),
                     all.end());
    return all[all.size() / 2];
  }

  std::array<QuietPort, 40> quiet_;
  SourcePort busy_{"busy",
                   Frame().ether(kCalico, kPodMac).ip4("10.0.0.1", "10.0.0.2").udp(1, 9), true};
};

TEST_F(CrowdTest, AQueueThatRestsIsHeardLongBeforeItsRound) {
  ASSERT_NO_FATAL_FAILURE(start(false, true));
  ASSERT_NO_FATAL_FAILURE(crowd(2, true));
  const uint64_t of_a_round = round();
  EXPECT_GT(of_a_round, 2u) << "it does not rest";
  std::vector<uint64_t> heard;
  for (size_t i = 0; i < quiet_.size(); ++i) {
    const size_t n = i % 5 * 8 + i / 5;  // whose turns in the round lie a whole round apart
    quiet_[n].give();
    wait_until([&] { return sums(port(n)).first == 1; });
    heard.push_back(quiet_[n].took());
  }
  EXPECT_LT(median(heard), of_a_round / 2);
  ASSERT_TRUE(swap(3, true, kPatience));
}

// What was sent there may not be left half done.
TEST_F(CrowdTest, AQueueThatRestsIsPolledUntilItHasSent) {
  ASSERT_NO_FATAL_FAILURE(start(false, true));
  ASSERT_NO_FATAL_FAILURE(crowd(2, true));
  const uint64_t of_a_round = round();
  std::vector<uint64_t> gone;
  for (uint64_t n = 1; n <= 20; ++n) {
    quiet_[0].give();
    wait_until([&] { return quiet_[1].sent() == n && !quiet_[1].busy(); });
    gone.push_back(quiet_[1].took());
    let_pass(200);
  }
  EXPECT_LT(median(gone), of_a_round / 4 + 4);
  ASSERT_TRUE(swap(3, true, kPatience));
}

TEST_F(CrowdTest, AnAdaptiveWorkerHearsThemInItsSleep) {
  ASSERT_NO_FATAL_FAILURE(start(false, false));
  ASSERT_NO_FATAL_FAILURE(crowd(2, false));
  for (size_t n = 0; n < quiet_.size(); ++n) {
    quiet_[n].give();
    wait_until([&] { return sums(port(n)).first == 1; });
    std::this_thread::sleep_for(std::chrono::milliseconds(n % 4));
  }
  ASSERT_TRUE(swap(3, true, kPatience));
}

// Worker 1 stands still in a task of control's, until told to go on.
TEST_F(WorkerTest, KeepsWhatAStalledWorkerMaySeeAndServesTheOthers) {
  constexpr std::chrono::milliseconds kShort{50};
  // A sleeping worker would not be waited for.
  ASSERT_NO_FATAL_FAILURE(start(false, true));
  std::weak_ptr<const Generation> first = published_->view()->generation;
  std::atomic<bool> standing{false};
  std::atomic<bool> go_on{false};
  std::thread staller([&] {
    EXPECT_TRUE(workers_[1]->call([&](const ConnTable&) {
      standing = true;
      while (!go_on) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }));
  });
  while (!standing) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(swap(2, true, kShort));
  EXPECT_FALSE(published_->settled());
  EXPECT_FALSE(published_->settle());
  EXPECT_FALSE(first.expired()) << "freed under a worker that may read it";
  EXPECT_EQ(published_->view()->serial, 2u);
  const uint64_t other = workers_[0]->turns();
  const uint64_t stalled = workers_[1]->turns();
  for (int i = 0; i < 5000 && workers_[0]->turns() == other; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(workers_[0]->turns(), other);
  EXPECT_EQ(workers_[1]->turns(), stalled);

  go_on = true;
  staller.join();
  for (int i = 0; i < 5000 && !published_->settle(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(published_->settled());
  EXPECT_TRUE(first.expired());
  EXPECT_TRUE(swap(3, true, kPatience));
}

}  // namespace
}  // namespace sluice
