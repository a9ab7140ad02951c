// SPDX-License-Identifier: Apache-2.0
#include "perf/huge_pages.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>

#include <sys/mman.h>

namespace sluice::perf {
void collapse(const void* data, size_t bytes) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, newer than these headers
  constexpr size_t kHuge = size_t{2} << 20;
  constexpr size_t kPage = 4096;
  const auto begin = reinterpret_cast<uintptr_t>(data);
  auto* at =
      static_cast<unsigned char*>(const_cast<void*>(data)) + (kHuge - begin % kHuge) % kHuge;
  const auto* end = static_cast<const unsigned char*>(data) + bytes;
  for (; at + kHuge <= end; at += kHuge) {
    std::array<unsigned char, kHuge / kPage> resident{};
    const bool known = mincore(at, kHuge, resident.data()) == 0;
    if (known && std::any_of(resident.begin(), resident.end(),
                             [](unsigned char page) { return (page & 1) != 0; })) {
      madvise(at, kHuge, kCollapse);
    }
  }
}

void* map_huge(size_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  madvise(memory, bytes, MADV_HUGEPAGE);  // a wish; plain pages work as well
  return memory;
}

void unmap_huge(void* memory, size_t bytes) noexcept {
  munmap(memory, bytes);
}

}  // namespace sluice::perf
