// SPDX-License-Identifier: Apache-2.0
#include "control/policies.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "control/kubernetes.h"

namespace sluice::control {
namespace {

RankedPolicy make(const Shared<config::Policy>& policy) {
  RankedPolicy out;
  out.policy = policy;
  const config::Meta& meta = policy->meta;
  // The joined string, not the fields: '-' and '.' sort before '/'.
  out.key = meta.name + "/" + meta.namespace_name + "/" + meta.kind;
  out.ingress = applies(*policy, Direction::ingress);
  out.egress = applies(*policy, Direction::egress);
  out.selected.selector = policy_selector(*policy, out.findings);
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

void Policies::rank_tiers(const config::Model& model) {
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
}

const TierRank& Policies::tier_of(const config::Policy& policy, config::Findings& findings) {
  if (const auto tier = tiers_.find(policy.tier); tier != tiers_.end()) {
    return tier->second;
  }
  std::vector<std::string_view> known;
  for (const auto& [name, rank] : tiers_) {
    known.push_back(name);
  }
  const std::string near = config::nearest(policy.tier, known);
  findings.warning(
      policy.meta.where,
      "tier \"" + policy.tier +
          "\" does not exist: the policy is "
          "enforced after all others, and denies what it does not allow",
      near.empty() ? "add the Tier \"" + policy.tier + "\"" : "did you mean \"" + near + "\"?");
  return unknown_tiers_.try_emplace(policy.tier, TierRank{true, 0, policy.tier, TierEnd::deny})
      .first->second;
}

void Policies::add(const Shared<config::Policy>& policy, const LabelIndex& index,
                   config::Findings& findings) {
  RankedPolicy* known = policies_.find(policy);
  RankedPolicy& ranked = known != nullptr ? *known : policies_.put(policy, make(policy));
  ranked.tier = &tier_of(*policy, findings);
  ranked.used = false;
  findings.add(ranked.findings);
  if (policy->staging != config::Staging::removed) {
    index.update(ranked.selected);
  }
  in_order_.push_back(&ranked);
}

void Policies::update(const config::Model& model, const LabelIndex& index,
                      config::Findings& findings) {
  const auto tiers_before = tiers_;
  in_order_.clear();
  rank_tiers(model);
  for (const Shared<config::Policy>& p : model.policies) {
    add(p, index, findings);
  }
  const auto add_all = [&](const auto& objects, auto& memo) {
    for (const auto& object : objects) {
      const Shared<config::Policy>* made = memo.find(object);
      add(made != nullptr ? *made : memo.put(object, Shared(to_policy(*object))), index,
          findings);
    }
    memo.end_round();
  };
  add_all(model.kubernetes_policies, of_kubernetes_);
  add_all(model.cluster_policies, of_cluster_);
  policies_.end_round();
  order(tiers_ != tiers_before);
}

// Those that had their place keep their order, unless that is to be found anew.
void Policies::order(bool anew) {
  const auto fresh = std::partition(in_order_.begin(), in_order_.end(), [=](const auto* p) {
    return !anew && p->place != RankedPolicy::kNoPlace;
  });
  std::sort(in_order_.begin(), fresh,
            [](const auto* a, const auto* b) { return a->place < b->place; });
  std::sort(fresh, in_order_.end(), before);
  std::inplace_merge(in_order_.begin(), fresh, in_order_.end(), before);
  for (size_t place = 0; place < in_order_.size(); ++place) {
    in_order_[place]->place = place;
  }
}

}  // namespace sluice::control
