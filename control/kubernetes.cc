// SPDX-License-Identifier: Apache-2.0
#include "control/kubernetes.h"

#include <algorithm>
#include <map>
#include <optional>

#include "control/hash.h"

namespace sluice::control {
namespace {

constexpr double kPolicyOrder = 1000;
constexpr const char* kOrchestratorTerm = "projectcalico.org/orchestrator == 'k8s'";

// Neither a label's key nor its value can hold a quote in Kubernetes; a file might.
std::string quoted(const std::string& value) {
  const char quote = value.find('\'') == std::string::npos ? '\'' : '"';
  return quote + value + quote;
}

std::string set_of(const std::vector<std::string>& values) {
  std::string out = "{ ";
  for (size_t i = 0; i < values.size(); ++i) {
    out += (i == 0 ? "" : ", ") + quoted(values[i]);
  }
  return out + " }";
}

std::string term(const config::LabelRequirement& requirement) {
  using Operator = config::LabelRequirement::Operator;
  switch (requirement.op) {
    case Operator::in:
      return requirement.key + " in " + set_of(requirement.values);
    case Operator::not_in:
      return requirement.key + " not in " + set_of(requirement.values);
    case Operator::exists:
      return "has(" + requirement.key + ")";
    case Operator::does_not_exist:
      return "! has(" + requirement.key + ")";
  }
  return {};
}

// The selector's terms joined after `first`, which may be empty.
std::string selector_text(std::string first, const config::LabelSelector& selector) {
  const auto add = [&](const std::string& next) {
    first += (first.empty() ? "" : " && ") + next;
  };
  for (const auto& [key, value] : selector.match_labels) {
    add(key + " == " + quoted(value));
  }
  for (const config::LabelRequirement& requirement : selector.match_expressions) {
    add(term(requirement));
  }
  return first;
}

// What the ports of a rule ask for of one protocol; no ports: all of it.
using PortsByProtocol = std::map<std::optional<std::string>, std::vector<config::RulePort>>;

std::optional<uint8_t> protocol_number(const std::string& name) {
  if (name == "TCP") {
    return proto::kTcp;
  }
  if (name == "UDP") {
    return proto::kUdp;
  }
  if (name == "SCTP") {
    return proto::kSctp;
  }
  return std::nullopt;
}

// Overlapping and adjoining numeric ports become one range; names stay, after them.
std::vector<config::RulePort> merged(const std::vector<config::RulePort>& ports) {
  std::vector<PortRange> ranges;
  std::vector<config::RulePort> names;
  for (const config::RulePort& port : ports) {
    if (const auto* range = std::get_if<PortRange>(&port)) {
      ranges.push_back(*range);
    } else if (std::find(names.begin(), names.end(), port) == names.end()) {
      names.push_back(port);
    }
  }
  std::sort(ranges.begin(), ranges.end());
  std::vector<config::RulePort> out;
  for (size_t i = 0; i < ranges.size();) {
    PortRange range = ranges[i++];
    while (i < ranges.size() && ranges[i].low <= range.high + 1) {
      range.high = std::max(range.high, ranges[i++].high);
    }
    out.emplace_back(range);
  }
  out.insert(out.end(), names.begin(), names.end());
  return out;
}

std::optional<config::RulePort> to_port(const config::KubernetesPort& port) {
  if (const auto* name = std::get_if<std::string>(&*port.port)) {
    return port.end_port ? std::nullopt : std::optional<config::RulePort>(*name);
  }
  const uint16_t low = std::get<uint16_t>(*port.port);
  const uint16_t high = port.end_port.value_or(low);
  if (low == 0 || high < low) {
    return std::nullopt;
  }
  return PortRange{low, high};
}

class Converter {
 public:
  Converter(const config::KubernetesPolicy& policy, config::Findings& findings)
      : policy_(policy), findings_(findings) {}

  // The Calico rules that one Kubernetes rule becomes, appended.
  void convert(const config::KubernetesRule& rule, bool ingress,
               std::vector<config::Rule>& out) {
    PortsByProtocol ports;
    if (!read_ports(rule, ports)) {
      return;
    }
    std::vector<config::EntityRule> peers;
    if (!read_peers(rule, peers)) {
      return;
    }
    for (const auto& [protocol, numbers] : ports) {
      for (const config::EntityRule& peer : peers) {
        config::Rule& made = out.emplace_back();
        made.action = Action::allow;
        made.where = rule.where;
        if (protocol) {
          made.protocol = config::Protocol{*protocol_number(*protocol), true};
        }
        (ingress ? made.source : made.destination) = peer;
        made.destination.ports = merged(numbers);
      }
    }
  }

 private:
  bool refuse(const config::KubernetesRule& rule, const std::string& what,
              const std::string& hint) {
    findings_.error(
        rule.where.line != 0 ? rule.where : policy_.meta.where,
        "NetworkPolicy " + policy_.meta.namespace_name + "/" + policy_.meta.name + ": " + what,
        hint);
    return false;
  }

  bool read_ports(const config::KubernetesRule& rule, PortsByProtocol& ports) {
    if (rule.ports.empty()) {
      ports[std::nullopt];
      return true;
    }
    std::vector<std::string> whole;  // protocols that an entry without a port asks for
    for (const config::KubernetesPort& port : rule.ports) {
      const std::string protocol = port.protocol.value_or("TCP");
      if (!protocol_number(protocol)) {
        return refuse(rule, "unknown protocol '" + protocol + "'", "use TCP, UDP or SCTP");
      }
      std::vector<config::RulePort>& numbers = ports[protocol];
      if (!port.port) {
        if (port.end_port) {
          return refuse(rule, "endPort without port", "give port, the first of the range");
        }
        whole.push_back(protocol);
        continue;
      }
      const std::optional<config::RulePort> made = to_port(port);
      if (!made) {
        return refuse(rule, "port and endPort make no range",
                      "port is a number from 1 on and endPort is not below it");
      }
      numbers.push_back(*made);
    }
    for (const std::string& protocol : whole) {
      ports[protocol].clear();
    }
    return true;
  }

  bool read_peers(const config::KubernetesRule& rule, std::vector<config::EntityRule>& peers) {
    if (rule.peers.empty()) {
      peers.emplace_back();
      return true;
    }
    for (const config::KubernetesPeer& peer : rule.peers) {
      config::EntityRule& made = peers.emplace_back();
      const bool selects = peer.pod_selector || peer.namespace_selector;
      if (peer.ip_block.has_value() == selects) {
        // Calico would read a peer that says nothing as one that matches everything.
        return refuse(rule,
                      "a peer must have either ipBlock, or podSelector and namespaceSelector",
                      "an empty podSelector selects every pod of the namespace");
      }
      if (peer.ip_block) {
        made.nets = {*peer.ip_block};
        made.not_nets = peer.except;
        continue;
      }
      made.selector = {
          selector_text(kOrchestratorTerm, peer.pod_selector.value_or(config::LabelSelector{})),
          rule.where};
      if (peer.namespace_selector) {
        const std::string text = selector_text({}, *peer.namespace_selector);
        made.namespace_selector = {text.empty() ? "all()" : text, rule.where};
      }
    }
    return true;
  }

  const config::KubernetesPolicy& policy_;
  config::Findings& findings_;
};

// A selector of namespaces, {} being every one of them.
config::Text namespace_text(const config::LabelSelector& selector, config::Where where) {
  const std::string text = selector_text({}, selector);
  return {text.empty() ? "all()" : text, where};
}

// Whom a peer means.  Namespaces alone are without the term of pods: their network sets match.
config::EntityRule to_entity(const config::ClusterPolicyPeer& peer, config::Where where) {
  config::EntityRule out;
  if (peer.pods) {
    out.selector = {selector_text(kOrchestratorTerm, *peer.pods), where};
  }
  if (peer.namespaces) {
    out.namespace_selector = namespace_text(*peer.namespaces, where);
  }
  out.nets = peer.networks;
  return out;
}

// Ports by protocol in the order of the protocols' names; no protocol: named ports, or all.
using ClusterPorts = std::map<std::string, std::vector<config::RulePort>>;

ClusterPorts cluster_ports(const config::ClusterPolicyRule& rule) {
  ClusterPorts out;
  std::vector<std::string> whole;
  for (const config::ClusterPolicyPort& port : rule.ports) {
    const std::string name = !port.protocol                  ? ""
                             : *port.protocol == proto::kTcp ? "TCP"
                             : *port.protocol == proto::kUdp ? "UDP"
                                                             : "SCTP";
    std::vector<config::RulePort>& ports = out[name];
    if (port.port) {
      ports.push_back(*port.port);
    } else {
      whole.push_back(name);
    }
  }
  for (const std::string& name : whole) {
    out[name].clear();
  }
  if (out.empty()) {
    out[""];
  }
  return out;
}

void convert(const config::ClusterPolicyRule& rule, bool ingress,
             std::vector<config::Rule>& out) {
  if (rule.closed) {
    if (rule.action != Action::allow) {
      out.emplace_back().where = rule.where;  // denies all
    }
    return;
  }
  for (const auto& [protocol, ports] : cluster_ports(rule)) {
    for (const config::ClusterPolicyPeer& peer : rule.peers) {
      config::Rule& made = out.emplace_back();
      made.action = rule.action;
      made.where = rule.where;
      if (!protocol.empty()) {
        made.protocol = config::Protocol{*protocol_number(protocol), true};
      }
      (ingress ? made.source : made.destination) = to_entity(peer, rule.where);
      made.destination.ports = merged(ports);
    }
  }
}

config::Labels prefixed(const config::Labels& labels, const std::string& prefix) {
  config::Labels out;
  for (const auto& [key, value] : labels) {
    out[prefix + key] = value;
  }
  return out;
}

}  // namespace

config::Policy to_policy(const config::KubernetesPolicy& policy, config::Findings& findings) {
  config::Policy made;
  made.meta = policy.meta;
  made.meta.kind =
      policy.staging == config::Staging::enforced ? kKubernetesPolicyKind : policy.meta.kind;
  made.staging = policy.staging;
  made.order = kPolicyOrder;
  made.selector = {selector_text(kOrchestratorTerm, policy.pod_selector), policy.meta.where};
  made.types_given = true;
  // As the API server does, which Calico relies on.
  made.type_ingress = policy.types_given ? policy.type_ingress : true;
  made.type_egress = policy.types_given ? policy.type_egress : !policy.egress.empty();
  Converter converter(policy, findings);
  for (const config::KubernetesRule& rule : policy.ingress) {
    converter.convert(rule, true, made.ingress);
  }
  for (const config::KubernetesRule& rule : policy.egress) {
    converter.convert(rule, false, made.egress);
  }
  return made;
}

config::Policy to_policy(const config::ClusterPolicy& policy) {
  config::Policy made;
  made.meta = policy.meta;
  made.meta.kind = "Kubernetes" + policy.meta.kind;
  made.global = true;
  made.tier = policy.admin ? "kube-admin" : "kube-baseline";
  made.order = policy.priority;
  made.selector = {
      selector_text(kOrchestratorTerm, policy.subject.pods.value_or(config::LabelSelector{})),
      policy.meta.where};
  made.namespace_selector = namespace_text(
      policy.subject.namespaces.value_or(config::LabelSelector{}), policy.meta.where);
  for (const config::ClusterPolicyRule& rule : policy.ingress) {
    convert(rule, true, made.ingress);
  }
  for (const config::ClusterPolicyRule& rule : policy.egress) {
    convert(rule, false, made.egress);
  }
  made.types_given = true;
  made.type_ingress = !made.ingress.empty();
  made.type_egress = !made.egress.empty();
  return made;
}

config::Profile to_profile(const config::Namespace& object) {
  config::Profile made;
  made.meta = object.meta;
  made.meta.name = namespace_profile(object.meta.name);
  made.labels_to_apply = prefixed(object.meta.labels, "pcns.");
  made.labels_to_apply["pcns.projectcalico.org/name"] = object.meta.name;
  made.labels_to_apply.try_emplace("pcns.kubernetes.io/metadata.name", object.meta.name);
  config::Rule allow;
  allow.action = Action::allow;
  allow.where = object.meta.where;
  made.ingress = {allow};
  made.egress = {allow};
  return made;
}

config::Profile to_profile(const config::ServiceAccount& object) {
  config::Profile made;
  made.meta = object.meta;
  made.meta.name = account_profile(object.meta.namespace_name, object.meta.name);
  made.labels_to_apply = prefixed(object.meta.labels, "pcsa.");
  made.labels_to_apply["pcsa.projectcalico.org/name"] = object.meta.name;
  return made;
}

std::string namespace_profile(const std::string& namespace_name) {
  return "kns." + namespace_name;
}

std::string account_profile(const std::string& namespace_name, const std::string& account) {
  return "ksa." + namespace_name + "." + account;
}

std::string pod_interface(const std::string& namespace_name, const std::string& pod,
                          const std::string& prefix) {
  constexpr size_t kDigits = 11;
  return prefix + sha1_hex(namespace_name + "." + pod).substr(0, kDigits);
}

}  // namespace sluice::control
