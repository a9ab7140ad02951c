// SPDX-License-Identifier: Apache-2.0
// Names of policies, of today and of older exports, and of the API groups: semantics 1.3.  HTTP
// matches as far as they are checked: 3.7.
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

std::string calico(const char* kind, std::string_view name, std::string_view spec = "{}") {
  const bool global = std::string_view(kind).find("Global") != std::string_view::npos;
  return document("projectcalico.org/v3", kind, name, global ? "" : "ns1", spec);
}

TEST(PolicyNames, HaveOneDotAtMost) {
  const struct {
    const char* kind;
    const char* name;
    bool taken;
  } rows[] = {
      {"NetworkPolicy", "a", true},
      {"NetworkPolicy", "default.a", true},
      {"NetworkPolicy", "a.b.c", false},
      {"NetworkPolicy", "default.a.b", false},
      {"NetworkPolicy", "ossg.default.a", true},
      {"NetworkPolicy", "knp.default.a.b", true},  // a Kubernetes name may have dots
      {"GlobalNetworkPolicy", "a.b", true},
      {"GlobalNetworkPolicy", "a.b.c", false},
      {"GlobalNetworkPolicy", "ossg.default.a", false},
      {"GlobalNetworkPolicy", "knp.default.a", false},
      {"GlobalNetworkPolicy", "kcnp.a.b", true},
      {"StagedNetworkPolicy", "a.b.c", false},
      {"StagedNetworkPolicy", "staged:a.b", true},
      {"StagedGlobalNetworkPolicy", "a.b.c", false},
  };
  for (const auto& row : rows) {
    const std::string said = findings_of(calico(row.kind, row.name));
    EXPECT_EQ(said.empty(), row.taken) << row.kind << " " << row.name << " " << said;
    EXPECT_EQ(said.find("has more than one dot") == std::string::npos, row.taken) << said;
  }
  EXPECT_EQ(findings_of(knp("a.b.c", "{podSelector: {}}")), "");
}

TEST(PolicyNames, OfOlderExportsAreThoseOfToday) {
  const struct {
    const char* kind;
    const char* name;
    const char* today;
  } rows[] = {
      {"NetworkPolicy", "knp.default.x", "KubernetesNetworkPolicy/ns1/x"},
      {"NetworkPolicy", "default.x", "NetworkPolicy/ns1/default.x"},
      {"NetworkPolicy", "kcnp.x", "NetworkPolicy/ns1/kcnp.x"},
      {"NetworkPolicy", "knp.default.", ""},
      {"GlobalNetworkPolicy", "kcnp.x", "KubernetesClusterNetworkPolicy//x"},
      {"StagedNetworkPolicy", "staged:x", "StagedNetworkPolicy/ns1/x"},
      {"StagedNetworkPolicy", "x", "StagedNetworkPolicy/ns1/x"},
      {"StagedNetworkPolicy", "staged:knp.default.x", "StagedKubernetesNetworkPolicy/ns1/x"},
      {"StagedGlobalNetworkPolicy", "staged:x", "StagedGlobalNetworkPolicy//x"},
  };
  for (const auto& row : rows) {
    const config::Loaded loaded = config::load_text(calico(row.kind, row.name), "f");
    if (*row.today == 0) {
      EXPECT_FALSE(loaded.ok()) << row.name;
      continue;
    }
    ASSERT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
    const config::Meta& meta = loaded.model.policies.at(0)->meta;
    EXPECT_EQ(meta.kind + "/" + meta.namespace_name + "/" + meta.name, row.today);
  }
}

TEST(PolicyNames, AnExportBesideItsObjectIsNotASecondPolicy) {
  const std::string exported =
      np("knp.default.x",
         "{order: 1000, selector: \"projectcalico.org/orchestrator == 'k8s'\", types: "
         "[Ingress], ingress: [{action: Allow, protocol: UDP}]}");
  const std::string object = knp("x", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}");
  for (const std::string& both : {exported + object, object + exported}) {
    const World world(both);
    EXPECT_EQ(world.order("p"), "KubernetesNetworkPolicy/ns1/x");
    EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/80"), "allow default x 0");
    EXPECT_EQ(world.verdict(kInternet, "ns1/p", "udp/80"), "deny default x -1");
    EXPECT_NE(world.findings().find("note: an export of the policy in f:"), std::string::npos);
  }
  const World alone(exported);
  EXPECT_EQ(alone.order("p"), "KubernetesNetworkPolicy/ns1/x");
  EXPECT_EQ(alone.verdict(kInternet, "ns1/p", "udp/80"), "allow default x 0");
  // Another namespace's, another kind's and another name's are others.
  EXPECT_EQ(World(exported + knp("x", "{podSelector: {}}", "ns2")).order("p"),
            "KubernetesNetworkPolicy/ns1/x");
  EXPECT_EQ(World(exported + np("x", "{order: 1000}")).order("p"),
            "KubernetesNetworkPolicy/ns1/x NetworkPolicy/ns1/x");
  EXPECT_EQ(World(exported + knp("y", "{podSelector: {}}")).order("p"),
            "KubernetesNetworkPolicy/ns1/x KubernetesNetworkPolicy/ns1/y");
}

TEST(PolicyNames, AnExportOfAClusterPolicyIsNotASecondOne) {
  const World world(
      gnp("kcnp.x", "{tier: kube-admin, order: 5, ingress: [{action: Deny}]}") +
      document("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "x", "",
               "{tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: "
               "Accept, from: [{namespaces: {}}]}]}"));
  EXPECT_EQ(world.order("p"), "KubernetesClusterNetworkPolicy//x");
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "tcp/80"), "allow kube-admin x 0");
}

TEST(ApiGroups, BothOfCalicosAreRead) {
  const struct {
    const char* kind;
    const char* spec;
  } rows[] = {
      {"BlockAffinity", "{cidr: 10.0.0.0/26, node: n1}"},
      {"FelixConfiguration", "{defaultEndpointToHostAction: Accept}"},
      {"GlobalNetworkPolicy", "{}"},
      {"GlobalNetworkSet", "{nets: []}"},
      {"HostEndpoint", "{node: n1, interfaceName: eth0}"},
      {"IPAMBlock", "{cidr: 10.0.0.0/26}"},
      {"IPPool", "{cidr: 10.0.0.0/16}"},
      {"NetworkPolicy", "{}"},
      {"NetworkSet", "{nets: []}"},
      {"Node", "{}"},
      {"Profile", "{}"},
      {"StagedGlobalNetworkPolicy", "{}"},
      {"StagedKubernetesNetworkPolicy", "{podSelector: {}}"},
      {"StagedNetworkPolicy", "{}"},
      {"Tier", "{order: 1}"},
      {"WorkloadEndpoint",
       "{node: n1, interfaceName: cali1, ipNetworks: [10.0.0.9/32], profiles: []}"},
  };
  for (const auto& row : rows) {
    const char* name = row.kind == std::string_view("FelixConfiguration") ? "default" : "x";
    for (const char* api : {"projectcalico.org/v3", "crd.projectcalico.org/v1"}) {
      EXPECT_EQ(findings_of(document(api, row.kind, name, "", row.spec)), "") << row.kind;
    }
    // One object, whichever way it is written.
    EXPECT_NE(findings_of(document("projectcalico.org/v3", row.kind, name, "", row.spec) +
                          document("crd.projectcalico.org/v1", row.kind, name, "", row.spec))
                  .find("the same object twice"),
              std::string::npos)
        << row.kind;
  }
}

TEST(HttpMatch, IsCheckedAsCalicoChecksIt) {
  const auto said = [](const std::string& rule, bool ingress = true) {
    return findings_of(np("x", std::string(ingress ? "{ingress" : "{egress") +
                                   ": [{action: Allow, " + rule + "}]}"));
  };
  std::string many;
  for (int i = 0; i < 21; ++i) {
    many += (i == 0 ? "M" : ", M") + std::to_string(i);
  }
  const struct {
    std::string rule;
    const char* says;
  } rows[] = {
      {"http: {methods: [GET, GET]}", "a method is given twice"},
      {"http: {methods: [" + many + "]}", "more than 20 entries"},
      {"http: {paths: [{}]}", "exactly one of exact and prefix"},
      {"http: {paths: [{exact: /a, prefix: /b}]}", "exactly one of exact and prefix"},
      {"http: {paths: [{exact: a}]}", "is no path"},
      {"http: {paths: [{prefix: \"/a?b\"}]}", "is no path"},
      {"http: {paths: [{prefix: \"/a#b\"}]}", "is no path"},
      {"http: {paths: [{prefix: \"/a b\"}]}", "is no path"},
      {"protocol: UDP, http: {methods: [GET]}", "http needs protocol TCP"},
  };
  for (const auto& row : rows) {
    EXPECT_NE(said(row.rule).find(row.says), std::string::npos) << row.rule << said(row.rule);
  }
  EXPECT_NE(said("http: {methods: [GET]}", false).find("http is for ingress rules only"),
            std::string::npos);
  // Good ones are still not enforced: one error, that one.
  const std::string good =
      said("protocol: TCP, http: {methods: [GET, \"*\"], paths: [{exact: /}, {prefix: /a}]}");
  EXPECT_NE(good.find("http matches are not enforced yet"), std::string::npos);
  EXPECT_EQ(good.find("error", good.find("error") + 1), std::string::npos) << good;
}

}  // namespace
}  // namespace sluice::control::testing
