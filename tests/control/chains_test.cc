// SPDX-License-Identifier: Apache-2.0
#include "control/chains.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/control/policy_world.h"

namespace sluice::control {
namespace {

TEST(Chains, NamesAreShortenedAsCalicoDoes) {
  const struct {
    const char* prefix;
    const char* suffix;
    const char* name;
  } rows[] = {
      {"cali-pi-", "gnp/deny-all", "cali-pi-gnp/deny-all"},
      {"cali-pi-", "gnp/exactly-20-chars", "cali-pi-gnp/exactly-20-chars"},
      {"cali-pi-", "knp/default/allow-frontend", "cali-pi-_FJ7pway3mX3ogPCfFDC"},
      {"cali-po-", "np/prod/backend-egress-policy", "cali-po-_098Z2crphEvkOcB5sEz"},
      {"cali-pri-", "kns.default", "cali-pri-kns.default"},
      {"cali-pri-", "kns.kube-system-long-namespace", "cali-pri-_9JIas908N6m4DtywT2"},
      {"cali-pri-", "ksa.kube-system.coredns", "cali-pri-_u2Tn2rSoAPffvE7JO6"},
      {"cali-pro-", "ksa.default.default", "cali-pro-ksa.default.default"},
      {"cali-fhfw-", "any-interface-at-all", "cali-fhfw-_Nqh4HyA73udmyanQI"},
      {"cali-th-", "any-interface-at-all", "cali-th-any-interface-at-all"},
      {"cali-fw-", "", "cali-fw-_"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(chain_name(row.prefix, row.suffix), row.name);
  }
  // At full length, what begins with "_" would look like a hash.
  EXPECT_NE(chain_name("cali-pi-", "_2345678901234567890"), "cali-pi-_2345678901234567890");
}

TEST(Chains, RuleHashesAreCalicos) {
  const struct {
    const char* chain;
    std::vector<std::string> rules;
    std::vector<std::string> hashes;
  } rows[] = {
      {"INPUT", {"--jump cali-INPUT"}, {"Cz_u1IQiXIMmKD4c"}},
      {"FORWARD", {"--jump cali-FORWARD"}, {"wUHhoiAYhphO9Mso"}},
      {"OUTPUT", {"--jump cali-OUTPUT"}, {"tVnHkvAo15HuiPy0"}},
      {"cali-FORWARD",
       {"--jump MARK --set-mark 0/0x1a0000",
        "-m mark --mark 0/0x10000 --jump cali-from-hep-forward",
        "--in-interface cali+ --jump cali-from-wl-dispatch",
        "--out-interface cali+ --jump cali-to-wl-dispatch", "--jump cali-to-hep-forward",
        "--jump cali-cidr-block"},
       {"W_vvds1Nw3n9QE2f", "ZfgmjuiLaA8Pg0kp", "tAzwBLPaV-j53OOZ", "4Z0Pf0byo05NFe-P",
        "hQ7Oc16wmUtLuneJ", "rnKNH2WxGcRQcIlD"}},
      {"cali-from-wl-dispatch",
       {"-m comment --comment \"Unknown interface\" --jump DROP"},
       {"zTj6P0TIgYvgz-md"}},
      {"cali-to-wl-dispatch",
       {"-m comment --comment \"Unknown interface\" --jump DROP"},
       {"7KNphB1nNHw80nIO"}},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(rule_hashes(row.chain, row.rules), row.hashes) << row.chain;
  }
}

// What make_chains writes must hash to the same, without endpoints as in that dump.
TEST(Chains, WritesTheRulesThatThoseHashesStandFor) {
  CompiledPolicy nothing;
  nothing.rules = std::make_shared<const RuleSet>();
  const std::vector<Chain> chains = make_chains(nothing, RuleNames(), {});
  const auto hashes = [&](const char* name) {
    std::vector<std::string> out;
    for (const Chain& chain : chains) {
      for (const ChainLine& line : chain.lines) {
        if (chain.name == name) {
          out.push_back(line.hash);
        }
      }
    }
    return out;
  };
  const std::vector<std::string> forward = hashes("cali-FORWARD");
  ASSERT_GE(forward.size(), 6u);
  EXPECT_EQ(forward[0], "W_vvds1Nw3n9QE2f");
  EXPECT_EQ(forward[1], "ZfgmjuiLaA8Pg0kp");
  EXPECT_EQ(forward[5], "rnKNH2WxGcRQcIlD");
  EXPECT_EQ(hashes("cali-from-wl-dispatch"), std::vector<std::string>{"zTj6P0TIgYvgz-md"});
  EXPECT_EQ(hashes("cali-to-wl-dispatch"), std::vector<std::string>{"7KNphB1nNHw80nIO"});
}

// The chain as text, a line each: target, match, argument, comments.
std::string listing(const testing::World& world, const std::string& name) {
  for (const Chain& chain : make_chains(world.built().policy, world.names(), {})) {
    if (chain.name != name) {
      continue;
    }
    std::string out;
    for (const ChainLine& l : chain.lines) {
      std::string line = l.target;
      for (const std::string& part : {l.match, l.argument}) {
        line += part.empty() ? "" : " " + part;
      }
      for (const std::string& comment : l.comments) {
        line += " /* " + comment + " */";
      }
      out += line + "\n";
    }
    return out;
  }
  return "no such chain";
}

TEST(Chains, OfAnEndpointHaveCalicosShape) {
  const testing::World world(
      testing::knp("api",
                   "{podSelector: {matchLabels: {app: db}}, policyTypes: "
                   "[Ingress, Egress], ingress: [{}]}") +
      testing::gnp("g", "{tier: t, selector: \"app == 'db'\", egress: [{action: Pass}]}") +
      testing::tier("t", "{order: 1, defaultAction: Pass}"));
  const std::string veth = world.endpoint("q").interface_name;
  EXPECT_EQ(listing(world, chain_name("cali-fw-", veth)),
            "ACCEPT -m conntrack --ctstate RELATED,ESTABLISHED\n"
            "DROP -m conntrack --ctstate INVALID\n"
            "MARK --set-mark 0/0x30000\n"
            "DROP -p udp -m multiport --destination-ports 4789 /* Drop VXLAN encapped packets "
            "originating in workloads */\n"
            "DROP -p 4 /* Drop IPinIP encapped packets originating in workloads */\n"
            "MARK --set-mark 0/0x20000 /* Start of tier t */\n"
            "cali-po-gnp/g -m mark --mark 0/0x20000\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if policy accepted */\n"
            "MARK --set-mark 0/0x20000 /* Start of tier default */\n"
            "cali-po-knp/ns1/api -m mark --mark 0/0x20000\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if policy accepted */\n"
            "DROP -m mark --mark 0/0x20000 /* End of tier default. Drop if no policies passed "
            "packet */\n"
            "cali-pro-kns.ns1\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if profile accepted */\n"
            "cali-pro-ksa.ns1.default\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if profile accepted */\n"
            "DROP /* Drop if no profiles matched */\n");
  // No tier that has only the other direction, and tunnels are of no concern towards a pod.
  EXPECT_EQ(listing(world, chain_name("cali-tw-", veth)),
            "ACCEPT -m conntrack --ctstate RELATED,ESTABLISHED\n"
            "DROP -m conntrack --ctstate INVALID\n"
            "MARK --set-mark 0/0x30000\n"
            "MARK --set-mark 0/0x20000 /* Start of tier default */\n"
            "cali-pi-knp/ns1/api -m mark --mark 0/0x20000\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if policy accepted */\n"
            "DROP -m mark --mark 0/0x20000 /* End of tier default. Drop if no policies passed "
            "packet */\n"
            "cali-pri-kns.ns1\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if profile accepted */\n"
            "cali-pri-ksa.ns1.default\n"
            "RETURN -m mark --mark 0x10000/0x10000 /* Return if profile accepted */\n"
            "DROP /* Drop if no profiles matched */\n");
  EXPECT_EQ(listing(world, "cali-po-knp/ns1/api"),
            " /* KubernetesNetworkPolicy ns1/api egress */\n")
      << "an empty policy is its comment";
  EXPECT_EQ(listing(world, "cali-pri-kns.ns1"),
            "MARK --set-mark 0x10000/0x10000 /* Profile kns.ns1 ingress */\n");
}

TEST(Chains, OfAPolicyMarkEachRuleAndDecide) {
  const testing::World world(testing::gnp(
      "g",
      "{ingress: [{action: Log, protocol: TCP}, {action: Deny, protocol: UDP, metadata: "
      "{annotations: {why: so, by: \"me!\"}}}, {action: Pass, ipVersion: 4}, {action: "
      "Allow}]}"));
  EXPECT_EQ(
      listing(world, "cali-pi-gnp/g"),
      "LOG -p tcp --log-prefix \"calico-packet: \" --log-level 5 /* GlobalNetworkPolicy g "
      "ingress */\n"
      "MARK -p udp --set-mark 0x40000/0x40000 /* by=me! */ /* why=so */\n"
      "DROP -m mark --mark 0x40000/0x40000 /* by=me! */ /* why=so */\n"
      "MARK --set-mark 0x20000/0x20000\n"
      "RETURN -m mark --mark 0x20000/0x20000\n"
      "MARK --set-mark 0x10000/0x10000\n")
      << "annotations are on every line of their rule, and no RETURN ends a chain";
}

TEST(Chains, NameAClusterPolicysRules) {
  const testing::World world(testing::document(
      "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "c", "",
      "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{name: why, action: "
      "Deny, from: [{namespaces: {}}]}]}"));
  const std::string text = listing(world, "cali-pi-kcnp/c");
  EXPECT_NE(text.find("/* KubernetesClusterNetworkPolicy c ingress */ /* name=why */\n"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace sluice::control
