// SPDX-License-Identifier: Apache-2.0
#include "control/rule_cover.h"

#include <algorithm>

namespace sluice::control {
namespace {

bool inside(const PortRange& part, const PortRange& whole) {
  return whole.low <= part.low && part.high <= whole.high;
}

bool inside(const Prefix& part, const Prefix& whole) {
  return whole.length <= part.length && whole.contains(part.base);
}

bool inside(SetId part, SetId whole) {
  return part == whole;
}

// Is each of `parts` inside one of `wholes`?
template <typename T>
bool all_inside(const std::vector<T>& parts, const std::vector<T>& wholes) {
  return std::all_of(parts.begin(), parts.end(), [&](const T& part) {
    return std::any_of(wholes.begin(), wholes.end(),
                       [&](const T& whole) { return inside(part, whole); });
  });
}

bool overlap(const AddressSet& set, const std::vector<Prefix>& nets) {
  for (const AddressSet::Range& range : set.ranges()) {
    for (const Prefix& net : nets) {
      if (range.first <= net.last() && net.base <= range.last) {
        return true;
      }
    }
  }
  return false;
}

bool all_inside(const AddressSet& part, const AddressSet& whole) {
  const auto ranges = whole.ranges();
  return std::all_of(
      part.ranges().begin(), part.ranges().end(), [&](const AddressSet::Range& range) {
        return std::any_of(ranges.begin(), ranges.end(), [&](const AddressSet::Range& w) {
          return w.first <= range.first && range.last <= w.last;
        });
      });
}

std::string contradiction(const RuleSet& rules, const RuleSide& side, const std::string& name) {
  if (!side.nets.empty() && all_inside(side.nets, side.not_nets)) {
    return name + ": notNets excludes all of nets";
  }
  if (!side.ports.empty() && side.port_sets.empty() && all_inside(side.ports, side.not_ports)) {
    return name + ": notPorts excludes all of ports";
  }
  for (const SetId id : side.sets) {
    const AddressSet& set = rules.address_sets[id];
    if (set.ranges().empty()) {
      continue;
    }
    if (!side.nets.empty() && !overlap(set, side.nets)) {
      return name + ": nothing that the selector matches is in nets";
    }
    for (const SetId no : side.not_sets) {
      if (id == no || all_inside(set, rules.address_sets[no])) {
        return name + ": notSelector excludes all that the selector matches";
      }
    }
  }
  return "";
}

bool covers(const RuleSide& a, const RuleSide& b) {
  const bool nets = a.nets.empty() || (!b.nets.empty() && all_inside(b.nets, a.nets));
  const bool sets = all_inside(a.sets, b.sets) && all_inside(a.not_sets, b.not_sets);
  const bool a_any = a.ports.empty() && a.port_sets.empty();
  const bool b_any = b.ports.empty() && b.port_sets.empty();
  const bool ports =
      a_any || (!b_any && all_inside(b.ports, a.ports) && all_inside(b.port_sets, a.port_sets));
  return nets && sets && ports && all_inside(a.not_nets, b.not_nets) &&
         all_inside(a.not_ports, b.not_ports) && all_inside(a.not_port_sets, b.not_port_sets);
}

// Does every ICMP packet of `part` fit `whole`?
bool inside(const IcmpMatch& part, const IcmpMatch& whole) {
  return part.type == whole.type &&
         (whole.any_code || (!part.any_code && part.code == whole.code));
}

}  // namespace

std::string contradiction(const RuleSet& rules, const Rule& rule) {
  if (rule.families == 0) {
    return "its addresses, protocol and IP version exclude each other";
  }
  if (rule.protocol && rule.protocol == rule.not_protocol) {
    return "notProtocol excludes its protocol";
  }
  if (rule.icmp && rule.not_icmp && inside(*rule.icmp, *rule.not_icmp)) {
    return "notICMP excludes its icmp";
  }
  const std::string source = contradiction(rules, rule.source, "source");
  return source.empty() ? contradiction(rules, rule.destination, "destination") : source;
}

bool covers(const Rule& first, const Rule& second) {
  const bool families = (second.families & ~first.families) == 0;
  const bool protocol = !first.protocol || first.protocol == second.protocol;
  const bool not_protocol = !first.not_protocol || first.not_protocol == second.not_protocol ||
                            (second.protocol && second.protocol != first.not_protocol);
  const bool icmp = !first.icmp || (second.icmp && inside(*second.icmp, *first.icmp));
  const bool not_icmp = !first.not_icmp ||
                        (second.not_icmp && inside(*first.not_icmp, *second.not_icmp)) ||
                        (second.protocol && !proto::is_icmp(*second.protocol));
  return families && protocol && not_protocol && icmp && not_icmp &&
         covers(first.source, second.source) && covers(first.destination, second.destination);
}

}  // namespace sluice::control
