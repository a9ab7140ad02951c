// SPDX-License-Identifier: Apache-2.0
#include "control/felix.h"

namespace sluice::control {
namespace {

using config::EndpointToHost;
using config::FailsafePort;
using config::FelixConfiguration;

std::vector<FailsafePort> of_tcp(std::vector<FailsafePort> ports) {
  constexpr uint16_t kControlPlane[] = {179, 2379, 2380, 5473, 6443, 6666, 6667};
  for (const uint16_t port : kControlPlane) {
    ports.push_back({proto::kTcp, port, {}});
  }
  return ports;
}

template <typename T>
void take(T& to, const std::optional<T>& said) {
  if (said) {
    to = *said;
  }
}

// Those that hold for our node, the stronger last.
std::vector<const FelixConfiguration*> ours(const config::Model& model) {
  std::vector<const FelixConfiguration*> out;
  for (const std::string& name : {std::string("default"), "node." + model.settings.node}) {
    for (const FelixConfiguration& f : model.felix_configurations) {
      if (f.meta.name == name) {
        out.push_back(&f);
      }
    }
  }
  return out;
}

}  // namespace

Felix felix_of(const config::Model& model) {
  Felix out;
  out.failsafe_inbound = of_tcp({{proto::kTcp, 22, {}}, {proto::kUdp, 68, {}}});
  out.failsafe_outbound = of_tcp({{proto::kUdp, 53, {}}, {proto::kUdp, 67, {}}});
  const auto objects = ours(model);
  if (!objects.empty()) {
    out.endpoint_to_host = EndpointToHost::drop;
    out.endpoint_to_host_said_by = objects.front()->meta.name;
  }
  for (const FelixConfiguration* f : objects) {
    take(out.any_source, f->any_source);
    take(out.allow_ipip, f->allow_ipip);
    take(out.allow_vxlan, f->allow_vxlan);
    take(out.endpoint_to_host, f->endpoint_to_host);
    take(out.external_nodes, f->external_nodes);
    take(out.interface_prefixes, f->interface_prefixes);
    take(out.failsafe_inbound, f->failsafe_inbound);
    take(out.failsafe_outbound, f->failsafe_outbound);
    if (f->endpoint_to_host) {
      out.endpoint_to_host_said_by = f->meta.name;
    }
  }
  return out;
}

void check_felix(const config::Model& model, config::Findings& findings) {
  const auto objects = ours(model);
  for (const FelixConfiguration* f : objects) {
    if (f->endpoint_to_host) {
      return;
    }
  }
  if (!objects.empty()) {
    findings.warning(objects.front()->meta.where,
                     "FelixConfiguration \"" + objects.front()->meta.name +
                         "\" says no defaultEndpointToHostAction: pods cannot reach their node",
                     "Calico's manifests set it by environment: defaultEndpointToHostAction: "
                     "Accept");
  }
}

}  // namespace sluice::control
