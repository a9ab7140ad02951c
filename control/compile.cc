// SPDX-License-Identifier: Apache-2.0
#include "control/compile.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "control/endpoints.h"
#include "control/host_endpoints.h"
#include "control/kubernetes.h"
#include "control/rules.h"

namespace sluice::control {
namespace {

constexpr const char* kNamespaceLabel = "projectcalico.org/namespace";
constexpr const char* kAccountLabel = "projectcalico.org/serviceaccount";
constexpr const char* kProfileTier = "__PROFILE__";
constexpr const char* kFailsafeTier = "__FAILSAFE__";

// Into which a host endpoint's policies part (semantics 2.2); workloads have the last only.
enum class Part : uint8_t { untracked, pre_dnat, forward, normal };

// A tier in the order of section 2.1; one that no resource defines comes last and denies.
struct TierRank {
  bool unknown = false;
  double order = 0;
  std::string name;
  TierEnd end = TierEnd::deny;
  friend bool operator<(const TierRank& a, const TierRank& b) {
    return std::tie(a.unknown, a.order, a.name) < std::tie(b.unknown, b.order, b.name);
  }
};

using TierRanks = std::map<std::string, TierRank, std::less<>>;

TierRanks rank_tiers(const config::Model& model) {
  TierRanks out;
  const auto add = [&](std::string_view name, double order, bool pass) {
    out[std::string(name)] = {false, order, std::string(name),
                              pass ? TierEnd::pass : TierEnd::deny};
  };
  for (const config::ReservedTier& tier : config::kReservedTiers) {
    add(tier.name, tier.order, tier.pass);
  }
  for (const config::Tier& tier : model.tiers) {
    add(tier.meta.name, tier.order, tier.pass);
  }
  return out;
}

// A policy that may reach endpoints, and which label sets it selects.
struct Candidate {
  config::Policy policy;
  TierRank tier;
  bool ingress = false;
  bool egress = false;
  std::vector<LabelsId> selected;  // ascending

  double order() const {
    return policy.order.value_or(std::numeric_limits<double>::infinity());
  }
  // The joined string, not the fields: '-' and '.' sort before '/'.
  std::string key() const {
    return policy.meta.name + "/" + policy.meta.namespace_name + "/" + policy.meta.kind;
  }
  bool staged() const { return policy.staging != config::Staging::enforced; }
  bool is_of(Part part) const {
    switch (part) {
      case Part::untracked:
        return policy.do_not_track;
      case Part::pre_dnat:
        return policy.pre_dnat;
      case Part::forward:
        return policy.apply_on_forward && !policy.do_not_track && !policy.pre_dnat;
      case Part::normal:
        break;
    }
    return !policy.do_not_track && !policy.pre_dnat;
  }
  bool judges(Direction direction, Part part) const {
    return is_of(part) && (direction == Direction::ingress ? ingress : egress);
  }
};

}  // namespace

bool applies(const config::Policy& p, Direction direction) {
  if (direction == Direction::ingress) {
    return p.types_given ? p.type_ingress : p.egress.empty() || !p.ingress.empty();
  }
  return p.types_given ? p.type_egress : !p.egress.empty();
}

Selector policy_selector(const config::Policy& p, config::Findings& findings) {
  Selector out = parse_selector(p.selector, findings);
  // Where nothing was said there is no "all()" to replace.
  bool silent = p.selector.empty();
  const auto join = [&](const Selector& more) {
    out = silent ? more : Selector::conjunction(out, more);
    silent = false;
  };
  const auto replace_all = [&out](const char* label) {
    const Selector has = Selector::has(label);
    out = out.with_all_replaced(has, has.negated());
  };
  if (!p.namespace_selector.empty()) {
    const Selector ns = parse_selector(p.namespace_selector, findings);
    join(ns.with_key_prefix("pcns."));
    replace_all(kNamespaceLabel);
  }
  if (!p.service_account_selector.empty()) {
    const Selector account = parse_selector(p.service_account_selector, findings);
    join(account.with_key_prefix("pcsa."));
    if (p.global) {
      replace_all(kAccountLabel);
    }
  }
  if (!p.global) {
    out = Selector::conjunction(Selector::equals(kNamespaceLabel, p.meta.namespace_name), out);
  }
  return out;
}

namespace {

template <typename Holder>  // a Policy or a Profile
const std::vector<config::Rule>& rules_of(const Holder& holder, Direction direction) {
  return direction == Direction::ingress ? holder.ingress : holder.egress;
}

class Compiler {
 public:
  Compiler(const config::Model& model, RuleNames& counters, config::Findings& findings)
      : model_(model),
        counters_(counters),
        findings_(findings),
        tiers_(rank_tiers(model)),
        felix_(felix_of(model)),
        profiles_(all_profiles(model)),
        inventory_(take_inventory(model, profiles_, findings)),
        rules_(inventory_, set_, findings) {}

  CompiledPolicy run(Whose whose) {
    collect_policies();
    for (Workload& w : inventory_.workloads) {
      if (whose == Whose::of_all_nodes || w.endpoint.node == model_.settings.node) {
        w.endpoint.ingress = program(w, Direction::ingress, Part::normal, false);
        w.endpoint.egress = program(w, Direction::egress, Part::normal, false);
        w.endpoint.pending_ingress = pending_program(w, Direction::ingress);
        w.endpoint.pending_egress = pending_program(w, Direction::egress);
        out_.endpoints.push_back(w.endpoint);
      }
    }
    std::sort(out_.endpoints.begin(), out_.endpoints.end(),
              [](const LocalEndpoint& a, const LocalEndpoint& b) {
                return a.interface_name < b.interface_name;
              });
    if (whose == Whose::of_all_nodes) {
      protect_all_nodes();
    } else {
      protect_interfaces();
    }
    check_the_rest();
    out_.policies = used_.size();
    out_.rules = std::make_shared<const RuleSet>(std::move(set_));
    out_.sets = rules_.names();
    if (counters_.full()) {
      findings_.warning({}, "more rules than counters: some are enforced but not counted");
    }
    return std::move(out_);
  }

 private:
  void collect_policies() {
    for (const config::Policy& p : model_.policies) {
      add_policy(p);
    }
    for (const config::KubernetesPolicy& p : model_.kubernetes_policies) {
      add_policy(to_policy(p));
    }
    for (const config::ClusterPolicy& p : model_.cluster_policies) {
      add_policy(to_policy(p));
    }
    std::sort(policies_.begin(), policies_.end(), [](const Candidate& a, const Candidate& b) {
      if (a.tier < b.tier || b.tier < a.tier) {
        return a.tier < b.tier;
      }
      return a.order() != b.order() ? a.order() < b.order() : a.key() < b.key();
    });
    selecting_.resize(inventory_.index.size());
    for (const Candidate& c : policies_) {
      for (const LabelsId id : c.selected) {
        selecting_[id].push_back(&c);
      }
    }
  }

  void add_policy(config::Policy p) {
    Candidate c;
    if (const auto tier = tiers_.find(p.tier); tier != tiers_.end()) {
      c.tier = tier->second;
    } else {
      c.tier = {true, 0, p.tier, TierEnd::deny};
      findings_.warning(p.meta.where,
                        "tier \"" + p.tier +
                            "\" does not exist: the policy is "
                            "enforced after all others, and denies what it does not allow",
                        tier_hint(p.tier));
    }
    const Selector selector = policy_selector(p, findings_);
    const bool reaches = p.staging != config::Staging::removed;
    c.policy = std::move(p);
    c.ingress = applies(c.policy, Direction::ingress);
    c.egress = applies(c.policy, Direction::egress);
    if (reaches) {
      c.selected = inventory_.index.matching(selector);
    }
    policies_.push_back(std::move(c));
  }

  std::string tier_hint(const std::string& unknown) const {
    std::vector<std::string_view> known;
    for (const auto& [name, rank] : tiers_) {
      known.push_back(name);
    }
    const std::string near = config::nearest(unknown, known);
    return near.empty() ? "add the Tier \"" + unknown + "\"" : "did you mean \"" + near + "\"?";
  }

  // The mistakes of rules that no local endpoint runs are found here.
  void check_the_rest() {
    for (const Candidate& c : policies_) {
      const std::string scope = c.policy.global ? "" : c.policy.meta.namespace_name;
      for (const Direction direction : {Direction::ingress, Direction::egress}) {
        if (!policy_lists_.contains({&c, direction})) {
          check(rules_of(c.policy, direction), scope);
        }
      }
    }
    for (const auto& [name, profile] : profiles_) {
      for (const Direction direction : {Direction::ingress, Direction::egress}) {
        if (!profile_lists_.contains({name, direction})) {
          check(rules_of(profile, direction), "");
        }
      }
    }
  }

  void check(const std::vector<config::Rule>& rules, const std::string& scope) {
    for (const config::Rule& rule : rules) {
      rules_.check(rule, scope);
    }
  }

  // One list, numbered and named; `index` counts its rules for the counters.
  ListId add_list(const std::vector<config::Rule>& rules, const std::string& scope,
                  const ListName& name) {
    RuleList list;
    for (size_t i = 0; i < rules.size(); ++i) {
      Rule rule = rules_.compile(rules[i], scope);
      rule.counter = counters_.slot({name.kind, name.namespace_name, name.name, name.tier,
                                     name.direction == Direction::ingress, static_cast<int>(i),
                                     rule.action});
      list.rules.push_back(std::move(rule));
    }
    set_.lists.push_back(std::move(list));
    ListName& kept = out_.lists.emplace_back(name);
    for (const config::Rule& rule : rules) {
      kept.rules.push_back(rule.where);
      kept.annotations.push_back(rule.annotations);
    }
    return static_cast<ListId>(set_.lists.size() - 1);
  }

  ListId policy_list(const Candidate& c, Direction direction) {
    const auto [it, fresh] = policy_lists_.emplace(std::pair(&c, direction), ListId{0});
    if (fresh) {
      const config::Policy& p = c.policy;
      it->second = add_list(
          rules_of(p, direction), p.global ? "" : p.meta.namespace_name,
          {p.meta.kind, p.meta.namespace_name, p.meta.name, p.tier, direction, p.meta.where});
    }
    return it->second;
  }

  ListId profile_list(const std::string& name, Direction direction) {
    const auto [it, fresh] = profile_lists_.emplace(std::pair(name, direction), ListId{0});
    if (fresh) {
      const auto profile = profiles_.find(name);
      std::vector<config::Rule> rules;
      config::Where where;
      if (profile == profiles_.end()) {
        rules.emplace_back();  // a profile that does not exist denies
        rules.back().action = Action::deny;
      } else {
        rules = rules_of(profile->second, direction);
        where = profile->second.meta.where;
      }
      it->second = add_list(rules, "", {"Profile", "", name, kProfileTier, direction, where});
    }
    return it->second;
  }

  CounterSlot default_counter(const ListName& first, Direction direction) {
    return counters_.slot({first.kind, first.namespace_name, first.name, first.tier,
                           direction == Direction::ingress, -1, Action::deny});
  }

  ProgramId pending_program(const Workload& w, Direction direction) {
    const auto& candidates = selecting_[w.labels];
    const bool any = std::any_of(candidates.begin(), candidates.end(), [&](const Candidate* c) {
      return c->staged() && c->judges(direction, Part::normal);
    });
    return any ? program(w, direction, Part::normal, true) : kNoProgram;
  }

  // `pending`: as if staged policies were enforced.
  ProgramId program(const Workload& w, Direction direction, Part part, bool pending) {
    Program made;
    std::vector<std::string> names;
    for (const Candidate* candidate : selecting_[w.labels]) {
      const Candidate& c = *candidate;
      if (!c.judges(direction, part) || (c.staged() && !pending)) {
        continue;
      }
      if (!pending) {
        used_.insert(&c);
      }
      const ListId list = policy_list(c, direction);
      if (names.empty() || names.back() != c.tier.name) {
        names.push_back(c.tier.name);
        Tier tier;
        const bool may_deny = part == Part::forward || part == Part::normal;
        tier.end = may_deny ? c.tier.end : TierEnd::pass;
        tier.counter = tier.end == TierEnd::deny ? default_counter(out_.lists[list], direction)
                                                 : kNoCounter;
        made.tiers.push_back(std::move(tier));
      }
      made.tiers.back().lists.push_back(list);
    }
    if (part == Part::normal) {
      add_profiles(w, direction, made, names);
    }
    return made.tiers.empty() ? kNoProgram : share(std::move(made), std::move(names));
  }

  void add_profiles(const Workload& w, Direction direction, Program& made,
                    std::vector<std::string>& names) {
    Tier last;
    last.profiles = true;
    for (const std::string& name : w.endpoint.profiles) {
      last.lists.push_back(profile_list(name, direction));
    }
    const ListName nobody{"Profile", "", "", kProfileTier, direction, {}};
    last.counter =
        default_counter(last.lists.empty() ? nobody : out_.lists[last.lists[0]], direction);
    names.emplace_back(kProfileTier);
    made.tiers.push_back(std::move(last));
  }

  // Failsafes in front of a stage; `replies` besides where no connection tells them.
  ProgramId failsafe_program(Direction direction, bool replies) {
    Tier tier;
    tier.end = TierEnd::pass;
    tier.lists.push_back(failsafe_list(direction, false));
    if (replies) {
      tier.lists.push_back(failsafe_list(direction, true));
    }
    Program made;
    made.tiers.push_back(std::move(tier));
    return share(std::move(made), {kFailsafeTier});
  }

  ListId failsafe_list(Direction direction, bool replies) {
    const auto [it, fresh] = failsafe_lists_.emplace(std::pair(direction, replies), ListId{0});
    if (fresh) {
      it->second = add_list(
          failsafe_rules(felix_, direction, replies), "",
          {"Failsafe", "", replies ? "replies" : "ports", kFailsafeTier, direction, {}});
    }
    return it->second;
  }

  HostStage stage(const Workload& host, Direction direction, Part part) {
    HostStage out;
    out.program = program(host, direction, part, false);
    if (out.program != kNoProgram && part != Part::forward) {
      out.failsafe = failsafe_program(direction, part == Part::untracked);
    }
    return out;
  }

  // `of_pods`: what counts of a `*` endpoint on a pod's port.
  ProtectedInterface protect(const Workload* host, bool of_pods) {
    ProtectedInterface out;
    if (host == nullptr) {
      return out;
    }
    out.name = host->endpoint.name;
    HostPolicy& p = out.policy;
    p.pre_dnat = stage(*host, Direction::ingress, Part::pre_dnat);
    p.forward_in = stage(*host, Direction::ingress, Part::forward);
    p.forward_out = stage(*host, Direction::egress, Part::forward);
    if (of_pods) {
      return out;
    }
    p.normal_in = stage(*host, Direction::ingress, Part::normal);
    p.normal_out = stage(*host, Direction::egress, Part::normal);
    // Calico has no untracked policy for `*`.
    if (host->endpoint.interface_name != kEveryInterface) {
      p.untracked_in = stage(*host, Direction::ingress, Part::untracked);
      p.untracked_out = stage(*host, Direction::egress, Part::untracked);
    }
    return out;
  }

  void protect_interfaces() {
    const ProtectedInterfaces hosts = resolve_host_endpoints(model_, inventory_, findings_);
    out_.uplink = protect(hosts.uplink, false);
    out_.tunnel = protect(hosts.tunnel, false);
    out_.pods = protect(hosts.pods, true);
    if (hosts.pods == nullptr) {
      return;
    }
    for (const Candidate* c : selecting_[hosts.pods->labels]) {
      if (c->is_of(Part::untracked)) {
        findings_.warning(c->policy.meta.where,
                          "policy \"" + c->policy.meta.name +
                              "\": doNotTrack is not applied to HostEndpoint \"" +
                              hosts.pods->endpoint.name + "\", whose interfaceName is \"*\"");
      }
    }
  }

  void protect_all_nodes() {
    for (const Workload& host : inventory_.hosts) {
      const auto [node, fresh] = out_.nodes.emplace(host.endpoint.node, ProtectedNode{});
      if (fresh) {
        const ProtectedInterfaces hosts =
            host_endpoints_of(model_, inventory_, host.endpoint.node);
        node->second = {protect(hosts.uplink, false), protect(hosts.tunnel, false),
                        protect(hosts.pods, true)};
      }
    }
  }

  // The program's id; endpoints with the same tiers, policies and profiles share one.
  ProgramId share(Program made, std::vector<std::string> names) {
    std::vector<uint32_t> key;
    for (const Tier& tier : made.tiers) {
      key.push_back(UINT32_MAX);
      key.push_back(tier.end == TierEnd::deny ? 1 : 0);
      key.push_back(tier.counter);
      key.insert(key.end(), tier.lists.begin(), tier.lists.end());
    }
    const auto [it, fresh] =
        programs_.emplace(std::move(key), static_cast<ProgramId>(set_.programs.size()));
    if (fresh) {
      set_.programs.push_back(std::move(made));
      out_.tier_names.push_back(std::move(names));
    }
    return it->second;
  }

  const config::Model& model_;
  RuleNames& counters_;
  config::Findings& findings_;
  CompiledPolicy out_;
  RuleSet set_;
  TierRanks tiers_;
  Felix felix_;
  Profiles profiles_;
  Inventory inventory_;
  RuleCompiler rules_;
  std::vector<Candidate> policies_;                       // in order of evaluation
  std::vector<std::vector<const Candidate*>> selecting_;  // by LabelsId, in that order
  std::map<std::pair<const Candidate*, Direction>, ListId> policy_lists_;
  std::map<std::pair<std::string, Direction>, ListId> profile_lists_;
  std::map<std::vector<uint32_t>, ProgramId> programs_;
  std::map<std::pair<Direction, bool>, ListId> failsafe_lists_;  // by direction, of replies
  std::set<const Candidate*> used_;
};

}  // namespace

CompiledPolicy compile(const config::Model& model, RuleNames& counters,
                       config::Findings& findings, Whose whose) {
  return Compiler(model, counters, findings).run(whose);
}

}  // namespace sluice::control
