// SPDX-License-Identifier: Apache-2.0
#include <sstream>

#include "tests/differential/cluster.h"
#include "tests/differential/flow_yaml.h"

namespace sluice::differential {
namespace {

std::string selector_text(const Selector& s) {  // YAML's single quotes, doubled inside
  std::string out = "'";
  for (const char c : text(s)) {
    out += c == '\'' ? "''" : std::string(1, c);
  }
  return out + "'";
}

std::string ports_text(const Ports& p) {
  if (!p.name.empty()) {
    return p.name;
  }
  const std::string low = std::to_string(p.low);
  return p.low == p.high ? low : quoted(low + ":" + std::to_string(p.high));
}

std::string protocol_text(const Protocol& p) {
  return p.name.empty() ? std::to_string(p.number) : p.name;
}

std::string icmp_text(const Icmp& i) {
  Map m;
  m.add("type", std::to_string(i.type));
  if (i.code) {
    m.add("code", std::to_string(*i.code));
  }
  return m.done();
}

std::string side_text(const Side& s) {
  Map m;
  const auto nets = [&](const char* key, const std::vector<Net>& n) {
    if (!n.empty()) {
      m.add(key, list(n, net_text));
    }
  };
  const auto ports = [&](const char* key, const std::vector<Ports>& p) {
    if (!p.empty()) {
      m.add(key, list(p, ports_text));
    }
  };
  const auto selector = [&](Map& to, const char* key, const std::optional<Selector>& x) {
    if (x) {
      to.add(key, selector_text(*x));
    }
  };
  nets("nets", s.nets);
  nets("notNets", s.not_nets);
  if (s.service) {
    Map service;
    service.add("name", quoted(s.service->name));
    if (!s.service->space.empty()) {
      service.add("namespace", quoted(s.service->space));
    }
    m.add("services", service.done());
  }
  selector(m, "selector", s.selector);
  selector(m, "notSelector", s.not_selector);
  selector(m, "namespaceSelector", s.namespace_selector);
  if (s.by_account()) {
    Map accounts;
    if (!s.accounts.empty()) {
      accounts.add("names", list(s.accounts, quoted));
    }
    selector(accounts, "selector", s.account_selector);
    m.add("serviceAccounts", accounts.done());
  }
  ports("ports", s.ports);
  ports("notPorts", s.not_ports);
  return m.empty() ? "" : m.done();
}

std::string rule_text(const Rule& r) {
  constexpr const char* kActs[] = {"Allow", "Deny", "Pass", "Log"};
  Map m;
  m.add("action", kActs[static_cast<int>(r.act)]);
  if (r.version != 0) {
    m.add("ipVersion", std::to_string(r.version));
  }
  if (r.protocol) {
    m.add("protocol", protocol_text(*r.protocol));
  }
  if (r.not_protocol) {
    m.add("notProtocol", protocol_text(*r.not_protocol));
  }
  if (r.icmp) {
    m.add("icmp", icmp_text(*r.icmp));
  }
  if (r.not_icmp) {
    m.add("notICMP", icmp_text(*r.not_icmp));
  }
  if (const std::string side = side_text(r.source); !side.empty()) {
    m.add("source", side);
  }
  if (const std::string side = side_text(r.destination); !side.empty()) {
    m.add("destination", side);
  }
  return m.done();
}

std::string rules_text(const std::vector<Rule>& rules) {
  std::string out;
  for (const Rule& r : rules) {
    out += "\n  - " + rule_text(r);
  }
  return out.empty() ? " []" : out;
}

constexpr const char* kCalico = "projectcalico.org/v3";

std::string policy_text(const Policy& p) {
  // StagedNetworkPolicy when removed, too: kind() depends on the stage alone.
  std::string out = head(kCalico, p.kind(), p.name, p.space) + "spec:\n";
  const auto selector = [&](const char* key, const std::optional<Selector>& s) {
    if (s) {
      out += std::string("  ") + key + ": " + selector_text(*s) + "\n";
    }
  };
  if (!p.tier.empty()) {
    out += "  tier: " + p.tier + "\n";
  }
  if (p.order) {
    std::ostringstream number;
    number << *p.order;
    out += "  order: " + number.str() + "\n";
  }
  if (p.stage == Stage::removed) {
    out += "  stagedAction: Delete\n";
  }
  selector("selector", p.selector);
  selector("namespaceSelector", p.namespace_selector);
  selector("serviceAccountSelector", p.account_selector);
  if (p.types) {
    out += types_text("types", p.to_ingress, p.to_egress);
  }
  if (p.forward) {
    out += "  applyOnForward: true\n";
  }
  if (p.untracked) {
    out += "  doNotTrack: true\n";
  }
  if (p.pre_dnat) {
    out += "  preDNAT: true\n";
  }
  return out + "  ingress:" + rules_text(p.ingress) + "\n  egress:" + rules_text(p.egress) +
         "\n";
}

std::string pod_text(const Pod& p) {
  const char* node = p.local ? "n1" : "n2";
  const auto ports = [&](const char* number) {
    return list(p.ports, [&](const NamedPort& n) {
      Map m;
      m.add("protocol", n.protocol).add(number, std::to_string(n.port));
      return n.name.empty() ? m.add("hostPort", std::to_string(n.port)).done()
                            : m.add("name", quoted(n.name)).done();
    });
  };
  Map spec;
  if (p.endpoint) {
    spec.add("node", node).add("orchestrator", "k8s").add("pod", quoted(p.name));
    spec.add("interfaceName", p.interface);
    spec.add("ipNetworks", list(std::vector<Net>{{p.ip, 32}, {p.ip6, 128}}, net_text));
    spec.add("profiles", list(p.profiles, quoted)).add("ports", ports("port"));
    if (!p.account.empty()) {
      spec.add("serviceAccountName", quoted(p.account));
    }
    if (!p.sources.empty()) {
      spec.add("allowSpoofedSourcePrefixes", list(p.sources, net_text));
    }
    return head(kCalico, "WorkloadEndpoint", std::string(node) + "-k8s-" + p.name + "-eth0",
                p.space, p.labels) +
           "spec: " + spec.done() + "\n";
  }
  spec.add("nodeName", node);
  if (!p.account.empty()) {
    spec.add("serviceAccountName", quoted(p.account));
  }
  spec.add("containers", "[{name: c, ports: " + ports("containerPort") + "}]");
  Labels notes;
  if (!p.sources.empty()) {
    notes["cni.projectcalico.org/allowedSourcePrefixes"] = list(p.sources, net_text);
  }
  return head("v1", "Pod", p.name, p.space, p.labels, notes) + "spec: " + spec.done() +
         "\nstatus: {phase: Running, podIPs: [{ip: " + quoted(text(p.ip)) +
         "}, {ip: " + quoted(text(p.ip6)) + "}]}\n";
}

std::string felix_text(const Felix& f) {
  Map spec;
  const auto word = [&](const char* key, const std::string& value) {
    if (!value.empty()) {
      spec.add(key, quoted(value));
    }
  };
  const auto flag = [&](const char* key, const std::optional<bool>& value) {
    if (value) {
      spec.add(key, *value ? "true" : "false");
    }
  };
  word("defaultEndpointToHostAction", f.to_host);
  word("workloadSourceSpoofing", f.spoofing);
  word("interfacePrefix", f.prefixes);
  flag("allowIPIPPacketsFromWorkloads", f.ipip);
  flag("allowVXLANPacketsFromWorkloads", f.vxlan);
  return head(kCalico, "FelixConfiguration", f.name, "") + "spec: " + spec.done() + "\n";
}

}  // namespace

std::string text(const Ip& ip) {
  std::ostringstream out;
  if (!ip.v6) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      out << static_cast<unsigned>(ip.bits >> shift & 255) << (shift == 0 ? "" : ".");
    }
  } else {
    for (int shift = 112; shift >= 0; shift -= 16) {
      out << std::hex << static_cast<unsigned>(ip.bits >> shift & 65535)
          << (shift == 0 ? "" : ":");
    }
  }
  return out.str();
}

// The spelling varies with the values, so that the parser meets all of them.
std::string text(const Selector& s) {
  using Kind = Selector::Kind;
  const auto word = [&](const std::string& v) {
    const char quote = (v.size() + s.key.size()) % 2 == 0 ? '"' : '\'';
    return quote + v + quote;
  };
  const auto compare = [&](const char* op) { return s.key + op + word(s.values.at(0)); };
  const auto join = [&](const char* op) {
    std::string out;
    for (const Selector& part : s.parts) {
      out += (out.empty() ? "" : op) + ("(" + text(part) + ")");
    }
    return out;
  };
  const auto set = [&](const char* op) {
    std::string out = s.key + op + "{";
    for (size_t i = 0; i < s.values.size(); ++i) {
      out += (i == 0 ? "" : ", ") + word(s.values[i]);
    }
    return out + (s.values.size() == 3 ? ",}" : "}");
  };
  const bool tight = s.key.size() % 2 == 0;
  switch (s.kind) {
    case Kind::all:
      return "all()";
    case Kind::global:
      return "global()";
    case Kind::has:
      return "has(" + s.key + ")";
    case Kind::eq:
      return compare(tight ? "==" : " == ");
    case Kind::ne:
      return compare(tight ? "!=" : " != ");
    case Kind::in:
      return set(" in ");
    case Kind::not_in:
      return set(tight ? " notin" : " not in ");
    case Kind::contains:
      return compare(" contains ");
    case Kind::starts:
      return compare(tight ? " startswith " : " starts with ");
    case Kind::ends:
      return compare(tight ? " ends with " : " endswith ");
    case Kind::both:
      return join(" && ");
    case Kind::either:
      return join("||");
    case Kind::no: {
      const Kind of = s.parts.at(0).kind;
      const bool group = of == Kind::both || of == Kind::either;
      return group ? "!(" + text(s.parts[0]) + ")" : "!" + text(s.parts[0]);
    }
  }
  return "";
}

std::string text(const Packet& p) {
  std::string out = p.in + ": " + text(p.src) + " -> " + text(p.dst) + " protocol " +
                    std::to_string(p.protocol);
  if (ported(p.protocol)) {
    out += " ports " + std::to_string(p.sport) + " -> " + std::to_string(p.dport);
  } else if (p.protocol == 1) {
    out += " type " + std::to_string(p.type) + " code " + std::to_string(p.code);
  }
  return out;
}

std::string yaml(const Cluster& c) {
  std::string out;
  for (const Space& s : c.spaces) {
    out += s.missing ? "" : head("v1", "Namespace", s.name, "", s.labels);
  }
  for (const Account& a : c.accounts) {
    out += head("v1", "ServiceAccount", a.name, a.space, a.labels);
  }
  for (const Tier& t : c.tiers) {
    Map spec;
    if (t.order) {
      spec.add("order", std::to_string(*t.order));
    }
    if (!t.end.empty()) {
      spec.add("defaultAction", t.end);
    }
    out += head(kCalico, "Tier", t.name, "") + "spec: " + spec.done() + "\n";
  }
  for (const Profile& p : c.profiles) {
    out += head(kCalico, "Profile", p.name, "") +
           "spec:\n  labelsToApply: " + labels_text(p.labels) +
           "\n  ingress:" + rules_text(p.ingress) + "\n  egress:" + rules_text(p.egress) + "\n";
  }
  for (const Set& s : c.sets) {
    out += head(kCalico, s.space.empty() ? "GlobalNetworkSet" : "NetworkSet", s.name, s.space,
                s.labels) +
           "spec: {nets: " + list(s.nets, net_text) + "}\n";
  }
  for (const Pod& p : c.pods) {
    out += pod_text(p);
  }
  for (const Policy& p : c.policies) {
    out += policy_text(p);
  }
  for (const KubePolicy& p : c.kube_policies) {
    out += text(p);
  }
  for (const ClusterPolicy& p : c.cluster_policies) {
    out += text(p);
  }
  for (const Slice& s : c.slices) {
    out += text(s);
  }
  for (const Felix& f : c.felixes) {
    out += felix_text(f);
  }
  return out;
}

std::string settings_yaml() {
  return R"(node: n1
uplink:
  interface: eth0
  addresses: [192.168.100.111/24, "fd00:100::111/64"]
  gateway: 192.168.100.1
  gateway6: "fe80::1"
  mac: "02:00:00:00:00:6f"
  neighbours: {192.168.100.1: "02:00:00:00:00:01", 192.168.100.112: "02:00:00:00:00:70",
               "fe80::1": "02:00:00:00:00:01"}
tunnel: {address: 10.244.1.0}
routes: [{block: 10.244.2.0/26, node: 192.168.100.112}]
connections: {max: 65536, endpointShare: 1}
)";
}

}  // namespace sluice::differential
