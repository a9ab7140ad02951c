// SPDX-License-Identifier: Apache-2.0
#include "control/shadowed.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "classifier/address_classes.h"
#include "classifier/linear.h"
#include "control/flow_space.h"
#include "control/rule_cover.h"

namespace sluice::control {
namespace {

// One program at one address of an endpoint.
struct Job {
  ProgramId program = 0;
  bool ingress = true;
  bool pending = false;
  Address own;
};

// What takes a packet from a rule: a rule, or the end of a tier.
struct Taker {
  RulePlace rule;
  std::string end_of_tier;
  friend auto operator<=>(const Taker&, const Taker&) = default;
};

using Hidden = std::vector<std::pair<size_t, RulePlace>>;  // with the number of its tier

class Search {
 public:
  explicit Search(const CompiledPolicy& policy)
      : policy_(policy),
        rules_(*policy.rules),
        linear_(policy.rules),
        memberships_(rules_, std::vector<bool>(rules_.lists.size(), true)),
        classes_(memberships_) {}

  Result<ShadowReport> run() {
    if (!classes_.ok()) {
      return Error{"no memory for the address classes"};
    }
    find_remotes();
    find_jobs();
    find_lists_of_hosts();
    uint64_t packets = 0;
    for (const Job& job : jobs_) {
      packets += parts(job).size() * remotes_[job.own.is_v4() ? 0 : 1].size();
    }
    if (packets > kMaxAsked) {
      return Error{"too much to look at: " + std::to_string(packets) +
                       " kinds of packets at the endpoints, more than " +
                       std::to_string(kMaxAsked),
                   "give the files of fewer endpoints"};
    }
    for (const Job& job : jobs_) {
      for_each_packet(job, [&](const FlowKey& key) { mark(job, key); });
    }
    for (const Job& job : jobs_) {
      const Hidden left = still_hidden(job);
      if (!left.empty()) {
        for_each_packet(job, [&](const FlowKey& key) { blame(job, key, left); });
      }
    }
    return report();
  }

 private:
  // One address of each class and family.  A class begins where a set begins or has ended.
  void find_remotes() {
    starts_ = {Address::of(Ip4{0}), Address{}};
    for (MembershipId id = 0; id < memberships_.size(); ++id) {
      for (const AddressSet::Range& range : memberships_.members(id).ranges()) {
        starts_.insert(range.first);
        const Address after = range.last.next();
        if (after.is_v4() == range.last.is_v4()) {
          starts_.insert(after);
        }
      }
    }
    std::set<std::pair<bool, ClassId>> seen;
    for (const Address& address : starts_) {
      if (seen.emplace(address.is_v4(), classes_.find(address)).second) {
        remotes_[address.is_v4() ? 0 : 1].push_back(address);
      }
    }
  }

  // Its own addresses, and one of each class that it may send from besides.
  std::vector<Address> sources_of(const LocalEndpoint& e) const {
    std::vector<Address> out = e.addresses;
    for (const Prefix& allowed : e.allowed_sources) {
      out.push_back(allowed.base);
      std::copy_if(starts_.begin(), starts_.end(), std::back_inserter(out),
                   [&](const Address& a) { return allowed.contains(a); });
    }
    return out;
  }

  void find_jobs() {
    std::set<std::tuple<ProgramId, bool, bool, bool, ClassId>> known;
    const auto add = [&](ProgramId program, bool ingress, bool pending, const Address& own) {
      if (program != kNoProgram &&
          known.emplace(program, ingress, pending, own.is_v4(), classes_.find(own)).second) {
        jobs_.push_back({program, ingress, pending, own});
      }
    };
    for (const LocalEndpoint& e : policy_.endpoints) {
      for (const Address& own : e.addresses) {
        add(e.ingress, true, false, own);
        add(e.pending_ingress, true, true, own);
      }
      for (const Address& own : sources_of(e)) {
        add(e.egress, false, false, own);
        add(e.pending_egress, false, true, own);
      }
    }
  }

  void add_lists_of(ProgramId program) {
    if (program != kNoProgram) {
      for (const Tier& tier : rules_.programs[program].tiers) {
        of_hosts_.insert(tier.lists.begin(), tier.lists.end());
      }
    }
  }

  void find_lists_of_hosts() {
    const auto add = [&](const HostPolicy& host) {
      for (const HostStageName& at : kHostStages) {
        add_lists_of((host.*at.stage).program);
        add_lists_of((host.*at.stage).failsafe);
      }
    };
    for (const ProtectedInterface* p : {&policy_.uplink, &policy_.tunnel, &policy_.pods}) {
      add(p->policy);
    }
    for (const auto& [name, node] : policy_.nodes) {
      for (const ProtectedInterface* p : {&node.uplink, &node.tunnel, &node.pods}) {
        add(p->policy);
      }
    }
  }

  const std::vector<FlowPart>& parts(const Job& job) {
    const auto [it, fresh] = parts_.try_emplace({job.program, job.own.is_v4()});
    if (fresh) {
      RuleSet of_program;
      of_program.port_sets = rules_.port_sets;
      for (const Tier& tier : rules_.programs[job.program].tiers) {
        for (const ListId list : tier.lists) {
          of_program.lists.push_back(rules_.lists[list]);
        }
      }
      const RuleSet* const one = &of_program;
      it->second = flow_parts({&one, 1}, job.own.is_v4());
    }
    return it->second;
  }

  template <typename Ask>
  void for_each_packet(const Job& job, const Ask& ask) {
    const std::vector<FlowPart>& all = parts(job);
    for (const Address& remote : remotes_[job.own.is_v4() ? 0 : 1]) {
      for (const FlowPart& part : all) {
        ask(FlowKey{job.ingress ? remote : job.own, job.ingress ? job.own : remote,
                    part.source.low, part.destination.low, part.protocol});
      }
    }
  }

  bool counts(const Job& job, ListId list) const {
    return rules_.lists[list]->staged == job.pending;
  }

  void mark(const Job& job, const FlowKey& key) {
    linear_.walk(key, job.program, [&](const Step& step) {
      if (step.kind == Step::Kind::rule && counts(job, step.list)) {
        acting_.insert({step.list, step.rule});
      }
    });
  }

  bool hidden(const Job& job, const RulePlace& place) const {
    return counts(job, place.list) && policy_.lists[place.list]->written(place.rule) &&
           !of_hosts_.contains(place.list) && !acting_.contains(place);
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
        linear_.walk(key, job.program, [&](const Step& step) { steps.push_back(step); });
      }
      const Step* last = nullptr;
      for (const Step& step : steps) {
        last = step.tier <= tier ? &step : last;
      }
      if (last != nullptr) {
        const bool rule_took = last->kind == Step::Kind::rule;
        ++takers_[place][rule_took ? Taker{{last->list, last->rule}, ""}
                                   : Taker{{}, policy_.tier_names[job.program][last->tier]}];
      }
    }
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
  const Memberships memberships_;
  const AddressClasses classes_;
  std::set<Address> starts_;                     // of every stretch of one class
  std::array<std::vector<Address>, 2> remotes_;  // one of each class: IPv4, IPv6
  std::vector<Job> jobs_;
  std::map<std::pair<ProgramId, bool>, std::vector<FlowPart>> parts_;
  std::set<ListId> of_hosts_;  // a host endpoint runs them, too
  std::set<RulePlace> acting_;
  std::map<RulePlace, std::map<Taker, size_t>> takers_;  // of the hidden ones
};

}  // namespace

Result<ShadowReport> find_shadowed(const CompiledPolicy& policy) {
  return Search(policy).run();
}

}  // namespace sluice::control
