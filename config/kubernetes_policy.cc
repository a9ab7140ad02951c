// SPDX-License-Identifier: Apache-2.0
#include "config/kinds.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

constexpr std::string_view kAlphanumeric =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
constexpr size_t kMaxLabel = 63, kMaxLabelPrefix = 253, kMaxPortName = 15;

bool is_label_word(std::string_view s) {
  const bool ends = !s.empty() && kAlphanumeric.find(s.front()) != std::string_view::npos &&
                    kAlphanumeric.find(s.back()) != std::string_view::npos;
  const std::string inner = std::string(kAlphanumeric) + "-_.";
  return ends && s.size() <= kMaxLabel && s.find_first_not_of(inner) == std::string_view::npos;
}

bool is_label_key(std::string_view s) {
  const size_t slash = s.find('/');
  if (slash == std::string_view::npos) {
    return is_label_word(s);
  }
  const std::string_view prefix = s.substr(0, slash);
  return !prefix.empty() && prefix.size() <= kMaxLabelPrefix &&
         prefix.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") ==
             std::string_view::npos &&
         is_label_word(s.substr(slash + 1));
}

LabelRequirement read_requirement(const Value& v) {
  using Operator = LabelRequirement::Operator;
  LabelRequirement r;
  bool has_operator = false;
  v.fields({
      {"key", [&](const Value& x) { r.key = x.text(); }},
      {"operator",
       [&](const Value& x) {
         has_operator = true;
         if (const auto i = x.one_of({"In", "NotIn", "Exists", "DoesNotExist"})) {
           r.op = static_cast<Operator>(*i);
         }
       }},
      {"values", [&](const Value& x) { r.values = x.texts(); }},
  });
  check_label(v, r.key, "");
  for (const std::string& value : r.values) {
    check_label(v, r.key, value);
  }
  const bool of_set = r.op == Operator::in || r.op == Operator::not_in;
  if (!has_operator) {
    v.error("operator is missing", "operator: In, NotIn, Exists or DoesNotExist");
  } else if (of_set == r.values.empty()) {
    v.error(of_set ? "In and NotIn need values" : "Exists and DoesNotExist have no values");
  }
  return r;
}

}  // namespace

// Keys and values become part of a selector: they must be what the API server lets through.
void check_label(const Value& v, const std::string& key, const std::string& value) {
  if (!is_label_key(key)) {
    v.error("\"" + key + "\" is no label's key");
  }
  if (!value.empty() && !is_label_word(value)) {
    v.error("\"" + value + "\" is no label's value");
  }
}

LabelSelector read_label_selector(const Value& v) {
  LabelSelector s;
  v.fields({
      {"matchLabels",
       [&](const Value& x) {
         s.match_labels = x.labels();
         for (const auto& [key, value] : s.match_labels) {
           check_label(x, key, value);
         }
       }},
      {"matchExpressions",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           s.match_expressions.push_back(read_requirement(item));
         }
       }},
  });
  return s;
}

namespace {

// A bare address is no CIDR to the API server.
std::optional<Prefix> read_block(const Value& v) {
  if (v.written().find('/') != std::string::npos) {
    return read_prefix(v);
  }
  v.error("\"" + v.written() + "\" is no CIDR", "write it as 10.0.0.0/8 or fd00::/8");
  return {};
}

void read_ip_block(const Value& v, KubernetesPeer& p) {
  v.fields({
      {"cidr", [&](const Value& x) { p.ip_block = read_block(x); }},
      {"except",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           if (const auto block = read_block(item)) {
             p.except.push_back(*block);
           }
         }
       }},
  });
  if (!p.ip_block) {
    v.error("cidr is missing or wrong");
    return;
  }
  for (const Prefix& e : p.except) {
    if (!p.ip_block->contains(e.base) || e.length <= p.ip_block->length) {
      v.error("except " + to_string(e) + " is no smaller part of " + to_string(*p.ip_block));
    }
  }
}

KubernetesPeer read_peer(const Value& v) {
  KubernetesPeer p;
  v.fields({
      {"podSelector", [&](const Value& x) { p.pod_selector = read_label_selector(x); }},
      {"namespaceSelector",
       [&](const Value& x) { p.namespace_selector = read_label_selector(x); }},
      {"ipBlock", [&](const Value& x) { read_ip_block(x, p); }},
  });
  if (p.ip_block && (p.pod_selector || p.namespace_selector)) {
    v.error("ipBlock excludes podSelector and namespaceSelector");
  }
  if (!v.get("ipBlock") && !p.pod_selector && !p.namespace_selector) {
    v.error("a peer needs podSelector, namespaceSelector or ipBlock");
  }
  return p;
}

// A number, or the name of a container's port; "80" is neither.
std::optional<RulePort> read_port(const Value& v) {
  const std::string s = v.written();
  if (!v.quoted() && !s.empty() && s.find_first_not_of("0123456789") == std::string::npos) {
    const auto n = static_cast<uint16_t>(v.integer(1, 65535).value_or(0));
    return n > 0 ? std::optional<RulePort>(PortRange{n, n}) : std::nullopt;
  }
  const bool named =
      !s.empty() && s.size() <= kMaxPortName && s.front() != '-' && s.back() != '-' &&
      s.find("--") == std::string::npos &&
      s.find_first_of("abcdefghijklmnopqrstuvwxyz") != std::string::npos &&
      s.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (!named) {
    v.error("\"" + s + "\" is neither a port's number nor its name",
            "a number is written without quotes");
    return {};
  }
  return v.text();
}

KubernetesPort read_kubernetes_port(const Value& v) {
  KubernetesPort p;
  std::optional<uint64_t> end;
  v.fields({
      {"protocol",
       [&](const Value& x) { p.protocol = read_l4_protocol(x).value_or(p.protocol); }},
      {"port", [&](const Value& x) { p.port = read_port(x); }},
      {"endPort", [&](const Value& x) { end = x.integer(1, 65535); }},
  });
  if (end) {
    auto* range = p.port ? std::get_if<PortRange>(&*p.port) : nullptr;
    if (range == nullptr || *end < range->low) {
      v.error("endPort needs a numeric port that is not above it");
    } else {
      range->high = static_cast<uint16_t>(*end);
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

}  // namespace

void read_kubernetes_policy(const Value& object, Meta meta, ResourceLists& model) {
  KubernetesPolicy p;
  Value::Handlers handlers = {
      {"podSelector", [&](const Value& x) { p.pod_selector = read_label_selector(x); }},
      {"policyTypes", [&](const Value& x) { read_types(x, p); }},
      {"ingress", [&](const Value& x) { p.ingress = read_kubernetes_rules(x, "from"); }},
      {"egress", [&](const Value& x) { p.egress = read_kubernetes_rules(x, "to"); }},
  };
  if (meta.kind == "StagedKubernetesNetworkPolicy") {
    p.staging = Staging::staged;
    handlers["stagedAction"] = [&](const Value& x) { p.staging = read_staged_action(x); };
  }
  read_spec(object, handlers);
  p.meta = std::move(meta);
  model.kubernetes_policies.push_back(std::move(p));
}

}  // namespace sluice::config
