// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/evaluate.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "tests/differential/matching.h"

namespace sluice::differential {
namespace {

// One policy or profile as it applies to one pod: its name and its rules in one direction.
struct Applied {
  std::string tier, kind, space, name;
  double order = std::numeric_limits<double>::infinity();
  Stage stage = Stage::enforced;
  std::vector<Rule> rules = {};
  std::string tie() const { return name + "/" + space + "/" + kind; }  // semantics 2.1
};

// ---- which apply, semantics 1.3, 2.2 and 4.6 -----------------------------------------------

bool applies(const Policy& p, bool egress) {
  if (p.types) {
    return egress ? p.to_egress : p.to_ingress;
  }
  return egress ? !p.egress.empty() : !p.ingress.empty() || p.egress.empty();
}

bool selects(const Cluster& c, const Policy& p, const Pod& pod) {
  if (p.untracked || p.pre_dnat || (!p.global && p.space != pod.space)) {
    return false;
  }
  const Labels labels = effective_labels(c, pod);
  // In a global policy, "all()" beside a namespaceSelector asks for a namespace, and otherwise,
  // beside a serviceAccountSelector, for an account.
  const All beside_spaces =
      p.global && p.namespace_selector ? All::has_namespace : All::anything;
  const All beside_accounts = p.global && p.account_selector ? All::has_account : All::anything;
  const All own = beside_spaces == All::anything ? beside_accounts : beside_spaces;
  return (!p.selector || matches(*p.selector, labels, "", own)) &&
         (!p.namespace_selector ||
          matches(*p.namespace_selector, labels, "pcns.", beside_spaces)) &&
         (!p.account_selector ||
          matches(*p.account_selector, labels, "pcsa.", beside_accounts));
}

bool selects(const Cluster& c, const KubePolicy& p, const Pod& pod) {
  return p.space == pod.space && matches(p.pods, effective_labels(c, pod));
}

bool applies(const KubePolicy& p, bool egress) {
  if (p.types) {
    return egress ? p.to_egress : p.to_ingress;
  }
  return !egress || !p.egress.empty();
}

// Only a direction that has rules counts, after those that fail to convert are left out.
bool selects(const Cluster& c, const ClusterPolicy& p, const Pod& pod) {
  const Labels labels = effective_labels(c, pod);
  return matches_spaces(*p.subject.spaces, labels) &&
         (!p.subject.pods || matches(*p.subject.pods, labels));
}

std::vector<Applied> policies_of(const Cluster& c, const Pod& pod, bool egress) {
  std::vector<Applied> out;
  for (const Policy& p : c.policies) {
    if (p.stage == Stage::removed || !applies(p, egress) || !selects(c, p, pod)) {
      continue;
    }
    Applied a{p.tier.empty() ? "default" : p.tier, p.kind(), p.space, p.name};
    a.order = p.order.value_or(a.order);
    a.stage = p.stage;
    a.rules = egress ? p.egress : p.ingress;
    out.push_back(std::move(a));
  }
  for (const KubePolicy& p : c.kube_policies) {
    if (p.stage == Stage::removed || !applies(p, egress) || !selects(c, p, pod)) {
      continue;
    }
    Applied a{"default", p.kind(), p.space, p.name, 1000, p.stage, {}};
    for (const KubeRule& rule : egress ? p.egress : p.ingress) {
      const std::vector<Rule> more = calico_rules(rule, egress);
      a.rules.insert(a.rules.end(), more.begin(), more.end());
    }
    out.push_back(std::move(a));
  }
  for (const ClusterPolicy& p : c.cluster_policies) {
    const std::string tier = p.baseline ? "kube-baseline" : "kube-admin";
    Applied a{tier, p.kind(), "", p.name, static_cast<double>(p.priority)};
    for (const ClusterRule& rule : egress ? p.egress : p.ingress) {
      const std::vector<Rule> more = calico_rules(rule, egress);
      a.rules.insert(a.rules.end(), more.begin(), more.end());
    }
    if (!a.rules.empty() && selects(c, p, pod)) {
      out.push_back(std::move(a));
    }
  }
  return out;
}

// ---- order, semantics 1.2 and 2.1 ----------------------------------------------------------

// Known before unknown, then by order, then by name.
using TierRank = std::tuple<bool, double, std::string>;

struct TierFacts {
  TierRank rank;
  bool pass = false;
};

TierFacts facts_of(const Cluster& c, const std::string& name) {
  constexpr double kNoOrder = 1000000;
  if (name == "default") {
    return {{false, kNoOrder, name}, false};
  }
  if (name == "kube-admin") {
    return {{false, 1000, name}, true};
  }
  if (name == "kube-baseline") {
    return {{false, 10000000, name}, true};
  }
  for (const Tier& t : c.tiers) {
    if (t.name == name) {
      return {{false, t.order.value_or(kNoOrder), name}, t.end == "Pass"};
    }
  }
  return {{true, 0, name}, false};
}

// ---- the verdict, semantics 2.3 ------------------------------------------------------------

enum class Said { allow, deny, pass, nothing };

// The first of the list's rules that decides.
Said walk(const Cluster& c, const Applied& list, const Packet& packet, int& rule) {
  for (size_t i = 0; i < list.rules.size(); ++i) {
    const Rule& r = list.rules[i];
    if (r.act == Act::log || !rule_matches(c, list.space, r, packet)) {
      continue;
    }
    rule = static_cast<int>(i);
    return r.act == Act::allow ? Said::allow : r.act == Act::deny ? Said::deny : Said::pass;
  }
  return Said::nothing;
}

Answer answer_of(const Applied& list, bool allow, bool egress, int rule) {
  return {allow, egress, list.tier, list.kind, list.space, list.name, rule};
}

Answer by_profiles(const Cluster& c, const Pod& pod, bool egress, const Packet& packet) {
  Applied first{"__PROFILE__", "Profile", "", ""};
  bool is_first = true;
  for (const std::string& name : profiles_of(pod)) {
    Applied list{"__PROFILE__", "Profile", "", name};
    list.rules = profile_rules(c, name, egress);
    int rule = -1;
    const Said said = walk(c, list, packet, rule);
    if (said != Said::nothing) {
      return answer_of(list, said == Said::allow, egress, rule);
    }
    if (is_first) {
      first = list;
      is_first = false;
    }
  }
  return answer_of(first, false, egress, -1);
}

// ---- what is not policy, semantics 1.9, 5.6 and 6.8 ----------------------------------------

// What the FelixConfigurations say for our node, and which of them said the field.
struct FelixAnswer {
  std::string value, by;
};
FelixAnswer to_host(const Cluster& c) {
  FelixAnswer out;
  for (const char* name : {"default", "node.n1"}) {
    for (const Felix& f : c.felixes) {
      if (f.name == name && (out.by.empty() || !f.to_host.empty())) {
        // Felix' own default is to drop; without any object, what Calico's manifests set holds.
        out = {f.to_host.empty() ? "Drop" : f.to_host, f.name};
      }
    }
  }
  return out;
}

bool allowed(const Cluster& c, std::optional<bool> Felix::*field) {
  bool out = false;
  for (const char* name : {"default", "node.n1"}) {
    for (const Felix& f : c.felixes) {
      if (f.name == name) {
        out = (f.*field).value_or(out);
      }
    }
  }
  return out;
}

// Would a workload make a tunnel of its own?
bool is_tunnel_refused(const Cluster& c, const Packet& p) {
  switch (p.protocol) {
    case 4:
      return !allowed(c, &Felix::ipip);
    case 17:
      return p.dport == 4789 && !allowed(c, &Felix::vxlan);
    case 41:
    case 47:
      return true;  // ours: Calico lets them pass
    default:
      return false;
  }
}

}  // namespace

std::string text(const Answer& a) {
  return std::string(a.allow ? "allow" : "deny") + (a.egress ? " egress " : " ingress ") +
         a.tier + " " + a.kind + " " + a.space + "/" + a.name + " rule " +
         std::to_string(a.rule);
}

Answer evaluate_end(const Cluster& c, const Pod& pod, bool egress, const Packet& packet,
                    bool pending) {
  std::vector<Applied> lists = policies_of(c, pod, egress);
  if (!pending) {
    std::erase_if(lists, [](const Applied& a) { return a.stage != Stage::enforced; });
  }
  std::map<TierRank, std::vector<Applied>> tiers;
  for (Applied& a : lists) {
    const TierRank rank = facts_of(c, a.tier).rank;
    tiers[rank].push_back(std::move(a));
  }
  for (auto& [rank, tier] : tiers) {
    std::sort(tier.begin(), tier.end(), [](const Applied& a, const Applied& b) {
      return a.order != b.order ? a.order < b.order : a.tie() < b.tie();
    });
    Said said = Said::nothing;
    int rule = -1;
    for (const Applied& list : tier) {
      said = walk(c, list, packet, rule);
      if (said == Said::allow || said == Said::deny) {
        return answer_of(list, said == Said::allow, egress, rule);
      }
      if (said == Said::pass) {
        break;
      }
    }
    if (said == Said::nothing && !facts_of(c, tier.front().tier).pass) {
      return answer_of(tier.front(), false, egress, -1);
    }
  }
  return by_profiles(c, pod, egress, packet);
}

const Pod* source_of(const Cluster& c, const Packet& packet) {
  const auto it = std::find_if(c.pods.begin(), c.pods.end(),
                               [&](const Pod& p) { return name_of(p) == packet.in; });
  return it == c.pods.end() ? nullptr : &*it;
}

const Pod* destination_of(const Cluster& c, const Packet& packet) {
  const auto it = std::find_if(c.pods.begin(), c.pods.end(), [&](const Pod& p) {
    return p.local && (p.ip == packet.dst || p.ip6 == packet.dst);
  });
  return it == c.pods.end() ? nullptr : &*it;
}

Answer evaluate(const Cluster& c, const Packet& packet, bool pending) {
  Answer out;
  const Pod* source = source_of(c, packet);
  const Pod* destination = destination_of(c, packet);
  if (source != nullptr && is_tunnel_refused(c, packet)) {
    return out;
  }
  if (source != nullptr) {
    out = evaluate_end(c, *source, true, packet, pending);
    if (const FelixAnswer felix = to_host(c);
        out.allow && is_own(packet.dst) && (felix.value == "Drop" || felix.value == "DROP")) {
      return {false, true, "__HOST__", "FelixConfiguration", "", felix.by, -1};
    }
  }
  if (destination != nullptr && (source == nullptr || out.allow)) {
    out = evaluate_end(c, *destination, false, packet, pending);
  }
  return out;
}

bool has_pending(const Cluster& c, const Pod& pod, bool egress) {
  const std::vector<Applied> lists = policies_of(c, pod, egress);
  return std::any_of(lists.begin(), lists.end(),
                     [](const Applied& a) { return a.stage == Stage::staged; });
}

}  // namespace sluice::differential
