// SPDX-License-Identifier: Apache-2.0
#include "control/report.h"

#include <algorithm>
#include <numeric>

namespace sluice::control {
namespace {

using nlohmann::json;

// The sum over workers of one counter.
template <typename Pick>
uint64_t sum(std::span<const Counters* const> workers, Pick pick) {
  uint64_t total = 0;
  for (const Counters* c : workers) {
    total += pick(*c).get();
  }
  return total;
}

}  // namespace

json ports_json(std::span<const Counters* const> workers, std::span<const PortName> ports) {
  json out = json::object();
  for (const PortName& port : ports) {
    const auto total = [&](auto pick) {
      return sum(workers,
                 [&](const Counters& c) -> const Counter& { return pick(c.port(port.id)); });
    };
    json row = {
        {"rx_packets", total([](const PortCounters& c) -> auto& { return c.rx_packets; })},
        {"rx_bytes", total([](const PortCounters& c) -> auto& { return c.rx_bytes; })},
        {"tx_packets", total([](const PortCounters& c) -> auto& { return c.tx_packets; })},
        {"tx_bytes", total([](const PortCounters& c) -> auto& { return c.tx_bytes; })},
        {"originated", total([](const PortCounters& c) -> auto& { return c.originated; })},
        {"missed", port.missed},
    };
    for (size_t f = 0; f < kFates; ++f) {
      row[std::string(name(static_cast<Fate>(f)))] =
          total([f](const PortCounters& c) -> auto& { return c.fates[f]; });
    }
    out[port.name] = std::move(row);
  }
  return out;
}

json drops_json(std::span<const Counters* const> workers, std::span<const PortName> ports) {
  json out = json::object();
  for (size_t r = 1; r < kDropReasons; ++r) {
    const auto reason = static_cast<DropReason>(r);
    uint64_t n = sum(workers, [r](const Counters& c) -> const Counter& { return c.drops[r]; });
    if (reason == DropReason::rx_missed) {
      for (const PortName& port : ports) {
        n += port.missed;
      }
    }
    if (n > 0) {
      out[std::string(name(reason))] = n;
    }
  }
  return out;
}

json inner_drops_json(std::span<const Counters* const> workers) {
  json out = json::object();
  for (size_t r = 1; r < kDropReasons; ++r) {
    const uint64_t n =
        sum(workers, [r](const Counters& c) -> const Counter& { return c.inner_drops[r]; });
    if (n > 0) {
      out[std::string(name(static_cast<DropReason>(r)))] = n;
    }
  }
  return out;
}

json rules_json(std::span<const Counters* const> workers, const RuleNames& names) {
  std::vector<CounterSlot> order(names.size());
  std::iota(order.begin(), order.end(), CounterSlot{0});
  std::sort(order.begin(), order.end(), [&](CounterSlot a, CounterSlot b) {
    const RuleName& x = names.name(a);
    const RuleName& y = names.name(b);
    // A tier's default (-1) reads last.
    const auto key = [](const RuleName& n) {
      return std::tuple(n.tier, n.kind, n.namespace_name, n.policy, !n.ingress,
                        static_cast<unsigned>(n.rule));
    };
    return key(x) < key(y);
  });
  json out = json::array();
  for (const CounterSlot slot : order) {
    const RuleName& n = names.name(slot);
    const auto total = [&](auto pick) {
      return sum(workers,
                 [&](const Counters& c) -> const Counter& { return pick(c.rule(slot)); });
    };
    out.push_back({
        {"kind", n.kind},
        {"namespace", n.namespace_name},
        {"policy", n.policy},
        {"tier", n.tier},
        {"direction", n.ingress ? "ingress" : "egress"},
        {"rule", n.rule},
        {"action", name(n.action)},
        {"connections", total([](const RuleCounters& c) -> auto& { return c.judged; })},
        {"packets", total([](const RuleCounters& c) -> auto& { return c.packets; })},
        {"bytes", total([](const RuleCounters& c) -> auto& { return c.bytes; })},
    });
  }
  return out;
}

}  // namespace sluice::control
