// SPDX-License-Identifier: Apache-2.0
// A BPF program at the ingress or egress of an interface, beside what others have there.
//
// By a link (tcx, Linux 6.6 on), which ends with its descriptor, so with the process; else as a
// filter of the interface's clsact qdisc, which a killed process leaves behind: the next one,
// or remove_leftovers(), takes it away.  Control thread only.
// Source: bpf(2), BPF_LINK_CREATE; tc-bpf(8).
#ifndef SLUICE_CONTROL_TC_HOOK_H_
#define SLUICE_CONTROL_TC_HOOK_H_

#include <cstdint>

#include "classifier/result.h"

namespace sluice::control {

class TcHook {
 public:
  enum class Side : uint8_t { ingress, egress };
  enum class Means : uint8_t { best, filter };  // filter: as kernels before 6.6

  // `program` stays the caller's; it may be closed once attached.
  static Result<TcHook> attach(int program, int ifindex, Side side, Means means = Means::best);
  TcHook(TcHook&& other) noexcept;
  TcHook& operator=(TcHook&& other) noexcept;
  ~TcHook();

  // Takes filters of ours off every interface.
  static void remove_leftovers();

 private:
  TcHook(int ifindex, Side side) : ifindex_(ifindex), side_(side) {}
  Status attach_filter(int program);
  void detach();

  int ifindex_ = 0;  // 0: moved from
  Side side_ = Side::ingress;
  int link_ = -1;  // -1: by a filter
  bool made_qdisc_ = false;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_TC_HOOK_H_
