// SPDX-License-Identifier: Apache-2.0
#include "perf/hard_policies.h"

#include <algorithm>
#include <random>

#include "perf/five_tuple_sets.h"

namespace sluice::perf {
namespace {

constexpr unsigned kSets = 300, kPods = 20'000, kTiers = 8;
constexpr uint32_t kFirstPod = 0x0a000000;

class Generator {
 public:
  Generator(const HardPolicy& policy, uint64_t seed) : policy_(policy), random_(seed) {}

  PolicyWorkload make(size_t packets) {
    Program program;
    const bool passes = policy_.hardness == Hardness::passes;
    if (policy_.hardness == Hardness::literals) {
      five_tuples_ = make_rules(*find_shape(policy_.shape), policy_.rules, random_());
    } else {
      make_sets();
    }
    const unsigned tiers = passes ? kTiers : 1;
    for (unsigned t = 0; t < tiers; ++t) {
      RuleList list;
      for (unsigned i = 0; i < policy_.rules / tiers; ++i) {
        list.rules.push_back(five_tuples_.empty() ? one_rule(passes)
                                                  : rule_of(five_tuples_[i]));
      }
      rules_.lists.emplace_back(std::move(list));
      program.tiers.push_back(
          {{t}, passes ? TierEnd::pass : TierEnd::deny, false, next_counter_++});
    }
    rules_.programs = {std::move(program)};
    PolicyWorkload out;
    out.pins = {{0, policy_.pinned ? Pinned::Side::destination : Pinned::Side::none,
                 Address::of(Ip4{kFirstPod})}};
    make_keys(packets, out);
    out.rules = std::make_shared<const RuleSet>(std::move(rules_));
    return out;
  }

 private:
  void make_sets() {
    for (unsigned s = 0; s < kSets; ++s) {
      std::vector<Prefix> members(50 + below(2000));
      for (Prefix& member : members) {
        member = Prefix::of(pod(), 128);
      }
      members.push_back(Prefix::of(pod(), 96 + 18 + below(10)));
      rules_.address_sets.emplace_back(AddressSet(members));
    }
  }

  // A pod's rule has no use for literal nets of its own side.
  Rule rule_of(const FiveTupleRule& from) {
    Rule rule;
    rule.action = next_counter_ % 3 == 0 ? Action::allow : Action::deny;
    rule.counter = next_counter_++;
    add_net(from.src, from.src_length, rule.source);
    if (!policy_.pinned) {
      add_net(from.dst, from.dst_length, rule.destination);
    }
    if (!from.any_protocol) {
      rule.protocol = from.protocol;
      add_ports(from.src_port, rule.source);
      add_ports(from.dst_port, rule.destination);
    }
    return rule;
  }
  static void add_net(uint32_t base, uint8_t length, RuleSide& to) {
    if (length != 0) {
      to.nets = {Prefix::of(Address::of(Ip4{base}), 96u + length)};
    }
  }
  static void add_ports(PortRange ports, RuleSide& to) {
    if (ports != PortRange{0, UINT16_MAX}) {
      to.ports = {ports};
    }
  }

  Rule one_rule(bool passes) {
    Rule rule;
    rule.action = passes ? Action::pass : chance(50) ? Action::allow : Action::deny;
    rule.counter = next_counter_++;
    rule.protocol = chance(80) ? proto::kTcp : proto::kUdp;
    rule.source.sets = {below(kSets)};
    rule.source.not_sets = {below(kSets)};
    if (!passes) {
      rule.source.sets.push_back(below(kSets));
    }
    if (!policy_.pinned) {
      rule.destination.sets = {below(kSets)};
    }
    const auto port = static_cast<uint16_t>(below(10'000));
    rule.destination.ports = {{port, static_cast<uint16_t>(port + below(3'000))}};
    if (chance(33)) {
      const auto source = static_cast<uint16_t>(below(60'000));
      rule.source.ports = {{source, static_cast<uint16_t>(source + below(5'000))}};
    }
    return rule;
  }

  void make_keys(size_t packets, PolicyWorkload& out) {
    const auto literal =
        make_trace(five_tuples_, five_tuples_.empty() ? 0 : packets, random_());
    for (size_t i = 0; i < packets; ++i) {
      FlowKey key;
      if (!literal.empty()) {
        const FiveTuple& from = literal[i];
        key = {Address::of(Ip4{from.src}), Address::of(Ip4{from.dst}), from.src_port,
               from.dst_port, from.protocol};
      } else {
        key = {pod(), pod(), static_cast<uint16_t>(below(65'000)),
               static_cast<uint16_t>(below(13'000)), chance(80) ? proto::kTcp : proto::kUdp};
      }
      if (policy_.pinned) {
        key.dst = out.pins[0].address;
      }
      out.keys.push_back(key);
      out.instances.push_back(0);
    }
  }

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool chance(uint32_t percent) { return below(100) < percent; }
  Address pod() { return Address::of(Ip4{kFirstPod | below(kPods)}); }

  const HardPolicy& policy_;
  std::mt19937_64 random_;
  std::vector<FiveTupleRule> five_tuples_;
  CounterSlot next_counter_ = 0;
  RuleSet rules_;
};

}  // namespace

PolicyWorkload make_hard_policy(const HardPolicy& policy, uint64_t seed, size_t packets) {
  return Generator(policy, seed).make(packets);
}

}  // namespace sluice::perf
