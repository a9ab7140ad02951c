// SPDX-License-Identifier: Apache-2.0
// The data path's answer: packets as frames in captures, and what replay made of them.
//
// Test threads only; EAL must be up.  The directory is the caller's and is written over.
#ifndef SLUICE_TESTS_DIFFERENTIAL_FRAMES_H_
#define SLUICE_TESTS_DIFFERENTIAL_FRAMES_H_

#include <string>
#include <vector>

#include "classifier/result.h"
#include "config/load.h"
#include "tests/differential/cluster.h"

namespace sluice::differential {

// What became of each packet: "forwarded", "punted" or a drop reason; "" for those that
// open nothing, which are not replayed.  REQUIRES: `in` of each packet is "uplink" or, unlike
// elsewhere, a local endpoint's interface.
Result<std::vector<std::string>> replayed(const config::Loaded& loaded,
                                          const std::vector<Packet>& packets,
                                          const std::string& directory);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_FRAMES_H_
