// SPDX-License-Identifier: Apache-2.0
// What stays in the kernel when sluiced ends under `path.onExit: drop`: one pinned BPF link for
// each interface, a file named after its index in a BPF file system under the state directory.
//
// A pinned link keeps its XDP program attached; with no socket left the program drops what is
// sluice's.  The next sluiced takes the links over (Xdp::attach), `sluicectl detach` lets them
// go.  Only files here: no DPDK, no libbpf.  Control thread, or sluicectl while no daemon runs.
// Source: bpf(2), BPF_OBJ_PIN; Linux kernel/bpf/inode.c (names hold no dot).
#ifndef SLUICE_CONTROL_PINS_H_
#define SLUICE_CONTROL_PINS_H_

#include <string>
#include <vector>

#include "classifier/result.h"

namespace sluice::control {

// Where the pins of a daemon with this `control.state` are.
std::string pin_directory(const std::string& state);

// Makes the directory and mounts a BPF file system there, unless there is one.
Status mount_pins(const std::string& state);

// True when the mount above will not outlive the process: its mount namespace is not that of
// the machine (as under `ip netns exec`, or in a container).
bool mounts_are_private();

// Lets go of every pin, the file system and the directory.  Returns the interfaces' names, or
// "#INDEX" for those that are not in this network namespace.
Result<std::vector<std::string>> release_pins(const std::string& state);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_PINS_H_
