// SPDX-License-Identifier: Apache-2.0
#include "config/kinds.h"
#include "config/old_names.h"
#include "config/rules.h"
#include "config/scalars.h"

namespace sluice::config {

Staging read_staged_action(const Value& v) {
  const auto i = v.one_of({"Delete", "Set", "Learn", "Ignore"});
  return i && *i == 0 ? Staging::removed : Staging::staged;
}

void read_policy(const Value& object, Meta meta, ResourceLists& model) {
  Policy p;
  p.global = meta.kind.ends_with("GlobalNetworkPolicy");
  const bool staged = meta.kind.starts_with("Staged");
  p.staging = staged ? Staging::staged : Staging::enforced;
  Value::Handlers handlers = {
      {"tier",
       [&](const Value& x) {
         if (std::string name = x.text(); !name.empty()) {
           p.tier = std::move(name);
         }
       }},
      {"order", [&](const Value& x) { p.order = x.number(); }},
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
    handlers["doNotTrack"] = [&](const Value& x) { read_boolean(x, p.do_not_track); };
    handlers["preDNAT"] = [&](const Value& x) { read_boolean(x, p.pre_dnat); };
    handlers["applyOnForward"] = [&](const Value& x) { read_boolean(x, p.apply_on_forward); };
  }
  if (staged) {
    handlers["stagedAction"] = [&](const Value& x) { p.staging = read_staged_action(x); };
  }
  read_spec(object, handlers, {"performanceHints"});
  if ((p.do_not_track || p.pre_dnat) && !p.apply_on_forward) {
    object.error("doNotTrack and preDNAT need applyOnForward: true");
  }
  if (p.do_not_track && p.pre_dnat) {
    object.error("doNotTrack and preDNAT exclude each other");
  }
  if (p.pre_dnat && (!p.egress.empty() || p.type_egress)) {
    object.error("a preDNAT policy has no egress");
  }
  mend_old_name(meta);
  if (!is_policy_name(meta)) {
    object.error("\"" + meta.name + "\" has more than one dot", "name it after its purpose");
  }
  p.meta = std::move(meta);
  model.policies.push_back(std::move(p));
}

void read_profile(const Value& object, Meta meta, ResourceLists& model) {
  Profile p;
  read_spec(object, {
                        {"labelsToApply",
                         [&](const Value& x) {
                           p.labels_to_apply = x.labels();
                           for (const auto& [key, value] : p.labels_to_apply) {
                             check_label(x, key, value);
                           }
                         }},
                        {"ingress", [&](const Value& x) { p.ingress = read_rules(x, true); }},
                        {"egress", [&](const Value& x) { p.egress = read_rules(x, false); }},
                    });
  p.meta = std::move(meta);
  model.profiles.push_back(std::move(p));
}

void read_network_set(const Value& object, Meta meta, ResourceLists& model) {
  NetworkSet s;
  s.global = meta.kind == "GlobalNetworkSet";
  read_spec(object, {{"nets", [&](const Value& x) { s.nets = read_prefixes(x); }}});
  s.meta = std::move(meta);
  model.network_sets.push_back(std::move(s));
}

}  // namespace sluice::config
