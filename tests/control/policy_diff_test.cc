// SPDX-License-Identifier: Apache-2.0
// diff against the plain question: every flow between every two ends, before and after.
#include "control/policy_diff.h"

#include <array>
#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "control/flow_space.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

constexpr const char* kLabels[] = {"app == 'web'", "app == 'db'", "has(app)", "all()",
                                   "!has(app)"};
constexpr const char* kNets[] = {"10.0.0.0/8",  "10.0.0.0/30",     "198.51.100.0/24",
                                 "10.0.2.0/24", "198.51.100.4/30", "0.0.0.0/0"};

// A pod at the first address of a prefix, and a service whose one address is no pod's.
const std::string kMore = R"(
---
{apiVersion: v1, kind: Pod, metadata: {name: t, namespace: ns1}, spec: {nodeName: n1},
 status: {podIP: 10.0.2.0}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: api-1, namespace: ns1, labels: {kubernetes.io/service-name: api}},
 endpoints: [{addresses: [192.168.0.10]}], ports: [{port: 6}]}
)";

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  std::string policies() {
    std::string out;
    for (size_t i = 0, n = below(4); i < n; ++i) {
      const std::string name = "p" + std::to_string(i);
      std::string spec = "{selector: \"" + std::string(kLabels[below(5)]) +
                         "\", types: [Ingress, Egress], ingress: [" + rules(true) +
                         "], egress: [" + rules(false) + "]}";
      out += below(2) == 0 ? np(name, spec) : gnp(name, spec);
    }
    return out;
  }

 private:
  std::string rules(bool ingress) {
    std::string out;
    for (size_t i = 0, n = below(4); i < n; ++i) {
      out += (i == 0 ? "" : ", ") + rule(ingress);
    }
    return out;
  }

  std::string side(bool ported, bool remote) {
    std::string out = "{";
    if (remote && below(6) == 0) {
      return "{services: {name: api, namespace: ns1}}";
    }
    if (below(3) == 0) {
      out += "selector: \"" + std::string(kLabels[below(5)]) + "\", ";
    } else if (below(2) == 0) {
      out += "nets: [\"" + std::string(kNets[below(6)]) + "\"], ";
    }
    if (below(4) == 0) {
      out += "notNets: [\"" + std::string(kNets[below(5)]) + "\"], ";
    }
    if (ported && below(2) == 0) {
      out += below(3) == 0 ? "ports: [web, 3], " : "ports: [\"2:5\", 8], ";
    }
    if (ported && below(4) == 0) {
      out += "notPorts: [4], ";
    }
    return out + "}";
  }

  std::string rule(bool ingress) {
    constexpr const char* kActions[] = {"Allow", "Allow", "Deny", "Pass", "Log"};
    constexpr const char* kProtocols[] = {"protocol: TCP", "protocol: UDP",
                                          "protocol: ICMP, icmp: {type: 8}", "notProtocol: 47",
                                          "ipVersion: 4"};
    const size_t protocol = below(5);
    return "{action: " + std::string(kActions[below(5)]) + ", " + kProtocols[protocol] +
           ", source: " + side(protocol < 2 && below(4) == 0, ingress) +
           ", destination: " + side(protocol < 2, !ingress) + "}";
  }

  std::mt19937 random_;
};

// Does the text of a change name this flow?  Source ports are left out of it.
// `other`: no rule names its protocol.
bool names(const std::string& text, uint8_t protocol, unsigned port, bool is_other) {
  if (text == "everything" || text.ends_with("(IPv6)")) {
    return text == "everything";
  }
  const std::string name = protocol == proto::kTcp    ? "tcp"
                           : protocol == proto::kUdp  ? "udp"
                           : protocol == proto::kIcmp ? "icmp"
                                                      : "protocol";
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t slash = word.find('/');
    if (name == "protocol") {
      std::string number;
      const bool other = word == "other" && is_other;
      if (other ||
          (word == "protocol" && words >> number && number == std::to_string(protocol))) {
        return true;
      }
    } else if (word.substr(0, slash) == name) {
      if (slash == std::string::npos) {
        return true;
      }
      std::istringstream ranges(word.substr(slash + 1));
      for (std::string range; std::getline(ranges, range, ',');) {
        const auto low = static_cast<unsigned>(std::stoul(range));
        const size_t dash = range.find('-');
        const auto high = dash == std::string::npos
                              ? low
                              : static_cast<unsigned>(std::stoul(range.substr(dash + 1)));
        if (low <= port && port <= high) {
          return true;
        }
      }
    }
  }
  return false;
}

// What diff should call an address that is no pod's: by itself where a service has it, else by
// the smallest CIDR around it that a rule names.
std::string part_of_world(const std::string& text, std::array<const Cluster*, 2> sides) {
  const Address address = *parse_address(text);
  std::optional<Prefix> best;
  for (const Cluster* side : sides) {
    const RuleSet& rules = *side->policy().rules;
    for (const AddressSet& set : rules.address_sets) {
      if (set.contains(address)) {
        return text;
      }
    }
    for (const PortSet& set : rules.port_sets) {
      if (set.contains({address, proto::kTcp, 6})) {
        return text;
      }
    }
    for (const RuleList& list : rules.lists) {
      for (const Rule& rule : list.rules) {
        for (const RuleSide* end : {&rule.source, &rule.destination}) {
          for (const auto* nets : {&end->nets, &end->not_nets}) {
            for (const Prefix& net : *nets) {
              const bool smaller = !best || net.length > best->length;
              if (net.written_length() > 0 && net.contains(address) && smaller) {
                best = net;
              }
            }
          }
        }
      }
    }
  }
  return best ? to_string(*best) : "world";
}

TEST(PolicyDiff, AgreesWithAskingEachFlow) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  Maker maker(seed);
  for (int round = 0; round < 60; ++round) {
    config::Loaded one = config::load_text(kCluster + kMore + maker.policies(), "f");
    config::Loaded two = config::load_text(kCluster + kMore + maker.policies(), "f");
    ASSERT_TRUE(one.ok() && two.ok())
        << one.findings.format(one.model.files) << two.findings.format(two.model.files);
    const Cluster before(one.model, one.findings);
    const Cluster after(two.model, two.findings);
    const Result<PolicyDiff> found = diff(before, after, {});
    ASSERT_TRUE(found);
    const RuleSet* rules[] = {before.policy().rules.get(), after.policy().rules.get()};
    const std::vector<FlowPart> parts = flow_parts(rules, true);
    // Then a line may speak of other source ports than ours.
    const bool by_source = std::any_of(
        found->changes.begin(), found->changes.end(),
        [](const FlowChange& c) { return c.flow.find("from port") != std::string::npos; });
    std::vector<std::pair<std::string, std::string>> ends = {
        {"ns1/p", "ns1/p"}, {"ns1/q", "ns1/q"}, {"ns2/r", "ns2/r"},
        {"ns1/s", "ns1/s"}, {"ns1/t", "ns1/t"},
    };
    const size_t pods = ends.size();
    for (const char* address : {"198.51.100.5", "198.51.100.9", "10.0.0.0", "10.9.9.9",
                                "10.0.2.77", "192.168.0.10", "192.168.0.11", "203.0.113.200"}) {
      ends.emplace_back(address, part_of_world(address, {&before, &after}));
    }
    for (size_t f = 0; f < ends.size(); ++f) {
      const auto& [from, from_name] = ends[f];
      for (size_t t = 0; t < ends.size(); ++t) {
        const auto& [to, to_name] = ends[t];
        if (f == t || (f >= pods && t >= pods)) {
          continue;
        }
        for (const auto& [protocol, ports] : {std::pair<uint8_t, unsigned>{proto::kTcp, 10},
                                              {proto::kUdp, 10},
                                              {proto::kIcmp, 10},
                                              {47, 1},
                                              {99, 1}}) {
          const bool is_other = std::none_of(parts.begin(), parts.end(),
                                             [number = protocol](const FlowPart& part) {
                                               return !part.others && part.protocol == number;
                                             });
          for (unsigned port = 1; port <= ports; ++port) {
            const auto wire = static_cast<uint16_t>(protocol == proto::kIcmp ? port << 8
                                                    : ports == 1             ? 0
                                                                             : port);
            bool allowed[2];
            for (int side = 0; side < 2; ++side) {
              const Cluster& c = side == 0 ? before : after;
              const auto a = c.end_of(from);
              const auto b = c.end_of(to);
              const FlowKey key{a->address, b->address,
                                proto::has_ports(protocol) ? uint16_t{40000} : uint16_t{0},
                                wire, protocol};
              allowed[side] = c.judge(*a, *b, key).allow;
              EXPECT_EQ(c.allows(*a, *b, key), allowed[side]);
            }
            bool said = false;
            for (const FlowChange& change : found->changes) {
              const auto has = [](const std::vector<std::string>& names, const std::string& n) {
                return std::find(names.begin(), names.end(), n) != names.end();
              };
              const bool ends_fit = has(change.from, from_name) && has(change.to, to_name);
              said = said || (ends_fit && change.was_allowed == allowed[0] &&
                              names(change.flow, protocol, port, is_other));
            }
            const bool differs = allowed[0] != allowed[1];
            EXPECT_TRUE(by_source ? said || !differs : said == differs)
                << from << " -> " << to << " " << int{protocol} << "/" << port;
          }
        }
      }
    }
  }
}

TEST(PolicyDiff, SaysNothingOfASetAgainstItself) {
  Maker maker(1);
  for (int round = 0; round < 30; ++round) {
    config::Loaded loaded = config::load_text(kCluster + kMore + maker.policies(), "f");
    const Cluster one(loaded.model, loaded.findings);
    const Cluster two(loaded.model, loaded.findings);
    EXPECT_TRUE(diff(one, two, {})->same());
  }
}

// Each change, asked again: both ends, and the flow's first port.
TEST(PolicyDiff, EveryChangeItNamesIsOne) {
  Maker maker(7);
  size_t seen = 0;
  for (int round = 0; round < 60; ++round) {
    config::Loaded one = config::load_text(kCluster + kMore + maker.policies(), "f");
    config::Loaded two = config::load_text(kCluster + kMore + maker.policies(), "f");
    const Cluster before(one.model, one.findings);
    const Cluster after(two.model, two.findings);
    const Result<PolicyDiff> found = diff(before, after, {});
    for (const FlowChange& change : found->changes) {
      if (change.flow != "everything") {
        continue;
      }
      for (const std::string& from : change.from) {
        for (const std::string& to : change.to) {
          const auto a = before.end_of(from);
          const auto b = before.end_of(to);
          if (!a || !b || from == to) {
            continue;  // a part of the world
          }
          const FlowKey key{a->address, b->address, 40000, 77, proto::kUdp};
          EXPECT_EQ(before.judge(*a, *b, key).allow, change.was_allowed) << from << " " << to;
          EXPECT_EQ(after.judge(*after.end_of(from), *after.end_of(to), key).allow,
                    !change.was_allowed);
          ++seen;
        }
      }
    }
  }
  EXPECT_GT(seen, 50u);
}

// Every line of a diff: "FROM -> TO FLOW by BY".
std::vector<std::string> lines(const std::string& old_more, const std::string& new_more,
                               const std::string& cluster = kCluster,
                               const DiffOptions& options = {}) {
  config::Loaded one = config::load_text(cluster + old_more, "f");
  config::Loaded two = config::load_text(cluster + new_more, "f");
  EXPECT_TRUE(one.ok() && two.ok())
      << one.findings.format(one.model.files) << two.findings.format(two.model.files);
  const Cluster before(one.model, one.findings);
  const Cluster after(two.model, two.findings);
  const Result<PolicyDiff> found = diff(before, after, options);
  std::vector<std::string> out;
  if (!found) {
    return {found.error().what + " | " + found.error().hint};
  }
  const auto joined = [](const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) {
      text += (text.empty() ? "" : ",") + name;
    }
    return text;
  };
  for (const auto& [sign, names] : {std::pair('-', &found->removed), {'+', &found->added}}) {
    for (const std::string& name : *names) {
      out.push_back(sign + name);
    }
  }
  for (const FlowChange& c : found->changes) {
    out.push_back(joined(c.from) + " -> " + joined(c.to) + " " + c.flow + " by " + c.by);
  }
  return out;
}

// What changes between the cluster with `before` and with `after`, a line each.
std::vector<std::string> changes(const std::string& before, const std::string& after) {
  const std::string nodes = document("projectcalico.org/v3", "Node", "n1", "",
                                     "{bgp: {ipv4Address: 192.168.0.1/24}}");
  config::Loaded one = config::load_text(kCluster + nodes + before, "f");
  config::Loaded two = config::load_text(kCluster + nodes + after, "f");
  EXPECT_TRUE(one.ok() && two.ok()) << two.findings.format(two.model.files);
  const Result<PolicyDiff> found =
      diff(Cluster(one.model, one.findings), Cluster(two.model, two.findings), {});
  std::vector<std::string> out;
  for (const FlowChange& c : found->changes) {
    std::string line = c.was_allowed ? "cuts" : "opens";
    for (const auto* names : {&c.from, &c.to}) {
      for (const std::string& name : *names) {
        line += " " + name;
      }
      line += names == &c.from ? " ->" : ": ";
    }
    out.push_back(line + c.flow);
  }
  return out;
}

using Lines = std::vector<std::string>;

constexpr const char* kApiServers = R"(
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}},
 endpoints: [{addresses: [192.168.0.10]}, {addresses: [192.168.0.11]}, {addresses: [10.0.0.2]}],
 ports: [{port: 6443}]}
)";

TEST(PolicyDiff, JudgesTheAddressesOfServicesThatAreNoPods) {
  const std::string slices = kApiServers;
  const std::string egress =
      "{selector: \"app == 'web'\", types: [Egress], egress: [{action: Allow, destination: "
      "{services: {name: kubernetes, namespace: default}}}]}";
  const std::string none = "{selector: \"app == 'web'\", types: [Egress]}";
  const std::string end = "egress, the end of tier default: NetworkPolicy ns1/x";
  EXPECT_EQ(lines(slices + np("x", egress), slices + np("x", none)),
            (Lines{"ns1/p -> 192.168.0.10,192.168.0.11,ns1/q tcp/6443 by " + end}));
  const std::string ingress =
      "{selector: \"app == 'web'\", types: [Ingress], ingress: [{action: Allow, source: "
      "{services: {name: kubernetes, namespace: default}}}]}";
  EXPECT_EQ(lines(slices + np("x", ingress),
                  slices + np("x", "{selector: \"app == 'web'\", types: [Ingress]}")),
            (Lines{"192.168.0.10-192.168.0.11,ns1/q -> ns1/p everything by ingress, the end of "
                   "tier default: NetworkPolicy ns1/x"}));
}

TEST(PolicyDiff, JudgesTheRestOfAPartThatBeginsWithAPod) {
  const std::string of_net =
      "{selector: \"app == 'web'\", ingress: [{action: Allow, source: {nets: [10.0.2.0/24]}}]}";
  EXPECT_EQ(lines(kMore + np("x", of_net), kMore + np("x", "{selector: \"app == 'web'\"}")),
            (Lines{"10.0.2.0/24,ns1/t -> ns1/p everything by ingress, the end of tier default: "
                   "NetworkPolicy ns1/x"}));
  // The part in front of the first address that any rule names.
  const std::string upper =
      "{selector: \"app == 'web'\", ingress: [{action: Allow, source: {notNets: "
      "[128.0.0.0/1]}}]}";
  const Lines found = lines(np("x", upper), np("x", "{selector: \"app == 'web'\"}"));
  ASSERT_EQ(found.size(), 1u) << ::testing::PrintToString(found);
  EXPECT_TRUE(found[0].ends_with(
      "world -> ns1/p everything by ingress, the end of tier default: NetworkPolicy ns1/x"))
      << found[0];
}

TEST(PolicyDiff, OfOneNamespaceNamesOnlyItsEndpoints) {
  const std::string more =
      kMore +
      "---\n{apiVersion: v1, kind: Pod, metadata: {name: u, namespace: ns2}, spec: {nodeName: "
      "n1}, status: {podIP: 10.0.2.9}}\n";
  DiffOptions options;
  options.namespace_name = "ns2";
  EXPECT_EQ(lines("", more, kCluster, options), Lines{"+ns2/u"});
  EXPECT_EQ(lines(more, "", kCluster, options), Lines{"-ns2/u"});
  options.namespace_name = "ns1";
  EXPECT_EQ(lines("", more, kCluster, options), Lines{"+ns1/t"});
  options.namespace_name = "sn2";
  EXPECT_EQ(
      lines("", more, kCluster, options),
      Lines{"no endpoint of these files is in namespace \"sn2\" | did you mean \"ns2\"?"});
}

TEST(PolicyDiff, NamesWhoNowAllowsWhatTheOtherEndDenied) {
  const std::string db = np("db",
                            "{selector: \"app == 'db'\", types: [Ingress], ingress: "
                            "[{action: Allow, source: {selector: \"app == 'web'\"}}]}");
  const std::string closed = np("web", "{selector: \"app == 'web'\", types: [Egress]}");
  const std::string opened =
      np("web",
         "{selector: \"app == 'web'\", types: [Egress], egress: [{action: Allow, "
         "destination: {selector: \"app == 'db'\"}}]}");
  EXPECT_EQ(lines(db + closed, db + opened),
            (Lines{"ns1/p -> ns1/q,ns1/s everything by egress, NetworkPolicy ns1/web rule 0"}));
}

TEST(PolicyDiff, TakesIpv6BetweenNodesPastTheTunnel) {
  const std::string yaml =
      std::string(kCluster) +
      "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: s6, namespace: ns1}, spec: "
      "{nodeName: n2}, status: {podIPs: [{ip: 10.0.1.6}, {ip: \"fd00::6\"}]}}\n---\n"
      "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: t, labels: "
      "{host: a}}, spec: {node: n2, interfaceName: tunl0}}\n" +
      gnp("x", "{selector: has(host), applyOnForward: true, types: [Ingress]}");
  config::Loaded loaded = config::load_text(yaml, "f");
  const Cluster cluster(loaded.model, loaded.findings);
  ASSERT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
  for (const auto& [from, to, allow] :
       {std::tuple("10.0.0.1", "10.0.1.6", false), std::tuple("fd00::1", "fd00::6", true)}) {
    const auto src = cluster.end_of(from), dst = cluster.end_of(to);
    ASSERT_TRUE(src && dst);
    const FlowKey key{src->address, dst->address, 40000, 80, proto::kTcp};
    EXPECT_EQ(cluster.judge(*src, *dst, key).allow, allow) << from;
  }
}

TEST(PolicyDiff, SpeaksOfHostEndpoints) {
  const std::string host = document("projectcalico.org/v3", "HostEndpoint", "u", "",
                                    "{node: n1, interfaceName: eth0}");
  const auto bare = changes("", host);
  ASSERT_EQ(bare.size(), 2U) << ::testing::PrintToString(bare);
  EXPECT_TRUE(bare[0].starts_with("cuts node n1 ->") || bare[1].starts_with("cuts node n1 ->"));
  EXPECT_EQ(bare, changes("", host)) << "the same each time";
  for (const std::string& line : bare) {
    EXPECT_EQ(line.find("22,"), std::string::npos) << "a failsafe port: " << line;
    EXPECT_NE(line.find("icmp"), std::string::npos) << line;
  }
  EXPECT_EQ(changes(host, host), std::vector<std::string>{});
  const std::string labelled =
      "\n---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: u, "
      "labels: "
      "{host: a}}, spec: {node: n1, interfaceName: eth0, profiles: "
      "[projectcalico-default-allow]}}\n";
  const auto forward =
      changes(labelled, labelled + gnp("x",
                                       "{selector: has(host), applyOnForward: true, types: "
                                       "[Ingress], ingress: [{action: Allow, protocol: "
                                       "TCP}]}"));
  ASSERT_FALSE(forward.empty());
  for (const std::string& line : forward) {
    EXPECT_TRUE(line.starts_with("cuts ")) << line;
    EXPECT_NE(line.find("world ->"), std::string::npos) << line;
    const bool to_node = line.find("-> node n1:") != std::string::npos;
    EXPECT_FALSE(to_node && line.find("ns1/p") != std::string::npos) << "its own pod: " << line;
  }
}

}  // namespace
}  // namespace sluice::control::testing
