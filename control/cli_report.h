// SPDX-License-Identifier: Apache-2.0
// `sluicectl report`: which rules do nothing.
//
// unused asks the daemon, which looks at the rules' counters every ten seconds.
#ifndef SLUICE_CONTROL_CLI_REPORT_H_
#define SLUICE_CONTROL_CLI_REPORT_H_

#include <string>

#include "control/cli_live.h"

namespace sluice::control::cli {

struct ReportArguments {
  std::string since;  // a time or duration; "": since the rules are counted
};

// kYes if every rule was used, kNo if some were not, kBadInput, kUnreachable.
int report_unused(const ReportArguments& arguments, const Daemon& daemon);

// How many seconds before `now` is "7d", "1h30m", "90s", "2026-11-21" or
// "2026-11-21T10:00:00Z"?
Result<uint64_t> seconds_since(const std::string& text, std::time_t now);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_REPORT_H_
