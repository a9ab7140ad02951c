// SPDX-License-Identifier: Apache-2.0
#include "control/stall_watch.h"

#include <algorithm>
#include <utility>

#include <pthread.h>

namespace sluice::control {

const char* name(Pace pace) {
  constexpr const char* kNames[] = {"advancing", "late", "stalled", "dead"};
  return kNames[static_cast<size_t>(pace)];
}

Pace StallWatch::look(uint64_t progress, Duration now) {
  const bool first = looked_ < Duration::zero();
  const Duration gap = first ? Duration::zero() : std::min(now - looked_, kLongestGap);
  looked_ = now;
  if (first || progress != progress_) {
    progress_ = progress;
    still_ = Duration::zero();
  } else {
    still_ += gap;
  }
  if (still_ >= limits_.dead) {
    pace_ = Pace::dead;
  } else if (still_ >= limits_.stalled) {
    pace_ = Pace::stalled;
  } else {
    pace_ = still_ >= limits_.late ? Pace::late : Pace::advancing;
  }
  return pace_;
}

Watchdog::Watchdog(std::vector<Subject> subjects, OnChange on_change)
    : subjects_(std::move(subjects)),
      on_change_(std::move(on_change)),
      paces_(subjects_.size()),
      thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "sluice-watch");
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard held(lock_);
    end_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

void Watchdog::run() {
  std::vector<StallWatch> watches;
  watches.reserve(subjects_.size());
  for (const Subject& subject : subjects_) {
    watches.emplace_back(subject.limits);
  }
  std::unique_lock held(lock_);
  while (!ended_.wait_for(held, kPeriod, [this] { return end_; })) {
    const Duration now = std::chrono::steady_clock::now().time_since_epoch();
    for (size_t i = 0; i < subjects_.size(); ++i) {
      const Pace before = watches[i].pace();
      const Pace pace = watches[i].look(subjects_[i].progress(), now);
      paces_[i].store(pace, std::memory_order_relaxed);
      if (pace != before) {
        on_change_(subjects_[i], before, pace);
      }
      if (pace == Pace::dead) {
        return;
      }
    }
  }
}

}  // namespace sluice::control
