// SPDX-License-Identifier: Apache-2.0
// The files that hold resources: which they are, and reading one whole.
//
// A file is opened once, without waiting (a FIFO would block for ever), must be a regular file
// of at most 64 MiB, and is refused as half-written if its size or time of change is another
// after the reading.  What cannot be read is said, never skipped.  What decides who may talk to
// whom (Trust::owner: whatever sluiced runs by) must be root's or the reader's own, and nobody
// else may write it.
// Called by config/load; keeps no state.  Source: reliability 8, 9.
#ifndef SLUICE_CONFIG_FILES_H_
#define SLUICE_CONFIG_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::config {

inline constexpr size_t kMaxFile = size_t{64} << 20;

struct Complaint {
  std::string file;
  std::string message;  // "cannot be read: Permission denied"
  std::string hint;
};

// Whose files are read.
enum class Trust : uint8_t { anybody, owner };

// The text of a file; "-" is standard input.  Otherwise `complaint` says why not.
std::optional<std::string> read_whole(const std::string& path, Complaint& complaint,
                                      Trust trust = Trust::anybody);

// Which files of a directory: resources (*.yaml, *.yml, *.json), or policy tests (*.test.yaml).
enum class Wanted : uint8_t { resources, tests };

bool is_test_file(const std::string& path);

// The wanted files under a directory, in lexical order, through its subdirectories, but no
// hidden names (such as Kubernetes' ..data, to which the links beside it lead).  Unreadable
// directories, links that lead nowhere and directories reached twice are complaints.
std::vector<std::string> list_files(const std::string& directory,
                                    std::vector<Complaint>& complaints,
                                    Wanted wanted = Wanted::resources);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_FILES_H_
