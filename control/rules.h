// SPDX-License-Identifier: Apache-2.0
// Calico rules to numeric rules: selectors folded into sets, named ports into port sets, CIDRs
// filtered by family.
//
// Used by one compilation; it grows the RuleSet that it was given.  Selectors with one
// canonical text share a set.  Source: Calico semantics, section 3.
#ifndef SLUICE_CONTROL_RULES_H_
#define SLUICE_CONTROL_RULES_H_

#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "classifier/rule.h"
#include "control/endpoints.h"

namespace sluice::control {

// Parses the text of any selector but a rule's namespaceSelector, the one place for global().
// An error becomes a finding at its place, and the result all().
Selector parse_selector(const config::Text& text, config::Findings& findings);

class RuleCompiler {
 public:
  RuleCompiler(const Inventory& inventory, RuleSet& out, config::Findings& findings)
      : inventory_(inventory), out_(out), findings_(findings) {}

  // `namespace_name`: of the policy that holds the rule, "" for a global one.
  Rule compile(const config::Rule& rule, const std::string& namespace_name);
  // The findings of compile() alone, for a rule that no local endpoint runs: no set is made.
  void check(const config::Rule& rule, const std::string& namespace_name);
  const SetNames& names() const { return names_; }

 private:
  RuleSide side(const config::EntityRule& e, const config::Rule& rule,
                const std::string& namespace_name);
  // A side's selectors parsed, or its findings.  `effective`: what its selector fields but
  // notSelector amount to, if there is anything.
  struct Selectors {
    std::optional<Selector> effective;
    std::optional<Selector> negated;
  };
  Selectors selectors(const config::EntityRule& e, const config::Rule& rule,
                      const std::string& namespace_name);
  void check_service(const ServiceName& service, const config::Rule& rule);
  // Adds the service's set to the side: of addresses to a source, of ports to a destination.
  void add_service(const ServiceName& service, bool source, RuleSide& side);
  SetId address_set(const Selector& selector);
  SetId port_set(const std::string& name, const std::optional<Selector>& selector,
                 const std::optional<config::Protocol>& protocol);
  void ports(const std::vector<config::RulePort>& from, const std::optional<Selector>& selector,
             const config::Rule& rule, std::vector<PortRange>& ranges,
             std::vector<SetId>& sets);

  const Inventory& inventory_;
  RuleSet& out_;
  SetNames names_;
  config::Findings& findings_;
  std::map<std::string, SetId> address_sets_;
  std::map<std::tuple<std::string, std::string, int>, SetId> port_sets_;
  std::map<ServiceName, SetId> service_addresses_;
  std::map<ServiceName, SetId> service_ports_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_RULES_H_
