// SPDX-License-Identifier: Apache-2.0
// `sluicectl detach`: what a sluiced that has ended left in the kernel is let go: pinned XDP
// programs (path.onExit: drop), the host port and its rule.  Refused while a daemon answers.
#ifndef SLUICE_CONTROL_CLI_DETACH_H_
#define SLUICE_CONTROL_CLI_DETACH_H_

#include <string>

#include "control/cli_live.h"

namespace sluice::control::cli {

// `config` names a sluice.yaml whose control.socket and control.state are used, or is empty.
int detach(const Daemon& daemon, const std::string& config);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_DETACH_H_
