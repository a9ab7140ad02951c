// SPDX-License-Identifier: Apache-2.0
// The typed model: what the user's files say, in Calico's and Kubernetes' words, before any
// policy meaning is applied.  No defaults that Calico applies later are applied here, except
// where a comment says so.
//
// Written by config/load, read by control; plain values, the resources shared (objects.h).
// Every resource and every text that is parsed later (selectors) knows where it stands, so that
// a later error can name file:line:column.
#ifndef SLUICE_CONFIG_MODEL_H_
#define SLUICE_CONFIG_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "classifier/rule.h"
#include "classifier/shared.h"
#include "classifier/types.h"
#include "config/objects.h"

namespace sluice::config {

struct Where {
  uint32_t file = 0;  // index into Model::files
  int line = 0;       // 1-based; 0: no place is known
  int column = 0;     // 1-based
  friend bool operator==(const Where&, const Where&) = default;
};

struct Text {  // a string that is parsed later, and its place
  std::string value;
  Where where;
  bool verbatim = false;  // written in the file as it is, so that offsets in it are columns
  bool empty() const { return value.empty(); }
};

using Labels = std::map<std::string, std::string>;

// "shop/web", or "web" of no namespace.
inline std::string qualified(const std::string& namespace_name, const std::string& name) {
  return namespace_name.empty() ? name : namespace_name + "/" + name;
}

struct Meta {
  std::string
      kind;  // "NetworkPolicy", "Pod", ...; what an old name stands for, see old_names.h
  std::string namespace_name;
  std::string name;
  Labels labels;
  Labels annotations;
  Where where;
};

// ---- rules, Calico v3 -------------------------------------------------------------------

struct Protocol {
  uint8_t number = 0;
  bool by_name = false;  // "ICMP" and "ICMPv6" by name imply an IP version, 1 and 58 do not
};

// A port as a rule names it: a range, or the name of an endpoint's port.
using RulePort = std::variant<PortRange, std::string>;

struct ServiceAccountMatch {
  std::vector<std::string> names;
  Text selector;
};

struct ServiceMatch {
  std::string name;
  std::string namespace_name;
};

struct EntityRule {
  std::vector<Prefix> nets;
  std::vector<Prefix> not_nets;
  Text selector;
  Text not_selector;
  Text namespace_selector;
  std::optional<ServiceAccountMatch> service_accounts;
  std::optional<ServiceMatch> services;
  std::vector<RulePort> ports;
  std::vector<RulePort> not_ports;
};

struct Rule {
  Action action = Action::deny;
  std::optional<int> ip_version;  // 4 or 6
  std::optional<Protocol> protocol;
  std::optional<Protocol> not_protocol;
  std::optional<IcmpMatch> icmp;
  std::optional<IcmpMatch> not_icmp;
  EntityRule source;
  EntityRule destination;
  bool http = false;  // has an http match
  Labels annotations;
  Where where;
};

// ---- resources --------------------------------------------------------------------------

struct Tier {
  static constexpr double kDefaultOrder = 1000000;
  Meta meta;
  double order = kDefaultOrder;  // an absent one is already replaced
  bool pass = false;             // defaultAction: Pass, else Deny
};
// The tiers that are always there, and that nobody changes.
struct ReservedTier {
  std::string_view name;
  double order;
  bool pass;
};
inline constexpr ReservedTier kReservedTiers[] = {
    {"kube-admin", 1000, true},
    {"default", Tier::kDefaultOrder, false},
    {"kube-baseline", 10000000, true},
};

// Staged policies are never enforced; `removed` (stagedAction: Delete) ones do not even count
// among the pending.
enum class Staging : uint8_t { enforced, staged, removed };

struct Policy {  // projectcalico.org/v3 NetworkPolicy and GlobalNetworkPolicy, and Staged...
  Meta meta;
  bool global = false;
  Staging staging = Staging::enforced;
  std::string tier = "default";  // "" is already replaced
  std::optional<double> order;
  Text selector;
  Text namespace_selector;  // global only
  Text service_account_selector;
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
  bool types_given = false;  // `types` present and not empty
  bool type_ingress = false;
  bool type_egress = false;
  bool do_not_track = false;
  bool pre_dnat = false;
  bool apply_on_forward = false;
};

struct LabelRequirement {
  enum class Operator { in, not_in, exists, does_not_exist };
  std::string key;
  Operator op = Operator::exists;
  std::vector<std::string> values;
};
struct LabelSelector {  // Kubernetes; empty selects everything
  Labels match_labels;
  std::vector<LabelRequirement> match_expressions;
};

struct KubernetesPeer {
  std::optional<LabelSelector> pod_selector;
  std::optional<LabelSelector> namespace_selector;
  std::optional<Prefix> ip_block;
  std::vector<Prefix> except;
};
struct KubernetesPort {
  uint8_t protocol = proto::kTcp;  // 0: a named port's, whatever it is
  std::optional<RulePort> port;
};
struct KubernetesRule {
  std::vector<KubernetesPeer> peers;  // `from` or `to`
  std::vector<KubernetesPort> ports;
  Where where;
};
struct KubernetesPolicy {  // networking.k8s.io/v1 NetworkPolicy, and Calico's staged one
  Meta meta;
  Staging staging = Staging::enforced;
  LabelSelector pod_selector;
  bool types_given = false;
  bool type_ingress = false;
  bool type_egress = false;
  std::vector<KubernetesRule> ingress;
  std::vector<KubernetesRule> egress;
};

// Who: the pods of some namespaces, or some of them; a peer may be networks.
struct ClusterPolicyPeer {
  std::optional<LabelSelector> namespaces;
  std::optional<LabelSelector> pods;  // beside `namespaces`
  std::vector<Prefix> networks;
};
struct ClusterPolicyRule {
  std::string name;
  Action action = Action::deny;
  std::vector<ClusterPolicyPeer> peers;
  std::vector<KubernetesPort> ports;
  bool closed = false;  // has a peer that is not applied: denies all, or allows nothing
  Where where;
};
struct ClusterPolicy {  // policy.networking.k8s.io ClusterNetworkPolicy, and its forerunners
  Meta meta;
  bool admin = true;  // tier Admin, else Baseline
  double priority = 1000;
  ClusterPolicyPeer subject;
  std::vector<ClusterPolicyRule> ingress;
  std::vector<ClusterPolicyRule> egress;
};

struct Profile {
  Meta meta;
  Labels labels_to_apply;
  std::vector<Rule> ingress;
  std::vector<Rule> egress;
};

struct NetworkSet {  // and GlobalNetworkSet
  Meta meta;
  bool global = false;
  std::vector<Prefix> nets;
};

struct NamedPort {
  std::string name;
  uint8_t protocol = 6;
  uint16_t port = 0;
};

struct WorkloadEndpoint {
  Meta meta;
  std::string node;
  std::string orchestrator;
  std::string pod;
  std::string interface_name;
  std::vector<Prefix> ip_networks;
  std::vector<std::string> profiles;
  std::optional<MacAddress> mac;
  std::vector<NamedPort> ports;
  std::string service_account;  // spec.serviceAccountName
  std::vector<Prefix> allowed_source_prefixes;
};

struct HostEndpoint {  // an interface of a node itself
  Meta meta;
  std::string node;
  std::string interface_name;  // "*": all that have none of their own; "": by expected_ips
  std::vector<Address> expected_ips;
  std::vector<std::string> profiles;
  std::vector<NamedPort> ports;
};

struct Pod {
  Meta meta;
  std::string node;
  bool host_network = false;
  std::string service_account;  // spec.serviceAccountName
  std::string phase;
  bool deleting = false;         // metadata.deletionTimestamp
  std::vector<Address> pod_ips;  // status.podIPs, else status.podIP
  std::vector<NamedPort> ports;  // containers, then initContainers
};

struct Namespace {
  Meta meta;
};
struct ServiceAccount {
  Meta meta;
};

// discovery.k8s.io/v1: who stands behind a service.
struct EndpointSlice {
  struct Port {
    uint8_t protocol = proto::kTcp;
    uint16_t port = 0;
  };
  Meta meta;
  std::string service;  // of the label kubernetes.io/service-name, in its own namespace
  std::vector<Address> addresses;
  std::vector<Port> ports;  // those that have a number
};

enum class EndpointToHost : uint8_t { drop, accept, return_ };
// Traffic of host endpoints that policy cannot cut.
struct FailsafePort {
  uint8_t protocol = proto::kTcp;
  uint16_t port = 0;
  std::optional<Prefix> net;  // of the other end
  friend bool operator==(const FailsafePort&, const FailsafePort&) = default;
};
// What is not given is not set: control/felix joins `default`, `node.<name>` and the defaults.
struct FelixConfiguration {
  Meta meta;
  std::optional<bool> any_source;  // workloadSourceSpoofing: Any
  std::optional<bool> allow_ipip;  // from workloads
  std::optional<bool> allow_vxlan;
  std::optional<EndpointToHost> endpoint_to_host;
  std::optional<std::vector<Prefix>> external_nodes;
  std::optional<std::vector<std::string>> interface_prefixes;
  std::optional<std::vector<FailsafePort>> failsafe_inbound;
  std::optional<std::vector<FailsafePort>> failsafe_outbound;
};

enum class EncapMode : uint8_t { never, always, cross_subnet };
struct IpPool {
  Meta meta;
  Prefix cidr;
  EncapMode ipip = EncapMode::never;
  EncapMode vxlan = EncapMode::never;
};

struct Node {  // projectcalico.org/v3 Node
  Meta meta;
  std::optional<Prefix> address;      // spec.bgp.ipv4Address: "192.168.100.111/24", see host
  std::optional<Ip4> address_host;    // its host part, unmasked
  std::optional<Ip4> tunnel_address;  // spec.bgp.ipv4IPIPTunnelAddr
  std::optional<Prefix> address6;     // spec.bgp.ipv6Address, and its host part
  std::optional<Address> address6_host;
};

struct Block {  // BlockAffinity, or IPAMBlock's spec.affinity "host:<node>"
  Meta meta;
  Prefix cidr;
  std::string node;
  bool deleted = false;
};

// ---- settings: sluice.yaml ---------------------------------------------------------------

enum class Ipv4Options : uint8_t { drop, allow };
enum class ChecksumMode : uint8_t { control, full, off };
enum class TcpLoose : uint8_t { grace, on, off };
enum class OnExit : uint8_t { drop, kernel };

struct StaticRoute {
  Prefix block;
  Address node;        // of the block's family
  bool tunnel = true;  // mode: ipip | direct; IPv6 is always direct
};

struct Uplink {
  std::string interface;  // exactly one of interface and device is set
  std::string device;
  struct InterfaceAddress {
    Address address;       // no link-local one: those are the interface's own
    uint8_t length = 128;  // counted on the 128-bit form, as a Prefix does
    Prefix subnet() const { return Prefix::of(address, length); }
    friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
  };
  std::vector<InterfaceAddress> addresses;
  std::optional<Ip4> gateway;
  std::optional<Address> gateway6;  // may be link-local
  std::optional<MacAddress> mac;
  std::map<Address, MacAddress> neighbours;
  Where where;
};

struct Settings {
  std::string node;
  Where node_at;
  std::vector<std::string> resources;  // as written, relative to the settings file
  Uplink uplink;
  std::optional<Ip4> tunnel_address;
  std::vector<StaticRoute> routes;
  struct {
    std::vector<unsigned> cores = {0};
    bool poll = false;  // idle: poll, else adaptive
  } workers;
  struct {
    uint32_t max = 1000000;
    bool calico_bpf_timeouts = false;
    bool recheck = false;         // onPolicyChange: recheck
    double endpoint_share = 0.5;  // endpointShare
  } connections;
  struct {
    bool ip6 = true;  // forwarded; else refused from pods
    TcpLoose tcp_loose = TcpLoose::grace;
    bool tcp_liberal = false;
    Ipv4Options ip_options = Ipv4Options::drop;
    ChecksumMode l4_checksum = ChecksumMode::control;
    bool uplink_ip6_punt = true;  // with ip6 off; uplinkIp6: punt, else drop
    bool transit_allow = false;   // transit: allow, else deny
    Where transit_at;             // where it is set, if it is
    OnExit on_exit = OnExit::drop;
    bool tun_from_workload = false;  // tunFromWorkload: allow
    bool punt_unknown_l2 = false;    // puntUnknownL2
    uint32_t punt_rate = 20000;      // puntRate: packets a second to the kernel; 0: no limit
    uint32_t punt_arp_rate = 2000;   // puntArpRate
  } path;
  struct {
    bool http_l4 = false;        // httpRules: l4, else refuse
    uint64_t memory = 1u << 30;  // bytes that compiled policy may take
    Where memory_at;             // where it is set, if it is
  } policy;
  struct {
    std::string socket = "/run/sluice/control.sock";
    std::string metrics = "127.0.0.1:9091";
    std::string state = "/run/sluice";  // pins and state
  } control;
};

// The objects of a document, a file or all files.  A reading of files that did not change gives
// the very same objects again.
struct ResourceLists {
  Objects<Tier> tiers;  // as written; the reserved ones need not be
  Objects<Policy> policies;
  Objects<KubernetesPolicy> kubernetes_policies;
  Objects<ClusterPolicy> cluster_policies;
  Objects<Profile> profiles;
  Objects<NetworkSet> network_sets;
  Objects<WorkloadEndpoint> workload_endpoints;
  Objects<HostEndpoint> host_endpoints;
  Objects<Pod> pods;
  Objects<Namespace> namespaces;
  Objects<ServiceAccount> service_accounts;
  Objects<EndpointSlice> endpoint_slices;
  Objects<FelixConfiguration> felix_configurations;
  Objects<IpPool> ip_pools;
  Objects<Node> nodes;
  Objects<Block> blocks;
  std::optional<Where> service;  // the first v1 Service object: not applied yet

  // The objects of `more` behind ours: copied one by one, or in its blocks.
  void append(const ResourceLists& more) {
    join(more, [](auto& to, const auto& from) { to.append(from); });
  }
  void share(const ResourceLists& more) {
    join(more, [](auto& to, const auto& from) { to.share(from); });
  }

 private:
  template <typename Join>
  void join(const ResourceLists& more, const Join& objects) {
    objects(tiers, more.tiers);
    objects(policies, more.policies);
    objects(kubernetes_policies, more.kubernetes_policies);
    objects(cluster_policies, more.cluster_policies);
    objects(profiles, more.profiles);
    objects(network_sets, more.network_sets);
    objects(workload_endpoints, more.workload_endpoints);
    objects(host_endpoints, more.host_endpoints);
    objects(pods, more.pods);
    objects(namespaces, more.namespaces);
    objects(service_accounts, more.service_accounts);
    objects(endpoint_slices, more.endpoint_slices);
    objects(felix_configurations, more.felix_configurations);
    objects(ip_pools, more.ip_pools);
    objects(nodes, more.nodes);
    objects(blocks, more.blocks);
    service = service ? service : more.service;
  }
};

struct Model : ResourceLists {
  std::vector<std::string> files;  // names for Where::file, as a user would type them
  uint32_t add_file(const std::string& name) {
    files.push_back(name);
    return static_cast<uint32_t>(files.size() - 1);
  }
  Settings settings;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_MODEL_H_
