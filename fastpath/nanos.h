// SPDX-License-Identifier: Apache-2.0
// Moments and spans of the packet path: nanoseconds of a monotonic clock, read once a turn.
#ifndef SLUICE_FASTPATH_NANOS_H_
#define SLUICE_FASTPATH_NANOS_H_

#include <cstdint>

namespace sluice {

using Nanos = uint64_t;
inline constexpr Nanos kSecond = 1'000'000'000;

}  // namespace sluice

#endif  // SLUICE_FASTPATH_NANOS_H_
