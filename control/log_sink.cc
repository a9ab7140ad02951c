// SPDX-License-Identifier: Apache-2.0
#include "control/log_sink.h"

#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::control {

LogSink::LogSink(int fd) : fd_(fd) {
  struct stat about {};
  if (fstat(fd, &about) != 0) {
    return;
  }
  socket_ = S_ISSOCK(about.st_mode);
  if (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode)) {
    const std::string again = "/proc/self/fd/" + std::to_string(fd);
    own_fd_ = open(again.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    fd_ = own_fd_ >= 0 ? own_fd_ : fd;
  }
}

LogSink::~LogSink() {
  if (own_fd_ >= 0) {
    close(own_fd_);
  }
}

bool LogSink::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = socket_ ? send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                              : ::write(fd_, text.data(), text.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    cut_ = static_cast<size_t>(n) < text.size();
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  std::string text = cut_ ? "\n" : "";
  if (unsaid_ > 0) {
    text += "(" + std::to_string(unsaid_) + " log lines before this one are lost)\n";
  }
  text.append(line.data(), line.size());
  if (write(text)) {
    unsaid_ = 0;
  } else {
    ++unsaid_;
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace sluice::control
