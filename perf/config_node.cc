// SPDX-License-Identifier: Apache-2.0
#include "perf/config_node.h"

#include <algorithm>
#include <set>

#include "classifier/linear.h"
#include "config/load.h"
#include "control/build.h"

namespace sluice::perf {
namespace {

constexpr size_t kMostLanes = 64;
constexpr unsigned kStrangers = 16;
constexpr Ip4 kWorld{0xcb007101};  // 203.0.113.1, RFC 5737

void add_v4(std::span<const Address> addresses, std::vector<Ip4>& out) {
  for (const Address& address : addresses) {
    if (address.is_v4()) {
      out.push_back(address.v4());
    }
  }
}

// Endpoints of other nodes, and some addresses that no file names.
std::vector<Ip4> remote_addresses(const config::Model& model) {
  std::vector<Ip4> out;
  for (const auto& endpoint : model.workload_endpoints) {
    for (const Prefix& net : endpoint->ip_networks) {
      if (endpoint->node != model.settings.node) {
        add_v4({&net.base, 1}, out);
      }
    }
  }
  for (const auto& pod : model.pods) {
    if (pod->node != model.settings.node && !pod->host_network) {
      add_v4(pod->pod_ips, out);
    }
  }
  for (unsigned n = 0; n < kStrangers; ++n) {
    out.push_back({kWorld.value + n});
  }
  return out;
}

// Ports that some rule names, and two that many allow.
std::set<uint16_t> likely_ports(const RuleSet& rules) {
  std::set<uint16_t> out = {80, 443};
  for (const auto& list : rules.lists) {
    for (const Rule& rule : list->rules) {
      for (const PortRange& range : rule.destination.ports) {
        out.insert(std::max<uint16_t>(range.low, 1));
      }
    }
  }
  for (const auto& set : rules.port_sets) {
    for (const PortSet::Member& member : set->members()) {
      out.insert(member.port);
    }
  }
  return out;
}

// Finds lanes that the policies of both ends allow.
class Surveyor {
 public:
  Surveyor(const Node& node, std::vector<Ip4> remotes)
      : node_(node),
        linear_(node.rules),
        remotes_(std::move(remotes)),
        ports_(likely_ports(*node.rules)) {}

  std::vector<Lane> lanes(Path path) const {
    std::vector<Lane> out;
    const auto pods = static_cast<unsigned>(node_.pods.size());
    for (unsigned p = 0; p < pods; ++p) {
      const Ip4 here = node_.pods[p].address;
      const auto others = static_cast<unsigned>(path == Path::pod_pod ? pods : remotes_.size());
      for (unsigned n = 0; n < others; ++n) {
        Lane lane;
        switch (path) {
          case Path::ipip_in:
            lane = {remotes_[n], here, 0, 0, p};
            break;
          case Path::ipip_out:
            lane = {here, remotes_[n], 0, p, 0};
            break;
          case Path::pod_pod:
            lane = {here, node_.pods[n].address, 0, p, n};
            break;
        }
        add_allowed(path, lane, out);
      }
    }
    return out;
  }

 private:
  void add_allowed(Path path, Lane lane, std::vector<Lane>& out) const {
    for (const uint16_t port : ports_) {
      lane.dst_port = port;
      if (out.size() < kMostLanes && lane.src != lane.dst && allows(path, lane)) {
        out.push_back(lane);
      }
    }
  }
  bool allows(Path path, const Lane& lane) const {
    return (path == Path::ipip_in || allows(node_.pods[lane.from].egress, lane)) &&
           (path == Path::ipip_out || allows(node_.pods[lane.to].ingress, lane));
  }
  // Its first flow and its last: a rule may ask for source ports.
  bool allows(ProgramId program, const Lane& lane) const {
    for (const uint32_t source : {1024u, 1023u + Lane::kFlows}) {
      const FlowKey key = {lane.src, lane.dst, static_cast<uint16_t>(source), lane.dst_port,
                           proto::kTcp};
      Verdict verdict;
      linear_.classify({&key, 1}, {&program, 1}, {&verdict, 1});
      if (verdict.kind != Verdict::Kind::allow) {
        return false;
      }
    }
    return true;
  }

  const Node& node_;
  Linear linear_;
  std::vector<Ip4> remotes_;
  std::set<uint16_t> ports_;
};

}  // namespace

Result<ConfigNode> read_node(const std::string& settings_file) {
  const config::Loaded loaded = config::load(settings_file);
  if (!loaded.ok()) {
    return Error{loaded.findings.format(loaded.model.files)};
  }
  control::Registries registries;
  config::Findings findings;
  const control::Built built = control::build(loaded.model, registries, nullptr, findings);
  if (findings.has_errors()) {
    return Error{findings.format(loaded.model.files)};
  }
  ConfigNode out;
  out.node.rules = built.policy.rules;
  out.node.counters = static_cast<CounterSlot>(registries.rules.size());
  out.node.remotes = {Prefix::of(Address::of(Ip4{0}), 97),
                      Prefix::of(Address::of(Ip4{0x80000000}), 97)};
  for (const control::LocalEndpoint& endpoint : built.policy.endpoints) {
    std::vector<Ip4> addresses;
    add_v4(endpoint.addresses, addresses);
    const bool judged = endpoint.egress != kNoProgram && endpoint.ingress != kNoProgram;
    if (!addresses.empty() && judged && out.node.pods.size() < kPods) {
      out.node.pods.push_back({addresses[0], endpoint.egress, endpoint.ingress});
    }
  }
  if (out.node.pods.empty()) {
    return Error{settings_file + ": no endpoint of node \"" + loaded.model.settings.node +
                 "\" has an IPv4 address"};
  }
  const Surveyor surveyor(out.node, remote_addresses(loaded.model));
  for (const Path path : kPaths) {
    out.lanes[static_cast<size_t>(path)] = surveyor.lanes(path);
  }
  return out;
}

}  // namespace sluice::perf
