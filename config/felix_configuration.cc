// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "config/kinds.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

// Fields that concern Calico's own means (chains, BPF maps, timers, its logs) or what is not
// applied by any version of ours; taken as they are.
const std::set<std::string_view> kIgnored = {
    "awsSrcDstCheck",
    "bpfAttachType",
    "bpfCTLBLogFilter",
    "bpfConnectTimeLoadBalancing",
    "bpfConnectTimeLoadBalancingEnabled",
    "bpfConntrackLogLevel",
    "bpfConntrackMode",
    "bpfConntrackTimeouts",
    "bpfDSROptoutCIDRs",
    "bpfDataIfacePattern",
    "bpfDisableGROForIfaces",
    "bpfDisableUnprivileged",
    "bpfEnabled",
    "bpfEnforceRPF",
    "bpfExcludeCIDRsFromNAT",
    "bpfExportBufferSizeMB",
    "bpfExtToServiceConnmark",
    "bpfExternalServiceMode",
    "bpfForceTrackPacketsFromIfaces",
    "bpfHostConntrackBypass",
    "bpfHostNetworkedNATWithoutCTLB",
    "bpfJITHardening",
    "bpfKubeProxyEndpointSlicesEnabled",
    "bpfKubeProxyHealthzPort",
    "bpfKubeProxyIptablesCleanupEnabled",
    "bpfKubeProxyMinSyncPeriod",
    "bpfL3IfacePattern",
    "bpfLogFilters",
    "bpfLogLevel",
    "bpfMaglevMaxEndpointsPerService",
    "bpfMaglevMaxServices",
    "bpfMapSizeConntrack",
    "bpfMapSizeConntrackCleanupQueue",
    "bpfMapSizeConntrackScaling",
    "bpfMapSizeIPSets",
    "bpfMapSizeIfState",
    "bpfMapSizeNATAffinity",
    "bpfMapSizeNATBackend",
    "bpfMapSizeNATFrontend",
    "bpfMapSizePerCpuConntrack",
    "bpfMapSizeRoute",
    "bpfPSNATPorts",
    "bpfPolicyDebugEnabled",
    "bpfProfiling",
    "bpfRedirectToPeer",
    "cgroupV2Path",
    "chainInsertMode",
    "dataplaneDriver",
    "dataplaneWatchdogTimeout",
    "debugDisableLogDropping",
    "debugHost",
    "debugMemoryProfilePath",
    "debugPort",
    "debugSimulateCalcGraphHangAfter",
    "debugSimulateDataplaneApplyDelay",
    "debugSimulateDataplaneHangAfter",
    "deviceRouteProtocol",
    "deviceRouteSourceAddress",
    "deviceRouteSourceAddressIPv6",
    "endpointReportingDelay",
    "endpointReportingEnabled",
    "endpointStatusPathPrefix",
    "featureDetectOverride",
    "featureGates",
    "flowLogsCollectorDebugTrace",
    "flowLogsFlushInterval",
    "flowLogsGoldmaneServer",
    "flowLogsLocalReporter",
    "flowLogsPolicyEvaluationMode",
    "genericXDPEnabled",
    "goGCThreshold",
    "goMaxProcs",
    "goMemoryLimitMB",
    "healthEnabled",
    "healthHost",
    "healthPort",
    "healthTimeoutOverrides",
    "interfaceExclude",
    "interfaceRefreshInterval",
    "ipForwarding",
    "ipipEnabled",
    "ipipMTU",
    "ipsetsRefreshInterval",
    "iptablesBackend",
    "iptablesFilterAllowAction",
    "iptablesLockFilePath",
    "iptablesLockProbeInterval",
    "iptablesLockTimeout",
    "iptablesMangleAllowAction",
    "iptablesMarkMask",
    "iptablesNATOutgoingInterfaceFilter",
    "iptablesPostWriteCheckInterval",
    "iptablesRefreshInterval",
    "ipv4ElevatedRoutePriority",
    "ipv4NormalRoutePriority",
    "ipv6ElevatedRoutePriority",
    "ipv6NormalRoutePriority",
    "ipv6Support",
    "istioAmbientMode",
    "istioDSCPMark",
    "kubeMasqueradeBit",
    "kubeNodePortRanges",
    "liveMigrationRouteConvergenceTime",
    "localSubnetL2Reachability",
    "logActionRateLimit",
    "logActionRateLimitBurst",
    "logDebugFilenameRegex",
    "logFilePath",
    "logPrefix",
    "logSeverityFile",
    "logSeverityScreen",
    "logSeveritySys",
    "maxIpsetSize",
    "metadataAddr",
    "metadataPort",
    "mtuIfacePattern",
    "natOutgoingAddress",
    "natOutgoingExclusions",
    "natPortRange",
    "netlinkTimeout",
    "nftablesFilterAllowAction",
    "nftablesMangleAllowAction",
    "nftablesMarkMask",
    "nftablesMode",
    "nftablesRefreshInterval",
    "openstackRegion",
    "policySyncPathPrefix",
    "programClusterRoutes",
    "prometheusGoMetricsEnabled",
    "prometheusMetricsCAFile",
    "prometheusMetricsCertFile",
    "prometheusMetricsClientAuth",
    "prometheusMetricsEnabled",
    "prometheusMetricsHost",
    "prometheusMetricsKeyFile",
    "prometheusMetricsPort",
    "prometheusProcessMetricsEnabled",
    "prometheusWireGuardMetricsEnabled",
    "removeExternalRoutes",
    "reportingInterval",
    "reportingTTL",
    "requireMTUFile",
    "routeRefreshInterval",
    "routeSource",
    "routeSyncDisabled",
    "routeTableRange",
    "routeTableRanges",
    "serviceLoopPrevention",
    "sidecarAccelerationEnabled",
    "usageReportingEnabled",
    "usageReportingInitialDelay",
    "usageReportingInterval",
    "useInternalDataplaneDriver",
    "vxlanEnabled",
    "vxlanMTU",
    "vxlanMTUV6",
    "vxlanVNI",
    "windowsManageFirewallRules",
    "windowsNetworkName",
    "wireguardEnabled",
    "wireguardEnabledV6",
    "wireguardHostEncryptionEnabled",
    "wireguardInterfaceName",
    "wireguardInterfaceNameV6",
    "wireguardKeepAlive",
    "wireguardListeningPort",
    "wireguardListeningPortV6",
    "wireguardMTU",
    "wireguardMTUV6",
    "wireguardRoutingRulePriority",
    "wireguardThreadingEnabled",
    "xdpEnabled",
    "xdpRefreshInterval",
};

std::string lower(std::string text) {
  for (char& c : text) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return text;
}

// Index of the text in `words`, whatever its case.
template <size_t kWords>
std::optional<size_t> word_of(const Value& v,
                              const std::array<std::string_view, kWords>& words) {
  for (size_t i = 0; i < kWords; ++i) {
    if (lower(v.written()) == lower(std::string(words[i]))) {
      return i;
    }
  }
  return v.one_of({words.begin(), words.end()});  // complains
}

// {protocol, port, net}; API servers take the protocol in any case.
FailsafePort read_failsafe(const Value& v) {
  FailsafePort port;
  v.fields({
      {"protocol",
       [&](const Value& x) {
         if (const auto i = word_of<3>(x, {"TCP", "UDP", "SCTP"})) {
           port.protocol = kL4Protocols[*i];
         }
       }},
      {"port",
       [&](const Value& x) {
         port.port = static_cast<uint16_t>(x.integer(1, 65535).value_or(0));
       }},
      {"net",
       [&](const Value& x) {
         if (!x.written().empty()) {
           port.net = read_prefix(x);
         }
       }},
  });
  if (!v.get("port")) {
    v.error("port is missing");
  }
  return port;
}

std::vector<FailsafePort> read_failsafes(const Value& v) {
  std::vector<FailsafePort> out;
  for (const Value& item : v.list()) {
    out.push_back(read_failsafe(item));
  }
  return out;
}

// What commas part, without the blanks around it.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const size_t first = part.find_first_not_of(' ');
    if (first != std::string::npos) {
      out.push_back(part.substr(first, part.find_last_not_of(' ') - first + 1));
    }
    begin = end + 1;
  }
  return out;
}

std::vector<std::string> read_prefix_list(const Value& v) {
  std::vector<std::string> out = parts_of(v.text());
  constexpr size_t kLongest = 15;
  for (const std::string& prefix : out) {
    if (prefix.size() > kLongest || prefix.find_first_of("/: ") != std::string::npos) {
      v.error("\"" + prefix + "\" begins no interface's name");
    }
  }
  if (out.empty()) {
    v.error("no prefix is given", "interfacePrefix: cali");
  }
  return out;
}

void read_deny_action(const Value& v) {
  if (const auto i = word_of<2>(v, {"Drop", "Reject"}); i && *i == 1) {
    v.warning("Reject is not applied: what is denied is dropped");
  }
}

}  // namespace

void read_felix_configuration(const Value& object, Meta meta, ResourceLists& model) {
  FelixConfiguration f;
  f.meta = std::move(meta);
  const auto boolean = [](std::optional<bool>& to) {
    return [&to](const Value& x) { to = x.boolean(); };
  };
  read_spec(
      object,
      {
          {"workloadSourceSpoofing",
           [&](const Value& x) {
             if (const auto i = word_of<2>(x, {"Disabled", "Any"})) {
               f.any_source = *i == 1;
             }
           }},
          {"allowIPIPPacketsFromWorkloads", boolean(f.allow_ipip)},
          {"allowVXLANPacketsFromWorkloads", boolean(f.allow_vxlan)},
          {"defaultEndpointToHostAction",
           [&](const Value& x) {
             if (const auto i = word_of<3>(x, {"Drop", "Accept", "Return"})) {
               f.endpoint_to_host = static_cast<EndpointToHost>(*i);
             }
           }},
          {"externalNodesList", [&](const Value& x) { f.external_nodes = read_prefixes(x); }},
          {"interfacePrefix",
           [&](const Value& x) { f.interface_prefixes = read_prefix_list(x); }},
          {"failsafeInboundHostPorts",
           [&](const Value& x) { f.failsafe_inbound = read_failsafes(x); }},
          {"failsafeOutboundHostPorts",
           [&](const Value& x) { f.failsafe_outbound = read_failsafes(x); }},
          {"disableConntrackInvalidCheck",
           [&](const Value& x) {
             if (x.boolean().value_or(false)) {
               x.warning("is not applied: packets of no valid connection are dropped",
                         "path: {tcpLoose: on} in sluice.yaml picks connections up midway");
             }
           }},
          {"iptablesFilterDenyAction", read_deny_action},
          {"nftablesFilterDenyAction", read_deny_action},
          {"floatingIPs",
           [&](const Value& x) {
             if (const auto i = word_of<2>(x, {"Disabled", "Enabled"}); i && *i == 1) {
               x.warning("is not applied yet: pods have no addresses but their own");
             }
           }},
          {"vxlanPort",
           [&](const Value& x) {
             constexpr uint64_t kVxlan = 4789;
             if (x.integer(1, 65535).value_or(kVxlan) != kVxlan) {
               x.warning("is not applied: VXLAN from workloads is known by port 4789");
             }
           }},
      },
      kIgnored);
  constexpr std::string_view kOfNode = "node.";
  if (f.meta.name != "default" && !f.meta.name.starts_with(kOfNode)) {
    object.warning("\"" + f.meta.name + "\" has no effect: only default and node.NAME have");
  }
  model.felix_configurations.push_back(std::move(f));
}

}  // namespace sluice::config
