// SPDX-License-Identifier: Apache-2.0
#include "config/kinds.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

constexpr size_t kMaxRules = 100;  // of v1alpha1; v1alpha2 has 25
constexpr uint64_t kMaxPriority = 1000;

// What differs between v1alpha2 and the two kinds of v1alpha1.
struct Dialect {
  bool old = false;
  bool baseline = false;  // of v1alpha1: no priority, no Pass
};

// {namespaceSelector, podSelector}, both there.
void read_namespaced_pods(const Value& v, ClusterPolicyPeer& to) {
  v.fields({
      {"namespaceSelector", [&](const Value& x) { to.namespaces = read_label_selector(x); }},
      {"podSelector", [&](const Value& x) { to.pods = read_label_selector(x); }},
  });
  if (!to.namespaces || !to.pods) {
    v.error("namespaceSelector and podSelector are both needed",
            "an empty one, {}, selects everything");
  }
}

// Of the subject, and of every peer.
Value::Handlers who_handlers(ClusterPolicyPeer& to) {
  return {
      {"namespaces", [&](const Value& x) { to.namespaces = read_label_selector(x); }},
      {"pods", [&](const Value& x) { read_namespaced_pods(x, to); }},
  };
}

// Exactly one field, and one that is known: an unknown one would leave no restriction.
void check_one(const Value& v, const std::vector<std::string_view>& words) {
  size_t known = 0;
  std::string all;
  for (const std::string_view word : words) {
    known += v.get(word) ? 1 : 0;
    all += (all.empty() ? "" : ", ") + std::string(word);
  }
  if (v.is_map() && (known != 1 || v.entries().size() != 1)) {
    v.error("exactly one is needed of: " + all);
  }
}

void read_cluster_peer(const Value& v, bool ingress, ClusterPolicyRule& rule) {
  ClusterPolicyPeer peer;
  Value::Handlers handlers = who_handlers(peer);
  const auto closed = [&](const Value& x) {
    rule.closed = true;
    x.warning("is not applied: the whole rule " +
              std::string(rule.action == Action::allow ? "matches nothing" : "denies all"));
  };
  if (!ingress) {
    handlers["networks"] = [&](const Value& x) { peer.networks = read_prefixes(x); };
    handlers["nodes"] = closed;
    handlers["domainNames"] = closed;
  }
  v.fields(handlers);
  if (ingress) {
    check_one(v, {"namespaces", "pods"});
  } else {
    check_one(v, {"namespaces", "pods", "networks", "nodes", "domainNames"});
  }
  if (const auto networks = v.get("networks"); !ingress && networks && peer.networks.empty()) {
    networks->error("no network is given");
  }
  rule.peers.push_back(std::move(peer));
}

std::optional<uint16_t> read_port_number(const Value& v) {
  const auto n = v.integer(1, 65535);
  return n ? std::optional(static_cast<uint16_t>(*n)) : std::nullopt;
}

// {start, end}
void read_range(const Value& v, KubernetesPort& to, const Value::Handlers& more = {}) {
  PortRange range;
  Value::Handlers handlers = {
      {"start", [&](const Value& x) { range.low = read_port_number(x).value_or(0); }},
      {"end", [&](const Value& x) { range.high = read_port_number(x).value_or(0); }},
  };
  handlers.insert(more.begin(), more.end());
  v.fields(handlers);
  if (!v.get("start") || !v.get("end") || range.low > range.high) {
    v.error("start and end make no range");
  }
  to.port = range;
}

void read_name(const Value& v, KubernetesPort& to) {
  to.port = v.text();
  if (v.is_scalar() && v.written().empty()) {
    v.error("no port is named");
  }
}

void read_destination_port(const Value& v, KubernetesPort& out) {
  v.fields({
      {"number",
       [&](const Value& x) {
         const uint16_t n = read_port_number(x).value_or(0);
         out.port = PortRange{n, n};
       }},
      {"range", [&](const Value& x) { read_range(x, out); }},
  });
  check_one(v, {"number", "range"});
}

// v1alpha2: {tcp: {destinationPort: {number: 80}}}, ... or {destinationNamedPort: web}.
KubernetesPort read_cluster_protocol(const Value& v) {
  KubernetesPort out;
  out.protocol = 0;
  const auto of = [&](uint8_t protocol) {
    return [&out, protocol](const Value& x) {
      out.protocol = protocol;
      x.fields({{"destinationPort", [&](const Value& y) { read_destination_port(y, out); }}});
    };
  };
  v.fields({
      {"tcp", of(proto::kTcp)},
      {"udp", of(proto::kUdp)},
      {"sctp", of(proto::kSctp)},
      {"destinationNamedPort", [&](const Value& x) { read_name(x, out); }},
  });
  check_one(v, {"tcp", "udp", "sctp", "destinationNamedPort"});
  return out;
}

// v1alpha1: {portNumber: {protocol, port}}, {portRange: {protocol, start, end}} or {namedPort}.
KubernetesPort read_old_port(const Value& v) {
  KubernetesPort out;
  const auto protocol = [&](const Value& x) {
    out.protocol = read_l4_protocol(x).value_or(proto::kTcp);
  };
  v.fields({
      {"portNumber",
       [&](const Value& x) {
         x.fields({
             {"protocol", protocol},
             {"port",
              [&](const Value& y) {
                const uint16_t n = read_port_number(y).value_or(0);
                out.port = PortRange{n, n};
              }},
         });
         if (!x.get("port")) {
           x.error("port is missing");
         }
       }},
      {"portRange",
       [&](const Value& x) {
         read_range(x, out, {{"protocol", protocol}});
       }},
      {"namedPort",
       [&](const Value& x) {
         out.protocol = 0;
         read_name(x, out);
       }},
  });
  check_one(v, {"portNumber", "portRange", "namedPort"});
  return out;
}

Action read_cluster_action(const Value& v, const Dialect& dialect) {
  std::vector<std::string_view> words = {dialect.old ? "Allow" : "Accept", "Deny"};
  if (!dialect.baseline) {
    words.push_back("Pass");
  }
  return static_cast<Action>(v.one_of(words).value_or(static_cast<size_t>(Action::deny)));
}

ClusterPolicyRule read_cluster_rule(const Value& v, bool ingress, const Dialect& dialect) {
  ClusterPolicyRule r;
  r.where = v.where();
  if (const auto action = v.get("action")) {
    r.action = read_cluster_action(*action, dialect);  // peers complain according to it
  } else {
    v.error("action is missing");
  }
  const std::string_view peers = ingress ? "from" : "to";
  const auto ports = [&](const Value& x) {
    for (const Value& item : x.list()) {
      r.ports.push_back(dialect.old ? read_old_port(item) : read_cluster_protocol(item));
    }
  };
  v.fields(
      {
          {"name", [&](const Value& x) { r.name = x.text(); }},
          {peers,
           [&](const Value& x) {
             for (const Value& item : x.list()) {
               read_cluster_peer(item, ingress, r);
             }
           }},
          {dialect.old ? "ports" : "protocols", ports},
      },
      {"action"});
  if (r.peers.empty()) {
    v.error("\"" + std::string(peers) + "\" needs a peer at least");
  }
  return r;
}

void read_cluster_rules(const Value& list, bool ingress, const Dialect& dialect,
                        std::vector<ClusterPolicyRule>& out) {
  for (const Value& item : list.list()) {
    out.push_back(read_cluster_rule(item, ingress, dialect));
  }
  if (out.size() > kMaxRules) {
    list.error("more than 100 rules");
  }
}

}  // namespace

void read_cluster_policy(const Value& object, Meta meta, ResourceLists& model) {
  ClusterPolicy p;
  const Dialect dialect = {meta.kind != "ClusterNetworkPolicy",
                           meta.kind == "BaselineAdminNetworkPolicy"};
  bool subject = false;
  bool priority = dialect.baseline;
  bool tier = dialect.old;
  p.admin = !dialect.baseline;
  Value::Handlers handlers = {
      {"subject",
       [&](const Value& x) {
         subject = true;
         x.fields(who_handlers(p.subject));
         check_one(x, {"namespaces", "pods"});
       }},
      {"ingress", [&](const Value& x) { read_cluster_rules(x, true, dialect, p.ingress); }},
      {"egress", [&](const Value& x) { read_cluster_rules(x, false, dialect, p.egress); }},
  };
  if (!dialect.old) {
    handlers["tier"] = [&](const Value& x) {
      tier = true;
      p.admin = x.one_of({"Admin", "Baseline"}).value_or(0) == 0;
    };
  }
  if (!dialect.baseline) {
    handlers["priority"] = [&](const Value& x) {
      priority = true;
      p.priority = static_cast<double>(x.integer(0, kMaxPriority).value_or(0));
    };
  }
  read_spec(object, handlers);
  if (!subject || !priority || !tier) {
    object.error(std::string("spec.") +
                 (!subject    ? "subject"
                  : !priority ? "priority"
                              : "tier") +
                 " is missing");
  }
  if (dialect.baseline && meta.name != "default") {
    object.error("the one BaselineAdminNetworkPolicy is called default");
  }
  if (dialect.old) {
    object.warning("deprecated: read as a ClusterNetworkPolicy of tier " +
                       std::string(p.admin ? "Admin" : "Baseline"),
                   "apiVersion: policy.networking.k8s.io/v1alpha2");
  }
  p.meta = std::move(meta);
  model.cluster_policies.push_back(std::move(p));
}

}  // namespace sluice::config
