// SPDX-License-Identifier: Apache-2.0
// The last drops that the workers sampled, numbered, for whoever asks what came after a number.
//
// Control thread only.  Bounds: the last kKept samples; who asks too late is told how many it
// has missed.  Samples are kept as the workers wrote them, and are put into words when asked.
#ifndef SLUICE_CONTROL_DROP_LOG_H_
#define SLUICE_CONTROL_DROP_LOG_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "control/rule_names.h"
#include "fastpath/drop_samples.h"

namespace sluice::control {

class DropLog {
 public:
  static constexpr size_t kKept = 2048;
  using Wall = std::chrono::system_clock::time_point;

  // Takes over what waits in `samples`, which are worker `worker`'s.
  void drain(DropSamples& samples, uint8_t worker);

  // What to put numbers into words with.
  struct Words {
    const RuleNames& rules;
    std::function<std::string(PortId)> port;
    Nanos now = 0;  // and `wall`: the same moment by either clock
    Wall wall;
  };
  // {"next": number to ask after next time, "missed": samples after `after` that are no longer
  // kept, "drops": [...]}, oldest first.  A drop is {time, worker, reason, port, layer, tunnel,
  // before, length, tier, policy, rule, direction, packet}: the last but one are null where no
  // rule denied it, `packet` is header_json().
  nlohmann::json after(uint64_t after, const Words& words) const;
  // The number of the last one.
  uint64_t last() const { return count_; }

 private:
  struct Kept {
    DropSample sample;
    uint8_t worker = 0;
  };
  static nlohmann::json row(const Kept& kept, const Words& words);

  std::vector<Kept> kept_;  // number n is at (n - 1) % kKept
  uint64_t count_ = 0;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_DROP_LOG_H_
