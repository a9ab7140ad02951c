// SPDX-License-Identifier: Apache-2.0
// Which packets a rule can take at all, told from the rule alone.
//
// Pure functions of compiled rules; both err on the side of silence: what they do not see is
// taken for possible.  Used by lint.
#ifndef SLUICE_CONTROL_RULE_COVER_H_
#define SLUICE_CONTROL_RULE_COVER_H_

#include <string>

#include "classifier/rule.h"

namespace sluice::control {

// Why no packet can match `rule`; "" if some may.  Sets are taken as they are: one without
// members is not a contradiction.
std::string contradiction(const RuleSet& rules, const Rule& rule);

// Does `first` match everything that `second` matches?
bool covers(const Rule& first, const Rule& second);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_RULE_COVER_H_
