// SPDX-License-Identifier: Apache-2.0
#include "control/shadowed.h"

#include <algorithm>
#include <map>
#include <set>

#include "classifier/linear.h"
#include "control/address_space.h"
#include "control/flow_space.h"
#include "control/rule_cover.h"

namespace sluice::control {
namespace {

// A program, and between whom it is asked.
struct Job {
  ProgramId program = 0;
  ProgramId failsafe = kNoProgram;  // what it allows, the program does not judge
  bool ingress = true;
  bool of_host = false;
  bool pending = false;
  bool v4 = true;
  friend auto operator<=>(const Job&, const Job&) = default;
};
struct Ends {
  std::vector<ListId> lists;  // of the program and of its failsafe
  AddressSpace::Question of_source, of_destination;
  AddressSpace::Kinds sources, destinations;
  std::vector<FlowPart> parts;
};
using Jobs = std::map<Job, Ends>;

// What takes a packet from a rule: a rule, the end of a tier, or failsafe ports.
struct Taker {
  RulePlace rule;
  std::string end_of_tier;
  friend auto operator<=>(const Taker&, const Taker&) = default;
};

using Hidden = std::vector<std::pair<size_t, RulePlace>>;  // with the number of its tier

class Search {
 public:
  explicit Search(const CompiledPolicy& policy)
      : policy_(policy), rules_(*policy.rules), linear_(policy.rules), space_(rules_) {}

  Result<ShadowReport> run() {
    if (!space_.ok()) {
      return Error{"no memory for the address classes"};
    }
    for (const LocalEndpoint& e : policy_.endpoints) {
      add_workload(e);
    }
    add_hosts();
    uint64_t packets = 0;
    for (const auto& [job, ends] : jobs_) {
      packets += ends.parts.size() * ends.sources.size() * ends.destinations.size();
    }
    if (packets > kMaxAsked) {
      return Error{"too much to look at: " + std::to_string(packets) +
                       " kinds of packets at the endpoints, more than " +
                       std::to_string(kMaxAsked),
                   "give the files of fewer endpoints"};
    }
    for (const auto& [job, ends] : jobs_) {
      for_each_packet(ends, [&, &job = job](const FlowKey& key) { mark(job, key); });
    }
    for (const auto& [job, ends] : jobs_) {
      const Hidden left = still_hidden(job);
      if (!left.empty()) {
        for_each_packet(ends, [&, &job = job](const FlowKey& key) { blame(job, key, left); });
      }
    }
    return report();
  }

 private:
  void add_lists(ProgramId program, std::vector<ListId>& out) const {
    if (program != kNoProgram) {
      for (const Tier& tier : rules_.programs[program].tiers) {
        out.insert(out.end(), tier.lists.begin(), tier.lists.end());
      }
    }
  }

  Ends& ends_of(const Job& job) {
    const auto [it, fresh] = jobs_.try_emplace(job);
    Ends& ends = it->second;
    if (fresh) {
      add_lists(job.program, ends.lists);
      add_lists(job.failsafe, ends.lists);
      ends.of_source = space_.question(ends.lists, &Rule::source);
      ends.of_destination = space_.question(ends.lists, &Rule::destination);
      if (job.ingress || job.of_host) {
        ends.sources = space_.all(ends.of_source, job.v4);
      }
      if (!job.ingress || job.of_host) {
        ends.destinations = space_.all(ends.of_destination, job.v4);
      }
      ends.parts = parts(ends.lists, job.v4);
    }
    return ends;
  }

  std::vector<FlowPart> parts(const std::vector<ListId>& lists, bool v4) const {
    RuleSet one;
    one.port_sets = rules_.port_sets;
    for (const ListId list : lists) {
      one.lists.push_back(rules_.lists[list]);
    }
    const RuleSet* const ones[] = {&one};
    return flow_parts(ones, v4);
  }

  void add_own(Job job, const Address& own) {
    if (job.program != kNoProgram) {
      job.v4 = own.is_v4();
      Ends& ends = ends_of(job);
      job.ingress ? space_.add(ends.of_destination, own, ends.destinations)
                  : space_.add(ends.of_source, own, ends.sources);
    }
  }

  // Between the endpoint and everybody.
  void add_workload(const LocalEndpoint& e) {
    std::vector<Address> sources = e.addresses;
    for (const Prefix& allowed : e.allowed_sources) {
      const std::vector<Address> more = space_.within(allowed);
      sources.insert(sources.end(), more.begin(), more.end());
    }
    for (const Address& own : e.addresses) {
      add_own({.program = e.ingress}, own);
      add_own({.program = e.pending_ingress, .pending = true}, own);
    }
    for (const Address& own : sources) {
      add_own({.program = e.egress, .ingress = false}, own);
      add_own({.program = e.pending_egress, .ingress = false, .pending = true}, own);
    }
  }

  // Between everybody and everybody.
  void add_host(const HostPolicy& host) {
    for (const HostStageName& at : kHostStages) {
      const HostStage& stage = host.*at.stage;
      for (const bool v4 : {true, false}) {
        if (stage.program != kNoProgram) {
          ends_of({stage.program, stage.failsafe, at.ingress, true, false, v4});
        }
      }
    }
  }

  void add_hosts() {
    for (const ProtectedInterface* p : {&policy_.uplink, &policy_.tunnel, &policy_.pods}) {
      add_host(p->policy);
    }
    for (const auto& [name, node] : policy_.nodes) {
      for (const ProtectedInterface* p : {&node.uplink, &node.tunnel, &node.pods}) {
        add_host(p->policy);
      }
    }
  }

  template <typename Ask>
  static void for_each_packet(const Ends& ends, const Ask& ask) {
    for (const auto& [in, source] : ends.sources) {
      for (const auto& [to, destination] : ends.destinations) {
        for (const FlowPart& part : ends.parts) {
          ask(FlowKey{source, destination, part.source.low, part.destination.low,
                      part.protocol});
        }
      }
    }
  }

  // All that happens to a packet.
  template <typename Visit>
  void walk(const Job& job, const FlowKey& key, const Visit& visit) const {
    const bool failsafe =
        job.failsafe != kNoProgram &&
        linear_.walk(key, job.failsafe, [](const Step&) {}).kind == Verdict::Kind::allow;
    linear_.walk(key, failsafe ? job.failsafe : job.program, visit);
  }

  bool counts(const Job& job, ListId list) const {
    return rules_.lists[list]->staged == job.pending;
  }

  void mark(const Job& job, const FlowKey& key) {
    walk(job, key, [&](const Step& step) {
      if (step.kind == Step::Kind::rule && counts(job, step.list)) {
        acting_.insert({step.list, step.rule});
      }
    });
  }

  bool hidden(const Job& job, const RulePlace& place) const {
    return counts(job, place.list) && policy_.lists[place.list]->written(place.rule) &&
           !acting_.contains(place);
  }

  void add_hidden(const Job& job, size_t tier, ListId list, Hidden& out) {
    const auto count = static_cast<uint32_t>(rules_.lists[list]->rules.size());
    for (RulePlace place{list, 0}; place.rule < count; ++place.rule) {
      if (hidden(job, place)) {
        takers_.try_emplace(place);
        out.emplace_back(tier, place);
      }
    }
  }

  // The job's rules that are on no packet's way.
  Hidden still_hidden(const Job& job) {
    Hidden out;
    const std::vector<Tier>& tiers = rules_.programs[job.program].tiers;
    for (size_t t = 0; t < tiers.size(); ++t) {
      for (const ListId list : tiers[t].lists) {
        add_hidden(job, t, list, out);
      }
    }
    return out;
  }

  // Whoever took the packet out of the tiers up to that of a rule that it matches.
  void blame(const Job& job, const FlowKey& key, const Hidden& hidden) {
    std::vector<Step> steps;
    for (const auto& [tier, place] : hidden) {
      const Rule& rule = rules_.lists[place.list]->rules[place.rule];
      if (mismatch(rules_, rule, key) != Mismatch::none) {
        continue;
      }
      if (steps.empty()) {
        walk(job, key, [&](const Step& step) { steps.push_back(step); });
      }
      const Step* last = nullptr;
      for (const Step& step : steps) {
        last = step.tier <= tier ? &step : last;
      }
      if (last != nullptr) {
        ++takers_[place][taker(job, *last)];
      }
    }
  }

  Taker taker(const Job& job, const Step& step) const {
    if (step.kind == Step::Kind::tier_default) {
      return {{}, policy_.tier_names[job.program][step.tier]};
    }
    const ListName& list = policy_.lists[step.list];
    return list.tier == kFailsafeTier ? Taker{{}, list.tier}
                                      : Taker{{step.list, step.rule}, ""};
  }

  uint32_t end_of(const RulePlace& place) const {
    return static_cast<uint32_t>(policy_.lists[place.list]->end_of(place.rule));
  }

  Shadowed shadowed(const RulePlace& place, const std::map<Taker, size_t>& takers) const {
    const auto most =
        std::max_element(takers.begin(), takers.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const Taker& by = most->first;
    const bool whatever =
        by.end_of_tier.empty() && covers(rules_.lists[by.rule.list]->rules[by.rule.rule],
                                         rules_.lists[place.list]->rules[place.rule]);
    return {place, by.rule, by.end_of_tier, takers.size() - 1, whatever};
  }

  ShadowReport report() const {
    ShadowReport out;
    for (auto it = takers_.begin(); it != takers_.end();) {
      // A part that acts lies before the first that is hidden, or among those that follow it.
      RulePlace first = it->first;
      while (first.rule > 0 && end_of({first.list, first.rule - 1}) > first.rule) {
        --first.rule;
      }
      const RulePlace end{first.list, end_of(first)};
      const auto acting = acting_.lower_bound(first);
      const bool acts = acting != acting_.end() && *acting < end;
      const auto stop = takers_.lower_bound(end);
      const auto part =
          std::find_if(it, stop, [](const auto& entry) { return !entry.second.empty(); });
      if (!acts && part != stop) {
        out.shadowed.push_back(shadowed(part->first, part->second));
      } else if (!acts) {
        out.idle.push_back(it->first);
      }
      it = stop;
    }
    return out;
  }

  const CompiledPolicy& policy_;
  const RuleSet& rules_;
  const Linear linear_;
  const AddressSpace space_;
  Jobs jobs_;
  std::set<RulePlace> acting_;
  std::map<RulePlace, std::map<Taker, size_t>> takers_;  // of the hidden ones
};

}  // namespace

Result<ShadowReport> find_shadowed(const CompiledPolicy& policy) {
  return Search(policy).run();
}

}  // namespace sluice::control
