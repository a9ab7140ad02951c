// SPDX-License-Identifier: Apache-2.0
#include "control/policy_test.h"

#include <algorithm>

namespace sluice::control {
namespace {

// Is `by` one of the policies that decided?  A tier's end is the work of all its policies that
// selected the endpoint; "tier NAME" names the end itself.
bool decided_by(const CompiledPolicy& policy, const Trail& trail, const std::string& by) {
  if (trail.empty()) {
    return false;
  }
  const TrailStep& last = trail.back();
  const auto named = [&](ListId list) {
    const ListName& name = policy.lists[list];
    const std::string full = qualified(name.namespace_name, name.name);
    return by == name.name || by == full || by == name.kind + "/" + full;
  };
  if (last.step.kind == Step::Kind::rule) {
    return named(last.step.list);
  }
  const Tier& tier = policy.rules->programs[last.program].tiers[last.step.tier];
  return by == "tier " + tier_of(policy, last) ||
         std::any_of(tier.lists.begin(), tier.lists.end(), named);
}

std::string got(const CompiledPolicy& policy, const Cluster::Answer& answer,
                const std::vector<std::string>& files) {
  std::string text = answer.allow ? "allow" : "deny";
  if (answer.trail.empty()) {
    return text + ", no policy was asked";
  }
  const TrailStep& last = answer.trail.back();
  text += " (" + std::string(word(last.direction)) + ") by " + decider_text(policy, last);
  const std::string place = place_text(decider_place(policy, last), files);
  return text + (place.empty() ? "" : " (" + place + ")");
}

}  // namespace

std::vector<CaseResult> run_cases(const Cluster& cluster,
                                  const std::vector<config::PolicyCase>& cases,
                                  const std::vector<std::string>& files,
                                  config::Findings& findings) {
  std::vector<CaseResult> out;
  for (const config::PolicyCase& c : cases) {
    const auto from = cluster.end_of(c.from.value);
    const auto to = cluster.end_of(c.to.value);
    if (!from || !to) {
      const Error& error = from ? to.error() : from.error();
      findings.error((from ? c.to : c.from).where, error.what, error.hint);
      continue;
    }
    const auto ends = cluster.addresses(*from, *to);
    if (!ends) {
      findings.error(c.where, "the two ends have no IP version in common");
      continue;
    }
    const bool hosts = cluster.protects(*from) || cluster.protects(*to);
    if (from->endpoint == nullptr && to->endpoint == nullptr && !hosts) {
      findings.error(c.where, "neither end is an endpoint of these files: no policy is asked",
                     "path.transit decides about what touches no endpoint");
      continue;
    }
    const uint16_t sport = proto::has_ports(c.protocol) ? kEphemeralPort : uint16_t{0};
    const FlowKey key{ends->first, ends->second, sport, c.port, c.protocol};
    const Cluster::Answer answer = cluster.judge(*from, *to, key);
    CaseResult result{c.where,
                      (c.name.empty() ? "" : c.name + ": ") + c.from.value + " -> " +
                          c.to.value + " " + l4_text(key),
                      answer.allow == c.allow, ""};
    const bool by = c.by.empty() || decided_by(cluster.policy(), answer.trail, c.by.value);
    if (!result.passed || !by) {
      result.passed = false;
      result.message = std::string("expected ") + (c.allow ? "allow" : "deny") +
                       (c.by.empty() ? "" : " by " + c.by.value) + ", got " +
                       got(cluster.policy(), answer, files);
    }
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace sluice::control
