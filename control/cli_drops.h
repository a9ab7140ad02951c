// SPDX-License-Identifier: Apache-2.0
// `sluicectl drops`: what the daemon drops, counted, or as it happens.
//
// --watch asks for what is new ten times a second until INT or TERM comes.  The daemon samples:
// 100 drops a second and reason (reliability rules, section 9).
#ifndef SLUICE_CONTROL_CLI_DROPS_H_
#define SLUICE_CONTROL_CLI_DROPS_H_

#include <string>

#include "control/cli_live.h"

namespace sluice::control::cli {

struct DropsArguments {
  bool watch = false;
  std::string reason;  // only this one; empty: all
  std::string port;    // likewise, where the frames came in
};

// Ends with kYes when it is told to stop, kUnreachable when the daemon has gone.
int drops(const DropsArguments& arguments, const Daemon& daemon);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_DROPS_H_
