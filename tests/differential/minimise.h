// SPDX-License-Identifier: Apache-2.0
// Makes a failing cluster small: leaves out objects, rules, fields and list entries one by one
// for as long as it still fails.
#ifndef SLUICE_TESTS_DIFFERENTIAL_MINIMISE_H_
#define SLUICE_TESTS_DIFFERENTIAL_MINIMISE_H_

#include <functional>

#include "tests/differential/cluster.h"

namespace sluice::differential {

// REQUIRES: fails(cluster).  The result fails, and fails no more with any one thing left out.
Cluster minimise(Cluster cluster, const std::function<bool(const Cluster&)>& fails);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_MINIMISE_H_
