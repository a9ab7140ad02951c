// SPDX-License-Identifier: Apache-2.0
// Random packets that aim at a cluster's edges: addresses at, in and beside the CIDRs, ports at
// the ends of ranges, the protocols and ICMP types that rules name.  Pure; any thread.
#ifndef SLUICE_TESTS_DIFFERENTIAL_PACKETS_H_
#define SLUICE_TESTS_DIFFERENTIAL_PACKETS_H_

#include <cstdint>
#include <vector>

#include "tests/differential/cluster.h"

namespace sluice::differential {

// Up to `count` of them.  Every packet passes all checks but policy's, those of 1.9 that
// concern workloads included, and no two belong to one connection. REQUIRES: the cluster has
// local and remote pods; `nets`, the CIDRs to aim at, has some.
std::vector<Packet> packets_for(uint64_t seed, const Cluster& cluster, std::vector<Net> nets,
                                size_t count);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_PACKETS_H_
