// SPDX-License-Identifier: Apache-2.0
// Everything a worker sees, behind one pointer: the tables, and the queues of the ports.
//
// Control makes it and replaces it whole (Published); workers read.  A port has one queue or
// several, each of one worker.  A pod's are all its endpoint's worker's; the uplink's are
// spread, so that each worker sends by its own and hands over only what it received for
// another. Bounds: kMaxPorts ports, kMaxWorkers workers.
#ifndef SLUICE_FASTPATH_VIEW_H_
#define SLUICE_FASTPATH_VIEW_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "fastpath/node_flow.h"
#include "fastpath/port.h"
#include "fastpath/tables.h"

namespace sluice {

inline constexpr unsigned kMaxWorkers = 64;
// Whose the host port is, the node's own flows, and those of no endpoint.
inline constexpr uint8_t kHostWorker = 0;

struct View {
  struct Queue {
    Port* of;
    PortId port;
    uint8_t worker;  // receives from it
  };

  // The next queue of port `id` is `worker`'s.  A port's first queue tells of all its Info.
  void serve(PortId id, Port* queue, uint8_t worker) {
    queues.push_back({queue, id, worker});
    if (ports[id] == nullptr) {
      ports[id] = queue;
      owner[id] = worker;
    }
    if (id == kUplinkPort && uplink[worker] == nullptr) {
      uplink[worker] = queue;
    }
  }
  // May `worker` send by that port itself?  Else the owner does.
  bool sends(PortId id, uint8_t worker) const {
    return owner[id] == worker || (id == kUplinkPort && uplink[worker] != nullptr);
  }
  // The queue that it sends on.  REQUIRES: sends().
  Port* way_out(PortId id, uint8_t worker) const {
    return id == kUplinkPort && uplink[worker] != nullptr ? uplink[worker] : ports[id];
  }

  uint64_t serial = 0;  // differs from every other View's
  std::shared_ptr<const Generation> generation;
  std::vector<Queue> queues;
  std::array<Port*, kMaxPorts> ports{};    // by PortId, its first queue; null: no such port now
  std::array<uint8_t, kMaxPorts> owner{};  // by PortId, the worker of that
  std::array<Port*, kMaxWorkers> uplink{};  // by worker, its first queue there; null: none
  MacAddress host_mac;                      // the kernel's end of the host port
  // Whose address punted frames bear that came by the uplink in plain: on an uplink of the
  // kernel's its own, so that the kernel takes them as come by the uplink.
  MacAddress node_mac;
  std::shared_ptr<const NodeFlows> node_flows;  // null: none
  uint64_t node_flows_since = 0;                // when they began to come; monotonic ns
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_VIEW_H_
