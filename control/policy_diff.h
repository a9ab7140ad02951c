// SPDX-License-Identifier: Apache-2.0
// Which flows between which ends get another verdict: two sets of policies compared by meaning,
// not by text.
//
// Ends are the endpoints that both sides know, and one address of each part of the rest of the
// world that some rule tells apart.  Flows are the parts of protocols and ports that some rule
// tells apart.  Nodes that a HostEndpoint protects are ends, too; any two ends are taken to be
// on two nodes, but for a node and its own pods where nothing else is like them (between those
// its host endpoint does not judge).  Ends that no rule tells apart are judged once, so the
// answer is exact and the work bounded: (kinds of ends)^2 * flows, refused above kMaxJudged.
// Pure; one thread.
#ifndef SLUICE_CONTROL_POLICY_DIFF_H_
#define SLUICE_CONTROL_POLICY_DIFF_H_

#include <functional>
#include <string>
#include <vector>

#include "classifier/result.h"
#include "control/cluster.h"

namespace sluice::control {

inline constexpr uint64_t kMaxJudged = 100'000'000;

struct FlowChange {
  // "shop/web", "10.0.0.0/8", a service's "192.0.2.1" or "192.0.2.1-192.0.2.3", "world";
  // sorted.
  std::vector<std::string> from;
  std::vector<std::string> to;
  std::string
      flow;  // "tcp/5432", "udp/1-52,54-65535", "icmp/8", "everything"; then " (IPv6)" if so
  bool was_allowed = false;  // and is not any more, or the other way round
  std::string by;            // who says so now
  config::Where place;       // of `by`, in the files of the new side
};

struct PolicyDiff {
  std::vector<FlowChange> changes;
  std::vector<std::string> removed;  // endpoints that only the old side knows
  std::vector<std::string> added;
  uint64_t judged = 0;
  bool same() const { return changes.empty() && removed.empty() && added.empty(); }
};

struct DiffOptions {
  std::vector<Prefix> named;   // what parts of the world are called: CIDRs of network sets
  std::string namespace_name;  // only flows with an end in it; "" for all
  std::function<void(uint64_t done, uint64_t all)> progress;  // called now and then
};

// An Error if it is too much work, or nobody is in that namespace.
Result<PolicyDiff> diff(const Cluster& before, const Cluster& after,
                        const DiffOptions& options);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_POLICY_DIFF_H_
