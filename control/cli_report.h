// SPDX-License-Identifier: Apache-2.0
// `sluicectl report`: which rules do nothing.
//
// unused asks the daemon, which looks at the rules' counters every ten seconds; shadowed reads
// files, and needs none.
#ifndef SLUICE_CONTROL_CLI_REPORT_H_
#define SLUICE_CONTROL_CLI_REPORT_H_

#include <string>
#include <vector>

#include "control/cli_live.h"

namespace sluice::control::cli {

struct ReportArguments {
  std::string since;               // a time or duration; "": since the rules are counted
  std::string config;              // of shadowed: a settings file; or
  std::vector<std::string> paths;  // resources alone, of all nodes
};

// kYes if every rule was used, kNo if some were not, kBadInput, kUnreachable.
int report_unused(const ReportArguments& arguments, const Daemon& daemon);

// kYes if no rule is shadowed, kNo if some are, kBadInput.
int report_shadowed(const ReportArguments& arguments, Output output);

// How many seconds before `now` is "7d", "1h30m", "90s", "2026-11-21" or
// "2026-11-21T10:00:00Z"?
Result<uint64_t> seconds_since(const std::string& text, std::time_t now);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_REPORT_H_
