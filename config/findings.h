// SPDX-License-Identifier: Apache-2.0
// What is wrong, or doubtful, with the user's files: all of it at once, each with its place.
//
// Written by config (syntax, fields, values) and by control (selectors, references); printed by
// sluiced and sluicectl as FILE:LINE:COL: message, then at most one `hint:` line.
#ifndef SLUICE_CONFIG_FINDINGS_H_
#define SLUICE_CONFIG_FINDINGS_H_

#include <string>
#include <vector>

#include "config/model.h"

namespace sluice::config {

enum class Severity : uint8_t { error, warning, note };

struct Finding {
  Severity severity = Severity::error;
  Where where;
  std::string message;
  std::string hint;  // empty, or one line that says how to mend it
};

class Findings {
 public:
  void error(Where where, std::string message, std::string hint = {});
  void warning(Where where, std::string message, std::string hint = {});
  void note(Where where, std::string message, std::string hint = {});

  void add(const Findings& more);

  bool has_errors() const { return has_errors_; }
  const std::vector<Finding>& all() const { return all_; }

  // Sorted by file, line and column: "FILE:LINE:COL: error: message\n  hint: ...\n" for each.
  // Names the file alone where no line is known.
  std::string format(const std::vector<std::string>& files) const;

 private:
  std::vector<Finding> all_;
  bool has_errors_ = false;
};

// The candidate closest to `word` by edit distance, or "" if none is near.
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_FINDINGS_H_
