// SPDX-License-Identifier: Apache-2.0
// Policy between any two endpoints of the files, on whatever node: what `test` and `diff` ask.
//
// Built once from a model; immutable; any thread.  It judges by policy alone, with the compiled
// programs and the matcher of the packet path: both ends, egress first, as if each end's node
// had passed the packet on, with the host endpoints of both nodes; what goes to another node's
// pod goes through a tunnel.  Routes and sources are explain's business.
#ifndef SLUICE_CONTROL_CLUSTER_H_
#define SLUICE_CONTROL_CLUSTER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "classifier/result.h"
#include "config/findings.h"
#include "config/model.h"
#include "control/compile.h"
#include "control/policy_trail.h"

namespace sluice::control {

class Cluster {
 public:
  // Findings of compile(); with errors the cluster must not be asked.
  Cluster(const config::Model& model, config::Findings& findings);

  // One end of a flow: an endpoint's address, a node's, or one outside of all.
  struct End {
    const LocalEndpoint* endpoint = nullptr;
    Address address;
    bool host = false;  // the node of the other end
    std::string node;   // that has the address itself; "" for all others
    bool world = false;
  };
  // `word`: an address, NAMESPACE/NAME, a node's name, "world" or "host".
  Result<End> end_of(const std::string& word) const;

  struct Answer {
    bool allow = true;
    Trail trail;  // empty: no policy was asked
  };
  // The answer of both ends.  What a node sends to its own endpoints is exempt from policy.
  // `key` has the ends' addresses already.
  // `apart`: as if they were on two nodes, whatever they are on.
  Answer judge(const End& from, const End& to, const FlowKey& key, bool apart = false) const;

  // judge().allow, without a trail and much faster where no HostEndpoint is.
  bool allows(const End& from, const End& to, const FlowKey& key, bool apart = false) const;

  // The addresses for a flow, of one family; "host" becomes the address of the other's node,
  // or 192.0.2.1 or 2001:db8::201 (RFC 5737, 3849) where no Node resource tells it.  nullopt:
  // no common family.
  std::optional<std::pair<Address, Address>> addresses(const End& from, const End& to) const;

  // Does a HostEndpoint protect the node that this end is?
  bool protects(const End& end) const { return policy_.nodes.contains(end.node); }
  // A node whose address is known, by name.
  std::optional<End> node_end(const std::string& name) const;

  const CompiledPolicy& policy() const { return policy_; }
  const Linear& matcher() const { return *matcher_; }

 private:
  const ProtectedNode* protection(const std::string& node) const;
  std::vector<Address> addresses_of(const End& end, const End& other) const;
  std::string node_of(const End& end, const End& other) const;

  RuleNames counters_;
  CompiledPolicy policy_;
  std::shared_ptr<const Linear> matcher_;
  std::map<std::string, const LocalEndpoint*> by_name_;
  std::map<Address, const LocalEndpoint*> by_address_;
  std::map<std::string, std::vector<Address>> nodes_;  // those with an address, IPv4 first
};

// "shop/web"
std::string name_of(const LocalEndpoint& endpoint);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_CLUSTER_H_
