// SPDX-License-Identifier: Apache-2.0
// The registry of local endpoints: interface name -> slot, which stays while the pod does.
//
// Slot n is EndpointId n and PortId kFirstPodPort + n.  Written by control only, while it
// builds; connections of the workers remember slots, so a slot is given again only after its
// release, the longest-free one first, and only once kKeepFree others are waiting.
#ifndef SLUICE_CONTROL_ENDPOINT_SLOTS_H_
#define SLUICE_CONTROL_ENDPOINT_SLOTS_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/compile.h"
#include "fastpath/tables.h"

namespace sluice::control {

class EndpointSlots {
 public:
  static constexpr EndpointId kMaxSlots = kMaxPorts - kFirstPodPort;

  static PortId port_of(EndpointId id) { return static_cast<PortId>(kFirstPodPort + id); }

  // The slot of the interface, given now if it has none.  Nothing when all are taken.
  std::optional<EndpointId> assign(const std::string& interface_name);
  std::optional<EndpointId> find(const std::string& interface_name) const;
  std::optional<PortId> port(const std::string& interface_name) const;
  // The interface that has the port now, or "".
  const std::string& interface_of(PortId port) const;

  // Frees the interface's slot.  REQUIRES: its port is closed and in no published generation.
  void release(const std::string& interface_name);
  // release() for every interface that is not among `present`.
  void release_absent(const std::vector<LocalEndpoint>& present);

  // One more than the highest slot ever given.
  size_t size() const { return names_.size(); }

 private:
  static constexpr size_t kKeepFree = 256;
  std::map<std::string, EndpointId> slots_;
  std::vector<std::string> names_;  // by slot; "" for free ones
  std::deque<EndpointId> free_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_ENDPOINT_SLOTS_H_
