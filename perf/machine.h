// SPDX-License-Identifier: Apache-2.0
// What a figure was measured on.
#ifndef SLUICE_PERF_MACHINE_H_
#define SLUICE_PERF_MACHINE_H_

#include <cstdint>
#include <string>

namespace sluice::perf {

// Processor, rate of its TSC, kernel.  REQUIRES: EAL is up.
std::string machine();

// What the kernel thinks a program may still take.
uint64_t available_bytes();

}  // namespace sluice::perf

#endif  // SLUICE_PERF_MACHINE_H_
