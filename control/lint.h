// SPDX-License-Identifier: Apache-2.0
// What is legal and yet surprises people: policies that only log, selectors that match nothing,
// rules that can never match, rules that nobody runs, missing profiles, the fate of transit.
//
// Run by `check` alone, on a model that loads and compiles: a running cluster has such states
// for good reasons, so the daemon does not speak of them.  Every finding is a warning, or a
// note about a default, with its place and a hint.  Pure.  Cost: linear in rules, but for the
// search of a rule that hides another, which is quadratic in the rules of one policy. Source:
// Calico semantics, section 10.
#ifndef SLUICE_CONTROL_LINT_H_
#define SLUICE_CONTROL_LINT_H_

#include "config/findings.h"
#include "config/model.h"

namespace sluice::control {

// `model.settings` count only if a node is named: without, all endpoints are looked at alike.
void lint(const config::Model& model, config::Findings& findings);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_LINT_H_
