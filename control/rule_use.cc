// SPDX-License-Identifier: Apache-2.0
#include "control/rule_use.h"

#include <algorithm>
#include <tuple>

namespace sluice::control {

using nlohmann::json;

void RuleUse::look(std::span<const Counters* const> workers, CounterSlot rules, Nanos now) {
  looked_ = now;
  uses_.resize(std::max<size_t>(uses_.size(), rules), Use{now});
  for (CounterSlot slot = 0; slot < rules; ++slot) {
    uint64_t count = 0;
    for (const Counters* c : workers) {
      const RuleCounters& rule = c->rule(slot);
      count += rule.judged.get() + rule.packets.get();
    }
    Use& use = uses_[slot];
    if (count != use.count) {
      use.count = count;
      use.last = now;
    }
  }
}

json unused_json(const RuleUse& use, const CompiledPolicy& policy,
                 const std::vector<std::string>& files, Nanos before, const Now& now) {
  const auto time = [&](Nanos at) {
    return now.wall - static_cast<std::time_t>((now.monotonic - at) / 1000000000);
  };
  json rows = json::array();
  for (size_t l = 0; l < policy.lists.size(); ++l) {
    const ListName& list = policy.lists[l];
    const std::vector<Rule>& rules = policy.rules->lists[l]->rules;
    for (size_t i = 0; i < rules.size() && i < list.rules.size(); ++i) {
      const config::Where& where = list.rules[i];
      if (!list.written(i) || rules[i].counter >= use.size()) {
        continue;
      }
      const RuleUse::Use& of = use.of(rules[i].counter);
      if (of.last > before) {
        continue;
      }
      rows.push_back(
          {{"kind", list.kind},
           {"namespace", list.namespace_name},
           {"policy", list.name},
           {"tier", list.tier},
           {"direction", list.direction == Direction::ingress ? "ingress" : "egress"},
           {"rule", i},
           {"action", name(rules[i].action)},
           {"file", where.file < files.size() ? files[where.file] : ""},
           {"line", where.line},
           {"column", where.column},
           {"last_used", of.last == 0 ? json() : json(time(of.last))},
           {"counted_since", time(of.since)}});
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) {
    return std::tie(a["file"], a["line"], a["column"]) <
           std::tie(b["file"], b["line"], b["column"]);
  });
  return {{"resolution_s", RuleUse::kEvery / 1000000000}, {"rules", rows}};
}

}  // namespace sluice::control
