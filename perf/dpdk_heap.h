// SPDX-License-Identifier: Apache-2.0
// The memory that DPDK's own tables take: rte_malloc's heap of the first socket, which lies on
// plain pages when EAL runs without hugetlbfs.
#ifndef SLUICE_PERF_DPDK_HEAP_H_
#define SLUICE_PERF_DPDK_HEAP_H_

#include <cstddef>

namespace sluice::perf {

// Bytes in use.
size_t dpdk_heap_bytes();

// Puts anonymous memory in the place of the file's that EAL has taken without hugetlbfs, since
// for a file the kernel may refuse huge pages whatever it is asked.  What is there already
// stays.  REQUIRES: one thread runs; EAL has just been started, without huge pages.
void make_dpdk_heap_anonymous();

// Transparent huge pages under all of it that is in use, as collapse() gives them.
void collapse_dpdk_heap();

}  // namespace sluice::perf

#endif  // SLUICE_PERF_DPDK_HEAP_H_
