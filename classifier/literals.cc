// SPDX-License-Identifier: Apache-2.0
#include "classifier/literals.h"

#include <algorithm>
#include <optional>

namespace sluice {
namespace {

// A term that would be more rules than this stays a bit vector, and so does one that asks about
// a list of more ranges, or about a set: its members may change under the program.
constexpr size_t kMaxRulesOfTerm = 32;
constexpr size_t kMaxRangesOfNets = 256;

struct Net {
  uint32_t base = 0;
  uint8_t length = 0;
};

bool has_ip6(const AddressSet& set) {
  return std::any_of(set.ranges().begin(), set.ranges().end(),
                     [](const AddressSet::Range& range) {
                       return !range.first.is_v4() || !range.last.is_v4();
                     });
}

class Splitting {
 public:
  Splitting(const TermList& terms, Pinned::Side pinned, const Memberships& memberships)
      : terms_(terms), pinned_(pinned), memberships_(memberships) {}

  Split run() {
    out_.terms.consequences = terms_.consequences;
    for (uint32_t t = 0; t < terms_.terms.size(); ++t) {
      add(*terms_.terms[t], t);
    }
    return std::move(out_);
  }

 private:
  void add(const Term& term, uint32_t number) {
    const Intervals ip4 = term.transport.intersect(transport::of_families(Rule::kV4));
    const auto rules = rules_of(term, ip4);
    if (!rules) {
      out_.terms.rest_has_ip4 = out_.terms.rest_has_ip4 || !ip4.empty();
      leave(term, number);
      return;
    }
    ++out_.literal_terms;
    out_.rules.insert(out_.rules.end(), rules->begin(), rules->end());
    out_.terms.of_rule.resize(out_.rules.size(), number);
    Intervals ip6 = term.transport.intersect(transport::of_families(Rule::kV6));
    if (!ip6.empty() && may_be_ip6(term.source, Pinned::Side::source) &&
        may_be_ip6(term.destination, Pinned::Side::destination)) {
      out_.ip6.push_back({std::move(ip6), term.source_ports, term.source, term.destination});
      leave(out_.ip6.back(), number);
    }
  }

  void leave(const Term& term, uint32_t number) {
    out_.rest.terms.push_back(&term);
    out_.terms.rest.push_back(number);
  }

  bool may_be_ip6(const Term::Side& side, Pinned::Side which) const {
    return which == pinned_ ||
           std::all_of(side.in.begin(), side.in.end(),
                       [&](MembershipId id) { return has_ip6(memberships_.members(id)); });
  }

  // What the term says of IPv4, as rules; nothing if they are too many.
  std::optional<std::vector<FiveTupleRule>> rules_of(const Term& term, const Intervals& ip4) {
    const auto sources = nets_of(term.source, Pinned::Side::source);
    const auto destinations = nets_of(term.destination, Pinned::Side::destination);
    const auto services = services_of(ip4, term.source_ports);
    if (!sources || !destinations ||
        sources->size() * destinations->size() * services.size() > kMaxRulesOfTerm) {
      return std::nullopt;
    }
    std::vector<FiveTupleRule> out;
    for (const Net& source : *sources) {
      for (const Net& destination : *destinations) {
        for (FiveTupleRule rule : services) {
          rule.src = source.base;
          rule.src_length = source.length;
          rule.dst = destination.base;
          rule.dst_length = destination.length;
          out.push_back(rule);
        }
      }
    }
    return out;
  }

  // Rules for the transport keys and source ports alone.
  static std::vector<FiveTupleRule> services_of(const Intervals& ip4, const Intervals& ports) {
    std::vector<FiveTupleRule> out;
    const auto add = [&](FiveTupleRule rule) {
      for (const Interval& port : ports.all()) {
        rule.src_port = {static_cast<uint16_t>(port.first), static_cast<uint16_t>(port.last)};
        out.push_back(rule);
      }
    };
    if (ip4 == transport::of_families(Rule::kV4)) {
      add({});
      return out;
    }
    for (const Interval& keys : ip4.all()) {
      for (uint32_t kind = keys.first >> 16; kind <= keys.last >> 16; ++kind) {
        const uint32_t first = std::max(keys.first, kind << 16);
        const uint32_t last = std::min(keys.last, kind << 16 | 0xffff);
        add({.dst_port = {static_cast<uint16_t>(first), static_cast<uint16_t>(last)},
             .protocol = static_cast<uint8_t>(kind),
             .any_protocol = false});
      }
    }
    return out;
  }

  // The IPv4 addresses of a side as prefixes; nothing if they are too many.
  std::optional<std::vector<Net>> nets_of(const Term::Side& side, Pinned::Side which) const {
    if (which == pinned_ || (side.in.empty() && side.out.empty())) {
      return std::vector<Net>{{}};
    }
    const auto stays = [&](MembershipId id) {
      return !memberships_.is_literal(id) ||
             memberships_.members(id).ranges().size() > kMaxRangesOfNets;
    };
    if (std::any_of(side.in.begin(), side.in.end(), stays) ||
        std::any_of(side.out.begin(), side.out.end(), stays)) {
      return std::nullopt;
    }
    Intervals left(0, UINT32_MAX);
    for (const MembershipId id : side.in) {
      left = left.intersect(memberships_.members(id).ip4());
    }
    for (const MembershipId id : side.out) {
      left = left.minus(memberships_.members(id).ip4());
    }
    std::vector<Net> out;
    for (const Interval& range : left.all()) {
      split_prefixes(range, [&](uint32_t base, uint8_t length) {
        out.push_back({base, length});
      });
      if (out.size() > kMaxRulesOfTerm) {
        return std::nullopt;
      }
    }
    return out;
  }

  const TermList& terms_;
  Pinned::Side pinned_;
  const Memberships& memberships_;
  Split out_;
};

}  // namespace

Split split_literals(const TermList& terms, Pinned::Side pinned,
                     const Memberships& memberships) {
  return Splitting(terms, pinned, memberships).run();
}

}  // namespace sluice
