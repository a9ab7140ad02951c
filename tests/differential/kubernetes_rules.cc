// SPDX-License-Identifier: Apache-2.0
// What Kubernetes' policies stand for: semantics 1.5 and 1.6.
#include <algorithm>
#include <set>

#include "tests/differential/matching.h"

namespace sluice::differential {
namespace {

Selector selector_of(const KubeSelector& k) {
  Selector all{Selector::Kind::both, "", {}, {}};
  for (const auto& [key, value] : k.labels) {
    all.parts.push_back({Selector::Kind::eq, key, {value}, {}});
  }
  for (const Requirement& r : k.expressions) {
    switch (r.op) {
      case Requirement::Op::in:
        all.parts.push_back({Selector::Kind::in, r.key, r.values, {}});
        break;
      case Requirement::Op::not_in:
        all.parts.push_back({Selector::Kind::not_in, r.key, r.values, {}});
        break;
      case Requirement::Op::exists:
        all.parts.push_back({Selector::Kind::has, r.key, {}, {}});
        break;
      case Requirement::Op::absent:
        all.parts.push_back(
            {Selector::Kind::no, "", {}, {{Selector::Kind::has, r.key, {}, {}}}});
        break;
    }
  }
  return all;
}

// No term at all means all().
Selector space_selector_of(const KubeSelector& k) {
  return k.labels.empty() && k.expressions.empty() ? Selector{} : selector_of(k);
}

// Pods: never a network set.
Selector pod_selector_of(const KubeSelector& k) {
  Selector s = selector_of(k);
  s.parts.push_back({Selector::Kind::eq, kOrchestrator, {"k8s"}, {}});
  return s;
}

Side peer_side(const KubePeer& peer) {
  Side s;
  if (peer.net) {
    s.nets = {*peer.net};
    s.not_nets = peer.except;
    return s;
  }
  s.selector = pod_selector_of(peer.pods.value_or(KubeSelector{}));
  if (peer.spaces) {
    s.namespace_selector = space_selector_of(*peer.spaces);
  }
  return s;
}

// Namespaces alone are without the pods' term: their network sets match, too.
Side peer_side(const ClusterPeer& peer) {
  Side s;
  s.nets = peer.nets;
  if (peer.pods) {
    s.selector = pod_selector_of(*peer.pods);
  }
  if (peer.spaces) {
    s.namespace_selector = space_selector_of(*peer.spaces);
  }
  return s;
}

// Ports by protocol, in lexical order; no ports: all of the protocol.
using PortsByProtocol = std::map<std::string, std::vector<Ports>>;

// Every protocol with every peer.
template <typename Peer>
std::vector<Rule> crossed(Act act, const PortsByProtocol& protocols,
                          const std::vector<Peer>& peers, bool egress) {
  std::vector<Rule> out;
  for (const auto& [name, ports] : protocols) {
    for (size_t i = 0; i < std::max<size_t>(peers.size(), 1); ++i) {
      Rule r;
      r.act = act;
      if (!name.empty()) {
        r.protocol = Protocol{number_of(name), name};
      }
      if (!peers.empty()) {
        (egress ? r.destination : r.source) = peer_side(peers[i]);
      }
      r.destination.ports = ports;
      out.push_back(std::move(r));
    }
  }
  return out;
}

// `protocol_of` tells an entry's protocol; one without a port swallows the protocol's others.
template <typename Entry, typename ProtocolOf>
PortsByProtocol by_protocol(const std::vector<Entry>& entries, ProtocolOf protocol_of) {
  PortsByProtocol out;
  std::set<std::string> whole;
  for (const Entry& e : entries) {
    const std::string protocol = protocol_of(e);
    out[protocol].push_back(e.port);
    if (e.port.name.empty() && e.port.low == 0) {
      whole.insert(protocol);
    }
  }
  for (const std::string& protocol : whole) {
    out[protocol].clear();
  }
  if (entries.empty()) {
    out[""];
  }
  return out;
}

}  // namespace

bool matches(const KubeSelector& selector, const Labels& labels) {
  return matches(selector_of(selector), labels, "", All::anything);
}

bool matches_spaces(const KubeSelector& selector, const Labels& labels) {
  return matches(space_selector_of(selector), labels, "pcns.", All::has_namespace);
}

std::vector<Rule> calico_rules(const KubeRule& rule, bool egress) {
  const PortsByProtocol ports = by_protocol(rule.ports, [](const KubePort& p) {
    return p.protocol.empty() ? std::string("TCP") : p.protocol;
  });
  return crossed(Act::allow, ports, rule.peers, egress);
}

std::vector<Rule> calico_rules(const ClusterRule& rule, bool egress) {
  const bool unknown = std::any_of(rule.peers.begin(), rule.peers.end(),
                                   [](const ClusterPeer& p) { return p.nodes; });
  if (unknown) {  // fails closed: what would deny or pass denies all
    return rule.act == Act::allow ? std::vector<Rule>{} : std::vector<Rule>{Rule{}};
  }
  const PortsByProtocol ports =
      by_protocol(rule.ports, [](const ClusterPort& p) { return p.protocol; });
  return crossed(rule.act, ports, rule.peers, egress);
}

}  // namespace sluice::differential
