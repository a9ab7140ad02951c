// SPDX-License-Identifier: Apache-2.0
#include "control/tc_hook.h"

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <unistd.h>

namespace sluice::control {
namespace {

// In linux/bpf.h from 6.6 on.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
// By these a filter is known as ours.
constexpr uint32_t kHandle = 0x736c, kPriority = 0x736c;

bpf_tc_hook hook_of(int ifindex, TcHook::Side side) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = ifindex;
  hook.attach_point = side == TcHook::Side::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}

int detach_filter(int ifindex, TcHook::Side side) {
  const bpf_tc_hook hook = hook_of(ifindex, side);
  DECLARE_LIBBPF_OPTS(bpf_tc_opts, filter, .handle = kHandle, .priority = kPriority);
  return bpf_tc_detach(&hook, &filter);
}

int quiet(libbpf_print_level, const char*, va_list) {
  return 0;
}

}  // namespace

Result<TcHook> TcHook::attach(int program, int ifindex, Side side, Means means) {
  TcHook hook(ifindex, side);
  if (means == Means::best) {
    hook.link_ = bpf_link_create(program, ifindex,
                                 side == Side::ingress ? kTcxIngress : kTcxEgress, nullptr);
  }
  if (hook.link_ < 0) {
    if (Status s = hook.attach_filter(program); !s) {
      hook.ifindex_ = 0;
      return s.error();
    }
  }
  return hook;
}

Status TcHook::attach_filter(int program) {
  bpf_tc_hook hook = hook_of(ifindex_, side_);
  int error = bpf_tc_hook_create(&hook);
  made_qdisc_ = error == 0;
  if (error == 0 || error == -EEXIST) {
    DECLARE_LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program, .flags = BPF_TC_F_REPLACE,
                        .handle = kHandle, .priority = kPriority);
    error = bpf_tc_attach(&hook, &filter);
  }
  if (error == 0) {
    return Ok{};
  }
  char name[IF_NAMESIZE] = "?";
  if_indextoname(static_cast<unsigned>(ifindex_), name);
  return Error{"interface \"" + std::string(name) + "\": tc program cannot be attached: " +
                   std::generic_category().message(-error),
               "the kernel needs tcx (6.6), or NET_SCH_INGRESS and NET_CLS_BPF"};
}

TcHook::TcHook(TcHook&& other) noexcept
    : ifindex_(std::exchange(other.ifindex_, 0)),
      side_(other.side_),
      link_(other.link_),
      made_qdisc_(other.made_qdisc_) {}

TcHook& TcHook::operator=(TcHook&& other) noexcept {
  if (this != &other) {
    detach();
    ifindex_ = std::exchange(other.ifindex_, 0);
    side_ = other.side_;
    link_ = other.link_;
    made_qdisc_ = other.made_qdisc_;
  }
  return *this;
}

TcHook::~TcHook() {
  detach();
}

void TcHook::detach() {
  if (ifindex_ == 0) {
    return;
  }
  if (link_ >= 0) {
    close(link_);
    return;
  }
  detach_filter(ifindex_, side_);
  if (made_qdisc_) {
    bpf_tc_hook whole = hook_of(ifindex_, side_);
    whole.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
    bpf_tc_hook_destroy(&whole);
  }
}

void TcHook::remove_leftovers() {
  const libbpf_print_fn_t before = libbpf_set_print(quiet);  // most interfaces have none
  struct if_nameindex* const all = if_nameindex();
  for (const struct if_nameindex* each = all; each != nullptr && each->if_index != 0; ++each) {
    for (const Side side : {Side::ingress, Side::egress}) {
      detach_filter(static_cast<int>(each->if_index), side);
    }
  }
  if_freenameindex(all);
  libbpf_set_print(before);
}

}  // namespace sluice::control
