// SPDX-License-Identifier: Apache-2.0
#include "config/read_files.h"

#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::config {
namespace {

// More than the coarsest clock that a file system stamps its files with.
constexpr int64_t kSettle = 2;  // seconds

}  // namespace

void ReadFiles::begin() {
  before_ = std::move(now_);
  now_.clear();
  read_ = 0;
}

std::optional<ReadFiles::File> ReadFiles::look(const std::string& path) {
  // Opened, not asked by name: network file systems look at the server then.
  const int fd = path == "-" ? -1 : open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  struct stat s {};
  timespec now{};
  const bool known = fd >= 0 && fstat(fd, &s) == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0;
  if (fd >= 0) {
    close(fd);
  }
  if (!known) {
    return std::nullopt;
  }
  File out;
  out.state = {static_cast<int64_t>(s.st_dev),
               static_cast<int64_t>(s.st_ino),
               s.st_size,
               s.st_mtim.tv_sec,
               s.st_mtim.tv_nsec,
               s.st_ctim.tv_sec,
               s.st_ctim.tv_nsec};
  const timespec& changed = s.st_ctim;
  out.settled = std::pair(changed.tv_sec + kSettle, changed.tv_nsec) <=
                std::pair(now.tv_sec, now.tv_nsec);
  return out;
}

std::shared_ptr<const FileContent> ReadFiles::find(const std::string& path) {
  auto file = look(path);
  if (!file) {
    return nullptr;
  }
  const auto known = before_.find(path);
  if (known != before_.end() && known->second.settled && known->second.state == file->state) {
    file->content = known->second.content;
  }
  return (now_[path] = std::move(*file)).content;
}

void ReadFiles::keep(const std::string& path, std::shared_ptr<const FileContent> content) {
  ++read_;
  const auto file = now_.find(path);
  if (file == now_.end()) {
    return;
  }
  const auto after = look(path);  // another may have taken its place before it was read
  file->second.settled = file->second.settled && after && after->state == file->second.state;
  file->second.content = std::move(content);
}

uint32_t ReadFiles::index_of(const std::string& path) {
  const auto [it, fresh] = indices_.try_emplace(path, static_cast<uint32_t>(names_.size()));
  if (fresh) {
    names_.push_back(path);
  }
  return it->second;
}

}  // namespace sluice::config
