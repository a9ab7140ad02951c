// SPDX-License-Identifier: Apache-2.0
#include "control/chains.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "control/hash.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
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
  const std::vector<Chain> chains = make_chains(nothing, {}, RuleNames(), {});
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
std::string listing(const World& world, const std::string& name) {
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), {})) {
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
  const World world(knp("api",
                        "{podSelector: {matchLabels: {app: db}}, policyTypes: "
                        "[Ingress, Egress], ingress: [{}]}") +
                    gnp("g", "{tier: t, selector: \"app == 'db'\", egress: [{action: Pass}]}") +
                    tier("t", "{order: 1, defaultAction: Pass}"));
  const std::string veth = world.endpoint("q").interface_name;
  EXPECT_EQ(listing(world, chain_name("cali-fw-", veth)),
            "ACCEPT -m conntrack --ctstate RELATED,ESTABLISHED\n"
            "DROP -m conntrack --ctstate INVALID\n"
            "MARK --set-mark 0/0x30000\n"
            "DROP -p 17 -m multiport --destination-ports 4789 /* Drop VXLAN encapped packets "
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
  const World world(
      gnp("g",
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
  const World world(document(
      "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "c", "",
      "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{name: why, action: "
      "Deny, from: [{namespaces: {}}]}]}"));
  const std::string text = listing(world, "cali-pi-kcnp/c");
  EXPECT_NE(text.find("/* name=why */ /* KubernetesClusterNetworkPolicy c ingress */\n"),
            std::string::npos)
      << text;
}

using Lines = std::vector<std::string>;

// The lines of one chain: "MATCH > TARGET ARGUMENT # COMMENTS".
std::string text_of(const ChainLine& l) {
  std::string text = l.match;
  for (const std::string& part : {l.target, l.argument}) {
    text += part.empty() ? "" : (text.empty() ? "" : " ") + part;
  }
  for (const std::string& comment : l.comments) {
    text += " # " + comment;
  }
  return text;
}

Lines lines(const std::string& more, const std::string& name, const Felix& felix = {},
            const ChainCounters& counters = {}) {
  const World world(more);
  Lines out;
  for (const Chain& chain : make_chains(world.built().policy, felix, world.names(), counters)) {
    if (chain.name != name) {
      continue;
    }
    for (const ChainLine& l : chain.lines) {
      out.push_back(text_of(l));
    }
  }
  return out;
}

std::string ingress(const std::string& rules) {
  return np("x", "{ingress: [" + rules + "]}");
}
constexpr const char* kIngress = "cali-pi-np/ns1/x";

TEST(Chains, LeaveOutWhatOnlyIp6Has) {
  EXPECT_EQ(lines(ingress("{action: Deny, ipVersion: 6}, {action: Deny, source: {nets: "
                          "[\"fd00::/8\"]}}, {action: Allow, source: {nets: "
                          "[10.0.0.0/8]}}, {action: Deny}"),
                  kIngress),
            (Lines{"--source 10.0.0.0/8 MARK --set-mark 0x10000/0x10000 # NetworkPolicy ns1/x "
                   "ingress",
                   "-m mark --mark 0x10000/0x10000 RETURN", "MARK --set-mark 0x40000/0x40000",
                   "-m mark --mark 0x40000/0x40000 DROP"}));
  EXPECT_EQ(lines(ingress("{action: Deny, ipVersion: 6}"), kIngress),
            (Lines{" # NetworkPolicy ns1/x ingress"}));
  // Keys count the rules as they are written.
  const World world(ingress("{action: Deny, ipVersion: 6}, {action: Deny}"));
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), {})) {
    if (chain.name == kIngress) {
      EXPECT_EQ(chain.lines.at(0).key, "DPI1|np/ns1/x");
    }
  }
}

// Semantics 3.8: what is ORed takes a line each and a mark.
TEST(Chains, AlternativesTakeALineEach) {
  const std::string web =
      "-m set --match-set " +
      ("cali40" + unique_id("n", Selector::all().id() + ",tcp,web")).substr(0, 31) + " dst,dst";
  EXPECT_EQ(lines(ingress("{action: Deny, protocol: TCP, destination: {ports: [80, web]}}"),
                  kIngress),
            (Lines{"MARK --set-mark 0x0/0x180000 # NetworkPolicy ns1/x ingress",
                   "-p tcp -m multiport --destination-ports 80 MARK --set-mark 0x80000/0x80000",
                   web + " MARK --set-mark 0x80000/0x80000",
                   "-p tcp -m mark --mark 0x80000/0x80000 MARK --set-mark 0x40000/0x40000",
                   "-m mark --mark 0x40000/0x40000 DROP"}));
  EXPECT_EQ(lines(ingress("{action: Deny, protocol: TCP, source: {nets: [10.0.0.0/8, "
                          "192.0.2.0/24], notNets: [10.1.0.0/16]}, destination: {ports: [1, 2, "
                          "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, \"15:16\", 17]}}"),
                  kIngress),
            (Lines{"MARK --set-mark 0x0/0x180000 # NetworkPolicy ns1/x ingress",
                   "-p tcp -m multiport --destination-ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14 "
                   "MARK --set-mark 0x80000/0x80000",
                   "-p tcp -m multiport --destination-ports 15:16,17 MARK --set-mark "
                   "0x80000/0x80000",
                   "--source 10.0.0.0/8 MARK --set-mark 0x100000/0x100000",
                   "--source 192.0.2.0/24 MARK --set-mark 0x100000/0x100000",
                   "-m mark --mark 0/0x100000 MARK --set-mark 0/0x80000",
                   "-p tcp ! --source 10.1.0.0/16 -m mark --mark 0x80000/0x80000 MARK "
                   "--set-mark 0x40000/0x40000",
                   "-m mark --mark 0x40000/0x40000 DROP"}));
  EXPECT_EQ(lines(ingress("{action: Deny, source: {nets: [10.0.0.0/8], notNets: "
                          "[10.1.0.0/16]}}"),
                  kIngress),
            (Lines{"MARK --set-mark 0x80000/0x180000 # NetworkPolicy ns1/x ingress",
                   "--source 10.1.0.0/16 MARK --set-mark 0/0x80000",
                   "--source 10.0.0.0/8 -m mark --mark 0x80000/0x80000 MARK --set-mark "
                   "0x40000/0x40000",
                   "-m mark --mark 0x40000/0x40000 DROP"}));
}

TEST(Chains, SetsAreNamedByWhatTheyHoldNotByHowMany) {
  const std::string policy =
      gnp("x", "{ingress: [{action: Deny, source: {selector: all()}}], order: 1}");
  const Lines found = lines(policy, "cali-pi-gnp/x");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0],
            "-m set --match-set cali40s:5y5I3VdRZfDU01O--xXAPx2 src MARK --set-mark "
            "0x40000/0x40000 # GlobalNetworkPolicy x ingress");
  EXPECT_EQ(found,
            lines(gnp("w",
                      "{ingress: [{action: Deny, source: {selector: has(app)}}], "
                      "order: 0}") +
                      policy +
                      "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: t, namespace: "
                      "ns1}, spec: {nodeName: n2}, status: {podIP: 10.0.1.33}}\n",
                  "cali-pi-gnp/x"));
}

TEST(Chains, EachDropBeforePolicyHasItsLineAndCount) {
  ChainCounters counters;
  counters.drops = {
      {"tun_src", 1}, {"tun_dst", 2}, {"tun_nested", 4}, {"tun_from_workload", 8}};
  const World world("");
  std::map<std::string, uint64_t> packets;
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), counters)) {
    for (const ChainLine& l : chain.lines) {
      if (l.packets != 0) {
        packets[chain.name + " " + l.comments.at(0)] = l.packets;
      }
    }
  }
  EXPECT_EQ(packets,
            (std::map<std::string, uint64_t>{
                {"cali-INPUT Drop IPIP packets from non-Calico hosts", 1},
                {"cali-INPUT IPIP for others than our workloads, or in IPIP", 6},
                {"cali-FORWARD Encapped packets originating in workloads, of all endpoints", 8},
            }));
}

TEST(Chains, FollowWhatFelixIsTold) {
  const World world("");
  const std::string from = chain_name("cali-fw-", world.endpoint("p").interface_name);
  const Lines both = {
      "-p 17 -m multiport --destination-ports 4789 DROP # Drop VXLAN encapped packets "
      "originating in workloads",
      "-p 4 DROP # Drop IPinIP encapped packets originating in workloads"};
  const auto tunnels = [&](const Felix& felix) {
    Lines out = lines("", from, felix);
    std::erase_if(out, [](const std::string& l) { return l.find("encapped") == l.npos; });
    return out;
  };
  Felix felix;
  EXPECT_EQ(tunnels(felix), both);
  felix.allow_ipip = true;
  EXPECT_EQ(tunnels(felix), Lines{both[0]});
  felix.allow_vxlan = true;
  EXPECT_EQ(tunnels(felix), Lines{});
  felix.interface_prefixes = {"eni", "azv"};
  const Lines forward = lines("", "cali-FORWARD", felix);
  const Lines dispatch(forward.begin() + 2, forward.begin() + 6);
  EXPECT_EQ(dispatch, (Lines{"--in-interface eni+ cali-from-wl-dispatch",
                             "--out-interface eni+ cali-to-wl-dispatch",
                             "--in-interface azv+ cali-from-wl-dispatch",
                             "--out-interface azv+ cali-to-wl-dispatch"}));
}

TEST(Chains, DispatchGoesToTheEndpointsChain) {
  const World world("");
  const std::string name = world.endpoint("p").interface_name;
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), {})) {
    if (chain.name != "cali-from-wl-dispatch") {
      continue;
    }
    Lines texts;
    Lines shown;
    for (const ChainLine& l : chain.lines) {
      texts.push_back(l.go_to ? l.match + " --goto " + l.target
                              : "-m comment --comment \"Unknown interface\" --jump DROP");
      shown.push_back(l.hash);
    }
    ASSERT_EQ(texts.size(), 4u);
    EXPECT_EQ(shown, rule_hashes(chain.name, texts));
  }
}

// Host endpoints u (eth0) and e (*), with a policy for each of their parts.
std::string host_resources() {
  const auto host = [](const std::string& name, const std::string& interface) {
    return "\n---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: " +
           name + ", labels: {host: a}}, spec: {node: n1, interfaceName: \"" + interface +
           "\"}}\n";
  };
  return host("u", "eth0") + host("e", "*") +
         gnp("raw",
             "{selector: has(host), doNotTrack: true, applyOnForward: true, ingress: "
             "[{action: Deny, source: {nets: [10.9.0.0/16]}}]}") +
         gnp("dnat",
             "{selector: has(host), preDNAT: true, applyOnForward: true, types: "
             "[Ingress], ingress: [{action: Allow}]}") +
         gnp("forward",
             "{selector: has(host), applyOnForward: true, egress: [{action: Allow}]}");
}

TEST(Chains, OfHostEndpointsArePartedByTables) {
  const World world(host_resources());
  Lines heads;
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), {})) {
    if (chain.name.find("host-endpoint") != chain.name.npos ||
        chain.name.starts_with("cali-fh") || chain.name.starts_with("cali-th") ||
        chain.name.find("hep") != chain.name.npos ||
        chain.name.find("failsafe") != chain.name.npos) {
      heads.push_back(chain.table + " " + chain.name + " " + std::to_string(chain.references));
    }
  }
  const std::string any = "any-interface-at-all";
  const std::string any_forward_in = chain_name("cali-fhfw-", any);
  const std::string any_forward_out = chain_name("cali-thfw-", any);
  EXPECT_EQ(heads, (Lines{"raw cali-from-host-endpoint 0", "raw cali-fh-eth0 1",
                          "raw cali-failsafe-in 1", "mangle cali-from-host-endpoint 0",
                          "mangle cali-fh-" + any + " 1", "mangle cali-fh-eth0 1",
                          "mangle cali-failsafe-in 2", "filter cali-to-hep-forward 1",
                          "filter " + any_forward_out + " 1", "filter cali-thfw-eth0 1",
                          "filter cali-from-host-endpoint 0", "filter cali-fh-" + any + " 1",
                          "filter cali-fh-eth0 1", "filter cali-failsafe-in 2",
                          "filter cali-to-host-endpoint 0", "filter cali-th-" + any + " 1",
                          "filter cali-th-eth0 1", "filter cali-failsafe-out 2"}));
}

// Interfaces that have chains of that prefix in that table.
Lines interfaces_in(const World& world, const std::string& table, const std::string& prefix) {
  Lines out;
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), {})) {
    if (chain.table == table && chain.name.starts_with(prefix)) {
      out.push_back(chain.name.substr(prefix.size()));
    }
  }
  return out;
}

// expectedIPs name no interface: the chains are of the one that has the address.
TEST(Chains, OfAHostEndpointToldByItsAddressesBearTheInterfacesName) {
  const auto host = [](const std::string& name, const std::string& address) {
    return "\n---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: " +
           name + ", labels: {host: a}}, spec: {node: n1, expectedIPs: [" + address + "]}}\n";
  };
  const std::string node =
      document("projectcalico.org/v3", "Node", "n1", "",
               "{bgp: {ipv4Address: 192.168.0.1/24, ipv4IPIPTunnelAddr: 10.0.0.254}}");
  const std::string policy = gnp("all", "{selector: has(host), ingress: [{action: Allow}]}");
  const World tunnel(node + host("t", "10.0.0.254") + policy);
  EXPECT_EQ(interfaces_in(tunnel, "filter", "cali-fh-"), Lines{"tunl0"});
  const World both(node + host("t", "10.0.0.254") + host("u", "192.168.0.1") + policy);
  EXPECT_EQ(interfaces_in(both, "filter", "cali-fh-"), (Lines{"tunl0", "uplink"}));
}

TEST(Chains, OfAHostEndpointJudgeAsThePartDoes) {
  const World world(host_resources());
  std::map<std::string, Lines> chains;
  for (const Chain& chain : make_chains(world.built().policy, {}, world.names(), {})) {
    for (const ChainLine& l : chain.lines) {
      chains[chain.table + " " + chain.name].push_back(text_of(l));
    }
  }
  EXPECT_EQ(chains["raw cali-fh-eth0"],
            (Lines{"cali-failsafe-in", "MARK --set-mark 0/0x30000",
                   "MARK --set-mark 0/0x20000 # Start of tier default",
                   "-m mark --mark 0/0x20000 cali-pi-gnp/raw",
                   "-m mark --mark 0x10000/0x10000 RETURN # Return if policy accepted"}))
      << "what no untracked policy decides is tracked, not dropped";
  const Lines& normal = chains["filter cali-fh-eth0"];
  ASSERT_FALSE(normal.empty());
  EXPECT_EQ(normal.front(), "-m conntrack --ctstate RELATED,ESTABLISHED ACCEPT");
  EXPECT_EQ(normal.back(), "DROP # Drop if no profiles matched");
  const Lines& before_nat = chains["mangle cali-fh-eth0"];
  ASSERT_GE(before_nat.size(), 3u);
  EXPECT_EQ((Lines{before_nat[0], before_nat[1], before_nat[2]}),
            (Lines{"-m conntrack --ctstate RELATED,ESTABLISHED ACCEPT",
                   "-m conntrack --ctstate INVALID DROP", "cali-failsafe-in"}))
      << "preDNAT judges new connections, as the filter table does";
  const Lines& forward = chains["filter cali-thfw-eth0"];
  ASSERT_FALSE(forward.empty());
  EXPECT_EQ(forward.back(),
            "-m mark --mark 0/0x20000 DROP # End of tier default. Drop if no policies passed "
            "packet");
  for (const std::string& l : forward) {
    EXPECT_EQ(l.find("failsafe"), l.npos) << "forwarded traffic has no failsafes";
  }
  const Lines& failsafe = chains["filter cali-failsafe-in"];
  EXPECT_NE(std::find(failsafe.begin(), failsafe.end(),
                      "-p tcp -m multiport --destination-ports 22 ACCEPT"),
            failsafe.end())
      << ::testing::PrintToString(failsafe);
}

}  // namespace
}  // namespace sluice::control::testing
