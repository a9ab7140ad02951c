// SPDX-License-Identifier: Apache-2.0
#include "config/resources.h"

#include <algorithm>

#include "config/rules.h"
#include "config/scalars.h"
#include "config/tiers.h"

namespace sluice::config {
namespace {

// Kinds that decide verdicts and are not applied by this version: worth more than a note.
constexpr std::string_view kDeciding[] = {"HostEndpoint",
                                          "StagedNetworkPolicy",
                                          "StagedGlobalNetworkPolicy",
                                          "StagedKubernetesNetworkPolicy",
                                          "ClusterNetworkPolicy",
                                          "AdminNetworkPolicy",
                                          "BaselineAdminNetworkPolicy",
                                          "FelixConfiguration",
                                          "EndpointSlice"};

const std::set<std::string_view> kServerFields = {"uid",
                                                  "resourceVersion",
                                                  "creationTimestamp",
                                                  "generation",
                                                  "managedFields",
                                                  "selfLink",
                                                  "ownerReferences",
                                                  "finalizers",
                                                  "generateName",
                                                  "deletionGracePeriodSeconds"};
const std::set<std::string_view> kObjectFields = {"apiVersion", "kind", "metadata", "status"};

void for_spec(const Value& object, const Value::Handlers& handlers,
              const std::set<std::string_view>& ignored = {}) {
  object.fields({{"spec", [&](const Value& spec) { spec.fields(handlers, ignored); }}},
                kObjectFields);
}

void check_requirement(const Value& v, const LabelRequirement& r) {
  using Operator = LabelRequirement::Operator;
  const bool takes_values = r.op == Operator::in || r.op == Operator::not_in;
  if (r.key.empty()) {
    v.error("key is missing");
  }
  if (takes_values && r.values.empty()) {
    v.error("operators In and NotIn need values");
  } else if (!takes_values && !r.values.empty()) {
    v.error("operators Exists and DoesNotExist take no values");
  }
}

LabelSelector read_label_selector(const Value& v) {
  LabelSelector s;
  v.fields({
      {"matchLabels", [&](const Value& x) { s.match_labels = x.labels(); }},
      {"matchExpressions",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           LabelRequirement r;
           if (!item.get("operator")) {
             item.error("operator is missing", "In, NotIn, Exists or DoesNotExist");
             continue;
           }
           item.fields({
               {"key", [&](const Value& y) { r.key = y.text(); }},
               {"operator",
                [&](const Value& y) {
                  if (const auto i = y.one_of({"In", "NotIn", "Exists", "DoesNotExist"})) {
                    r.op = static_cast<LabelRequirement::Operator>(*i);
                  }
                }},
               {"values", [&](const Value& y) { r.values = y.texts(); }},
           });
           check_requirement(item, r);
           s.match_expressions.push_back(std::move(r));
         }
       }},
  });
  return s;
}

KubernetesPeer read_peer(const Value& v) {
  KubernetesPeer p;
  v.fields({
      // A null is as good as absent; an empty map is not, it selects everything.
      {"podSelector",
       [&](const Value& x) {
         if (!x.is_null()) {
           p.pod_selector = read_label_selector(x);
         }
       }},
      {"namespaceSelector",
       [&](const Value& x) {
         if (!x.is_null()) {
           p.namespace_selector = read_label_selector(x);
         }
       }},
      {"ipBlock",
       [&](const Value& x) {
         if (x.is_null()) {
           return;
         }
         x.fields({
             {"cidr", [&](const Value& y) { p.ip_block = read_prefix(y); }},
             {"except", [&](const Value& y) { p.except = read_prefixes(y); }},
         });
         if (!p.ip_block) {
           x.error("cidr is missing or wrong");
           return;
         }
         for (const Prefix& e : p.except) {
           if (!p.ip_block->contains(e.base) || e.length < p.ip_block->length) {
             x.error("except " + to_string(e) + " is not inside " + to_string(*p.ip_block));
           }
         }
       }},
  });
  if (p.ip_block && (p.pod_selector || p.namespace_selector)) {
    v.error("ipBlock excludes podSelector and namespaceSelector");
  }
  if (!p.ip_block && !p.pod_selector && !p.namespace_selector) {
    v.error("a peer needs podSelector, namespaceSelector or ipBlock");
  }
  return p;
}

// What Kubernetes lets a port be called: lower case, digits and '-', a letter among them.
bool is_port_name(std::string_view s) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  constexpr size_t kMaxPortName = 15;
  return s.size() <= kMaxPortName && s.find_first_of(kLetters) != std::string_view::npos &&
         s.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

KubernetesPort read_kubernetes_port(const Value& v) {
  KubernetesPort p;
  v.fields({
      {"protocol",
       [&](const Value& x) {
         if (x.one_of({"TCP", "UDP", "SCTP"})) {
           p.protocol = x.text();
         }
       }},
      {"port",
       [&](const Value& x) {
         const std::string s = x.text();
         if (!x.quoted() && s.find_first_not_of("0123456789") == std::string::npos) {
           if (const auto n = x.integer(1, 65535)) {
             p.port = static_cast<uint16_t>(*n);
           }
         } else if (is_port_name(s)) {
           p.port = s;
         } else {
           x.error("\"" + s + "\" is no port's name", "write a number without quotes");
         }
       }},
      {"endPort",
       [&](const Value& x) {
         if (const auto n = x.integer(1, 65535)) {
           p.end_port = static_cast<uint16_t>(*n);
         }
       }},
  });
  if (p.end_port) {
    const auto* first = p.port ? std::get_if<uint16_t>(&*p.port) : nullptr;
    if (first == nullptr || *p.end_port < *first) {
      v.error("endPort needs a numeric port that is not above it");
    }
  }
  return p;
}

std::vector<KubernetesRule> read_kubernetes_rules(const Value& v, std::string_view peers) {
  std::vector<KubernetesRule> out;
  for (const Value& item : v.list()) {
    KubernetesRule r;
    r.where = item.where();
    item.fields({
        {peers,
         [&](const Value& x) {
           for (const Value& peer : x.list()) {
             r.peers.push_back(read_peer(peer));
           }
         }},
        {"ports",
         [&](const Value& x) {
           for (const Value& port : x.list()) {
             r.ports.push_back(read_kubernetes_port(port));
           }
         }},
    });
    out.push_back(std::move(r));
  }
  return out;
}

template <typename Policy>
void read_types(const Value& v, Policy& p) {
  for (const Value& item : v.list()) {
    if (const auto i = item.one_of({"Ingress", "Egress"})) {
      p.types_given = true;
      (*i == 0 ? p.type_ingress : p.type_egress) = true;
    }
  }
}

void set_true(bool& to, const Value& v) {
  to = v.boolean().value_or(false);
}

EncapMode read_encap(const Value& v) {
  if (v.is_null() || (v.is_scalar() && v.text().empty())) {
    return EncapMode::never;
  }
  return static_cast<EncapMode>(v.one_of({"Never", "Always", "CrossSubnet"}).value_or(0));
}

NamedPort read_named_port(const Value& v, std::string_view number_key) {
  NamedPort p;
  v.fields(
      {
          {"name", [&](const Value& x) { p.name = x.text(); }},
          {"protocol",
           [&](const Value& x) {
             if (const auto protocol = read_protocol(x)) {
               p.protocol = protocol->number;
             }
           }},
          {number_key,
           [&](const Value& x) {
             p.port = static_cast<uint16_t>(x.integer(1, 65535).value_or(0));
           }},
      },
      {"hostPort", "hostIP"});
  return p;
}

}  // namespace

void Resources::read_tier(const Value& object, Meta meta) {
  config::read_tier(object, std::move(meta), model_);
}

void Resources::read_policy(const Value& object, Meta meta) {
  Policy p;
  p.global = meta.kind == "GlobalNetworkPolicy";
  Value::Handlers handlers = {
      {"tier",
       [&](const Value& x) {
         if (!x.text().empty()) {
           p.tier = x.text();
         }
       }},
      {"order",
       [&](const Value& x) {
         if (!x.is_null()) {
           p.order = x.number();
         }
       }},
      {"selector", [&](const Value& x) { p.selector = read_text(x); }},
      {"serviceAccountSelector",
       [&](const Value& x) { p.service_account_selector = read_text(x); }},
      {"ingress", [&](const Value& x) { p.ingress = read_rules(x, true); }},
      {"egress", [&](const Value& x) { p.egress = read_rules(x, false); }},
      {"types", [&](const Value& x) { read_types(x, p); }},
  };
  if (p.global) {
    handlers["namespaceSelector"] = [&](const Value& x) {
      p.namespace_selector = read_text(x);
    };
    handlers["doNotTrack"] = [&](const Value& x) { set_true(p.do_not_track, x); };
    handlers["preDNAT"] = [&](const Value& x) { set_true(p.pre_dnat, x); };
    handlers["applyOnForward"] = [&](const Value& x) { set_true(p.apply_on_forward, x); };
  }
  for_spec(object, handlers, {"performanceHints"});
  if ((p.do_not_track || p.pre_dnat) && !p.apply_on_forward) {
    object.error("doNotTrack and preDNAT need applyOnForward: true");
  }
  if (p.do_not_track && p.pre_dnat) {
    object.error("doNotTrack and preDNAT exclude each other");
  }
  if (p.pre_dnat && (!p.egress.empty() || p.type_egress)) {
    object.error("a preDNAT policy has no egress");
  }
  p.meta = std::move(meta);
  model_.policies.push_back(std::move(p));
}

void Resources::read_kubernetes_policy(const Value& object, Meta meta) {
  KubernetesPolicy p;
  for_spec(
      object,
      {
          {"podSelector", [&](const Value& x) { p.pod_selector = read_label_selector(x); }},
          {"policyTypes", [&](const Value& x) { read_types(x, p); }},
          {"ingress", [&](const Value& x) { p.ingress = read_kubernetes_rules(x, "from"); }},
          {"egress", [&](const Value& x) { p.egress = read_kubernetes_rules(x, "to"); }},
      });
  p.meta = std::move(meta);
  model_.kubernetes_policies.push_back(std::move(p));
}

void Resources::read_profile(const Value& object, Meta meta) {
  Profile p;
  for_spec(object,
           {
               {"labelsToApply", [&](const Value& x) { p.labels_to_apply = x.labels(); }},
               {"ingress", [&](const Value& x) { p.ingress = read_rules(x, true); }},
               {"egress", [&](const Value& x) { p.egress = read_rules(x, false); }},
           });
  p.meta = std::move(meta);
  model_.profiles.push_back(std::move(p));
}

void Resources::read_network_set(const Value& object, Meta meta) {
  NetworkSet s;
  s.global = meta.kind == "GlobalNetworkSet";
  for_spec(object, {{"nets", [&](const Value& x) { s.nets = read_prefixes(x); }}});
  s.meta = std::move(meta);
  model_.network_sets.push_back(std::move(s));
}

void Resources::read_workload_endpoint(const Value& object, Meta meta) {
  WorkloadEndpoint w;
  for_spec(object,
           {
               {"node", [&](const Value& x) { w.node = x.text(); }},
               {"orchestrator", [&](const Value& x) { w.orchestrator = x.text(); }},
               {"workload", [&](const Value& x) { w.workload = x.text(); }},
               {"pod", [&](const Value& x) { w.pod = x.text(); }},
               {"endpoint", [&](const Value& x) { w.endpoint = x.text(); }},
               {"interfaceName", [&](const Value& x) { w.interface_name = x.text(); }},
               {"ipNetworks", [&](const Value& x) { w.ip_networks = read_prefixes(x); }},
               {"profiles", [&](const Value& x) { w.profiles = x.texts(); }},
               {"mac",
                [&](const Value& x) {
                  if (!x.is_null() && !x.text().empty()) {
                    w.mac = read_mac(x);
                  }
                }},
               {"ports",
                [&](const Value& x) {
                  for (const Value& item : x.list()) {
                    w.ports.push_back(read_named_port(item, "port"));
                  }
                }},
               {"serviceAccountName", [&](const Value& x) { w.service_account = x.text(); }},
               {"allowSpoofedSourcePrefixes",
                [&](const Value& x) { w.allowed_source_prefixes = read_prefixes(x); }},
           },
           {"containerID", "ipNATs", "ipv4Gateway", "ipv6Gateway"});
  w.meta = std::move(meta);
  model_.workload_endpoints.push_back(std::move(w));
}

void Resources::read_pool(const Value& object, Meta meta) {
  IpPool p;
  bool cidr = false;
  for_spec(object,
           {
               {"cidr",
                [&](const Value& x) {
                  if (const auto prefix = read_prefix(x)) {
                    p.cidr = *prefix;
                    cidr = true;
                  }
                }},
               {"ipipMode", [&](const Value& x) { p.ipip = read_encap(x); }},
               {"vxlanMode", [&](const Value& x) { p.vxlan = read_encap(x); }},
               {"natOutgoing", [&](const Value& x) { set_true(p.nat_outgoing, x); }},
               {"disabled", [&](const Value& x) { set_true(p.disabled, x); }},
           },
           {"blockSize", "nodeSelector", "namespaceSelector", "allowedUses", "disableBGPExport",
            "assignmentMode"});
  if (!cidr) {
    object.error("spec.cidr is missing");
  }
  if (p.nat_outgoing) {
    object.warning("natOutgoing is not applied yet: packets leave with the pod's own address");
  }
  p.meta = std::move(meta);
  model_.ip_pools.push_back(std::move(p));
}

void Resources::read_node(const Value& object, Meta meta) {
  Node n;
  const auto bgp = [&](const Value& v) {
    v.fields(
        {
            {"ipv4Address",
             [&](const Value& x) {
               const std::string s = x.text();
               const auto host = parse_address(std::string_view(s).substr(0, s.find('/')));
               n.address = read_prefix(x);
               if (host && host->is_v4()) {
                 n.address_host = host->v4();
               }
             }},
            {"ipv4IPIPTunnelAddr", [&](const Value& x) { n.tunnel_address = read_ip4(x); }},
        },
        {"asNumber", "ipv6Address", "routeReflectorClusterID"});
  };
  for_spec(object, {{"bgp", bgp}},
           {"addresses", "orchRefs", "wireguard", "ipv4VXLANTunnelAddr", "vxlanTunnelMACAddr",
            "ipv6VXLANTunnelAddr", "vxlanTunnelMACAddrV6"});
  n.meta = std::move(meta);
  model_.nodes.push_back(std::move(n));
}

void Resources::read_block(const Value& object, Meta meta) {
  Block b;
  bool cidr = false;
  for_spec(
      object,
      {
          {"cidr",
           [&](const Value& x) {
             if (const auto prefix = read_prefix(x)) {
               b.cidr = *prefix;
               cidr = true;
             }
           }},
          {"node", [&](const Value& x) { b.node = x.text(); }},
          {"affinity",
           [&](const Value& x) {
             const std::string s = x.is_null() ? "" : x.text();
             if (s.starts_with("host:")) {
               b.node = s.substr(5);
             }
           }},
          {"deleted", [&](const Value& x) { b.deleted = x.is_scalar() && x.text() == "true"; }},
      },
      {"state", "type", "allocations", "attributes", "unallocated", "strictAffinity",
       "sequenceNumber", "sequenceNumberForAllocation", "affinityClaimTime"});
  if (!cidr) {
    object.error("spec.cidr is missing");
  }
  b.meta = std::move(meta);
  model_.blocks.push_back(std::move(b));
}

void Resources::read_pod(const Value& object, Meta meta) {
  Pod p;
  const auto text_at = [](const Value& v, std::string_view key) {
    const auto x = v.get(key);
    return x && !x->is_null() ? x->text() : std::string();
  };
  if (const auto metadata = object.get("metadata")) {
    p.deleting = metadata->get("deletionTimestamp").has_value();
  }
  if (const auto spec = object.get("spec")) {
    p.node = text_at(*spec, "nodeName");
    p.service_account = text_at(*spec, "serviceAccountName");
    p.host_network = text_at(*spec, "hostNetwork") == "true";
    for (const std::string_view group : {"containers", "initContainers"}) {
      const auto containers = spec->get(group);
      for (const Value& c : containers ? containers->list() : std::vector<Value>()) {
        const auto ports = c.get("ports");
        for (const Value& port : ports ? ports->list() : std::vector<Value>()) {
          NamedPort named = read_named_port(port, "containerPort");
          if (named.port != 0 && !named.name.empty()) {
            p.ports.push_back(std::move(named));
          }
        }
      }
    }
  }
  if (const auto status = object.get("status")) {
    p.phase = text_at(*status, "phase");
    if (const auto ips = status->get("podIPs")) {
      for (const Value& item : ips->list()) {
        if (const auto ip = item.get("ip")) {
          if (const auto address = read_address(*ip)) {
            p.pod_ips.push_back(*address);
          }
        }
      }
    }
    const auto ip = status->get("podIP");
    if (p.pod_ips.empty() && ip && !ip->is_null() && !ip->text().empty()) {
      if (const auto address = read_address(*ip)) {
        p.pod_ips.push_back(*address);
      }
    }
  }
  p.meta = std::move(meta);
  model_.pods.push_back(std::move(p));
}

void Resources::read_namespace(const Value&, Meta meta) {
  model_.namespaces.push_back({std::move(meta)});
}

void Resources::read_service_account(const Value&, Meta meta) {
  model_.service_accounts.push_back({std::move(meta)});
}

void Resources::read_service(const Value& object, Meta) {
  if (++model_.services == 1) {
    object.warning("Service objects are not applied yet: cluster addresses are not translated");
  }
}

const std::vector<Resources::Kind>& Resources::kinds() {
  static const std::vector<Kind> all = {
      {"projectcalico.org", "Tier", false, &Resources::read_tier},
      {"projectcalico.org", "NetworkPolicy", true, &Resources::read_policy},
      {"projectcalico.org", "GlobalNetworkPolicy", false, &Resources::read_policy},
      {"projectcalico.org", "Profile", false, &Resources::read_profile},
      {"projectcalico.org", "NetworkSet", true, &Resources::read_network_set},
      {"projectcalico.org", "GlobalNetworkSet", false, &Resources::read_network_set},
      {"projectcalico.org", "WorkloadEndpoint", true, &Resources::read_workload_endpoint},
      {"projectcalico.org", "IPPool", false, &Resources::read_pool},
      {"projectcalico.org", "Node", false, &Resources::read_node},
      {"projectcalico.org", "BlockAffinity", false, &Resources::read_block},
      {"projectcalico.org", "IPAMBlock", false, &Resources::read_block},
      {"networking.k8s.io", "NetworkPolicy", true, &Resources::read_kubernetes_policy},
      {"", "Namespace", false, &Resources::read_namespace},
      {"", "ServiceAccount", true, &Resources::read_service_account},
      {"", "Pod", true, &Resources::read_pod},
      {"", "Service", true, &Resources::read_service},
  };
  return all;
}

bool Resources::is_new(const Value& object, const Meta& meta, std::string_view group) {
  const auto [it, fresh] = seen_.emplace(
      std::tuple(std::string(group) + "/" + meta.kind, meta.namespace_name, meta.name),
      object.where());
  if (!fresh) {
    object.error("the same object twice, first in " + model_.files[it->second.file] + ":" +
                 std::to_string(it->second.line));
  }
  return fresh;
}

void Resources::read_object(const Value& object) {
  const auto api = object.get("apiVersion");
  const auto kind = object.get("kind");
  if (!api || !kind) {
    object.error("not a resource: apiVersion and kind are needed");
    return;
  }
  Meta meta;
  meta.kind = kind->text();
  meta.where = object.where();
  const std::string version = api->text();
  std::string group =
      version.substr(0, version.find('/') == std::string::npos ? 0 : version.find('/'));
  if (group == "crd.projectcalico.org") {
    group = "projectcalico.org";
  }
  if (const auto items = object.get("items"); items && meta.kind.ends_with("List")) {
    for (const Value& item : items->list()) {
      read_object(item);
    }
    return;
  }
  if (const auto metadata = object.get("metadata")) {
    metadata->fields(
        {
            {"name", [&](const Value& x) { meta.name = x.text(); }},
            {"namespace", [&](const Value& x) { meta.namespace_name = x.text(); }},
            {"labels", [&](const Value& x) { meta.labels = x.labels(); }},
            {"annotations", [&](const Value& x) { meta.annotations = x.labels(); }},
            {"deletionTimestamp", [](const Value&) {}},
        },
        kServerFields);
  }
  const auto& all = kinds();
  const auto it = std::find_if(all.begin(), all.end(), [&](const Kind& k) {
    return k.group == group && k.name == meta.kind;
  });
  if (it == all.end()) {
    auto& [count, where] = left_out_[meta.kind];
    where = count++ == 0 ? object.where() : where;
    return;
  }
  if (meta.name.empty() || meta.name.size() > 253) {
    object.error("metadata.name is missing or longer than 253 bytes");
    return;
  }
  if (it->namespaced && meta.namespace_name.empty()) {
    meta.namespace_name = "default";
  }
  if (!it->namespaced) {
    meta.namespace_name.clear();
  }
  if (is_new(object, meta, group)) {
    const Value named(object.with_path(meta.kind));
    (this->*it->reader)(named, std::move(meta));
  }
}

void Resources::read(const Value& document) {
  if (document.is_list()) {
    for (const Value& item : document.list()) {
      read_object(item);
    }
    return;
  }
  read_object(document);
}

void Resources::finish(Findings& findings) const {
  for (const auto& [kind, left] : left_out_) {
    const std::string message =
        kind + ": " + std::to_string(left.first) + (left.first == 1 ? " object" : " objects");
    if (std::find(std::begin(kDeciding), std::end(kDeciding), kind) != std::end(kDeciding)) {
      findings.warning(left.second, message + " not applied: not supported by this version");
    } else {
      findings.note(left.second, message + " not read");
    }
  }
}

}  // namespace sluice::config
