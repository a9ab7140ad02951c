// SPDX-License-Identifier: Apache-2.0
#include "control/build.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "control/felix.h"

namespace sluice::control {
namespace {

void check_node(const config::Model& model, config::Findings& findings) {
  const std::string& node = model.settings.node;
  std::set<std::string_view> known;
  for (const config::Node& n : model.nodes) {
    known.insert(n.meta.name);
  }
  for (const config::Block& block : model.blocks) {
    known.insert(block.node);
  }
  for (const config::WorkloadEndpoint& endpoint : model.workload_endpoints) {
    known.insert(endpoint.node);
  }
  for (const config::Pod& pod : model.pods) {
    known.insert(pod.node);
  }
  known.erase("");
  if (node.empty() || known.empty() || known.contains(node)) {
    return;
  }
  const std::string near =
      config::nearest(node, std::vector<std::string_view>(known.begin(), known.end()));
  findings.error(model.settings.node_at,
                 "node \"" + node + "\" is named by no Node, block, pod or endpoint",
                 near.empty()
                     ? "the files know, for example, \"" + std::string(*known.begin()) + "\""
                     : "did you mean \"" + near + "\"?");
}

PathOptions path_options(const config::Settings& settings, const Felix& felix) {
  PathOptions o;
  o.ip6 = settings.path.ip6;
  o.uplink_ip6_punt = settings.path.uplink_ip6_punt;
  o.ip_options = settings.path.ip_options == config::Ipv4Options::allow;
  o.verify_l4_all = settings.path.l4_checksum == config::ChecksumMode::full;
  o.verify_l4_control = settings.path.l4_checksum != config::ChecksumMode::off;
  o.transit = settings.path.transit_allow;
  o.endpoint_to_host = felix.endpoint_to_host != config::EndpointToHost::drop;
  o.recheck = settings.connections.recheck;
  o.tcp_loose = settings.path.tcp_loose != config::TcpLoose::off;
  o.tcp_grace = settings.path.tcp_loose == config::TcpLoose::grace;
  o.tcp_liberal = settings.path.tcp_liberal;
  o.punt_rate = settings.path.punt_rate;
  o.punt_arp_rate = settings.path.punt_arp_rate;
  return o;
}

Endpoint make_endpoint(const LocalEndpoint& local, EndpointId id,
                       const config::Settings& settings, const Felix& felix) {
  Endpoint e;
  e.port = EndpointSlots::port_of(id);
  e.worker = static_cast<uint8_t>(id % std::max<size_t>(settings.workers.cores.size(), 1));
  e.ready = local.ingress != kNoProgram && local.egress != kNoProgram;
  e.allow_tunnels = settings.path.tun_from_workload;
  e.allow_ipip = felix.allow_ipip;
  e.allow_vxlan = felix.allow_vxlan;
  e.ingress = local.ingress;
  e.egress = local.egress;
  e.pending_ingress = local.pending_ingress;
  e.pending_egress = local.pending_egress;
  e.addresses = local.addresses;
  e.allowed_sources = local.allowed_sources;
  e.mac = local.mac.value_or(MacAddress{});
  return e;
}

// Puts every local endpoint into its slot.
void add_endpoints(const config::Settings& settings, const Felix& felix, EndpointSlots& slots,
                   Built& built, Generation& generation, config::Findings& findings) {
  for (const LocalEndpoint& local : built.policy.endpoints) {
    const auto id = slots.assign(local.interface_name);
    built.endpoint_ids.push_back(id.value_or(kNoEndpoint));
    if (!id) {
      findings.error(local.where, "endpoint \"" + local.interface_name + "\": more than " +
                                      std::to_string(EndpointSlots::kMaxSlots) +
                                      " local endpoints");
    }
  }
  generation.endpoints.resize(slots.size());
  generation.endpoint_of_port.assign(slots.size() + kFirstPodPort, kNoEndpoint);
  for (size_t i = 0; i < built.policy.endpoints.size(); ++i) {
    const EndpointId id = built.endpoint_ids[i];
    if (id == kNoEndpoint) {
      continue;
    }
    Endpoint& endpoint = generation.endpoints[id];
    endpoint = make_endpoint(built.policy.endpoints[i], id, settings, felix);
    generation.endpoint_of_port[endpoint.port] = id;
    for (const Address& address : endpoint.addresses) {
      generation.by_address[address] = id;
    }
  }
}

}  // namespace

const LocalEndpoint* Built::endpoint(EndpointId id) const {
  for (size_t i = 0; i < endpoint_ids.size(); ++i) {
    if (endpoint_ids[i] == id) {
      return &policy.endpoints[i];
    }
  }
  return nullptr;
}

Built build(const config::Model& model, Registries& registries, const Built* previous,
            config::Findings& findings, const Matcher::Progress& progress) {
  Built built;
  built.policy = registries.compiler.compile(model, findings);
  if (built.policy.endpoints.empty()) {
    check_node(model, findings);
  }
  auto generation = std::make_shared<Generation>();
  generation->number = previous == nullptr ? 1 : previous->generation->number + 1;
  const Felix felix = felix_of(model);
  check_felix(model, findings);
  built.endpoint_to_host_said_by = felix.endpoint_to_host_said_by;
  generation->options = path_options(model.settings, felix);
  generation->linear = std::make_shared<const Linear>(built.policy.rules);
  generation->uplink = built.policy.uplink.policy;
  generation->tunnel = built.policy.tunnel.policy;
  generation->pods = built.policy.pods.policy;
  const auto judges = [](const HostStage& stage) { return stage.program != kNoProgram; };
  for (const HostPolicy* p : {&generation->uplink, &generation->tunnel}) {
    generation->untracked =
        generation->untracked || judges(p->untracked_in) || judges(p->untracked_out);
  }
  generation->host_endpoints = !built.policy.uplink.name.empty() ||
                               !built.policy.tunnel.name.empty() ||
                               !built.policy.pods.name.empty();
  add_endpoints(model.settings, felix, registries.endpoints, built, *generation, findings);

  built.routes = plan_routes(model, built.policy.endpoints, registries.endpoints,
                             registries.borrowed, findings);
  const bool same_routes = previous != nullptr && previous->routes == built.routes;
  const uint32_t version = previous == nullptr ? 1 : previous->generation->routes->version + 1;
  generation->routes =
      same_routes ? previous->generation->routes : make_route_table(built.routes, version);
  Matcher::Options options;
  options.memory_bytes = model.settings.policy.memory;
  // Settled members would come after connections were judged again by this generation.
  options.in_place = !model.settings.connections.recheck;
  options.progress = progress;
  const Matcher* before = previous == nullptr ? nullptr : previous->generation->matcher.get();
  const auto begun = std::chrono::steady_clock::now();
  if (Status s = sluice::compile(*generation, options, before); !s) {
    findings.error(model.settings.policy.memory_at, s.error().what, s.error().hint);
  }
  built.compiled_in = std::chrono::steady_clock::now() - begun;
  built.generation = std::move(generation);
  return built;
}

}  // namespace sluice::control
