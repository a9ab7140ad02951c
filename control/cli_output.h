// SPDX-License-Identifier: Apache-2.0
// How sluicectl speaks: exit codes, errors on stderr, tables or JSON on stdout.
//
// Tables are for people and may change; JSON is stable.  No colour.
#ifndef SLUICE_CONTROL_CLI_OUTPUT_H_
#define SLUICE_CONTROL_CLI_OUTPUT_H_

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace sluice::control::cli {

enum Exit : int {
  kYes = 0,          // done, allowed, matches
  kNo = 1,           // a negative answer
  kBadInput = 2,     // usage or input
  kUnreachable = 3,  // no daemon
  kRefused = 4,      // the daemon refused, or rolled back
};

enum class Output : uint8_t { table, json };

// "sluicectl: WHAT", each line of `what` so marked, then "  hint: HINT" unless that is empty.
void print_error(std::string_view what, std::string_view hint = {});

// `value` on stdout, one line.
void print_json(const nlohmann::json& value);

// The rows (flat objects) as aligned columns under upper-case heads, in the order of `columns`;
// numbers to the right, lists joined by commas, absent values as "-".
void print_table(const nlohmann::json& rows, const std::vector<std::string>& columns);

// A value as a table shows it.
std::string text_of(const nlohmann::json& value);
// Seconds since 1970 as UTC in RFC 3339; "-" for none.
std::string time_text(const nlohmann::json& at);

}  // namespace sluice::control::cli

#endif  // SLUICE_CONTROL_CLI_OUTPUT_H_
