// SPDX-License-Identifier: Apache-2.0
// The verbs of sluicectl that try policies out on all endpoints of the files: test and diff.
//
// No root, no DPDK; a daemon only for diff --live.  Each returns the exit code.
#ifndef SLUICE_CONTROL_CLI_POLICIES_H_
#define SLUICE_CONTROL_CLI_POLICIES_H_

#include <string>
#include <vector>

#include "control/cli_live.h"
#include "control/cli_output.h"

namespace sluice::control::cli {

struct TestArguments {
  std::vector<std::string> paths;  // *.test.yaml, directories of them, and resources
  std::string junit;               // a file to write, or ""
};
// kYes if all cases pass, kNo if one fails, kBadInput for errors or no cases.
int test(const TestArguments& arguments, Output output);

struct DiffArguments {
  std::vector<std::string> paths;  // OLD, NEW
  std::vector<std::string> with;   // resources of both sides
  std::string namespace_name;
  bool live = false;
};
// kYes if no flow changes, kNo if one does, kBadInput for errors.
int diff(const DiffArguments& arguments, const Daemon& daemon);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_POLICIES_H_
