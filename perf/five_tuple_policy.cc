// SPDX-License-Identifier: Apache-2.0
#include "perf/five_tuple_policy.h"

#include <algorithm>
#include <bit>

namespace sluice::perf {
namespace {

constexpr size_t kMaxRules = 1'000'000;

// Closed ranges of IPv4 addresses or of ports, sorted and disjoint.
struct Span {
  uint64_t first = 0, last = 0;
};
using Spans = std::vector<Span>;
constexpr Span kAllAddresses = {0, UINT32_MAX};
constexpr Span kAllPorts = {0, UINT16_MAX};

Spans common(const Spans& a, const Spans& b) {
  Spans out;
  for (const Span& x : a) {
    for (const Span& y : b) {
      if (x.first <= y.last && y.first <= x.last) {
        out.push_back({std::max(x.first, y.first), std::min(x.last, y.last)});
      }
    }
  }
  return out;
}

// What of `all` is not in `spans`.
Spans rest(const Spans& spans, Span all) {
  Spans out;
  uint64_t next = all.first;
  for (const Span& span : spans) {
    if (span.first > next) {
      out.push_back({next, span.first - 1});
    }
    next = std::max(next, span.last + 1);
  }
  if (next <= all.last) {
    out.push_back({next, all.last});
  }
  return out;
}

Spans addresses(const AddressSet& set) {
  Spans out;
  for (const AddressSet::Range& range : set.ranges()) {
    if (range.first.is_v4()) {
      out.push_back({range.first.v4().value, range.last.v4().value});
    }
  }
  return out;
}

Spans addresses(const RuleSet& rules, const RuleSide& side) {
  Spans out = {kAllAddresses};
  if (!side.nets.empty()) {
    out = addresses(AddressSet(side.nets));
  }
  for (const SetId set : side.sets) {
    out = common(out, addresses(*rules.address_sets[set]));
  }
  out = common(out, rest(addresses(AddressSet(side.not_nets)), kAllAddresses));
  for (const SetId set : side.not_sets) {
    out = common(out, rest(addresses(*rules.address_sets[set]), kAllAddresses));
  }
  return out;
}

Spans ports(const std::vector<PortRange>& ranges) {
  Spans out;
  for (const PortRange& range : ranges) {
    out.push_back({range.low, range.high});
  }
  std::sort(out.begin(), out.end(),
            [](const Span& a, const Span& b) { return a.first < b.first; });
  return out;
}

// The ports a side asks for, its port sets apart.
Spans ports(const RuleSide& side) {
  const bool any = side.ports.empty() && side.port_sets.empty();
  return common(any ? Spans{kAllPorts} : ports(side.ports),
                rest(ports(side.not_ports), kAllPorts));
}

// One end of five-tuples: a prefix and ports of one protocol, or of any.
struct End {
  uint32_t base = 0;
  uint8_t length = 0;
  PortRange ports;
  std::optional<uint8_t> protocol;
};

// The prefixes of a range.
void split(const Span& range, const PortRange& ports, std::vector<End>& out) {
  uint64_t first = range.first;
  while (first <= range.last) {
    const int aligned = first == 0 ? 32 : std::countr_zero(first);
    const int bits =
        std::min({aligned, static_cast<int>(std::bit_width(range.last - first + 1)) - 1, 32});
    out.push_back({static_cast<uint32_t>(first), static_cast<uint8_t>(32 - bits), ports, {}});
    first += uint64_t{1} << bits;
  }
}

std::vector<End> ends(const RuleSet& rules, const RuleSide& side) {
  const Spans nets = addresses(rules, side);
  std::vector<End> out;
  for (const Span& range : ports(side)) {
    for (const Span& net : nets) {
      split(net, {static_cast<uint16_t>(range.first), static_cast<uint16_t>(range.last)}, out);
    }
  }
  for (const SetId set : side.port_sets) {
    for (const PortSet::Member& m : rules.port_sets[set]->members()) {
      const Span at = {m.address.lo & UINT32_MAX, m.address.lo & UINT32_MAX};
      if (m.address.is_v4() && !common(nets, {at}).empty()) {
        out.push_back({m.address.v4().value, 32, {m.port, m.port}, m.protocol});
      }
    }
  }
  return out;
}

// One rule's five-tuples; false if there are too many.
bool expand(const RuleSet& rules, const Rule& rule, FiveTuplePolicy& out) {
  const std::vector<End> sources = ends(rules, rule.source);
  const std::vector<End> destinations = ends(rules, rule.destination);
  if (sources.size() * destinations.size() + out.rules.size() > kMaxRules) {
    return false;
  }
  for (const End& from : sources) {
    for (const End& to : destinations) {
      std::optional<uint8_t> protocol = rule.protocol;
      bool possible = true;
      for (const std::optional<uint8_t>& other : {from.protocol, to.protocol}) {
        possible = possible && (!other || !protocol || *other == *protocol);
        protocol = other ? other : protocol;
      }
      if (possible) {
        out.rules.push_back({from.base, to.base, from.length, to.length, from.ports, to.ports,
                             protocol.value_or(0), !protocol});
        out.allows.push_back(rule.action == Action::allow);
      }
    }
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
                       rule.source.not_port_sets.empty() &&
                       rule.destination.not_port_sets.empty();
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
