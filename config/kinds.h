// SPDX-License-Identifier: Apache-2.0
// The kinds of objects that are read, one function each: from the object's YAML, whose metadata
// is read already, into the model.  Each function knows all fields of its kind.
//
// Called by Resources only.  Pure but for the model and findings they fill.
// Source: Calico semantics, section 1; what the API servers refuse is refused here.
#ifndef SLUICE_CONFIG_KINDS_H_
#define SLUICE_CONFIG_KINDS_H_

#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

// The object's spec, field by field.  An object without one is a finding.
void read_spec(const Value& object, const Value::Handlers& handlers,
               const std::set<std::string_view>& ignored = {});
// What `types` and `policyTypes` hold.
template <typename Policy>
void read_types(const Value& v, Policy& p) {
  for (const Value& item : v.list()) {
    if (const auto i = item.one_of({"Ingress", "Egress"})) {
      p.types_given = true;
      (*i == 0 ? p.type_ingress : p.type_egress) = true;
    }
  }
}
// `to` stays as it is if `v` is no boolean.
void read_boolean(const Value& v, bool& to);

// {name, protocol, port}, the port being called `number_key`.
NamedPort read_named_port(const Value& v, std::string_view number_key,
                          const std::set<std::string_view>& ignored = {});

// What `stagedAction` of a staged policy says.
Staging read_staged_action(const Value& v);

// calico_policy.cc; policies are global, too, and staged
void read_policy(const Value& object, Meta meta, ResourceLists& model);
void read_profile(const Value& object, Meta meta, ResourceLists& model);
void read_network_set(const Value& object, Meta meta, ResourceLists& model);  // and global
// tier.cc; a reserved one may only say what it is anyway
void read_tier(const Value& object, Meta meta, ResourceLists& model);
// cluster_policy.cc
void read_cluster_policy(const Value& object, Meta meta, ResourceLists& model);
// kubernetes_policy.cc
LabelSelector read_label_selector(const Value& v);
// Complains where the API server would: of a key that is none, or a value.
void check_label(const Value& v, const std::string& key, const std::string& value);
void read_kubernetes_policy(const Value& object, Meta meta, ResourceLists& model);
// workloads.cc
void read_workload_endpoint(const Value& object, Meta meta, ResourceLists& model);
void read_host_endpoint(const Value& object, Meta meta, ResourceLists& model);
void read_pod(const Value& object, Meta meta, ResourceLists& model);
void read_namespace(const Value& object, Meta meta, ResourceLists& model);
void read_service_account(const Value& object, Meta meta, ResourceLists& model);
void read_service(const Value& object, Meta meta, ResourceLists& model);
// endpoint_slice.cc
void read_endpoint_slice(const Value& object, Meta meta, ResourceLists& model);
// felix_configuration.cc
void read_felix_configuration(const Value& object, Meta meta, ResourceLists& model);
// nodes.cc; a block is a BlockAffinity or an IPAMBlock
void read_pool(const Value& object, Meta meta, ResourceLists& model);
void read_node(const Value& object, Meta meta, ResourceLists& model);
void read_block(const Value& object, Meta meta, ResourceLists& model);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_KINDS_H_
