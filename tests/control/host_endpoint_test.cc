// SPDX-License-Identifier: Apache-2.0
// What host endpoints' policies say of packets, from YAML to explain (semantics 2.2, 2.4, 2.5
// and 5).
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

constexpr const char* kNode = "192.168.0.1";
constexpr const char* kPeer = "192.168.0.2";
constexpr const char* kOpen = "profiles: [projectcalico-default-allow]";

std::string hep(std::string_view name, std::string_view interface, std::string_view more = "",
                std::string_view node = "n1") {
  return "\n---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: " +
         std::string(name) + ", labels: {host: a}}, spec: {node: " + std::string(node) +
         ", interfaceName: \"" + std::string(interface) + "\"" + (more.empty() ? "" : ", ") +
         std::string(more) + "}}\n";
}

std::string host_policy(std::string_view name, std::string_view more) {
  return gnp(name, "{selector: has(host), " + std::string(more) + "}");
}

struct Row {
  const char* name;
  std::string resources;
  const char* from;
  const char* to;
  const char* what;
  const char* verdict;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

class HostEndpoint : public ::testing::TestWithParam<Row> {};

TEST_P(HostEndpoint, Judges) {
  const Row& row = GetParam();
  const World world(row.resources);
  EXPECT_EQ(world.verdict(row.from, row.to, row.what), row.verdict)
      << world.explain(row.from, row.to, row.what).dump();
}

const std::string kBare = hep("u", "eth0");
const std::string kUplink = hep("u", "eth0", kOpen);
const std::string kEvery = hep("e", "*", kOpen);
const std::string kAof = "applyOnForward: true, ";
const std::string kDnat = "preDNAT: true, applyOnForward: true, types: [Ingress], ";
const std::string kRaw = "doNotTrack: true, applyOnForward: true, ";

const Row kRows[] = {
    {"without one the node is open", "", kInternet, kNode, "tcp/80", "allow"},
    {"nothing but failsafes in", kBare, kInternet, kNode, "tcp/80", "deny __PROFILE__ - -1"},
    {"the node by its word", kBare, kInternet, "host", "tcp/80", "deny __PROFILE__ - -1"},
    {"nothing but failsafes out", kBare, "host", kInternet, "tcp/80", "deny __PROFILE__ - -1"},
    {"ssh is a failsafe", kBare, kInternet, kNode, "tcp/22", "allow __FAILSAFE__ ports 0"},
    {"dns is a failsafe", kBare, "host", kInternet, "udp/53", "allow __FAILSAFE__ ports 0"},
    {"ssh out is none", kBare, "host", kInternet, "tcp/22", "deny __PROFILE__ - -1"},
    {"a source port is none", kBare, kInternet, kNode, "udp/53", "deny __PROFILE__ - -1"},
    {"a profile opens", kUplink, kInternet, kNode, "tcp/80",
     "allow __PROFILE__ projectcalico-default-allow 0"},
    {"policy closes", kUplink + host_policy("x", "types: [Ingress]"), kInternet, kNode,
     "tcp/80", "deny default x -1"},
    {"policy opens", kBare + host_policy("x", "ingress: [{action: Allow}]"), kInternet, kNode,
     "tcp/80", "allow default x 0"},
    {"failsafes hold under deny", kUplink + host_policy("x", "types: [Ingress, Egress]"),
     kInternet, kNode, "tcp/22", "allow __FAILSAFE__ ports 0"},
    {"plain policy lets forwarded be", kBare + host_policy("x", "types: [Ingress]"), kInternet,
     "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"forward policy denies", kBare + host_policy("x", kAof + "types: [Ingress]"), kInternet,
     "ns1/p", "tcp/80", "deny default x -1"},
    {"forward policy denies failsafes", kBare + host_policy("x", kAof + "types: [Ingress]"),
     kInternet, "ns1/p", "tcp/22", "deny default x -1"},
    {"forward one way only", kBare + host_policy("x", kAof + "types: [Ingress]"), "ns1/p",
     kInternet, "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"forward egress denies", kBare + host_policy("x", kAof + "types: [Egress]"), "ns1/p",
     kInternet, "tcp/80", "deny default x -1"},
    {"forward policy is the node's too", kUplink + host_policy("x", kAof + "types: [Ingress]"),
     kInternet, kNode, "tcp/80", "deny default x -1"},
    {"preDNAT denies all", kUplink + host_policy("x", kDnat + "ingress: [{action: Deny}]"),
     kInternet, "ns1/p", "tcp/80", "deny default x 0"},
    {"preDNAT has no tier default", kUplink + host_policy("x", kDnat + "ingress: []"),
     kInternet, kNode, "tcp/80", "allow __PROFILE__ projectcalico-default-allow 0"},
    {"preDNAT allow skips normal",
     kBare + host_policy("x", kDnat + "ingress: [{action: Allow}]"), kInternet, kNode, "tcp/80",
     "allow default x 0"},
    {"preDNAT allow leaves workload policy",
     kBare + host_policy("x", kDnat + "ingress: [{action: Allow}]") +
         np("d", "{types: [Ingress]}"),
     kInternet, "ns1/p", "tcp/80", "deny default d -1"},
    {"preDNAT cuts the mesh", kUplink + host_policy("x", kDnat + "ingress: [{action: Deny}]"),
     "10.0.1.9", "ns1/p", "tcp/80", "deny default x 0"},
    {"preDNAT may allow IPIP",
     kUplink +
         host_policy("x", kDnat + "ingress: [{action: Allow, protocol: 4}, {action: Deny}]"),
     "10.0.1.9", "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"normal policy leaves the mesh", kBare + host_policy("x", "types: [Ingress, Egress]"),
     "10.0.1.9", "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"the uplink does not see the inner", kBare + host_policy("x", kAof + "types: [Ingress]"),
     "10.0.1.9", "ns1/p", "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"every interface sees the inner", kEvery + host_policy("x", kAof + "types: [Ingress]"),
     "10.0.1.9", "ns1/p", "tcp/80", "deny default x -1"},
    {"untracked denies", kUplink + host_policy("x", kRaw + "ingress: [{action: Deny}]"),
     kInternet, kNode, "tcp/80", "deny default x 0"},
    {"untracked has failsafes", kUplink + host_policy("x", kRaw + "ingress: [{action: Deny}]"),
     kInternet, kNode, "tcp/22", "allow __FAILSAFE__ ports 0"},
    {"untracked allow skips normal",
     kBare + host_policy("x", kRaw + "ingress: [{action: Allow}]"), kInternet, kNode, "tcp/80",
     "allow default x 0"},
    {"untracked sees the outer",
     kUplink + host_policy("x", kRaw + "ingress: [{action: Deny, protocol: 4}]"), "10.0.1.9",
     "ns1/p", "tcp/80", "deny default x 0"},
    {"untracked egress denies", kUplink + host_policy("x", kRaw + "egress: [{action: Deny}]"),
     "host", kInternet, "tcp/80", "deny default x 0"},
    {"untracked egress is not for forwarded",
     kUplink + host_policy("x", kRaw + "egress: [{action: Deny}]"), "ns1/p", kInternet,
     "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"every interface: from a pod", kEvery + host_policy("x", kAof + "types: [Ingress]"),
     "ns1/p", "ns1/q", "tcp/80", "deny default x -1"},
    {"every interface: to a pod", kEvery + host_policy("x", kAof + "types: [Egress]"), "ns1/p",
     "ns1/q", "tcp/80", "deny default x -1"},
    {"every interface: the uplink", kEvery + host_policy("x", "types: [Ingress]"), kInternet,
     kNode, "tcp/80", "deny default x -1"},
    {"a named one replaces it",
     kEvery + hep("u", "eth0", kOpen) +
         gnp("x", "{selector: \"projectcalico.org/none == 'a'\", types: [Ingress]}"),
     kInternet, kNode, "tcp/80", "allow __PROFILE__ projectcalico-default-allow 0"},
    {"pod to its node",
     kEvery + host_policy("x", kDnat + "ingress: [{action: Deny}]") +
         host_policy("y", "types: [Ingress]"),
     "ns1/p", kNode, "tcp/80", "allow __PROFILE__ kns.ns1 0"},
    {"the node to its pod", kEvery + host_policy("x", kAof + "types: [Ingress, Egress]"),
     "host", "ns1/p", "tcp/80", "allow"},
    {"another interface's", hep("z", "eth9") + host_policy("x", "types: [Ingress]"), kInternet,
     kNode, "tcp/80", "allow"},
    {"another node's", hep("z", "eth0", kOpen, "n2") + host_policy("x", "types: [Ingress]"),
     kInternet, kNode, "tcp/80", "allow"},
    {"by expected address", hep("z", "", "expectedIPs: [192.168.0.1]"), kInternet, kNode,
     "tcp/80", "deny __PROFILE__ - -1"},
    {"the smaller name wins", hep("b", "eth0", kOpen) + hep("a", "eth0"), kInternet, kNode,
     "tcp/80", "deny __PROFILE__ - -1"},
    {"selectors find its expected address",
     hep("far", "eth0", "expectedIPs: [192.168.0.2]", "n2") + np("x", "{}") +
         gnp("y",
             "{selector: has(app), ingress: [{action: Allow, source: "
             "{selector: has(host)}}]}"),
     kPeer, "ns1/p", "tcp/80", "allow default y 0"},
    {"labels come from profiles",
     hep("u", "eth0", "profiles: [lab]") +
         document("projectcalico.org/v3", "Profile", "lab", "", "{labelsToApply: {zone: a}}") +
         gnp("x", "{selector: zone == 'a', ingress: [{action: Allow}]}"),
     kInternet, kNode, "tcp/80", "allow default x 0"},
};
INSTANTIATE_TEST_SUITE_P(Rows, HostEndpoint, ::testing::ValuesIn(kRows));

TEST(HostEndpointFindings, SayWhatIsNotApplied) {
  const std::string settings = kSettings;
  EXPECT_NE(findings_of(hep("z", "eth9"), settings).find("\"z\" is not applied"),
            std::string::npos);
  const std::string raw = host_policy("x", kRaw + "ingress: [{action: Deny}]");
  EXPECT_NE(findings_of(kEvery + raw, settings).find("doNotTrack is not applied"),
            std::string::npos);
  EXPECT_EQ(findings_of(kUplink + raw, settings).find("doNotTrack"), std::string::npos);
  EXPECT_EQ(findings_of(kUplink, settings), "");
  std::string six = settings;
  six.replace(six.find("192.168.0.1/24"), 14, "192.168.0.1/24, \"fd00:7::1/64\"");
  EXPECT_NE(findings_of(kUplink, six).find("without uplink.gateway6"), std::string::npos);
  EXPECT_EQ(findings_of(kUplink, six + "path: {ip6: off}\n"), "");
}

TEST(HostEndpointTrail, NamesTheStage) {
  const World world(kUplink + host_policy("x", kAof + "ingress: [{action: Pass}]"));
  const nlohmann::json out = world.explain(kInternet, "ns1/p", "tcp/80");
  ASSERT_EQ(out["trail"].size(), 2U);
  EXPECT_EQ(out["trail"][0]["stage"], "forward");
  EXPECT_EQ(out["trail"][0]["action"], "pass");
  EXPECT_FALSE(out["trail"][1].contains("stage"));
}

// The traps of semantics 10 that are of host endpoints, each by its number.

std::string asked(const std::string& resources, const char* from, const char* to,
                  const char* what = "tcp/80") {
  return World(resources).verdict(from, to, what);
}

TEST(Trap, T14AHostEndpointsAddressesAreTheExpectedOnesOnly) {
  const std::string policy =
      np("x", "{}") + gnp("y",
                          "{selector: has(app), ingress: [{action: Allow, source: {selector: "
                          "has(host)}}]}");
  const std::string bare = hep("far", "eth0", "", "n2");
  const std::string expected = hep("far", "eth0", "expectedIPs: [192.168.0.2]", "n2");
  EXPECT_EQ(asked(bare + policy, kPeer, "ns1/p"), "deny default x -1");
  EXPECT_EQ(asked(expected + policy, kPeer, "ns1/p"), "allow default y 0");
}

TEST(Trap, T20TheUplinksHostEndpointDoesNotSeeWhatComesOutOfATunnel) {
  const std::string policy = host_policy("x", kAof + "types: [Ingress]");
  EXPECT_EQ(asked(kUplink + policy, kInternet, "ns1/p"), "deny default x -1");
  EXPECT_EQ(asked(kUplink + policy, "10.0.1.9", "ns1/p"), "allow __PROFILE__ kns.ns1 0");
}

TEST(Trap, T21ForwardPolicyOfEveryInterfaceHitsPodsNormalPolicyNever) {
  const std::string forward = host_policy("x", kAof + "types: [Ingress]");
  const std::string normal = host_policy("x", "types: [Ingress]");
  EXPECT_EQ(asked(kEvery + forward, "ns1/p", "ns1/q"), "deny default x -1");
  EXPECT_EQ(asked(kEvery + normal, "ns1/p", "ns1/q"), "allow __PROFILE__ kns.ns1 0");
  EXPECT_EQ(asked(kEvery + normal, kInternet, kNode), "deny default x -1");
  // A named one replaces it fully: what selects the general one alone says nothing there.
  std::string general = kEvery;
  general.replace(general.find("host: a"), 7, "every: a");
  const std::string of_general = gnp("x", "{selector: has(every), types: [Ingress]}");
  EXPECT_EQ(asked(general + of_general, kInternet, kNode), "deny default x -1");
  EXPECT_EQ(asked(general + kUplink + of_general, kInternet, kNode),
            "allow __PROFILE__ projectcalico-default-allow 0");
}

TEST(Trap, T22ForwardedTrafficWithPolicyOfOneDirectionIsFreeInTheOther) {
  const std::string policy = host_policy("x", kAof + "types: [Egress]");
  EXPECT_EQ(asked(kUplink + policy, kInternet, "ns1/p"), "allow __PROFILE__ kns.ns1 0");
  EXPECT_EQ(asked(kUplink + policy, "ns1/p", kInternet), "deny default x -1");
  const std::string into = host_policy("x", kAof + "types: [Ingress]");
  EXPECT_EQ(asked(kBare + into, kInternet, "ns1/p", "tcp/22"), "deny default x -1")
      << "failsafes do not protect what is forwarded";
  EXPECT_EQ(asked(kBare + into, kInternet, kNode, "tcp/22"), "allow __FAILSAFE__ ports 0");
}

TEST(Trap, T25FromAHostEndpointIsItsIngress) {
  const std::string in = host_policy("x", "types: [Ingress]");
  EXPECT_EQ(asked(kUplink + in, kInternet, kNode), "deny default x -1");
  EXPECT_EQ(asked(kUplink + in, "host", kInternet),
            "allow __PROFILE__ projectcalico-default-allow 0");
}

}  // namespace
}  // namespace sluice::control::testing
