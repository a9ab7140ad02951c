// SPDX-License-Identifier: Apache-2.0
#include "control/kubernetes.h"

#include <algorithm>
#include <map>

#include "control/hash.h"

namespace sluice::control {
namespace {

constexpr double kPolicyOrder = 1000;
constexpr const char* kOrchestratorTerm = "projectcalico.org/orchestrator == 'k8s'";

// Neither a label's key nor its value can hold a quote: config sees to it.
std::string quoted(const std::string& value) {
  return "'" + value + "'";
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

// What the ports of a rule ask for by protocol, 0 being any; no ports: all of it.
using PortsByProtocol = std::map<uint8_t, std::vector<config::RulePort>>;

// In the order of their names, as Calico has the rules.
constexpr uint8_t kProtocols[] = {0, proto::kSctp, proto::kTcp, proto::kUdp};

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

PortsByProtocol ports_of(const std::vector<config::KubernetesPort>& listed) {
  PortsByProtocol out;
  for (const config::KubernetesPort& port : listed) {
    std::vector<config::RulePort>& ports = out[port.protocol];
    if (port.port) {
      ports.push_back(*port.port);
    }
  }
  for (const config::KubernetesPort& port : listed) {
    if (!port.port) {  // all of the protocol, whatever else is listed
      out[port.protocol].clear();
    }
  }
  if (out.empty()) {
    out[0];
  }
  return out;
}

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

config::EntityRule to_entity(const config::KubernetesPeer& peer, config::Where where) {
  config::EntityRule out;
  if (peer.ip_block) {
    out.nets = {*peer.ip_block};
    out.not_nets = peer.except;
    return out;
  }
  out.selector = {
      selector_text(kOrchestratorTerm, peer.pod_selector.value_or(config::LabelSelector{})),
      where};
  if (peer.namespace_selector) {
    out.namespace_selector = namespace_text(*peer.namespace_selector, where);
  }
  return out;
}

// The Calico rules that one rule becomes, appended: one for each protocol and peer.
template <typename KubernetesRule>
void convert(const KubernetesRule& rule, Action action, bool ingress,
             std::vector<config::Rule>& out) {
  const PortsByProtocol listed = ports_of(rule.ports);
  std::vector<config::EntityRule> peers;
  for (const auto& peer : rule.peers) {
    peers.push_back(to_entity(peer, rule.where));
  }
  if (peers.empty()) {
    peers.emplace_back();
  }
  for (const uint8_t protocol : kProtocols) {
    const auto ports = listed.find(protocol);
    for (size_t i = 0; ports != listed.end() && i < peers.size(); ++i) {
      config::Rule& made = out.emplace_back();
      made.action = action;
      made.where = rule.where;
      if (protocol != 0) {
        made.protocol = config::Protocol{protocol, true};
      }
      (ingress ? made.source : made.destination) = peers[i];
      made.destination.ports = merged(ports->second);
    }
  }
}

void convert(const config::ClusterPolicyRule& rule, bool ingress,
             std::vector<config::Rule>& out) {
  const size_t first = out.size();
  if (!rule.closed) {
    convert(rule, rule.action, ingress, out);
  } else if (rule.action != Action::allow) {
    out.emplace_back().where = rule.where;  // denies all
  }
  for (size_t i = first; i < out.size() && !rule.name.empty(); ++i) {
    out[i].annotations["name"] = rule.name;
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

config::Policy to_policy(const config::KubernetesPolicy& policy) {
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
  for (const config::KubernetesRule& rule : policy.ingress) {
    convert(rule, Action::allow, true, made.ingress);
  }
  for (const config::KubernetesRule& rule : policy.egress) {
    convert(rule, Action::allow, false, made.egress);
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
