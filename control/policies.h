// SPDX-License-Identifier: Apache-2.0
// The cluster's policies in the order in which they are asked, and whom each selects.
//
// Brought up to date from each model by a compilation; what it knows of a policy that is the
// same as before is kept.  Source: Calico semantics, sections 1.3, 2.1, 2.2 and 4.6.
#ifndef SLUICE_CONTROL_POLICIES_H_
#define SLUICE_CONTROL_POLICIES_H_

#include <array>
#include <map>
#include <string>
#include <vector>

#include "control/compile.h"
#include "control/labels.h"
#include "control/lists.h"
#include "control/memo.h"

namespace sluice::control {

// Into which a host endpoint's policies part (semantics 2.2); workloads have the last only.
enum class Part : uint8_t { untracked, pre_dnat, forward, normal };

// A tier in the order of section 2.1; one that no resource defines comes last and denies.
struct TierRank {
  bool unknown = false;
  double order = 0;
  std::string name;
  TierEnd end = TierEnd::deny;
  friend bool operator==(const TierRank&, const TierRank&) = default;
};

struct RankedPolicy {
  Shared<config::Policy> policy;
  std::string key;  // "name/namespace/kind"
  bool ingress = false;
  bool egress = false;
  Matching selected;
  std::array<KeptList, 2> lists;  // by Direction
  config::Findings findings;      // of its selectors
  const TierRank* tier = nullptr;
  bool used = false;        // in this compilation, by an endpoint that it selects
  size_t place = kNoPlace;  // in order
  static constexpr size_t kNoPlace = ~size_t{0};

  bool staged() const { return policy->staging != config::Staging::enforced; }
  bool judges(Direction direction, Part part) const;
  bool is_of(Part part) const;
};

class Policies {
 public:
  // Findings: tiers that do not exist, selectors that do not parse.
  void update(const config::Model& model, const LabelIndex& index, config::Findings& findings);

  const std::vector<RankedPolicy*>& in_order() const { return in_order_; }

 private:
  void rank_tiers(const config::Model& model);
  void order(bool anew);
  void add(const Shared<config::Policy>& policy, const LabelIndex& index,
           config::Findings& findings);
  const TierRank& tier_of(const config::Policy& policy, config::Findings& findings);

  std::map<std::string, TierRank, std::less<>> tiers_, unknown_tiers_;
  std::vector<RankedPolicy*> in_order_;
  Memo<config::Policy, RankedPolicy> policies_;
  Memo<config::KubernetesPolicy, Shared<config::Policy>> of_kubernetes_;
  Memo<config::ClusterPolicy, Shared<config::Policy>> of_cluster_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_POLICIES_H_
