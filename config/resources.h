// SPDX-License-Identifier: Apache-2.0
// Calico and Kubernetes objects from YAML into the model, by kind.
//
// An unknown kind is counted and named once at the end; it is never guessed.  Pure but for the
// model and findings it fills.  Source: Calico semantics, section 1.
#ifndef SLUICE_CONFIG_RESOURCES_H_
#define SLUICE_CONFIG_RESOURCES_H_

#include <map>
#include <tuple>

#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

class Resources {
 public:
  explicit Resources(Model& model) : model_(model) {}
  // One document: an object, or a list of them.
  void read(const Value& document);
  // Says which kinds were left out.
  void finish(Findings& findings) const;

 private:
  using Reader = void (Resources::*)(const Value& object, Meta meta);
  struct Kind {
    std::string_view group;  // of apiVersion, without the version
    std::string_view name;
    bool namespaced;
    Reader reader;
  };
  static const std::vector<Kind>& kinds();

  void read_object(const Value& object);
  bool is_new(const Value& object, const Meta& meta, std::string_view group);
  void read_tier(const Value& object, Meta meta);
  void read_policy(const Value& object, Meta meta);
  void read_kubernetes_policy(const Value& object, Meta meta);
  void read_profile(const Value& object, Meta meta);
  void read_network_set(const Value& object, Meta meta);
  void read_workload_endpoint(const Value& object, Meta meta);
  void read_pool(const Value& object, Meta meta);
  void read_node(const Value& object, Meta meta);
  void read_block(const Value& object, Meta meta);
  void read_pod(const Value& object, Meta meta);
  void read_namespace(const Value& object, Meta meta);
  void read_service_account(const Value& object, Meta meta);
  void read_service(const Value& object, Meta meta);

  Model& model_;
  std::map<std::tuple<std::string, std::string, std::string>, Where> seen_;
  std::map<std::string, std::pair<size_t, Where>> left_out_;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_RESOURCES_H_
