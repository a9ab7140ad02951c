// SPDX-License-Identifier: Apache-2.0
// diff against the plain question: every flow between every two ends, before and after.
#include "control/policy_diff.h"

#include <random>
#include <sstream>

#include <gtest/gtest.h>

#include "control/flow_space.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

constexpr const char* kLabels[] = {"app == 'web'", "app == 'db'", "has(app)", "all()",
                                   "!has(app)"};
constexpr const char* kNets[] = {"10.0.0.0/8", "10.0.0.0/30", "198.51.100.0/24",
                                 "198.51.100.4/30", "0.0.0.0/0"};

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  std::string policies() {
    std::string out;
    for (size_t i = 0, n = below(4); i < n; ++i) {
      const std::string name = "p" + std::to_string(i);
      std::string spec = "{selector: \"" + std::string(kLabels[below(5)]) +
                         "\", types: [Ingress, Egress], ingress: [" + rules() + "], egress: [" +
                         rules() + "]}";
      out += below(2) == 0 ? np(name, spec) : gnp(name, spec);
    }
    return out;
  }

 private:
  std::string rules() {
    std::string out;
    for (size_t i = 0, n = below(4); i < n; ++i) {
      out += (i == 0 ? "" : ", ") + rule();
    }
    return out;
  }

  std::string side(bool ported) {
    std::string out = "{";
    if (below(3) == 0) {
      out += "selector: \"" + std::string(kLabels[below(5)]) + "\", ";
    } else if (below(2) == 0) {
      out += "nets: [\"" + std::string(kNets[below(5)]) + "\"], ";
    }
    if (below(4) == 0) {
      out += "notNets: [\"" + std::string(kNets[below(4)]) + "\"], ";
    }
    if (ported && below(2) == 0) {
      out += below(3) == 0 ? "ports: [web, 3], " : "ports: [\"2:5\", 8], ";
    }
    if (ported && below(4) == 0) {
      out += "notPorts: [4], ";
    }
    return out + "}";
  }

  std::string rule() {
    constexpr const char* kActions[] = {"Allow", "Allow", "Deny", "Pass", "Log"};
    constexpr const char* kProtocols[] = {"protocol: TCP", "protocol: UDP",
                                          "protocol: ICMP, icmp: {type: 8}", "notProtocol: 47",
                                          "ipVersion: 4"};
    const size_t protocol = below(5);
    return "{action: " + std::string(kActions[below(5)]) + ", " + kProtocols[protocol] +
           ", source: " + side(protocol < 2 && below(4) == 0) +
           ", destination: " + side(protocol < 2) + "}";
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

TEST(PolicyDiff, AgreesWithAskingEachFlow) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  Maker maker(seed);
  for (int round = 0; round < 60; ++round) {
    config::Loaded one = config::load_text(kCluster + maker.policies(), "f");
    config::Loaded two = config::load_text(kCluster + maker.policies(), "f");
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
    const std::vector<std::pair<std::string, std::string>> ends = {
        {"ns1/p", "ns1/p"}, {"ns1/q", "ns1/q"},   {"ns2/r", "ns2/r"},
        {"ns1/s", "ns1/s"}, {"198.51.100.5", ""}, {"198.51.100.9", ""},
        {"10.0.0.0", ""},   {"10.9.9.9", ""},     {"203.0.113.200", ""},
    };
    for (const auto& [from, from_name] : ends) {
      for (const auto& [to, to_name] : ends) {
        if (from == to || (from_name.empty() && to_name.empty())) {
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
              // Which part of the world an address is in has no name here: any may be it.
              const bool ends_fit = (from_name.empty() || has(change.from, from_name)) &&
                                    (to_name.empty() || has(change.to, to_name));
              said = said || (ends_fit && change.was_allowed == allowed[0] &&
                              names(change.flow, protocol, port, is_other));
            }
            const bool differs = allowed[0] != allowed[1];
            const bool exact = !from_name.empty() && !to_name.empty() && !by_source;
            EXPECT_TRUE(exact ? said == differs : said || !differs)
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
    config::Loaded loaded = config::load_text(kCluster + maker.policies(), "f");
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
    config::Loaded one = config::load_text(kCluster + maker.policies(), "f");
    config::Loaded two = config::load_text(kCluster + maker.policies(), "f");
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

}  // namespace
}  // namespace sluice::control::testing
