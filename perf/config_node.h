// SPDX-License-Identifier: Apache-2.0
// The benchmark's node with the pods and policies of a sluice.yaml, as sluiced compiles them.
//
// Of the file come the local endpoints with an IPv4 address (the first kPods, by interface),
// their programs, and the addresses of endpoints elsewhere; uplink, MACs and the tunnel stay
// the benchmark's, and all that is not one of those pods is behind the tunnel.  Host endpoints
// are left out.  Flows are TCP and such as the policies allow.
#ifndef SLUICE_PERF_CONFIG_NODE_H_
#define SLUICE_PERF_CONFIG_NODE_H_

#include <array>
#include <string>
#include <vector>

#include "classifier/result.h"
#include "perf/node.h"
#include "perf/scene.h"

namespace sluice::perf {

struct ConfigNode {
  Node node;
  std::array<std::vector<Lane>, kPaths.size()> lanes;  // by Path; none: nothing is allowed
};

// Fails with what is wrong in the files, or if no local endpoint has an IPv4 address.
Result<ConfigNode> read_node(const std::string& settings_file);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_CONFIG_NODE_H_
