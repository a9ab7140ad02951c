// SPDX-License-Identifier: Apache-2.0
// Text to YAML documents, refusing what would be read otherwise than it was meant.
//
// yaml-cpp 0.7 accepts duplicate keys, a quoted scalar that the end of the file cuts off,
// explicit tags, merge keys (as a field called "<<") and UTF-16, and it shares aliased nodes,
// which grow when they are walked.  All of that is a finding here, placed at its line and
// column, and the text has no documents then. Bounds: nesting 32; through aliases a file has at
// most 10 000 nodes more than are written in it. Called by config, one text at a time (a file,
// or a piece of one); keeps no state.
#ifndef SLUICE_CONFIG_DOCUMENTS_H_
#define SLUICE_CONFIG_DOCUMENTS_H_

#include <string_view>
#include <vector>

#include "config/yaml.h"

namespace sluice::config {

// The text behind its byte order mark, if it has one.
std::string_view without_mark(std::string_view text);

// Where a text can be cut: each piece is read as if it stood alone.
struct Piece {
  std::string_view text;
  int line = 0;  // of the whole text, in which it begins; 0-based
};
// Cut at each line "---", but not behind what belongs to the document that follows: comments
// and %directives.
std::vector<Piece> pieces_of(std::string_view text);

inline constexpr size_t kMaxAliased = 10000;

// The documents of source.text, without the empty ones.  `aliased` is how many nodes more than
// are written its aliases may reach; those that they did reach are taken off.
std::vector<Value> parse_documents(const Source& source, size_t& aliased);
// Of a whole file.
std::vector<Value> parse_documents(const Source& source);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_DOCUMENTS_H_
