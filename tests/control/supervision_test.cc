// SPDX-License-Identifier: Apache-2.0
// What watches over the daemon: stalls, a log that never waits, what it may do.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/log_sink.h"
#include "control/posture.h"
#include "control/stall_watch.h"

namespace sluice::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(StallWatch, WarnsAlarmsAndGivesUpAtItsLimits) {
  StallWatch watch({});
  const struct {
    int at_ms;
    uint64_t progress;
    Pace pace;
  } looks[] = {
      {1000, 7, Pace::advancing},  // the first look knows nothing
      {1900, 7, Pace::advancing}, {2000, 7, Pace::late},      {2500, 7, Pace::late},
      {2600, 8, Pace::advancing}, {3500, 8, Pace::advancing}, {3600, 8, Pace::late},
      {4600, 8, Pace::late},      {5600, 8, Pace::late},      {6600, 8, Pace::late},
      {7500, 8, Pace::late},      {7600, 8, Pace::stalled},   {7700, 9, Pace::advancing},
  };
  for (const auto& look : looks) {
    EXPECT_EQ(watch.look(look.progress, milliseconds(look.at_ms)), look.pace)
        << "at " << look.at_ms << " ms";
  }
}

TEST(StallWatch, IsDeadAfterThirtySecondsAndNotBefore) {
  StallWatch watch({});
  milliseconds now{0};
  watch.look(1, now);
  for (; now < milliseconds(29900); now += milliseconds(100)) {
    ASSERT_NE(watch.look(1, now), Pace::dead) << now.count();
  }
  watch.look(1, now);
  EXPECT_EQ(watch.look(1, now + milliseconds(100)), Pace::dead);
}

TEST(StallWatch, CountsNoMoreThanASecondForATimeInWhichItDidNotLook) {
  StallWatch watch({});
  watch.look(1, seconds(10));
  EXPECT_EQ(watch.look(1, seconds(4000)), Pace::late) << "the process was stopped for an hour";
  EXPECT_EQ(watch.still(), StallWatch::kLongestGap);
  EXPECT_EQ(watch.look(2, seconds(4001)), Pace::advancing);
}

TEST(Watchdog, SaysWhoStoodStillOnceAndThenEnds) {
  std::atomic<uint64_t> running{0};
  std::vector<std::string> said;
  std::promise<void> dead;
  const StallLimits limits{milliseconds(200), milliseconds(500), milliseconds(900)};
  Watchdog watchdog(
      {{"running", [&] { return ++running; }, limits}, {"standing", [] { return 3u; }, limits}},
      [&](const Watchdog::Subject& subject, Pace before, Pace now) {
        said.push_back(subject.name + " " + name(before) + " " + name(now));
        if (now == Pace::dead) {
          dead.set_value();
        }
      });
  ASSERT_EQ(dead.get_future().wait_for(seconds(30)), std::future_status::ready);
  EXPECT_EQ(said, (std::vector<std::string>{"standing advancing late", "standing late stalled",
                                            "standing stalled dead"}));
  EXPECT_EQ(watchdog.pace(0), Pace::advancing);
  EXPECT_EQ(watchdog.pace(1), Pace::dead);
}

std::shared_ptr<spdlog::logger> logger_on(const std::shared_ptr<LogSink>& sink) {
  auto logger = std::make_shared<spdlog::logger>("test", sink);
  logger->set_pattern("%v");
  return logger;
}

// All that can be read without waiting.
std::string drain(int fd) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string text;
  std::array<char, 65536> piece;
  for (ssize_t n = 0; (n = read(fd, piece.data(), piece.size())) > 0;) {
    text.append(piece.data(), static_cast<size_t>(n));
  }
  return text;
}

// A reader that does not read: lines are dropped and counted, and the next one that goes
// through says how many.
void check_never_waits(int read_end, int write_end) {
  const auto sink = std::make_shared<LogSink>(write_end);
  const auto logger = logger_on(sink);
  const std::string line(1000, 'x');
  constexpr uint64_t kLines = 2000;  // more than any buffer here takes
  for (uint64_t i = 0; i < kLines; ++i) {
    logger->info(line);
  }
  const uint64_t dropped = sink->dropped();
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, kLines);
  EXPECT_EQ(fcntl(write_end, F_GETFL) & O_NONBLOCK, 0) << "others share it";
  const std::string taken = drain(read_end);
  logger->info("afterwards");
  EXPECT_EQ(
      drain(read_end).substr(taken.back() == '\n' ? 0 : 1),
      "(" + std::to_string(dropped) + " log lines before this one are lost)\nafterwards\n");
  logger->info("again");
  EXPECT_EQ(drain(read_end), "again\n");
  EXPECT_EQ(sink->dropped(), dropped);
}

TEST(LogSink, DropsAndCountsWhatAFullPipeDoesNotTake) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  check_never_waits(ends[0], ends[1]);
  close(ends[0]);
  close(ends[1]);
}

TEST(LogSink, DropsAndCountsWhatAJournalThatDoesNotReadDoesNotTake) {
  std::array<int, 2> ends;
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  check_never_waits(ends[0], ends[1]);
  close(ends[0]);
  close(ends[1]);
}

TEST(LogSink, DropsAndCountsWhatAFullDiskDoesNotTake) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  const auto sink = std::make_shared<LogSink>(full);
  const auto logger = logger_on(sink);
  logger->info("one");
  logger->info("two");
  EXPECT_EQ(sink->dropped(), 2u);
  close(full);
}

TEST(LogSink, WritesToAFileWhereItsOwnerIs) {
  char path[] = "/tmp/sluice-log-XXXXXX";
  const int file = mkstemp(path);
  ASSERT_GE(file, 0);
  ASSERT_EQ(write(file, "before\n", 7), 7);
  const auto sink = std::make_shared<LogSink>(file);
  logger_on(sink)->info("line");
  ASSERT_EQ(write(file, "after\n", 6), 6);
  ASSERT_EQ(lseek(file, 0, SEEK_SET), 0);
  EXPECT_EQ(drain(file), "before\nline\nafter\n");
  EXPECT_EQ(sink->dropped(), 0u);
  close(file);
  unlink(path);
}

// What a confined child does, then how it ended: its exit code, or minus the signal.
int confined(const std::function<int()>& act) {
  const pid_t child = fork();
  if (child == 0) {
    if (!prevent_core_dumps() || !confine()) {
      _exit(99);
    }
    _exit(act());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

class PostureTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "has no capabilities to give up";
    }
  }
};

TEST_F(PostureTest, TellsWhatIsLeft) {
  EXPECT_EQ(confined([] {
              const Posture p = posture();
              const std::vector<std::string> left = {"net_admin", "net_raw", "bpf", "ipc_lock"};
              const bool known = std::all_of(
                  p.capabilities.begin(), p.capabilities.end(), [&](const std::string& name) {
                    return std::count(left.begin(), left.end(), name) == 1;
                  });
              return known && p.no_new_privileges && !p.core_dumps ? 0 : 1;
            }),
            0);
}

// The kernel keeps capabilities by thread.
TEST_F(PostureTest, TakesThemFromEveryThread) {
  EXPECT_EQ(confined([] { return 0; }), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::promise<void> done;
    std::promise<bool> answer;
    std::thread other([&] {
      done.get_future().wait();
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct now[2] = {};
      syscall(SYS_capget, &header, now);
      constexpr uint32_t kAdmin = 1u << (CAP_SYS_ADMIN % 32);
      const bool lost = prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 0 || errno == EPERM;
      answer.set_value(lost && (now[0].permitted & kAdmin) == 0);
    });
    const bool fine = prevent_core_dumps() && confine();
    done.set_value();
    _exit(fine && answer.get_future().get() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_F(PostureTest, RefusesCallsThatAreNotListedAndEndsAtTheFatalOnes) {
  if (confined([] { return posture().seccomp ? 0 : 1; }) != 0) {
    GTEST_SKIP() << "a build with sanitizers has no list";
  }
  EXPECT_EQ(confined([] { return sethostname("x", 1) != 0 && errno == EPERM ? 0 : 1; }), 0);
  EXPECT_EQ(confined([] { return setuid(0) != 0 && errno == EPERM ? 0 : 1; }), 0);
  EXPECT_EQ(confined([] {
              char* const none[] = {nullptr};
              execve("/bin/true", none, none);
              return 1;
            }),
            -SIGSYS);
  EXPECT_EQ(confined([] { return ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 ? 1 : 2; }),
            -SIGSYS);
}

}  // namespace
}  // namespace sluice::control
