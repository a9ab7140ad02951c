// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/flow_yaml.h"

namespace sluice::differential {
namespace {

std::string kube_selector_text(const KubeSelector& s) {
  constexpr const char* kOps[] = {"In", "NotIn", "Exists", "DoesNotExist"};
  Map m;
  if (!s.labels.empty()) {
    m.add("matchLabels", labels_text(s.labels));
  }
  if (!s.expressions.empty()) {
    m.add("matchExpressions", list(s.expressions, [&](const Requirement& r) {
            Map x;
            x.add("key", quoted(r.key)).add("operator", kOps[static_cast<int>(r.op)]);
            if (!r.values.empty()) {
              x.add("values", list(r.values, quoted));
            }
            return x.done();
          }));
  }
  return m.done();
}

std::string kube_rules_text(const std::vector<KubeRule>& rules, const char* peers) {
  std::string out;
  for (const KubeRule& r : rules) {
    Map m;
    if (!r.peers.empty()) {
      m.add(peers, list(r.peers, [](const KubePeer& p) {
              Map x;
              if (p.net) {
                Map block;
                block.add("cidr", net_text(*p.net));
                if (!p.except.empty()) {
                  block.add("except", list(p.except, net_text));
                }
                x.add("ipBlock", block.done());
              }
              if (p.pods) {
                x.add("podSelector", kube_selector_text(*p.pods));
              }
              if (p.spaces) {
                x.add("namespaceSelector", kube_selector_text(*p.spaces));
              }
              return x.done();
            }));
    }
    if (!r.ports.empty()) {
      m.add("ports", list(r.ports, [](const KubePort& p) {
              Map x;
              if (!p.protocol.empty()) {
                x.add("protocol", p.protocol);
              }
              if (!p.port.name.empty()) {
                x.add("port", p.port.name);
              } else if (p.port.low != 0) {
                x.add("port", std::to_string(p.port.low));
                if (p.port.high != p.port.low) {
                  x.add("endPort", std::to_string(p.port.high));
                }
              }
              return x.empty() ? "{protocol: TCP}" : x.done();
            }));
    }
    out += "\n  - " + m.done();
  }
  return out.empty() ? " []" : out;
}

// ---- cluster policies, of v1alpha2 and its forerunners
// ---------------------------------------

// {namespaces: ...}, {pods: ...} or, of a peer, {networks: ...}.
std::string who_text(const ClusterPeer& p) {
  Map m;
  if (p.pods) {
    m.add("pods", Map()
                      .add("namespaceSelector", kube_selector_text(*p.spaces))
                      .add("podSelector", kube_selector_text(*p.pods))
                      .done());
  } else if (p.spaces) {
    m.add("namespaces", kube_selector_text(*p.spaces));
  } else if (p.nodes) {
    m.add("nodes", "{}");
  } else {
    m.add("networks", list(p.nets, net_text));
  }
  return m.done();
}

std::string numbers_text(const Ports& p) {
  return Map().add("start", std::to_string(p.low)).add("end", std::to_string(p.high)).done();
}

std::string new_port_text(const ClusterPort& p) {
  if (!p.port.name.empty()) {
    return Map().add("destinationNamedPort", p.port.name).done();
  }
  Map inner;
  if (p.port.low != 0) {
    const bool one = p.port.low == p.port.high;
    inner.add("destinationPort", one ? Map().add("number", std::to_string(p.port.low)).done()
                                     : Map().add("range", numbers_text(p.port)).done());
  }
  const char* key = p.protocol == "TCP" ? "tcp" : p.protocol == "UDP" ? "udp" : "sctp";
  return Map().add(key, inner.done()).done();
}

std::string old_port_text(const ClusterPort& p) {
  if (!p.port.name.empty()) {
    return Map().add("namedPort", p.port.name).done();
  }
  Map inner;
  inner.add("protocol", p.protocol);
  if (p.port.low == p.port.high) {
    return Map().add("portNumber", inner.add("port", std::to_string(p.port.low)).done()).done();
  }
  inner.add("start", std::to_string(p.port.low)).add("end", std::to_string(p.port.high));
  return Map().add("portRange", inner.done()).done();
}

std::string rules_text(const std::vector<ClusterRule>& rules, const char* peers, bool old) {
  std::string out;
  for (const ClusterRule& r : rules) {
    Map m;
    if (!r.name.empty()) {
      m.add("name", r.name);
    }
    const char* allow = old ? "Allow" : "Accept";
    m.add("action", r.act == Act::allow ? allow : r.act == Act::deny ? "Deny" : "Pass");
    m.add(peers, list(r.peers, who_text));
    if (!r.ports.empty()) {
      m.add(old ? "ports" : "protocols", list(r.ports, old ? old_port_text : new_port_text));
    }
    out += "\n  - " + m.done();
  }
  return out.empty() ? " []" : out;
}

}  // namespace

std::string head(const std::string& api, const std::string& kind, const std::string& name,
                 const std::string& space, const Labels& labels, const Labels& annotations) {
  Map meta;
  meta.add("name", quoted(name));
  if (!space.empty()) {
    meta.add("namespace", quoted(space));
  }
  if (!labels.empty()) {
    meta.add("labels", labels_text(labels));
  }
  if (!annotations.empty()) {
    Map notes;
    for (const auto& [key, value] : annotations) {
      notes.add(key, "'" + value + "'");
    }
    meta.add("annotations", notes.done());
  }
  return "---\napiVersion: " + api + "\nkind: " + kind + "\nmetadata: " + meta.done() + "\n";
}
std::string text(const KubePolicy& p) {
  const bool staged = p.stage != Stage::enforced;
  std::string out = staged ? head("projectcalico.org/v3", p.kind(), p.name, p.space)
                           : head("networking.k8s.io/v1", "NetworkPolicy", p.name, p.space);
  out += "spec:\n";
  if (p.stage == Stage::removed) {
    out += "  stagedAction: Delete\n";
  }
  out += "  podSelector: " + kube_selector_text(p.pods) + "\n";
  if (p.types) {
    out += types_text("policyTypes", p.to_ingress, p.to_egress);
  }
  return out + "  ingress:" + kube_rules_text(p.ingress, "from") +
         "\n  egress:" + kube_rules_text(p.egress, "to") + "\n";
}

std::string text(const ClusterPolicy& p) {
  using Form = ClusterPolicy::Form;
  const bool old = p.form != Form::cluster;
  std::string out =
      head(std::string("policy.networking.k8s.io/") + (old ? "v1alpha1" : "v1alpha2"),
           p.written_kind(), p.name, "") +
      "spec:\n";
  if (!old) {
    out += std::string("  tier: ") + (p.baseline ? "Baseline" : "Admin") + "\n";
  }
  if (p.form != Form::baseline) {
    out += "  priority: " + std::to_string(p.priority) + "\n";
  }
  return out + "  subject: " + who_text(p.subject) +
         "\n  ingress:" + rules_text(p.ingress, "from", old) +
         "\n  egress:" + rules_text(p.egress, "to", old) + "\n";
}

std::string text(const Slice& s) {
  std::string out = head("discovery.k8s.io/v1", "EndpointSlice", s.name, s.space,
                         {{"kubernetes.io/service-name", s.service}});
  out += std::string("addressType: ") + (s.v6 ? "IPv6" : "IPv4") + "\nendpoints:\n";
  for (const Ip& ip : s.addresses) {
    out += "- {addresses: [" + quoted(text(ip)) +
           "], conditions: {ready: " + (s.ready ? "true" : "false") + "}}\n";
  }
  const auto port = [](const SlicePort& p) {
    Map m;
    m.add("name", "x");
    if (!p.protocol.empty()) {
      m.add("protocol", p.protocol);
    }
    if (p.port != 0) {
      m.add("port", std::to_string(p.port));
    }
    return m.done();
  };
  return out + (s.addresses.empty() ? "- {addresses: []}\n" : "") +
         "ports: " + list(s.ports, port) + "\n";
}

}  // namespace sluice::differential
