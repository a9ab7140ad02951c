// SPDX-License-Identifier: Apache-2.0
#include "perf/policy_workload.h"

#include <algorithm>
#include <random>

namespace sluice::perf {
namespace {

constexpr unsigned kRoles = 12, kTeams = 20, kEnvironments = 2, kNetworkSets = 20;

struct Labels {
  unsigned app = 0, space = 0, team = 0, role = 0, environment = 0;
};

struct Port {
  uint8_t protocol = proto::kTcp;
  uint16_t number = 0;
};

class Generator {
 public:
  Generator(const PolicySize& size, uint64_t seed, bool ip6)
      : size_(size),
        ip6_(ip6),
        apps_(std::max(8u, size.sets * 6 / 10)),
        spaces_(std::max(2u, apps_ / 12)),
        random_(seed) {}

  PolicyWorkload make(size_t packets) {
    make_pods();
    make_sets();
    make_shared_lists();
    for (unsigned i = 0; i < size_.programs; ++i) {
      make_program(i % 2 == 0);
    }
    PolicyWorkload out;
    out.rules = std::make_shared<const RuleSet>(std::move(rules_));
    out.pins = pins_;
    for (size_t i = 0; i < packets; ++i) {
      const InstanceId id = below(static_cast<unsigned>(pins_.size()));
      out.instances.push_back(id);
      out.keys.push_back(key(*out.rules, pins_[id]));
    }
    return out;
  }

 private:
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  bool chance(unsigned percent) { return below(100) < percent; }

  // Blocks of 64 addresses, as Calico's IPAM gives them to nodes; some addresses are unused.
  Address pod_address(unsigned slot) const {
    return ip6_ ? Address{0xfd00'0010'0244'0000 | slot >> 20, uint64_t{slot & 0xfffff}}
                : Address::of(Ip4{0x0a000000 + slot});
  }
  Prefix network() {
    const bool host = chance(70);
    if (ip6_) {
      const Address a{uint64_t{0x2000} << 48 | random_() >> 3, random_()};
      return Prefix::of(a, host ? 128 : 32 + 8 * (1 + below(5)));
    }
    const Address a =
        Address::of(Ip4{static_cast<uint32_t>(0x10000000 + random_() % 0xc0000000)});
    return Prefix::of(a, host ? 128 : 96 + 18 + below(14));
  }

  void make_pods() {
    std::vector<Labels> app(apps_);
    for (unsigned i = 0; i < apps_; ++i) {
      const unsigned space = below(spaces_);
      app[i] = {i, space, space % kTeams, below(kRoles), 0};
      app_ports_.emplace_back(1 + below(3));
      for (Port& port : app_ports_.back()) {
        port = {chance(85) ? proto::kTcp : proto::kUdp, this->port()};
      }
    }
    for (unsigned i = 0; i < size_.pods; ++i) {
      Labels labels = app[std::min(below(apps_), below(apps_))];  // some are larger than others
      labels.environment = below(kEnvironments);
      labels_.push_back(labels);
      addresses_.push_back(pod_address(i + i / 4));
    }
  }

  template <typename Chosen>
  void add_set(const Chosen& chosen) {
    std::vector<Prefix> members;
    for (unsigned i = 0; i < size_.pods; ++i) {
      if (chosen(labels_[i])) {
        members.push_back({addresses_[i], 128});
      }
    }
    rules_.address_sets.emplace_back(AddressSet(members));
  }

  // All pods; environments, roles, teams; namespaces; applications; and combinations of them.
  void make_sets() {
    add_set([](const Labels&) { return true; });
    for (unsigned i = 1; i < size_.sets; ++i) {
      const unsigned a = below(apps_), s = below(spaces_), r = below(kRoles), t = below(kTeams),
                     e = below(kEnvironments);
      if (i <= apps_) {
        const unsigned app = i - 1;
        add_set([=](const Labels& l) { return l.app == app; });
      } else if (i <= apps_ + spaces_) {
        const unsigned space = i - 1 - apps_;
        add_set([=](const Labels& l) { return l.space == space; });
      } else if (chance(30)) {
        add_set([=](const Labels& l) { return l.space == s && l.role == r; });
      } else if (chance(40)) {
        add_set([=](const Labels& l) { return l.app == a && l.environment == e; });
      } else if (chance(50)) {
        add_set([=](const Labels& l) { return l.team == t && l.role != r; });
      } else {
        add_set([=](const Labels& l) { return l.role == r && l.environment == e; });
      }
    }
    for (unsigned i = 0; i < kNetworkSets; ++i) {
      add_networks(10 + below(200));
    }
    feed_ = add_networks(size_.feed);
  }

  SetId add_networks(unsigned count) {
    std::vector<Prefix> members(count);
    for (Prefix& member : members) {
      member = network();
    }
    rules_.address_sets.emplace_back(AddressSet(members));
    return static_cast<SetId>(rules_.address_sets.size() - 1);
  }

  SetId any_set() { return below(size_.sets); }
  SetId network_set() { return size_.sets + below(kNetworkSets); }
  // The application that a set was chosen by, or any.
  unsigned app_of(SetId set) { return set >= 1 && set <= apps_ ? set - 1 : below(apps_); }

  Rule rule(Action action) {
    Rule r;
    r.action = action;
    r.counter = next_counter_++;
    return r;
  }

  // Mostly: allow from or to one set, to the ports on which the application at the destination
  // listens.  `own`: the application that the policy is for.
  Rule policy_rule(bool ingress, unsigned own) {
    Rule r = rule(chance(80) ? Action::allow : chance(70) ? Action::deny : Action::pass);
    RuleSide& remote = ingress ? r.source : r.destination;
    unsigned listens = own;
    if (chance(75)) {
      remote.sets.push_back(any_set());
      listens = ingress ? own : app_of(remote.sets[0]);
    } else if (chance(60)) {
      remote.sets.push_back(network_set());
    } else if (chance(50)) {
      remote.nets.push_back(network());
    }
    if (chance(6)) {
      remote.not_sets.push_back(any_set());
    }
    if (chance(4)) {
      (ingress ? r.destination : r.source).sets.push_back(any_set());
    }
    if (chance(90)) {
      add_ports(listens, r);
    } else if (chance(40)) {
      r.protocol = ip6_ ? proto::kIcmp6 : proto::kIcmp;
      r.icmp = IcmpMatch{8, true, 0};
    }
    if (chance(1) && r.protocol == proto::kTcp) {
      r.source.ports.push_back({1024, 65535});
    }
    return r;
  }

  void add_ports(unsigned app, Rule& r) {
    r.protocol = app_ports_[app][0].protocol;
    for (const Port& port : app_ports_[app]) {
      if (port.protocol == *r.protocol && (r.destination.ports.empty() || chance(70))) {
        r.destination.ports.push_back({port.number, port.number});
      }
    }
    if (chance(5)) {
      const uint16_t low = port();
      r.destination.ports.push_back(
          {low, static_cast<uint16_t>(std::min(65535u, low + below(1000)))});
    }
  }

  uint16_t port() {
    constexpr uint16_t kWellKnown[] = {22,   53,   80,   443,  2379, 3306, 4317, 5432, 5672,
                                       6379, 8080, 8081, 8443, 9090, 9092, 9100, 9200, 27017};
    return chance(70) ? kWellKnown[below(std::size(kWellKnown))]
                      : static_cast<uint16_t>(1024 + below(30000));
  }

  ListId add_list(unsigned rules, bool ingress, unsigned app) {
    RuleList list;
    for (unsigned i = 0; i < rules; ++i) {
      list.rules.push_back(policy_rule(ingress, app));
    }
    rules_.lists.emplace_back(std::move(list));
    return static_cast<ListId>(rules_.lists.size() - 1);
  }

  // By direction: the security tier's list, the platform tier's, each namespace's, the
  // profile's.
  void make_shared_lists() {
    for (const bool ingress : {false, true}) {
      RuleList security;
      Rule hostile = rule(Action::deny), dns = rule(Action::allow), rest = rule(Action::pass);
      (ingress ? hostile.source : hostile.destination).sets.push_back(feed_);
      dns.protocol = proto::kUdp;
      dns.destination.ports.push_back({53, 53});
      (ingress ? dns.source : dns.destination).sets.push_back(0);
      security.rules = {hostile, dns, rest};
      Shared& shared = shared_[ingress ? 1 : 0];
      rules_.lists.emplace_back(std::move(security));
      shared.security = static_cast<ListId>(rules_.lists.size() - 1);
      shared.platform = add_list(size_.program_rules / 5, ingress, below(apps_));
      for (unsigned space = 0; space < spaces_; ++space) {
        shared.space.push_back(add_list(size_.program_rules / 5, ingress, below(apps_)));
      }
      rules_.lists.emplace_back(RuleList{{rule(Action::allow)}});
      shared.profile = static_cast<ListId>(rules_.lists.size() - 1);
    }
  }

  void make_program(bool ingress) {
    const unsigned pod = below(size_.pods);
    const Shared& shared = shared_[ingress ? 1 : 0];
    Program program;
    program.tiers.push_back({{shared.security}, TierEnd::pass, false, next_counter_++});
    program.tiers.push_back({{shared.platform}, TierEnd::pass, false, next_counter_++});
    Tier own{{shared.space[labels_[pod].space]}, TierEnd::deny, false, next_counter_++};
    for (unsigned rules = size_.program_rules * 3 / 5; rules > 0;) {
      const unsigned some = std::min(rules, 3 + below(8));
      own.lists.push_back(add_list(some, ingress, labels_[pod].app));
      rules -= some;
    }
    program.tiers.push_back(own);
    program.tiers.push_back({{shared.profile}, TierEnd::deny, true, next_counter_++});
    pins_.push_back({static_cast<ProgramId>(rules_.programs.size()),
                     ingress ? Pinned::Side::destination : Pinned::Side::source,
                     addresses_[pod]});
    rules_.programs.push_back(std::move(program));
  }

  Address member_of(const AddressSet& set) {
    if (set.ranges().empty()) {
      return addresses_[below(size_.pods)];
    }
    const auto& range = set.ranges()[below(static_cast<unsigned>(set.ranges().size()))];
    const uint64_t span = range.first.hi == range.last.hi ? range.last.lo - range.first.lo : 0;
    const uint64_t offset = span == UINT64_MAX ? random_() : random_() % (span + 1);
    return {range.first.hi, range.first.lo + offset};
  }

  FlowKey key(const RuleSet& rules, const Matcher::Pin& pin) {
    const bool ingress = pin.side == Pinned::Side::destination;
    FlowKey k;
    Address& remote = ingress ? k.src : k.dst;
    (ingress ? k.dst : k.src) = pin.address;
    k.protocol = chance(80) ? proto::kTcp : proto::kUdp;
    k.src_port = static_cast<uint16_t>(1024 + below(64000));
    k.dst_port = chance(50) ? port() : static_cast<uint16_t>(random_());
    remote = addresses_[below(size_.pods)];
    if (chance(70)) {
      const Program& program = rules.programs[pin.program];
      const Tier& tier = program.tiers[below(static_cast<unsigned>(program.tiers.size()))];
      const auto& list =
          rules.lists[tier.lists[below(static_cast<unsigned>(tier.lists.size()))]];
      meet(rules, list->rules[below(static_cast<unsigned>(list->rules.size()))], ingress, k);
    } else if (chance(30)) {
      remote = network().base;
    }
    return k;
  }

  // Makes the key meet the rule, as far as one set tells.
  void meet(const RuleSet& rules, const Rule& rule, bool ingress, FlowKey& k) {
    const RuleSide& side = ingress ? rule.source : rule.destination;
    Address& remote = ingress ? k.src : k.dst;
    if (!side.sets.empty()) {
      remote = member_of(*rules.address_sets[side.sets[0]]);
    } else if (!side.nets.empty()) {
      remote = side.nets[0].base;
    }
    k.protocol = rule.protocol.value_or(k.protocol);
    if (!rule.destination.ports.empty()) {
      const auto& ports = rule.destination.ports;
      const PortRange& range = ports[below(static_cast<unsigned>(ports.size()))];
      k.dst_port = static_cast<uint16_t>(range.low + below(range.high - range.low + 1u));
    }
    if (rule.icmp) {
      k.src_port = 0;
      k.dst_port = static_cast<uint16_t>(rule.icmp->type << 8);
    }
  }

  struct Shared {
    ListId security = 0, platform = 0, profile = 0;
    std::vector<ListId> space;
  };

  const PolicySize size_;
  const bool ip6_;
  const unsigned apps_, spaces_;
  std::mt19937_64 random_;
  std::vector<Labels> labels_;      // by pod
  std::vector<Address> addresses_;  // by pod
  std::vector<std::vector<Port>> app_ports_;
  SetId feed_ = 0;
  Shared shared_[2];
  CounterSlot next_counter_ = 0;
  RuleSet rules_;
  std::vector<Matcher::Pin> pins_;
};

}  // namespace

PolicyWorkload make_policy_workload(const PolicySize& size, uint64_t seed, size_t packets,
                                    bool ip6) {
  return Generator(size, seed, ip6).make(packets);
}

}  // namespace sluice::perf
