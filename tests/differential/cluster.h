// SPDX-License-Identifier: Apache-2.0
// A random cluster in structures of the test's own: what the evaluator walks, and what prints
// itself as the YAML that sluice loads.  Nothing of config/ or control/ is used, so that the
// loader and the compiler are under test too.
//
// Written by generate and by the minimiser, read by print and evaluate.  Plain values.
#ifndef SLUICE_TESTS_DIFFERENTIAL_CLUSTER_H_
#define SLUICE_TESTS_DIFFERENTIAL_CLUSTER_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::differential {

__extension__ typedef unsigned __int128 Bits;

using Labels = std::map<std::string, std::string>;

struct Ip {
  bool v6 = false;
  Bits bits = 0;  // of an IPv4 address, the lower 32
  friend auto operator<=>(const Ip&, const Ip&) = default;
};
inline Ip ip4(uint32_t value) {
  return {false, value};
}
std::string text(const Ip& ip);

struct Net {
  Ip base;  // host bits may be set: they mean nothing
  unsigned length = 32;
  unsigned width() const { return base.v6 ? 128 : 32; }
  Bits host_mask() const {
    const unsigned free = width() - length;
    return free == 128 ? ~Bits{0} : (Bits{1} << free) - 1;
  }
  bool contains(const Ip& ip) const {
    return ip.v6 == base.v6 && (ip.bits | host_mask()) == (base.bits | host_mask());
  }
  Ip first() const { return {base.v6, base.bits & ~host_mask()}; }
  Ip last() const { return {base.v6, base.bits | host_mask()}; }
};

struct Selector {
  enum class Kind {
    all,
    global,
    has,
    eq,
    ne,
    in,
    not_in,
    contains,
    starts,
    ends,
    both,
    either,
    no
  };
  Kind kind = Kind::all;
  std::string key;
  std::vector<std::string> values;
  std::vector<Selector> parts;  // of both, either (two or more) and no (one)
};
std::string text(const Selector& selector);

enum class Act { allow, deny, pass, log };

struct Protocol {
  uint8_t number = 0;
  std::string name;  // empty: written as a number
};
struct Icmp {
  uint8_t type = 0;
  std::optional<uint8_t> code;
};
struct Ports {
  uint16_t low = 0;
  uint16_t high = 0;
  std::string name;  // not empty: a named port
};
struct Service {  // as a rule names it; no space: the policy's
  std::string space, name;
};
struct Side {
  std::vector<Net> nets, not_nets;
  std::optional<Service> service;
  std::optional<Selector> selector, not_selector, namespace_selector, account_selector;
  std::vector<std::string> accounts;
  std::vector<Ports> ports, not_ports;
  bool by_account() const { return account_selector || !accounts.empty(); }
};
struct Rule {
  Act act = Act::deny;
  int version = 0;  // 4, 6, or 0: not said
  std::optional<Protocol> protocol, not_protocol;
  std::optional<Icmp> icmp, not_icmp;
  Side source, destination;
};

enum class Stage { enforced, staged, removed };

struct Policy {  // NetworkPolicy, or global
  bool global = false;
  Stage stage = Stage::enforced;
  std::string space, name, tier;  // an empty tier is left out
  std::optional<double> order;
  std::optional<Selector> selector, namespace_selector, account_selector;
  std::vector<Rule> ingress, egress;
  bool types = false, to_ingress = false, to_egress = false;
  bool forward = false, untracked = false, pre_dnat = false;
  std::string kind() const {
    return std::string(stage == Stage::enforced ? "" : "Staged") +
           (global ? "GlobalNetworkPolicy" : "NetworkPolicy");
  }
};

struct Requirement {
  enum class Op { in, not_in, exists, absent };
  std::string key;
  Op op = Op::in;
  std::vector<std::string> values;
};
struct KubeSelector {
  Labels labels;
  std::vector<Requirement> expressions;
};
struct KubePeer {  // either a net or at least one selector
  std::optional<Net> net;
  std::vector<Net> except;
  std::optional<KubeSelector> pods, spaces;
};
struct KubePort {
  std::string protocol;  // "" is TCP
  Ports port;            // low 0 and no name: the whole protocol
};
struct KubeRule {
  std::vector<KubePeer> peers;
  std::vector<KubePort> ports;
};
struct KubePolicy {
  Stage stage = Stage::enforced;
  std::string space, name;
  KubeSelector pods;
  std::vector<KubeRule> ingress, egress;
  bool types = false, to_ingress = false, to_egress = false;
  std::string kind() const {  // as sluice and the order of policies name it
    return stage == Stage::enforced ? "KubernetesNetworkPolicy"
                                    : "StagedKubernetesNetworkPolicy";
  }
};

// Pods of some namespaces, if `pods` says which of them; else namespaces, or networks.
struct ClusterPeer {
  std::optional<KubeSelector> spaces, pods;
  std::vector<Net> nets;
  bool nodes = false;  // which no converter knows
};
struct ClusterPort {
  std::string protocol;  // "": of a named port, which has any
  Ports port;            // low 0 and no name: the whole protocol
};
struct ClusterRule {
  std::string name;
  Act act = Act::deny;  // but not log
  std::vector<ClusterPeer> peers;
  std::vector<ClusterPort> ports;
};
struct ClusterPolicy {
  enum class Form { cluster, admin, baseline };  // the latter two of v1alpha1
  Form form = Form::cluster;
  std::string name;
  bool baseline = false;  // its tier
  unsigned priority = 0;
  ClusterPeer subject;
  std::vector<ClusterRule> ingress, egress;
  std::string written_kind() const {
    constexpr const char* kKinds[] = {"ClusterNetworkPolicy", "AdminNetworkPolicy",
                                      "BaselineAdminNetworkPolicy"};
    return kKinds[static_cast<int>(form)];
  }
  std::string kind() const { return "Kubernetes" + written_kind(); }
};

struct SlicePort {
  std::string protocol;  // "" is TCP
  uint16_t port = 0;     // 0: no number
};
struct Slice {  // of a service's endpoints
  std::string space, name, service;
  bool v6 = false, ready = true;
  std::vector<Ip> addresses;
  std::vector<SlicePort> ports;
};

struct Felix {  // FelixConfiguration; what is empty is not said
  std::string name;
  std::string to_host;   // defaultEndpointToHostAction
  std::string spoofing;  // workloadSourceSpoofing
  std::optional<bool> ipip, vxlan;
  std::string prefixes;
};

struct Tier {
  std::string name;
  std::optional<double> order;
  std::string end;  // "Deny", "Pass" or not said
};
struct Profile {
  std::string name;
  Labels labels;
  std::vector<Rule> ingress, egress;
};
struct Set {
  std::string space, name;  // no space: global
  Labels labels;
  std::vector<Net> nets;
};
struct NamedPort {
  std::string name, protocol;  // no name: a hostPort alone, which no rule can mean
  uint16_t port = 0;
};
struct Pod {
  bool local = true;
  bool endpoint = false;  // written as a WorkloadEndpoint, else as a Pod
  std::string space, name, account;
  Labels labels;
  Ip ip, ip6;
  std::string interface;
  std::vector<std::string> profiles;  // in order, of a WorkloadEndpoint
  std::vector<NamedPort> ports;
  std::vector<Net> sources;  // besides its own addresses
};
struct Space {
  std::string name;
  Labels labels;
  bool missing = false;  // named by others, but no object
};
struct Account {
  std::string space, name;
  Labels labels;
};

struct Cluster {
  std::vector<Space> spaces;
  std::vector<Account> accounts;
  std::vector<Tier> tiers;
  std::vector<Profile> profiles;
  std::vector<Set> sets;
  std::vector<Pod> pods;
  std::vector<Policy> policies;
  std::vector<KubePolicy> kube_policies;
  std::vector<ClusterPolicy> cluster_policies;
  std::vector<Slice> slices;
  std::vector<Felix> felixes;
};

// A flow's first packet.
struct Packet {
  std::string in;  // "NAMESPACE/POD" of a local pod, or "uplink"
  Ip src, dst;
  uint8_t protocol = 6;
  uint16_t sport = 0, dport = 0;  // TCP, UDP and SCTP
  uint8_t type = 0, code = 0;     // ICMP
};
constexpr uint32_t kNode = 0xc0a8646f;                                  // 192.168.100.111, ours
constexpr uint32_t kTunnel = 0x0af40100;                                // 10.244.1.0, ours too
inline constexpr Ip kNode6 = {true, (Bits{0xfd000100} << 96) + 0x111};  // fd00:100::111, too
inline bool is_own(const Ip& ip) {
  return ip == ip4(kNode) || ip == ip4(kTunnel) || ip == kNode6;
}
// Does the data path let it open a connection?  Of ICMPv6 only a ping does.
inline bool opens(const Packet& packet) {
  return !packet.src.v6 || packet.protocol != 58 || packet.type == 128;
}
inline bool ported(uint8_t protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132;
}
std::string text(const Packet& packet);

// What a pod's packets come in by, and how it is told from others.
inline std::string name_of(const Pod& pod) {
  return pod.space + "/" + pod.name;
}

// The same as resource files, and the settings of the node that all tests run on.
std::string yaml(const Cluster& cluster);
std::string settings_yaml();

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_CLUSTER_H_
