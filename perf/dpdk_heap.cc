// SPDX-License-Identifier: Apache-2.0
#include "perf/dpdk_heap.h"

#include <algorithm>
#include <vector>

#include <rte_malloc.h>
#include <rte_memory.h>
#include <sys/mman.h>

#include "perf/huge_pages.h"

namespace sluice::perf {

namespace {

int make_anonymous(const rte_memseg_list*, const rte_memseg* segment, size_t bytes, void*) {
  constexpr size_t kPage = 4096;
  auto* at = static_cast<unsigned char*>(segment->addr);
  std::vector<unsigned char> resident(bytes / kPage);
  if (mincore(at, bytes, resident.data()) != 0) {
    return -1;
  }
  std::vector<std::vector<unsigned char>> pages(resident.size());
  for (size_t i = 0; i < pages.size(); ++i) {
    if ((resident[i] & 1) != 0) {
      pages[i].assign(at + i * kPage, at + (i + 1) * kPage);
    }
  }
  if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    return -1;
  }
  for (size_t i = 0; i < pages.size(); ++i) {
    std::copy(pages[i].begin(), pages[i].end(), at + i * kPage);
  }
  return 0;
}

}  // namespace

void make_dpdk_heap_anonymous() {
  rte_memseg_contig_walk(make_anonymous, nullptr);
}

size_t dpdk_heap_bytes() {
  rte_malloc_socket_stats stats{};
  rte_malloc_get_socket_stats(0, &stats);
  return stats.heap_allocsz_bytes;
}

void collapse_dpdk_heap() {
  const auto collapse_segment = [](const rte_memseg_list*, const rte_memseg* segment,
                                   size_t bytes, void*) {
    collapse(segment->addr, bytes);
    return 0;
  };
  rte_memseg_contig_walk(collapse_segment, nullptr);
}

}  // namespace sluice::perf
