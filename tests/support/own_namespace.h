// SPDX-License-Identifier: Apache-2.0
// A network namespace for each test, unnamed: the kernel removes it with all in it when the
// next test, or the end, leaves it.  Skipped without root.
#ifndef SLUICE_TESTS_SUPPORT_OWN_NAMESPACE_H_
#define SLUICE_TESTS_SUPPORT_OWN_NAMESPACE_H_

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

namespace sluice::test {

// Whoever derives from it calls SetUp() first, and returns if IsSkipped().
class OwnNamespace : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root: makes a network namespace, veths and AF_XDP sockets";
    }
    if (unshare(CLONE_NEWNET) != 0) {
      GTEST_SKIP() << "no network namespace: " << std::strerror(errno);
    }
    // No IPv6: the kernel's own router solicitations would mix with the frames.
    ASSERT_EQ(shell("sysctl -w net.ipv6.conf.default.disable_ipv6=1"), 0);
  }

  // The exit code of a command in the namespace.
  static int shell(const std::string& command) {
    return std::system((command + " >/dev/null").c_str());
  }
};

}  // namespace sluice::test

#endif  // SLUICE_TESTS_SUPPORT_OWN_NAMESPACE_H_
