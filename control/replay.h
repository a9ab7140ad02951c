// SPDX-License-Identifier: Apache-2.0
// `sluiced --replay DIR`: the real pipeline on captures.
//
// Reads DIR/<port>.in.pcap (uplink, or a pod's interface name), merges them by timestamp, which
// is also the clock (ties: by port name, then by place in the file); writes DIR/<port>.out.pcap
// for every port and DIR/counters.json.  One worker, fixed hash key and IP identification, the
// generation ready before the first frame: the same input gives the same bytes.  No root, no
// huge pages.
#ifndef SLUICE_CONTROL_REPLAY_H_
#define SLUICE_CONTROL_REPLAY_H_

#include <string>

#include "classifier/result.h"
#include "config/load.h"

namespace sluice::control {

// REQUIRES: `loaded` has no errors; EAL is up.
Status replay(const config::Loaded& loaded, const std::string& directory);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_REPLAY_H_
