// SPDX-License-Identifier: Apache-2.0
#include "control/rule_use.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "control/policy_trail.h"

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

void RuleUse::begin_changed(const CompiledPolicy& last, const CompiledPolicy& next, Nanos now) {
  std::unordered_map<CounterSlot, const Rule*> before;
  for (const Shared<RuleList>& list : last.rules->lists) {
    for (const Rule& rule : list->rules) {
      before[rule.counter] = &rule;
    }
  }
  for (const Shared<RuleList>& list : next.rules->lists) {
    for (const Rule& rule : list->rules) {
      const auto known = before.find(rule.counter);
      const bool same = known != before.end() && *known->second == rule;
      if (!same && rule.counter < uses_.size()) {
        uses_[rule.counter] = {now, 0, uses_[rule.counter].count};
      }
    }
  }
}

namespace {

// The use of the rule at `first` and of the parts of it that follow, up to `end`; nothing if
// one has no counter.
std::optional<RuleUse::Use> use_of_parts(const RuleUse& use, const std::vector<Rule>& rules,
                                         size_t first, size_t end) {
  RuleUse::Use all;
  for (size_t i = first; i < end; ++i) {
    if (rules[i].counter >= use.size()) {
      return std::nullopt;
    }
    const RuleUse::Use& part = use.of(rules[i].counter);
    all = {std::max(all.since, part.since), std::max(all.last, part.last), 0};
  }
  return all;
}

}  // namespace

json unused_json(const RuleUse& use, const CompiledPolicy& policy,
                 const std::vector<std::string>& files, Nanos before, const Now& now) {
  const auto time = [&](Nanos at) {
    return now.wall - static_cast<std::time_t>((now.monotonic - at) / kSecond);
  };
  json rows = json::array();
  for (size_t l = 0; l < policy.lists.size(); ++l) {
    const ListName& list = policy.lists[l];
    const std::vector<Rule>& rules = policy.rules->lists[l]->rules;
    for (size_t i = 0, end = 0; i < rules.size(); i = end) {
      end = list.end_of(i);
      const auto of = use_of_parts(use, rules, i, end);
      if (!list.written(i) || !of || of->last > before) {
        continue;
      }
      json row = rule_json(policy, files, static_cast<ListId>(l), i);
      row["last_used"] = of->last == 0 ? json() : json(time(of->last));
      row["counted_since"] = time(of->since);
      rows.push_back(std::move(row));
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) {
    return std::tie(a["file"], a["line"], a["column"]) <
           std::tie(b["file"], b["line"], b["column"]);
  });
  return {{"resolution_s", RuleUse::kEvery / kSecond}, {"rules", rows}};
}

}  // namespace sluice::control
