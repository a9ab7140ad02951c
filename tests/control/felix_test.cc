// SPDX-License-Identifier: Apache-2.0
// FelixConfiguration: semantics 1.9, and 5.5, 5.6, 6.7 and 6.8 as far as it decides them.
#include "control/felix.h"

#include "fastpath/decide.h"
#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

using config::EndpointToHost;

// What holds for node n1.
Felix of(const std::string& yaml) {
  config::Loaded loaded = config::load_text(yaml.empty() ? kCluster : yaml, "f");
  EXPECT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
  loaded.model.settings.node = "n1";
  return felix_of(loaded.model);
}

std::string text_of(const std::vector<config::FailsafePort>& ports) {
  std::string out;
  for (const config::FailsafePort& port : ports) {
    out += (out.empty() ? "" : " ") + std::to_string(port.protocol) +
           (port.net ? ":" + to_string(*port.net) : "") + ":" + std::to_string(port.port);
  }
  return out;
}

// ---- which object says what ----------------------------------------------------------------

TEST(Felix, DefaultsAreFelixs) {
  const Felix f = of("");
  EXPECT_FALSE(f.any_source || f.allow_ipip || f.allow_vxlan);
  EXPECT_EQ(f.endpoint_to_host, EndpointToHost::accept);
  EXPECT_TRUE(f.external_nodes.empty());
  EXPECT_EQ(f.interface_prefixes, std::vector<std::string>{"cali"});
  EXPECT_EQ(text_of(f.failsafe_inbound),
            "6:22 17:68 6:179 6:2379 6:2380 6:5473 6:6443 6:6666 6:6667");
  EXPECT_EQ(text_of(f.failsafe_outbound),
            "17:53 17:67 6:179 6:2379 6:2380 6:5473 6:6443 6:6666 6:6667");
}

TEST(Felix, TheNodesObjectWinsFieldByField) {
  const std::string all =
      felix("{workloadSourceSpoofing: Any, defaultEndpointToHostAction: ACCEPT}");
  const std::string ours = felix("{workloadSourceSpoofing: Disabled}", "node.n1");
  const std::string theirs =
      felix("{workloadSourceSpoofing: Disabled, defaultEndpointToHostAction: Drop}", "node.n2");
  EXPECT_TRUE(of(all).any_source);
  EXPECT_TRUE(of(all + theirs).any_source);
  for (const std::string& both : {all + ours, ours + all}) {
    EXPECT_FALSE(of(both).any_source);
    EXPECT_EQ(of(both).endpoint_to_host, EndpointToHost::accept);
  }
  EXPECT_NE(findings_of(felix("{}", "n1")).find("\"n1\" has no effect"), std::string::npos);
  EXPECT_EQ(of(felix("{defaultEndpointToHostAction: Drop}", "n1")).endpoint_to_host,
            EndpointToHost::accept);
}

TEST(Felix, FailsafesAreAList) {
  const struct {
    const char* written;
    const char* ports;
  } rows[] = {
      {"[]", ""},
      {"[{protocol: tcp, port: 22}]", "6:22"},
      {"[{protocol: UDP, port: 53, net: 10.0.0.0/8}]", "17:10.0.0.0/8:53"},
      {"[{port: 22, net: ''}]", "6:22"},
      {"[{port: 22, net: \"fd00::/8\"}]", "6:fd00::/8:22"},
      {"[{port: 22}, {protocol: sctp, port: 9}]", "6:22 132:9"},
  };
  for (const auto& row : rows) {
    const auto spec = [&](const char* field) {
      return std::string("{") + field + ": " + row.written + "}";
    };
    EXPECT_EQ(text_of(of(felix(spec("failsafeInboundHostPorts"))).failsafe_inbound), row.ports)
        << row.written;
    EXPECT_EQ(text_of(of(felix(spec("failsafeOutboundHostPorts"))).failsafe_outbound),
              row.ports)
        << row.written;
  }
}

TEST(Felix, WhatCannotBeMeantIsRefusedAndWhatIsNotAppliedWarnedOf) {
  const std::string host = "defaultEndpointToHostAction: Return, ";
  const struct {
    const char* field;
    const char* says;  // "": nothing
  } rows[] = {
      {"workloadSourceSpoofing: any", ""},
      {"workloadSourceSpoofing: All", "error"},
      {"defaultEndpointToHostActoin: Drop",
       "warning: unknown field \"defaultEndpointToHostActoin\""},
      {"defaultEndpointToHostActoin: Drop", "did you mean \"defaultEndpointToHostAction\"?"},
      {"ipipMtu: 1400", "did you mean \"ipipMTU\"?"},
      {"dropActionOverride: Accept", "warning: unknown field \"dropActionOverride\""},
      {"allowIPIPPacketsFromWorkloads: yes", "true or false is expected"},
      {"externalNodesList: [10.0.0.0/33]", "is no CIDR"},
      {"interfacePrefix: ''", "no prefix is given"},
      {"interfacePrefix: \"cali,a/b\"", "begins no interface's name"},
      {"failsafeInboundHostPorts: none", "a list is expected"},
      {"failsafeInboundHostPorts: [\"tcp:22\"]", "a map is expected"},
      {"failsafeInboundHostPorts: [{port: 0}]", "1 to 65535"},
      {"failsafeInboundHostPorts: [{port: 22, net: 10.0.0.0/99}]", "is no CIDR"},
      {"failsafeInboundHostPorts: [{protocol: icmp, port: 1}]", "is not one of"},
      {"failsafeInboundHostPorts: [{protocol: tcp}]", "port is missing"},
      {"disableConntrackInvalidCheck: true", "warning"},
      {"disableConntrackInvalidCheck: false", ""},
      {"iptablesFilterDenyAction: REJECT", "warning"},
      {"nftablesFilterDenyAction: Drop", ""},
      {"vxlanPort: 4790", "warning"},
      {"vxlanPort: 4789", ""},
      {"floatingIPs: Enabled", "warning"},
      {"floatingIPs: Disabled", ""},
      // The rest of semantics 1.9: known, and of no effect on verdicts here.
      {"iptablesFilterAllowAction: Return, nftablesFilterAllowAction: Accept, "
       "iptablesMangleAllowAction: Accept, ipipEnabled: true, natPortRange: \"1:2\", "
       "natOutgoingAddress: 192.0.2.1, natOutgoingExclusions: IPPoolsAndHostIPs, "
       "serviceLoopPrevention: Reject, logActionRateLimit: 10/second, "
       "logActionRateLimitBurst: 5, iptablesMarkMask: 0xff000000",
       ""},
      {"kubeNodePortRanges: [\"30000:32767\"], bpfEnforceRPF: Strict, bpfConntrackTimeouts: "
       "{tcpEstablished: 1h}, bpfMapSizeConntrack: 512000, bpfMapSizeIPSets: 1048576, "
       "bpfMapSizeRoute: 262144, maxIpsetSize: 1048576, flowLogsFlushInterval: 300s, "
       "prometheusMetricsEnabled: true, prometheusMetricsPort: 9091, programClusterRoutes: "
       "Enabled",
       ""},
      {"ipipEnabled: true, ipipMTU: 1440, chainInsertMode: Insert, logPrefix: x, "
       "bpfEnabled: false, logSeverityScreen: Info, reportingInterval: 0s",
       ""},
  };
  for (const auto& row : rows) {
    const std::string said = findings_of(felix("{" + host + row.field + "}"));
    EXPECT_EQ(said.empty(), *row.says == 0) << row.field << "\n" << said;
    EXPECT_NE(said.find(row.says), std::string::npos) << row.field << "\n" << said;
  }
}

// ---- sources besides a workload's own ------------------------------------------------------

std::string spoofer(const char* node = "n1") {
  return document("projectcalico.org/v3", "WorkloadEndpoint", "w", "ns1",
                  std::string("{node: ") + node +
                      ", interfaceName: cali-w, ipNetworks: [10.0.0.9/32], profiles: "
                      "[kns.ns1], allowSpoofedSourcePrefixes: [10.9.0.0/16]}");
}
std::string spoofing_pod(const char* list) {
  return std::string(
             "\n---\n{apiVersion: v1, kind: Pod, metadata: {name: w, namespace: ns1, "
             "annotations: {cni.projectcalico.org/allowedSourcePrefixes: '") +
         list + "'}}, spec: {nodeName: n1}, status: {podIP: 10.0.0.9}}\n";
}
const std::string kAny =
    felix("{workloadSourceSpoofing: Any, defaultEndpointToHostAction: Accept}");

TEST(Spoofing, IsRefusedUnlessTheConfigurationSaysAny) {
  for (const std::string& asks : {spoofer(), spoofing_pod("[\"10.9.0.0/16\"]")}) {
    const std::string said = findings_of(kCluster + asks, kSettings);
    EXPECT_NE(said.find(": error: \"w\" asks for sources besides its own"), std::string::npos)
        << said;
    EXPECT_NE(
        said.find("hint: FelixConfiguration \"default\" with workloadSourceSpoofing: Any"),
        std::string::npos);
    EXPECT_EQ(findings_of(kCluster + asks + kAny, kSettings), "") << asks;
    EXPECT_NE(findings_of(kCluster + asks + kAny +
                              felix("{workloadSourceSpoofing: Disabled}", "node.n1"),
                          kSettings)
                  .find("error"),
              std::string::npos);
  }
  // What another node allows its endpoints is not our affair.
  EXPECT_EQ(findings_of(kCluster + spoofer("n2"), kSettings), "");
  EXPECT_EQ(findings_of(kCluster + spoofing_pod(""), kSettings), "");
  for (const char* bad : {"10.9.0.0/16", "{}", "[1]", "[\"x\"]", "[\"10.0.0.0/8\""}) {
    EXPECT_NE(
        findings_of(kCluster + spoofing_pod(bad) + kAny, kSettings).find("is no list of CIDRs"),
        std::string::npos)
        << bad;
  }
}

TEST(Spoofing, AllowsWhatTheEndpointLists) {
  for (const std::string& asks :
       {spoofer(), spoofing_pod("[\"10.9.0.0/16\", \"172.16.0.1\", \"::/0\"]")}) {
    const World world(asks + kAny);
    const auto from = [&](const char* src) { return world.explain(src, kInternet, "tcp/80"); };
    EXPECT_FALSE(from("10.0.0.9").contains("error"));
    const nlohmann::json packet = {{"in", world.endpoint("w").interface_name},
                                   {"src", "10.9.1.1"},
                                   {"dst", kInternet},
                                   {"proto", "tcp"},
                                   {"dport", 80}};
    EXPECT_EQ(explain_packet(world.built(), packet)["verdict"], "allow");
    nlohmann::json other = packet;
    other["src"] = "10.10.1.1";
    EXPECT_EQ(explain_packet(world.built(), other)["reason"], "rpf_workload");
  }
}

// ---- workloads to their node, tunnels of workloads, external nodes -------------------------

TEST(EndpointToHost, IsAcceptedWithoutAnObjectAndDroppedByDefaultWithOne) {
  const struct {
    std::string resources;
    const char* verdict;
  } rows[] = {
      {"", "allow __PROFILE__ kns.ns1 0"},
      {felix("{}"), "deny __HOST__ default -1"},
      {felix("{}", "node.n1"), "deny __HOST__ node.n1 -1"},
      {felix("{}", "node.n2"), "allow __PROFILE__ kns.ns1 0"},
      {felix("{defaultEndpointToHostAction: DROP}"), "deny __HOST__ default -1"},
      {felix("{defaultEndpointToHostAction: Accept}"), "allow __PROFILE__ kns.ns1 0"},
      {felix("{defaultEndpointToHostAction: RETURN}"), "allow __PROFILE__ kns.ns1 0"},
      {felix("{defaultEndpointToHostAction: Accept}") +
           felix("{defaultEndpointToHostAction: Drop}", "node.n1"),
       "deny __HOST__ node.n1 -1"},
      {felix("{}") + felix("{defaultEndpointToHostAction: Return}", "node.n1"),
       "allow __PROFILE__ kns.ns1 0"},
      // It comes after egress policy.
      {felix("{defaultEndpointToHostAction: Accept}") + np("x", "{types: [Egress]}"),
       "deny default x -1"},
      {felix("{defaultEndpointToHostAction: Drop}") + np("x", "{types: [Egress]}"),
       "deny default x -1"},
      {felix("{defaultEndpointToHostAction: Drop}") + np("x", "{egress: [{action: Allow}]}"),
       "deny __HOST__ default -1"},
  };
  for (const auto& row : rows) {
    const World world(row.resources);
    for (const char* own : {"192.168.0.1", "10.0.0.62"}) {
      EXPECT_EQ(world.verdict("ns1/p", own, "tcp/10250"), row.verdict) << row.resources;
    }
  }
}

TEST(EndpointToHost, ConcernsNobodyElse) {
  const World world(felix("{defaultEndpointToHostAction: Drop}"));
  EXPECT_EQ(world.verdict("ns1/p", "ns1/q", "tcp/80"), "allow __PROFILE__ kns.ns1 0");
  EXPECT_EQ(world.verdict("ns1/p", kInternet, "tcp/80"), "allow __PROFILE__ kns.ns1 0");
  EXPECT_EQ(world.verdict("host", "ns1/p", "tcp/80"), "allow");
  EXPECT_EQ(world.verdict(kInternet, "192.168.0.1", "tcp/22"), "allow");
  EXPECT_EQ(world.verdict("10.0.1.9", "192.168.0.1", "tcp/22"), "allow");
  const auto packet = packet_of_words(world.built(), "ns1/p", "192.168.0.1", "tcp/22");
  const std::string text = explain_text(world.built(), *packet, {"f"});
  EXPECT_NE(text.find("FelixConfiguration default"), std::string::npos) << text;
}

TEST(EndpointToHost, IsWarnedOfWhereNoObjectSaysIt) {
  EXPECT_NE(World(felix("{}")).findings().find("pods cannot reach their node"),
            std::string::npos);
  EXPECT_EQ(World(felix("{defaultEndpointToHostAction: Drop}")).findings(), "");
  EXPECT_EQ(
      World(felix("{}") + felix("{defaultEndpointToHostAction: Accept}", "node.n1")).findings(),
      "");
}

TEST(TunnelsOfWorkloads, AreAllowedOneByOne) {
  const struct {
    const char* spec;
    const char* allowed;  // of 4, 41, 47, udp/4789
  } rows[] = {
      {"", ""},
      {"allowIPIPPacketsFromWorkloads: true", "4 "},
      {"allowVXLANPacketsFromWorkloads: true", "udp/4789 "},
      {"allowIPIPPacketsFromWorkloads: true, allowVXLANPacketsFromWorkloads: true",
       "4 udp/4789 "},
      {"allowIPIPPacketsFromWorkloads: false", ""},
  };
  for (const auto& row : rows) {
    const World world(felix(std::string("{defaultEndpointToHostAction: Accept") +
                            (*row.spec == 0 ? "" : ", ") + row.spec + "}"));
    std::string allowed;
    for (const char* what : {"4", "41", "47", "udp/4789"}) {
      const std::string verdict = world.verdict("ns1/p", "ns1/q", what);
      EXPECT_TRUE(verdict.starts_with("allow") || verdict == "deny tun_from_workload");
      allowed += verdict.starts_with("allow") ? std::string(what) + " " : "";
    }
    EXPECT_EQ(allowed, row.allowed) << row.spec;
  }
}

TEST(ExternalNodes, MaySendIpipForWhatIsNobodyElses) {
  const World world(
      felix("{defaultEndpointToHostAction: Accept, externalNodesList: "
            "[172.16.0.0/24, 172.17.0.1, \"::/0\"]}"));
  const RouteTable& routes = *world.built().generation->routes;
  const auto peer = [&](const char* address) {
    return may_tunnel_to_us(routes, parse_address(address)->v4());
  };
  EXPECT_TRUE(peer("172.16.0.9") && peer("172.17.0.1") && peer("192.168.0.2"));
  EXPECT_FALSE(peer("172.17.0.2") || peer("172.16.1.9"));
  const auto source = [&](const char* outer, const char* inner) {
    return name(check_source(*world.built().generation,
                             {kUplinkPort, parse_address(outer)->v4()},
                             parse_address(inner)->v4()));
  };
  EXPECT_EQ(source("172.16.0.9", "10.77.0.1"), "none");
  EXPECT_EQ(source("172.16.0.9", "10.0.0.1"), "rpf_tunnel");
  EXPECT_EQ(source("172.16.0.9", "10.0.1.9"), "rpf_tunnel");
  EXPECT_EQ(source("172.18.0.9", "10.77.0.1"), "tun_src");
}

TEST(InterfacePrefix, BeginsTheNameOfAPodsInterface) {
  const World world(
      felix("{defaultEndpointToHostAction: Accept, interfacePrefix: \"eni,cali\"}"));
  EXPECT_EQ(world.endpoint("p").interface_name.substr(0, 3), "eni");
  EXPECT_EQ(world.endpoint("p").interface_name.size(), 14u);
}

}  // namespace
}  // namespace sluice::control::testing
