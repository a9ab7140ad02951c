// SPDX-License-Identifier: Apache-2.0
#include "control/policy_diff.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "control/flow_space.h"

namespace sluice::control {
namespace {

constexpr uint64_t kProgressEvery = 100'000;

// Ends that nothing on either side tells apart.
struct Kind {
  std::vector<std::string> names;
  std::set<std::string> namespaces;
  std::set<std::string> nodes;      // of endpoints, and nodes themselves
  std::array<Cluster::End, 2> end;  // one of them, before and after
};

class Comparison {
 public:
  Comparison(const Cluster& before, const Cluster& after, const DiffOptions& options)
      : sides_{&before, &after}, options_(options) {
    collect_parts();
    for (const bool v4 : {true, false}) {
      Family& family = families_[v4 ? 0 : 1];
      const RuleSet* rules[] = {before.policy().rules.get(), after.policy().rules.get()};
      family.flows = flow_parts(rules, v4);
      collect_endpoints(family, v4);
      collect_nodes(family, v4);
      if (!family.kinds.empty()) {
        collect_world(family, v4);
      }
    }
  }

  Result<PolicyDiff> run() {
    if (Status known = check_namespace(); !known) {
      return known.error();
    }
    uint64_t all = 0;
    for (const Family& family : families_) {
      all += pairs(family) * family.flows.size();
    }
    if (all > kMaxJudged) {
      return Error{
          std::to_string(all) + " flows to compare are more than " + std::to_string(kMaxJudged),
          "name one namespace: -n NAMESPACE"};
    }
    for (const Family& family : families_) {
      compare(family, all);
    }
    return std::move(out_);
  }

 private:
  struct Family {
    std::vector<FlowPart> flows;
    std::vector<Kind> kinds;
    std::map<std::vector<uint32_t>, size_t> by_signature;
  };
  using Change = std::tuple<std::string, bool, std::string>;  // flow, was allowed, by

  // Everything that can tell addresses apart.
  void collect_parts() {
    prefixes_.insert(options_.named.begin(), options_.named.end());
    for (const Cluster* side : sides_) {
      const RuleSet& rules = *side->policy().rules;
      for (const LocalEndpoint& e : side->policy().endpoints) {
        taken_.insert(e.addresses.begin(), e.addresses.end());
      }
      for (const RuleList& list : rules.lists) {
        for (const Rule& rule : list.rules) {
          collect_prefixes(rule);
        }
      }
      for (const AddressSet& set : rules.address_sets) {
        for (const AddressSet::Range& range : set.ranges()) {
          ranges_.emplace(range.first, range.last);
        }
      }
      for (const PortSet& set : rules.port_sets) {
        for (const PortSet::Member& member : set.members()) {
          ranges_.emplace(member.address, member.address);
        }
      }
    }
    std::erase_if(ranges_, [this](const auto& range) {
      return range.first == range.second && taken_.contains(range.first);
    });
  }
  void collect_prefixes(const Rule& rule) {
    for (const auto* nets : {&rule.source.nets, &rule.source.not_nets, &rule.destination.nets,
                             &rule.destination.not_nets}) {
      prefixes_.insert(nets->begin(), nets->end());
    }
  }

  // The lists of the host endpoints of an end's node.
  static void add_protection(const Cluster& side, const std::string& node,
                             std::vector<uint32_t>& out) {
    static const ProtectedNode none;
    const auto it = side.policy().nodes.find(node);
    const ProtectedNode& n = it == side.policy().nodes.end() ? none : it->second;
    for (const ProtectedInterface* p : {&n.uplink, &n.tunnel, &n.pods}) {
      for (const HostStageName& at : kHostStages) {
        out.push_back((p->policy.*at.stage).program);
      }
    }
  }

  // All that rules can ask of an end.
  std::vector<uint32_t> signature(const std::array<Cluster::End, 2>& ends) const {
    std::vector<uint32_t> out;
    for (size_t i = 0; i < 2; ++i) {
      const LocalEndpoint* e = ends[i].endpoint;
      out.push_back(e == nullptr ? kNoProgram : e->ingress);
      out.push_back(e == nullptr ? kNoProgram : e->egress);
      add_protection(*sides_[i], e == nullptr ? ends[i].node : e->node, out);
      out.push_back(ends[i].node.empty() ? 0 : 1);
      const RuleSet& rules = *sides_[i]->policy().rules;
      for (const AddressSet& set : rules.address_sets) {
        out.push_back(set.contains(ends[i].address));
      }
      for (const PortSet& set : rules.port_sets) {
        out.push_back(UINT32_MAX);
        const auto members = set.members();
        for (auto m = std::lower_bound(members.begin(), members.end(),
                                       PortSet::Member{ends[i].address, 0, 0});
             m != members.end() && m->address == ends[i].address; ++m) {
          out.push_back(uint32_t{m->protocol} << 16 | m->port);
        }
      }
      for (const Prefix& prefix : prefixes_) {
        out.push_back(prefix.contains(ends[i].address));
      }
    }
    return out;
  }

  Status check_namespace() const {
    const std::string& ns = options_.namespace_name;
    std::vector<std::string_view> known;
    for (const Cluster* side : sides_) {
      for (const LocalEndpoint& e : side->policy().endpoints) {
        known.push_back(e.namespace_name);
      }
    }
    if (ns.empty() || std::find(known.begin(), known.end(), ns) != known.end()) {
      return Ok{};
    }
    const std::string near = config::nearest(ns, known);
    return Error{"no endpoint of these files is in namespace \"" + ns + "\"",
                 near.empty() ? "" : "did you mean \"" + near + "\"?"};
  }

  void add(Family& family, const std::array<Cluster::End, 2>& ends, const std::string& name) {
    const auto [it, fresh] = family.by_signature.emplace(signature(ends), family.kinds.size());
    if (fresh) {
      family.kinds.emplace_back().end = ends;
    }
    Kind& kind = family.kinds[it->second];
    if (fresh || ends[0].endpoint != nullptr || kind.names.back() != name) {
      kind.names.push_back(name);
    }
    if (ends[0].endpoint != nullptr) {
      kind.namespaces.insert(ends[0].endpoint->namespace_name);
    }
    for (const Cluster::End& end : ends) {
      if (end.endpoint != nullptr || !end.node.empty()) {
        kind.nodes.insert(end.endpoint != nullptr ? end.endpoint->node : end.node);
      }
    }
  }

  void collect_endpoints(Family& family, bool v4) {
    std::map<std::string, std::array<const LocalEndpoint*, 2>> all;
    for (size_t i = 0; i < 2; ++i) {
      for (const LocalEndpoint& e : sides_[i]->policy().endpoints) {
        all[name_of(e)][i] = &e;
      }
    }
    for (const auto& [name, both] : all) {
      if (both[0] == nullptr || both[1] == nullptr) {
        const LocalEndpoint& only = both[0] == nullptr ? *both[1] : *both[0];
        const std::string& ns = options_.namespace_name;
        if (v4 && (ns.empty() || only.namespace_name == ns)) {  // once
          (both[0] == nullptr ? out_.added : out_.removed).push_back(name);
        }
        continue;
      }
      std::array<Cluster::End, 2> ends;
      bool has = true;
      for (size_t i = 0; i < 2; ++i) {
        const auto& addresses = both[i]->addresses;
        const auto a = std::find_if(addresses.begin(), addresses.end(),
                                    [v4](const Address& x) { return x.is_v4() == v4; });
        has = has && a != addresses.end();
        if (has) {
          ends[i] = {both[i], *a, false, {}};
        }
      }
      if (has) {
        add(family, ends, name);
      }
    }
  }

  // Nodes that a HostEndpoint protects on either side.
  void collect_nodes(Family& family, bool v4) {
    std::set<std::string> names;
    for (const Cluster* side : sides_) {
      for (const auto& [name, node] : side->policy().nodes) {
        names.insert(name);
      }
    }
    for (const std::string& name : names) {
      const auto before = sides_[0]->node_end(name);
      const auto after = sides_[1]->node_end(name);
      if (before && after && before->address.is_v4() == v4 && after->address.is_v4() == v4) {
        taken_.insert({before->address, after->address});
        add(family, {*before, *after}, "node " + name);
      }
    }
  }

  // One address of each part of the rest that something tells apart.
  void collect_world(Family& family, bool v4) {
    const Prefix all = v4 ? Prefix::of(Address::of(Ip4{0}), 96) : Prefix::of({}, 0);
    std::set<Address> starts = {all.base};
    const auto part = [&](const Address& first, const Address& last) {
      starts.insert(first);
      starts.insert(last.next());
    };
    for (const Prefix& prefix : prefixes_) {
      part(prefix.base, prefix.last());
    }
    for (const auto& [first, last] : ranges_) {
      part(first, last);
    }
    for (auto it = starts.begin(); it != starts.end(); ++it) {
      const Address end = std::next(it) == starts.end() ? all.last().next() : *std::next(it);
      Address first = *it;
      // Those of endpoints are endpoints, wherever they are known.
      while (first != end && taken_.contains(first)) {
        first = first.next();
      }
      if (first != end && first.is_v4() == v4) {
        const Cluster::End one{nullptr, first, false, {}};
        add(family, {one, one}, world_name(first, end.previous()));
      }
    }
  }

  // The smallest prefix that has this part, or its addresses if a set has but a part of that.
  std::string world_name(const Address& first, const Address& last) const {
    const Prefix* best = nullptr;
    for (const Prefix& prefix : prefixes_) {
      if (prefix.is_v4() == first.is_v4() && prefix.contains(first) &&
          prefix.written_length() > 0 && (best == nullptr || prefix.length > best->length)) {
        best = &prefix;
      }
    }
    const bool listed = std::any_of(ranges_.begin(), ranges_.end(), [&](const auto& range) {
      const bool within =
          best == nullptr || best->base < range.first || range.second < best->last();
      return within && range.first <= first && first <= range.second;
    });
    if (listed) {
      return to_string(first) + (first == last ? "" : "-" + to_string(last));
    }
    return best != nullptr ? to_string(*best) : "world";
  }

  bool wanted(const Kind& from, const Kind& to) const {
    const auto inside = [](const Kind& kind) {
      return kind.end[0].endpoint != nullptr || !kind.end[0].node.empty();
    };
    const bool outside = !inside(from) && !inside(to);
    const bool itself = &from == &to && from.names.size() == 1;
    // What passes between a node and its own pods alone its host endpoint does not judge.
    const bool has_node = !from.end[0].node.empty() || !to.end[0].node.empty();
    const bool within = has_node && from.nodes.size() == 1 && from.nodes == to.nodes;
    const std::string& ns = options_.namespace_name;
    return !outside && !itself && !within &&
           (ns.empty() || from.namespaces.contains(ns) || to.namespaces.contains(ns));
  }

  uint64_t pairs(const Family& family) const {
    uint64_t n = 0;
    for (const Kind& from : family.kinds) {
      for (const Kind& to : family.kinds) {
        n += wanted(from, to) ? 1 : 0;
      }
    }
    return n;
  }

  void compare(const Family& family, uint64_t all) {
    // By receiver and change, who sends; then by senders and change, who receives.
    std::map<std::tuple<std::vector<std::string>, Change>, std::vector<std::string>> lines;
    for (const Kind& to : family.kinds) {
      std::map<Change, std::vector<std::string>> senders;
      for (const Kind& from : family.kinds) {
        if (!wanted(from, to)) {
          continue;
        }
        for (const Change& change : changes(family, from, to, all)) {
          auto& names = senders[change];
          names.insert(names.end(), from.names.begin(), from.names.end());
        }
      }
      for (auto& [change, names] : senders) {
        std::sort(names.begin(), names.end());
        auto& receivers = lines[{names, change}];
        receivers.insert(receivers.end(), to.names.begin(), to.names.end());
      }
    }
    for (auto& [key, receivers] : lines) {
      const auto& [senders, change] = key;
      const auto& [flow, was, by] = change;
      std::sort(receivers.begin(), receivers.end());
      out_.changes.push_back({senders, receivers, flow, was, by, places_[by]});
    }
  }

  // What changes between two kinds of ends.
  std::vector<Change> changes(const Family& family, const Kind& from, const Kind& to,
                              uint64_t all) {
    std::map<std::pair<bool, std::string>, std::vector<size_t>> by_decider;
    for (size_t i = 0; i < family.flows.size(); ++i) {
      if (options_.progress && out_.judged % kProgressEvery == 0) {
        options_.progress(out_.judged, all);
      }
      ++out_.judged;
      const FlowPart& flow = family.flows[i];
      std::array<FlowKey, 2> keys;
      std::array<bool, 2> allowed;
      for (size_t s = 0; s < 2; ++s) {
        keys[s] = {from.end[s].address, to.end[s].address, flow.source.high,
                   flow.destination.low, flow.protocol};
        allowed[s] = sides_[s]->allows(from.end[s], to.end[s], keys[s], true);
      }
      if (allowed[0] != allowed[1]) {
        by_decider[{allowed[0], decider(from, to, keys)}].push_back(i);
      }
    }
    std::vector<Change> out;
    out.reserve(by_decider.size());
    for (const auto& [key, chosen] : by_decider) {
      out.emplace_back(
          flow_text(family.flows, chosen) + (&family == &families_[0] ? "" : " (IPv6)"),
          key.first, key.second);
    }
    return out;
  }

  // Who says so now: what the new side answers last, or where the old one denied, what it
  // answers last for that end.
  std::string decider(const Kind& from, const Kind& to, const std::array<FlowKey, 2>& keys) {
    const CompiledPolicy& policy = sides_[1]->policy();
    const Trail now = sides_[1]->judge(from.end[1], to.end[1], keys[1], true).trail;
    const Cluster::Answer was = sides_[0]->judge(from.end[0], to.end[0], keys[0], true);
    const Direction end = (was.allow ? now : was.trail).back().direction;
    const auto last = std::find_if(now.rbegin(), now.rend(),
                                   [end](const TrailStep& s) { return s.direction == end; });
    if (last == now.rend()) {  // the host endpoint has gone
      return "no policy";
    }
    std::string text = std::string(word(end)) + ", " + decider_text(policy, *last);
    places_.emplace(text, decider_place(policy, *last));
    return text;
  }

  std::array<const Cluster*, 2> sides_;
  const DiffOptions& options_;
  std::set<Prefix> prefixes_;
  std::set<std::pair<Address, Address>> ranges_;  // of sets, but for one endpoint's
  std::set<Address> taken_;                       // by endpoints
  std::array<Family, 2> families_;
  std::map<std::string, config::Where> places_;
  PolicyDiff out_;
};

}  // namespace

Result<PolicyDiff> diff(const Cluster& before, const Cluster& after,
                        const DiffOptions& options) {
  return Comparison(before, after, options).run();
}

}  // namespace sluice::control
