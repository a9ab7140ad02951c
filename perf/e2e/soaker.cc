// SPDX-License-Identifier: Apache-2.0
#include "perf/e2e/soaker.h"

#include <chrono>

#include <pthread.h>
#include <sched.h>
#include <x86intrin.h>

namespace sluice::perf {
namespace {

constexpr double kLongestNs = 250;

}  // namespace

double cycles_per_ns() {
  static const double ratio = [] {
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    const uint64_t from = __rdtsc();
    while (Clock::now() - began < std::chrono::milliseconds(20)) {
    }
    const uint64_t to = __rdtsc();
    const std::chrono::duration<double, std::nano> passed = Clock::now() - began;
    return static_cast<double>(to - from) / passed.count();
  }();
  return ratio;
}

bool pin_to(unsigned core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  return pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores) == 0;
}

Soaker::Soaker(unsigned core) : thread_([this, core] { soak(core); }) {}

Soaker::~Soaker() {
  stop_.store(true, std::memory_order_relaxed);
  thread_.join();
}

double Soaker::free_ns() const {
  return static_cast<double>(free_cycles_.load(std::memory_order_relaxed)) / cycles_per_ns();
}

void Soaker::soak(unsigned core) {
  const sched_param lowest = {};
  if (!pin_to(core) || pthread_setschedparam(pthread_self(), SCHED_IDLE, &lowest) != 0) {
    return;  // nothing is ever free: it shows
  }
  const auto longest = static_cast<uint64_t>(kLongestNs * cycles_per_ns());
  uint64_t sum = 0;
  uint64_t last = __rdtsc();
  while (!stop_.load(std::memory_order_relaxed)) {
    const uint64_t now = __rdtsc();
    if (now - last <= longest) {
      sum += now - last;
      free_cycles_.store(sum, std::memory_order_relaxed);
    }
    last = now;
  }
}

}  // namespace sluice::perf
