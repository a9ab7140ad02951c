// SPDX-License-Identifier: Apache-2.0
#include "control/rules.h"

#include <algorithm>

#include "control/hash.h"

namespace sluice::control {
namespace {

constexpr const char* kNamespaceLabel = "projectcalico.org/namespace";
constexpr const char* kAccountLabel = "projectcalico.org/serviceaccount";

std::optional<Selector> both(const std::optional<Selector>& a,
                             const std::optional<Selector>& b) {
  if (a && b) {
    return Selector::conjunction(*a, *b);
  }
  return a ? a : b;
}

uint8_t family_of(const std::vector<Prefix>& nets) {
  uint8_t out = 0;
  for (const Prefix& p : nets) {
    out |= p.is_v4() ? Rule::kV4 : Rule::kV6;
  }
  return out;
}

// For which families the rule exists (section 3.3).
uint8_t families_of(const config::Rule& rule) {
  uint8_t out = Rule::kV4 | Rule::kV6;
  if (rule.ip_version) {
    out = *rule.ip_version == 4 ? Rule::kV4 : Rule::kV6;
  } else if (rule.protocol && rule.protocol->by_name) {
    if (rule.protocol->number == proto::kIcmp) {
      out = Rule::kV4;
    } else if (rule.protocol->number == proto::kIcmp6) {
      out = Rule::kV6;
    }
  }
  for (const config::EntityRule* e : {&rule.source, &rule.destination}) {
    for (const auto* nets : {&e->nets, &e->not_nets}) {
      out &= nets->empty() ? out : family_of(*nets);
    }
    for (const Prefix& p : e->not_nets) {  // "not everything" can never hold
      const bool everything = p.written_length() == 0;
      out &= static_cast<uint8_t>(everything ? (p.is_v4() ? ~Rule::kV4 : ~Rule::kV6) : 0xff);
    }
  }
  return out;
}

std::vector<Prefix> of_families(const std::vector<Prefix>& nets, uint8_t families) {
  std::vector<Prefix> out;
  for (const Prefix& p : nets) {
    if ((families & (p.is_v4() ? Rule::kV4 : Rule::kV6)) != 0) {
      out.push_back(p);
    }
  }
  return out;
}

Selector parse(const config::Text& text, config::Findings& findings) {
  size_t offset = 0;
  auto parsed = Selector::parse(text.value, &offset);
  if (parsed) {
    return std::move(*parsed);
  }
  config::Where where = text.where;
  where.column += text.verbatim ? static_cast<int>(offset) : 0;
  findings.error(where, "selector \"" + text.value + "\": " + parsed.error().what,
                 parsed.error().hint);
  return Selector::all();
}

// A rule's namespaceSelector, over the labels that endpoints have of their namespaces.
Selector parse_namespace_selector(const config::Text& text, config::Findings& findings) {
  const Selector parsed = parse(text, findings);
  if (parsed.mentions_global() && !parsed.is_exactly_global()) {
    findings.error(text.where, "global() must be the whole namespaceSelector");
  }
  const Selector named = Selector::has(kNamespaceLabel);
  return parsed.with_key_prefix("pcns.").with_all_replaced(named, named.negated());
}

// A service without a namespace is of the policy's (decided so; the reference's set is empty).
ServiceName service_name(const config::ServiceMatch& match, const std::string& namespace_name) {
  return {match.namespace_name.empty() ? namespace_name : match.namespace_name, match.name};
}

}  // namespace

Selector parse_selector(const config::Text& text, config::Findings& findings) {
  Selector parsed = parse(text, findings);
  if (parsed.mentions_global()) {
    findings.error(text.where, "global() belongs in a rule's namespaceSelector");
  }
  return parsed;
}

RuleCompiler::Selectors RuleCompiler::selectors(const config::EntityRule& e,
                                                const config::Rule& rule,
                                                const std::string& namespace_name) {
  Selectors out;
  std::optional<Selector> core;
  if (e.service_accounts) {
    const config::Text& text = e.service_accounts->selector;
    if (!text.empty()) {
      core = parse_selector(text, findings_).with_key_prefix("pcsa.");
    }
    if (!e.service_accounts->names.empty()) {
      core = both(core, Selector::in(kAccountLabel, e.service_accounts->names));
    }
  }
  if (!e.selector.empty()) {
    core = both(core, parse_selector(e.selector, findings_));
  }
  if (!e.not_selector.empty()) {
    out.negated = parse_selector(e.not_selector, findings_);
  }
  std::optional<Selector> space;
  if (!e.namespace_selector.empty()) {
    space = parse_namespace_selector(e.namespace_selector, findings_);
  } else if (!namespace_name.empty()) {
    space = Selector::equals(kNamespaceLabel, namespace_name);
  }
  const bool scoped = core || out.negated || !e.namespace_selector.empty();
  out.effective = space && scoped ? both(space, core) : core;
  if (e.services) {
    check_service(service_name(*e.services, namespace_name), rule);
  }
  return out;
}

void RuleCompiler::check_service(const ServiceName& service, const config::Rule& rule) {
  if (service.first.empty()) {
    findings_.error(rule.where,
                    "service \"" + service.second + "\": a global policy's has a namespace",
                    "services: {name: " + service.second + ", namespace: ...}");
  } else if (!inventory_.services.contains(service)) {
    findings_.warning(rule.where, "service " + service.first + "/" + service.second +
                                      " has no EndpointSlice: the rule matches nothing");
  }
}

void RuleCompiler::add_service(const ServiceName& service, bool source, RuleSide& side) {
  static const ServiceMembers nobody;
  const auto known = inventory_.services.find(service);
  const ServiceMembers& members = known == inventory_.services.end() ? nobody : known->second;
  auto& ids = source ? service_addresses_ : service_ports_;
  const auto [it, fresh] = ids.emplace(
      service, static_cast<SetId>(source ? out_.address_sets.size() : out_.port_sets.size()));
  (source ? side.sets : side.port_sets).push_back(it->second);
  const std::string name = qualified(service.first, service.second);
  if (fresh && source) {
    names_.addresses.push_back(unique_id("svcnoport", name));
    out_.address_sets.emplace_back(members.addresses);
  } else if (fresh) {
    names_.ports.push_back(unique_id("svc", name));
    out_.port_sets.emplace_back(members.ports);
  }
}

SetId RuleCompiler::address_set(const Selector& selector) {
  const auto [it, fresh] =
      address_sets_.emplace(selector.canonical(), static_cast<SetId>(out_.address_sets.size()));
  if (!fresh) {
    return it->second;
  }
  const std::vector<LabelsId> ids = inventory_.index.matching(selector);
  const auto matches = [&](LabelsId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
  };
  std::vector<Prefix> members;
  for (const auto* ends : {&inventory_.workloads, &inventory_.hosts}) {
    for (const Workload& w : *ends) {
      if (!matches(w.labels)) {
        continue;
      }
      for (const Address& address : w.endpoint.addresses) {
        members.push_back(Prefix::of(address, 128));
      }
    }
  }
  for (const LabelledSet& set : inventory_.sets) {
    if (matches(set.labels)) {
      members.insert(members.end(), set.nets.begin(), set.nets.end());
    }
  }
  names_.addresses.push_back(selector.id());
  out_.address_sets.emplace_back(members);
  return it->second;
}

SetId RuleCompiler::port_set(const std::string& name, const std::optional<Selector>& selector,
                             const std::optional<config::Protocol>& protocol) {
  const int number = protocol ? protocol->number : -1;
  const auto [it, fresh] =
      port_sets_.emplace(std::tuple(name, selector ? selector->canonical() : "", number),
                         static_cast<SetId>(out_.port_sets.size()));
  if (!fresh) {
    return it->second;
  }
  const Selector whose = selector ? *selector : Selector::all();
  const char* text = number == proto::kUdp ? "udp" : number == proto::kSctp ? "sctp" : "tcp";
  names_.ports.push_back(unique_id("n", whose.id() + "," + text + "," + name));
  const std::vector<LabelsId> ids = inventory_.index.matching(whose);
  std::vector<PortSet::Member> members;
  const auto add = [&](const Workload& w) {
    for (const config::NamedPort& port : w.ports) {
      if (port.name != name || !proto::has_ports(port.protocol) ||
          (number >= 0 && port.protocol != number)) {
        continue;
      }
      for (const Address& address : w.endpoint.addresses) {
        members.push_back({address, port.protocol, port.port});
      }
    }
  };
  for (const auto* ends : {&inventory_.workloads, &inventory_.hosts}) {
    for (const Workload& w : *ends) {
      if (std::binary_search(ids.begin(), ids.end(), w.labels)) {
        add(w);
      }
    }
  }
  out_.port_sets.emplace_back(members);
  return it->second;
}

void RuleCompiler::ports(const std::vector<config::RulePort>& from,
                         const std::optional<Selector>& selector, const config::Rule& rule,
                         std::vector<PortRange>& ranges, std::vector<SetId>& sets) {
  for (const config::RulePort& port : from) {
    if (const auto* range = std::get_if<PortRange>(&port)) {
      ranges.push_back(*range);
    } else {
      sets.push_back(port_set(std::get<std::string>(port), selector, rule.protocol));
    }
  }
}

RuleSide RuleCompiler::side(const config::EntityRule& e, const config::Rule& rule,
                            const std::string& namespace_name) {
  RuleSide out;
  const Selectors of = selectors(e, rule, namespace_name);
  if (of.effective) {
    out.sets.push_back(address_set(*of.effective));
  }
  if (of.negated) {
    out.not_sets.push_back(address_set(*of.negated));
  }
  const uint8_t families = families_of(rule);
  out.nets = of_families(e.nets, families);
  out.not_nets = of_families(e.not_nets, families);
  if (e.services) {
    add_service(service_name(*e.services, namespace_name), &e == &rule.source, out);
  }
  ports(e.ports, of.effective, rule, out.ports, out.port_sets);
  ports(e.not_ports, of.effective, rule, out.not_ports, out.not_port_sets);
  return out;
}

void RuleCompiler::check(const config::Rule& rule, const std::string& namespace_name) {
  selectors(rule.source, rule, namespace_name);
  selectors(rule.destination, rule, namespace_name);
}

Rule RuleCompiler::compile(const config::Rule& rule, const std::string& namespace_name) {
  Rule out;
  out.action = rule.action;
  out.families = families_of(rule);
  if (rule.protocol) {
    out.protocol = rule.protocol->number;
  }
  if (rule.not_protocol) {
    out.not_protocol = rule.not_protocol->number;
  }
  out.icmp = rule.icmp;
  out.not_icmp = rule.not_icmp;
  out.source = side(rule.source, rule, namespace_name);
  out.destination = side(rule.destination, rule, namespace_name);
  return out;
}

}  // namespace sluice::control
