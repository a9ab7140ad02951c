// SPDX-License-Identifier: Apache-2.0
#include "config/old_names.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

namespace sluice::config {
namespace {

constexpr std::string_view kStaged = "staged:";

struct Renamed {
  std::string_view kind;
  std::string_view prefix;
  std::string_view today;
};
constexpr Renamed kRenamed[] = {
    {"NetworkPolicy", "knp.default.", "KubernetesNetworkPolicy"},
    {"StagedNetworkPolicy", "knp.default.", "StagedKubernetesNetworkPolicy"},
    {"GlobalNetworkPolicy", "kcnp.", "KubernetesClusterNetworkPolicy"},
};

using Identity = std::tuple<std::string, std::string, std::string>;

}  // namespace

void mend_old_name(Meta& meta) {
  if (meta.kind.starts_with("Staged") && meta.name.starts_with(kStaged)) {
    meta.name.erase(0, kStaged.size());
  }
  for (const Renamed& r : kRenamed) {
    if (meta.kind == r.kind && meta.name.starts_with(r.prefix) &&
        meta.name.size() > r.prefix.size()) {
      meta.name.erase(0, r.prefix.size());
      meta.kind = r.today;
      return;
    }
  }
}

bool may_be_export(const Policy& policy) {
  return policy.meta.kind.find("Kubernetes") != std::string::npos;
}

bool is_policy_name(const Meta& meta) {
  constexpr std::string_view kGrouped = "ossg.default.";
  const bool grouped = meta.kind == "NetworkPolicy" && meta.name.starts_with(kGrouped);
  const bool kubernetes = meta.kind.find("Kubernetes") != std::string::npos;
  return grouped || kubernetes || std::count(meta.name.begin(), meta.name.end(), '.') <= 1;
}

void leave_out_exports(Model& model, Findings& findings) {
  std::map<Identity, Where> objects;
  for (const KubernetesPolicy& p : model.kubernetes_policies) {
    const char* kind = p.staging == Staging::enforced ? "KubernetesNetworkPolicy"
                                                      : "StagedKubernetesNetworkPolicy";
    objects.emplace(Identity(kind, p.meta.namespace_name, p.meta.name), p.meta.where);
  }
  for (const ClusterPolicy& p : model.cluster_policies) {
    objects.emplace(Identity("Kubernetes" + p.meta.kind, "", p.meta.name), p.meta.where);
  }
  model.policies.erase_if([&](const Policy& p) {
    const auto object = objects.find(Identity(p.meta.kind, p.meta.namespace_name, p.meta.name));
    if (object == objects.end()) {
      return false;
    }
    findings.note(p.meta.where,
                  "an export of the policy in " + model.files[object->second.file] + ":" +
                      std::to_string(object->second.line) + ", which is taken instead");
    return true;
  });
}

}  // namespace sluice::config
