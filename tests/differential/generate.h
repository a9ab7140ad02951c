// SPDX-License-Identifier: Apache-2.0
// Random clusters, and random packets that aim at their edges: addresses at, in and beside the
// CIDRs, ports at the ends of ranges, the protocols and ICMP types that rules name.
//
// The same seed gives the same cluster and packets.  Every packet passes all checks but
// policy's, so that only policy can drop it, and no two packets belong to one connection.
#ifndef SLUICE_TESTS_DIFFERENTIAL_GENERATE_H_
#define SLUICE_TESTS_DIFFERENTIAL_GENERATE_H_

#include <cstdint>
#include <vector>

#include "tests/differential/cluster.h"

namespace sluice::differential {

struct Case {
  Cluster cluster;
  std::vector<Packet> packets;  // some of IPv6, which the path does not carry
};

Case generate(uint64_t seed, size_t packets);

// How a pod whose interface is the kernel's to name is told apart: "NAMESPACE/POD".
inline std::string name_of(const Pod& pod) {
  return pod.space + "/" + pod.name;
}

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_GENERATE_H_
