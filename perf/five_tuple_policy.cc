// SPDX-License-Identifier: Apache-2.0
#include "perf/five_tuple_policy.h"

#include <algorithm>
#include <bit>

namespace sluice::perf {
namespace {

constexpr size_t kMaxRules = 1'000'000;

struct Net {
  uint32_t base = 0;
  uint8_t length = 0;
};

bool is_plain(const RuleSide& side) {
  return side.not_nets.empty() && side.not_sets.empty() && side.port_sets.empty() &&
         side.not_ports.empty() && side.not_port_sets.empty() &&
         side.sets.size() + (side.nets.empty() ? 0 : 1) <= 1;
}

// The prefixes of an IPv4 range.
void split(const AddressSet::Range& range, std::vector<Net>& out) {
  uint64_t first = range.first.v4().value;
  const uint64_t last = range.last.v4().value;
  while (first <= last) {
    const int aligned = first == 0 ? 32 : std::countr_zero(first);
    const int bits =
        std::min({aligned, static_cast<int>(std::bit_width(last - first + 1)) - 1, 32});
    out.push_back({static_cast<uint32_t>(first), static_cast<uint8_t>(32 - bits)});
    first += uint64_t{1} << bits;
  }
}

std::vector<Net> nets_of(const RuleSet& rules, const RuleSide& side) {
  std::vector<Net> nets;
  if (!side.sets.empty()) {
    for (const AddressSet::Range& range : rules.address_sets[side.sets[0]]->ranges()) {
      if (range.first.is_v4()) {
        split(range, nets);
      }
    }
    return nets;
  }
  for (const Prefix& net : side.nets) {
    if (net.is_v4()) {
      nets.push_back({net.base.v4().value, static_cast<uint8_t>(net.written_length())});
    }
  }
  if (side.nets.empty()) {
    nets.push_back({});
  }
  return nets;
}

std::vector<PortRange> ports_of(const RuleSide& side) {
  return side.ports.empty() ? std::vector<PortRange>{{0, UINT16_MAX}} : side.ports;
}

// One rule's five-tuples; false if there are too many.
bool expand(const RuleSet& rules, const Rule& rule, FiveTuplePolicy& out) {
  const std::vector<Net> from = nets_of(rules, rule.source);
  const std::vector<Net> to = nets_of(rules, rule.destination);
  const std::vector<PortRange> from_ports = ports_of(rule.source);
  const std::vector<PortRange> to_ports = ports_of(rule.destination);
  const size_t each = from_ports.size() * to_ports.size();
  if (from.size() * to.size() * each + out.rules.size() > kMaxRules) {
    return false;
  }
  for (size_t n = 0; n < from.size() * to.size() * each; ++n) {
    const Net& src = from[n / each % from.size()];
    const Net& dst = to[n / each / from.size()];
    out.rules.push_back({src.base, dst.base, src.length, dst.length,
                         from_ports[n % from_ports.size()],
                         to_ports[n / from_ports.size() % to_ports.size()],
                         rule.protocol.value_or(0), !rule.protocol});
    out.allows.push_back(rule.action == Action::allow);
  }
  return true;
}

bool add(const RuleSet& rules, const RuleList& list, FiveTuplePolicy& out) {
  for (const Rule& rule : list.staged ? std::vector<Rule>{} : list.rules) {
    const bool concerns =
        rule.action != Action::log && (rule.families & Rule::kV4) != 0 && !rule.icmp;
    if (!concerns) {
      continue;
    }
    const bool plain = rule.action != Action::pass && !rule.not_protocol && !rule.not_icmp &&
                       is_plain(rule.source) && is_plain(rule.destination);
    if (!plain || !expand(rules, rule, out)) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<FiveTuplePolicy> five_tuple_policy(const RuleSet& rules, const Program& program) {
  FiveTuplePolicy out;
  for (const Tier& tier : program.tiers) {
    for (const ListId list : tier.lists) {
      if (!add(rules, *rules.lists[list], out)) {
        return std::nullopt;
      }
    }
    if (tier.end == TierEnd::deny) {
      break;
    }
  }
  // rte_acl has no empty list; this is how one ends anyway.
  out.rules.emplace_back();
  out.allows.push_back(false);
  return out;
}

}  // namespace sluice::perf
