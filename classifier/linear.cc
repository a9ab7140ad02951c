// SPDX-License-Identifier: Apache-2.0
#include "classifier/linear.h"

#include <algorithm>
#include <cassert>

namespace sluice {
namespace {

bool in_any(const std::vector<Prefix>& nets, const Address& address) {
  return std::any_of(nets.begin(), nets.end(),
                     [&](const Prefix& net) { return net.contains(address); });
}

bool in_any(const std::vector<PortRange>& ranges, uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const PortRange& range) { return range.contains(port); });
}

bool icmp_matches(const IcmpMatch& match, const FlowKey& key, bool v4) {
  return key.protocol == (v4 ? proto::kIcmp : proto::kIcmp6) && key.icmp_type() == match.type &&
         (match.any_code || key.icmp_code() == match.code);
}

// Is (address, protocol, port) in one of the ranges or of the sets?  Only protocols that carry
// ports can be.
bool port_listed(const RuleSet& rules, const std::vector<PortRange>& ranges,
                 const std::vector<SetId>& sets, const PortSet::Member& member) {
  if (!proto::has_ports(member.protocol)) {
    return false;
  }
  return in_any(ranges, member.port) || std::any_of(sets.begin(), sets.end(), [&](SetId set) {
           return rules.port_sets[set]->contains(member);
         });
}

bool address_matches(const RuleSet& rules, const RuleSide& side, const Address& address) {
  if (!side.nets.empty() && !in_any(side.nets, address)) {
    return false;
  }
  if (in_any(side.not_nets, address)) {
    return false;
  }
  const auto contains = [&](SetId set) { return rules.address_sets[set]->contains(address); };
  return std::all_of(side.sets.begin(), side.sets.end(), contains) &&
         std::none_of(side.not_sets.begin(), side.not_sets.end(), contains);
}

bool port_matches(const RuleSet& rules, const RuleSide& side, const PortSet::Member& end) {
  const bool any_port = side.ports.empty() && side.port_sets.empty();
  if (!any_port && !port_listed(rules, side.ports, side.port_sets, end)) {
    return false;
  }
  return !port_listed(rules, side.not_ports, side.not_port_sets, end);
}

// What one tier said; `pass` means: go on with the next.
struct TierResult {
  Action action = Action::pass;
  CounterSlot counter = kNoCounter;
  bool passed_or_logged = false;
};

template <typename Visit>
TierResult judge_tier(const RuleSet& rules, const Tier& tier, uint32_t tier_index,
                      const FlowKey& key, const Visit& visit) {
  TierResult result;
  for (const ListId list : tier.lists) {
    const std::vector<Rule>& all = rules.lists[list]->rules;
    for (uint32_t i = 0; i < all.size(); ++i) {
      const Rule& rule = all[i];
      if (mismatch(rules, rule, key) != Mismatch::none) {
        continue;
      }
      visit(Step{Step::Kind::rule, tier_index, list, i, rule.action, rule.counter});
      if (rule.action == Action::log) {
        result.passed_or_logged = true;
        continue;
      }
      if (rule.action == Action::pass && !tier.profiles) {
        result.passed_or_logged = true;
        return result;
      }
      // There is no tier after the profiles to pass to: deny.
      result.action = rule.action == Action::allow ? Action::allow : Action::deny;
      result.counter = rule.counter;
      return result;
    }
  }
  if (tier.end == TierEnd::deny) {
    result.action = Action::deny;
    result.counter = tier.counter;
  }
  visit(Step{Step::Kind::tier_default, tier_index, 0, 0, result.action, result.counter});
  return result;
}

template <typename Visit>
Verdict judge(const RuleSet& rules, const Program& program, const FlowKey& key,
              const Visit& visit) {
  Verdict verdict;
  for (uint32_t i = 0; i < program.tiers.size(); ++i) {
    const TierResult tier = judge_tier(rules, program.tiers[i], i, key, visit);
    verdict.passed_or_logged = verdict.passed_or_logged || tier.passed_or_logged;
    if (tier.action != Action::pass) {
      verdict.kind = tier.action == Action::allow ? Verdict::Kind::allow : Verdict::Kind::deny;
      verdict.counter = tier.counter;
      break;
    }
  }
  return verdict;
}

}  // namespace

Mismatch mismatch(const RuleSet& rules, const Rule& rule, const FlowKey& key) noexcept {
  const bool v4 = key.dst.is_v4();
  if ((rule.families & (v4 ? Rule::kV4 : Rule::kV6)) == 0) {
    return Mismatch::ip_version;
  }
  if ((rule.protocol && *rule.protocol != key.protocol) ||
      (rule.not_protocol && *rule.not_protocol == key.protocol)) {
    return Mismatch::protocol;
  }
  if ((rule.icmp && !icmp_matches(*rule.icmp, key, v4)) ||
      (rule.not_icmp && icmp_matches(*rule.not_icmp, key, v4))) {
    return Mismatch::icmp;
  }
  if (!address_matches(rules, rule.source, key.src)) {
    return Mismatch::source;
  }
  if (!port_matches(rules, rule.source, {key.src, key.protocol, key.src_port})) {
    return Mismatch::source_port;
  }
  if (!address_matches(rules, rule.destination, key.dst)) {
    return Mismatch::destination;
  }
  if (!port_matches(rules, rule.destination, {key.dst, key.protocol, key.dst_port})) {
    return Mismatch::destination_port;
  }
  return Mismatch::none;
}

void Linear::classify(std::span<const FlowKey> keys, std::span<const ProgramId> programs,
                      std::span<Verdict> verdicts) const noexcept {
  assert(keys.size() == programs.size() && keys.size() == verdicts.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    verdicts[i] = judge(*rules_, rules_->programs[programs[i]], keys[i], [](const Step&) {});
  }
}

Verdict Linear::walk(const FlowKey& key, ProgramId program,
                     const std::function<void(const Step&)>& visit) const {
  return judge(*rules_, rules_->programs[program], key, visit);
}

}  // namespace sluice
