// SPDX-License-Identifier: Apache-2.0
// What sluiced may still do once its ports are up: little.
//
// confine() is called once, by the control thread, when all threads run.  It leaves to every
// thread the capabilities that a pod's port, its routes and its pin need (NET_ADMIN, NET_RAW,
// BPF; IPC_LOCK where locked memory cannot be made unlimited), for ever (bounding set,
// no_new_privs), and a list of system calls.  A call that is not
// on the list fails with EPERM and is logged by the kernel (audit, `dmesg | grep seccomp`); to
// run a program, to look into another process or to change the kernel ends the process.
// prevent_core_dumps() comes first of all: packets and keys are in memory.
// Builds with sanitizers do without the list and may be traced: their runtimes need both.
// Source: reliability 9; capabilities(7), seccomp(2), seccomp_rule_add(3).
#ifndef SLUICE_CONTROL_POSTURE_H_
#define SLUICE_CONTROL_POSTURE_H_

#include <string>
#include <vector>

#include "classifier/result.h"

namespace sluice::control {

// No core dumps, and no other process may look into this one.
Status prevent_core_dumps();

// REQUIRES: prevent_core_dumps() was called.  On failure the process may be confined in part.
Status confine();

// What the kernel says of this process, read each time.
struct Posture {
  std::vector<std::string> capabilities;  // effective; those that confine() leaves by name
  bool no_new_privileges = false;
  bool seccomp = false;
  bool core_dumps = true;
};
Posture posture();

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_POSTURE_H_
