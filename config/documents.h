// SPDX-License-Identifier: Apache-2.0
// Text to YAML documents, refusing what would be read otherwise than it was meant.
//
// yaml-cpp 0.7 accepts duplicate keys, a quoted scalar that the end of the file cuts off,
// explicit tags, merge keys (as a field called "<<") and UTF-16, and it shares aliased nodes,
// which grow when they are walked.  All of that is a finding here, placed at its line and
// column, and the file has no documents then. Bounds: nesting 32; through aliases a file has at
// most 10 000 nodes more than are written in it. Called by config/load, one file at a time;
// keeps no state.
#ifndef SLUICE_CONFIG_DOCUMENTS_H_
#define SLUICE_CONFIG_DOCUMENTS_H_

#include <string_view>
#include <vector>

#include "config/yaml.h"

namespace sluice::config {

// The text behind its byte order mark, if it has one.
std::string_view without_mark(std::string_view text);

// The documents of source.text, without the empty ones.
std::vector<Value> parse_documents(const Source& source);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_DOCUMENTS_H_
