// SPDX-License-Identifier: Apache-2.0
// `services:` in rules: semantics 3.6.
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

std::string slice(std::string_view name, std::string_view service, std::string_view rest,
                  std::string_view namespace_name = "ns1") {
  return "\n---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: " +
         std::string(name) + ", namespace: " + std::string(namespace_name) +
         ", labels: {kubernetes.io/service-name: " + std::string(service) + "}}, " +
         std::string(rest) + "}\n";
}

// ns1/api: two slices, one member not ready, one going; ns2/api: one member.
const std::string kSlices =
    slice("api-1", "api",
          "addressType: IPv4, endpoints: [{addresses: [10.0.0.2], conditions: {ready: true}}, "
          "{addresses: [203.0.113.5], conditions: {ready: false, serving: false, terminating: "
          "true}}], ports: [{name: http, port: 8080}, {name: dns, port: 53, protocol: UDP}, "
          "{name: any}]") +
    slice("api-2", "api",
          "addressType: IPv4, endpoints: [{addresses: [10.0.1.9]}], ports: [{port: 9090, "
          "protocol: TCP}]") +
    slice("api-6", "api",
          "addressType: IPv6, endpoints: [{addresses: [\"fd00::2\"]}], ports: [{port: 8080}]") +
    slice("api-n", "api", "addressType: FQDN, endpoints: [{addresses: [a.example]}]") +
    slice("other", "api",
          "addressType: IPv4, endpoints: [{addresses: [198.51.100.7]}], ports: [{port: 80}]",
          "ns2") +
    slice("none", "empty", "addressType: IPv4, endpoints: null, ports: null");

std::string to(const char* service, const char* more = "") {
  return std::string("{egress: [{action: Allow") + more +
         ", destination: {services: " + service + "}}]}";
}
std::string from(const char* service, const char* more = "") {
  return std::string("{ingress: [{action: Allow") + more + ", source: {services: " + service +
         "}}]}";
}

TEST(Services, OfADestinationAreEveryAddressWithEveryPort) {
  const struct {
    std::string policy;
    const char* to;
    const char* what;
    bool matches;
  } rows[] = {
      {to("{name: api, namespace: ns1}"), "ns1/q", "tcp/8080", true},
      {to("{name: api, namespace: ns1}"), "ns1/q", "udp/8080", false},
      {to("{name: api, namespace: ns1}"), "ns1/q", "udp/53", true},
      {to("{name: api, namespace: ns1}"), "ns1/q", "tcp/53", false},
      // A port is the slice's, not the service's.
      {to("{name: api, namespace: ns1}"), "ns1/q", "tcp/9090", false},
      {to("{name: api, namespace: ns1}"), "10.0.1.9", "tcp/9090", true},
      {to("{name: api, namespace: ns1}"), "10.0.1.9", "tcp/8080", false},
      // A port without a number names none.
      {to("{name: api, namespace: ns1}"), "ns1/q", "tcp/443", false},
      {to("{name: api, namespace: ns1}"), "ns1/q", "icmp", false},
      // Conditions are not asked.
      {to("{name: api, namespace: ns1}"), "203.0.113.5", "tcp/8080", true},
      {to("{name: api, namespace: ns1}"), "198.51.100.7", "tcp/80", false},
      {to("{name: api, namespace: ns2}"), "198.51.100.7", "tcp/80", true},
      {to("{name: api, namespace: ns2}"), "ns1/q", "tcp/8080", false},
      {to("{name: empty, namespace: ns1}"), "ns1/q", "tcp/8080", false},
      {to("{name: gone, namespace: ns1}"), "ns1/q", "tcp/8080", false},
      {to("{name: api, namespace: ns1}", ", protocol: TCP"), "ns1/q", "tcp/8080", true},
      {to("{name: api, namespace: ns1}", ", protocol: TCP"), "ns1/q", "udp/53", false},
      {to("{name: api, namespace: ns1}", ", source: {nets: [10.0.0.1/32]}"), "ns1/q",
       "tcp/8080", true},
  };
  for (const auto& row : rows) {
    for (const bool global : {false, true}) {
      // ns1/q's ingress is open, so what is denied is denied by p's egress.
      const World world(kSlices + (global ? gnp("x", row.policy) : np("x", row.policy)) +
                        tier("first", "{order: 1, defaultAction: Pass}") +
                        gnp("open",
                            "{tier: first, types: [Ingress], ingress: [{action: "
                            "Allow}]}"));
      const std::string verdict = world.verdict("ns1/p", row.to, row.what);
      EXPECT_EQ(verdict.substr(0, 5), row.matches ? "allow" : "deny ")
          << row.policy << " " << row.to << " " << row.what << ": " << verdict;
    }
  }
}

TEST(Services, OfASourceAreAddressesWhateverTheirPorts) {
  const struct {
    std::string policy;
    const char* from;
    const char* what;
    bool matches;
  } rows[] = {
      {from("{name: api, namespace: ns1}"), "ns1/q", "tcp/80", true},
      {from("{name: api, namespace: ns1}"), "ns1/q", "icmp", true},
      {from("{name: api, namespace: ns1}"), "10.0.1.9", "udp/7", true},
      {from("{name: api, namespace: ns1}"), "203.0.113.5", "tcp/80", true},
      {from("{name: api, namespace: ns1}"), kInternet, "tcp/80", false},
      {from("{name: api, namespace: ns2}"), kInternet, "tcp/80", true},
      {from("{name: empty, namespace: ns1}"), "ns1/q", "tcp/80", false},
      {from("{name: api, namespace: ns1}", ", protocol: TCP, destination: {ports: [80]}"),
       "ns1/q", "tcp/80", true},
      {from("{name: api, namespace: ns1}", ", protocol: TCP, destination: {ports: [80]}"),
       "ns1/q", "tcp/81", false},
  };
  for (const auto& row : rows) {
    for (const bool global : {false, true}) {
      const World world(kSlices + (global ? gnp("x", row.policy) : np("x", row.policy)));
      EXPECT_EQ(world.verdict(row.from, "ns1/p", row.what),
                row.matches ? "allow default x 0" : "deny default x -1")
          << row.policy << " " << row.from << " " << row.what;
    }
  }
}

TEST(Services, OfASourceMayBeNarrowedByItsPorts) {
  const char* spec =
      "{ingress: [{action: Allow, protocol: TCP, source: {services: {name: api}, ports: "
      "[40000]}}]}";
  const char* other =
      "{ingress: [{action: Allow, protocol: TCP, source: {services: {name: api}, ports: "
      "[40001]}}]}";
  EXPECT_EQ(World(kSlices + np("x", spec)).verdict("ns1/q", "ns1/p", "tcp/80"),
            "allow default x 0");
  EXPECT_EQ(World(kSlices + np("x", other)).verdict("ns1/q", "ns1/p", "tcp/80"),
            "deny default x -1");
}

TEST(Services, WithoutANamespaceAreThePolicys) {
  const std::string open = np("o", "{selector: \"app == 'db'\", ingress: [{action: Allow}]}");
  EXPECT_EQ(
      World(kSlices + np("x", to("{name: api}")) + open).verdict("ns1/p", "ns1/q", "tcp/8080"),
      "allow default o 0");
  EXPECT_EQ(World(kSlices + np("x", from("{name: api}"), "ns2"))
                .verdict(kInternet, "ns2/r", "tcp/80"),
            "allow default x 0");
  EXPECT_EQ(World(kSlices + np("x", from("{name: api, namespace: ''}")))
                .verdict(kInternet, "ns1/p", "tcp/80"),
            "deny default x -1");
}

TEST(Services, HaveMembersOfBothFamilies) {
  const World world(kSlices + np("x", to("{name: api}")));
  EXPECT_EQ(world.judge("p", Direction::egress, flow("fd00::1", "fd00::2", 6, 8080)), "allow");
  EXPECT_EQ(world.judge("p", Direction::egress, flow("fd00::1", "fd00::2", 6, 8081)), "deny");
  EXPECT_EQ(world.judge("p", Direction::egress, flow("fd00::1", "fd00::3", 6, 8080)), "deny");
}

TEST(Services, OfOneNameShareASet) {
  const World world(kSlices + np("x", to("{name: api}")) +
                    gnp("y", to("{name: api, namespace: "
                                "ns1}")));
  EXPECT_EQ(world.built().policy.rules->port_sets.size(), 1u);
}

TEST(Services, ThatCannotBeMeantAreRefusedAndThatAreUnknownWarnedOf) {
  const auto said = [](const std::string& yaml) { return findings_of(kSlices + yaml); };
  const struct {
    std::string yaml;
    const char* says;
  } rows[] = {
      {np("x", "{ingress: [{action: Allow, destination: {services: {name: api}}}]}"),
       "error: NetworkPolicy.spec.ingress[0]: services in an ingress rule belong to its "
       "source"},
      {np("x", "{egress: [{action: Allow, source: {services: {name: api}}}]}"),
       "error: NetworkPolicy.spec.egress[0]: services in an egress rule belong to its "
       "destination"},
      {np("x",
          "{egress: [{action: Allow, protocol: TCP, destination: {services: {name: api}, "
          "ports: [80]}}]}"),
       "no ports or notPorts"},
      {np("x",
          "{egress: [{action: Allow, protocol: TCP, destination: {services: {name: api}, "
          "notPorts: [80]}}]}"),
       "no ports or notPorts"},
      {np("x", "{egress: [{action: Allow, destination: {services: {namespace: ns1}}}]}"),
       "name is missing"},
      {np("x",
          "{ingress: [{action: Allow, source: {services: {name: api}, selector: all()}}]}"),
       "services cannot be combined"},
      {np("x",
          "{ingress: [{action: Allow, source: {services: {name: api}, notSelector: all()}}]}"),
       "services cannot be combined"},
      {np("x",
          "{ingress: [{action: Allow, source: {services: {name: api}, namespaceSelector: "
          "all()}}]}"),
       "services cannot be combined"},
      {np("x",
          "{ingress: [{action: Allow, source: {services: {name: api}, serviceAccounts: "
          "{names: [a]}}}]}"),
       "services cannot be combined"},
      {np("x",
          "{ingress: [{action: Allow, source: {services: {name: api}, notNets: "
          "[10.0.0.0/8]}}]}"),
       "services cannot be combined"},
      {gnp("x", from("{name: api}")), "a global policy's has a namespace"},
      {np("x", from("{name: gone}")),
       "warning: service ns1/gone has no EndpointSlice: the rule matches nothing"},
      {slice("s", "api", "addressType: IPv4, endpoints: [{addresses: [\"fd00::1\"]}]"),
       "of another family"},
      {slice("s", "api", "endpoints: []"), "addressType is missing"},
      {slice("s", "api", "addressType: IPv4, ports: [{port: 0}]"), "1 to 65535"},
      {slice("s", "api", "addressType: IPv4, ports: [{port: 80, protocol: ICMP}]"),
       "is not one of: TCP, UDP, SCTP"},
      {slice("s", "''", "addressType: IPv4"), "warning: EndpointSlice: without the label"},
  };
  for (const auto& row : rows) {
    EXPECT_NE(said(row.yaml).find(row.says), std::string::npos) << row.yaml << said(row.yaml);
  }
  EXPECT_EQ(said(np("x", to("{name: empty}"))), "");
}

}  // namespace
}  // namespace sluice::control::testing
