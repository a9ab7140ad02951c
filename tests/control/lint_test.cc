// SPDX-License-Identifier: Apache-2.0
#include "control/lint.h"

#include <gtest/gtest.h>

#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

// What lint says of the cluster with `more`, without places.
std::vector<std::string> said(const std::string& more, const std::string& cluster = kCluster,
                              const std::string& settings = "") {
  config::Loaded loaded = config::load_text(cluster + more, "f");
  EXPECT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
  if (!settings.empty()) {
    loaded.model.settings = config::load_settings_text(settings, "s").model.settings;
  }
  config::Findings findings;
  lint(loaded.model, findings);
  std::vector<std::string> out;
  for (const config::Finding& one : findings.all()) {
    EXPECT_NE(one.where.line, 0) << one.message;
    EXPECT_NE(one.where.column, 0) << one.message;
    EXPECT_FALSE(one.hint.empty()) << one.message;
    out.push_back(one.message + " | " + one.hint);
  }
  return out;
}

std::string ingress(const std::string& rules) {
  return np("x", "{ingress: [" + rules + "]}");
}

const std::string kHost =
    "\n---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h, labels: "
    "{host: a}}, spec: {node: n1, interfaceName: eth0}}\n";

TEST(Lint, WarnsOfWhatSurprises) {
  const struct {
    const char* why;
    std::string resources;
    const char* message;  // part of the only finding
  } rows[] = {
      {"only logs", ingress("{action: Log}"), "NetworkPolicy \"ns1/x\" only logs"},
      {"no such label", np("x", "{selector: \"ap == 'web'\"}"),
       "selects no endpoint that these files know | no endpoint or network set has the label "
       "\"ap\"; did you mean \"app\"?"},
      {"no such value", np("x", "{selector: \"app == 'wep'\"}"),
       "nothing has app == \"wep\"; did you mean \"web\"?"},
      {"no such host",
       gnp("x",
           "{selector: has(hots), preDNAT: true, applyOnForward: true, "
           "types: [Ingress]}") +
           kHost,
       "label \"hots\"; did you mean \"host\"?"},
      {"an untracked policy needs a host",
       gnp("x", "{selector: has(app), doNotTrack: true, applyOnForward: true}") + kHost,
       "selects no endpoint"},
      {"a network set is no endpoint",
       np("x", "{selector: has(bad)}") + network_set("s", "ns1", "bad: yes1", "192.0.2.0/24"),
       "selects no endpoint"},
      {"rule selector", ingress("{action: Allow, source: {selector: \"app == 'none'\"}}"),
       "source matches nothing that these files know"},
      {"other namespace",
       np("x",
          "{types: [Egress], egress: [{action: Allow, destination: {selector: \"app == "
          "'db'\"}}]}",
          "ns2"),
       "without a namespaceSelector it looks in namespace \"ns2\" only"},
      {"notSelector", ingress("{action: Allow, source: {notSelector: \"app == 'none'\"}}"),
       "source: notSelector excludes nothing"},
      {"named port", ingress("{action: Allow, protocol: TCP, destination: {ports: [nope]}}"),
       "has a port \"nope\""},
      {"protocol", ingress("{action: Allow, protocol: TCP, notProtocol: TCP}"),
       "can never match: notProtocol excludes"},
      {"nets", ingress("{action: Allow, source: {nets: [10.0.0.0/9], notNets: [10.0.0.0/8]}}"),
       "can never match: source: notNets excludes all of nets"},
      {"ports",
       ingress("{action: Allow, protocol: TCP, destination: {ports: [80], notPorts: "
               "[\"1:90\"]}}"),
       "destination: notPorts excludes all of ports"},
      {"family", ingress("{action: Allow, protocol: ICMP, source: {nets: [\"fd00::/8\"]}}"),
       "can never match: its addresses"},
      {"icmp",
       ingress("{action: Allow, protocol: ICMP, icmp: {type: 8, code: 0}, notICMP: {type: 8}}"),
       "can never match: notICMP"},
      {"nets and selector",
       ingress("{action: Allow, source: {selector: all(), nets: [192.0.2.0/24]}}"),
       "nothing that the selector matches is in nets"},
      {"selector and notSelector",
       ingress("{action: Allow, source: {selector: \"app == 'web'\", notSelector: has(app)}}"),
       "notSelector excludes all that the selector matches"},
      {"behind an unconditional one", ingress("{action: Deny}, {action: Allow, protocol: TCP}"),
       "can never match: the one in line"},
      {"behind a wider one",
       ingress("{action: Pass, protocol: TCP, source: {nets: [10.0.0.0/8]}}, {action: Deny, "
               "protocol: TCP, source: {nets: [10.1.0.0/16]}, destination: {ports: [80]}}"),
       "can never match: the one in line"},
      {"types", np("x", "{types: [Ingress], egress: [{action: Allow}]}"),
       "egress rules are ignored"},
      {"Kubernetes' peers, once",
       knp("x",
           "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {a: b}}}], ports: "
           "[{port: 1}, {port: 2, protocol: UDP}]}]}"),
       "source matches nothing"},
      {"ClusterNetworkPolicy",
       document("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "c", "",
                "{tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {taem: red}}}, "
                "ingress: [{action: Deny, from: [{namespaces: {}}]}]}"),
       "\"c\" selects no endpoint that these files know | no endpoint or network set has the "
       "label \"pcns.taem\"; did you mean \"pcns.team\"?"},
      {"AdminNetworkPolicy",
       document("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "c", "",
                "{priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: "
                "[{namespaces: {}}]}, {action: Pass, from: [{namespaces: {}}]}]}"),
       "can never match: the one in line"},
      {"a service without addresses",
       ingress("{action: Allow, source: {services: {name: api, namespace: ns1}}}") +
           "\n---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, "
           "metadata: {name: api-1, namespace: ns1, labels: {kubernetes.io/service-name: "
           "api}}, "
           "endpoints: null, ports: null}\n",
       "source matches nothing that these files know: the rule never matches | the service's "
       "EndpointSlices list no address"},
      {"profiles have rules, too",
       document("projectcalico.org/v3", "Profile", "p", "",
                "{ingress: [{action: Allow}, {action: Deny}]}"),
       "can never match: the one in line"},
  };
  for (const auto& row : rows) {
    const std::vector<std::string> all = said(row.resources);
    ASSERT_EQ(all.size(), 1u) << row.why << "\n" << ::testing::PrintToString(all);
    EXPECT_NE(all[0].find(row.message), std::string::npos) << row.why << "\n" << all[0];
  }
}

TEST(Lint, IsSilentAboutWhatIsFine) {
  const std::string rows[] = {
      "",
      ingress("{action: Log}, {action: Allow}"),
      ingress("{action: Log}, {action: Allow, protocol: TCP}, {action: Deny}"),
      np("x", "{types: [Ingress, Egress]}"),
      np("x", "{selector: \"app == 'web'\"}"),
      ingress("{action: Allow, source: {nets: [10.0.0.0/8], notNets: [10.1.0.0/16]}}"),
      ingress("{action: Allow, protocol: TCP}, {action: Allow, protocol: UDP}, {action: Deny}"),
      ingress("{action: Deny, notProtocol: TCP}, {action: Allow, protocol: TCP}"),
      ingress("{action: Deny, source: {notNets: [10.0.0.0/8]}}, {action: Allow, source: {nets: "
              "[10.0.0.0/8]}}"),
      ingress("{action: Allow, source: {selector: \"app == 'web'\"}}, {action: Deny, source: "
              "{selector: \"app == 'db'\"}}"),
      gnp("host", "{selector: has(host), applyOnForward: true, ingress: [{action: Allow}]}"),
      gnp("host", "{selector: has(host), ingress: [{action: Allow}]}") + kHost,
      gnp("host", "{selector: has(host), doNotTrack: true, applyOnForward: true}") + kHost,
  };
  for (const std::string& row : rows) {
    const std::vector<std::string> all = said(row);
    EXPECT_TRUE(all.empty()) << row << "\n" << ::testing::PrintToString(all);
  }
}

TEST(Lint, DoesNotCallASelectorWrongWhereNoEndpointIsKnown) {
  EXPECT_TRUE(said(np("x",
                      "{selector: \"app == 'nobody'\", ingress: [{action: Allow, source: "
                      "{selector: has(x)}}]}"),
                   "")
                  .empty());
}

TEST(Lint, SaysWhatBecomesOfTransit) {
  const std::string base =
      "node: n1\nresources: []\nuplink: {interface: e, addresses: [10.9.0.1/24]}\n";
  EXPECT_NE(said("", kCluster, base).at(0).find("dropped as rt_transit"), std::string::npos);
  EXPECT_NE(
      said("", kCluster, base + "path: {transit: allow}\n").at(0).find("no policy judges"),
      std::string::npos);
  EXPECT_TRUE(said("", kCluster, base + "path: {transit: deny}\n").empty());
}

}  // namespace
}  // namespace sluice::control::testing
