// SPDX-License-Identifier: Apache-2.0
#include "control/flow_space.h"

#include <algorithm>
#include <map>
#include <set>

namespace sluice::control {
namespace {

constexpr uint32_t kPorts = 65536;

using Bounds = std::set<uint32_t>;  // where a new part begins

void add(Bounds& bounds, const PortRange& range) {
  bounds.insert(range.low);
  bounds.insert(uint32_t{range.high} + 1);
}

PortRange icmp_range(const IcmpMatch& m) {
  const auto first = static_cast<uint16_t>(m.type << 8);
  return m.any_code ? PortRange{first, static_cast<uint16_t>(first | 255)}
                    : PortRange{static_cast<uint16_t>(first | m.code),
                                static_cast<uint16_t>(first | m.code)};
}

struct Protocol {
  Bounds destination;
  Bounds source;
};

class Space {
 public:
  Space() {
    for (const uint8_t p : {proto::kTcp, proto::kUdp, proto::kIcmp, proto::kIcmp6}) {
      protocols_[p];
    }
  }

  void add_rules(const RuleSet& rules) {
    for (const RuleList& list : rules.lists) {
      for (const Rule& rule : list.rules) {
        name(rule);
      }
    }
    for (const PortSet& set : rules.port_sets) {
      for (const PortSet::Member& member : set.members()) {
        add(protocols_[member.protocol].destination, {member.port, member.port});
        named_ports_[member.protocol].insert(member.port);
      }
    }
    for (const RuleList& list : rules.lists) {
      for (const Rule& rule : list.rules) {
        add_rule(rule);
      }
    }
  }

  std::vector<FlowPart> parts(bool v4) const {
    std::vector<FlowPart> out;
    for (const auto& [number, p] : protocols_) {
      if (number == (v4 ? proto::kIcmp6 : proto::kIcmp)) {
        continue;
      }
      const bool ported = proto::has_ports(number);
      if (!ported && !proto::is_icmp(number)) {
        out.push_back({number, false, {}, {}});
        continue;
      }
      const std::vector<PortRange> sources =
          !ported ? std::vector<PortRange>{{}} : ranges(p.source, 1);
      for (const PortRange& source : sources) {
        for (const PortRange& destination : ranges(p.destination, ported ? 1 : 0)) {
          out.push_back({number, false, destination, source});
        }
      }
    }
    for (unsigned n = 255; n > 0; --n) {
      if (!protocols_.contains(static_cast<uint8_t>(n))) {
        out.push_back({static_cast<uint8_t>(n), true, {}, {}});
        break;
      }
    }
    return out;
  }

 private:
  void name(const Rule& rule) {
    for (const auto& protocol : {rule.protocol, rule.not_protocol}) {
      if (protocol) {
        protocols_[*protocol];
      }
    }
  }

  void add_rule(const Rule& rule) {
    for (auto& [number, p] : protocols_) {
      if (rule.protocol && *rule.protocol != number) {
        continue;
      }
      if (proto::is_icmp(number) && rule.icmp) {
        add(p.destination, icmp_range(*rule.icmp));
      }
      if (proto::is_icmp(number) && rule.not_icmp) {
        add(p.destination, icmp_range(*rule.not_icmp));
      }
      for (const auto* ranges : {&rule.destination.ports, &rule.destination.not_ports}) {
        for (const PortRange& range : *ranges) {
          add(p.destination, range);
        }
      }
      for (const auto* ranges : {&rule.source.ports, &rule.source.not_ports}) {
        for (const PortRange& range : *ranges) {
          add(p.source, range);
        }
      }
      if (!rule.source.port_sets.empty() || !rule.source.not_port_sets.empty()) {
        for (const uint16_t port : named_ports_[number]) {
          add(p.source, {port, port});
        }
      }
    }
  }

  static std::vector<PortRange> ranges(Bounds bounds, uint32_t first) {
    bounds.insert(first);
    bounds.insert(kPorts);
    std::vector<PortRange> out;
    for (auto it = bounds.lower_bound(first); std::next(it) != bounds.end(); ++it) {
      out.push_back({static_cast<uint16_t>(*it), static_cast<uint16_t>(*std::next(it) - 1)});
    }
    return out;
  }

  std::map<uint8_t, Protocol> protocols_;
  std::map<uint8_t, std::set<uint16_t>> named_ports_;
};

std::string range_text(const PortRange& r, bool icmp) {
  if (icmp) {
    const bool types = (r.low & 255) == 0 && (r.high & 255) == 255;
    const auto one = [types](uint16_t v) {
      return std::to_string(v >> 8) + (types ? "" : "/" + std::to_string(v & 255));
    };
    const bool single = types ? r.low >> 8 == r.high >> 8 : r.low == r.high;
    return single ? one(r.low) : one(r.low) + "-" + one(r.high);
  }
  return r.low == r.high ? std::to_string(r.low)
                         : std::to_string(r.low) + "-" + std::to_string(r.high);
}

}  // namespace

std::vector<FlowPart> flow_parts(std::span<const RuleSet* const> rules, bool v4) {
  Space space;
  for (const RuleSet* set : rules) {
    space.add_rules(*set);
  }
  return space.parts(v4);
}

std::string flow_text(const std::vector<FlowPart>& all, const std::vector<size_t>& chosen) {
  if (chosen.size() == all.size()) {
    return "everything";
  }
  std::string out;
  for (size_t i = 0; i < chosen.size();) {
    const FlowPart& first = all[chosen[i]];
    const auto same = [&](const FlowPart& p) {
      return p.protocol == first.protocol && p.source == first.source;
    };
    const auto of_group = static_cast<size_t>(std::count_if(all.begin(), all.end(), same));
    std::string ports;
    size_t taken = 0;
    while (i < chosen.size() && same(all[chosen[i]])) {
      PortRange merged = all[chosen[i]].destination;
      ++taken;
      for (++i; i < chosen.size() && same(all[chosen[i]]) &&
                all[chosen[i]].destination.low == uint32_t{merged.high} + 1;
           ++i, ++taken) {
        merged.high = all[chosen[i]].destination.high;
      }
      ports += (ports.empty() ? "" : ",") + range_text(merged, proto::is_icmp(first.protocol));
    }
    const std::string name = proto::name(first.protocol);
    out += out.empty() ? "" : " ";
    out += first.others ? "other protocols" : name[0] <= '9' ? "protocol " + name : name;
    if (taken < of_group) {
      out += "/" + ports;
    }
    const bool any_source = first.source.low <= 1 &&
                            (first.source.high == 65535 || !proto::has_ports(first.protocol));
    if (!any_source) {
      out += " from port " + range_text(first.source, false);
    }
  }
  return out;
}

}  // namespace sluice::control
