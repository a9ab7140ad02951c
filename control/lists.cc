// SPDX-License-Identifier: Apache-2.0
#include "control/lists.h"

#include <utility>

namespace sluice::control {
namespace {

auto key_of(const ListName& name) {
  return std::tuple(name.kind, name.namespace_name, name.name, name.tier, name.direction);
}

}  // namespace

void Lists::begin(RuleSet& set, CompiledPolicy& out) {
  ++run_;
  set_ = &set;
  out_ = &out;
  compiled_ = 0;
  filled_before_ = sets_.filled();
  before_ = std::exchange(now_, {});
}

ListId Lists::use(KeptList& list, const std::vector<config::Rule>& rules,
                  const std::string& scope, const ListName& name) {
  if (list.rules && list.run == run_) {
    return list.id;
  }
  // The sets of one that was not used are given up, see end().
  if (!list.rules || list.run + 1 != run_) {
    RuleList made;
    made.staged = name.kind.starts_with("Staged");
    ListName named = name;
    RuleNotes known;  // as list.notes
    for (size_t i = 0; i < rules.size(); ++i) {
      Rule rule = rules_.compile(rules[i], scope, known);
      rule.counter = counters_.slot({name.kind, name.namespace_name, name.name, name.tier,
                                     name.direction == Direction::ingress, static_cast<int>(i),
                                     rule.action});
      made.rules.push_back(std::move(rule));
      named.rules.push_back(rules[i].where);
      named.annotations.push_back(rules[i].annotations);
    }
    const auto same = before_.find(key_of(name));
    list.rules =
        same != before_.end() && *same->second == made ? same->second : Shared(std::move(made));
    list.name = std::move(named);
    ++compiled_;
  }
  now_.insert_or_assign(key_of(name), *list.rules);
  list.run = run_;
  list.id = static_cast<ListId>(set_->lists.size());
  set_->lists.push_back(*list.rules);
  out_->lists.push_back(*list.name);
  for (const Rule& rule : (*list.rules)->rules) {
    sets_.fill(rule, *set_, out_->sets);
  }
  return list.id;
}

void Lists::report(const KeptLists& lists, config::Findings& findings) const {
  for (const KeptList& list : lists) {
    findings.add(list.notes.findings);
    for (const RuleNotes::Service& service : list.notes.services) {
      const auto& [space, name] = service.name;
      if (!space.empty() && inventory_.service(service.name) == nullptr) {
        findings.warning(service.where, "service " + qualified(space, name) +
                                            " has no EndpointSlice: the rule matches nothing");
      }
    }
  }
}

void Lists::end() {
  sets_.keep_only(set_->lists);
}

}  // namespace sluice::control
