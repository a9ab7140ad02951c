// SPDX-License-Identifier: Apache-2.0
#include "control/policies.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "control/kubernetes.h"

namespace sluice::control {
namespace {

RankedPolicy make(Shared<config::Policy> given) {
  RankedPolicy out;
  out.policy = std::move(given);
  const config::Policy* policy = &*out.policy;
  const config::Meta& meta = policy->meta;
  // The joined string, not the fields: '-' and '.' sort before '/'.
  out.key = meta.name + "/" + meta.namespace_name + "/" + meta.kind;
  out.ingress = applies(*policy, Direction::ingress);
  out.egress = applies(*policy, Direction::egress);
  out.selector = policy_selector(*policy, out.findings);
  out.lists = lists_of(*policy, scope_of(*policy));
  return out;
}

bool before(const RankedPolicy* a, const RankedPolicy* b) {
  if (a->tier != b->tier) {
    return std::tie(a->tier->unknown, a->tier->order, a->tier->name) <
           std::tie(b->tier->unknown, b->tier->order, b->tier->name);
  }
  const auto order = [](const RankedPolicy* p) {
    return p->policy->order.value_or(std::numeric_limits<double>::infinity());
  };
  if (order(a) != order(b)) {
    return order(a) < order(b);
  }
  const config::Where &x = a->policy->meta.where, &y = b->policy->meta.where;
  return std::tie(a->key, x.file, x.line) < std::tie(b->key, y.file, y.line);
}

}  // namespace

bool RankedPolicy::is_of(Part part) const {
  switch (part) {
    case Part::untracked:
      return policy->do_not_track;
    case Part::pre_dnat:
      return policy->pre_dnat;
    case Part::forward:
      return policy->apply_on_forward && !policy->do_not_track && !policy->pre_dnat;
    case Part::normal:
      break;
  }
  return !policy->do_not_track && !policy->pre_dnat;
}

bool RankedPolicy::judges(Direction direction, Part part) const {
  return is_of(part) && (direction == Direction::ingress ? ingress : egress);
}

const std::string& scope_of(const config::Policy& p) {
  static const std::string everywhere;
  return p.global ? everywhere : p.meta.namespace_name;
}

bool applies(const config::Policy& p, Direction direction) {
  if (direction == Direction::ingress) {
    return p.types_given ? p.type_ingress : p.egress.empty() || !p.ingress.empty();
  }
  return p.types_given ? p.type_egress : !p.egress.empty();
}

Selector policy_selector(const config::Policy& p, config::Findings& findings) {
  Selector out = parse_selector(p.selector, findings);
  // Where nothing was said there is no "all()" to replace.
  bool silent = p.selector.empty();
  const auto join = [&](const Selector& more) {
    out = silent ? more : Selector::conjunction(out, more);
    silent = false;
  };
  const auto replace_all = [&out](const char* label) {
    const Selector has = Selector::has(label);
    out = out.with_all_replaced(has, has.negated());
  };
  if (!p.namespace_selector.empty()) {
    const Selector ns = parse_selector(p.namespace_selector, findings);
    join(ns.with_key_prefix("pcns."));
    replace_all(kNamespaceLabel);
  }
  if (!p.service_account_selector.empty()) {
    const Selector account = parse_selector(p.service_account_selector, findings);
    join(account.with_key_prefix("pcsa."));
    if (p.global) {
      replace_all(kAccountLabel);
    }
  }
  if (!p.global) {
    out = Selector::conjunction(Selector::equals(kNamespaceLabel, p.meta.namespace_name), out);
  }
  return out;
}

// ---- tiers -------------------------------------------------------------------------------

void Policies::update_tiers(const config::Model& model) {
  if (!tiers_.empty() && change(written_tiers_, model.tiers).none()) {
    return;
  }
  written_tiers_ = model.tiers;
  tiers_.clear();
  unknown_tiers_.clear();
  const auto add = [&](std::string_view name, double order, bool pass) {
    tiers_[std::string(name)] = {false, order, std::string(name),
                                 pass ? TierEnd::pass : TierEnd::deny};
  };
  for (const config::ReservedTier& tier : config::kReservedTiers) {
    add(tier.name, tier.order, tier.pass);
  }
  for (const config::Tier& tier : model.tiers) {
    add(tier.meta.name, tier.order, tier.pass);
  }
  selecting_.clear();
  for (auto& [object, policy] : ranked_) {
    rank(policy);
  }
}

// Gives it its tier, and says whether it is to be talked about.
void Policies::rank(RankedPolicy& ranked) {
  const std::string& name = ranked.policy->tier;
  const auto tier = tiers_.find(name);
  ranked.tier = tier != tiers_.end()
                    ? &tier->second
                    : &unknown_tiers_.try_emplace(name, TierRank{true, 0, name, TierEnd::deny})
                           .first->second;
  const bool quiet = !ranked.tier->unknown && ranked.findings.all().empty() &&
                     std::all_of(ranked.lists.begin(), ranked.lists.end(),
                                 [](const KeptList& list) { return list.notes.none(); });
  if (quiet) {
    talked_about_.erase(&ranked);
  } else {
    talked_about_.insert(&ranked);
  }
}

void Policies::say_unknown(const RankedPolicy& ranked, config::Findings& findings) const {
  const std::string& name = ranked.policy->tier;
  std::vector<std::string_view> known;
  for (const auto& [tier, rank] : tiers_) {
    known.push_back(tier);
  }
  const std::string near = config::nearest(name, known);
  findings.warning(
      ranked.policy->meta.where,
      "tier \"" + name +
          "\" does not exist: the policy is enforced after all others, and denies "
          "what it does not allow",
      near.empty() ? "add the Tier \"" + name + "\"" : "did you mean \"" + near + "\"?");
}

// ---- policies ----------------------------------------------------------------------------

namespace {

// A label with any value, or with one; few labels have a NUL in them.
const std::string kNothingRequired(2, '\0');
std::string filed_under(const std::string& key) {
  return key;
}
std::string filed_under(const std::string& key, const std::string& value) {
  return key + '\0' + value;
}

}  // namespace

// Under the label that it requires and the fewest others are filed under: whoever has it not is
// not selected.
void Policies::file(RankedPolicy& policy) {
  size_t fewest = ~size_t{0};
  policy.filed = {kNothingRequired};
  for (const Selector::Term& term : policy.selector.required_terms()) {
    std::vector<std::string> under;
    if (!term.values) {
      under.push_back(filed_under(term.key));
    } else {
      for (const std::string& value : *term.values) {
        under.push_back(filed_under(term.key, value));
      }
    }
    size_t others = 0;
    for (const std::string& label : under) {
      const auto known = filed_.find(label);
      others += known == filed_.end() ? 0 : known->second.size();
    }
    if (others < fewest) {
      fewest = others;
      policy.filed = std::move(under);
    }
  }
  for (const std::string& label : policy.filed) {
    filed_[label].push_back(&policy);
  }
}

void Policies::add(const void* object, Shared<config::Policy> policy) {
  const auto [it, fresh] = ranked_.try_emplace(object);
  if (!fresh) {
    return;
  }
  RankedPolicy& ranked = it->second;
  ranked = make(std::move(policy));
  rank(ranked);
  if (ranked.policy->staging == config::Staging::removed) {
    return;
  }
  file(ranked);
  for (auto& [id, selecting] : selecting_) {
    if (ranked.selector.matches(index_->labels(id))) {
      std::vector<RankedPolicy*>& all = selecting.policies;
      all.insert(std::upper_bound(all.begin(), all.end(), &ranked, before), &ranked);
    }
  }
}

void Policies::remove(const void* object) {
  const auto it = ranked_.find(object);
  if (it == ranked_.end()) {
    return;
  }
  RankedPolicy* const gone = &it->second;
  for (const std::string& label : gone->filed) {
    const auto filed = filed_.find(label);
    std::erase(filed->second, gone);
    if (filed->second.empty()) {
      filed_.erase(filed);
    }
  }
  for (auto& [id, selecting] : selecting_) {
    std::erase(selecting.policies, gone);
  }
  talked_about_.erase(gone);
  ranked_.erase(it);
}

template <typename Object, typename Make>
void Policies::follow(config::Objects<Object>& known, const config::Objects<Object>& now,
                      const Make& make) {
  constexpr size_t kMany = 100;
  const auto changed = change(known, now);
  if (changed.gone.size() + changed.come.size() > kMany) {
    selecting_.clear();  // cheaper to find again
  }
  for (const Shared<Object>& object : changed.gone) {
    remove(object.address());
  }
  for (const Shared<Object>& object : changed.come) {
    add(object.address(), make(object));
  }
  known = now;
}

void Policies::update(const config::Model& model, const LabelIndex& index,
                      config::Findings& findings) {
  ++round_;
  index_ = &index;
  update_tiers(model);
  follow(policies_, model.policies, [](const auto& policy) { return policy; });
  const auto converted = [](const auto& policy) {
    return Shared<config::Policy>(to_policy(*policy));
  };
  follow(kubernetes_, model.kubernetes_policies, converted);
  follow(cluster_, model.cluster_policies, converted);
  for (const RankedPolicy* ranked : talked_about_) {
    if (ranked->tier->unknown) {
      say_unknown(*ranked, findings);
    }
    findings.add(ranked->findings);
  }
}

const std::vector<RankedPolicy*>& Policies::selecting(LabelsId id) {
  const auto [it, fresh] = selecting_.try_emplace(id);
  Selecting& selecting = it->second;
  selecting.asked = round_;
  if (!fresh) {
    return selecting.policies;
  }
  const config::Labels& labels = index_->labels(id);
  const auto take = [&](const std::string& label) {
    const auto filed = filed_.find(label);
    if (filed != filed_.end()) {
      std::copy_if(filed->second.begin(), filed->second.end(),
                   std::back_inserter(selecting.policies),
                   [&](const RankedPolicy* p) { return p->selector.matches(labels); });
    }
  };
  take(kNothingRequired);
  for (const auto& [key, value] : labels) {
    take(filed_under(key));
    take(filed_under(key, value));
  }
  std::vector<RankedPolicy*>& all = selecting.policies;
  std::sort(all.begin(), all.end(), before);
  all.erase(std::unique(all.begin(), all.end()), all.end());  // a label with a NUL in it
  return all;
}

void Policies::end_round() {
  std::erase_if(selecting_, [&](const auto& entry) { return entry.second.asked != round_; });
}

}  // namespace sluice::control
