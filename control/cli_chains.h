// SPDX-License-Identifier: Apache-2.0
// The verb chains: the policies of this node in the form of Calico's iptables listing.
//
// No root and no DPDK; a daemon only for its counters.  Returns the exit code.
#ifndef SLUICE_CONTROL_CLI_CHAINS_H_
#define SLUICE_CONTROL_CLI_CHAINS_H_

#include <string>

#include "control/cli_live.h"

namespace sluice::control::cli {

struct ChainsArguments {
  std::string config;
  std::string name;   // only this chain; "" for all
  bool live = false;  // counters of the daemon; zero otherwise
};
// kYes, kNo if there is no chain of that name, kBadInput, kUnreachable.
int chains(const ChainsArguments& arguments, const Daemon& daemon);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_CHAINS_H_
