// SPDX-License-Identifier: Apache-2.0
// Where sluiced's log lines go: standard error, without ever waiting for its reader.
//
// A line that a full pipe, a journal that does not read or a full disk does not take is dropped
// and counted; the first line after it says how many are missing.  A pipe or terminal is opened
// a second time, without waiting, since O_NONBLOCK on standard error itself would hold for
// everybody who shares it; a socket is sent to without waiting; a file is written.
// Any thread may log (spdlog locks the sink); dropped() may be read without the lock.
// Source: reliability 8 (log disk full, log pipe blocked).
#ifndef SLUICE_CONTROL_LOG_SINK_H_
#define SLUICE_CONTROL_LOG_SINK_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>

#include <spdlog/sinks/base_sink.h>

namespace sluice::control {

class LogSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Writes to what `fd` is, which stays its owner's.
  explicit LogSink(int fd);
  ~LogSink() override;
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

 private:
  // True if all of `text` was taken.
  bool write(std::string_view text);

  int fd_;
  int own_fd_ = -1;  // the second opening, if there is one
  bool socket_ = false;
  bool cut_ = false;  // the last line was taken in part
  uint64_t unsaid_ = 0;
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_LOG_SINK_H_
