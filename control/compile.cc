// SPDX-License-Identifier: Apache-2.0
#include "control/compile.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "control/endpoints.h"
#include "control/host_endpoints.h"
#include "control/lists.h"
#include "control/policies.h"

namespace sluice::control {
namespace {

constexpr const char* kProfileTier = "__PROFILE__";

// A profile that does not exist denies.
config::Profile closed_profile(const std::string& name) {
  config::Profile out;
  out.meta.name = name;
  out.ingress.emplace_back().action = Action::deny;
  out.egress.emplace_back().action = Action::deny;
  return out;
}

// The rules of Felix' failsafe ports, in the form of a policy's.
struct Failsafe {
  std::vector<config::FailsafePort> inbound, outbound;
  std::map<std::pair<Direction, bool>, KeptList> lists;  // by direction, of replies
};

struct KeptProfile {
  Shared<config::Profile> profile;
  KeptLists lists;
};

}  // namespace

// What one compilation leaves for the next.
struct Compiler::Kept {
  explicit Kept(RuleNames& counters) : lists(inventory, counters) {}

  Inventory inventory;
  Policies policies;
  Lists lists;
  std::unordered_map<const config::Profile*, KeptProfile> profiles;
  std::vector<const KeptProfile*> talked_about;           // of which there is something to say
  std::map<std::string, Shared<config::Profile>> closed;  // those that do not exist
  Failsafe failsafe;
};

namespace {

// One compilation.
class Compilation {
 public:
  Compilation(Compiler::Kept& kept, const config::Model& model, RuleNames& counters,
              config::Findings& findings)
      : kept_(kept), model_(model), counters_(counters), findings_(findings) {}

  CompiledPolicy run(Whose whose) {
    of_all_nodes_ = whose == Whose::of_all_nodes;
    kept_.inventory.update(model_, whose, findings_);
    kept_.policies.update(model_, kept_.inventory.index(), findings_);
    kept_.lists.begin(set_, out_);
    take_failsafe_ports();
    add_endpoints();
    of_all_nodes_ ? protect_all_nodes() : protect_interfaces();
    report();
    kept_.lists.end();
    kept_.policies.end_round();
    out_.work = {kept_.inventory.objects_read(), kept_.lists.compiled(), kept_.lists.filled()};
    out_.rules = std::make_shared<const RuleSet>(std::move(set_));
    if (counters_.full()) {
      findings_.warning({}, "more rules than counters: some are enforced but not counted");
    }
    return std::move(out_);
  }

 private:
  void take_failsafe_ports() {
    const Felix& felix = kept_.inventory.felix();
    Failsafe& kept = kept_.failsafe;
    if (kept.inbound != felix.failsafe_inbound || kept.outbound != felix.failsafe_outbound) {
      kept = {felix.failsafe_inbound, felix.failsafe_outbound, {}};
    }
  }

  void add_endpoints() {
    for (const Workload* w : kept_.inventory.workloads()) {
      if (!of_all_nodes_ && w->endpoint.node != model_.settings.node) {
        continue;  // the settings name no node
      }
      LocalEndpoint& e = out_.endpoints.emplace_back(w->endpoint);
      e.ingress = program(*w, Direction::ingress, Part::normal, false);
      e.egress = program(*w, Direction::egress, Part::normal, false);
      e.pending_ingress = pending_program(*w, Direction::ingress);
      e.pending_egress = pending_program(*w, Direction::egress);
    }
    std::sort(out_.endpoints.begin(), out_.endpoints.end(),
              [](const LocalEndpoint& a, const LocalEndpoint& b) {
                return a.interface_name < b.interface_name;
              });
  }

  // Mistakes of all rules, of those too that no endpoint of ours runs.
  void report() {
    for (const RankedPolicy* ranked : kept_.policies.talked_about()) {
      kept_.lists.report(ranked->lists, findings_);
    }
    if (kept_.inventory.profiles_changed()) {
      follow_profiles();
    }
    for (const KeptProfile* profile : kept_.talked_about) {
      kept_.lists.report(profile->lists, findings_);
    }
  }

  void follow_profiles() {
    const Profiles& profiles = kept_.inventory.profiles();
    std::erase_if(kept_.profiles, [&](const auto& entry) {
      const Shared<config::Profile>& known = entry.second.profile;
      const auto now = profiles.find(known->meta.name);
      const bool ours = now != profiles.end() && now->second.is(known);
      const auto closed = kept_.closed.find(known->meta.name);
      return !ours && (closed == kept_.closed.end() || !closed->second.is(known));
    });
    kept_.talked_about.clear();
    for (const auto& [name, profile] : profiles) {
      const KeptProfile& kept = keep(profile);
      if (!kept.lists[0].notes.none() || !kept.lists[1].notes.none()) {
        kept_.talked_about.push_back(&kept);
      }
    }
  }

  KeptProfile& keep(const Shared<config::Profile>& profile) {
    const auto [it, fresh] = kept_.profiles.try_emplace(profile.address());
    if (fresh) {
      it->second = {profile, lists_of(*profile, "")};
    }
    return it->second;
  }

  ListId policy_list(RankedPolicy& ranked, Direction direction) {
    const config::Policy& p = *ranked.policy;
    return kept_.lists.use(
        ranked.lists[index_of(direction)], rules_of(p, direction), scope_of(p),
        {p.meta.kind, p.meta.namespace_name, p.meta.name, p.tier, direction, p.meta.where});
  }

  ListId profile_list(const std::string& name, Direction direction) {
    const auto known = kept_.inventory.profiles().find(name);
    const Shared<config::Profile>& profile =
        known != kept_.inventory.profiles().end()
            ? known->second
            : kept_.closed.try_emplace(name, closed_profile(name)).first->second;
    return kept_.lists.use(keep(profile).lists[index_of(direction)],
                           rules_of(*profile, direction), "",
                           {"Profile", "", name, kProfileTier, direction, profile->meta.where});
  }

  CounterSlot default_counter(const ListName& first, Direction direction) {
    return counters_.slot({first.kind, first.namespace_name, first.name, first.tier,
                           direction == Direction::ingress, -1, Action::deny});
  }

  ProgramId pending_program(const Workload& w, Direction direction) {
    const auto& policies = kept_.policies.selecting(w.labels);
    const bool any = std::any_of(policies.begin(), policies.end(), [&](const RankedPolicy* p) {
      return p->staged() && p->judges(direction, Part::normal);
    });
    return any ? program(w, direction, Part::normal, true) : kNoProgram;
  }

  // `pending`: as if staged policies were enforced.
  ProgramId program(const Workload& w, Direction direction, Part part, bool pending) {
    Program made;
    std::vector<std::string> names;
    for (RankedPolicy* ranked : kept_.policies.selecting(w.labels)) {
      if (!ranked->judges(direction, part) || (ranked->staged() && !pending)) {
        continue;
      }
      if (!pending &&
          std::exchange(ranked->used, kept_.inventory.serial()) != kept_.inventory.serial()) {
        ++out_.policies;
      }
      const ListId list = policy_list(*ranked, direction);
      if (names.empty() || names.back() != ranked->tier->name) {
        names.push_back(ranked->tier->name);
        Tier tier;
        const bool may_deny = part == Part::forward || part == Part::normal;
        tier.end = may_deny ? ranked->tier->end : TierEnd::pass;
        tier.counter = tier.end == TierEnd::deny ? default_counter(*out_.lists[list], direction)
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
        default_counter(last.lists.empty() ? nobody : *out_.lists[last.lists[0]], direction);
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
    return kept_.lists.use(
        kept_.failsafe.lists[{direction, replies}],
        failsafe_rules(kept_.inventory.felix(), direction, replies), "",
        {"Failsafe", "", replies ? "replies" : "ports", kFailsafeTier, direction, {}});
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
    out.interface_name = host->endpoint.interface_name;
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
    const ProtectedInterfaces hosts =
        resolve_host_endpoints(model_, kept_.inventory, findings_);
    out_.uplink = protect(hosts.uplink, false);
    out_.tunnel = protect(hosts.tunnel, false);
    out_.pods = protect(hosts.pods, true);
    if (hosts.pods == nullptr) {
      return;
    }
    for (const RankedPolicy* ranked : kept_.policies.selecting(hosts.pods->labels)) {
      if (ranked->is_of(Part::untracked)) {
        const config::Meta& meta = ranked->policy->meta;
        findings_.warning(meta.where, "policy \"" + meta.name +
                                          "\": doNotTrack is not applied to HostEndpoint \"" +
                                          hosts.pods->endpoint.name +
                                          "\", whose interfaceName is \"*\"");
      }
    }
  }

  void protect_all_nodes() {
    for (const Workload* host : kept_.inventory.hosts()) {
      const auto [node, fresh] = out_.nodes.emplace(host->endpoint.node, ProtectedNode{});
      if (fresh) {
        const ProtectedInterfaces hosts =
            host_endpoints_of(model_, kept_.inventory, host->endpoint.node);
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

  Compiler::Kept& kept_;
  const config::Model& model_;
  RuleNames& counters_;
  config::Findings& findings_;
  CompiledPolicy out_;
  RuleSet set_;
  bool of_all_nodes_ = false;
  std::map<std::vector<uint32_t>, ProgramId> programs_;
};

}  // namespace

Compiler::Compiler(RuleNames& counters) : counters_(counters) {}
Compiler::~Compiler() = default;

CompiledPolicy Compiler::compile(const config::Model& model, config::Findings& findings,
                                 Whose whose) {
  if (kept_ == nullptr || kept_->inventory.mostly_stale()) {
    kept_ = std::make_unique<Kept>(counters_);
  }
  return Compilation(*kept_, model, counters_, findings).run(whose);
}

CompiledPolicy compile(const config::Model& model, RuleNames& counters,
                       config::Findings& findings, Whose whose) {
  return Compiler(counters).compile(model, findings, whose);
}

}  // namespace sluice::control
