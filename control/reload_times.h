// SPDX-License-Identifier: Apache-2.0
// How long reloads take, from being asked for to packets judged by what they brought.
//
// Asked: control reads the signal or the request; SIGHUPs that make one reload count from the
// first.  (One that arrives while control is busy with another reload is read after it.)
// Judged: a worker takes up the generation, before its next burst, and notes the time; or, if
// that is later, members of sets are changed in place for all workers at once
// (Matcher::settle).  Two figures: for the first worker and for the last.  Reloads that are
// refused are not counted.  Written and read by control only.
#ifndef SLUICE_CONTROL_RELOAD_TIMES_H_
#define SLUICE_CONTROL_RELOAD_TIMES_H_

#include <array>
#include <span>

#include <nlohmann/json.hpp>

#include "fastpath/worker.h"

namespace sluice::control {

// Durations by size, in buckets of 1, 2 and 5 times a power of ten, 100 us to 100 s.
class Histogram {
 public:
  static constexpr std::array<Nanos, 19> kUpTo = [] {
    std::array<Nanos, 19> out{};
    Nanos decade = 100'000;
    for (size_t i = 0; i < out.size(); ++i) {
      constexpr Nanos kSteps[] = {1, 2, 5};
      out[i] = decade * kSteps[i % 3];
      decade *= i % 3 == 2 ? 10 : 1;
    }
    return out;
  }();

  void add(Nanos duration);
  uint64_t count() const;
  // Below which that share of the durations is, linear within a bucket; those above the last
  // bucket count as its end.  0 when there are none.
  Nanos quantile(double share) const;
  // {"count", "sum_s", "p50_s", "p99_s", "buckets": [{"up_to_s", "count"}]}; the last bucket's
  // up_to_s is null.
  nlohmann::json as_json() const;

 private:
  std::array<uint64_t, kUpTo.size() + 1> counts_{};
  Nanos sum_ = 0;
};

class ReloadTimes {
 public:
  // The reload that was asked for at `asked` is published as `generation`.
  void published(Nanos asked, uint64_t generation);
  // The sets' members that it changes are in place, too.
  void settled(Nanos at) { settled_ = at; }
  // What the workers have taken up by now.  REQUIRES: the generation's matcher is settled.
  void look(std::span<const Worker::Taken> workers);
  // {"first_worker": .., "every_worker": ..}
  nlohmann::json as_json() const;

 private:
  uint64_t generation_ = 0;  // under way; 0: none
  Nanos asked_ = 0, settled_ = 0;
  bool first_seen_ = false;
  Histogram first_, every_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_RELOAD_TIMES_H_
