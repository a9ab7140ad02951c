// SPDX-License-Identifier: Apache-2.0
// Runs the cases of a *.test.yaml: what policy says of each flow, beside what was expected.
//
// Pure; no daemon, no root.  The format is described in config/policy_cases.h.
#ifndef SLUICE_CONTROL_POLICY_TEST_H_
#define SLUICE_CONTROL_POLICY_TEST_H_

#include <string>
#include <vector>

#include "config/policy_cases.h"
#include "control/cluster.h"

namespace sluice::control {

struct CaseResult {
  config::Where where;  // of the case
  std::string text;     // "shop/web -> shop/db tcp/5432", after the case's name if it has one
  bool passed = false;
  std::string message;  // where it failed: "expected allow, got deny by ... (FILE:LINE:COL)"
};

// One result a case, in order.  A case that makes no sense (an endpoint that nobody knows, two
// IP versions, no endpoint at all) is an error in `findings`, and has no result.
std::vector<CaseResult> run_cases(const Cluster& cluster,
                                  const std::vector<config::PolicyCase>& cases,
                                  const std::vector<std::string>& files,
                                  config::Findings& findings);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_POLICY_TEST_H_
