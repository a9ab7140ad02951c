// SPDX-License-Identifier: Apache-2.0
// What a test says of a load's findings: the first that is an error (or warning), as a user
// sees it, in one line: "t.yaml:3:5: error: ... | hint: ...".
#ifndef SLUICE_TESTS_CONFIG_FINDINGS_OF_H_
#define SLUICE_TESTS_CONFIG_FINDINGS_OF_H_

#include <string>
#include <vector>

#include "config/load.h"

namespace sluice::config {

inline constexpr const char* kTestFile = "t.yaml";

// One line per finding, in the order in which a user reads them.
inline std::vector<std::string> lines_of(const Loaded& loaded) {
  std::vector<std::string> lines;
  const std::string text = loaded.findings.format(loaded.model.files);
  for (size_t start = 0; start < text.size();) {
    const size_t end = text.find('\n', start);
    const std::string line = text.substr(start, end - start);
    if (line.starts_with("  hint: ")) {
      lines.back() += " | " + line.substr(2);
    } else {
      lines.push_back(line);
    }
    start = end + 1;
  }
  return lines;
}

inline std::string all_of(const Loaded& loaded) {
  return loaded.findings.format(loaded.model.files);
}

}  // namespace sluice::config

#endif  // SLUICE_TESTS_CONFIG_FINDINGS_OF_H_
