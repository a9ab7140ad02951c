// SPDX-License-Identifier: Apache-2.0
#include "control/lint.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "control/compile.h"
#include "control/endpoints.h"
#include "control/kubernetes.h"
#include "control/rule_cover.h"
#include "control/rules.h"

namespace sluice::control {
namespace {

std::string called(const config::Meta& meta) {
  return meta.kind + " \"" + qualified(meta.namespace_name, meta.name) + "\"";
}

class Linter {
 public:
  Linter(const config::Model& model, config::Findings& findings)
      : model_(model), findings_(findings) {
    inventory_.update(model, Whose::of_all_nodes, ignored_);
    for (const Workload* w : inventory_.workloads()) {
      learn(w->endpoint.labels);
      of_workloads_.insert(w->labels);
    }
    for (const Workload* host : inventory_.hosts()) {
      learn(host->endpoint.labels);
      of_hosts_.insert(host->labels);
    }
    for (const config::NetworkSet& set : model.network_sets) {
      learn(set.meta.labels);
    }
  }

  void run() {
    for (const config::Policy& policy : model_.policies) {
      check(policy);
    }
    for (const config::KubernetesPolicy& policy : model_.kubernetes_policies) {
      check(to_policy(policy));
    }
    for (const config::ClusterPolicy& policy : model_.cluster_policies) {
      check(to_policy(policy));
    }
    for (const config::Profile& profile : model_.profiles) {
      check(profile.ingress, "");
      check(profile.egress, "");
    }
    check_transit();
  }

 private:
  void learn(const config::Labels& labels) {
    for (const auto& [key, value] : labels) {
      labels_[key].insert(value);
    }
  }

  // Once each: a Kubernetes rule becomes many.
  void warn(const config::Where& where, const std::string& message, const std::string& hint) {
    if (said_.emplace(where.file, where.line, where.column, message).second) {
      findings_.warning(
          where, message,
          hint.empty() ? "check it against the labels of pods and namespaces" : hint);
    }
  }

  void check(const config::Policy& p) {
    if (p.staging == config::Staging::removed) {
      return;
    }
    check_selector(p);
    const std::string scope = p.global ? "" : p.meta.namespace_name;
    std::vector<Action> actions;
    for (const Direction direction : {Direction::ingress, Direction::egress}) {
      const bool ingress = direction == Direction::ingress;
      const std::vector<config::Rule>& rules = ingress ? p.ingress : p.egress;
      if (!applies(p, direction) && !rules.empty()) {
        warn(rules.front().where,
             std::string(ingress ? "ingress" : "egress") + " rules are ignored: the policy's " +
                 "types do not name " + (ingress ? "Ingress" : "Egress"),
             std::string("add ") + (ingress ? "Ingress" : "Egress") + " to types");
        continue;
      }
      for (const config::Rule& rule : rules) {
        actions.push_back(rule.action);
      }
      check(rules, scope);
    }
    if (!actions.empty() && std::all_of(actions.begin(), actions.end(),
                                        [](Action a) { return a == Action::log; })) {
      warn(p.meta.where,
           called(p.meta) + " only logs: what it selects gets the end of tier \"" + p.tier +
               "\", which denies unless the tier says Pass",
           "add a rule with action: Allow or Pass");
    }
  }

  void check_selector(const config::Policy& p) {
    // These never reach a workload, and files of workloads alone say nothing of hosts.
    const bool for_hosts = p.do_not_track || p.pre_dnat || p.apply_on_forward;
    const bool for_workloads = !p.do_not_track && !p.pre_dnat;
    if (for_hosts ? of_hosts_.empty() : of_workloads_.empty() && of_hosts_.empty()) {
      return;
    }
    const Selector selector = policy_selector(p, ignored_);
    for (const LabelsId id : inventory_.index().matching(selector)) {
      if (of_hosts_.contains(id) || (for_workloads && of_workloads_.contains(id))) {
        return;
      }
    }
    warn(p.selector.where.line != 0 ? p.selector.where : p.meta.where,
         called(p.meta) + " selects no endpoint that these files know", hint_for(selector));
  }

  // Which label that the selector asks for nobody has, or "".
  std::string hint_for(const Selector& selector) const {
    for (const Selector::Term& term : selector.required_terms()) {
      const auto known = labels_.find(term.key);
      if (known == labels_.end()) {
        return missing("no endpoint or network set has the label \"" + term.key + "\"",
                       term.key, keys());
      }
      if (!term.values) {
        continue;
      }
      const std::set<std::string>& values = known->second;
      const bool any = std::any_of(term.values->begin(), term.values->end(),
                                   [&](const std::string& v) { return values.contains(v); });
      if (!any && !term.values->empty()) {
        return missing("nothing has " + term.key + " == \"" + term.values->front() + "\"",
                       term.values->front(), {values.begin(), values.end()});
      }
    }
    return "";
  }

  std::vector<std::string_view> keys() const {
    std::vector<std::string_view> out;
    for (const auto& [key, values] : labels_) {
      out.push_back(key);
    }
    return out;
  }

  static std::string missing(const std::string& what, const std::string& word,
                             const std::vector<std::string_view>& known) {
    const std::string near = config::nearest(word, known);
    return what + (near.empty() ? "" : "; did you mean \"" + near + "\"?");
  }

  void check(const std::vector<config::Rule>& written, const std::string& scope) {
    std::vector<Rule> rules;
    RuleNotes said;  // by compiling
    for (const config::Rule& rule : written) {
      rules.push_back(compiler_.compile(rule, scope, said));
      sets_.fill(rules.back(), set_, names_);
      const Rule& made = rules.back();
      const std::string why = contradiction(set_, made);
      if (!why.empty()) {
        warn(rule.where, "this rule can never match: " + why, "remove it, or what contradicts");
      }
      check_side(rule, rule.source, made.source, scope, "source");
      check_side(rule, rule.destination, made.destination, scope, "destination");
    }
    for (size_t later = 0; later < rules.size(); ++later) {
      check_hidden(written, rules, later);
    }
  }

  void check_hidden(const std::vector<config::Rule>& written, const std::vector<Rule>& rules,
                    size_t later) {
    for (size_t i = 0; i < later; ++i) {
      const config::Where& before = written[i].where;
      const config::Where& here = written[later].where;
      const bool one_text = before.line == here.line && before.column == here.column;
      if (rules[i].action != Action::log && !one_text && covers(rules[i], rules[later])) {
        warn(here,
             "this rule can never match: the one in line " + std::to_string(before.line) +
                 " before it takes all of it",
             "move it up, or remove it");
        return;
      }
    }
  }

  void check_side(const config::Rule& rule, const config::EntityRule& written,
                  const RuleSide& made, const std::string& scope, const std::string& side) {
    if (inventory_.workloads().empty()) {
      return;
    }
    const auto empty = [&](SetId id) { return set_.address_sets[id]->ranges().empty(); };
    const auto placed = [&](const config::Text& a, const config::Text& b) {
      return a.where.line != 0 ? a.where : b.where.line != 0 ? b.where : rule.where;
    };
    if (std::any_of(made.sets.begin(), made.sets.end(), empty)) {
      warn(placed(written.selector, written.namespace_selector),
           side + " matches nothing that these files know: the rule never matches",
           side_hint(written, scope));
    }
    if (std::any_of(made.not_sets.begin(), made.not_sets.end(), empty)) {
      warn(placed(written.not_selector, written.not_selector),
           side + ": notSelector excludes nothing that these files know",
           hint_for(parse_selector(written.not_selector, ignored_)));
    }
    check_named(rule, written.ports, made.port_sets, side);
    check_named(rule, written.not_ports, made.not_port_sets, side);
  }

  std::string side_hint(const config::EntityRule& written, const std::string& scope) {
    if (written.services) {
      return "the service's EndpointSlices list no address";
    }
    const std::string hint =
        written.selector.empty() ? "" : hint_for(parse_selector(written.selector, ignored_));
    const bool scoped = !scope.empty() && written.namespace_selector.empty();
    return scoped && hint.empty()
               ? "without a namespaceSelector it looks in namespace \"" + scope + "\" only"
               : hint;
  }

  // A named port that no endpoint has matches nothing.
  void check_named(const config::Rule& rule, const std::vector<config::RulePort>& written,
                   const std::vector<SetId>& made, const std::string& side) {
    size_t next = 0;
    for (const config::RulePort& port : written) {
      if (const auto* name = std::get_if<std::string>(&port)) {
        if (set_.port_sets[made[next]]->members().empty()) {
          warn(rule.where,
               side + ": no endpoint that it could mean has a port \"" + *name + "\"",
               "named ports are those of the pods' containers, with the rule's protocol");
        }
        ++next;
      }
    }
  }

  void check_transit() {
    const config::Settings& s = model_.settings;
    if (s.node.empty()) {
      return;
    }
    if (s.path.transit_allow) {
      findings_.warning(s.path.transit_at,
                        "path.transit: allow forwards what touches no pod; no policy judges it "
                        "but those with applyOnForward at a HostEndpoint",
                        "path: {transit: deny} drops it as rt_transit");
    } else if (s.path.transit_at.line == 0) {
      findings_.note({s.node_at.file, 1, 1},
                     "what touches no pod is dropped as rt_transit: path.transit is not set",
                     "path: {transit: deny} says that it is meant, allow forwards it");
    }
  }

  const config::Model& model_;
  config::Findings& findings_;
  config::Findings ignored_;  // loading and compiling said it already
  Inventory inventory_;
  Sets sets_{inventory_};
  RuleCompiler compiler_{sets_};
  RuleSet set_;
  SetNames names_;
  std::map<std::string, std::set<std::string>> labels_;  // values by key
  std::set<LabelsId> of_workloads_;
  std::set<LabelsId> of_hosts_;
  std::set<std::tuple<uint32_t, int, int, std::string>> said_;
};

}  // namespace

void lint(const config::Model& model, config::Findings& findings) {
  Linter(model, findings).run();
}

}  // namespace sluice::control
