// SPDX-License-Identifier: Apache-2.0
// A small cluster in YAML and the questions that conformance tests ask of it, through the real
// loader, compiler and explain.
//
//   node n1 (ours)  ns1/p 10.0.0.1 fd00::1  app=web  account robot   ports web: TCP 8080
//                   ns1/q 10.0.0.2          app=db   account default
//                   ns2/r 10.0.0.3          app=web
//   node n2         ns1/s 10.0.1.9          app=db   behind the tunnel
//   ns1 has team=red, ns2 team=blue; account ns1/robot has role=bot.
// What a test adds is appended to that.  Test threads only.
#ifndef SLUICE_TESTS_CONTROL_POLICY_WORLD_H_
#define SLUICE_TESTS_CONTROL_POLICY_WORLD_H_

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "config/load.h"
#include "control/build.h"
#include "control/explain.h"

namespace sluice::control::testing {

// The verdict where no policy selects a pod of ns1.
inline constexpr const char* kByProfile = "allow __PROFILE__ kns.ns1 0";
inline constexpr const char* kInternet = "198.51.100.7";

inline constexpr const char* kSettings = R"(
node: n1
uplink: {interface: eth0, addresses: [192.168.0.1/24], gateway: 192.168.0.254}
tunnel: {address: 10.0.0.62}
routes: [{block: 10.0.1.0/26, node: 192.168.0.2}]
)";

inline constexpr const char* kCluster = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: ns1, labels: {team: red}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: ns2, labels: {team: blue}}}
---
{apiVersion: v1, kind: ServiceAccount,
 metadata: {name: robot, namespace: ns1, labels: {role: bot}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: ns1}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns1, labels: {app: web}}
spec:
  nodeName: n1
  serviceAccountName: robot
  containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]
status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: q, namespace: ns1, labels: {app: db}}
spec: {nodeName: n1, serviceAccountName: default}
status: {phase: Running, podIP: 10.0.0.2}
---
apiVersion: v1
kind: Pod
metadata: {name: r, namespace: ns2, labels: {app: web}}
spec: {nodeName: n1}
status: {phase: Running, podIP: 10.0.0.3}
---
apiVersion: v1
kind: Pod
metadata: {name: s, namespace: ns1, labels: {app: db}}
spec: {nodeName: n2, serviceAccountName: default}
status: {phase: Running, podIP: 10.0.1.9}
)";

// One more document: `body` is YAML flow or block text under `spec:`.
inline std::string document(std::string_view api, std::string_view kind, std::string_view name,
                            std::string_view namespace_name, std::string_view spec) {
  std::string out = "\n---\napiVersion: " + std::string(api) + "\nkind: " + std::string(kind) +
                    "\nmetadata: {name: \"" + std::string(name) + "\"";
  if (!namespace_name.empty()) {
    out += ", namespace: " + std::string(namespace_name);
  }
  return out + "}\nspec: " + std::string(spec) + "\n";
}
inline std::string np(std::string_view name, std::string_view spec,
                      std::string_view namespace_name = "ns1") {
  return document("projectcalico.org/v3", "NetworkPolicy", name, namespace_name, spec);
}
inline std::string gnp(std::string_view name, std::string_view spec) {
  return document("projectcalico.org/v3", "GlobalNetworkPolicy", name, "", spec);
}
inline std::string knp(std::string_view name, std::string_view spec,
                       std::string_view namespace_name = "ns1") {
  return document("networking.k8s.io/v1", "NetworkPolicy", name, namespace_name, spec);
}
inline std::string felix(std::string_view spec, std::string_view name = "default") {
  return document("projectcalico.org/v3", "FelixConfiguration", name, "", spec);
}
inline std::string tier(std::string_view name, std::string_view spec) {
  return document("projectcalico.org/v3", "Tier", name, "", spec);
}
inline std::string global_set(std::string_view name, std::string_view labels,
                              std::string_view nets) {
  return "\n---\n{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: " +
         std::string(name) + ", labels: {" + std::string(labels) + "}}, spec: {nets: [" +
         std::string(nets) + "]}}\n";
}
inline std::string network_set(std::string_view name, std::string_view namespace_name,
                               std::string_view labels, std::string_view nets) {
  return "\n---\n{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: " +
         std::string(name) + ", namespace: " + std::string(namespace_name) + ", labels: {" +
         std::string(labels) + "}}, spec: {nets: [" + std::string(nets) + "]}}\n";
}

// Everything that loading and compiling `yaml` has to say, as users see it.
inline std::string findings_of(const std::string& yaml, const std::string& settings = "") {
  config::Loaded loaded = config::load_text(yaml, "f");
  if (loaded.ok()) {
    if (!settings.empty()) {
      loaded.model.settings = config::load_settings_text(settings, "s").model.settings;
    }
    RuleNames names;
    compile(loaded.model, names, loaded.findings);
  }
  return loaded.findings.format(loaded.model.files);
}

class World {
 public:
  explicit World(const std::string& more, const std::string& cluster = kCluster)
      : loaded_(config::load_text(cluster + more, "f")) {
    const config::Loaded settings = config::load_settings_text(kSettings, "s");
    EXPECT_TRUE(settings.ok()) << settings.findings.format(settings.model.files);
    loaded_.model.settings = settings.model.settings;
    built_ = build(loaded_.model, registries_, nullptr, loaded_.findings);
    EXPECT_TRUE(loaded_.ok()) << findings();
  }

  const Built& built() const { return built_; }
  const RuleNames& names() const { return registries_.rules; }
  std::string findings() const { return loaded_.findings.format(loaded_.model.files); }

  // explain's whole answer; `from` and `to` are words or addresses, `what` "tcp/80".
  nlohmann::json explain(std::string_view from, std::string_view to,
                         std::string_view what) const {
    const auto packet = packet_of_words(built_, from, to, what);
    if (!packet) {
      return {{"error", packet.error().what}};
    }
    return explain_packet(built_, *packet);
  }

  // "allow" or "deny", then tier, policy and rule that said so.
  std::string verdict(std::string_view from, std::string_view to, std::string_view what) const {
    const nlohmann::json out = explain(from, to, what);
    if (out.contains("error")) {
      return out.dump();
    }
    std::string text = out["verdict"];
    if (out["tier"].is_null()) {
      return text + (out["reason"].is_null() ? "" : " " + out["reason"].get<std::string>());
    }
    return text + " " + out["tier"].get<std::string>() + " " +
           (out["policy"].is_null() ? "-" : out["policy"]["name"].get<std::string>()) + " " +
           out["rule"].dump();
  }

  const LocalEndpoint& endpoint(std::string_view name) const {
    for (const LocalEndpoint& e : built_.policy.endpoints) {
      if (e.name == name) {
        return e;
      }
    }
    ADD_FAILURE() << "no endpoint " << name;
    static const LocalEndpoint none;
    return none;
  }

  // The policies that judge an endpoint, in order, "kind/namespace/name"; tiers parted by "|".
  std::string order(std::string_view name, Direction direction = Direction::ingress) const {
    const LocalEndpoint& e = endpoint(name);
    const ProgramId id = direction == Direction::ingress ? e.ingress : e.egress;
    std::string out;
    for (const Tier& tier : built_.policy.rules->programs[id].tiers) {
      if (tier.profiles) {
        break;
      }
      out += out.empty() ? "" : " | ";
      for (size_t i = 0; i < tier.lists.size(); ++i) {
        const ListName& list = built_.policy.lists[tier.lists[i]];
        out += (i == 0 ? "" : " ") + list.kind + "/" + list.namespace_name + "/" + list.name;
      }
    }
    return out;
  }

  // What the endpoint's program says of any packet, IPv6 too (which the path does not carry).
  std::string judge(std::string_view name, Direction direction, const FlowKey& key) const {
    const LocalEndpoint& e = endpoint(name);
    const ProgramId id = direction == Direction::ingress ? e.ingress : e.egress;
    Verdict verdict;
    built_.generation->linear->classify({&key, 1}, {&id, 1}, {&verdict, 1});
    return verdict.kind == Verdict::Kind::allow ? "allow" : "deny";
  }

 private:
  config::Loaded loaded_;
  Registries registries_;
  Built built_;
};

inline FlowKey flow(const char* src, const char* dst, uint8_t protocol, uint16_t dst_port = 0,
                    uint16_t src_port = 40000) {
  const bool ported = proto::has_ports(protocol);
  return {*parse_address(src), *parse_address(dst), ported ? src_port : uint16_t{0}, dst_port,
          protocol};
}

}  // namespace sluice::control::testing

#endif  // SLUICE_TESTS_CONTROL_POLICY_WORLD_H_
