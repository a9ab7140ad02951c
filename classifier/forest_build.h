// SPDX-License-Identifier: Apache-2.0
// Builds the trees of a forest: groups of rules, their roots, nodes down to blocks of four.
//
// Rules are first parted by which of their addresses are specific (at least ten prefix bits);
// without that, wildcards would be copied all over.  Each part becomes one or more trees: what
// is wild in too many of the bits that a root chose goes to the part's next tree.
// Runs on control's thread, once per forest.
#ifndef SLUICE_CLASSIFIER_FOREST_BUILD_H_
#define SLUICE_CLASSIFIER_FOREST_BUILD_H_

#include <memory>
#include <span>

#include "classifier/forest.h"
#include "classifier/forest_layout.h"

namespace sluice::forest {

// Null if it would take more than `max_bytes`.
// REQUIRES: rules are valid (lengths, ranges) and at most Forest::kMaxRules.
std::unique_ptr<Trees> build_trees(std::span<const FiveTupleRule> rules, size_t max_bytes);

}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_BUILD_H_
