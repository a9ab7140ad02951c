// SPDX-License-Identifier: Apache-2.0
#include "config/read_files.h"

#include <ctime>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace sluice::config {
namespace {

// More than the coarsest clock that a file system stamps its files with.
constexpr int64_t kSettle = 2;  // seconds

}  // namespace

void ReadFiles::begin() {
  ++load_;
  asked_ = 0;
  read_ = 0;
}

void ReadFiles::forget_others() {
  if (asked_ < files_.size()) {
    std::erase_if(files_, [this](const auto& file) { return file.second.load != load_; });
  }
}

std::optional<ReadFiles::Look> ReadFiles::look(const std::string& path) {
  struct statx s {};
  timespec now{};
  // Network file systems look at the server then.
  constexpr int kAtTheSource = AT_STATX_FORCE_SYNC;
  if (path == "-" || statx(AT_FDCWD, path.c_str(), kAtTheSource, STATX_BASIC_STATS, &s) != 0 ||
      clock_gettime(CLOCK_REALTIME, &now) != 0) {
    return std::nullopt;
  }
  Look out;
  out.state = {s.stx_dev_major,
               s.stx_dev_minor,
               static_cast<int64_t>(s.stx_ino),
               static_cast<int64_t>(s.stx_size),
               s.stx_mtime.tv_sec,
               s.stx_mtime.tv_nsec,
               s.stx_ctime.tv_sec,
               s.stx_ctime.tv_nsec};
  out.settled =
      std::pair(int64_t{s.stx_ctime.tv_sec} + kSettle, int64_t{s.stx_ctime.tv_nsec}) <=
      std::pair(int64_t{now.tv_sec}, int64_t{now.tv_nsec});
  return out;
}

ReadFiles::Content ReadFiles::find(const std::string& path) {
  File& file = files_[path];
  const auto now = file.load == load_ ? std::nullopt : look(path);
  if (!now) {
    return nullptr;
  }
  file.load = load_;
  ++asked_;
  if (file.known && file.at.settled && file.at.state == now->state) {
    return file.content;
  }
  file.at = *now;
  file.known = false;
  return nullptr;
}

ReadFiles::Content ReadFiles::before(const std::string& path) const {
  const auto file = files_.find(path);
  return file == files_.end() ? nullptr : file->second.content;
}

void ReadFiles::keep(const std::string& path, Content content) {
  ++read_;
  File& file = files_[path];
  if (file.load != load_) {
    return;
  }
  const auto after = look(path);  // another may have taken its place before it was read
  file.known = after && after->state == file.at.state;
  file.content = std::move(content);
}

uint32_t ReadFiles::index_of(const std::string& path) {
  const auto [it, fresh] = indices_.try_emplace(path, static_cast<uint32_t>(names_.size()));
  if (fresh) {
    names_.push_back(path);
  }
  return it->second;
}

}  // namespace sluice::config
