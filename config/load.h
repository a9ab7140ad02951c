// SPDX-License-Identifier: Apache-2.0
// Text to Model: reads sluice.yaml and resource files (YAML, JSON, multi-document, v1 List).
//
// Every file is opened once and read whole (at most 64 MiB); a file whose size or mtime changes
// while it is read is refused, and so is one that needs more memory than there is.  All
// findings are collected, none stops the reading of other objects.  Unknown kinds are notes, or
// warnings if they could decide a verdict; unknown fields are warnings with the nearest known
// field (errors under `strict`); in sluice.yaml an unknown key is an error.  Duplicate keys,
// alias bombs (10 000 nodes more than are written), nesting over 32 and the same object twice
// are errors.  Safe to call from any thread; state is kept between calls in LoadOptions::known
// alone.
#ifndef SLUICE_CONFIG_LOAD_H_
#define SLUICE_CONFIG_LOAD_H_

#include <string>
#include <string_view>
#include <vector>

#include "config/files.h"
#include "config/findings.h"
#include "config/model.h"

namespace sluice::config {

struct Loaded {
  Model model;
  Findings findings;
  bool ok() const { return !findings.has_errors(); }
};

class ReadFiles;

struct LoadOptions {
  bool strict = false;
  Trust trust = Trust::anybody;  // whose files
  // Files that were read before, which need not be read again; of loads that are alike strict
  // and trust alike.
  ReadFiles* known = nullptr;
};

// Reads the settings file and every resource it names (directories in lexical order,
// recursively; hidden files, editor and package-manager leftovers skipped; *.yaml *.yml *.json;
// *.test.yaml skipped; Kubernetes' ..data symlink understood).
Loaded load(const std::string& settings_file, const LoadOptions& options = {});

// Reads resource files or directories alone, for `check -f`; "-" is standard input.  The
// model's settings stay at their defaults.
Loaded load_resources(const std::vector<std::string>& paths, const LoadOptions& options = {});

// Reads resources from memory, as if from a file of that name.  For tests and fuzzing.
Loaded load_text(std::string_view text, const std::string& file_name,
                 const LoadOptions& options = {});
// Reads the text of a sluice.yaml alone; `resources` is not followed.
Loaded load_settings_text(std::string_view text, const std::string& file_name,
                          const LoadOptions& options = {});

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_LOAD_H_
