// SPDX-License-Identifier: Apache-2.0
#include "control/endpoint_slots.h"

#include <set>
#include <string_view>

namespace sluice::control {

std::optional<EndpointId> EndpointSlots::assign(const std::string& interface_name) {
  if (const auto known = find(interface_name)) {
    return known;
  }
  const bool full = names_.size() == kMaxSlots;
  if (full && free_.empty()) {
    return std::nullopt;
  }
  EndpointId id = static_cast<EndpointId>(names_.size());
  if (full || free_.size() > kKeepFree) {
    id = free_.front();
    free_.pop_front();
    names_[id] = interface_name;
  } else {
    names_.push_back(interface_name);
  }
  slots_.emplace(interface_name, id);
  return id;
}

std::optional<EndpointId> EndpointSlots::find(const std::string& interface_name) const {
  const auto it = slots_.find(interface_name);
  return it == slots_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<PortId> EndpointSlots::port(const std::string& interface_name) const {
  const auto id = find(interface_name);
  return id ? std::optional(port_of(*id)) : std::nullopt;
}

const std::string& EndpointSlots::interface_of(PortId port) const {
  static const std::string kNobody;
  const bool known = port >= kFirstPodPort && size_t{port} - kFirstPodPort < names_.size();
  return known ? names_[size_t{port} - kFirstPodPort] : kNobody;
}

void EndpointSlots::release(const std::string& interface_name) {
  const auto it = slots_.find(interface_name);
  if (it == slots_.end()) {
    return;
  }
  names_[it->second].clear();
  free_.push_back(it->second);
  slots_.erase(it);
}

void EndpointSlots::release_absent(const std::vector<LocalEndpoint>& present) {
  std::set<std::string_view> keep;
  for (const LocalEndpoint& endpoint : present) {
    keep.insert(endpoint.interface_name);
  }
  std::vector<std::string> gone;
  for (const auto& [name, id] : slots_) {
    if (!keep.contains(name)) {
      gone.push_back(name);
    }
  }
  for (const std::string& name : gone) {
    release(name);
  }
}

}  // namespace sluice::control
