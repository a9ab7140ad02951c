// SPDX-License-Identifier: Apache-2.0
// What files held when they were read, so that a reload reads only those that changed.
//
// A file is the same as long as device, inode, size and both times are; one that changed within
// two seconds before it was read could change again unseen, and is read again.  Written and
// read by load() on one thread at a time; holds what the last load used.
#ifndef SLUICE_CONFIG_READ_FILES_H_
#define SLUICE_CONFIG_READ_FILES_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/resources.h"

namespace sluice::config {

class ReadFiles {
 public:
  // Begins a load: what the one before did not ask for is forgotten.
  void begin();
  // What the file held when it was read, or nullptr if it must be read.
  std::shared_ptr<const FileContent> find(const std::string& path);
  // REQUIRES: find() was called for the path before it was read.
  void keep(const std::string& path, std::shared_ptr<const FileContent> content);
  // The file's index in the names of all files of all loads, which only grow.
  uint32_t index_of(const std::string& path);
  const std::vector<std::string>& names() const { return names_; }

  size_t read() const { return read_; }  // files, in this load

 private:
  // Device, inode, size, time of modification and of change; each time in two.
  using State = std::array<int64_t, 7>;
  struct File {
    State state{};
    bool settled = false;
    std::shared_ptr<const FileContent> content;
  };
  static std::optional<File> look(const std::string& path);

  std::map<std::string, File> before_, now_;
  std::map<std::string, uint32_t> indices_;
  std::vector<std::string> names_;
  size_t read_ = 0;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_READ_FILES_H_
