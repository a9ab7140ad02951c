// SPDX-License-Identifier: Apache-2.0
// The cluster's policies, and for a label set those that select it, in the order in which they
// are asked.
//
// Brought up to date from each model by a compilation: follows the policies that came and went,
// whatever stays is not looked at.  A policy is filed under a label that it requires, so a new
// label set is compared with few of them; the answers for label sets that somebody asks about
// are kept.  Source: Calico semantics, sections 1.3, 2.1, 2.2 and 4.6.
#ifndef SLUICE_CONTROL_POLICIES_H_
#define SLUICE_CONTROL_POLICIES_H_

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/compile.h"
#include "control/labels.h"
#include "control/lists.h"

namespace sluice::control {

// Into which a host endpoint's policies part (semantics 2.2); workloads have the last only.
enum class Part : uint8_t { untracked, pre_dnat, forward, normal };

// A tier in the order of section 2.1; one that no resource defines comes last and denies.
struct TierRank {
  bool unknown = false;
  double order = 0;
  std::string name;
  TierEnd end = TierEnd::deny;
};

struct RankedPolicy {
  Shared<config::Policy> policy;
  std::string key;  // "name/namespace/kind"
  bool ingress = false;
  bool egress = false;
  Selector selector;
  std::vector<std::string> filed;  // under which labels, see Policies::file
  KeptLists lists;
  config::Findings findings;  // of its selectors
  const TierRank* tier = nullptr;
  uint64_t used = 0;  // the last compilation in which it judges an endpoint

  bool staged() const { return policy->staging != config::Staging::enforced; }
  bool judges(Direction direction, Part part) const;
  bool is_of(Part part) const;
};

// The namespace of a namespaced policy.
const std::string& scope_of(const config::Policy& policy);

class Policies {
 public:
  // Findings: tiers that do not exist, selectors that do not parse.
  void update(const config::Model& model, const LabelIndex& index, config::Findings& findings);

  // Those that select who bears these labels, in order; good until the next update.
  const std::vector<RankedPolicy*>& selecting(LabelsId id);
  // Forgets what nobody asked about since the last update.
  void end_round();

  // Of which there is something to say.
  const std::unordered_set<RankedPolicy*>& talked_about() const { return talked_about_; }

 private:
  template <typename Object, typename Make>
  void follow(config::Objects<Object>& known, const config::Objects<Object>& now,
              const Make& make);
  void add(const void* object, Shared<config::Policy> policy);
  void remove(const void* object);
  void file(RankedPolicy& policy);
  void update_tiers(const config::Model& model);
  void rank(RankedPolicy& policy);
  void say_unknown(const RankedPolicy& policy, config::Findings& findings) const;

  config::Objects<config::Tier> written_tiers_;
  std::map<std::string, TierRank, std::less<>> tiers_, unknown_tiers_;
  config::Objects<config::Policy> policies_;
  config::Objects<config::KubernetesPolicy> kubernetes_;
  config::Objects<config::ClusterPolicy> cluster_;
  std::unordered_map<const void*, RankedPolicy> ranked_;  // by the object it came of
  std::unordered_map<std::string, std::vector<RankedPolicy*>> filed_;
  std::unordered_set<RankedPolicy*> talked_about_;

  struct Selecting {
    std::vector<RankedPolicy*> policies;
    uint64_t asked = 0;  // the round in which it was asked for last
  };
  const LabelIndex* index_ = nullptr;
  std::unordered_map<LabelsId, Selecting> selecting_;
  uint64_t round_ = 0;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_POLICIES_H_
