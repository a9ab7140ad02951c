// SPDX-License-Identifier: Apache-2.0
#include "control/rules.h"

#include <algorithm>

#include "control/kubernetes.h"

namespace sluice::control {
namespace {

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
                                                const std::string& namespace_name,
                                                RuleNotes& notes) {
  Selectors out;
  std::optional<Selector> core;
  if (e.service_accounts) {
    const config::Text& text = e.service_accounts->selector;
    if (!text.empty()) {
      core = parse_selector(text, notes.findings).with_key_prefix("pcsa.");
    }
    if (!e.service_accounts->names.empty()) {
      core = both(core, Selector::in(kAccountLabel, e.service_accounts->names));
    }
  }
  if (!e.selector.empty()) {
    core = both(core, parse_selector(e.selector, notes.findings));
  }
  if (!e.not_selector.empty()) {
    out.negated = parse_selector(e.not_selector, notes.findings);
  }
  std::optional<Selector> space;
  if (!e.namespace_selector.empty()) {
    space = parse_namespace_selector(e.namespace_selector, notes.findings);
  } else if (!namespace_name.empty()) {
    space = Selector::equals(kNamespaceLabel, namespace_name);
  }
  const bool scoped = core || out.negated || !e.namespace_selector.empty();
  out.effective = space && scoped ? both(space, core) : core;
  if (e.services) {
    const ServiceName service = service_name(*e.services, namespace_name);
    notes.services.push_back({service, rule.where});
    if (service.first.empty()) {
      notes.findings.error(
          rule.where, "service \"" + service.second + "\": a global policy's has a namespace",
          "services: {name: " + service.second + ", namespace: ...}");
    }
  }
  return out;
}

void RuleCompiler::ports(const std::vector<config::RulePort>& from,
                         const std::optional<Selector>& selector, const config::Rule& rule,
                         std::vector<PortRange>& ranges, std::vector<SetId>& sets) {
  std::optional<uint8_t> protocol;
  if (rule.protocol) {
    protocol = rule.protocol->number;
  }
  for (const config::RulePort& port : from) {
    if (const auto* range = std::get_if<PortRange>(&port)) {
      ranges.push_back(*range);
    } else {
      sets.push_back(sets_.ports(std::get<std::string>(port), selector, protocol));
    }
  }
}

RuleSide RuleCompiler::side(const config::EntityRule& e, const config::Rule& rule,
                            const std::string& namespace_name, RuleNotes& notes) {
  RuleSide out;
  const Selectors of = selectors(e, rule, namespace_name, notes);
  if (of.effective) {
    out.sets.push_back(sets_.addresses(*of.effective));
  }
  if (of.negated) {
    out.not_sets.push_back(sets_.addresses(*of.negated));
  }
  const uint8_t families = families_of(rule);
  out.nets = of_families(e.nets, families);
  out.not_nets = of_families(e.not_nets, families);
  if (e.services && &e == &rule.source) {
    out.sets.push_back(sets_.addresses(service_name(*e.services, namespace_name)));
  } else if (e.services) {
    out.port_sets.push_back(sets_.ports(service_name(*e.services, namespace_name)));
  }
  ports(e.ports, of.effective, rule, out.ports, out.port_sets);
  ports(e.not_ports, of.effective, rule, out.not_ports, out.not_port_sets);
  return out;
}

void RuleCompiler::check(const config::Rule& rule, const std::string& namespace_name,
                         RuleNotes& notes) {
  selectors(rule.source, rule, namespace_name, notes);
  selectors(rule.destination, rule, namespace_name, notes);
}

Rule RuleCompiler::compile(const config::Rule& rule, const std::string& namespace_name,
                           RuleNotes& notes) {
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
  out.source = side(rule.source, rule, namespace_name, notes);
  out.destination = side(rule.destination, rule, namespace_name, notes);
  return out;
}

}  // namespace sluice::control
