// SPDX-License-Identifier: Apache-2.0
// The distinct label sets of the cluster, and which of them a selector holds for.
//
// Thousands of pods carry few different label sets; a selector is evaluated once per set, and
// only for the sets that have the rarest label it requires (`k == 'v'`, `k in {..}`, `has(k)`).
// It only grows: a set that nobody carries any more keeps its id.
// Written and read by one compilation at a time.
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

// Which label sets a selector holds for; see LabelIndex::update.
struct Matching {
  Selector selector;
  std::vector<LabelsId> ids;  // ascending
  size_t asked = 0;           // of the first so many label sets
};

class LabelIndex {
 public:
  // The id of `labels`, given now if they are new; ids count from 0.
  LabelsId add(const config::Labels& labels);
  size_t size() const { return by_id_.size(); }
  const config::Labels& labels(LabelsId id) const { return *by_id_[id]; }

  // The ids of all label sets for which the selector holds, ascending.  Cost: one evaluation
  // for each set that has the selector's rarest required label.
  std::vector<LabelsId> matching(const Selector& selector) const;
  // Asks the selector about the label sets that came since it was asked last.
  void update(Matching& matching) const;

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
