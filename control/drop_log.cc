// SPDX-License-Identifier: Apache-2.0
#include "control/drop_log.h"

#include <algorithm>
#include <ctime>

#include "control/drop_header.h"

namespace sluice::control {
namespace {

using nlohmann::json;

std::string time_text(DropLog::Wall at) {
  using Millis = std::chrono::milliseconds;
  const auto since = std::chrono::duration_cast<Millis>(at.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(since / 1000);
  char text[40] = "";
  std::tm utc{};
  if (gmtime_r(&seconds, &utc) != nullptr) {
    const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(text + length, sizeof text - length, ".%03dZ",
                  static_cast<int>(since % 1000));
  }
  return text;
}

// The reasons of the link layer are the first of the registry.
bool past_ethernet(DropReason reason) {
  return reason > DropReason::l2_ethertype;
}

}  // namespace

void DropLog::drain(DropSamples& samples, uint8_t worker) {
  DropSample sample;
  while (samples.take(sample)) {
    if (kept_.size() < kKept) {
      kept_.emplace_back();
    }
    kept_[count_ % kKept] = {sample, worker};
    ++count_;
  }
}

json DropLog::row(const Kept& kept, const Words& words) {
  const DropSample& s = kept.sample;
  const auto ago = std::chrono::nanoseconds(words.now - std::min(words.now, s.at));
  const auto at = words.wall - std::chrono::duration_cast<Wall::duration>(ago);
  const bool inner = s.outer_source.value != 0;
  json out = {
      {"time", time_text(at)},
      {"worker", kept.worker},
      {"reason", name(s.reason)},
      {"port", words.port(s.in_port)},
      {"layer", inner ? "inner" : "outer"},
      {"tunnel", inner ? json(to_string(s.outer_source)) : json()},
      {"before", s.before},
      {"length", s.length},
      {"tier", nullptr},
      {"policy", nullptr},
      {"rule", nullptr},
      {"direction", nullptr},
      {"packet", header_json({s.head.data(), s.head_bytes}, past_ethernet(s.reason))},
  };
  if (s.rule < words.rules.size()) {
    const RuleName& n = words.rules.name(s.rule);
    out["tier"] = n.tier;
    out["policy"] = {{"kind", n.kind}, {"namespace", n.namespace_name}, {"name", n.policy}};
    out["rule"] = n.rule;
    out["direction"] = n.ingress ? "ingress" : "egress";
  }
  return out;
}

json DropLog::after(uint64_t after, const Words& words) const {
  const uint64_t oldest = count_ - std::min<uint64_t>(count_, kKept);
  const uint64_t from = std::clamp(after, oldest, count_);
  json drops = json::array();
  for (uint64_t i = from; i < count_; ++i) {
    drops.push_back(row(kept_[i % kKept], words));
  }
  return {{"next", count_}, {"missed", from - std::min(after, from)}, {"drops", drops}};
}

}  // namespace sluice::control
