// SPDX-License-Identifier: Apache-2.0
#include "control/labels.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace sluice::control {

LabelsId LabelIndex::add(const config::Labels& labels) {
  const auto [known, is_new] = ids_.try_emplace(labels, static_cast<LabelsId>(by_id_.size()));
  const LabelsId id = known->second;
  if (is_new) {
    by_id_.push_back(&known->first);
    for (const auto& [key, value] : labels) {
      Key& entry = keys_[key];
      entry.all.push_back(id);
      entry.by_value[value].push_back(id);
    }
  }
  return id;
}

std::vector<LabelsId> LabelIndex::holders_of(const Key& key, const Selector::Term& term) {
  if (!term.values) {
    return key.all;
  }
  std::vector<LabelsId> out;
  for (const std::string& value : *term.values) {
    if (const auto of = key.by_value.find(value); of != key.by_value.end()) {
      out.insert(out.end(), of->second.begin(), of->second.end());
    }
  }
  return out;
}

std::vector<LabelsId> LabelIndex::candidates(const Selector& selector) const {
  std::optional<std::vector<LabelsId>> fewest;
  for (const Selector::Term& term : selector.required_terms()) {
    const auto key = keys_.find(term.key);
    if (key == keys_.end()) {
      return {};
    }
    std::vector<LabelsId> holders = holders_of(key->second, term);
    if (!fewest || holders.size() < fewest->size()) {
      fewest = std::move(holders);
    }
  }
  if (!fewest) {
    fewest.emplace(by_id_.size());
    std::iota(fewest->begin(), fewest->end(), LabelsId{0});
  }
  return *std::move(fewest);
}

void LabelIndex::update(Matching& matching) const {
  if (matching.asked == 0) {
    matching.ids = this->matching(matching.selector);
  } else {
    for (size_t id = matching.asked; id < by_id_.size(); ++id) {
      if (matching.selector.matches(*by_id_[id])) {
        matching.ids.push_back(static_cast<LabelsId>(id));
      }
    }
  }
  matching.asked = by_id_.size();
}

std::vector<LabelsId> LabelIndex::matching(const Selector& selector) const {
  std::vector<LabelsId> ids = candidates(selector);
  std::erase_if(ids, [&](LabelsId id) { return !selector.matches(*by_id_[id]); });
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace sluice::control
