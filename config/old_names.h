// SPDX-License-Identifier: Apache-2.0
// Names that Calico gave to policies before a policy was known by (kind, namespace, name):
// understood when they are read, never made.
//
//   knp.default.<name>         of a NetworkPolicy        KubernetesNetworkPolicy
//   staged:<name>              of a staged policy        the same kind, without the prefix
//   staged:knp.default.<name>  of a StagedNetworkPolicy  StagedKubernetesNetworkPolicy
//   kcnp.<name>                of a GlobalNetworkPolicy  KubernetesClusterNetworkPolicy
// A tier before the name (default.<name>) stays part of it.
// Used while policies are read, on one thread.  Source: Calico semantics, section 1.3.
#ifndef SLUICE_CONFIG_OLD_NAMES_H_
#define SLUICE_CONFIG_OLD_NAMES_H_

#include "config/findings.h"
#include "config/model.h"

namespace sluice::config {

// Kind and name that a Calico policy has today.
void mend_old_name(Meta& meta);
// May a policy be called so?  One dot at most, but NetworkPolicies may begin with ossg.default.
bool is_policy_name(const Meta& meta);
// A Kubernetes policy as calicoctl exports it, beside the object itself, is the same policy:
// the export is left out, with a note.  Only policies of some kinds may be one.
bool may_be_export(const Policy& policy);
void leave_out_exports(Model& model, Findings& findings);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_OLD_NAMES_H_
