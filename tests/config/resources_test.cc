// SPDX-License-Identifier: Apache-2.0
// Objects as kubectl and calicoctl print them, and what is said of those that are not read.
#include <gtest/gtest.h>

#include "tests/config/findings_of.h"

namespace sluice::config {
namespace {

using Lines = std::vector<std::string>;

Loaded fixture(const std::string& name) {
  return load_resources({std::string(SLUICE_FIXTURES) + "/" + name}, {.strict = true});
}

TEST(Dump, OfKubectlInYamlLoadsUnedited) {
  const Loaded loaded = fixture("kubectl.yaml");
  EXPECT_EQ(all_of(loaded), "");
  const Model& m = loaded.model;
  ASSERT_EQ(m.kubernetes_policies.size(), 1u);
  const KubernetesPolicy& p = m.kubernetes_policies.at(0);
  EXPECT_EQ(p.meta.namespace_name + "/" + p.meta.name, "shop/db");
  EXPECT_EQ(p.meta.where.line, 3);
  EXPECT_EQ(p.pod_selector.match_labels, (Labels{{"app", "db"}}));
  EXPECT_TRUE(p.type_ingress && p.type_egress);
  ASSERT_EQ(p.ingress.size(), 1u);
  ASSERT_EQ(p.ingress[0].peers.size(), 2u);
  EXPECT_FALSE(p.ingress[0].peers[0].namespace_selector);
  EXPECT_EQ(p.ingress[0].peers[1].namespace_selector->match_expressions[0].values,
            (Lines{"ops", "on"}));
  EXPECT_EQ(std::get<PortRange>(*p.ingress[0].ports[0].port), (PortRange{5432, 5432}));
  EXPECT_EQ(std::get<std::string>(*p.ingress[0].ports[1].port), "metrics");
  ASSERT_EQ(p.egress.size(), 2u);
  EXPECT_EQ(to_string(*p.egress[0].peers[0].ip_block), "10.0.0.0/8");
  EXPECT_EQ(to_string(p.egress[0].peers[0].except[0]), "10.9.0.0/16");
  EXPECT_EQ(std::get<PortRange>(*p.egress[1].ports[1].port).high, 32768);
  ASSERT_EQ(m.namespaces.size(), 1u);
  EXPECT_EQ(m.namespaces.at(0)->meta.labels.at("stage"), "1");
  ASSERT_EQ(m.service_accounts.size(), 1u);
  ASSERT_EQ(m.pods.size(), 1u);
  const Pod& pod = m.pods.at(0);
  EXPECT_EQ(pod.node, "node111");
  EXPECT_EQ(pod.service_account, "default");
  EXPECT_EQ(pod.phase, "Running");
  EXPECT_FALSE(pod.deleting || pod.host_network);
  ASSERT_EQ(pod.pod_ips.size(), 2u);
  EXPECT_EQ(to_string(pod.pod_ips[1]), "fd00:10:244:1::7");
  ASSERT_EQ(pod.ports.size(), 1u);
  EXPECT_EQ(pod.ports[0].name, "metrics");
  EXPECT_EQ(pod.ports[0].port, 9187);
}

TEST(Dump, OfKubectlInJsonLoadsUnedited) {
  const Loaded loaded = fixture("kubectl.json");
  EXPECT_EQ(all_of(loaded), "");
  ASSERT_EQ(loaded.model.policies.size(), 1u);
  const Policy& p = loaded.model.policies.at(0);
  EXPECT_FALSE(p.global);
  EXPECT_EQ(p.meta.name, "default.web");
  EXPECT_EQ(p.order, 10.0);
  EXPECT_EQ(p.ingress[0].source.selector.value, "app == 'lb' || name == \"caf\xc3\xa9\"");
  EXPECT_EQ(loaded.model.namespaces.size(), 1u);
}

TEST(Dump, OfCalicoctlLoadsUnedited) {
  const Loaded loaded = fixture("calicoctl.yaml");
  EXPECT_EQ(all_of(loaded), "");
  const Model& m = loaded.model;
  ASSERT_EQ(m.policies.size(), 1u);
  const Policy& p = m.policies.at(0);
  EXPECT_TRUE(p.global && p.types_given && p.type_ingress && p.type_egress);
  EXPECT_EQ(p.order, 100.5);
  ASSERT_EQ(p.ingress.size(), 3u);
  const EntityRule& to = p.ingress[0].destination;
  ASSERT_EQ(to.ports.size(), 4u);
  EXPECT_EQ(std::get<PortRange>(to.ports[1]), (PortRange{8000, 8080}));
  EXPECT_EQ(std::get<std::string>(to.ports[2]), "http");
  EXPECT_EQ(std::get<PortRange>(to.ports[3]), (PortRange{443, 443}));
  EXPECT_EQ(p.ingress[0].source.nets.size(), 2u);
  EXPECT_EQ(p.ingress[1].action, Action::log);
  EXPECT_EQ(p.ingress[1].source.selector.value, "role == 'probe' && has(site)");
  EXPECT_EQ(p.ingress[1].icmp->type, 8);
  EXPECT_FALSE(p.ingress[1].icmp->any_code);
  EXPECT_EQ(p.ingress[2].not_protocol->number, proto::kUdp);
  EXPECT_EQ(p.ingress[2].source.service_accounts->names, Lines{"builder"});
  ASSERT_EQ(m.workload_endpoints.size(), 1u);
  const WorkloadEndpoint& w = m.workload_endpoints.at(0);
  EXPECT_EQ(w.interface_name, "cali1a2b3c4d5e6");
  EXPECT_EQ(w.profiles, (Lines{"kns.shop", "ksa.shop.default"}));
  EXPECT_EQ(w.ports[0].port, 8080);
  ASSERT_EQ(m.ip_pools.size(), 1u);
  EXPECT_EQ(m.ip_pools.at(0)->ipip, EncapMode::always);
  ASSERT_EQ(m.nodes.size(), 1u);
  EXPECT_EQ(to_string(*m.nodes.at(0)->address_host), "192.168.100.111");
  EXPECT_EQ(to_string(*m.nodes.at(0)->tunnel_address), "10.244.153.192");
  ASSERT_EQ(m.profiles.size(), 1u);
  EXPECT_EQ(m.profiles.at(0)->labels_to_apply.at("pcns.projectcalico.org/name"), "shop");
  ASSERT_EQ(m.network_sets.size(), 2u);
  EXPECT_FALSE(m.network_sets.at(0)->global);
  EXPECT_EQ(m.network_sets.at(0)->meta.labels.at("role"), "probe");
  EXPECT_EQ(m.network_sets.at(0)->nets.size(), 2u);
  EXPECT_TRUE(m.network_sets.at(1)->global);
  ASSERT_EQ(m.blocks.size(), 2u);
  EXPECT_EQ(m.blocks.at(0)->node, "node112");
  EXPECT_EQ(m.blocks.at(1)->node, "node111");
  EXPECT_FALSE(m.blocks.at(0)->deleted || m.blocks.at(1)->deleted);
}

std::string object(const std::string& api, const std::string& kind, const std::string& name,
                   const std::string& rest = "spec: {}") {
  return "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n" +
         rest + "\n---\n";
}

struct Row {
  std::string text;
  Lines findings;
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.text;
}
class Said : public testing::TestWithParam<Row> {};

TEST_P(Said, AtItsPlace) {
  const Loaded loaded = load_text(GetParam().text, kTestFile);
  EXPECT_EQ(lines_of(loaded), GetParam().findings);
}

const std::string kCalico = "projectcalico.org/v3";

std::string pool(const std::string& cidr_and_more) {
  return object(kCalico, "IPPool", "a", "spec: {cidr: " + cidr_and_more + "}");
}
std::string bad_block(const char* at, const char* range, const char* written) {
  return std::string("t.yaml:") + at + ": error: IPPool.spec.blockSize: a whole number from " +
         range + " is expected, not \"" + written + "\"";
}

const Row kSaid[] = {
    {object("v1", "ConfigMap", "a", "data: {a: b}") + object("v1", "ConfigMap", "b"),
     {"t.yaml:1:1: note: ConfigMap (v1): 2 objects not read"}},
    {object("v1", "Node", "a"), {"t.yaml:1:1: note: Node (v1): 1 object not read"}},
    {object(kCalico, "HostEndpoint", "a", "spec: {node: m, interfaceName: eth0}"), {}},
    {object(kCalico, "HostEndpoint", "a", "spec: {}"),
     {"t.yaml:1:1: error: HostEndpoint: spec.node is missing",
      "t.yaml:1:1: error: HostEndpoint: a HostEndpoint needs interfaceName or expectedIPs"}},
    {object(kCalico, "HostEndpoint", "a", "spec: {node: m, expectedIPs: [10.0.0]}"),
     {"t.yaml:1:1: error: HostEndpoint: a HostEndpoint needs interfaceName or expectedIPs",
      "t.yaml:4:31: error: HostEndpoint.spec.expectedIPs[0]: \"10.0.0\" is no IP address"}},
    {object(kCalico, "HostEndpoint", "a", "spec: {node: m, interfaceName: sixteen-bytes-xx}"),
     {"t.yaml:4:32: error: HostEndpoint.spec.interfaceName: an interface name has at most 15 "
      "bytes"}},
    {object("crd.antrea.io/v1beta1", "NetworkPolicy", "a"),
     {"t.yaml:1:1: warning: NetworkPolicy (crd.antrea.io/v1beta1): 1 object not applied: not "
      "supported by this version"}},
    {object("v1", "NetworkPolicy", "a"),
     {"t.yaml:1:1: warning: NetworkPolicy (v1): 1 object not applied: not supported by this "
      "version"}},
    {object("projectcalico.org/v4", "NetworkPolicy", "a"),
     {"t.yaml:1:1: error: NetworkPolicy: apiVersion projectcalico.org/v4 of NetworkPolicy is "
      "not "
      "read | hint: apiVersion: projectcalico.org/v3"}},
    {object("networking.k8s.io/v1beta1", "NetworkPolicy", "a"),
     {"t.yaml:1:1: error: NetworkPolicy: apiVersion networking.k8s.io/v1beta1 of NetworkPolicy "
      "is "
      "not read | hint: apiVersion: networking.k8s.io/v1"}},
    {"kind: Pod\n", {"t.yaml:1:1: error: not a resource: apiVersion and kind are needed"}},
    {"apiVersion: v1\nkind: Pod\n", {"t.yaml:1:1: error: Pod: metadata.name is missing"}},
    {object("v1", "Namespace", "12"),
     {"t.yaml:1:1: error: Namespace: metadata.name is missing",
      "t.yaml:3:18: error: Namespace.metadata.name: text is expected, and 12 is none to YAML | "
      "hint: write it in quotes: \"12\""}},
    {object("v1", "Namespace", "\"a\\nb\""),
     {"t.yaml:1:1: error: Namespace: metadata: a name is longer than 253 bytes or not "
      "printable"}},
    {object("v1", "Namespace", std::string(254, 'a')),
     {"t.yaml:1:1: error: Namespace: metadata: a name is longer than 253 bytes or not "
      "printable"}},
    {object("v1", "Namespace", "a") + object("v1", "Namespace", "a"),
     {"t.yaml:1:1: error: the same object twice: Namespace a is also in t.yaml:6",
      "t.yaml:6:1: error: the same object twice: Namespace a is also in t.yaml:1"}},
    {object(kCalico, "NetworkPolicy", "a") +
         object("crd.projectcalico.org/v1", "NetworkPolicy", "a"),
     {"t.yaml:1:1: error: the same object twice: NetworkPolicy default/a is also in t.yaml:6",
      "t.yaml:6:1: error: the same object twice: NetworkPolicy default/a is also in t.yaml:1"}},
    {object(kCalico, "NetworkPolicy", "a") +
         object("networking.k8s.io/v1", "NetworkPolicy", "a"),
     {}},
    {object(kCalico, "NetworkPolicy", "a", "spec: {selectr: x == 'y'}"),
     {"t.yaml:4:8: warning: unknown field \"selectr\" in NetworkPolicy.spec | hint: did you "
      "mean "
      "\"selector\"?"}},
    {object(kCalico, "NetworkPolicy", "a", "spec: {}\nextra: 1"),
     {"t.yaml:5:1: warning: unknown field \"extra\" in NetworkPolicy"}},
    {object(kCalico, "IPPool", "a", "spec: {cidr: 10.0.0.1/8}"),
     {"t.yaml:1:1: error: IPPool: spec.cidr is missing or wrong",
      "t.yaml:4:14: error: IPPool.spec.cidr: \"10.0.0.1/8\" has host bits set | hint: write it "
      "as "
      "10.0.0.0/8"}},
    {object(kCalico, "IPPool", "a",
            "spec: {cidr: 10.0.0.0/8, ipipMode: Always, vxlanMode: "
            "CrossSubnet}"),
     {"t.yaml:1:1: error: IPPool: ipipMode and vxlanMode exclude each other"}},
    {object(kCalico, "IPPool", "a", "spec: {cidr: 10.0.0.0/8, natOutgoing: true}"),
     {"t.yaml:1:1: warning: IPPool: natOutgoing is not applied yet: packets leave with the "
      "pod's "
      "own address"}},
    {object(kCalico, "IPPool", "a", "spec: {cidr: 10.0.0.0/8, disabled: yes}"),
     {"t.yaml:4:36: error: IPPool.spec.disabled: true or false is expected"}},
    {object(kCalico, "Profile", "a",
            "spec: {labelsToApply: {pcns.kubernetes.io/metadata.name: shop, b: ''}}"),
     {}},
    {object(kCalico, "Profile", "a", "spec: {labelsToApply: {a b: c}}"),
     {"t.yaml:4:23: error: Profile.spec.labelsToApply: \"a b\" is no label's key"}},
    {object(kCalico, "Profile", "a", "spec: {labelsToApply: {a: b c}}"),
     {"t.yaml:4:23: error: Profile.spec.labelsToApply: \"b c\" is no label's value"}},
    {pool("10.0.0.0/8, blockSize: 20"), {}},
    {pool("10.0.0.0/8, blockSize: 32"), {}},
    {pool("10.0.0.0/8, blockSize: 19"), {bad_block("4:37", "20 to 32", "19")}},
    {pool("10.0.0.0/8, blockSize: 33"), {bad_block("4:37", "20 to 32", "33")}},
    {pool("\"fd00::/48\", blockSize: 116"), {}},
    {pool("\"fd00::/48\", blockSize: 128"), {}},
    {pool("\"fd00::/48\", blockSize: 26"), {bad_block("4:38", "116 to 128", "26")}},
    {pool("\"fd00::/48\", blockSize: 129"), {bad_block("4:38", "116 to 128", "129")}},
    {pool("10.0.0.0/8, allowedUses: [Workload, Tunnel, LoadBalancer]"), {}},
    {pool("10.0.0.0/8, allowedUses: []"), {}},
    {pool("10.0.0.0/8, allowedUses: [Pods]"),
     {"t.yaml:4:40: error: IPPool.spec.allowedUses[0]: \"Pods\" is not one of: Workload, "
      "Tunnel, LoadBalancer"}},
    {pool("10.0.0.0/8, ipipMode: '', vxlanMode: Always, nodeSelector: all(), "
          "namespaceSelector: has(a), disableBGPExport: true, assignmentMode: Manual"),
     {}},
    {pool("\"fd00::/48\", ipipMode: CrossSubnet"),
     {"t.yaml:1:1: error: IPPool: ipipMode is for IPv4 only"}},
    {pool("\"fd00::/48\", ipipMode: Never, vxlanMode: Always"), {}},
    {pool("169.254.1.0/24"),
     {"t.yaml:1:1: error: IPPool: spec.cidr overlaps link-local "
      "addresses"}},
    {pool("169.0.0.0/8"),
     {"t.yaml:1:1: error: IPPool: spec.cidr overlaps link-local "
      "addresses"}},
    {pool("\"fe80::/64\""),
     {"t.yaml:1:1: error: IPPool: spec.cidr overlaps link-local "
      "addresses"}},
    {pool("169.255.0.0/16"), {}},
    {object(kCalico, "WorkloadEndpoint", "a", "spec: {ipNetworks: [10.0.0.0/24]}"),
     {"t.yaml:4:20: error: WorkloadEndpoint.spec.ipNetworks: 10.0.0.0/24 is not one address | "
      "hint: write it as 10.0.0.1/32"}},
    {object(kCalico, "WorkloadEndpoint", "a", "spec: {ports: [{name: a, protocol: TCP}]}"),
     {"t.yaml:4:16: error: WorkloadEndpoint.spec.ports[0]: port is missing"}},
    {object(kCalico, "WorkloadEndpoint", "a", "spec: {mac: 5}"),
     {"t.yaml:4:13: error: WorkloadEndpoint.spec.mac: \"5\" is no unicast MAC address | hint: "
      "write it in quotes: \"02:00:00:00:00:11\""}},
    {object(kCalico, "GlobalNetworkSet", "a", "spec: {nets: [5]}"),
     {"t.yaml:4:15: error: GlobalNetworkSet.spec.nets[0]: \"5\" is no CIDR | hint: write it as "
      "10.0.0.0/8 or fd00::/8"}},
    {object(kCalico, "Node", "a", "spec: {bgp: {ipv4IPIPTunnelAddr: 5}}"),
     {"t.yaml:4:34: error: Node.spec.bgp.ipv4IPIPTunnelAddr: \"5\" is no IPv4 address"}},
    {object(kCalico, "Node", "a", "spec: {bgp: {ipv4Address: \"fd00::1/64\"}}"),
     {"t.yaml:4:27: error: Node.spec.bgp.ipv4Address: \"fd00::1/64\" is no IPv4 address"}},
    {object(kCalico, "Node", "a", "spec: {bgp: {ipv6Address: 10.0.0.1/24}}"),
     {"t.yaml:4:27: error: Node.spec.bgp.ipv6Address: \"10.0.0.1/24\" is no IPv6 address"}},
    {object(kCalico, "Node", "a", "spec: {bgp: {ipv6Address: \"fd00::1/129\"}}"),
     {"t.yaml:4:27: error: Node.spec.bgp.ipv6Address: \"fd00::1/129\" is no CIDR | hint: write "
      "it as 10.0.0.0/8 or fd00::/8"}},
    {object("v1", "Pod", "a", "status: {podIP: 5}"),
     {"t.yaml:4:17: error: Pod.status.podIP: \"5\" is no IP address"}},
    {object(
         "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", "a",
         "spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, "
         "from: [{namespaces: {}}], protocols: [{destinationNamedPort: 80}]}]}"),
     {"t.yaml:4:147: error: "
      "ClusterNetworkPolicy.spec.ingress[0].protocols[0].destinationNamedPort: text is "
      "expected, and 80 is none to YAML | hint: write it in quotes: \"80\""}},
    {object(kCalico, "BlockAffinity", "a", "spec: {cidr: 10.0.0.0/26, deleted: yes}"),
     {"t.yaml:4:36: error: BlockAffinity.spec.deleted: \"yes\" is not one of: false, true"}},
    {object("v1", "Pod", "a", "spec: {hostNetwork: yes}"),
     {"t.yaml:4:21: error: Pod.spec.hostNetwork: true or false is expected"}},
    {object("v1", "Pod", "a", "status: {podIPs: [{ip: 10.0.0}]}"),
     {"t.yaml:4:24: error: Pod.status.podIPs[0].ip: \"10.0.0\" is no IP address"}},
    {object("v1", "Service", "a") + object("v1", "Service", "b"),
     {"t.yaml:1:1: warning: Service: Service objects are not applied yet: cluster addresses "
      "are "
      "not translated"}},
    {object("v1", "Namespace", "a", "x: \"\\e[31m\""), {}},
    {"apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {b: }}\n", {}},
    {object(kCalico, "Tier", "a", "spec: {order: , defaultAction: Pass}"), {}},
    {object(kCalico, "Tier", "a", "sepc: {order: 5}"),
     {"t.yaml:1:1: error: Tier: spec is missing | hint: half-written? an empty one is written "
      "spec: {}",
      "t.yaml:4:1: warning: unknown field \"sepc\" in Tier | hint: did you mean \"spec\"?"}},
    {"apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n",
     {}},
    {"apiVersion: v1\nkind: PodList\nitems: null\n", {}},
    {"apiVersion: v1\nkind: PodList\nitmes: []\n",
     {"t.yaml:1:1: error: PodList: items is missing | hint: half-written? an empty list is "
      "written items: []",
      "t.yaml:3:1: warning: unknown field \"itmes\" in PodList | hint: did you mean "
      "\"items\"?"}},
    {"- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- {kind: b}\n",
     {"t.yaml:2:3: error: [1]: not a resource: apiVersion and kind are needed"}},
    {"apiVersion: v1\nkind: List\nitems:\n- {metadata: {name: a}}\n",
     {"t.yaml:4:3: error: List.items[0]: not a resource: apiVersion and kind are needed"}},
};
INSTANTIATE_TEST_SUITE_P(Resources, Said, testing::ValuesIn(kSaid));

TEST(Resources, SayNothingThatMovesACursor) {
  const Loaded loaded = load_text(object("v1", "\"\\e[31mPod\"", "a") +
                                      object("v1", "\"\\u009b31m caf\xc3\xa9 \xc2\xa0\"", "a") +
                                      object(kCalico, "Node", "\"\\e\""),
                                  kTestFile);
  EXPECT_EQ(all_of(loaded).find('\x1b'), std::string::npos);
  EXPECT_NE(all_of(loaded).find("\\x1b[31mPod"), std::string::npos);
  EXPECT_EQ(all_of(loaded).find('\x9b'), std::string::npos);
  EXPECT_NE(all_of(loaded).find("\\x9b31m caf\xc3\xa9 \xc2\xa0 (v1)"), std::string::npos);
}

TEST(Findings, NameTheNearestWordIfOneIsNear) {
  const std::vector<std::string_view> words = {"selector", "order", "types"};
  EXPECT_EQ(nearest("selectr", words), "selector");
  EXPECT_EQ(nearest("Types", words), "types");
  EXPECT_EQ(nearest("", words), "");
  EXPECT_EQ(nearest("ingress", words), "");
  EXPECT_EQ(nearest(std::string(32 << 20, 'o'), words), "");
}

TEST(Resources, HaveIpv6AddressesWhereTheyHaveIpv4Ones) {
  const Loaded loaded = load_text(
      object(kCalico, "Node", "n1",
             "spec: {bgp: {ipv4Address: 10.0.0.1/24, ipv6Address: \"fd00::1/64\"}}") +
          object(kCalico, "Node", "six", "spec: {bgp: {ipv6Address: \"fd00::2/64\"}}") +
          pool("\"fd00:1::/48\", blockSize: 122") +
          object(kCalico, "BlockAffinity", "b",
                 "spec: {cidr: \"fd00:1::40/122\", node: n1, state: confirmed}") +
          object(kCalico, "IPAMBlock", "c",
                 "spec: {cidr: \"fd00:1::80/122\", affinity: \"host:n1\"}") +
          object(kCalico, "WorkloadEndpoint", "w",
                 "spec: {ipNetworks: [10.1.0.2/32, \"fd00:1::42/128\"]}") +
          object("v1", "Pod", "p",
                 "status: {podIP: 10.1.0.3, podIPs: [{ip: 10.1.0.3}, {ip: \"fd00:1::43\"}]}"),
      kTestFile);
  EXPECT_EQ(all_of(loaded), "");
  const Model& m = loaded.model;
  ASSERT_EQ(m.nodes.size(), 2u);
  EXPECT_EQ(to_string(*m.nodes.at(0)->address_host), "10.0.0.1");
  EXPECT_EQ(to_string(*m.nodes.at(0)->address6), "fd00::/64");
  EXPECT_EQ(to_string(*m.nodes.at(0)->address6_host), "fd00::1");
  EXPECT_FALSE(m.nodes.at(1)->address_host || m.nodes.at(1)->address);
  EXPECT_EQ(to_string(*m.nodes.at(1)->address6_host), "fd00::2");
  ASSERT_EQ(m.ip_pools.size(), 1u);
  EXPECT_EQ(to_string(m.ip_pools.at(0)->cidr), "fd00:1::/48");
  ASSERT_EQ(m.blocks.size(), 2u);
  EXPECT_EQ(to_string(m.blocks.at(0)->cidr), "fd00:1::40/122");
  EXPECT_EQ(m.blocks.at(1)->node, "n1");
  ASSERT_EQ(m.workload_endpoints.size(), 1u);
  ASSERT_EQ(m.workload_endpoints.at(0)->ip_networks.size(), 2u);
  EXPECT_EQ(to_string(m.workload_endpoints.at(0)->ip_networks[1]), "fd00:1::42/128");
  ASSERT_EQ(m.pods.size(), 1u);
  ASSERT_EQ(m.pods.at(0)->pod_ips.size(), 2u);
  EXPECT_EQ(to_string(m.pods.at(0)->pod_ips[1]), "fd00:1::43");
}

TEST(Resources, OfATypedListHaveTheTypeOfTheList) {
  const Loaded loaded =
      load_text("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a, namespace: b}\n",
                kTestFile);
  ASSERT_EQ(loaded.model.pods.size(), 1u);
  EXPECT_EQ(loaded.model.pods.at(0)->meta.kind, "Pod");
}

TEST(Resources, StrictMakesUnknownFieldsErrors) {
  const std::string text = object(kCalico, "NetworkPolicy", "a", "spec: {selectr: x == 'y'}");
  EXPECT_TRUE(load_text(text, kTestFile).ok());
  EXPECT_FALSE(load_text(text, kTestFile, {.strict = true}).ok());
}

}  // namespace
}  // namespace sluice::config
