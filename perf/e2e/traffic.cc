// SPDX-License-Identifier: Apache-2.0
#include "perf/e2e/traffic.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perf/e2e/soaker.h"

namespace sluice::perf {
namespace {

alignas(8) constexpr unsigned char kTrafficBytes[] = {
#include "perf/e2e/traffic_bytes.h"
};

constexpr double kOpeningRate =
    100'000;  // slow enough that no ring loses a flow's first packet
constexpr double kPatienceNs = 10e9;
constexpr uint64_t kNever = ~0ULL;

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::system_error(error < 0 ? -error : error, std::generic_category(), what);
}

// The calling thread is in a network namespace as long as this lives.
class Entered {
 public:
  explicit Entered(const std::string& space)
      : before_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    const int inside = open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
    const bool is_in = before_ >= 0 && inside >= 0 && setns(inside, CLONE_NEWNET) == 0;
    const int error = errno;
    if (inside >= 0) {
      close(inside);
    }
    if (!is_in) {
      fail("network namespace " + space, error);
    }
  }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;
  ~Entered() {
    setns(before_, CLONE_NEWNET);
    close(before_);
  }

 private:
  int before_;
};

void look_up(Place& place) {
  const Entered entered(place.space);
  place.index = static_cast<int>(if_nametoindex(place.interface.c_str()));
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  place.interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const int done = ioctl(any, SIOCGIFHWADDR, &request);
  const int error = errno;
  close(any);
  if (done != 0) {
    fail(place.interface + " in " + place.space, error);
  }
  std::memcpy(place.mac.data(), request.ifr_hwaddr.sa_data, place.mac.size());
}

void put16(std::vector<uint8_t>& bytes, size_t at, unsigned value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

void put32(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  put16(bytes, at, value >> 16);
  put16(bytes, at + 2, value & 0xffff);
}

unsigned ip_checksum(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t at = 14; at < 34; at += 2) {
    sum += static_cast<uint32_t>(bytes[at] << 8 | bytes[at + 1]);
  }
  sum = (sum & 0xffff) + (sum >> 16);
  sum += sum >> 16;
  return ~sum & 0xffff;
}

void on_signal(int) {}

// Runs `generate` on a core until end(): what BPF_PROG_TEST_RUN does until a signal.
class Generator {
 public:
  Generator(int program, const std::vector<uint8_t>& frame, const std::string& space,
            unsigned core, unsigned batch)
      : thread_([=, this] { send(program, frame, space, core, batch); }) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator() { end(); }

  // Without end(): something is wrong.
  bool has_ended() const { return ended_.load(); }
  // Returns what went wrong, nothing if all went well.
  std::string end() {
    ending_.store(true);
    while (!ended_.load()) {  // a signal between two runs has no effect: once more
      pthread_kill(thread_.native_handle(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (thread_.joinable()) {
      thread_.join();
    }
    return problem_;
  }

 private:
  void send(int program, std::vector<uint8_t> frame, const std::string& space, unsigned core,
            unsigned batch) {
    try {
      const Entered entered(space);
      if (!pin_to(core)) {
        fail("core " + std::to_string(core), errno);
      }
      bpf_test_run_opts options = {};
      options.sz = sizeof(options);
      options.data_in = frame.data();
      options.data_size_in = static_cast<uint32_t>(frame.size());
      options.repeat = 1 << 30;
      options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
      options.batch_size = batch;
      while (!ending_.load()) {
        const int done = bpf_prog_test_run_opts(program, &options);
        if (done < 0 && done != -EINTR) {
          fail("BPF_PROG_TEST_RUN", done);
        }
      }
    } catch (const std::exception& e) {
      problem_ = e.what();
    }
    ended_.store(true);
  }

  std::atomic<bool> ending_ = false;
  std::atomic<bool> ended_ = false;
  std::string problem_;
  std::thread thread_;
};

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

double now_ns() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// What grows while traffic flows.
struct Reading {
  double at_ns;
  uint64_t idle;
  Outcome sums;
};

Reading read_all(const traffic_state& live,
                 const std::vector<std::unique_ptr<Soaker>>& soakers) {
  const volatile traffic_state& state = live;
  Reading reading = {now_ns(), state.idle, {}};
  reading.sums.sent = state.sent;
  reading.sums.skipped = state.skipped;
  reading.sums.received = state.received;
  reading.sums.received_bytes = state.received_bytes;
  for (const auto& soaker : soakers) {
    reading.sums.free_ns.push_back(soaker->free_ns());
  }
  for (const volatile auto& count : state.latencies) {
    reading.sums.latencies.push_back(count);
  }
  return reading;
}

// Nanoseconds that a call of the generator takes in which no packet is due: the least of
// several tries, as others may want its core, too.
double time_idle_calls(const volatile traffic_state& state) {
  sleep_s(0.02);
  double least = 1e9;
  for (int tries = 0; tries < 10; tries++) {
    const double began = now_ns();
    const uint64_t before = state.idle;
    sleep_s(0.005);
    const uint64_t calls = state.idle - before;
    if (calls > 0) {
      least = std::min(least, (now_ns() - began) / static_cast<double>(calls));
    }
  }
  return least;
}

// `idle_ns`: how long a call takes in which no packet is due.
Outcome difference(const Reading& before, const Reading& after, double idle_ns) {
  Outcome outcome = after.sums;
  outcome.seconds = (after.at_ns - before.at_ns) / 1e9;
  outcome.sent -= before.sums.sent;
  outcome.skipped -= before.sums.skipped;
  outcome.received -= before.sums.received;
  outcome.received_bytes -= before.sums.received_bytes;
  outcome.generator_free_ns =
      std::min(static_cast<double>(after.idle - before.idle) * idle_ns, outcome.seconds * 1e9);
  for (size_t i = 0; i < outcome.free_ns.size(); i++) {
    outcome.free_ns[i] -= before.sums.free_ns[i];
  }
  for (size_t i = 0; i < outcome.latencies.size(); i++) {
    outcome.latencies[i] -= before.sums.latencies[i];
  }
  return outcome;
}

}  // namespace

double bucket_ns(unsigned bucket) {
  if (bucket < 2 * kSteps) {
    return bucket;
  }
  const unsigned shift = bucket / kSteps - 1;
  return static_cast<double>(static_cast<uint64_t>(bucket - shift * kSteps) << shift);
}

Traffic::Traffic(Place from, Place to, std::array<uint8_t, 6> node, const Place* drop_at)
    : from_(std::move(from)), to_(std::move(to)), node_(node) {
  struct sigaction action = {};
  action.sa_handler = on_signal;  // not SA_RESTART: it is to interrupt
  sigaction(SIGUSR1, &action, nullptr);
  look_up(from_);
  look_up(to_);
  object_ = bpf_object__open_mem(kTrafficBytes, sizeof(kTrafficBytes), nullptr);
  if (object_ == nullptr) {
    fail("traffic.bpf.o", errno);
  }
  try {
    if (const int done = bpf_object__load(object_); done != 0) {
      fail("traffic.bpf.o", done);
    }
    map_state();
    sink_at(from_);
    sink_at(to_);
    if (drop_at != nullptr) {
      this->drop_at(*drop_at);
    }
  } catch (...) {
    detach();
    throw;
  }
}

void Traffic::map_state() {
  const int globals = bpf_map__fd(bpf_object__find_map_by_name(object_, ".bss"));
  void* const mapped =
      mmap(nullptr, sizeof(*state_), PROT_READ | PROT_WRITE, MAP_SHARED, globals, 0);
  if (mapped == MAP_FAILED) {
    fail("traffic.bpf.o: its global", errno);
  }
  state_ = static_cast<traffic_state*>(mapped);
}

Traffic::~Traffic() {
  detach();
}

void Traffic::detach() {
  for (const Sink& sink : sinks_) {
    try {
      const Entered entered(sink.at.space);
      if (sink.is_xdp) {
        bpf_xdp_detach(sink.at.index, XDP_FLAGS_DRV_MODE, nullptr);
        continue;
      }
      bpf_tc_hook hook = {};
      hook.sz = sizeof(hook);
      hook.ifindex = sink.at.index;
      hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
      bpf_tc_hook_destroy(&hook);
    } catch (const std::exception&) {
      continue;  // the namespace has gone, and the program with it
    }
  }
  sinks_.clear();
  if (state_ != nullptr) {
    munmap(state_, sizeof(*state_));
  }
  bpf_object__close(object_);
}

int Traffic::program(const char* name) const {
  return bpf_program__fd(bpf_object__find_program_by_name(object_, name));
}

void Traffic::sink_at(const Place& place) {
  const Entered entered(place.space);
  bpf_tc_hook hook = {};
  hook.sz = sizeof(hook);
  hook.ifindex = place.index;
  hook.attach_point = BPF_TC_INGRESS;
  if (const int done = bpf_tc_hook_create(&hook); done != 0 && done != -EEXIST) {
    fail("clsact on " + place.interface, done);
  }
  sinks_.push_back({place, false});
  bpf_tc_opts options = {};
  options.sz = sizeof(options);
  options.prog_fd = program("swallow");
  if (const int done = bpf_tc_attach(&hook, &options); done != 0) {
    fail("sink at " + place.interface, done);
  }
}

void Traffic::drop_at(const Place& place) {
  Place found = place;
  look_up(found);
  const Entered entered(found.space);
  if (const int done =
          bpf_xdp_attach(found.index, program("drop"), XDP_FLAGS_DRV_MODE, nullptr);
      done != 0) {
    fail("XDP program on " + found.interface, done);
  }
  sinks_.push_back({found, true});
}

std::vector<uint8_t> Traffic::frame(const Place& from, const Place& to, unsigned bytes) const {
  std::vector<uint8_t> frame(bytes);
  std::copy(node_.begin(), node_.end(), frame.begin());
  std::copy(from.mac.begin(), from.mac.end(), frame.begin() + 6);
  put16(frame, 12, 0x0800);
  put16(frame, 14, 0x4500);
  put16(frame, 16, bytes - 14);
  put16(frame, 20, 0x4000);  // do not fragment
  put16(frame, 22, 64 << 8 | IPPROTO_UDP);
  put32(frame, 26, from.address);
  put32(frame, 30, to.address);
  put16(frame, 24, ip_checksum(frame));
  put16(frame, 38, bytes - 34);  // of UDP; no checksum, as IPv4 allows
  return frame;
}

void Traffic::set_plan(const Flood& flood, const std::vector<uint8_t>& frame, bool reverse) {
  traffic_state& state = *state_;
  state.plan = {};
  std::memcpy(state.plan.headers, frame.data(), sizeof(state.plan.headers));
  state.plan.interval_ps =
      flood.rate_pps > 0 ? static_cast<uint64_t>(1e12 / flood.rate_pps) : 0;
  state.plan.first = flood.first;
  state.plan.flows = flood.flows;
  state.plan.interface = static_cast<uint32_t>(reverse ? to_.index : from_.index);
  state.plan.port = flood.port;
  state.plan.reverse = reverse ? 1 : 0;
  state.plan.measure_time = flood.measure_time ? 1 : 0;
  state.sent = 0;
  state.due_ps = 0;
  state.began_ns = static_cast<uint64_t>(now_ns());
}

void Traffic::send_each_once(const Flood& flood, bool reverse, unsigned core) {
  Flood slow = flood;
  slow.rate_pps = kOpeningRate;
  const Place& from = reverse ? to_ : from_;
  const std::vector<uint8_t> bytes = frame(from, reverse ? from_ : to_, slow.frame_bytes);
  set_plan(slow, bytes, reverse);
  Generator generator(program("generate"), bytes, from.space, core, slow.batch);
  const volatile __u64& sent = state_->sent;
  const double began = now_ns();
  while (sent < flood.flows && !generator.has_ended() && now_ns() - began < kPatienceNs) {
    sleep_s(0.001);
  }
  if (const std::string problem = generator.end(); !problem.empty()) {
    throw std::runtime_error(problem);
  }
  sleep_s(0.02);
}

void Traffic::open(const Flood& flood, unsigned core) {
  send_each_once(flood, false, core);
  send_each_once(flood, true, core);
}

Outcome Traffic::run(const Flood& flood, unsigned core, const std::vector<unsigned>& watched) {
  std::vector<std::unique_ptr<Soaker>> soakers;
  soakers.reserve(watched.size());
  for (const unsigned each : watched) {
    soakers.push_back(std::make_unique<Soaker>(each));
  }
  const std::vector<uint8_t> bytes = frame(from_, to_, flood.frame_bytes);
  set_plan(flood, bytes, false);
  const uint64_t interval_ps = std::exchange(state_->plan.interval_ps, 1);
  state_->due_ps = kNever;
  Generator generator(program("generate"), bytes, from_.space, core, flood.batch);
  const double idle_ns = time_idle_calls(*state_);
  // From here on the generator reads what is written.
  volatile traffic_state& state = *state_;
  state.began_ns = static_cast<uint64_t>(now_ns());
  state.plan.interval_ps = interval_ps;
  state.due_ps = 0;
  sleep_s(flood.warm_up_s);
  const Reading before = read_all(*state_, soakers);
  sleep_s(flood.seconds);
  const Reading after = read_all(*state_, soakers);
  if (const std::string problem = generator.end(); !problem.empty()) {
    throw std::runtime_error(problem);
  }
  return difference(before, after, idle_ns);
}

}  // namespace sluice::perf
