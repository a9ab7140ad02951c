// SPDX-License-Identifier: Apache-2.0
// Kubernetes objects in Calico's words: NetworkPolicy to a policy, Namespace and ServiceAccount
// to profiles, and the names that Calico gives to what it derives.
//
// Pure functions of one object each, called by control while it compiles.  What the Kubernetes
// API server fills in before Calico sees an object (policyTypes, `protocol: TCP`, the name
// label of a namespace) is filled in here.  Source: Calico semantics, sections 1.5 to 1.7.
#ifndef SLUICE_CONTROL_KUBERNETES_H_
#define SLUICE_CONTROL_KUBERNETES_H_

#include <string>

#include "config/model.h"

namespace sluice::control {

inline constexpr const char* kKubernetesPolicyKind = "KubernetesNetworkPolicy";

// What every workload endpoint is labelled with.
inline constexpr const char* kNamespaceLabel = "projectcalico.org/namespace";
inline constexpr const char* kOrchestratorLabel = "projectcalico.org/orchestrator";
inline constexpr const char* kAccountLabel = "projectcalico.org/serviceaccount";

// The policy, of kind KubernetesNetworkPolicy (a staged one keeps its own) and order 1000.  A
// rule is the cross product of its protocols and peers.
// REQUIRES: config found no error in it.
config::Policy to_policy(const config::KubernetesPolicy& policy);

// The global policy, of kind KubernetesClusterNetworkPolicy (KubernetesAdminNetworkPolicy and
// KubernetesBaselineAdminNetworkPolicy of the forerunners), in tier kube-admin or
// kube-baseline.  It has a direction only where it has a rule.  A rule with a peer that is not
// applied is closed, as Calico closes it: it denies all, or is left out if it allows.
config::Policy to_policy(const config::ClusterPolicy& policy);

// kns.<namespace>: allows both ways and lends its labels under "pcns.".
config::Profile to_profile(const config::Namespace& object);
// ksa.<namespace>.<name>: no rules; lends its labels under "pcsa.".
config::Profile to_profile(const config::ServiceAccount& object);

std::string namespace_profile(const std::string& namespace_name);
std::string account_profile(const std::string& namespace_name, const std::string& account);
// The host's end of a pod's veth pair.
std::string pod_interface(const std::string& namespace_name, const std::string& pod,
                          const std::string& prefix = "cali");

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_KUBERNETES_H_
