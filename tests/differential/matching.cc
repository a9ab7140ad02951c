// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/matching.h"

#include <algorithm>

namespace sluice::differential {
namespace {

constexpr const char* kSpace = "projectcalico.org/namespace";
constexpr const char* kAccount = "projectcalico.org/serviceaccount";

template <typename Items, typename Item>
bool holds(const Items& items, const Item& item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

// ---- labels, semantics 1.7 -----------------------------------------------------------------

// What the profile of this name adds: of a namespace, an account or a Profile resource.
Labels labels_of_profile(const Cluster& c, const std::string& name) {
  Labels out;
  for (const Space& s : c.spaces) {
    if (s.missing || "kns." + s.name != name) {
      continue;
    }
    out["pcns.kubernetes.io/metadata.name"] = s.name;
    for (const auto& [key, value] : s.labels) {
      out["pcns." + key] = value;
    }
    out["pcns.projectcalico.org/name"] = s.name;
  }
  for (const Account& a : c.accounts) {
    if ("ksa." + a.space + "." + a.name != name) {
      continue;
    }
    for (const auto& [key, value] : a.labels) {
      out["pcsa." + key] = value;
    }
    out["pcsa.projectcalico.org/name"] = a.name;
  }
  for (const Profile& p : c.profiles) {
    if (p.name == name) {
      out = p.labels;
    }
  }
  return out;
}

// A key that is there already stays.
void inherit(Labels& labels, const Labels& more) {
  labels.insert(more.begin(), more.end());
}

// ---- sides of rules, semantics 3.4 and 3.5 -------------------------------------------------

bool has(const Labels& labels, const std::string& key) {
  return labels.contains(key);
}

// Do the labels satisfy what the side says positively?  Absent: the side has no such selector.
struct Wanted {
  const Side& side;
  const std::string& space;
  bool any_selector() const {
    const bool core = side.selector || side.by_account();
    const bool spaced =
        side.namespace_selector || (!space.empty() && side.not_selector.has_value());
    return core || spaced;
  }
  bool satisfied_by(const Labels& labels) const {
    return spaces_match(labels) && accounts_match(labels) &&
           (!side.selector || matches(*side.selector, labels, "", All::anything));
  }

 private:
  bool spaces_match(const Labels& labels) const {
    if (side.namespace_selector) {
      if (side.namespace_selector->kind == Selector::Kind::global) {
        return !has(labels, kSpace);
      }
      return matches(*side.namespace_selector, labels, "pcns.", All::has_namespace);
    }
    if (space.empty() || !any_selector()) {
      return true;
    }
    const auto it = labels.find(kSpace);
    return it != labels.end() && it->second == space;
  }
  bool accounts_match(const Labels& labels) const {
    if (side.account_selector &&
        !matches(*side.account_selector, labels, "pcsa.", All::anything)) {
      return false;
    }
    if (side.accounts.empty()) {
      return true;
    }
    const auto it = labels.find(kAccount);
    return it != labels.end() && holds(side.accounts, it->second);
  }
};

// Is the address one of an object that `wanted` accepts?
template <typename Accept>
bool known_address(const Cluster& c, const Ip& ip, Accept accept) {
  for (const Pod& p : c.pods) {
    if ((p.ip == ip || p.ip6 == ip) && accept(effective_labels(c, p))) {
      return true;
    }
  }
  for (const Set& s : c.sets) {
    const bool inside =
        std::any_of(s.nets.begin(), s.nets.end(), [&](const Net& n) { return n.contains(ip); });
    if (inside && accept(effective_labels(c, s))) {
      return true;
    }
  }
  return false;
}

// Has a pod at `ip`, which `wanted` accepts, a port of that name and number?
bool named_port(const Cluster& c, const Wanted& wanted, const std::string& name, const Ip& ip,
                uint8_t protocol, uint16_t port) {
  for (const Pod& p : c.pods) {
    if ((p.ip != ip && p.ip6 != ip) || !wanted.satisfied_by(effective_labels(c, p))) {
      continue;
    }
    for (const NamedPort& n : p.ports) {
      if (n.name == name && number_of(n.protocol) == protocol && n.port == port) {
        return true;
      }
    }
  }
  return false;
}

bool any_port(const Cluster& c, const Wanted& wanted, const std::vector<Ports>& ports,
              const Ip& ip, uint8_t protocol, uint16_t port) {
  return ported(protocol) && std::any_of(ports.begin(), ports.end(), [&](const Ports& p) {
           return p.name.empty() ? p.low <= port && port <= p.high
                                 : named_port(c, wanted, p.name, ip, protocol, port);
         });
}

bool any_net(const std::vector<Net>& nets, const Ip& ip) {
  return std::any_of(nets.begin(), nets.end(), [&](const Net& n) { return n.contains(ip); });
}

// Of a source every address of the service's slices, of a destination with one of the slice's
// ports; ready or not (semantics 3.6).
bool in_service(const Cluster& c, const std::string& space, const Service& service, bool source,
                const Ip& ip, uint8_t protocol, uint16_t port) {
  return std::any_of(c.slices.begin(), c.slices.end(), [&](const Slice& s) {
    if (s.service != service.name ||
        s.space != (service.space.empty() ? space : service.space) || !holds(s.addresses, ip)) {
      return false;
    }
    return source || std::any_of(s.ports.begin(), s.ports.end(), [&](const SlicePort& p) {
             return p.port != 0 && p.port == port &&
                    number_of(p.protocol.empty() ? "TCP" : p.protocol) == protocol;
           });
  });
}

bool side_matches(const Cluster& c, const std::string& space, const Side& s, bool source,
                  const Ip& ip, uint8_t protocol, uint16_t port) {
  const Wanted wanted{s, space};
  if ((!s.nets.empty() && !any_net(s.nets, ip)) || any_net(s.not_nets, ip)) {
    return false;
  }
  if (wanted.any_selector() && !known_address(c, ip, [&](const Labels& labels) {
        return wanted.satisfied_by(labels);
      })) {
    return false;
  }
  if (s.not_selector && known_address(c, ip, [&](const Labels& labels) {
        return matches(*s.not_selector, labels, "", All::anything);
      })) {
    return false;
  }
  if (s.service && !in_service(c, space, *s.service, source, ip, protocol, port)) {
    return false;
  }
  if (!s.ports.empty() && !any_port(c, wanted, s.ports, ip, protocol, port)) {
    return false;
  }
  return s.not_ports.empty() || !any_port(c, wanted, s.not_ports, ip, protocol, port);
}

// Does the rule exist for this IP version, semantics 3.2 and 3.3?
bool exists_for(const Rule& r, bool v6) {
  int version = r.version;
  if (version == 0 && r.protocol) {
    version = r.protocol->name == "ICMP" ? 4 : r.protocol->name == "ICMPv6" ? 6 : 0;
  }
  if (version != 0 && version != (v6 ? 6 : 4)) {
    return false;
  }
  for (const std::vector<Net>* nets :
       {&r.source.nets, &r.source.not_nets, &r.destination.nets, &r.destination.not_nets}) {
    const bool some =
        std::any_of(nets->begin(), nets->end(), [&](const Net& n) { return n.base.v6 == v6; });
    if (!nets->empty() && !some) {
      return false;
    }
  }
  for (const std::vector<Net>* nets : {&r.source.not_nets, &r.destination.not_nets}) {
    for (const Net& n : *nets) {
      if (n.base.v6 == v6 && n.length == 0) {
        return false;
      }
    }
  }
  return true;
}

bool icmp_matches(const Icmp& i, const Packet& p) {
  const bool icmp = p.protocol == (p.src.v6 ? 58 : 1);
  return icmp && p.type == i.type && (!i.code || p.code == *i.code);
}

}  // namespace

bool matches(const Selector& s, const Labels& labels, const std::string& prefix, All all) {
  using Kind = Selector::Kind;
  const auto it = labels.find(prefix + s.key);
  const bool present = it != labels.end();
  const std::string value = present ? it->second : "";
  const auto part = [&](const Selector& x) { return matches(x, labels, prefix, all); };
  switch (s.kind) {
    case Kind::all:
    case Kind::global:
      return all == All::anything || has(labels, all == All::has_account ? kAccount : kSpace);
    case Kind::has:
      return present;
    case Kind::eq:
      return present && value == s.values.at(0);
    case Kind::ne:
      return !present || value != s.values.at(0);
    case Kind::in:
      return present && holds(s.values, value);
    case Kind::not_in:
      return !present || !holds(s.values, value);
    case Kind::contains:
      return present && value.find(s.values.at(0)) != std::string::npos;
    case Kind::starts:
      return present && value.starts_with(s.values.at(0));
    case Kind::ends:
      return present && value.ends_with(s.values.at(0));
    case Kind::both:
      return std::all_of(s.parts.begin(), s.parts.end(), part);
    case Kind::either:
      return std::any_of(s.parts.begin(), s.parts.end(), part);
    case Kind::no:
      return !part(s.parts.at(0));
  }
  return false;
}

Labels effective_labels(const Cluster& c, const Pod& pod) {
  Labels out = pod.labels;
  out[kSpace] = pod.space;
  out[kOrchestrator] = "k8s";
  std::erase_if(out, [](const auto& label) {
    return label.first.starts_with("pcns.") || label.first.starts_with("pcsa.");
  });
  if (!pod.account.empty()) {
    out[kAccount] = pod.account;
  }
  for (const std::string& name : profiles_of(pod)) {
    inherit(out, labels_of_profile(c, name));
  }
  return out;
}

Labels effective_labels(const Cluster& c, const Set& set) {
  Labels out = set.labels;
  if (!set.space.empty()) {
    out[kSpace] = set.space;
    inherit(out, labels_of_profile(c, "kns." + set.space));
  }
  return out;
}

std::vector<std::string> profiles_of(const Pod& pod) {
  if (pod.endpoint) {
    return pod.profiles;
  }
  std::vector<std::string> out = {"kns." + pod.space};
  if (!pod.account.empty()) {
    out.push_back("ksa." + pod.space + "." + pod.account);
  }
  return out;
}

std::vector<Rule> profile_rules(const Cluster& c, const std::string& name, bool egress) {
  Rule allow;
  allow.act = Act::allow;
  if (name == "projectcalico-default-allow") {
    return {allow};
  }
  for (const Space& s : c.spaces) {
    if (!s.missing && "kns." + s.name == name) {
      return {allow};
    }
  }
  for (const Account& a : c.accounts) {
    if ("ksa." + a.space + "." + a.name == name) {
      return {};
    }
  }
  for (const Profile& p : c.profiles) {
    if (p.name == name) {
      // Of a profile, Pass means deny (semantics 2.3).
      std::vector<Rule> rules = egress ? p.egress : p.ingress;
      for (Rule& r : rules) {
        r.act = r.act == Act::pass ? Act::deny : r.act;
      }
      return rules;
    }
  }
  return {Rule{}};
}

bool rule_matches(const Cluster& c, const std::string& space, const Rule& r, const Packet& p) {
  return exists_for(r, p.src.v6) && (!r.protocol || r.protocol->number == p.protocol) &&
         (!r.not_protocol || r.not_protocol->number != p.protocol) &&
         (!r.icmp || icmp_matches(*r.icmp, p)) &&
         (!r.not_icmp || !icmp_matches(*r.not_icmp, p)) &&
         side_matches(c, space, r.source, true, p.src, p.protocol, p.sport) &&
         side_matches(c, space, r.destination, false, p.dst, p.protocol, p.dport);
}

}  // namespace sluice::differential
