// SPDX-License-Identifier: Apache-2.0
// Who has stood still, and for how long: workers that report no quiescent point, a control
// thread that does not come round.
//
// StallWatch is the arithmetic: it is shown each subject's progress (any number that changes as
// the subject goes on) and the time, and keeps a state for each.  It counts the time that it
// has itself watched: a look that comes late (the process was stopped, the machine slept)
// counts as kLongestGap, so that nobody is blamed for what stopped the watcher, too.
// Watchdog is the thread that looks every kPeriod, calls back on each change of state, and
// calls back for the last time when a subject is dead: the daemon then aborts, and its
// supervisor starts it again.  States may be read by any thread.  Source: reliability 8.
#ifndef SLUICE_CONTROL_STALL_WATCH_H_
#define SLUICE_CONTROL_STALL_WATCH_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice::control {

using Duration = std::chrono::nanoseconds;

// How long one may stand still before it is late, stalled (an alarm) and given up.
struct StallLimits {
  Duration late = std::chrono::seconds(1);
  Duration stalled = std::chrono::seconds(5);
  Duration dead = std::chrono::seconds(30);
};

enum class Pace : uint8_t { advancing, late, stalled, dead };
const char* name(Pace pace);

class StallWatch {
 public:
  static constexpr Duration kLongestGap = std::chrono::seconds(1);

  explicit StallWatch(const StallLimits& limits) : limits_(limits) {}

  // One look at `progress` at `now` (of a clock that never goes back).  Returns the pace.
  Pace look(uint64_t progress, Duration now);

  Pace pace() const { return pace_; }
  Duration still() const { return still_; }  // for how long already

 private:
  StallLimits limits_;
  uint64_t progress_ = 0;
  Duration looked_{-1};  // never
  Duration still_{0};
  Pace pace_ = Pace::advancing;
};

class Watchdog {
 public:
  static constexpr std::chrono::milliseconds kPeriod{100};

  struct Subject {
    std::string name;                    // "worker 0"
    std::function<uint64_t()> progress;  // called on the watchdog's thread
    StallLimits limits;
  };
  // Called on the watchdog's thread.  After Pace::dead it is not called again.
  using OnChange = std::function<void(const Subject&, Pace before, Pace now)>;

  Watchdog(std::vector<Subject> subjects, OnChange on_change);
  ~Watchdog();  // ends the thread
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  Pace pace(size_t subject) const { return paces_[subject].load(std::memory_order_relaxed); }

 private:
  void run();

  std::vector<Subject> subjects_;
  OnChange on_change_;
  std::vector<std::atomic<Pace>> paces_;
  std::mutex lock_;
  std::condition_variable ended_;
  bool end_ = false;  // under lock_
  std::thread thread_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_STALL_WATCH_H_
