// SPDX-License-Identifier: Apache-2.0
// Programs at tc's hooks, in a network namespace of the test's own; skipped without the right
// to make one.
#include "control/tc_hook.h"

#include <array>
#include <cstdlib>
#include <string>

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::control {
namespace {

using Side = TcHook::Side;
using Means = TcHook::Means;

bool shell(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

class TcHookTest : public testing::Test {
 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) {
      GTEST_SKIP() << "may not make a network namespace";
    }
    ASSERT_TRUE(shell("sysctl -w net.ipv6.conf.default.disable_ipv6=1"));
    ASSERT_TRUE(shell("ip link add us type veth peer name them"));
    ASSERT_TRUE(
        shell("ip link set us up; ip link set them up; ip addr add 10.9.9.1/24 dev us"));
    ASSERT_TRUE(shell("ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev us"));
    // Drops every frame.
    const std::array<bpf_insn, 2> code = {
        bpf_insn{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, TC_ACT_SHOT},
        bpf_insn{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    program_ = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "drop", "Apache-2.0", code.data(),
                             code.size(), nullptr);
    ASSERT_GE(program_, 0);
    ASSERT_TRUE(sends());
  }
  void TearDown() override { close(program_); }

  Result<TcHook> attach(Means means) {
    return TcHook::attach(program_, static_cast<int>(if_nametoindex("us")), Side::egress,
                          means);
  }
  // By a process that is killed at once.
  void attach_and_die(Means means) {
    const pid_t child = fork();
    if (child == 0) {
      const auto hook = attach(means);
      _exit(hook && !sends() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  // Does a frame leave?
  static bool sends() {
    const auto count = [] {
      std::array<char, 32> text{};
      FILE* file =
          popen("ip -s -j link show us | grep -o '\"tx\":{[^}]*' | tr -dc '0-9,'", "r");
      const size_t n = fread(text.data(), 1, text.size() - 1, file);
      pclose(file);
      return std::string(text.data(), n);
    };
    const std::string before = count();
    shell("ping -n -c 1 -W 0.01 10.9.9.2");
    return count() != before;
  }
  static bool has_qdisc() { return shell("tc qdisc show dev us | grep -q clsact"); }

  int program_ = -1;
};

TEST_F(TcHookTest, StandsWhileItLivesByEitherMeans) {
  for (const Means means : {Means::best, Means::filter}) {
    {
      auto hook = attach(means);
      ASSERT_TRUE(hook) << hook.error().what;
      const TcHook moved = std::move(*hook);
      EXPECT_FALSE(sends());
    }
    EXPECT_TRUE(sends());
    EXPECT_FALSE(has_qdisc());
  }
}

TEST_F(TcHookTest, LeavesAQdiscOfOthers) {
  ASSERT_TRUE(shell("tc qdisc add dev us clsact"));
  ASSERT_TRUE(attach(Means::filter));
  EXPECT_TRUE(sends());
  EXPECT_TRUE(has_qdisc());
}

TEST_F(TcHookTest, WhatAKilledProcessLeftIsRemoved) {
  attach_and_die(Means::filter);
  EXPECT_FALSE(sends());
  TcHook::remove_leftovers();
  EXPECT_TRUE(sends());
}

TEST_F(TcHookTest, WhatAKilledProcessLeftIsReplaced) {
  attach_and_die(Means::filter);
  { ASSERT_TRUE(attach(Means::filter)); }
  EXPECT_TRUE(sends());
}

TEST_F(TcHookTest, SaysWhereItCannotStand) {
  const auto hook = TcHook::attach(program_, 9999, Side::egress);
  ASSERT_FALSE(hook);
  EXPECT_NE(hook.error().what.find("tc program cannot be attached"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
