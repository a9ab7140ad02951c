// SPDX-License-Identifier: Apache-2.0
#include "control/borrowed.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "control/endpoints.h"

namespace sluice::control {
namespace {

template <typename Object>
Borrowed::Identity identity_of(const Object& object) {
  return {std::is_same_v<Object, config::Pod>, object.meta.namespace_name, object.meta.name};
}

std::vector<Address> held_by(const config::WorkloadEndpoint& endpoint) {
  std::vector<Address> out;
  for (const Prefix& network : endpoint.ip_networks) {
    if (network.length == 128) {
      out.push_back(network.base);
    }
  }
  return out;
}

std::vector<Address> held_by(const config::Pod& pod) {
  return pod.host_network || finished(pod) ? std::vector<Address>() : addresses_of(pod);
}

}  // namespace

void Borrowed::add(const Identity& who, const std::string& node,
                   const std::vector<Address>& addresses) {
  const auto home = homes_.nodes.find(node);
  for (const Address& address : addresses) {
    const auto owner =
        home == homes_.nodes.end() ? std::nullopt : home->second[address.is_v4()];
    if (!owner) {
      continue;
    }
    const auto blocks = homes_.blocks.find(*owner);
    const bool inside =
        blocks != homes_.blocks.end() &&
        std::any_of(blocks->second.begin(), blocks->second.end(),
                    [&](const Prefix& block) { return block.contains(address); });
    if (!inside) {
      all_[who].push_back({address, *owner});
    }
  }
}

template <typename Object>
void Borrowed::follow(config::Objects<Object>& known, const config::Objects<Object>& now) {
  const auto changed = change(known, now);
  known = now;
  for (const Object& object : changed.gone) {
    all_.erase(identity_of(object));
  }
  for (const Object& object : changed.come) {
    add(identity_of(object), object.node, held_by(object));
  }
}

const std::map<Borrowed::Identity, std::vector<Borrowed::One>>& Borrowed::update(
    const config::Model& model, Homes homes) {
  if (homes != homes_) {
    *this = {};
    homes_ = std::move(homes);
  }
  if (!homes_.nodes.empty()) {
    follow(endpoints_, model.workload_endpoints);
    follow(pods_, model.pods);
  }
  return all_;
}

}  // namespace sluice::control
