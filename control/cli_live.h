// SPDX-License-Identifier: Apache-2.0
// The verbs of sluicectl that ask the daemon: status, get, stats, reload, version.
//
// Each sends one request to the control socket, prints the answer and returns the exit code.
#ifndef SLUICE_CONTROL_CLI_LIVE_H_
#define SLUICE_CONTROL_CLI_LIVE_H_

#include <chrono>
#include <optional>
#include <string>

#include "classifier/result.h"
#include "control/cli_output.h"

namespace sluice::control::cli {

inline constexpr std::chrono::seconds kAnswerTime{10};  // of most verbs

struct Daemon {
  std::string socket;
  Output output = Output::table;
  bool wide = false;  // of tables: lists of names in full
};

// The `result` of an answer; otherwise prints why there is none and sets `exit`.
std::optional<nlohmann::json> result_of(const Result<nlohmann::json>& answer, int& exit);
// The same, of a request without arguments.
std::optional<nlohmann::json> ask(const Daemon& daemon, const std::string& verb,
                                  std::chrono::seconds patience, int& exit);

int status(const Daemon& daemon);
// `what` is endpoints, policies, programs, routes or connections; rows that `name` does not
// name are left out, and none left is a negative answer.
int get(const Daemon& daemon, const std::string& what, const std::string& name);
// `what` is ports, drops, rules, reloads, or empty for all.
int stats(const Daemon& daemon, const std::string& what);
int reload(const Daemon& daemon);
// Ours, and the daemon's if one answers; kYes either way.
int version(const Daemon& daemon);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_LIVE_H_
