// SPDX-License-Identifier: Apache-2.0
#include "perf/cluster_files.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace sluice::perf {
namespace {

constexpr const char* kSettings = R"(
node: n1
resources: [cluster]
uplink: {interface: eth0, addresses: [192.168.0.1/16], gateway: 192.168.255.254}
tunnel: {address: 10.255.255.1}
)";

std::string number(unsigned n) {
  return std::to_string(n);
}
std::string ip4(unsigned value) {
  return number(value >> 24) + "." + number(value >> 16 & 255) + "." +
         number(value >> 8 & 255) + "." + number(value & 255);
}

// Namespaces of fifty pods; an application has ten of them.
constexpr unsigned kPodsOfSpace = 50, kPodsOfApp = 10;

std::string space_of_app(unsigned app) {
  return "ns" + number(app * kPodsOfApp / kPodsOfSpace);
}

void add_pods(const ClusterSize& size, Files& out) {
  for (unsigned i = 0; i < size.endpoints; i += kPodsOfSpace) {
    const std::string space = "ns" + number(i / kPodsOfSpace);
    out[space] += "---\n{apiVersion: v1, kind: Namespace, metadata: {name: " + space +
                  ", labels: {team: t" + number(i / kPodsOfSpace % 20) + "}}}\n";
  }
  for (unsigned i = 0; i < size.endpoints; ++i) {
    const std::string space = "ns" + number(i / kPodsOfSpace);
    out[space] += "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p" + number(i) +
                  "\n  namespace: " + space + "\n  labels: {app: a" + number(i / kPodsOfApp) +
                  ", tier: t" + number(i % 3) + ", pod: p" + number(i) +
                  "}\nspec:\n  nodeName: " + (i < size.local ? "n1" : "n2") +
                  "\n  containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]\n" +
                  "status: {phase: Running, podIP: " + ip4(0x0a000001 + i) + "}\n";
  }
}

void add_policies(const ClusterSize& size, Files& out) {
  const unsigned apps = std::max(1u, size.endpoints / kPodsOfApp);
  for (unsigned i = 0; i < size.policies; ++i) {
    const unsigned app = i % apps;
    out[space_of_app(app)] +=
        "---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: np" +
        number(i) + ", namespace: " + space_of_app(app) +
        "}\nspec:\n  order: " + number(i % 100) + "\n  selector: app == 'a" + number(app) +
        "'\n  ingress:\n  - {action: Allow, protocol: TCP, source: {selector: \"app == 'a" +
        number((app + 1) % apps) + "'\"}, destination: {ports: [80, web]}}\n" +
        "  - {action: Deny, source: {namespaceSelector: all(), selector: \"set == 's" +
        number(i % 100) + "'\"}}\n  egress:\n  - {action: Allow}\n";
  }
}

}  // namespace

Files cluster_files(const ClusterSize& size) {
  Files out;
  add_pods(size, out);
  constexpr unsigned kMembersOfSet = 1000;
  for (unsigned i = 0; i < size.members; i += kMembersOfSet) {
    const unsigned set = i / kMembersOfSet;
    std::string& text = out["sets"];
    text += "---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s" +
            number(set) + ", namespace: ns0, labels: {set: s" + number(set) +
            "}}\nspec:\n  nets:\n";
    for (unsigned n = i; n < i + kMembersOfSet && n < size.members; ++n) {
      text += "  - " + ip4(0x40000000 + 2 * n) + "/32\n";
    }
  }
  add_policies(size, out);
  return out;
}

ClusterDirectory::ClusterDirectory(const Files& files) {
  char name[] = "/tmp/sluice-load-XXXXXX";
  root_ = mkdtemp(name) == nullptr ? "" : name;
  std::filesystem::create_directory(root_ / "cluster");
  std::ofstream(settings()) << kSettings;
  for (const auto& [file, text] : files) {
    write(file, text);
  }
}

ClusterDirectory::~ClusterDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

void ClusterDirectory::write(const std::string& file, const std::string& text) const {
  std::ofstream(root_ / "cluster" / (file + ".yaml")) << text;
}

}  // namespace sluice::perf
