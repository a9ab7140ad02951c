// SPDX-License-Identifier: Apache-2.0
// The verbs of sluicectl that need no daemon, no root and no DPDK: check, explain, selector.
//
// Each returns the exit code; verdicts and facts go to stdout, complaints to stderr.
#ifndef SLUICE_CONTROL_CLI_OFFLINE_H_
#define SLUICE_CONTROL_CLI_OFFLINE_H_

#include <string>
#include <vector>

#include "control/cli_output.h"

namespace sluice::control::cli {

struct CheckArguments {
  std::vector<std::string> paths;  // resources alone; or
  std::string config;              // a sluice.yaml and what it names
  bool strict = false;             // warnings are a negative answer, unknown fields errors
};
// kYes, kNo for warnings under `strict`, kBadInput for errors.
int check(const CheckArguments& arguments, Output output);

struct ExplainArguments {
  std::string config;
  std::string packets;             // a file of JSON lines, "-" for stdin; or
  std::vector<std::string> words;  // FROM TO PROTO/PORT
};
// With `packets`: one answer a line; kYes whatever the verdicts, kBadInput if a line made no
// sense.  With `words`: kYes for allow, kNo otherwise.
int explain(const ExplainArguments& arguments, Output output);

// `labels`: "k=v,k2=v2".  kYes if they match, kNo if not, kBadInput if either does not parse.
int selector(const std::string& expression, const std::string& labels, Output output);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_OFFLINE_H_
