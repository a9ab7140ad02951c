// SPDX-License-Identifier: Apache-2.0
// Random clusters of every kind of resource that decides verdicts, and packets for them.
//
// The same seed gives the same cluster and packets.
#ifndef SLUICE_TESTS_DIFFERENTIAL_GENERATE_H_
#define SLUICE_TESTS_DIFFERENTIAL_GENERATE_H_

#include <cstdint>
#include <vector>

#include "tests/differential/cluster.h"

namespace sluice::differential {

struct Case {
  Cluster cluster;
  std::vector<Packet> packets;  // some of IPv6
};

Case generate(uint64_t seed, size_t packets);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_GENERATE_H_
