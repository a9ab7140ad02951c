// SPDX-License-Identifier: Apache-2.0
// A Compiler that has seen other models says of one what a new Compiler says, and does anew
// only what the difference asks for.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/load.h"
#include "control/compile.h"

namespace sluice::control {
namespace {

std::string number(unsigned n) {
  return std::to_string(n);
}

// A cluster with the same names whatever the seed, and other labels, addresses and rules.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  config::Model model() {
    for (unsigned i = 0; i < 3; ++i) {
      add("{apiVersion: v1, kind: Namespace, metadata: {name: ns" + number(i) +
          ", labels: {team: t" + pick(2) + "}}}");
      add("{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa" + number(i) +
          ", namespace: ns" + number(i) + ", labels: {kind: k" + pick(2) + "}}}");
      add("{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: tier" + number(i) +
          "}, spec: {order: " + pick(9) + ", defaultAction: Pass}}");
      add("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: "
          "{name: es" +
          number(i) + ", namespace: ns" + number(i) +
          ", labels: {kubernetes.io/service-name: svc" + pick(2) +
          "}}, endpoints: "
          "[{addresses: [10.0.0." +
          pick(9) + "]}], ports: [{protocol: TCP, port: 8" + pick(9) + "}]}");
    }
    for (unsigned i = 0; i < 12; ++i) {
      add("{apiVersion: v1, kind: Pod, metadata: {name: p" + number(i) + ", namespace: ns" +
          number(i % 3) + ", labels: {app: a" + pick(4) + "}}, spec: {nodeName: n" + pick(2) +
          ", serviceAccountName: sa" + number(i % 3) +
          ", containers: [{name: c, ports: [{name: web, containerPort: 8" + pick(9) +
          "}]}]}, status: {phase: " + (pick(5) == "0" ? "Failed" : "Running") +
          ", podIP: 10.0.1." + number(i) + "}}");
    }
    for (unsigned i = 0; i < 4; ++i) {
      add("{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: s" +
          number(i) + ", namespace: ns0, labels: {set: s" + pick(3) + "}}, spec: {nets: [10." +
          pick(9) + ".0.0/16]}}");
      add("{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h" +
          number(i) + ", labels: {app: a" + pick(4) + "}}, spec: {node: n" + pick(2) +
          ", interfaceName: " + (i < 2 ? "eth0" : "\"*\"") + "}}");
    }
    for (unsigned i = 0; i < 3; ++i) {  // some stand for a pod
      add("{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: w" +
          number(i) + ", namespace: ns" + number(i) + ", labels: {app: a" + pick(4) +
          "}}, spec: {node: n" + pick(2) + ", pod: p" +
          number(i + 3 * static_cast<unsigned>(random_() % 4)) +
          ", orchestrator: k8s, interfaceName: cali" + number(i) + ", ipNetworks: [10.0.2." +
          number(i) + "/32], profiles: [kns.ns" + number(i) + ", pr" + pick(2) + "]}}");
      add("{apiVersion: projectcalico.org/v3, kind: Profile, metadata: {name: pr" + number(i) +
          "}, spec: {labelsToApply: {lent: l" + pick(2) + "}, ingress: [" + rule(true) + "]}}");
      add("{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: "
          "{name: anp" +
          number(i) + "}, spec: {priority: " + pick(9) +
          ", subject: {namespaces: {matchLabels: {team: t" + pick(2) +
          "}}}, ingress: [{action: " + (pick(2) == "0" ? "Deny" : "Pass") +
          ", from: [{namespaces: {}}]}]}}");
    }
    for (unsigned i = 0; i < 10; ++i) {
      policy(i);
    }
    if (pick(2) == "0") {
      add("{apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: "
          "default}, "
          "spec: {interfacePrefix: " +
          std::string(pick(2) == "0" ? "pod" : "cali") +
          ", defaultEndpointToHostAction: Accept}}");
    }
    config::Loaded loaded = config::load_text(text_, "cluster.yaml");
    EXPECT_TRUE(loaded.ok()) << loaded.findings.format(loaded.model.files);
    return std::move(loaded.model);
  }

 private:
  std::string pick(unsigned below) { return number(static_cast<unsigned>(random_() % below)); }
  void add(const std::string& document) { text_ += "---\n" + document + "\n"; }

  std::string selector() {
    const std::string choices[] = {"app == 'a" + pick(4) + "'",
                                   "app in {'a" + pick(4) + "', 'a" + pick(4) + "'}",
                                   "has(set)",
                                   "!has(app)",
                                   "set == 's" + pick(3) + "'",
                                   "pcns.team == 't" + pick(2) + "'",
                                   "lent == 'l" + pick(2) + "'",
                                   "all()"};
    return choices[random_() % std::size(choices)];
  }

  std::string rule(bool ingress) {
    const std::string other = ingress ? "source" : "destination";
    const std::string choices[] = {
        "{action: Allow, " + other + ": {selector: \"" + selector() + "\"}}",
        "{action: Deny, " + other + ": {notSelector: \"" + selector() +
            "\", namespaceSelector: \"team == 't" + pick(2) + "'\"}}",
        "{action: Pass, protocol: TCP, destination: {ports: [web, 9" + pick(9) + "]}}",
        "{action: Allow, " + other + ": {services: {name: svc" + pick(2) + ", namespace: ns" +
            pick(3) + "}}" + (ingress ? "" : ", protocol: TCP") + "}",
        "{action: Log, " + other + ": {nets: [10." + pick(9) + ".0.0/16]}}"};
    return choices[random_() % std::size(choices)];
  }

  void policy(unsigned i) {
    if (i % 5 == 4) {
      add("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: k" +
          number(i) + ", namespace: ns" + number(i % 3) +
          "}, spec: {podSelector: {matchLabels: "
          "{app: a" +
          pick(4) + "}}, ingress: [{from: [{podSelector: {matchLabels: {app: a" + pick(4) +
          "}}}], ports: [{port: web}]}]}}");
      return;
    }
    const bool global = i % 2 == 0;
    const std::string staging = pick(3);
    add("{apiVersion: projectcalico.org/v3, kind: " +
        std::string(staging == "0" ? "Staged" : "") +
        std::string(global ? "GlobalNetworkPolicy" : "NetworkPolicy") +
        ", metadata: {name: np" + number(i) +
        (global ? "" : ", namespace: ns" + number(i % 3)) + "}, spec: {" +
        (staging == "0" && pick(2) == "0" ? "stagedAction: Delete, " : "") +
        "tier: " + (pick(3) == "0" ? "gone" : "tier" + pick(3)) + ", order: " + pick(9) +
        ", selector: \"" + selector() + "\", ingress: [" + rule(true) + ", " + rule(true) +
        "], egress: [" + rule(false) + "]" +
        (global && pick(3) == "0" ? ", applyOnForward: true" : "") + "}}");
  }

  std::mt19937 random_;
  std::string text_;
};

// ---- two compilations compared -------------------------------------------------------------

std::string text_of(const AddressSet& set) {
  std::string out = "{";
  for (const AddressSet::Range& range : set.ranges()) {
    out += to_string(range.first) + "-" + to_string(range.last) + " ";
  }
  return out + "}";
}

std::string text_of(const PortSet& set) {
  std::string out = "{";
  for (const PortSet::Member& m : set.members()) {
    out += to_string(m.address) + "/" + number(m.protocol) + "/" + number(m.port) + " ";
  }
  return out + "}";
}

// Whatever a compilation says, with sets by their names and members: their ids may differ.
class Description {
 public:
  explicit Description(const CompiledPolicy& policy) : policy_(policy) {
    for (const LocalEndpoint& e : policy.endpoints) {
      out_ += e.namespace_name + "/" + e.name + " on " + e.interface_name + "\n";
      for (const auto& [key, value] : e.labels) {
        out_ += " " + key + "=" + value;
      }
      for (const ProgramId id : {e.ingress, e.egress, e.pending_ingress, e.pending_egress}) {
        program(id);
      }
    }
    for (const ProtectedInterface* p : {&policy.uplink, &policy.tunnel, &policy.pods}) {
      out_ += "host " + p->name + "\n";
      for (const HostStageName& at : kHostStages) {
        program((p->policy.*at.stage).program);
        program((p->policy.*at.stage).failsafe);
      }
    }
    out_ += number(static_cast<unsigned>(policy.policies)) + " policies\n";
  }
  const std::string& text() const { return out_; }

 private:
  void program(ProgramId id) {
    if (id == kNoProgram) {
      out_ += " no program\n";
      return;
    }
    const Program& program = policy_.rules->programs[id];
    for (size_t i = 0; i < program.tiers.size(); ++i) {
      const Tier& tier = program.tiers[i];
      out_ += " tier " + policy_.tier_names[id][i] +
              (tier.end == TierEnd::deny ? " deny" : "") + (tier.profiles ? " profiles" : "") +
              " counts " + number(tier.counter) + "\n";
      for (const ListId list : tier.lists) {
        const ListName& name = policy_.lists[list];
        out_ += "  " + name.kind + " " + name.namespace_name + "/" + name.name + " line " +
                number(static_cast<unsigned>(name.where.line)) + "\n";
        for (const Rule& rule : policy_.rules->lists[list]->rules) {
          this->rule(rule);
        }
      }
    }
  }
  void rule(const Rule& rule) {
    out_ += "   " + std::string(name(rule.action)) + " counts " + number(rule.counter) +
            " protocol " + (rule.protocol ? number(*rule.protocol) : "any");
    for (const RuleSide* side : {&rule.source, &rule.destination}) {
      out_ += " |";
      for (const Prefix& net : side->nets) {
        out_ += " " + to_string(net);
      }
      for (const PortRange& range : side->ports) {
        out_ += " " + number(range.low) + "-" + number(range.high);
      }
      for (const auto* ids : {&side->sets, &side->not_sets}) {
        out_ += ids == &side->sets ? " in" : " not in";
        for (const SetId id : *ids) {
          out_ += " " + policy_.sets.addresses[id] + text_of(policy_.rules->address_sets[id]);
        }
      }
      for (const auto* ids : {&side->port_sets, &side->not_port_sets}) {
        for (const SetId id : *ids) {
          out_ += " " + policy_.sets.ports[id] + text_of(policy_.rules->port_sets[id]);
        }
      }
    }
    out_ += "\n";
  }

  const CompiledPolicy& policy_;
  std::string out_;
};

template <typename T>
void mix(config::Objects<T>& into, const config::Objects<T>& a, const config::Objects<T>& b,
         std::mt19937& random) {
  config::Objects<T> kept;
  const auto keep = [&](const Shared<T>& object) {
    // In both worlds the same object stands in the same line.
    if (std::none_of(kept.begin(), kept.end(),
                     [&](const auto& k) { return k->meta.where == object->meta.where; })) {
      kept.push_back(object);
    }
  };
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const auto choice = random() % 8;  // mostly what is there already
    const bool there = i < into.size();
    if (choice < 5 && there) {
      keep(into.at(i));
    } else if (choice == 5 && i < a.size()) {
      keep(a.at(i));
    } else if (choice == 6 && i < b.size()) {
      keep(b.at(i));
    }
  }
  into = std::move(kept);
}

void mix(config::Model& into, const config::Model& a, const config::Model& b,
         std::mt19937& random) {
  mix(into.tiers, a.tiers, b.tiers, random);
  mix(into.policies, a.policies, b.policies, random);
  mix(into.kubernetes_policies, a.kubernetes_policies, b.kubernetes_policies, random);
  mix(into.network_sets, a.network_sets, b.network_sets, random);
  mix(into.host_endpoints, a.host_endpoints, b.host_endpoints, random);
  mix(into.pods, a.pods, b.pods, random);
  mix(into.workload_endpoints, a.workload_endpoints, b.workload_endpoints, random);
  mix(into.profiles, a.profiles, b.profiles, random);
  mix(into.cluster_policies, a.cluster_policies, b.cluster_policies, random);
  mix(into.felix_configurations, a.felix_configurations, b.felix_configurations, random);
  mix(into.namespaces, a.namespaces, b.namespaces, random);
  mix(into.service_accounts, a.service_accounts, b.service_accounts, random);
  mix(into.endpoint_slices, a.endpoint_slices, b.endpoint_slices, random);
}

TEST(CompileAgain, SaysWhatANewCompilerSays) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + number(seed));
  std::mt19937 random(seed);
  for (int world = 0; world < 10; ++world) {
    const config::Model a = Maker(static_cast<unsigned>(random())).model();
    const config::Model b = Maker(static_cast<unsigned>(random())).model();
    config::Model model = a;
    model.settings.node = "n1";
    RuleNames counters;
    Compiler compiler(counters);
    for (int round = 0; round < 40; ++round) {
      const std::string nodes[] = {"n1", "n1", "n1", "n1", "n1", "n0", ""};
      model.settings.node = nodes[random() % std::size(nodes)];
      const Whose whose = random() % 5 == 0 ? Whose::of_all_nodes : Whose::of_our_node;
      config::Findings said, said_anew;
      const CompiledPolicy again = compiler.compile(model, said, whose);
      const CompiledPolicy anew = compile(model, counters, said_anew, whose);
      ASSERT_EQ(Description(again).text(), Description(anew).text()) << "round " << round;
      ASSERT_EQ(said.format(model.files), said_anew.format(model.files)) << "round " << round;
      mix(model, a, b, random);
    }
  }
}

// ---- how much is done ----------------------------------------------------------------------

struct Change {
  CompiledPolicy before, after;
};

// Compiles, then again with one pod's label changed.
Change relabel(config::Model model, const std::string& value) {
  RuleNames counters;
  Compiler compiler(counters);
  config::Findings findings;
  Change out;
  out.before = compiler.compile(model, findings);
  config::Pod pod = model.pods.at(0);
  pod.meta.labels["app"] = value;
  model.pods.replace(0, std::move(pod));
  out.after = compiler.compile(model, findings);
  return out;
}

config::Model shop(unsigned pods = 20) {
  std::string text = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n";
  for (unsigned i = 0; i < pods; ++i) {
    text += "---\n{apiVersion: v1, kind: Pod, metadata: {name: p" + number(i) +
            ", namespace: shop, labels: {app: a" + number(i) +
            "}}, spec: {nodeName: n1}, "
            "status: {podIP: 10.0." +
            number((i + 1) / 256) + "." + number((i + 1) % 256) +
            "}}\n---\n{apiVersion: "
            "projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: np" +
            number(i) + ", namespace: shop}, spec: {selector: \"app == 'a" + number(i) +
            "'\", ingress: [{action: Allow, source: {selector: \"app == 'a" +
            number((i + 1) % pods) + "'\"}}]}}\n";
  }
  config::Model model = config::load_text(text, "shop.yaml").model;
  model.settings.node = "n1";
  return model;
}

TEST(CompileAgain, AChangedLabelTouchesTheSetsThatItEntersAndLeaves) {
  // p0 leaves a0, which np19 names, and enters a7, which np6 names.
  const Change change = relabel(shop(), "a7");
  EXPECT_EQ(change.before.work.objects, 20u);
  EXPECT_EQ(change.before.work.lists, 22u);  // of 20 policies, and both of the profile's
  EXPECT_EQ(change.before.work.sets, 20u);
  EXPECT_EQ(change.after.work.objects, 1u);
  EXPECT_EQ(change.after.work.lists, 0u);
  EXPECT_EQ(change.after.work.sets, 2u);
  size_t same_sets = 0, same_lists = 0;
  for (const auto& set : change.after.rules->address_sets) {
    for (const auto& old : change.before.rules->address_sets) {
      same_sets += set.is(old) ? 1 : 0;
    }
  }
  for (const auto& list : change.after.rules->lists) {
    for (const auto& old : change.before.rules->lists) {
      same_lists += list.is(old) ? 1 : 0;
    }
  }
  // The third is a1, which only np0 names, and np0 selects nobody any more.
  EXPECT_EQ(same_sets, change.after.rules->address_sets.size() - 3);
  EXPECT_EQ(same_lists, change.after.rules->lists.size());
}

TEST(CompileAgain, ALabelThatNobodyAsksForTouchesNoSet) {
  config::Model model = shop();
  RuleNames counters;
  Compiler compiler(counters);
  config::Findings findings;
  compiler.compile(model, findings);
  config::Pod pod = model.pods.at(3);
  pod.meta.labels["version"] = "2";
  model.pods.replace(3, std::move(pod));
  const CompiledPolicy after = compiler.compile(model, findings);
  EXPECT_EQ(after.work.objects, 1u);
  EXPECT_EQ(after.work.lists, 0u);
  // It brings to the set of its app what it took away from it.
  EXPECT_EQ(after.work.sets, 0u);
}

// On one node, and of any node where the settings name none, as `check -f` has it.
TEST(CompileAgain, TwoPodsOfANodeMustNotHaveOneAddress) {
  for (const std::string node : {"n1", "", "n2"}) {
    config::Model model = shop();
    model.settings.node = node;
    RuleNames counters;
    Compiler compiler(counters);
    const auto errors = [&] {
      config::Findings findings;
      EXPECT_EQ(compiler.compile(model, findings).endpoints.size(), node == "n1" ? 20u : 0u);
      return findings.format({"shop.yaml"});
    };
    EXPECT_EQ(errors(), "");
    config::Pod pod = model.pods.at(1);
    const config::Pod before = pod;
    pod.pod_ips = model.pods.at(0)->pod_ips;
    model.pods.replace(1, pod);
    EXPECT_EQ(errors(), node == "n2" ? ""
                                     : "shop.yaml:7:1: error: address 10.0.0.1 of \"p1\" is "
                                       "also that of \"p0\" (shop.yaml:3)\n");
    model.pods.replace(1, before);
    EXPECT_EQ(errors(), "");
  }
}

// More than is followed one by one: all pods come anew with other labels, and all policies.
TEST(CompileAgain, SaysWhatANewCompilerSaysWhereAllCameAnew) {
  constexpr unsigned kPods = 520;
  config::Model model = shop(kPods);
  RuleNames counters;
  Compiler compiler(counters);
  for (int round = 0; round < 3; ++round) {
    config::Findings findings;
    const CompiledPolicy again = compiler.compile(model, findings);
    ASSERT_EQ(Description(again).text(),
              Description(compile(model, counters, findings)).text());
    config::Objects<config::Pod> pods;
    for (config::Pod pod : model.pods) {
      pod.meta.labels["app"] = pod.meta.labels["app"] == "a7" ? "a9" : "a7";
      pods.push_back(std::move(pod));
    }
    model.pods = pods;
    config::Objects<config::Policy> policies;
    for (config::Policy policy : model.policies) {
      policy.ingress.front().action = round % 2 == 0 ? Action::deny : Action::allow;
      policies.push_back(std::move(policy));
    }
    model.policies = policies;
  }
}

TEST(CompileAgain, LabelSetsThatCameAndWentDoNotPileUp) {
  config::Model model = shop();
  RuleNames counters;
  Compiler compiler(counters);
  config::Findings findings;
  unsigned begun_anew = 0;
  for (unsigned round = 0; round < 3000; ++round) {
    config::Pod pod = model.pods.at(0);
    pod.meta.labels["round"] = number(round);
    model.pods.replace(0, std::move(pod));
    const CompiledPolicy policy = compiler.compile(model, findings);
    ASSERT_EQ(policy.endpoints.size(), 20u);
    ASSERT_LE(policy.rules->address_sets.size(), 20u);
    begun_anew += policy.work.objects > 1 ? 1 : 0;
  }
  EXPECT_GE(begun_anew, 2u);  // the first, and when most of what is known is of the past
  EXPECT_LE(begun_anew, 5u);
}

}  // namespace
}  // namespace sluice::control
