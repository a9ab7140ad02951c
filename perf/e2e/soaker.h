// SPDX-License-Identifier: Apache-2.0
// How much of a core nobody wants, by the clock: a thread of the lowest class (SCHED_IDLE)
// reads the TSC over and over and adds up the steps between its readings.  A step that is
// longer than kLongestNs was not its own: a thread, a softirq, an interrupt or the hypervisor
// had the core.
//
// Counts what the kernel's accounting by ticks does not see; needs no calibration and does not
// depend on the core's frequency.  What takes less than kLongestNs at once is not noticed.
// free_ns() may be called by any thread.
#ifndef SLUICE_PERF_E2E_SOAKER_H_
#define SLUICE_PERF_E2E_SOAKER_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace sluice::perf {

class Soaker {
 public:
  explicit Soaker(unsigned core);
  Soaker(const Soaker&) = delete;
  Soaker& operator=(const Soaker&) = delete;
  ~Soaker();

  // Nanoseconds so far that were left over.
  double free_ns() const;

 private:
  void soak(unsigned core);

  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> free_cycles_ = 0;
  std::thread thread_;
};

// TSC cycles a nanosecond, measured once against CLOCK_MONOTONIC.
double cycles_per_ns();

// Pins the calling thread.  Returns false where the kernel refuses.
bool pin_to(unsigned core);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_E2E_SOAKER_H_
