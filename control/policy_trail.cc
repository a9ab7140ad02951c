// SPDX-License-Identifier: Apache-2.0
#include "control/policy_trail.h"

#include <algorithm>

namespace sluice::control {
namespace {

using nlohmann::json;

constexpr size_t kMaxRulesShown = 8;  // of a policy that did not match

std::string_view word(Mismatch mismatch) {
  switch (mismatch) {
    case Mismatch::none:
      return "nothing";
    case Mismatch::ip_version:
      return "IP version";
    case Mismatch::protocol:
      return "protocol";
    case Mismatch::icmp:
      return "ICMP type";
    case Mismatch::source:
      return "source";
    case Mismatch::source_port:
      return "source port";
    case Mismatch::destination:
      return "destination";
    case Mismatch::destination_port:
      return "destination port";
  }
  return "";
}

const Tier& tier_at(const CompiledPolicy& policy, const TrailStep& step) {
  return policy.rules->programs[step.program].tiers[step.step.tier];
}

std::string in_brackets(const std::string& place) {
  return place.empty() ? "" : "  (" + place + ")";
}

std::string names_text(const CompiledPolicy& policy, const Tier& tier) {
  std::string text;
  for (const ListId list : tier.lists) {
    text += (text.empty() ? "" : ", ") + policy_text(policy.lists[list]);
  }
  return text;
}

// Writes what one direction of a trail considered.
class Considered {
 public:
  Considered(const CompiledPolicy& policy, const FlowKey& key,
             const std::vector<std::string>& files)
      : policy_(policy), key_(key), files_(files) {}

  std::string text(const Trail& steps) {
    const TrailStep& last = steps.back();
    const Program& program = policy_.rules->programs[last.program];
    for (uint32_t t = 0; t <= last.step.tier; ++t) {
      const Tier& tier = program.tiers[t];
      out_ += tier.profiles ? "    profiles\n"
                            : "    tier " + policy_.tier_names[last.program][t] + "\n";
      Trail here;
      std::copy_if(steps.begin(), steps.end(), std::back_inserter(here),
                   [t](const TrailStep& s) { return s.step.tier == t; });
      add_tier(tier, here);
    }
    return std::move(out_);
  }

 private:
  void add_tier(const Tier& tier, const Trail& steps) {
    const bool by_rule = !steps.empty() && steps.back().step.kind == Step::Kind::rule &&
                         steps.back().step.action != Action::log;
    for (const ListId list : tier.lists) {
      add_list(list, steps);
      if (by_rule && steps.back().step.list == list) {
        return;
      }
    }
    if (steps.empty() || steps.back().step.kind != Step::Kind::tier_default) {
      return;
    }
    if (tier.profiles) {
      out_ += "      end of profiles: " + std::string(name(steps.back().step.action)) +
              (tier.lists.empty() ? ", the endpoint has none\n" : ", none of them allows it\n");
    } else if (steps.back().step.action == Action::pass) {
      out_ += "      end of tier: pass\n";
    } else {
      out_ += "      end of tier: deny, selected and not allowed by " +
              names_text(policy_, tier) + "\n";
    }
  }

  void add_list(ListId list, const Trail& steps) {
    const ListName& name = policy_.lists[list];
    bool matched = false;
    for (const TrailStep& s : steps) {
      if (s.step.kind == Step::Kind::rule && s.step.list == list) {
        matched = true;
        config::Where where = name.where;
        if (s.step.rule < name.rules.size() && name.rules[s.step.rule].line != 0) {
          where = name.rules[s.step.rule];
        }
        out_ += "      " + policy_text(name) + ": rule " + std::to_string(s.step.rule) + " " +
                std::string(sluice::name(s.step.action)) +
                in_brackets(place_text(where, files_)) + "\n";
      }
    }
    if (!matched) {
      out_ += "      " + policy_text(name) + ": " + why_not(policy_.rules->lists[list]) +
              in_brackets(place_text(name.where, files_)) + "\n";
    }
  }

  std::string why_not(const RuleList& list) const {
    if (list.rules.empty()) {
      return "has no rules";
    }
    std::string text = "no rule matches";
    for (size_t i = 0; i < list.rules.size() && i < kMaxRulesShown; ++i) {
      const Mismatch m = mismatch(*policy_.rules, list.rules[i], key_);
      text +=
          (i == 0 ? ": " : ", ") + std::to_string(i) + " differs in " + std::string(word(m));
    }
    if (list.rules.size() > kMaxRulesShown) {
      text += ", and " + std::to_string(list.rules.size() - kMaxRulesShown) + " more";
    }
    return text;
  }

  const CompiledPolicy& policy_;
  const FlowKey& key_;
  const std::vector<std::string>& files_;
  std::string out_;
};

}  // namespace

std::string_view word(Direction direction) {
  return direction == Direction::egress ? "egress" : "ingress";
}

bool ask(const Linear& matcher, ProgramId program, Direction direction, const FlowKey& key,
         Trail& trail) {
  const Verdict verdict = matcher.walk(key, program, [&](const Step& step) {
    trail.push_back({direction, program, step, nullptr});
  });
  return verdict.kind == Verdict::Kind::allow;
}

Verdict::Kind ask_stage(const Linear& matcher, const HostStage& stage, const char* name,
                        Direction direction, const FlowKey& key, Trail& trail) {
  const auto run = [&](ProgramId program, bool keep) {
    Trail steps;
    const Verdict verdict = matcher.walk(key, program, [&](const Step& step) {
      steps.push_back({direction, program, step, name});
    });
    if (keep || verdict.kind == Verdict::Kind::allow) {
      trail.insert(trail.end(), steps.begin(), steps.end());
    }
    return verdict.kind;
  };
  if (stage.failsafe != kNoProgram && run(stage.failsafe, false) == Verdict::Kind::allow) {
    return Verdict::Kind::none;
  }
  return stage.program == kNoProgram ? Verdict::Kind::none : run(stage.program, true);
}

const ListName* policy_of(const CompiledPolicy& policy, const TrailStep& step) {
  if (step.step.kind == Step::Kind::rule) {
    return &*policy.lists[step.step.list];
  }
  const Tier& tier = tier_at(policy, step);
  return tier.lists.empty() ? nullptr : &*policy.lists[tier.lists.front()];
}

const std::string& tier_of(const CompiledPolicy& policy, const TrailStep& step) {
  return policy.tier_names[step.program][step.step.tier];
}

json rule_json(const CompiledPolicy& policy, const std::vector<std::string>& files, ListId list,
               size_t rule) {
  const ListName& named = policy.lists[list];
  const config::Where& where = named.rules[rule];
  return {{"kind", named.kind},
          {"namespace", named.namespace_name},
          {"policy", named.name},
          {"tier", named.tier},
          {"direction", word(named.direction)},
          {"rule", rule},
          {"action", name(policy.rules->lists[list]->rules[rule].action)},
          {"file", where.file < files.size() ? files[where.file] : ""},
          {"line", where.line},
          {"column", where.column}};
}

json step_json(const CompiledPolicy& policy, const TrailStep& step) {
  json named = nullptr;
  if (const ListName* name = policy_of(policy, step)) {
    named = {{"kind", name->kind}, {"namespace", name->namespace_name}, {"name", name->name}};
  }
  const bool rule = step.step.kind == Step::Kind::rule;
  json out = {{"direction", word(step.direction)},
              {"tier", tier_of(policy, step)},
              {"policy", named},
              {"rule", rule ? static_cast<int>(step.step.rule) : -1},
              {"action", name(step.step.action)}};
  if (step.stage != nullptr) {
    out["stage"] = step.stage;
  }
  return out;
}

std::string l4_text(const FlowKey& key) {
  const std::string name = proto::name(key.protocol);
  if (proto::has_ports(key.protocol)) {
    return name + "/" + std::to_string(key.dst_port);
  }
  if (proto::is_icmp(key.protocol)) {
    return name + "/" + std::to_string(key.icmp_type()) + "/" + std::to_string(key.icmp_code());
  }
  return (name[0] <= '9' ? "protocol " : "") + name;
}

std::string policy_text(const ListName& name) {
  return name.kind + " " + qualified(name.namespace_name, name.name);
}

std::string place_text(const config::Where& where, const std::vector<std::string>& files) {
  if (where.line == 0 || where.file >= files.size()) {
    return "";
  }
  return files[where.file] + ":" + std::to_string(where.line) + ":" +
         std::to_string(where.column);
}

std::string decider_text(const CompiledPolicy& policy, const TrailStep& step) {
  if (step.step.kind == Step::Kind::rule) {
    return policy_text(*policy_of(policy, step)) + " rule " + std::to_string(step.step.rule);
  }
  const Tier& tier = tier_at(policy, step);
  if (tier.lists.empty()) {
    return "the end of profiles: the endpoint has none";
  }
  return (tier.profiles ? "the end of profiles: "
                        : "the end of tier " + tier_of(policy, step) + ": ") +
         names_text(policy, tier);
}

config::Where decider_place(const CompiledPolicy& policy, const TrailStep& step) {
  const ListName* name = policy_of(policy, step);
  if (name == nullptr) {
    return {};
  }
  const bool rule = step.step.kind == Step::Kind::rule && step.step.rule < name->rules.size() &&
                    name->rules[step.step.rule].line != 0;
  return rule ? name->rules[step.step.rule] : name->where;
}

std::string considered_text(const CompiledPolicy& policy, const Trail& trail,
                            Direction direction, const FlowKey& key,
                            const std::vector<std::string>& files) {
  Trail steps;
  std::copy_if(trail.begin(), trail.end(), std::back_inserter(steps),
               [direction](const TrailStep& s) { return s.direction == direction; });
  return steps.empty() ? "" : Considered(policy, key, files).text(steps);
}

}  // namespace sluice::control
