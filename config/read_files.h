// SPDX-License-Identifier: Apache-2.0
// What files held when they were read, so that a reload reads only those that changed.
//
// A file is the same as long as device, inode, size and both times are; one that changed within
// two seconds before it was read could change again unseen, and is read again.  Written and
// read by load() on one thread at a time; holds what the last load without an error used, and
// those after it.
#ifndef SLUICE_CONFIG_READ_FILES_H_
#define SLUICE_CONFIG_READ_FILES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/identities.h"
#include "config/resource_file.h"

namespace sluice::config {

class ReadFiles {
 public:
  using Content = std::shared_ptr<const ResourceFile>;

  void begin();  // a load
  // Those that this load did not ask for.
  void forget_others();
  // What the file held when it was read, or nullptr if it must be read, or was asked for
  // already.
  Content find(const std::string& path);
  // What it held when it was read last, whatever became of it; or nullptr.
  Content before(const std::string& path) const;
  // REQUIRES: find() was called for the path before it was read.
  void keep(const std::string& path, Content content);
  // The file's index in the names of all files of all loads, which only grow.
  uint32_t index_of(const std::string& path);
  const std::vector<std::string>& names() const { return names_; }

  size_t read() const { return read_; }  // files, in this load
  Identities& identities() { return identities_; }

 private:
  // Device and each time in two: device, inode, size, time of modification and of change.
  using State = std::array<int64_t, 8>;
  struct Look {
    State state{};
    bool settled = false;
  };
  struct File {
    uint64_t load = 0;  // that asked for it last
    Look at;
    bool known = false;  // `content` is what it held then
    Content content;     // when it was read last
  };
  static std::optional<Look> look(const std::string& path);

  std::unordered_map<std::string, File> files_;
  uint64_t load_ = 0;
  size_t asked_ = 0;  // files, in this load
  Identities identities_;
  std::unordered_map<std::string, uint32_t> indices_;
  std::vector<std::string> names_;
  size_t read_ = 0;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_READ_FILES_H_
