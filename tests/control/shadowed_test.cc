// SPDX-License-Identifier: Apache-2.0
#include "control/shadowed.h"

#include <map>
#include <random>
#include <set>

#include "classifier/linear.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

// "NAME#RULE < NAME#RULE", sorted; "!" where it is so whatever the members are; "~NAME#RULE"
// for idle ones.
std::vector<std::string> report_of(const CompiledPolicy& policy) {
  const auto report = find_shadowed(policy);
  EXPECT_TRUE(report);
  std::vector<std::string> out;
  const auto text = [&](const RulePlace& place) {
    return policy.lists[place.list]->name + "#" + std::to_string(place.rule);
  };
  for (const Shadowed& s : report->shadowed) {
    out.push_back(text(s.rule) + " < " +
                  (s.end_of_tier.empty() ? text(s.hidden_by) : "end of " + s.end_of_tier) +
                  (s.others > 0 ? " +" + std::to_string(s.others) : "") +
                  (s.whatever ? "!" : ""));
  }
  for (const RulePlace& place : report->idle) {
    out.push_back("~" + text(place));
  }
  std::sort(out.begin(), out.end());
  return out;
}

using Lines = std::vector<std::string>;

TEST(Shadowed, NamesTheRuleThatHidesAnother) {
  const std::string before_pods =
      gnp("a",
          "{order: 1, selector: has(projectcalico.org/namespace), ingress: [{action: "
          "Allow}]}") +
      gnp("b", "{order: 2, selector: all(), ingress: [{action: Deny, protocol: TCP}]}");
  const std::string host =
      "---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: u, labels: "
      "{role: edge}}, spec: {node: n1, interfaceName: eth0}}\n";
  const auto at_host = [&](const std::string& spec) {
    return host + gnp("h", "{selector: role == 'edge', " + spec + "}");
  };
  const struct {
    const char* why;
    std::string policies;
    Lines report;
  } rows[] = {
      {"nothing",
       np("a",
          "{selector: app == 'db', ingress: [{action: Allow, protocol: TCP}, "
          "{action: Deny}]}"),
       {}},
      {"in one policy",
       np("a",
          "{selector: app == 'db', ingress: [{action: Allow, protocol: TCP}, {action: Deny, "
          "protocol: TCP, destination: {ports: [80]}}, {action: Deny}]}"),
       {"a#1 < a#0!"}},
      {"by members of a set",
       np("a",
          "{order: 1, selector: app == 'db', ingress: [{action: Allow, source: {selector: "
          "app == 'web'}}]}") +
           np("b",
              "{order: 2, selector: app == 'db', ingress: [{action: Deny, source: {nets: "
              "[10.0.0.1/32]}}]}"),
       {"b#0 < a#0"}},
      {"by two together",
       np("a",
          "{selector: app == 'db', ingress: [{action: Allow, protocol: TCP, destination: "
          "{ports: ['1:99']}}, {action: Allow, protocol: TCP, destination: {ports: "
          "['100:65535']}}, {action: Deny, protocol: TCP}]}"),
       {"a#2 < a#0 +1"}},
      {"at one endpoint only",
       gnp("all",
           "{order: 1, selector: app == 'db', ingress: [{action: Deny, protocol: UDP}]}") +
           gnp("more",
               "{order: 2, selector: all(), ingress: [{action: Allow, protocol: UDP}]}"),
       {}},
      {"a set is empty",
       np("a",
          "{selector: app == 'db', ingress: [{action: Deny}, {action: Allow, source: "
          "{selector: app == 'nobody'}}]}"),
       {"~a#1"}},
      {"by a rule that passes",
       tier("first", "{order: 1}") +
           np("first.a",
              "{tier: first, selector: app == 'db', ingress: [{action: Pass}, {action: "
              "Deny, protocol: TCP}]}"),
       {"first.a#1 < first.a#0!"}},
      {"by the end of a tier",
       tier("first", "{order: 1}") +
           np("first.a",
              "{tier: first, selector: app == 'db', ingress: [{action: Allow, "
              "protocol: TCP}]}") +
           np("b", "{selector: app == 'db', ingress: [{action: Allow, protocol: UDP}]}"),
       {"b#0 < end of first"}},
      {"a rule that logs hides none",
       np("a",
          "{selector: app == 'db', ingress: [{action: Log}, {action: Deny}, {action: Log}]}"),
       {"a#2 < a#1!"}},
      {"of IPv6, where an endpoint has some",
       np("a",
          "{selector: app == 'web', ingress: [{action: Deny, ipVersion: 4}, {action: Allow, "
          "source: {nets: ['10.0.0.0/8']}}, {action: Allow, ipVersion: 6}]}"),
       {"a#1 < a#0!"}},
      {"a part of what is written",
       R"(
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: k, namespace: ns1}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {}}, {podSelector: {matchLabels: {app: web}}}]}]
)",
       {}},
      {"at pods", before_pods, {"b#0 < a#0!"}},
      {"but a named port is one pod's of a net",
       np("a",
          "{selector: app == 'db', egress: [{action: Deny, protocol: TCP, destination: {ports: "
          "[web]}}, {action: Allow, protocol: TCP, destination: {nets: [10.0.0.0/31], ports: "
          "[8080]}}]}"),
       {}},
      {"but one address of a net is in the set that is left out",
       np("a",
          "{selector: app == 'db', ingress: [{action: Deny, source: {notSelector: app == "
          "'web'}}, {action: Allow, source: {nets: [10.0.0.0/31]}}]}"),
       {}},
      {"at pods, though it may act at a host endpoint", before_pods + host, {}},
      {"at a host endpoint",
       at_host("egress: [{action: Deny, protocol: UDP}, {action: Allow, protocol: UDP, "
               "destination: {ports: [99]}}]"),
       {"h#1 < h#0!"}},
      {"at a host endpoint, by members on both sides",
       at_host(
           "ingress: [{action: Deny, source: {selector: app == 'web'}, destination: {nets: "
           "[192.168.0.0/16]}}, {action: Allow, source: {nets: [10.0.0.1/32]}, destination: "
           "{nets: [192.168.0.1/32]}}, {action: Allow, source: {nets: [10.0.0.2/32]}, "
           "destination: {nets: [192.168.0.1/32]}}]"),
       {"h#1 < h#0 +1"}},
      {"by failsafe ports",
       at_host("ingress: [{action: Deny, protocol: TCP, destination: {ports: [22]}}]"),
       {"h#0 < end of __FAILSAFE__"}},
      {"by failsafe ports, in part",
       at_host("ingress: [{action: Deny, protocol: TCP, destination: {ports: [22, 23]}}]"),
       {}},
      {"not by failsafe ports where packets are forwarded",
       at_host("applyOnForward: true, ingress: [{action: Deny, protocol: TCP, destination: "
               "{ports: [22]}}]"),
       {}},
      {"of an untracked policy, whose failsafe ports have replies",
       at_host("doNotTrack: true, applyOnForward: true, egress: [{action: Deny, protocol: TCP, "
               "source: {ports: [22]}}]"),
       {"h#0 < end of __FAILSAFE__"}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(report_of(World(row.policies).built().policy), row.report) << row.why;
  }
}

// Small numbers throughout, so that every packet there is can be asked.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  unsigned below(unsigned n) {
    return std::uniform_int_distribution<unsigned>(0, n - 1)(engine_);
  }

  // At a pod; or at a host endpoint, with failsafe ports.
  CompiledPolicy policy(bool at_host) {
    RuleSet set;
    for (int i = 0; i < 3; ++i) {
      std::vector<Prefix> members;
      for (unsigned n = below(3); n > 0; --n) {
        members.push_back(net());
      }
      set.address_sets.emplace_back(AddressSet(members));
    }
    CompiledPolicy out;
    for (ListId l = 0; l < 4; ++l) {
      RuleList list;
      ListName name{"NetworkPolicy",    "",       "l" + std::to_string(l), "t",
                    Direction::ingress, {0, 1, 1}};
      for (unsigned n = 1 + below(5); n > 0; --n) {
        list.rules.push_back(rule());
        name.rules.push_back({0, static_cast<int>(2 + n), 1});
      }
      set.lists.emplace_back(std::move(list));
      out.lists.emplace_back(std::move(name));
    }
    for (ProgramId p = 0; p < 2; ++p) {
      const ListId first = below(2);
      const auto end = [this] { return below(2) == 0 ? TierEnd::deny : TierEnd::pass; };
      set.programs.push_back({{Tier{{first}, end()}, Tier{{2, 1 - first}, end()},
                               Tier{{3}, TierEnd::deny, true}}});
      out.tier_names.push_back({"first", "second", "__PROFILE__"});
    }
    if (at_host) {
      RuleList failsafe{{rule(), rule()}};
      failsafe.rules[0].action = Action::allow;
      set.lists.emplace_back(std::move(failsafe));
      ListName name{"Failsafe", "", "ports", kFailsafeTier, Direction::ingress, {}};
      name.rules.resize(2);
      out.lists.emplace_back(std::move(name));
      set.programs.push_back({{Tier{{4}, TierEnd::pass}}});
      out.tier_names.push_back({kFailsafeTier});
      out.uplink.policy.normal_in = {0, 2};
      out.uplink.policy.normal_out = {1, 2};
    } else {
      LocalEndpoint e;
      e.addresses = {kPod};
      e.ingress = 0;
      e.egress = 1;
      out.endpoints = {e};
    }
    out.rules = std::make_shared<const RuleSet>(std::move(set));
    return out;
  }

  static constexpr uint32_t kBase = 0x0a000000;
  static constexpr Address kPod = Ip4{kBase + 5};

 private:
  Prefix net() { return Prefix::of(Address::of(Ip4{kBase + below(16)}), 124 + below(5)); }
  PortRange ports() {
    const auto low = static_cast<uint16_t>(1 + below(4));
    return {low, static_cast<uint16_t>(low + below(3))};
  }
  void side(RuleSide& out) {
    if (below(3) == 0) {
      out.nets = {net()};
    }
    if (below(6) == 0) {
      out.not_nets = {net()};
    }
    if (below(4) == 0) {
      out.sets = {below(3)};
    }
    if (below(8) == 0) {
      out.not_sets = {below(3)};
    }
  }
  Rule rule() {
    Rule out;
    constexpr Action kActions[] = {Action::allow, Action::deny, Action::pass, Action::log};
    out.action = kActions[below(4)];
    side(out.source);
    side(out.destination);
    if (below(2) == 0) {
      out.protocol = below(2) == 0 ? proto::kTcp : proto::kUdp;
      if (below(2) == 0) {
        out.destination.ports = {ports()};
      }
      if (below(4) == 0) {
        out.source.ports = {ports()};
      }
    }
    return out;
  }
  std::mt19937 engine_;
};

// Every packet of the small world, asked of every rule: those that act, those that match some.
class Twin {
 public:
  std::set<RulePlace> acting, matching, asked;

  Twin(const CompiledPolicy& policy, bool at_host)
      : rules_(*policy.rules), linear_(policy.rules), at_host_(at_host) {
    for (const ProgramId program : {0, 1}) {
      for (const ListId list : lists_of(program)) {
        for (uint32_t r = 0; r < rules_.lists[list]->rules.size(); ++r) {
          asked.insert({list, r});
        }
      }
    }
    for (uint32_t a = 0; a < kAddresses; ++a) {
      for (uint32_t b = 0; b < kAddresses; ++b) {
        ask_all_flows(Ip4{Random::kBase - 1 + a}, Ip4{Random::kBase - 1 + b});
      }
    }
  }

 private:
  static constexpr uint32_t kAddresses = 18;

  std::vector<ListId> lists_of(ProgramId program) const {
    std::vector<ListId> out;
    for (const Tier& tier : rules_.programs[program].tiers) {
      out.insert(out.end(), tier.lists.begin(), tier.lists.end());
    }
    return out;
  }

  void ask_all_flows(const Address& from, const Address& to) {
    for (const ProgramId program : {0, 1}) {
      if (!at_host_ && (program == 0 ? to : from) != Random::kPod) {
        continue;
      }
      for (const uint8_t protocol : {proto::kTcp, proto::kUdp}) {
        for (unsigned ports = 0; ports < 64; ++ports) {
          ask(program, {from, to, static_cast<uint16_t>(1 + ports / 8),
                        static_cast<uint16_t>(1 + ports % 8), protocol});
        }
      }
      ask(program, {from, to, 0, 0, proto::kIcmp});
      ask(program, {from, to, 0, 0, 47});
    }
  }

  bool is_failsafe(const FlowKey& key) const {
    return at_host_ && linear_.walk(key, 2, [](const Step&) {}).kind == Verdict::Kind::allow;
  }

  void ask(ProgramId program, const FlowKey& key) {
    if (!is_failsafe(key)) {
      linear_.walk(key, program, [&](const Step& step) {
        if (step.kind == Step::Kind::rule) {
          acting.insert({step.list, step.rule});
        }
      });
    }
    for (const ListId list : lists_of(program)) {
      for (uint32_t r = 0; r < rules_.lists[list]->rules.size(); ++r) {
        if (!matching.contains({list, r}) &&
            mismatch(rules_, rules_.lists[list]->rules[r], key) == Mismatch::none) {
          matching.insert({list, r});
        }
      }
    }
  }

  const RuleSet& rules_;
  const Linear linear_;
  bool at_host_;
};

void compare_with_all_packets(bool at_host, int rounds, size_t at_least) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  size_t shadowed = 0, by_failsafe = 0;
  for (int round = 0; round < rounds; ++round) {
    const CompiledPolicy policy = random.policy(at_host);
    const Twin twin(policy, at_host);
    const auto report = find_shadowed(policy);
    ASSERT_TRUE(report);
    std::map<RulePlace, bool> said;  // idle?
    for (const Shadowed& one : report->shadowed) {
      said[one.rule] = false;
      by_failsafe += one.end_of_tier == kFailsafeTier ? 1 : 0;
    }
    for (const RulePlace& place : report->idle) {
      said[place] = true;
    }
    for (const RulePlace& place : twin.asked) {
      const bool acts = twin.acting.contains(place);
      ASSERT_EQ(said.contains(place), !acts) << place.list << "#" << place.rule;
      if (!acts) {
        EXPECT_EQ(said[place], !twin.matching.contains(place));
      }
    }
    shadowed += report->shadowed.size();
  }
  EXPECT_GT(shadowed, at_least) << "else nothing was compared";
  EXPECT_EQ(by_failsafe > 0, at_host);
}

TEST(Shadowed, ReportsARuleIfAndOnlyIfNoPacketThatThereIsMakesItAct) {
  compare_with_all_packets(false, 40, 20);
}

TEST(Shadowed, OfAHostEndpointIsARuleThatNoPacketBetweenAnyTwoMakesAct) {
  compare_with_all_packets(true, 12, 5);
}

}  // namespace
}  // namespace sluice::control::testing
