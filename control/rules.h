// SPDX-License-Identifier: Apache-2.0
// Calico rules to numeric rules: selectors folded into sets, named ports into port sets, CIDRs
// filtered by family.
//
// What comes of a rule depends on the rule alone, the ids of its sets included: who is in them
// is Sets' business.  Source: Calico semantics, section 3.
#ifndef SLUICE_CONTROL_RULES_H_
#define SLUICE_CONTROL_RULES_H_

#include <optional>
#include <string>
#include <vector>

#include "classifier/rule.h"
#include "control/sets.h"

namespace sluice::control {

// Parses the text of any selector but a rule's namespaceSelector, the one place for global().
// An error becomes a finding at its place, and the result all().
Selector parse_selector(const config::Text& text, config::Findings& findings);

// What there is to say about rules besides what they become.
struct RuleNotes {
  config::Findings findings;
  struct Service {
    ServiceName name;
    config::Where where;
  };
  std::vector<Service> services;  // that rules name
  bool none() const { return findings.all().empty() && services.empty(); }
};

class RuleCompiler {
 public:
  explicit RuleCompiler(Sets& sets) : sets_(sets) {}

  // `namespace_name`: of the policy that holds the rule, "" for a global one.
  Rule compile(const config::Rule& rule, const std::string& namespace_name, RuleNotes& notes);
  // The notes of compile() alone, for a rule that no local endpoint runs: no set is made.
  static void check(const config::Rule& rule, const std::string& namespace_name,
                    RuleNotes& notes);

 private:
  // A side's selectors parsed.  `effective`: what its selector fields but notSelector amount
  // to, if there is anything.
  struct Selectors {
    std::optional<Selector> effective;
    std::optional<Selector> negated;
  };
  static Selectors selectors(const config::EntityRule& e, const config::Rule& rule,
                             const std::string& namespace_name, RuleNotes& notes);
  RuleSide side(const config::EntityRule& e, const config::Rule& rule,
                const std::string& namespace_name, RuleNotes& notes);
  void ports(const std::vector<config::RulePort>& from, const std::optional<Selector>& selector,
             const config::Rule& rule, std::vector<PortRange>& ranges,
             std::vector<SetId>& sets);

  Sets& sets_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_RULES_H_
