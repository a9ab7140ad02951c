// SPDX-License-Identifier: Apache-2.0
#include "control/posture.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::control {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// IPC_LOCK only where locked memory stays limited: each AF_XDP socket counts all buffers again.
constexpr int kKept[] = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_IPC_LOCK};
constexpr const char* kNames[] = {"net_admin", "net_raw", "bpf", "ipc_lock"};

// What the loop, workers, netlink, BPF, AF_XDP, DPDK's devices and the C library call.
constexpr int kAllowed[] = {
    // clang-format off
    // memory
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(memfd_create), SCMP_SYS(mlock), SCMP_SYS(mmap),
    SCMP_SYS(mprotect), SCMP_SYS(mremap), SCMP_SYS(munlock), SCMP_SYS(munmap),
    // files: configuration, /proc, pins
    SCMP_SYS(access), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(fallocate), SCMP_SYS(fcntl), SCMP_SYS(flock),
    SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(ftruncate), SCMP_SYS(getcwd),
    SCMP_SYS(getdents64), SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat), SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat),
    SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(read), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(readv), SCMP_SYS(rmdir), SCMP_SYS(stat), SCMP_SYS(statfs),
    SCMP_SYS(statx), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(write), SCMP_SYS(writev),
    // waiting
    SCMP_SYS(clock_nanosleep), SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2),
    SCMP_SYS(nanosleep), SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pselect6),
    SCMP_SYS(select), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(timerfd_settime),
    // sockets and BPF
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(bpf), SCMP_SYS(connect),
    SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(ioctl),
    SCMP_SYS(listen), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(socket),
    // threads and the process itself
    SCMP_SYS(clock_gettime), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex),
    SCMP_SYS(getcpu), SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getpid), SCMP_SYS(getrandom), SCMP_SYS(getrlimit), SCMP_SYS(gettid),
    SCMP_SYS(getuid), SCMP_SYS(membarrier), SCMP_SYS(prlimit64), SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack), SCMP_SYS(sysinfo), SCMP_SYS(tgkill), SCMP_SYS(uname),
    // clang-format on
};

// Nothing of ours ever calls these: whoever does has taken the process over.
constexpr int kFatal[] = {
    // clang-format off
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(init_module),
    SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
    SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(reboot),
    // clang-format on
};

Error failed(const char* step, int error) {
  return {std::string("confinement: ") + step + ": " + std::generic_category().message(error)};
}

// ---- capabilities: the kernel keeps them for each thread ------------------------------------

std::atomic<bool> keep_lock{false};  // IPC_LOCK, too
std::atomic<int> reduced{0};         // threads that have done it
std::atomic<int> reduce_error{0};    // of the last that could not

// Of the calling thread; only what a signal handler may do.
void reduce_capabilities(int /*signal*/) {
  const int saved = errno;
  uint64_t kept = 0;
  for (const int capability : kKept) {
    kept |= capability != CAP_IPC_LOCK || keep_lock ? uint64_t{1} << capability : 0;
  }
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    // Who was never given CAP_SETPCAP cannot; nothing is gained back without exec, either.
    const bool drop =
        ((kept >> capability) & 1) == 0 && prctl(PR_CAPBSET_READ, capability) == 1;
    if (drop && prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EPERM) {
      reduce_error = errno;
    }
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  __user_cap_data_struct now[2] = {};
  if (syscall(SYS_capget, &header, now) != 0) {
    reduce_error = errno;
  }
  for (int word = 0; word < 2; ++word) {
    const auto mask = static_cast<uint32_t>(kept >> (32 * word));
    now[word].permitted &= mask;  // a container may never have given us all of them
    now[word].effective = now[word].permitted;
    now[word].inheritable = 0;
  }
  if (syscall(SYS_capset, &header, now) != 0) {
    reduce_error = errno;
  }
  ++reduced;
  errno = saved;
}

// EAL's threads and the workers have no loop in which we could ask them: a signal does.
Status reduce_all_threads() {
  const int signal = SIGRTMIN + 7;
  struct sigaction handler {};
  struct sigaction before {};
  handler.sa_handler = reduce_capabilities;
  handler.sa_flags = SA_RESTART;
  if (sigaction(signal, &handler, &before) != 0) {
    return failed("sigaction", errno);
  }
  int asked = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const pid_t thread = std::stoi(task.path().filename());
    if (thread != gettid() && syscall(SYS_tgkill, getpid(), thread, signal) == 0) {
      ++asked;
    }
  }
  constexpr int kPatienceMs = 5000;
  for (int waited = 0; reduced < asked && waited < kPatienceMs; ++waited) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const bool all = reduced == asked;
  reduce_capabilities(signal);
  sigaction(signal, &before, nullptr);
  if (error || !all) {
    return Error{"confinement: a thread does not give up its capabilities"};
  }
  return reduce_error == 0 ? Status{Ok{}} : Status{failed("capset", reduce_error)};
}

// ---- system calls ---------------------------------------------------------------------------

Status filter_calls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) {
    return failed("seccomp_init", ENOMEM);
  }
  int error = 0;
  const auto add = [&](uint32_t action, int call) {
    error = error == 0 ? seccomp_rule_add(filter, action, call, 0) : error;
  };
  for (const int call : kAllowed) {
    add(SCMP_ACT_ALLOW, call);
  }
  for (const int call : kFatal) {
    add(SCMP_ACT_KILL_PROCESS, call);
  }
  error = error == 0 ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1) : error;
  error = error == 0 ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : error;
  error = error == 0 ? seccomp_load(filter) : error;  // sets no_new_privs, too
  seccomp_release(filter);
  return error == 0 ? Status{Ok{}} : Status{failed("seccomp", -error)};
}

}  // namespace

Status prevent_core_dumps() {
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) {
    return failed("core dumps", errno);
  }
  if (!kSanitized && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return failed("core dumps", errno);
  }
  return Ok{};
}

Status confine() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  keep_lock = setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0;
  if (Status s = reduce_all_threads(); !s) {
    return s;
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return failed("no_new_privs", errno);
  }
  return kSanitized ? Status{Ok{}} : filter_calls();
}

Posture posture() {
  Posture out;
  std::ifstream file("/proc/self/status");
  std::string key;
  std::string value;
  uint64_t effective = 0;
  while (file >> key && std::getline(file, value)) {
    if (key == "CapEff:") {
      effective = std::strtoull(value.c_str(), nullptr, 16);
    } else if (key == "NoNewPrivs:") {
      out.no_new_privileges = std::strtoul(value.c_str(), nullptr, 10) == 1;
    } else if (key == "Seccomp:") {
      out.seccomp = std::strtoul(value.c_str(), nullptr, 10) == SECCOMP_MODE_FILTER;
    }
  }
  for (int capability = 0; capability < 64; ++capability) {
    if (((effective >> capability) & 1) == 0) {
      continue;
    }
    std::string text = std::to_string(capability);
    for (size_t i = 0; i < std::size(kKept); ++i) {
      text = capability == kKept[i] ? kNames[i] : text;
    }
    out.capabilities.push_back(std::move(text));
  }
  rlimit core{};
  out.core_dumps = getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0;
  return out;
}

}  // namespace sluice::control
