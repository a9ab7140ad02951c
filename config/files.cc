// SPDX-License-Identifier: Apache-2.0
#include "config/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

const std::string kTooLarge = "is larger than 64 MiB";

std::string cannot_be_read(int error) {
  return std::string("cannot be read: ") + std::generic_category().message(error);
}

// Appends what `fd` gives until its end, kMaxFile or an error; errno says which error.
bool read_to_end(int fd, std::string& text) {
  char chunk[1 << 16];
  while (text.size() <= kMaxFile) {
    const ssize_t n = ::read(fd, chunk, sizeof(chunk));
    if (n == 0) {
      return true;
    }
    if (n > 0) {
      text.append(chunk, static_cast<size_t>(n));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool same_state(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode & 07777u);
  return text;
}

// True if nobody but root and we can have written the file; else says who.
bool only_ours(const struct stat& about, Complaint& complaint) {
  if (about.st_uid != 0 && about.st_uid != geteuid()) {
    complaint.message = "belongs to user " + std::to_string(about.st_uid) + ", who is not root";
    complaint.hint = "chown root " + complaint.file;
  } else if ((about.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    complaint.message =
        "can be written by others than its owner: its mode is " + octal(about.st_mode);
    complaint.hint = "chmod go-w " + complaint.file;
  }
  return complaint.message.empty();
}

// Reads an open regular file into `text`; returns the complaint, or "".
std::string read_regular(int fd, std::string& text, Trust trust, Complaint& complaint) {
  struct stat before {};
  struct stat after {};
  if (fstat(fd, &before) != 0) {
    return cannot_be_read(errno);
  }
  if (!S_ISREG(before.st_mode)) {
    return S_ISDIR(before.st_mode) ? "is a directory" : "is not a regular file";
  }
  if (trust == Trust::owner && !only_ours(before, complaint)) {
    return complaint.message;
  }
  if (static_cast<size_t>(before.st_size) > kMaxFile) {
    return kTooLarge;
  }
  if (!read_to_end(fd, text) || fstat(fd, &after) != 0) {
    return cannot_be_read(errno);
  }
  return same_state(before, after) && text.size() == static_cast<size_t>(before.st_size)
             ? ""
             : "changed while it was read";
}

bool is_resource_file(const fs::path& path) {
  const std::string ending = path.extension().string();
  return !is_test_file(path.string()) &&
         (ending == ".yaml" || ending == ".yml" || ending == ".json");
}

class Walk {
 public:
  Walk(std::vector<std::string>& files, std::vector<Complaint>& complaints, Wanted wanted)
      : files_(files), complaints_(complaints), wanted_(wanted) {}

  void directory(const fs::path& path, const struct stat& state) {
    const auto [first, fresh] =
        seen_.emplace(std::pair(state.st_dev, state.st_ino), path.string());
    if (!fresh) {
      complaints_.push_back(
          {path.string(), "is the directory " + first->second + " again", ""});
      return;
    }
    std::vector<std::pair<std::string, bool>> entries;  // names; known to be a regular file?
    std::error_code error;
    fs::directory_iterator it(path, error);
    for (; !error && it != fs::directory_iterator(); it.increment(error)) {
      std::string name = it->path().filename().string();
      if (name[0] != '.') {
        std::error_code unknown;
        const bool regular = !it->is_symlink(unknown) && it->is_regular_file(unknown);
        entries.emplace_back(std::move(name), regular);
      }
    }
    if (error) {
      complaints_.push_back({path.string(), cannot_be_read(error.value()), ""});
    }
    std::sort(entries.begin(), entries.end());
    for (const auto& [name, regular] : entries) {
      entry(path / name, regular);
    }
  }

 private:
  void entry(const fs::path& path, bool regular) {
    struct stat state {};
    if (!regular && stat(path.c_str(), &state) != 0) {
      complaints_.push_back({path.string(), cannot_be_read(errno), ""});
    } else if (!regular && S_ISDIR(state.st_mode)) {
      directory(path, state);
    } else if (wanted_ == Wanted::tests ? is_test_file(path.string())
                                        : is_resource_file(path)) {
      files_.push_back(path.string());
    }
  }

  std::vector<std::string>& files_;
  std::vector<Complaint>& complaints_;
  Wanted wanted_;
  std::map<std::pair<dev_t, ino_t>, std::string> seen_;
};

}  // namespace

std::optional<std::string> read_whole(const std::string& path, Complaint& complaint,
                                      Trust trust) {
  std::string text;
  complaint = {path, "", ""};
  if (path == "-") {
    complaint.message = read_to_end(STDIN_FILENO, text) ? "" : cannot_be_read(errno);
    complaint.message = text.size() > kMaxFile ? kTooLarge : complaint.message;
  } else if (const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
             fd < 0) {
    complaint.message = cannot_be_read(errno);
  } else {
    complaint.message = read_regular(fd, text, trust, complaint);
    close(fd);
  }
  return complaint.message.empty() ? std::optional(std::move(text)) : std::nullopt;
}

bool is_test_file(const std::string& path) {
  return path.ends_with(".test.yaml");
}

std::vector<std::string> list_files(const std::string& directory,
                                    std::vector<Complaint>& complaints, Wanted wanted) {
  std::vector<std::string> files;
  struct stat state {};
  if (stat(directory.c_str(), &state) != 0) {
    complaints.push_back({directory, cannot_be_read(errno), ""});
  } else {
    Walk(files, complaints, wanted).directory(directory, state);
  }
  return files;
}

}  // namespace sluice::config
