// SPDX-License-Identifier: Apache-2.0
#include "config/rules.h"

#include <algorithm>

#include "config/scalars.h"

namespace sluice::config {
namespace {

constexpr size_t kMaxRules = 1024, kMaxNets = 256, kMaxPorts = 50, kMaxSelector = 1024;

// A whole number above 0, not padded: 010 is 8 to YAML.
std::optional<uint16_t> port_number(std::string_view s) {
  const auto n = parse_whole<uint16_t>(s);
  return s.starts_with('0') ? std::nullopt : n;
}

// 80, "8000:8080" or a name.
std::optional<RulePort> read_port(const Value& v) {
  const std::string s = v.written();
  const auto digits = [](std::string_view t) {
    return !t.empty() && t.find_first_not_of("0123456789") == std::string_view::npos;
  };
  const size_t colon = s.find(':');
  const std::string_view low = std::string_view(s).substr(0, colon);
  const std::string_view high =
      colon == std::string::npos ? low : std::string_view(s).substr(colon + 1);
  if (digits(low) && digits(high)) {
    const auto first = port_number(low);
    const auto last = port_number(high);
    if (!first || !last || *first > *last) {
      v.error("\"" + s + "\" is no port or range of ports from 1 to 65535");
      return {};
    }
    return PortRange{*first, *last};
  }
  constexpr std::string_view kName =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  if (s.empty() || s.size() > 128 || s.find_first_not_of(kName) != std::string::npos) {
    v.error("\"" + s + "\" is neither a port, a range such as \"8000:8080\" nor a port's name");
    return {};
  }
  return v.text();
}

std::vector<RulePort> read_ports(const Value& v) {
  std::vector<RulePort> out;
  for (const Value& item : v.list()) {
    if (auto port = read_port(item)) {
      out.push_back(std::move(*port));
    }
  }
  if (out.size() > kMaxPorts) {
    v.error("more than 50 entries");
  }
  return out;
}

std::vector<Prefix> read_nets(const Value& v) {
  std::vector<Prefix> out = read_prefixes(v);
  if (out.size() > kMaxNets) {
    v.error("more than 256 CIDRs");
  }
  return out;
}

void check_entity(const Value& v, const EntityRule& e, bool source) {
  const bool by_labels = !e.selector.empty() || !e.not_selector.empty() ||
                         !e.namespace_selector.empty() || e.service_accounts.has_value();
  if (e.services && (by_labels || !e.nets.empty() || !e.not_nets.empty())) {
    v.error("services cannot be combined with selectors, serviceAccounts or nets");
  }
  if (e.services && !source && (!e.ports.empty() || !e.not_ports.empty())) {
    v.error("services of a destination have ports of their own: no ports or notPorts");
  }
}

EntityRule read_entity(const Value& v, bool source) {
  EntityRule e;
  v.fields({
      {"nets", [&](const Value& x) { e.nets = read_nets(x); }},
      {"notNets", [&](const Value& x) { e.not_nets = read_nets(x); }},
      {"selector", [&](const Value& x) { e.selector = read_text(x); }},
      {"notSelector", [&](const Value& x) { e.not_selector = read_text(x); }},
      {"namespaceSelector", [&](const Value& x) { e.namespace_selector = read_text(x); }},
      {"serviceAccounts",
       [&](const Value& x) {
         ServiceAccountMatch m;
         x.fields({
             {"names", [&](const Value& y) { m.names = y.texts(); }},
             {"selector", [&](const Value& y) { m.selector = read_text(y); }},
         });
         e.service_accounts = std::move(m);
       }},
      {"services",
       [&](const Value& x) {
         ServiceMatch m;
         x.fields({
             {"name", [&](const Value& y) { m.name = y.text(); }},
             {"namespace", [&](const Value& y) { m.namespace_name = y.text(); }},
         });
         if (m.name.empty()) {
           x.error("name is missing");
         }
         e.services = std::move(m);
       }},
      {"ports", [&](const Value& x) { e.ports = read_ports(x); }},
      {"notPorts", [&](const Value& x) { e.not_ports = read_ports(x); }},
  });
  check_entity(v, e, source);
  return e;
}

std::optional<IcmpMatch> read_icmp(const Value& v) {
  IcmpMatch m;
  bool typed = false;
  v.fields({
      {"type",
       [&](const Value& x) {
         if (const auto n = x.integer(0, 254)) {
           m.type = static_cast<uint8_t>(*n);
           typed = true;
         }
       }},
      {"code",
       [&](const Value& x) {
         if (const auto n = x.integer(0, 255)) {
           m.code = static_cast<uint8_t>(*n);
           m.any_code = false;
         }
       }},
  });
  if (!typed) {
    if (!m.any_code) {
      v.error("code needs a type");
    }
    return {};
  }
  return m;
}

// Whether they could be matched is checked, though they are not kept: see policy.httpRules.
void read_http_path(const Value& v) {
  size_t given = 0;
  const auto path = [&](const Value& x) {
    ++given;
    const std::string s = x.text();
    if (!s.starts_with('/') || s.find_first_of("?# ") != std::string::npos) {
      x.error("\"" + s + "\" is no path", "it begins with / and has no ?, # or blank");
    }
  };
  v.fields({{"exact", path}, {"prefix", path}});
  if (given != 1) {
    v.error("exactly one of exact and prefix is needed");
  }
}

void read_http(const Value& v) {
  constexpr size_t kMost = 20;
  const auto bounded = [](const Value& x, size_t count) {
    if (count > kMost) {
      x.error("more than 20 entries");
    }
  };
  v.fields({
      {"methods",
       [&](const Value& x) {
         std::vector<std::string> methods = x.texts();
         bounded(x, methods.size());
         std::sort(methods.begin(), methods.end());
         if (std::adjacent_find(methods.begin(), methods.end()) != methods.end()) {
           x.error("a method is given twice");
         }
       }},
      {"paths",
       [&](const Value& x) {
         const std::vector<Value> paths = x.list();
         bounded(x, paths.size());
         for (const Value& path : paths) {
           read_http_path(path);
         }
       }},
  });
}

bool has_numbers(const std::vector<RulePort>& ports) {
  return std::any_of(ports.begin(), ports.end(),
                     [](const RulePort& p) { return std::holds_alternative<PortRange>(p); });
}

void check_rule(const Value& v, const Rule& r) {
  const bool numbers = has_numbers(r.source.ports) || has_numbers(r.source.not_ports) ||
                       has_numbers(r.destination.ports) || has_numbers(r.destination.not_ports);
  const bool any_port = numbers || !r.source.ports.empty() || !r.source.not_ports.empty() ||
                        !r.destination.ports.empty() || !r.destination.not_ports.empty();
  const bool ported = r.protocol && proto::has_ports(r.protocol->number);
  if ((numbers && !ported) || (any_port && r.protocol && !ported)) {
    v.error("ports need a protocol that has them", "protocol: TCP, UDP or SCTP");
  }
  if (v.get("icmp") && (!r.protocol || !proto::is_icmp(r.protocol->number))) {
    v.error("icmp needs protocol ICMP or ICMPv6");
  }
  bool v4 = false;
  bool v6 = false;
  for (const auto* nets :
       {&r.source.nets, &r.source.not_nets, &r.destination.nets, &r.destination.not_nets}) {
    for (const Prefix& p : *nets) {
      (p.is_v4() ? v4 : v6) = true;
    }
  }
  if (v4 && v6) {
    v.error("IPv4 and IPv6 CIDRs in one rule", "write a rule for each");
  }
  if ((r.ip_version == 4 && v6) || (r.ip_version == 6 && v4)) {
    v.error("CIDRs of another IP version than ipVersion");
  }
}

Rule read_rule(const Value& v, bool ingress) {
  Rule r;
  r.where = v.where();
  bool acted = false;
  v.fields({
      {"action",
       [&](const Value& x) {
         acted = true;
         if (const auto i = x.one_of({"Allow", "Deny", "Pass", "Log"})) {
           r.action = static_cast<Action>(*i);
         }
       }},
      {"ipVersion",
       [&](const Value& x) {
         const auto n = x.integer(4, 6);
         if (n && *n == 5) {
           x.error("4 or 6 is expected");
         } else if (n) {
           r.ip_version = static_cast<int>(*n);
         }
       }},
      {"protocol", [&](const Value& x) { r.protocol = read_protocol(x); }},
      {"notProtocol", [&](const Value& x) { r.not_protocol = read_protocol(x); }},
      {"icmp", [&](const Value& x) { r.icmp = read_icmp(x); }},
      {"notICMP", [&](const Value& x) { r.not_icmp = read_icmp(x); }},
      {"source", [&](const Value& x) { r.source = read_entity(x, true); }},
      {"destination", [&](const Value& x) { r.destination = read_entity(x, false); }},
      {"http",
       [&](const Value& x) {
         r.http = true;
         read_http(x);
         if (!ingress) {
           x.error("http is for ingress rules only");
         }
       }},
      {"metadata",
       [&](const Value& x) {
         x.fields({{"annotations",
                    [&](const Value& y) { r.annotations = y.labels(Null::absent); }}});
       }},
  });
  if (!acted) {
    v.error("action is missing", "action: Allow, Deny, Pass or Log");
  }
  if (r.http && r.action != Action::allow) {
    v.error("http is for Allow rules only");
  }
  if (r.http && r.protocol && r.protocol->number != proto::kTcp) {
    v.error("http needs protocol TCP");
  }
  if ((ingress ? r.destination : r.source).services) {
    v.error(ingress ? "services in an ingress rule belong to its source"
                    : "services in an egress rule belong to its destination");
  }
  check_rule(v, r);
  return r;
}

}  // namespace

Text read_text(const Value& v) {
  Text t = v.placed_text();
  if (t.value.size() > kMaxSelector) {
    v.error("longer than 1024 characters");
  }
  return t;
}

std::optional<Protocol> read_protocol(const Value& v) {
  struct Named {
    std::string_view name;
    uint8_t number;
  };
  constexpr Named kNames[] = {{"TCP", proto::kTcp},   {"UDP", proto::kUdp},
                              {"ICMP", proto::kIcmp}, {"ICMPv6", proto::kIcmp6},
                              {"SCTP", proto::kSctp}, {"UDPLite", proto::kUdpLite}};
  const std::string s = v.written();
  for (const Named& n : kNames) {
    if (s == n.name) {
      return Protocol{n.number, true};
    }
  }
  if (const auto n = port_number(s); n && *n <= UINT8_MAX) {
    return Protocol{static_cast<uint8_t>(*n), false};
  }
  v.error("unknown protocol \"" + s + "\"",
          "TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite (written so), or a number from 1 to 255");
  return {};
}

std::vector<Rule> read_rules(const Value& list, bool ingress) {
  std::vector<Rule> out;
  for (const Value& item : list.list()) {
    out.push_back(read_rule(item, ingress));
  }
  if (out.size() > kMaxRules) {
    list.error("more than 1024 rules");
  }
  return out;
}

}  // namespace sluice::config
