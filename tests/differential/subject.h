// SPDX-License-Identifier: Apache-2.0
// The four answers to a packet: the evaluator's, explain's, the linear matcher's and the data
// path's; and the first difference among them.
//
// Test threads only; EAL must be up.
#ifndef SLUICE_TESTS_DIFFERENTIAL_SUBJECT_H_
#define SLUICE_TESTS_DIFFERENTIAL_SUBJECT_H_

#include <optional>
#include <string>
#include <vector>

#include "tests/differential/cluster.h"

namespace sluice::differential {

struct Difference {
  std::optional<Packet> packet;  // none: the cluster did not load
  std::string answers;           // all four, for people
};

// What the packets' verdicts were, to show that both occur.
struct Tally {
  uint64_t packets = 0, allowed = 0, pending = 0, by_rule = 0, six = 0;
};

// The first difference, or nothing.  `directory` is for captures, and is written over.
std::optional<Difference> compare(const Cluster& cluster, const std::vector<Packet>& packets,
                                  const std::string& directory, Tally& tally);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_SUBJECT_H_
