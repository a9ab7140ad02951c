// SPDX-License-Identifier: Apache-2.0
// What would become of a flow's first packet, and which rule says so.  Runs the program and the
// checks that the workers run, on a built generation; no DPDK, no daemon.
//
// Pure; any thread.  It sees header fields only: lengths, checksums and connection states are
// replay's business.  An ICMP error, whose fate lies with the connection it quotes, is
// "unknown".
#ifndef SLUICE_CONTROL_EXPLAIN_H_
#define SLUICE_CONTROL_EXPLAIN_H_

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "classifier/result.h"
#include "control/build.h"

namespace sluice::control {

// `packet`: {"in", "src", "dst", "proto", "sport", "dport", "icmpType", "icmpCode"}.  "in" may
// be left out (the local endpoint that owns src, else the uplink), as may "sport" (an ephemeral
// port) and the ICMP fields (an echo request).  From the uplink, a source in a tunnelled block
// came through IPIP from its node.
// Returns {"verdict": allow|deny|unknown, "reason", "tier", "policy": {kind, namespace, name},
// "rule", "direction", "trail": [{direction, tier, policy, rule, action}]}; steps of a host
// endpoint's list have "stage", too: untracked, preDNAT, forward or normal.  On top the stage
// that denied, or the last one; null where no policy spoke.  `rule` is 0-based, -1 for a tier's
// default.  "pending", only where a staged policy selects an end: the same as if staged
// policies were enforced.  {"error": ...} for a packet that makes no sense.
nlohmann::json explain_packet(const Built& built, const nlohmann::json& packet);

// The same for people: the verdict in a sentence, then for each end the tiers and policies that
// were considered, in order, with the rule that matched or why none did.  `files` name the
// places: those of the model.
std::string explain_text(const Built& built, const nlohmann::json& packet,
                         const std::vector<std::string>& files);

// A packet from words: `from` and `to` are an address, NAMESPACE/POD or interface of a local
// endpoint, "world" (some address outside), or "host" (this node); `proto_port` is "tcp/80",
// "udp/53", "icmp", "icmp/8/0" or a protocol number.
Result<nlohmann::json> packet_of_words(const Built& built, std::string_view from,
                                       std::string_view to, std::string_view proto_port);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_EXPLAIN_H_
