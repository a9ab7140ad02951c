// SPDX-License-Identifier: Apache-2.0
// TCP connections of the node itself that were there before its traffic came through the
// workers.
//
// Control reads them from the kernel when a host endpoint comes (or sluiced starts with one)
// and publishes them with the View; workers take such a connection up in mid-stream, unjudged,
// as what is established is.  Sorted; immutable.  Bounds: as many as the node has sockets.
#ifndef SLUICE_FASTPATH_NODE_FLOW_H_
#define SLUICE_FASTPATH_NODE_FLOW_H_

#include <compare>
#include <cstdint>
#include <vector>

#include "classifier/types.h"

namespace sluice {

struct NodeFlow {
  Address ours;
  Address theirs;
  uint16_t our_port = 0;
  uint16_t their_port = 0;
  friend auto operator<=>(const NodeFlow&, const NodeFlow&) = default;
};
using NodeFlows = std::vector<NodeFlow>;  // sorted

}  // namespace sluice

#endif  // SLUICE_FASTPATH_NODE_FLOW_H_
