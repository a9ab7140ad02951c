// SPDX-License-Identifier: Apache-2.0
// The distinct label sets of the cluster, and which of them a selector holds for.
//
// Thousands of pods carry few different label sets; a selector is evaluated once per set, and
// only for the sets that have the rarest label it requires (`k == 'v'`, `k in {..}`, `has(k)`).
// Filled, then read, by one compile() on one thread.
#ifndef SLUICE_CONTROL_LABELS_H_
#define SLUICE_CONTROL_LABELS_H_

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "control/selector.h"

namespace sluice::control {

using LabelsId = uint32_t;

class LabelIndex {
 public:
  // The id of `labels`, given now if they are new; ids count from 0.
  LabelsId add(const config::Labels& labels);
  size_t size() const { return by_id_.size(); }

  // The ids of all label sets for which the selector holds, ascending.  Cost: one evaluation
  // for each set that has the selector's rarest required label.
  std::vector<LabelsId> matching(const Selector& selector) const;

 private:
  struct Key {
    std::vector<LabelsId> all;
    std::unordered_map<std::string, std::vector<LabelsId>> by_value;
  };
  static std::vector<LabelsId> holders_of(const Key& key, const Selector::Term& term);
  std::vector<LabelsId> candidates(const Selector& selector) const;

  std::map<config::Labels, LabelsId> ids_;
  std::vector<const config::Labels*> by_id_;
  std::unordered_map<std::string, Key> keys_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_LABELS_H_
