// SPDX-License-Identifier: Apache-2.0
#include "classifier/terms.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "classifier/transport.h"

namespace sluice {
namespace {

using Side = Term::Side;

// One way to meet the port part of one side of a rule.
struct PortTerm {
  Intervals transport = transport::everything();
  Intervals source_ports = transport::every_port();
  Side address;
};

Intervals of_source_ports(std::span<const PortRange> ports) {
  std::vector<Interval> out;
  for (const PortRange& range : ports) {
    if (range.low <= range.high) {
      out.push_back({range.low, range.high});
    }
  }
  return Intervals(std::move(out));
}

Intervals with_ports() {
  const PortRange all{0, UINT16_MAX};
  return transport::of_ports({&all, 1});
}

// Where one protocol's port is `port`, on this side of the key.
PortTerm at_port(uint8_t protocol, uint16_t port, bool source) {
  PortTerm term;
  term.transport =
      source ? transport::of_protocol(protocol) : transport::of_port(protocol, port);
  if (source) {
    term.source_ports = {port, port};
  }
  return term;
}

// "In one of the ranges or of the port sets": one term for all ranges, one for each pair.
std::vector<PortTerm> positive(const RuleSide& side, const Memberships& memberships,
                               bool source) {
  std::vector<PortTerm> out;
  if (side.ports.empty() && side.port_sets.empty()) {
    out.emplace_back();
  }
  if (!side.ports.empty()) {
    PortTerm term;
    term.transport = source ? with_ports() : transport::of_ports(side.ports);
    if (source) {
      term.source_ports = of_source_ports(side.ports);
    }
    out.push_back(std::move(term));
  }
  for (const SetId set : side.port_sets) {
    for (const Memberships::PortPair& pair : memberships.of_port_set(set)) {
      PortTerm term = at_port(pair.protocol, pair.port, source);
      term.address.in = {pair.members};
      out.push_back(std::move(term));
    }
  }
  return out;
}

// "In none of them": what no range and no pair mentions; and for each pair's port the addresses
// that have none of the pairs with it.
std::vector<PortTerm> negative(const RuleSide& side, const Memberships& memberships,
                               bool source) {
  std::map<std::pair<uint8_t, uint16_t>, std::vector<MembershipId>> pairs;
  for (const SetId set : side.not_port_sets) {
    for (const Memberships::PortPair& pair : memberships.of_port_set(set)) {
      pairs[{pair.protocol, pair.port}].push_back(pair.members);
    }
  }
  std::vector<PortTerm> out;
  PortTerm other;  // of destinations
  other.transport = other.transport.minus(transport::of_ports(side.not_ports));
  for (const auto& [pair, members] : pairs) {
    PortTerm here = at_port(pair.first, pair.second, source);
    here.address.out = members;
    if (source) {
      here.source_ports = here.source_ports.minus(of_source_ports(side.not_ports));
    } else {
      here.transport = here.transport.intersect(other.transport);
    }
    out.push_back(std::move(here));
  }
  if (!source) {
    for (const auto& [pair, members] : pairs) {
      other.transport = other.transport.minus(transport::of_port(pair.first, pair.second));
    }
    out.push_back(std::move(other));
    return out;
  }
  // What carries no ports is in no range or pair.
  PortTerm rest;
  rest.transport = rest.transport.minus(with_ports());
  out.push_back(std::move(rest));
  for (const uint8_t protocol : {proto::kTcp, proto::kUdp, proto::kSctp}) {
    PortTerm term;
    term.transport = transport::of_protocol(protocol);
    term.source_ports = term.source_ports.minus(of_source_ports(side.not_ports));
    for (const auto& [pair, members] : pairs) {
      if (pair.first == protocol) {
        term.source_ports = term.source_ports.minus({pair.second, pair.second});
      }
    }
    out.push_back(std::move(term));
  }
  return out;
}

Side join(const Side& a, const Side& b) {
  Side out = a;
  out.in.insert(out.in.end(), b.in.begin(), b.in.end());
  out.out.insert(out.out.end(), b.out.begin(), b.out.end());
  for (auto* ids : {&out.in, &out.out}) {
    std::sort(ids->begin(), ids->end());
    ids->erase(std::unique(ids->begin(), ids->end()), ids->end());
  }
  return out;
}

// Every way to meet both.
std::vector<PortTerm> both(const std::vector<PortTerm>& a, const std::vector<PortTerm>& b) {
  std::vector<PortTerm> out;
  for (const PortTerm& x : a) {
    for (const PortTerm& y : b) {
      PortTerm joined{x.transport.intersect(y.transport),
                      x.source_ports.intersect(y.source_ports), join(x.address, y.address)};
      if (!joined.transport.empty() && !joined.source_ports.empty()) {
        out.push_back(std::move(joined));
      }
    }
  }
  return out;
}

// What the ports of one side ask.
std::vector<PortTerm> of_ports(const RuleSide& side, const Memberships& memberships,
                               bool source) {
  std::vector<PortTerm> out = positive(side, memberships, source);
  if (!side.not_ports.empty() || !side.not_port_sets.empty()) {
    out = both(out, negative(side, memberships, source));
  }
  return out;
}

Side address_side(const RuleSide& side, const Memberships& memberships) {
  Side out;
  for (const SetId set : side.sets) {
    out.in.push_back(memberships.of_set(set));
  }
  for (const SetId set : side.not_sets) {
    out.out.push_back(memberships.of_set(set));
  }
  if (!side.nets.empty()) {
    out.in.push_back(memberships.of_nets(side.nets));
  }
  if (!side.not_nets.empty()) {
    out.out.push_back(memberships.of_nets(side.not_nets));
  }
  return out;
}

Intervals transport_of(const Rule& rule) {
  Intervals out = transport::of_families(rule.families);
  if (rule.protocol) {
    out = out.intersect(transport::of_protocol(*rule.protocol));
  }
  if (rule.not_protocol) {
    out = out.minus(transport::of_protocol(*rule.not_protocol));
  }
  if (rule.icmp) {
    out = out.intersect(transport::of_icmp(*rule.icmp));
  }
  if (rule.not_icmp) {
    out = out.minus(transport::of_icmp(*rule.not_icmp));
  }
  return out;
}

bool holds(const Side& side, std::span<const MembershipId> signature) {
  const auto member = [&](MembershipId id) {
    return std::binary_search(signature.begin(), signature.end(), id);
  };
  return std::all_of(side.in.begin(), side.in.end(), member) &&
         std::none_of(side.out.begin(), side.out.end(), member);
}

// The pinned side left aside, does the term match everything?
bool certain(const Term& term, Pinned::Side pinned) {
  const auto free = [](const Side& side) { return side.in.empty() && side.out.empty(); };
  return term.transport == transport::everything() &&
         term.source_ports == transport::every_port() &&
         (pinned == Pinned::Side::source || free(term.source)) &&
         (pinned == Pinned::Side::destination || free(term.destination));
}

// Builds the flat list tier by tier.
class Flattening {
 public:
  Flattening(ListTerms& lists, const Pinned& pinned) : lists_(lists), pinned_(pinned) {}

  // False if no packet gets past this tier.
  bool add(const Tier& tier) {
    left_ = closed_ = false;
    const size_t first = out_.terms.size();
    for (const ListId list : tier.lists) {
      for (const ListTerms::OfRule& rule : lists_.of(list)) {
        add(rule, tier.profiles);
      }
    }
    if (!closed_ && tier.end == TierEnd::deny) {
      push(lists_.always(), {outcome::pack(Verdict::Kind::deny, tier.counter)});
    }
    for (size_t i = first; i < out_.terms.size(); ++i) {
      uint32_t& next = out_.consequences[i].next;
      next = next == kEndOfTier ? static_cast<uint32_t>(out_.terms.size()) : next;
    }
    return left_ || (!closed_ && tier.end == TierEnd::pass);
  }

  TermList take() { return std::move(out_); }

 private:
  static constexpr uint32_t kEndOfTier = Consequence::kDecides - 1;

  void add(const ListTerms::OfRule& rule, bool profile) {
    const bool passes = rule.action == Action::pass && !profile;
    const bool logs = rule.action == Action::log;
    const auto kind = rule.action == Action::allow ? Verdict::Kind::allow : Verdict::Kind::deny;
    for (const Term& term : rule.terms) {
      if (closed_ || !possible(term)) {
        continue;
      }
      const auto after = static_cast<uint32_t>(out_.terms.size() + 1);
      push(term, passes ? Consequence{outcome::kUndecided, kEndOfTier}
                 : logs ? Consequence{outcome::kUndecided, after}
                        : Consequence{outcome::pack(kind, rule.counter)});
      left_ = left_ || passes;
      closed_ = !logs && certain(term, pinned_.side);
    }
  }

  bool possible(const Term& term) const {
    return pinned_.side == Pinned::Side::none ||
           holds(pinned_.side == Pinned::Side::source ? term.source : term.destination,
                 pinned_.signature);
  }
  void push(const Term& term, Consequence consequence) {
    out_.terms.push_back(&term);
    out_.consequences.push_back(consequence);
  }

  ListTerms& lists_;
  const Pinned& pinned_;
  // Of the tier at hand: can a packet leave it by a pass rule; does every packet end before
  // here?
  bool left_ = false, closed_ = false;
  TermList out_;
};

}  // namespace

std::vector<Term> terms_of(const Rule& rule, const Memberships& memberships) {
  const Intervals base = transport_of(rule);
  const Side source = address_side(rule.source, memberships);
  const Side destination = address_side(rule.destination, memberships);
  const auto source_ports = of_ports(rule.source, memberships, true);
  const auto ports = of_ports(rule.destination, memberships, false);
  std::vector<Term> out;
  for (const PortTerm& s : source_ports) {
    const Intervals allowed = base.intersect(s.transport);
    for (const PortTerm& d : ports) {
      Term term{allowed.intersect(d.transport), s.source_ports, join(source, s.address),
                join(destination, d.address)};
      if (!term.transport.empty()) {
        out.push_back(std::move(term));
      }
    }
  }
  return out;
}

ListTerms::ListTerms(const RuleSet& rules, const Memberships& memberships)
    : rules_(rules),
      memberships_(memberships),
      lists_(rules.lists.size()),
      always_{transport::everything(), transport::every_port(), {}, {}} {}

const std::vector<ListTerms::OfRule>& ListTerms::of(ListId list) {
  std::optional<std::vector<OfRule>>& known = lists_[list];
  if (!known) {
    known.emplace();
    for (const Rule& rule : rules_.lists[list]->rules) {
      known->push_back({terms_of(rule, memberships_), rule.action, rule.counter});
    }
  }
  return *known;
}

TermList flatten(const Program& program, ListTerms& lists, const Pinned& pinned) {
  Flattening flattening(lists, pinned);
  for (const Tier& tier : program.tiers) {
    if (!flattening.add(tier)) {
      break;
    }
  }
  return flattening.take();
}

}  // namespace sluice
