// SPDX-License-Identifier: Apache-2.0
// Huge pages under memory that is there already, so that peers with different allocators are
// measured on the same pages.  Linux 6.1 or later; elsewhere nothing happens.
#ifndef SLUICE_PERF_HUGE_PAGES_H_
#define SLUICE_PERF_HUGE_PAGES_H_

#include <cstddef>

namespace sluice::perf {

// Collapses each aligned 2 MiB within [data, data + bytes) of which some page is in use.
void collapse(const void* data, size_t bytes);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_HUGE_PAGES_H_
