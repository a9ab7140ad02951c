// SPDX-License-Identifier: Apache-2.0
#include "control/reload_times.h"

#include <algorithm>
#include <numeric>

namespace sluice::control {
namespace {

double seconds(Nanos duration) {
  return static_cast<double>(duration) / 1e9;
}

}  // namespace

void Histogram::add(Nanos duration) {
  const auto* bucket = std::lower_bound(kUpTo.begin(), kUpTo.end(), duration);
  ++counts_[static_cast<size_t>(bucket - kUpTo.begin())];
  sum_ += duration;
}

uint64_t Histogram::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0});
}

Nanos Histogram::quantile(double share) const {
  double left = share * static_cast<double>(count());
  if (left <= 0) {
    return 0;
  }
  for (size_t i = 0; i < kUpTo.size(); ++i) {
    const auto here = static_cast<double>(counts_[i]);
    if (left <= here) {
      const Nanos from = i == 0 ? 0 : kUpTo[i - 1];
      return from + static_cast<Nanos>(static_cast<double>(kUpTo[i] - from) * left / here);
    }
    left -= here;
  }
  return kUpTo.back();
}

nlohmann::json Histogram::as_json() const {
  nlohmann::json buckets = nlohmann::json::array();
  for (size_t i = 0; i < counts_.size(); ++i) {
    const nlohmann::json end = i < kUpTo.size() ? nlohmann::json(seconds(kUpTo[i])) : nullptr;
    buckets.push_back({{"up_to_s", end}, {"count", counts_[i]}});
  }
  return {{"count", count()},
          {"sum_s", seconds(sum_)},
          {"p50_s", seconds(quantile(0.5))},
          {"p99_s", seconds(quantile(0.99))},
          {"buckets", buckets}};
}

void ReloadTimes::published(Nanos asked, uint64_t generation) {
  asked_ = asked;
  settled_ = 0;
  generation_ = generation;
  first_seen_ = false;
}

void ReloadTimes::look(std::span<const Worker::Taken> workers) {
  if (generation_ == 0) {
    return;
  }
  Nanos first = UINT64_MAX;
  Nanos last = 0;
  bool all = true;
  for (const Worker::Taken& taken : workers) {
    if (taken.generation < generation_) {
      all = false;
      continue;
    }
    first = std::min(first, taken.at);
    last = std::max(last, taken.at);
  }
  if (!first_seen_ && first != UINT64_MAX) {
    first_seen_ = true;
    first_.add(std::max(first, settled_) - asked_);
  }
  if (all) {
    every_.add(std::max(last, settled_) - asked_);
    generation_ = 0;
  }
}

nlohmann::json ReloadTimes::as_json() const {
  return {{"first_worker", first_.as_json()}, {"every_worker", every_.as_json()}};
}

}  // namespace sluice::control
