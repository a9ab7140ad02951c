// SPDX-License-Identifier: Apache-2.0
#include "config/resources.h"

#include <algorithm>
#include <functional>

#include "config/kinds.h"

namespace sluice::config {
namespace {

constexpr size_t kMaxName = 253;
constexpr std::string_view kCalico = "projectcalico.org/v3";
constexpr std::string_view kCalicoStored = "crd.projectcalico.org/v1";  // the same, as stored
constexpr std::string_view kNetworking = "networking.k8s.io/v1";
constexpr std::string_view kCluster = "policy.networking.k8s.io/v1alpha2";
constexpr std::string_view kClusterOld = "policy.networking.k8s.io/v1alpha1";
constexpr std::string_view kDiscovery = "discovery.k8s.io/v1";
constexpr std::string_view kCore = "v1";

struct Kind {
  std::string_view api_version;
  std::string_view name;
  bool namespaced;
  void (*read)(const Value& object, Meta meta, ResourceLists& model);
};

constexpr Kind kKinds[] = {
    {kCalico, "BlockAffinity", false, read_block},
    {kCalico, "FelixConfiguration", false, read_felix_configuration},
    {kCalico, "GlobalNetworkPolicy", false, read_policy},
    {kCalico, "GlobalNetworkSet", false, read_network_set},
    {kCalico, "HostEndpoint", false, read_host_endpoint},
    {kCalico, "IPAMBlock", false, read_block},
    {kCalico, "IPPool", false, read_pool},
    {kCalico, "NetworkPolicy", true, read_policy},
    {kCalico, "NetworkSet", true, read_network_set},
    {kCalico, "Node", false, read_node},
    {kCalico, "Profile", false, read_profile},
    {kCalico, "StagedGlobalNetworkPolicy", false, read_policy},
    {kCalico, "StagedKubernetesNetworkPolicy", true, read_kubernetes_policy},
    {kCalico, "StagedNetworkPolicy", true, read_policy},
    {kCalico, "Tier", false, read_tier},
    {kCalico, "WorkloadEndpoint", true, read_workload_endpoint},
    {kCluster, "ClusterNetworkPolicy", false, read_cluster_policy},
    {kClusterOld, "AdminNetworkPolicy", false, read_cluster_policy},
    {kClusterOld, "BaselineAdminNetworkPolicy", false, read_cluster_policy},
    {kDiscovery, "EndpointSlice", true, read_endpoint_slice},
    {kNetworking, "NetworkPolicy", true, read_kubernetes_policy},
    {kCore, "Namespace", false, read_namespace},
    {kCore, "Pod", true, read_pod},
    {kCore, "Service", true, read_service},
    {kCore, "ServiceAccount", true, read_service_account},
};

// Kinds that decide verdicts and are not applied by this version: worth more than a note.
constexpr std::string_view kDeciding[] = {
    "GlobalNetworkPolicy",           "NetworkPolicy",       "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy", "StagedNetworkPolicy",
};

const std::set<std::string_view> kServerFields = {
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
};
// Of a spec: null is what the API servers read, an order after all others, types by default.
const std::set<std::string_view> kNullable = {"order", "policyTypes", "types"};
const std::set<std::string_view> kObjectFields = {"apiVersion", "kind", "metadata", "status"};

std::string_view group_of(std::string_view api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? "" : api_version.substr(0, slash);
}

bool is_printable(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

Meta read_meta(const Value& object, const std::string& kind) {
  Meta meta;
  meta.kind = kind;
  meta.where = object.where();
  if (const auto metadata = object.get("metadata")) {
    metadata->fields(
        {
            {"name", [&](const Value& x) { meta.name = x.text(); }},
            {"namespace", [&](const Value& x) { meta.namespace_name = x.text(); }},
            {"labels", [&](const Value& x) { meta.labels = x.labels(Null::absent); }},
            {"annotations", [&](const Value& x) { meta.annotations = x.labels(Null::absent); }},
        },
        kServerFields, Null::absent);
  }
  return meta;
}

bool check_names(const Value& object, const Meta& meta) {
  if (meta.name.empty()) {
    object.error("metadata.name is missing");
    return false;
  }
  for (const std::string& name : {meta.name, meta.namespace_name}) {
    if (name.size() > kMaxName || !is_printable(name)) {
      object.error("metadata: a name is longer than 253 bytes or not printable");
      return false;
    }
  }
  return true;
}

}  // namespace

void read_spec(const Value& object, const Value::Handlers& handlers,
               const std::set<std::string_view>& ignored) {
  bool given = false;
  object.fields({{"spec",
                  [&](const Value& spec) {
                    given = true;
                    spec.fields(handlers, ignored, kNullable);
                  }}},
                kObjectFields, Null::absent);
  if (!given) {
    object.error("spec is missing", "half-written? an empty one is written spec: {}");
  }
}

void read_boolean(const Value& v, bool& to) {
  to = v.boolean().value_or(to);
}

void Resources::read_items(const Value& list, const Type& type) {
  Type expected;
  if (type.kind != "List") {  // servers leave the type out of the items of a typed list
    expected = {type.api_version, type.kind.substr(0, type.kind.size() - 4)};
  }
  // An empty list is printed as `items: null` too.
  list.fields({{"items",
                [&](const Value& items) {
                  for (const Value& item : items.list()) {
                    read_object(item, expected);
                  }
                }}},
              kObjectFields, Null::absent);
  const auto fields = list.entries();
  if (std::none_of(fields.begin(), fields.end(),
                   [](const auto& field) { return field.first.written() == "items"; })) {
    list.error("items is missing", "half-written? an empty list is written items: []");
  }
}

void Resources::leave_out(const Value& object, const Type& type) {
  const std::string_view group = group_of(type.api_version);
  for (const Kind& kind : kKinds) {
    if (kind.name == type.kind && group_of(kind.api_version) == group) {
      object.error("apiVersion " + type.api_version + " of " + type.kind + " is not read",
                   "apiVersion: " + std::string(kind.api_version));
      return;
    }
  }
  const bool decides =
      std::find(std::begin(kDeciding), std::end(kDeciding), type.kind) != std::end(kDeciding);
  out_.left_out[type.kind + " (" + type.api_version + ")"].add({1, object.where(), decides});
}

void Resources::read_object(const Value& object, const Type& expected) {
  Type type = {object.text_at("apiVersion"), object.text_at("kind")};
  if (type.api_version.empty() && type.kind.empty()) {
    type = expected;
  }
  if (type.api_version.empty() || type.kind.empty()) {
    object.error("not a resource: apiVersion and kind are needed");
    return;
  }
  const Value named = object.with_path(type.kind);
  if (type.kind.ends_with("List")) {
    read_items(named, type);
    return;
  }
  if (type.api_version == kCalicoStored) {
    type.api_version = kCalico;
  }
  const auto* const kind = std::find_if(
      std::begin(kKinds), std::end(kKinds),
      [&](const Kind& k) { return k.api_version == type.api_version && k.name == type.kind; });
  if (kind == std::end(kKinds)) {
    leave_out(named, type);
    return;
  }
  Meta meta = read_meta(named, type.kind);
  if (!check_names(named, meta)) {
    return;
  }
  if (!kind->namespaced) {
    meta.namespace_name.clear();
  } else if (meta.namespace_name.empty()) {
    meta.namespace_name = "default";
  }
  FileContent::Object one{std::string(group_of(type.api_version)) + "/" + meta.kind,
                          meta.namespace_name, meta.name, meta.where};
  one.hash = std::hash<std::string>()(one.name + "/" + one.space + "/" + one.kind);
  out_.objects.emplace_back(std::move(one));
  kind->read(named, std::move(meta), out_.model);
}

void FileContent::LeftOut::add(const LeftOut& more) {
  first = count == 0 ? more.first : first;
  count += more.count;
  decides = more.decides;
}

void Resources::read(const Value& document) {
  if (!document.is_list()) {
    read_object(document, {});
    return;
  }
  for (const Value& item : document.list()) {
    read_object(item, {});
  }
}

}  // namespace sluice::config
