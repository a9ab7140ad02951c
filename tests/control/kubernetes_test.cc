// SPDX-License-Identifier: Apache-2.0
// Kubernetes' own kinds as Calico reads them: semantics 1.5, 1.7 and 4.8.
#include "control/kubernetes.h"

#include "tests/control/policy_world.h"

namespace sluice::control::testing {
namespace {

// ---- conversion of a NetworkPolicy, as text (1.5) ------------------------------------------

std::string text_of(const std::vector<config::RulePort>& ports) {
  std::string out;
  for (const config::RulePort& port : ports) {
    out += out.empty() ? "" : ",";
    if (const auto* range = std::get_if<PortRange>(&port)) {
      out += std::to_string(range->low);
      out += range->low == range->high ? "" : ":" + std::to_string(range->high);
    } else {
      out += std::get<std::string>(port);
    }
  }
  return out;
}

std::string text_of(const config::EntityRule& e) {
  std::string out;
  for (const Prefix& net : e.nets) {
    out += " net " + to_string(net);
  }
  for (const Prefix& net : e.not_nets) {
    out += " notNet " + to_string(net);
  }
  out += e.selector.empty() ? "" : " sel " + e.selector.value;
  out += e.namespace_selector.empty() ? "" : " ns " + e.namespace_selector.value;
  out += e.ports.empty() ? "" : " ports " + text_of(e.ports);
  return out;
}

// "allow PROTOCOL: from ... to ...; " for each rule.
std::string text_of(const std::vector<config::Rule>& rules) {
  std::string out;
  for (const config::Rule& rule : rules) {
    out += rule.action == Action::allow ? "allow" : "other";
    out += rule.protocol ? " " + std::to_string(rule.protocol->number) : "";
    const std::string from = text_of(rule.source);
    const std::string to = text_of(rule.destination);
    out += from.empty() ? "" : " from" + from;
    out += to.empty() ? "" : " to" + to;
    out += "; ";
  }
  return out;
}

config::Policy converted(const std::string& spec) {
  const config::Loaded loaded = config::load_text(knp("x", spec), "f");
  EXPECT_EQ(loaded.model.kubernetes_policies.size(), 1u);
  EXPECT_TRUE(loaded.ok()) << spec << loaded.findings.format(loaded.model.files);
  return to_policy(loaded.model.kubernetes_policies.at(0));
}

TEST(KubernetesPolicy, TypesAreDefaultedAsTheApiServerDoes) {
  const struct {
    const char* spec;
    bool ingress;
    bool egress;
  } rows[] = {
      {"{podSelector: {}}", true, false},
      {"{podSelector: {}, policyTypes: []}", true, false},
      {"{podSelector: {}, ingress: [{}]}", true, false},
      {"{podSelector: {}, egress: [{}]}", true, true},
      {"{podSelector: {}, egress: []}", true, false},
      {"{podSelector: {}, ingress: [{}], egress: [{}]}", true, true},
      {"{podSelector: {}, policyTypes: [Egress]}", false, true},
      {"{podSelector: {}, policyTypes: [Egress], ingress: [{}]}", false, true},
      {"{podSelector: {}, policyTypes: [Ingress], egress: [{}]}", true, false},
      {"{podSelector: {}, policyTypes: [Ingress, Egress]}", true, true},
  };
  for (const auto& row : rows) {
    const config::Policy policy = converted(row.spec);
    EXPECT_EQ(policy.type_ingress, row.ingress) << row.spec;
    EXPECT_EQ(policy.type_egress, row.egress) << row.spec;
    EXPECT_TRUE(policy.types_given);
    EXPECT_EQ(policy.order, 1000);
    EXPECT_EQ(policy.tier, "default");
    EXPECT_EQ(policy.meta.kind, "KubernetesNetworkPolicy");
    EXPECT_FALSE(policy.global);
  }
}

TEST(KubernetesPolicy, ThePodSelectorBecomesASelector) {
  const std::string k8s = "projectcalico.org/orchestrator == 'k8s'";
  const struct {
    const char* selector;
    std::string text;
  } rows[] = {
      {"{}", k8s},
      {"{matchLabels: {}}", k8s},
      {"{matchLabels: {b: x, a: z}}", k8s + " && a == 'z' && b == 'x'"},
      {"{matchLabels: {a: ''}}", k8s + " && a == ''"},
      {"{matchExpressions: [{key: a, operator: In, values: [x, z]}]}",
       k8s + " && a in { 'x', 'z' }"},
      {"{matchExpressions: [{key: a, operator: NotIn, values: [x]}]}",
       k8s + " && a not in { 'x' }"},
      {"{matchExpressions: [{key: a, operator: Exists}]}", k8s + " && has(a)"},
      {"{matchExpressions: [{key: a, operator: DoesNotExist}]}", k8s + " && ! has(a)"},
      {"{matchLabels: {c: z}, matchExpressions: [{key: a, operator: Exists}, {key: b, "
       "operator: "
       "DoesNotExist}]}",
       k8s + " && c == 'z' && has(a) && ! has(b)"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(converted(std::string("{podSelector: ") + row.selector + "}").selector.value,
              row.text);
  }
}

TEST(KubernetesPolicy, RulesAreTheCrossProductOfProtocolsAndPeers) {
  const std::string k8s = "projectcalico.org/orchestrator == 'k8s'";
  const struct {
    const char* rule;
    std::string rules;
  } rows[] = {
      {"{}", "allow; "},
      {"{from: [], ports: []}", "allow; "},
      {"{ports: [{port: 80}]}", "allow 6 to ports 80; "},
      {"{ports: [{port: 80, protocol: UDP}]}", "allow 17 to ports 80; "},
      {"{ports: [{protocol: TCP}]}", "allow 6; "},
      {"{ports: [{}]}", "allow 6; "},
      {"{ports: [{port: http}]}", "allow 6 to ports http; "},
      {"{ports: [{port: 80, endPort: 90}]}", "allow 6 to ports 80:90; "},
      {"{ports: [{port: 80, endPort: 80}]}", "allow 6 to ports 80; "},
      // lexical order of the protocols, whatever the file's
      {"{ports: [{port: 1, protocol: UDP}, {port: 2}, {port: 3, protocol: SCTP}]}",
       "allow 132 to ports 3; allow 6 to ports 2; allow 17 to ports 1; "},
      // minimal ranges
      {"{ports: [{port: 82}, {port: 80}, {port: 81}, {port: 80}]}", "allow 6 to ports 80:82; "},
      {"{ports: [{port: 80, endPort: 90}, {port: 85, endPort: 100}, {port: 102}]}",
       "allow 6 to ports 80:100,102; "},
      {"{ports: [{port: 1, endPort: 65535}, {port: 65535}]}", "allow 6 to ports 1:65535; "},
      {"{ports: [{port: web}, {port: 80}, {port: web}]}", "allow 6 to ports 80,web; "},
      // an entry without a port swallows the protocol's others
      {"{ports: [{port: 80}, {protocol: TCP}, {port: 443}]}", "allow 6; "},
      {"{ports: [{protocol: TCP}, {port: 80, protocol: UDP}]}",
       "allow 6; allow 17 to ports 80; "},
      {"{from: [{podSelector: {}}]}", "allow from sel " + k8s + "; "},
      {"{from: [{podSelector: {matchLabels: {a: b}}}]}",
       "allow from sel " + k8s + " && a == 'b'; "},
      {"{from: [{namespaceSelector: {}}]}", "allow from sel " + k8s + " ns all(); "},
      {"{from: [{namespaceSelector: {matchLabels: {a: b}}}]}",
       "allow from sel " + k8s + " ns a == 'b'; "},
      {"{from: [{namespaceSelector: {}, podSelector: {matchLabels: {a: b}}}]}",
       "allow from sel " + k8s + " && a == 'b' ns all(); "},
      {"{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}", "allow from net 10.0.0.0/8; "},
      {"{from: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.1.0.0/16, 10.2.0.0/16]}}]}",
       "allow from net 10.0.0.0/8 notNet 10.1.0.0/16 notNet 10.2.0.0/16; "},
      {"{from: [{ipBlock: {cidr: \"fd00::/8\"}}]}", "allow from net fd00::/8; "},
      // peers in file order, within each protocol
      {"{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {}}], ports: [{port: 53, "
       "protocol: "
       "UDP}, {port: 53}]}",
       "allow 6 from net 10.0.0.0/8 to ports 53; allow 6 from sel " + k8s +
           " to ports 53; allow 17 from net 10.0.0.0/8 to ports 53; allow 17 from sel " + k8s +
           " to ports 53; "},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(
        text_of(
            converted(std::string("{podSelector: {}, ingress: [") + row.rule + "]}").ingress),
        row.rules)
        << row.rule;
  }
  // Egress: peers are destinations, beside the ports.
  EXPECT_EQ(
      text_of(converted("{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], "
                        "ports: [{port: 80}]}, {}]}")
                  .egress),
      "allow 6 to net 10.0.0.0/8 ports 80; allow; ");
}

TEST(KubernetesPolicy, WhatTheApiServerRefusesIsRefused) {
  const struct {
    const char* rule;
    const char* says;
  } rows[] = {
      {"{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}", "is no CIDR"},
      {"{from: [{ipBlock: {}}]}", "cidr is missing or wrong"},
      {"{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}}]}", "except"},
      {"{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}", "ipBlock excludes"},
      {"{from: [{}]}", "a peer needs"},
      // A null is never taken for "everything".
      {"{from: [{podSelector: null}]}", "has no value"},
      {"{from: null}", "has no value"},
      {"{ports: null}", "has no value"},
      {"{from: [{podSelector: {}, namespaceSelector: null}]}", "has no value"},
      {"{ports: [{port: 0}]}", "1 to 65535"},
      {"{ports: [{port: 80, endPort: 79}]}", "endPort needs"},
      {"{ports: [{endPort: 79}]}", "endPort needs"},
      {"{ports: [{port: web, endPort: 79}]}", "endPort needs"},
      {"{ports: [{port: \"80\"}]}", "name"},
      {"{ports: [{protocol: ICMP}]}", "is not one of"},
      {"{ports: [{protocol: tcp}]}", "is not one of"},
      {"{from: [{podSelector: {matchExpressions: [{key: a, operator: In, values: []}]}}]}",
       "values"},
      {"{from: [{podSelector: {matchExpressions: [{key: a, operator: NotIn}]}}]}", "values"},
      {"{from: [{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}",
       "values"},
      {"{from: [{podSelector: {matchExpressions: [{operator: Exists}]}}]}", "key"},
      {"{from: [{podSelector: {matchExpressions: [{key: a}]}}]}", "operator"},
  };
  for (const auto& row : rows) {
    const std::string findings =
        findings_of(knp("x", std::string("{podSelector: {}, ingress: [") + row.rule + "]}"));
    EXPECT_NE(findings.find("error"), std::string::npos) << row.rule;
    EXPECT_NE(findings.find(row.says), std::string::npos) << row.rule << findings;
  }
}

// ---- and its verdicts ----------------------------------------------------------------------

TEST(KubernetesPolicy, PeersAreKnownPodsAnyNetOrAnyone) {
  const std::string sets = global_set("g", "app: db", "198.51.100.0/24") +
                           network_set("nets", "ns1", "app: db", "203.0.113.0/24");
  const struct {
    const char* rule;
    const char* from;
    const char* what;
    bool allowed;
  } rows[] = {
      {"{}", kInternet, "tcp/80", true},
      {"{}", kInternet, "icmp", true},
      {"{ports: [{port: 80}]}", kInternet, "tcp/80", true},
      {"{ports: [{port: 80}]}", kInternet, "udp/80", false},
      {"{ports: [{port: 80}]}", kInternet, "icmp", false},
      {"{ports: [{port: 80, endPort: 82}]}", kInternet, "tcp/82", true},
      {"{ports: [{port: 80, endPort: 82}]}", kInternet, "tcp/83", false},
      {"{ports: [{port: web}]}", kInternet, "tcp/8080", true},
      {"{ports: [{port: web}]}", kInternet, "tcp/80", false},
      {"{ports: [{port: web, protocol: UDP}]}", kInternet, "udp/8080", false},
      {"{from: [{podSelector: {}}]}", "ns1/q", "tcp/80", true},
      {"{from: [{podSelector: {}}]}", "10.0.1.9", "tcp/80", true},
      {"{from: [{podSelector: {}}]}", "ns2/r", "tcp/80", false},
      {"{from: [{podSelector: {}}]}", kInternet, "tcp/80", false},
      {"{from: [{podSelector: {matchLabels: {app: db}}}]}", "ns1/q", "tcp/80", true},
      // KNP peers never match network sets, whatever their labels
      {"{from: [{podSelector: {matchLabels: {app: db}}}]}", "203.0.113.9", "tcp/80", false},
      {"{from: [{namespaceSelector: {}}]}", "203.0.113.9", "tcp/80", false},
      {"{from: [{namespaceSelector: {}}]}", kInternet, "tcp/80", false},
      {"{from: [{namespaceSelector: {}}]}", "ns2/r", "tcp/80", true},
      {"{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}", "ns2/r", "tcp/80", true},
      {"{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}", "ns1/q", "tcp/80", false},
      {"{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ns2}}}]}",
       "ns2/r", "tcp/80", true},
      {"{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: "
       "{app: db}}}]}",
       "ns2/r", "tcp/80", false},
      {"{from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: "
       "{app: db}}}]}",
       "ns1/q", "tcp/80", true},
      {"{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: "
       "[red]}]}}]}",
       "ns2/r", "tcp/80", true},
      {"{from: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.7/32]}}]}", kInternet,
       "tcp/80", false},
      {"{from: [{ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.8/32]}}]}", kInternet,
       "tcp/80", true},
      {"{from: [{ipBlock: {cidr: 10.0.0.0/24}}]}", "ns2/r", "tcp/80", true},
      {"{from: [{ipBlock: {cidr: \"::/0\"}}]}", kInternet, "tcp/80", false},
  };
  for (const auto& row : rows) {
    const World world(sets + knp("x", std::string("{podSelector: {matchLabels: {app: web}}, "
                                                  "ingress: [") +
                                          row.rule + "]}"));
    EXPECT_EQ(world.verdict(row.from, "ns1/p", row.what).substr(0, 5),
              row.allowed ? "allow" : "deny ")
        << row.rule << " " << row.from << " " << row.what;
  }
}

TEST(KubernetesPolicy, ARuleOfEachProtocolAndPeerIsCountedOnItsOwn) {
  const World world(knp("x",
                        "{podSelector: {}, ingress: [{ports: [{port: 53, protocol: UDP}, "
                        "{port: 53}]}, {from: [{podSelector: {}}]}]}"));
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/53"), "allow default x 0");
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "udp/53"), "allow default x 1");
  EXPECT_EQ(world.verdict("ns1/q", "ns1/p", "tcp/80"), "allow default x 2");
}

// ---- namespaces, accounts, pods (1.7) ------------------------------------------------------

TEST(KubernetesProfile, ANamespaceLendsItsLabelsAndAllows) {
  config::Namespace object;
  object.meta.name = "ns";
  object.meta.labels = {{"team", "red"}, {"projectcalico.org/name", "forged"}};
  const config::Profile profile = to_profile(object);
  EXPECT_EQ(profile.meta.name, "kns.ns");
  EXPECT_EQ(profile.labels_to_apply, (config::Labels{{"pcns.kubernetes.io/metadata.name", "ns"},
                                                     {"pcns.projectcalico.org/name", "ns"},
                                                     {"pcns.team", "red"}}));
  EXPECT_EQ(text_of(profile.ingress), "allow; ");
  EXPECT_EQ(text_of(profile.egress), "allow; ");
  // The label that Kubernetes would have set is only made up where it is not there.
  object.meta.labels = {{"kubernetes.io/metadata.name", "other"}};
  EXPECT_EQ(to_profile(object).labels_to_apply.at("pcns.kubernetes.io/metadata.name"), "other");
}

TEST(KubernetesProfile, AnAccountLendsItsLabelsAndSaysNothing) {
  config::ServiceAccount object;
  object.meta.name = "robot";
  object.meta.namespace_name = "ns";
  object.meta.labels = {{"role", "bot"}};
  const config::Profile profile = to_profile(object);
  EXPECT_EQ(profile.meta.name, "ksa.ns.robot");
  EXPECT_EQ(profile.labels_to_apply,
            (config::Labels{{"pcsa.projectcalico.org/name", "robot"}, {"pcsa.role", "bot"}}));
  EXPECT_TRUE(profile.ingress.empty() && profile.egress.empty());
}

TEST(KubernetesPod, ItsInterfaceIsCalicos) {
  EXPECT_EQ(pod_interface("default", "nginx"), "calic440f455693");
}

std::string text_of(const config::Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    out += key + "=" + value + " ";
  }
  return out;
}

TEST(KubernetesPod, LabelsAreItsOwnThenCalicosThenInherited) {
  const World world(R"(
---
apiVersion: v1
kind: Pod
metadata:
  name: w
  namespace: ns1
  labels:
    app: w
    pcns.team: forged
    pcsa.role: forged
    projectcalico.org/namespace: forged
    projectcalico.org/orchestrator: forged
    projectcalico.org/serviceaccount: forged
spec: {nodeName: n1, serviceAccountName: robot}
status: {podIP: 10.0.0.9}
)");
  EXPECT_EQ(text_of(world.endpoint("w").labels),
            "app=w pcns.kubernetes.io/metadata.name=ns1 pcns.projectcalico.org/name=ns1 "
            "pcns.team=red pcsa.projectcalico.org/name=robot pcsa.role=bot "
            "projectcalico.org/namespace=ns1 projectcalico.org/orchestrator=k8s "
            "projectcalico.org/serviceaccount=robot ");
  EXPECT_EQ(world.endpoint("w").profiles,
            (std::vector<std::string>{"kns.ns1", "ksa.ns1.robot"}));
  EXPECT_EQ(world.endpoint("r").profiles, (std::vector<std::string>{"kns.ns2"}));
}

TEST(KubernetesPod, TheFirstProfileThatHasALabelLendsIt) {
  const auto profile = [](const char* name, const char* labels) {
    return document("projectcalico.org/v3", "Profile", name, "",
                    std::string("{labelsToApply: {") + labels + "}}");
  };
  const World world(profile("one", "a: one, b: one") + profile("two", "a: two, c: two") + R"(
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: w, namespace: ns1, labels: {b: own}}
spec: {node: n1, interfaceName: cali-w, ipNetworks: [10.0.0.9/32], profiles: [two, gone, one]}
)");
  EXPECT_EQ(text_of(world.endpoint("w").labels),
            "a=two b=own c=two projectcalico.org/namespace=ns1 ");
}

// The addresses of pod `w`, or "none" if it is no endpoint.
std::string addresses_of(const std::string& pod) {
  const World world("\n---\n" + pod);
  for (const LocalEndpoint& e : world.built().policy.endpoints) {
    if (e.name == "w") {
      std::string out;
      for (const Address& address : e.addresses) {
        out += (out.empty() ? "" : " ") + to_string(address);
      }
      return out;
    }
  }
  return "none";
}

TEST(KubernetesPod, AddressesComeFromTheFirstPlaceThatHasSome) {
  const auto pod = [](const char* metadata, const char* spec, const char* status) {
    return addresses_of(
        std::string("{apiVersion: v1, kind: Pod, metadata: {name: w, namespace: "
                    "ns1") +
        metadata + "}, spec: {nodeName: n1" + spec + "}, status: {" + status + "}}\n");
  };
  const auto note = [&](const char* annotations, const char* status = "") {
    return pod((std::string(", annotations: {") + annotations + "}").c_str(), "", status);
  };
  EXPECT_EQ(pod("", "", "podIPs: [{ip: 10.0.0.9}], podIP: 10.0.0.8"), "10.0.0.9");
  EXPECT_EQ(pod("", "", "podIPs: [{ip: 10.0.0.9}, {ip: \"fd00::9\"}]"), "10.0.0.9 fd00::9");
  EXPECT_EQ(pod("", "", "podIPs: [], podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(pod("", "", "podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(note("cni.projectcalico.org/podIP: 10.0.0.7/32", "podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(note("cni.projectcalico.org/podIP: 10.0.0.7/32"), "10.0.0.7");
  EXPECT_EQ(note("cni.projectcalico.org/podIP: 10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(note("cni.projectcalico.org/podIPs: \"10.0.0.6/32,fd00::6/128\", "
                 "cni.projectcalico.org/podIP: 10.0.0.7/32"),
            "10.0.0.6 fd00::6");
  EXPECT_EQ(note("vpc.amazonaws.com/pod-ips: 10.0.0.5"), "10.0.0.5");
  // Eligible only with a node, not on the host's network, not finished.
  EXPECT_EQ(pod("", ", hostNetwork: true", "podIP: 10.0.0.8"), "none");
  EXPECT_EQ(pod("", ", hostNetwork: false", "podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(pod("", "", "phase: Running, podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(pod("", "", "phase: Pending, podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(pod("", "", "phase: Succeeded, podIP: 10.0.0.8"), "none");
  EXPECT_EQ(pod("", "", "phase: Failed, podIP: 10.0.0.8"), "none");
  EXPECT_EQ(pod("", "", "phase: Completed, podIP: 10.0.0.8"), "none");
  EXPECT_EQ(pod("", "", "phase: Pending"), "none");
  // Going, but its address is still its own until the annotation is emptied.
  const char* going = ", deletionTimestamp: \"2026-01-01T00:00:00Z\"";
  EXPECT_EQ(pod(going, "", "podIP: 10.0.0.8"), "10.0.0.8");
  EXPECT_EQ(
      pod((std::string(going) + ", annotations: {cni.projectcalico.org/podIP: 10.0.0.8/32}")
              .c_str(),
          "", "podIP: 10.0.0.8"),
      "10.0.0.8");
  EXPECT_EQ(
      pod((std::string(going) + ", annotations: {cni.projectcalico.org/podIP: \"\"}").c_str(),
          "", "podIP: 10.0.0.8"),
      "none");
}

// Of containers, then initContainers: those with a name, every one, a name twice or not.
TEST(KubernetesPod, NamedPortsKeepTheirDuplicatesAndNamelessOnesAreNone) {
  const std::string pod = R"(
---
apiVersion: v1
kind: Pod
metadata: {name: w, namespace: ns1}
spec:
  nodeName: n1
  initContainers: [{ports: [{name: web, containerPort: 7000}]}]
  containers:
  - ports: [{name: web, containerPort: 80}, {name: web, containerPort: 81},
            {name: web, containerPort: 53, protocol: UDP}]
  - ports: [{name: web, containerPort: 80}, {containerPort: 9000, hostPort: 9000},
            {name: both, containerPort: 9001, hostPort: 19001}]
status: {podIP: 10.0.0.9}
)";
  const struct {
    const char* rule;
    const char* allowed;  // of the packets below
  } rows[] = {
      {"destination: {ports: [web]}", "tcp/80 tcp/81 tcp/7000 udp/53 "},
      {"protocol: TCP, destination: {ports: [web]}", "tcp/80 tcp/81 tcp/7000 "},
      {"protocol: UDP, destination: {ports: [web]}", "udp/53 "},
      {"protocol: SCTP, destination: {ports: [web]}", ""},
      {"protocol: TCP, destination: {notPorts: [web]}", "tcp/53 tcp/9000 tcp/9001 tcp/19001 "},
      {"destination: {ports: [both]}", "tcp/9001 "},
      {"destination: {ports: [web, both]}", "tcp/80 tcp/81 tcp/7000 tcp/9001 udp/53 "},
  };
  for (const auto& row : rows) {
    const World world(pod +
                      np("x", std::string("{ingress: [{action: Allow, ") + row.rule + "}]}"));
    std::string allowed;
    for (const char* what : {"tcp/53", "tcp/80", "tcp/81", "tcp/7000", "tcp/9000", "tcp/9001",
                             "tcp/19001", "udp/53", "udp/80"}) {
      const bool yes = world.verdict(kInternet, "ns1/w", what).starts_with("allow");
      allowed += yes ? std::string(what) + " " : "";
    }
    EXPECT_EQ(allowed, row.allowed) << row.rule;
  }
}

TEST(KubernetesPod, WhatItAsksForAndDoesNotGetIsWarnedOf) {
  const struct {
    const char* annotation;
    const char* says;  // "": nothing
  } rows[] = {
      {"qos.projectcalico.org/ingressBandwidth: 10M",
       "warning: Pod: qos.projectcalico.org/ingressBandwidth is not applied"},
      {"qos.projectcalico.org/egressPacketRate: \"100\"", "is not applied"},
      {"qos.projectcalico.org/ingressMaxConnections: \"5\"", "is not applied"},
      {"qos.projectcalico.org/dscp: EF", "is not applied"},
      // Without FelixConfiguration's floatingIPs: Enabled, it is nothing to Calico either.
      {"cni.projectcalico.org/floatingIPs: '[\"198.51.100.1\"]'", ""},
      {"example.com/qos: high", ""},
  };
  for (const auto& row : rows) {
    const std::string said = findings_of(
        kCluster +
            std::string("---\n{apiVersion: v1, kind: Pod, metadata: {name: w, namespace: "
                        "ns1, annotations: {") +
            row.annotation + "}}, spec: {nodeName: n1}, status: {podIP: 10.0.0.9}}\n",
        kSettings);
    EXPECT_EQ(said.empty(), *row.says == 0) << said;
    EXPECT_NE(said.find(row.says), std::string::npos) << row.annotation << said;
  }
}

TEST(KubernetesPod, AFinishedPodIsInNoSet) {
  const World world(R"(
---
{apiVersion: v1, kind: Pod, metadata: {name: d, namespace: ns1, labels: {app: db}},
 spec: {nodeName: n2}, status: {phase: Failed, podIP: 10.0.1.20}}
)" + np("x", "{ingress: [{action: Allow, source: {selector: \"app == 'db'\"}}]}"));
  EXPECT_EQ(world.verdict("10.0.1.9", "ns1/p", "tcp/80"), "allow default x 0");
  EXPECT_EQ(world.verdict("10.0.1.20", "ns1/p", "tcp/80"), "deny default x -1");
}

TEST(KubernetesPod, AFinishedPodsAddressMayBeAnothers) {
  const World world(R"(
---
{apiVersion: v1, kind: Pod, metadata: {name: d, namespace: ns1}, spec: {nodeName: n1},
 status: {phase: Succeeded, podIP: 10.0.0.1}}
)");
  EXPECT_EQ(world.verdict(kInternet, "10.0.0.1", "tcp/80"), "allow __PROFILE__ kns.ns1 0");
}

TEST(WorkloadEndpoints, WinOverThePodTheyStandFor) {
  const World world(R"(
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-k8s-p-eth0, namespace: ns1, labels: {app: other, pcns.team: forged,
                                                         projectcalico.org/namespace: forged}}
spec: {node: n1, orchestrator: k8s, pod: p, endpoint: eth0, interfaceName: cali-p,
       serviceAccountName: robot, profiles: [kns.ns1, ksa.ns1.robot],
       ipNetworks: [10.0.0.1/32], ports: [{name: web, protocol: TCP, port: 1234}]}
)" + np("x", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [web]}}]}"));
  const LocalEndpoint& p = world.endpoint("p");
  EXPECT_EQ(p.interface_name, "cali-p");
  EXPECT_EQ(p.labels.at("app"), "other");
  EXPECT_EQ(p.labels.at("pcns.team"), "red");
  EXPECT_EQ(p.labels.at("projectcalico.org/namespace"), "ns1");
  EXPECT_EQ(p.labels.at("projectcalico.org/serviceaccount"), "robot");
  EXPECT_EQ(world.built().policy.endpoints.size(), 3u);
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/1234"), "allow default x 0");
  EXPECT_EQ(world.verdict(kInternet, "ns1/p", "tcp/8080"), "deny default x -1");
}

TEST(WorkloadEndpoints, WithoutAddressOrInterfaceAreNoneAndWarnedOf) {
  const auto warned = [](const char* spec) {
    const World world(document("projectcalico.org/v3", "WorkloadEndpoint", "w", "ns1", spec));
    EXPECT_EQ(world.built().policy.endpoints.size(), 3u);
    return world.findings();
  };
  EXPECT_NE(warned("{node: n1, interfaceName: cali-w}").find("no address"), std::string::npos);
  EXPECT_NE(warned("{node: n1, ipNetworks: [10.0.0.9/32]}").find("no interfaceName"),
            std::string::npos);
}

TEST(WorkloadEndpoints, OneAddressOrInterfaceOfTwoIsAnError) {
  const auto twin = [](const char* spec) {
    return findings_of(
        kCluster + document("projectcalico.org/v3", "WorkloadEndpoint", "w", "ns1", spec),
        kSettings);
  };
  EXPECT_NE(twin("{node: n1, interfaceName: cali-w, ipNetworks: [10.0.0.1/32]}")
                .find("error: address 10.0.0.1"),
            std::string::npos);
  const std::string taken = pod_interface("ns1", "p");
  EXPECT_NE(
      twin(("{node: n1, ipNetworks: [10.0.0.9/32], interfaceName: " + taken + "}").c_str())
          .find("error: interface " + taken),
      std::string::npos);
  // Another node's affairs are not ours.
  EXPECT_EQ(twin("{node: n2, interfaceName: cali-w, ipNetworks: [10.0.0.1/32]}").find("error"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::control::testing
