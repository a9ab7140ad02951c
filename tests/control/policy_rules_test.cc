// SPDX-License-Identifier: Apache-2.0
// What one rule matches: semantics 3.
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

constexpr uint8_t kTcp = proto::kTcp;

// A rule that allows, alone in a policy: does it match?
struct Match {
  const char* rule;  // the fields besides `action`
  const char* from;
  const char* what;
  bool matches;
};

std::string allow(const char* rule) {
  return std::string("{ingress: [{action: Allow") + (*rule == 0 ? "" : ", ") + rule + "}]}";
}

// Sets that the rows below select.
std::string sets() {
  return global_set("bad", "list: bad", "198.51.100.0/24, \"2001:db8::/32\"") +
         network_set("near", "ns1", "list: near", "203.0.113.0/24") +
         network_set("far", "ns2", "list: near", "192.0.2.0/24");
}

void check(const std::vector<Match>& rows, bool global) {
  for (const Match& row : rows) {
    const World world(sets() + (global ? gnp("x", allow(row.rule)) : np("x", allow(row.rule))));
    EXPECT_EQ(world.verdict(row.from, "ns1/p", row.what),
              row.matches ? "allow default x 0" : "deny default x -1")
        << (global ? "GNP " : "NP ") << row.rule << " from " << row.from << " " << row.what;
  }
}
void check_both(const std::vector<Match>& rows) {
  check(rows, false);
  check(rows, true);
}

// ---- protocols, ports, ICMP (3.1, 3.2) -----------------------------------------------------

TEST(RuleMatch, ProtocolsByNameAndNumber) {
  check_both({
      {"", kInternet, "tcp/80", true},
      {"", kInternet, "icmp", true},
      {"", kInternet, "99", true},
      {"protocol: TCP", kInternet, "tcp/80", true},
      {"protocol: TCP", kInternet, "udp/80", false},
      {"protocol: 6", kInternet, "tcp/80", true},
      {"protocol: \"6\"", kInternet, "tcp/80", true},
      {"protocol: UDP", kInternet, "udp/80", true},
      {"protocol: SCTP", kInternet, "sctp/80", true},
      {"protocol: 132", kInternet, "sctp/80", true},
      {"protocol: UDPLite", kInternet, "136", true},
      {"protocol: ICMP", kInternet, "icmp", true},
      {"protocol: ICMP", kInternet, "58", false},
      {"protocol: 1", kInternet, "icmp", true},
      {"protocol: 255", kInternet, "255", true},
      {"notProtocol: TCP", kInternet, "tcp/80", false},
      {"notProtocol: TCP", kInternet, "udp/80", true},
      {"notProtocol: 17", kInternet, "udp/80", false},
      {"protocol: TCP, notProtocol: UDP", kInternet, "tcp/80", true},
      {"protocol: TCP, notProtocol: TCP", kInternet, "tcp/80", false},
      {"ipVersion: 4", kInternet, "tcp/80", true},
      {"ipVersion: 6", kInternet, "tcp/80", false},
  });
}

TEST(RuleMatch, Ports) {
  check_both({
      {"protocol: TCP, destination: {ports: [80]}", kInternet, "tcp/80", true},
      {"protocol: TCP, destination: {ports: [80]}", kInternet, "tcp/81", false},
      {"protocol: TCP, destination: {ports: [80]}", kInternet, "udp/80", false},
      {"protocol: TCP, destination: {ports: [\"80\"]}", kInternet, "tcp/80", true},
      {"protocol: TCP, destination: {ports: [\"80:82\"]}", kInternet, "tcp/80", true},
      {"protocol: TCP, destination: {ports: [\"80:82\"]}", kInternet, "tcp/82", true},
      {"protocol: TCP, destination: {ports: [\"80:82\"]}", kInternet, "tcp/83", false},
      {"protocol: TCP, destination: {ports: [22, \"80:82\", 443]}", kInternet, "tcp/443", true},
      {"protocol: TCP, destination: {ports: [1, 65535]}", kInternet, "tcp/65535", true},
      {"protocol: TCP, destination: {ports: []}", kInternet, "tcp/7", true},
      {"protocol: TCP, destination: {notPorts: [80]}", kInternet, "tcp/80", false},
      {"protocol: TCP, destination: {notPorts: [80]}", kInternet, "tcp/81", true},
      {"protocol: TCP, destination: {ports: [\"80:90\"], notPorts: [85]}", kInternet, "tcp/85",
       false},
      {"protocol: TCP, destination: {ports: [\"80:90\"], notPorts: [85]}", kInternet, "tcp/86",
       true},
      // explain's packets come from port 40000 unless told otherwise
      {"protocol: TCP, source: {ports: [40000]}", kInternet, "tcp/80", true},
      {"protocol: TCP, source: {ports: [40001]}", kInternet, "tcp/80", false},
      {"protocol: TCP, source: {notPorts: [40000]}", kInternet, "tcp/80", false},
      {"protocol: SCTP, destination: {ports: [80]}", kInternet, "sctp/80", true},
  });
}

TEST(RuleMatch, Icmp) {
  check_both({
      {"protocol: ICMP, icmp: {type: 8}", kInternet, "icmp/8/0", true},
      {"protocol: ICMP, icmp: {type: 8}", kInternet, "icmp/8/7", true},
      {"protocol: ICMP, icmp: {type: 13}", kInternet, "icmp/8/0", false},
      {"protocol: ICMP, icmp: {type: 8, code: 0}", kInternet, "icmp/8/0", true},
      {"protocol: ICMP, icmp: {type: 8, code: 1}", kInternet, "icmp/8/0", false},
      {"protocol: 1, icmp: {type: 8}", kInternet, "icmp/8/0", true},
      {"protocol: ICMP, icmp: {}", kInternet, "icmp/8/0", true},
      {"protocol: ICMP, notICMP: {type: 8}", kInternet, "icmp/8/0", false},
      {"protocol: ICMP, notICMP: {type: 13}", kInternet, "icmp/8/0", true},
      {"protocol: ICMP, notICMP: {type: 8, code: 1}", kInternet, "icmp/8/0", true},
      // Without a protocol it holds for all that is not ICMP.
      {"notICMP: {type: 8}", kInternet, "tcp/80", true},
      {"notICMP: {type: 8}", kInternet, "icmp/8/0", false},
      {"notICMP: {type: 8}", kInternet, "icmp/13/0", true},
      // 8/0 as a port number would be 2048
      {"notICMP: {type: 8}", kInternet, "tcp/2048", true},
  });
}

// ---- nets (3.1, 3.3) -----------------------------------------------------------------------

TEST(RuleMatch, Nets) {
  check_both({
      {"source: {nets: [198.51.100.0/24]}", kInternet, "tcp/80", true},
      {"source: {nets: [198.51.100.99/24]}", kInternet, "tcp/80", true},
      {"source: {nets: [198.51.100.7]}", kInternet, "tcp/80", true},
      {"source: {nets: [198.51.100.8/32]}", kInternet, "tcp/80", false},
      {"source: {nets: [192.0.2.0/24, 198.51.100.0/25]}", kInternet, "tcp/80", true},
      {"source: {nets: [0.0.0.0/0]}", kInternet, "tcp/80", true},
      {"source: {nets: [\"::/0\"]}", kInternet, "tcp/80", false},
      {"source: {nets: []}", kInternet, "tcp/80", true},
      {"source: {notNets: [198.51.100.0/24]}", kInternet, "tcp/80", false},
      {"source: {notNets: [192.0.2.0/24]}", kInternet, "tcp/80", true},
      {"source: {notNets: [0.0.0.0/0]}", "203.0.113.9", "tcp/80", false},
      {"source: {notNets: [10.0.0.0/8, 0.0.0.0/0]}", kInternet, "tcp/80", false},
      {"source: {notNets: [\"2001:db8::/32\"]}", kInternet, "tcp/80", false},
      {"source: {notNets: [\"::/0\"]}", kInternet, "tcp/80", false},
      {"source: {nets: [198.51.100.0/24], notNets: [198.51.100.7/32]}", kInternet, "tcp/80",
       false},
      {"source: {nets: [198.51.100.0/24], notNets: [198.51.100.8/32]}", kInternet, "tcp/80",
       true},
      // An ingress rule may narrow the destination, too.
      {"destination: {nets: [10.0.0.1/32]}", kInternet, "tcp/80", true},
      {"destination: {nets: [10.0.0.2/32]}", kInternet, "tcp/80", false},
      {"destination: {notNets: [10.0.0.1/32]}", kInternet, "tcp/80", false},
      {"source: {nets: [198.51.100.0/24]}, destination: {nets: [10.0.0.2/32]}", kInternet,
       "tcp/80", false},
  });
}

TEST(RuleMatch, AFamilyWithoutNetsOfItsOwnDoesNotHaveTheRule) {
  const struct {
    const char* rule;
    bool v4;
    bool v6;
  } rows[] = {
      {"", true, true},
      {"ipVersion: 4", true, false},
      {"ipVersion: 6", false, true},
      {"protocol: TCP", true, true},
      {"source: {nets: [0.0.0.0/0]}", true, false},
      {"source: {nets: [\"::/0\"]}", false, true},
      {"destination: {nets: [10.0.0.0/8]}", true, false},
      {"destination: {nets: [\"fd00::/8\"]}", false, true},
      {"source: {notNets: [172.16.0.0/12]}", true, false},
      {"destination: {notNets: [172.16.0.0/12]}", true, false},
      {"source: {notNets: [\"fc00::/16\"]}", false, true},
      {"source: {notNets: [0.0.0.0/0]}", false, false},
      {"source: {notNets: [\"::/0\"]}", false, false},
      {"ipVersion: 4, source: {notNets: [172.16.0.0/12]}", true, false},
  };
  for (const auto& row : rows) {
    const World world(np("x", allow(row.rule)));
    const auto v4 = world.judge("p", Direction::ingress, flow(kInternet, "10.0.0.1", kTcp, 80));
    const auto v6 =
        world.judge("p", Direction::ingress, flow("2001:db8::9", "fd00::1", kTcp, 80));
    EXPECT_EQ(v4, row.v4 ? "allow" : "deny") << row.rule;
    EXPECT_EQ(v6, row.v6 ? "allow" : "deny") << row.rule;
  }
}

TEST(RuleMatch, TheNameOfAnIcmpImpliesItsFamilyTheNumberDoesNot) {
  const struct {
    const char* rule;
    uint8_t protocol;
    bool v4;
    bool v6;
  } rows[] = {
      {"protocol: ICMP", 1, true, false},
      {"protocol: 1", 1, true, true},
      {"protocol: ICMPv6", 58, false, true},
      {"protocol: 58", 58, true, true},
      {"protocol: ICMP, ipVersion: 4", 1, true, false},
      {"protocol: ICMPv6, icmp: {type: 128}", 58, false, true},
      {"protocol: ICMPv6, icmp: {type: 129}", 58, false, false},
      {"protocol: ICMPv6, notICMP: {type: 128}", 58, false, false},
      {"notICMP: {type: 128}", 58, true, false},
  };
  for (const auto& row : rows) {
    const World world(np("x", allow(row.rule)));
    const auto v4 = world.judge("p", Direction::ingress,
                                flow(kInternet, "10.0.0.1", row.protocol, 128 << 8));
    const auto v6 = world.judge("p", Direction::ingress,
                                flow("2001:db8::9", "fd00::1", row.protocol, 128 << 8));
    EXPECT_EQ(v4, row.v4 ? "allow" : "deny") << row.rule;
    EXPECT_EQ(v6, row.v6 ? "allow" : "deny") << row.rule;
  }
}

// ---- selectors folded into one (3.4, 3.5) --------------------------------------------------

TEST(RuleSelectors, InANamespacedPolicyStayInTheNamespace) {
  check(
      {
          {"", kInternet, "tcp/80", true},
          {"source: {}", kInternet, "tcp/80", true},
          {"source: {selector: ''}", kInternet, "tcp/80", true},
          {"source: {selector: \"app == 'db'\"}", "ns1/q", "tcp/80", true},
          {"source: {selector: \"app == 'db'\"}", "10.0.1.9", "tcp/80", true},
          {"source: {selector: \"app == 'web'\"}", "ns2/r", "tcp/80", false},
          {"source: {selector: all()}", "ns1/q", "tcp/80", true},
          {"source: {selector: all()}", "ns2/r", "tcp/80", false},
          {"source: {selector: all()}", kInternet, "tcp/80", false},
          {"source: {selector: \"list == 'near'\"}", "203.0.113.9", "tcp/80", true},
          {"source: {selector: \"list == 'near'\"}", "192.0.2.9", "tcp/80", false},
          {"source: {selector: \"list == 'bad'\"}", kInternet, "tcp/80", false},
          {"source: {namespaceSelector: all()}", "ns2/r", "tcp/80", true},
          {"source: {namespaceSelector: all()}", "192.0.2.9", "tcp/80", true},
          {"source: {namespaceSelector: all()}", kInternet, "tcp/80", false},
          {"source: {namespaceSelector: \"team == 'blue'\"}", "ns2/r", "tcp/80", true},
          {"source: {namespaceSelector: \"team == 'blue'\"}", "192.0.2.9", "tcp/80", true},
          {"source: {namespaceSelector: \"team == 'blue'\"}", "ns1/q", "tcp/80", false},
          {"source: {namespaceSelector: \"projectcalico.org/name == 'ns2'\"}", "ns2/r",
           "tcp/80", true},
          {"source: {namespaceSelector: \"kubernetes.io/metadata.name == 'ns2'\"}", "ns2/r",
           "tcp/80", true},
          {"source: {namespaceSelector: \"team == 'blue'\", selector: \"app == 'web'\"}",
           "ns2/r", "tcp/80", true},
          {"source: {namespaceSelector: \"team == 'blue'\", selector: \"app == 'db'\"}",
           "ns2/r", "tcp/80", false},
          {"source: {namespaceSelector: global(), selector: \"list == 'bad'\"}", kInternet,
           "tcp/80", true},
          {"source: {namespaceSelector: global()}", kInternet, "tcp/80", true},
          {"source: {namespaceSelector: global()}", "ns1/q", "tcp/80", false},
          {"source: {namespaceSelector: global(), selector: \"list == 'near'\"}", "203.0.113.9",
           "tcp/80", false},
          // The namespace term comes with notSelector alone.
          {"source: {notSelector: \"app == 'web'\"}", "ns1/q", "tcp/80", true},
          {"source: {notSelector: \"app == 'db'\"}", "ns1/q", "tcp/80", false},
          {"source: {notSelector: \"app == 'db'\"}", "ns2/r", "tcp/80", false},
          {"source: {notSelector: \"app == 'db'\"}", kInternet, "tcp/80", false},
          {"source: {serviceAccounts: {names: [default]}}", "ns1/q", "tcp/80", true},
          {"source: {serviceAccounts: {names: [robot]}}", "ns1/q", "tcp/80", false},
          {"source: {serviceAccounts: {names: [robot, default]}}", "ns1/q", "tcp/80", true},
          {"source: {serviceAccounts: {selector: \"role == 'bot'\"}}", "ns1/q", "tcp/80",
           false},
          {"source: {serviceAccounts: {selector: \"!has(role)\"}}", "ns1/q", "tcp/80", true},
          {"source: {serviceAccounts: {selector: \"!has(role)\", names: [robot]}}", "ns1/q",
           "tcp/80", false},
          {"source: {serviceAccounts: {names: [default]}, selector: \"app == 'web'\"}", "ns1/q",
           "tcp/80", false},
          {"destination: {serviceAccounts: {selector: \"role == 'bot'\"}}", kInternet, "tcp/80",
           true},
          // nets and a selector: both, and the namespace term.
          {"source: {nets: [10.0.0.0/24], selector: \"app == 'db'\"}", "ns1/q", "tcp/80", true},
          {"source: {nets: [10.0.1.0/24], selector: \"app == 'db'\"}", "ns1/q", "tcp/80",
           false},
          {"source: {nets: [10.0.0.0/24], selector: \"app == 'web'\"}", "ns2/r", "tcp/80",
           false},
          {"source: {nets: [10.0.0.0/24]}", "ns2/r", "tcp/80", true},
          {"source: {notNets: [10.0.0.0/24], selector: all()}", "ns1/q", "tcp/80", false},
          {"source: {selector: all(), notSelector: \"app == 'web'\"}", "ns1/q", "tcp/80", true},
          // A selector that nothing matches: nothing is in it, everything is out of it.
          {"source: {selector: \"app == 'none'\"}", "ns1/q", "tcp/80", false},
          {"source: {notSelector: \"app == 'none'\"}", "ns1/q", "tcp/80", true},
          {"source: {notSelector: all()}", "ns1/q", "tcp/80", false},
      },
      false);
}

TEST(RuleSelectors, InAGlobalPolicyReachEverywhere) {
  check(
      {
          {"source: {selector: \"app == 'db'\"}", "ns1/q", "tcp/80", true},
          {"source: {selector: \"app == 'web'\"}", "ns2/r", "tcp/80", true},
          {"source: {selector: \"list == 'near'\"}", "192.0.2.9", "tcp/80", true},
          {"source: {selector: \"list == 'near'\"}", "203.0.113.9", "tcp/80", true},
          {"source: {selector: \"list == 'bad'\"}", kInternet, "tcp/80", true},
          {"source: {selector: \"list == 'bad'\"}", "192.0.2.9", "tcp/80", false},
          {"source: {notSelector: \"app == 'web'\"}", kInternet, "tcp/80", true},
          {"source: {notSelector: \"app == 'web'\"}", "ns1/q", "tcp/80", true},
          {"source: {notSelector: \"app == 'web'\"}", "ns2/r", "tcp/80", false},
          {"source: {notSelector: \"list == 'bad'\"}", kInternet, "tcp/80", false},
          {"source: {namespaceSelector: \"team == 'red'\"}", "ns1/q", "tcp/80", true},
          {"source: {namespaceSelector: \"team == 'red'\"}", "ns2/r", "tcp/80", false},
          {"source: {namespaceSelector: \"team == 'red'\"}", kInternet, "tcp/80", false},
          {"source: {namespaceSelector: \"team != 'red'\"}", kInternet, "tcp/80", true},
          {"source: {namespaceSelector: global()}", kInternet, "tcp/80", true},
          {"source: {namespaceSelector: global()}", "203.0.113.9", "tcp/80", false},
          {"source: {namespaceSelector: global()}", "ns1/q", "tcp/80", false},
          {"source: {namespaceSelector: all(), selector: \"has(list)\"}", "192.0.2.9", "tcp/80",
           true},
          {"source: {serviceAccounts: {names: [default]}}", "ns1/q", "tcp/80", true},
          {"source: {serviceAccounts: {names: [default]}}", "ns2/r", "tcp/80", false},
          {"source: {nets: [198.51.100.0/24], notSelector: \"list == 'bad'\"}", kInternet,
           "tcp/80", false},
      },
      true);
}

TEST(RuleSelectors, AllIsEveryKnownAddressWithoutAnEverythingSet) {
  const std::string rule = "{ingress: [{action: Allow, source: {selector: all()}}]}";
  const World world(gnp("x", rule));
  EXPECT_EQ(world.verdict("ns2/r", "ns1/p", "tcp/80"), "allow default x 0");
  EXPECT_EQ(world.verdict("10.0.1.9", "ns1/p", "tcp/80"), "allow default x 0");
  EXPECT_EQ(world.verdict("10.0.1.8", "ns1/p", "tcp/80"), "deny default x -1");
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), "deny default x -1");
}

TEST(RuleSelectors, ASetMayHoldEverything) {
  const std::string world_set = global_set("world", "list: world", "0.0.0.0/0");
  const std::string in =
      gnp("x", "{ingress: [{action: Allow, source: {selector: has(list)}}]}");
  const std::string out =
      gnp("x", "{ingress: [{action: Allow, source: {notSelector: has(list)}}]}");
  for (const char* from : {kInternet, "203.0.113.9", "ns1/q", "10.0.1.9", "192.168.0.2"}) {
    EXPECT_EQ(World(world_set + in).verdict(from, "ns1/p", "tcp/80"), "allow default x 0");
    EXPECT_EQ(World(world_set + out).verdict(from, "ns1/p", "tcp/80"), "deny default x -1");
  }
  const FlowKey v6 = flow("2001:db8::9", "fd00::1", kTcp, 80);
  EXPECT_EQ(World(world_set + in).judge("p", Direction::ingress, v6), "deny");
}

TEST(RuleSelectors, AnAddressOfTwoOwnersIsThereWhileOneOfThemMatches) {
  const std::string rule = "{ingress: [{action: Allow, source: {selector: has(list)}}]}";
  const std::string two =
      global_set("one", "list: a", "192.0.2.1/32") + global_set("two", "other: b", "192.0.2.1");
  EXPECT_EQ(World(two + gnp("x", rule)).verdict("192.0.2.1", "ns1/p", "tcp/80"),
            "allow default x 0");
}

TEST(RuleSelectors, ThoseOfOneMeaningShareASet) {
  const World world(np("x",
                       "{ingress: [{action: Deny, source: {selector: \"app=='db'\"}}, "
                       "{action: Allow, source: {selector: \"app  == \\\"db\\\"\"}}]}"));
  const auto& lists = world.built().policy.rules->lists;
  const LocalEndpoint& p = world.endpoint("p");
  const auto& rules =
      lists[world.built().policy.rules->programs[p.ingress].tiers[0].lists[0]]->rules;
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].source.sets, rules[1].source.sets);
}

// ---- named ports (3.5) ---------------------------------------------------------------------

TEST(NamedPorts, AreLookedUpPerAddress) {
  const std::string two = R"(
---
apiVersion: v1
kind: Pod
metadata: {name: v, namespace: ns1, labels: {app: web}}
spec:
  nodeName: n1
  initContainers: [{ports: [{name: late, containerPort: 7000}]}]
  containers: [{ports: [{name: web, containerPort: 9090}, {containerPort: 9999},
                        {name: dns, containerPort: 53, protocol: UDP}]}]
status: {podIP: 10.0.0.21}
)";
  const struct {
    const char* rule;
    const char* to;
    const char* what;
    bool matches;
  } rows[] = {
      {"protocol: TCP, destination: {ports: [web]}", "ns1/p", "tcp/8080", true},
      {"protocol: TCP, destination: {ports: [web]}", "ns1/v", "tcp/9090", true},
      {"protocol: TCP, destination: {ports: [web]}", "ns1/v", "tcp/8080", false},
      {"protocol: TCP, destination: {ports: [late]}", "ns1/v", "tcp/7000", true},
      {"destination: {ports: [dns]}", "ns1/v", "udp/53", true},
      {"destination: {ports: [dns]}", "ns1/v", "tcp/53", false},
      {"protocol: UDP, destination: {ports: [web]}", "ns1/p", "udp/8080", false},
      {"protocol: TCP, destination: {ports: [none]}", "ns1/p", "tcp/8080", false},
      {"protocol: TCP, destination: {ports: [none, 22]}", "ns1/p", "tcp/22", true},
      {"protocol: TCP, destination: {ports: [web, 22]}", "ns1/p", "tcp/8080", true},
      {"protocol: TCP, destination: {notPorts: [web]}", "ns1/p", "tcp/8080", false},
      {"protocol: TCP, destination: {notPorts: [web]}", "ns1/v", "tcp/8080", true},
      {"protocol: TCP, destination: {notPorts: [none]}", "ns1/p", "tcp/8080", true},
      {"protocol: TCP, destination: {selector: has(app), ports: [web]}", "ns1/p", "tcp/8080",
       true},
      {"protocol: TCP, destination: {selector: has(x), ports: [web]}", "ns1/p", "tcp/8080",
       false},
      {"protocol: TCP, destination: {nets: [10.0.0.1/32], ports: [web]}", "ns1/p", "tcp/8080",
       true},
      {"destination: {ports: [web]}", "ns1/p", "icmp", false},
      {"destination: {notPorts: [web]}", "ns1/p", "icmp", true},
  };
  for (const auto& row : rows) {
    for (const bool global : {false, true}) {
      const World world(two + (global ? gnp("x", allow(row.rule)) : np("x", allow(row.rule))));
      EXPECT_EQ(world.verdict(kInternet, row.to, row.what),
                row.matches ? "allow default x 0" : "deny default x -1")
          << row.rule << " " << row.to << " " << row.what;
    }
  }
}

TEST(NamedPorts, OfOtherNodesAreKnownAndNetworkSetsHaveNone) {
  const std::string far = R"(
---
apiVersion: v1
kind: Pod
metadata: {name: t, namespace: ns1, labels: {app: far}}
spec: {nodeName: n2, containers: [{ports: [{name: web, containerPort: 8081}]}]}
status: {podIP: 10.0.1.10}
)";
  const World world(far + global_set("s", "app: far", "192.0.2.0/24") +
                    gnp("x",
                        "{egress: [{action: Allow, protocol: TCP, destination: {selector: "
                        "\"app == 'far'\", ports: [web]}}]}"));
  EXPECT_EQ(world.verdict("ns1/p", "10.0.1.10", "tcp/8081"), "allow default x 0");
  EXPECT_EQ(world.verdict("ns1/p", "10.0.1.10", "tcp/8080"), "deny default x -1");
  EXPECT_EQ(world.verdict("ns1/p", "192.0.2.1", "tcp/8081"), "deny default x -1");
}

TEST(NamedPorts, OfTheSourceAreMatchedOnTheSourcesOwnPort) {
  const World world(np("x",
                       "{egress: [{action: Allow, protocol: TCP, source: {ports: "
                       "[web]}}]}"));
  const FlowKey from_web = flow("10.0.0.1", kInternet, kTcp, 80, 8080);
  const FlowKey other = flow("10.0.0.1", kInternet, kTcp, 8080, 40000);
  EXPECT_EQ(world.judge("p", Direction::egress, from_web), "allow");
  EXPECT_EQ(world.judge("p", Direction::egress, other), "deny");
}

// ---- what cannot be compiled ---------------------------------------------------------------

TEST(RuleErrors, AreReportedAtTheirPlaceWhoeverRunsTheRule) {
  const struct {
    std::string yaml;
    const char* says;
  } rows[] = {
      {np("x", "{selector: \"a = 'b'\"}"), "f:6:21: error: selector \"a = 'b'\": at offset 2"},
      {np("x", "{selector: a = 'b'}"), "f:6:20: error"},
      {np("x", "\n  selector: a = 'b'"), "f:7:15: error"},
      {np("x", "\n  selector: >-\n    a = 'b'"), "f:8:7: error: selector \"a = 'b'\""},
      {np("x", "\n  selector: >-\n    has(a) &&\n    a = 'b'"), "f:8:5: error"},
      {np("x", "\n  selector: has(a) &&\n    a = 'b'"), "f:7:13: error"},
      {np("x", "\n  selector: \"\\x61 = 'b'\""), "f:7:14: error"},
      {np("x", "\n  selector: |\n    has(a)"), "unexpected content at end"},
      {np("x", "\n  ingress:\n  - action: Allow\n    source: {selector: has(}"), "f:9:28: err"},
      {np("x", "\n  ingress:\n  - action: Allow\n    source: {notSelector: has(}"),
       "f:9:31: err"},
      {np("x", "{ingress: [{action: Allow, source: {namespaceSelector: a}}]}"),
       "expected operator after label 'a'"},
      {np("x", "{ingress: [{action: Allow, source: {serviceAccounts: {selector: a}}}]}"),
       "expected operator after label 'a'"},
      {np("x", "{types: [Ingress], egress: [{action: Allow, source: {selector: a}}]}"),
       "expected operator after label 'a'"},
      {gnp("x", "{namespaceSelector: a}"), "expected operator after label 'a'"},
      {gnp("x", "{serviceAccountSelector: a}"), "expected operator after label 'a'"},
      {gnp("x",
           "{doNotTrack: true, applyOnForward: true, ingress: [{action: Allow, source: "
           "{selector: a}}]}"),
       "expected operator after label 'a'"},
      {document("projectcalico.org/v3", "Profile", "x", "",
                "{ingress: [{action: Allow, source: {selector: a}}]}"),
       "expected operator after label 'a'"},
      {document("projectcalico.org/v3", "Profile", "x", "",
                "{egress: [{action: Allow, destination: {notSelector: a}}]}"),
       "expected operator after label 'a'"},
      // global() is a rule's whole namespaceSelector, or nothing
      {np("x", "{selector: global()}"), "global() belongs in a rule's namespaceSelector"},
      {gnp("x", "{selector: \"has(a) || global()\"}"), "global() belongs in a rule's"},
      {gnp("x", "{namespaceSelector: global()}"), "global() belongs in a rule's"},
      {gnp("x", "{serviceAccountSelector: global()}"), "global() belongs in a rule's"},
      {np("x", "{ingress: [{action: Allow, source: {selector: global()}}]}"),
       "global() belongs in a rule's namespaceSelector"},
      {np("x", "{ingress: [{action: Allow, source: {notSelector: global()}}]}"),
       "global() belongs in a rule's namespaceSelector"},
      {np("x", "{ingress: [{action: Allow, source: {serviceAccounts: {selector: global()}}}]}"),
       "global() belongs in a rule's namespaceSelector"},
      {np("x",
          "{ingress: [{action: Allow, source: {namespaceSelector: \"global() && "
          "has(a)\"}}]}"),
       "global() must be the whole namespaceSelector"},
  };
  for (const auto& row : rows) {
    // As `check -f` sees it: no settings, so no node and no endpoint.
    const std::string alone = findings_of(row.yaml);
    EXPECT_NE(alone.find(row.says), std::string::npos) << row.yaml << "says\n" << alone;
    // Among endpoints that run it.
    const std::string whole = findings_of(kCluster + row.yaml, kSettings);
    EXPECT_NE(whole.find("error"), std::string::npos) << row.yaml;
    // Once, not once for every endpoint and direction.
    EXPECT_EQ(alone.find("error", alone.find("error") + 1), std::string::npos) << alone;
    EXPECT_EQ(whole.find("error", whole.find("error") + 1), std::string::npos) << whole;
  }
}

}  // namespace
}  // namespace sluice::control::testing
