// SPDX-License-Identifier: Apache-2.0
// The independent judge: walks the resources as Calico semantics 1.4 to 1.9, 2.1 to 2.5, 3.1 to
// 3.6 and 4 are written, object by object for every packet.  Slow on purpose: nothing is
// compiled, folded or cached, and nothing of config/, control/ or classifier/ is used.
//
// Pure; any thread.
#ifndef SLUICE_TESTS_DIFFERENTIAL_EVALUATE_H_
#define SLUICE_TESTS_DIFFERENTIAL_EVALUATE_H_

#include <string>

#include "tests/differential/cluster.h"

namespace sluice::differential {

// Which rule said so: the one that denied, or the last that allowed.  Denied without a tier: by
// no policy, as a tunnel that a workload may not make.
struct Answer {
  bool allow = false;
  bool egress = false;  // the direction of what decided
  std::string tier, kind, space, name;
  int rule = -1;  // -1: the tier's default; the policy is then the tier's first
  friend bool operator==(const Answer&, const Answer&) = default;
};
std::string text(const Answer& answer);

// The local pods at the packet's ends, or nullptr.  A pod may send from other sources.
const Pod* source_of(const Cluster& cluster, const Packet& packet);
const Pod* destination_of(const Cluster& cluster, const Packet& packet);

// `pending`: as if staged policies were enforced.
// REQUIRES: an end of the packet is a local pod.
Answer evaluate(const Cluster& cluster, const Packet& packet, bool pending);

// One pod's policy in one direction alone.
Answer evaluate_end(const Cluster& cluster, const Pod& pod, bool egress, const Packet& packet,
                    bool pending);

// Does a staged policy select the pod in that direction?
bool has_pending(const Cluster& cluster, const Pod& pod, bool egress);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_EVALUATE_H_
