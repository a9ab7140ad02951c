// SPDX-License-Identifier: Apache-2.0
// Random rule sets in the shape of Calico's, small enough that everything overlaps: sets of
// pods and CIDRs of both families, named ports, negations, ICMP, source ports, tiers that pass.
// And random keys that meet them.  The same seed gives the same policy.
#ifndef SLUICE_TESTS_CLASSIFIER_RANDOM_POLICY_H_
#define SLUICE_TESTS_CLASSIFIER_RANDOM_POLICY_H_

#include <random>
#include <vector>

#include "classifier/rule.h"

namespace sluice {

class RandomPolicy {
 public:
  explicit RandomPolicy(uint64_t seed) : random_(seed) {}

  // Pods 10.0.0.0/20 and fd00::/116, CIDRs around them and far away.
  Address address() {
    const uint32_t bits = below(1u << 12);
    switch (below(10)) {
      case 0:
        return Address::of(Ip4{chance(50) ? below(256) : static_cast<uint32_t>(random_())});
      case 1:
        return {random_(), random_()};
      case 2:
        return {uint64_t{0x20010db8} << 32 | below(4) << 16 | below(4), below(4)};
      case 3:
      case 4:
      case 5:
        return {uint64_t{0xfd} << 56, bits};
      default:
        return Address::of(Ip4{0x0a000000 | bits});
    }
  }

  Prefix prefix() {
    const Address a = address();
    if (chance(50)) {
      return Prefix::of(a, 128);
    }
    if (chance(3)) {
      return Prefix::of(a.is_v4() ? Address::of(Ip4{0}) : Address{}, a.is_v4() ? 96 : 0);
    }
    return Prefix::of(a, a.is_v4()    ? 96 + below(33)
                         : chance(50) ? 104 + below(25)
                                      : below(129));
  }

  AddressSet address_set() {
    std::vector<Prefix> members(chance(10) ? 0 : 1 + below(chance(20) ? 300 : 8));
    for (Prefix& member : members) {
      member = prefix();
    }
    return AddressSet(members);
  }

  PortSet port_set() {
    std::vector<PortSet::Member> members(below(12));
    for (PortSet::Member& member : members) {
      member = {address(), protocol(), port()};
    }
    return PortSet(members);
  }

  uint8_t protocol() {
    constexpr uint8_t kAll[] = {
        proto::kTcp,     proto::kTcp, proto::kUdp, proto::kSctp, proto::kIcmp, proto::kIcmp6,
        proto::kUdpLite, proto::kGre, 0,           255};
    return kAll[below(std::size(kAll))];
  }
  uint16_t port() {
    constexpr uint16_t kSome[] = {0, 1, 53, 80, 443, 8080, 65534, 65535};
    return chance(80) ? kSome[below(std::size(kSome))] : static_cast<uint16_t>(random_());
  }

  FlowKey key() {
    FlowKey k;
    k.src = address();
    do {
      k.dst = address();
    } while (k.dst.is_v4() != k.src.is_v4());
    k.protocol = protocol();
    if (proto::has_ports(k.protocol)) {
      k.src_port = port();
      k.dst_port = port();
    } else if (proto::is_icmp(k.protocol)) {
      k.dst_port = static_cast<uint16_t>(icmp_byte() << 8 | icmp_byte());
    }
    return k;
  }

  RuleSet rule_set() {
    RuleSet r;
    for (unsigned n = 2 + below(12); n > 0; --n) {
      r.address_sets.emplace_back(address_set());
    }
    for (unsigned n = 1 + below(4); n > 0; --n) {
      r.port_sets.emplace_back(port_set());
    }
    for (unsigned n = 2 + below(8); n > 0; --n) {
      r.lists.emplace_back(rule_list(r));
    }
    for (unsigned n = 1 + below(5); n > 0; --n) {
      r.programs.push_back(program(r));
    }
    return r;
  }

  RuleList rule_list(const RuleSet& r) {
    RuleList list;
    list.rules.resize(below(chance(10) ? 60 : 8));
    for (Rule& rule : list.rules) {
      rule = random_rule(r);
    }
    list.staged = chance(10);
    return list;
  }

  Program program(const RuleSet& r) {
    Program p;
    p.tiers.resize(below(5));
    for (Tier& tier : p.tiers) {
      for (unsigned n = below(4); n > 0; --n) {
        tier.lists.push_back(below(static_cast<uint32_t>(r.lists.size())));
      }
      tier.end = chance(40) ? TierEnd::deny : TierEnd::pass;
      tier.counter = counter();
      tier.profiles = &tier == &p.tiers.back() && chance(50);
    }
    return p;
  }

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool chance(uint32_t percent) { return below(100) < percent; }

 private:
  CounterSlot counter() { return chance(5) ? kNoCounter : next_counter_++; }
  uint8_t icmp_byte() { return static_cast<uint8_t>(chance(90) ? below(4) : random_()); }
  IcmpMatch icmp() { return {icmp_byte(), chance(50), icmp_byte()}; }

  Rule random_rule(const RuleSet& r) {
    constexpr Action kActions[] = {Action::allow, Action::allow, Action::deny, Action::pass,
                                   Action::log};
    Rule rule;
    rule.action = kActions[below(std::size(kActions))];
    rule.families = chance(80) ? Rule::kV4 | Rule::kV6 : static_cast<uint8_t>(below(3));
    if (chance(40)) {
      rule.protocol = protocol();
    } else if (chance(15)) {
      rule.not_protocol = protocol();
    }
    if (chance(10)) {
      rule.icmp = icmp();
    }
    if (chance(10)) {
      rule.not_icmp = icmp();
    }
    rule.source = side(r, 8);
    rule.destination = side(r, 30);
    rule.counter = counter();
    return rule;
  }

  RuleSide side(const RuleSet& r, uint32_t port_percent) {
    RuleSide s;
    const auto sets = [&](std::vector<SetId>& to, size_t of) {
      for (unsigned n = 1 + below(2); n > 0; --n) {
        to.push_back(below(static_cast<uint32_t>(of)));
      }
    };
    const auto nets = [&](std::vector<Prefix>& to) {
      for (unsigned n = 1 + below(3); n > 0; --n) {
        to.push_back(prefix());
      }
    };
    const auto ranges = [&](std::vector<PortRange>& to) {
      for (unsigned n = 1 + below(3); n > 0; --n) {
        const uint16_t a = port(), b = chance(60) ? a : port();
        to.push_back({std::min(a, b), std::max(a, b)});
      }
    };
    const auto some = [&](uint32_t percent, auto fill, auto&... args) {
      if (chance(percent)) {
        fill(args...);
      }
    };
    some(20, nets, s.nets);
    some(8, nets, s.not_nets);
    some(35, [&] { sets(s.sets, r.address_sets.size()); });
    some(12, [&] { sets(s.not_sets, r.address_sets.size()); });
    some(port_percent, ranges, s.ports);
    some(port_percent / 2, [&] { sets(s.port_sets, r.port_sets.size()); });
    some(port_percent / 3, ranges, s.not_ports);
    some(port_percent / 3, [&] { sets(s.not_port_sets, r.port_sets.size()); });
    return s;
  }

  std::mt19937_64 random_;
  CounterSlot next_counter_ = 0;
};

// Seeds of a run: fixed ones, and one that differs each time, for which a failure names it.
inline std::vector<uint64_t> seeds(size_t fixed) {
  std::vector<uint64_t> all;
  for (uint64_t seed = 1; seed <= fixed; ++seed) {
    all.push_back(seed);
  }
  all.push_back(std::random_device{}());
  return all;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_CLASSIFIER_RANDOM_POLICY_H_
