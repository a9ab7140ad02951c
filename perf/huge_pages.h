// SPDX-License-Identifier: Apache-2.0
// Transparent huge pages, so that peers with different allocators are measured on the same
// pages: for containers as an allocator, and under memory that is there already.
#ifndef SLUICE_PERF_HUGE_PAGES_H_
#define SLUICE_PERF_HUGE_PAGES_H_

#include <cstddef>

namespace sluice::perf {

// Collapses each aligned 2 MiB within [data, data + bytes) of which some page is in use.
// Linux 6.1 or later; elsewhere nothing happens.
void collapse(const void* data, size_t bytes);

// Zeroed memory that asks for huge pages, as ConnTable's does; throws std::bad_alloc.
void* map_huge(size_t bytes);
void unmap_huge(void* memory, size_t bytes) noexcept;

// A mapping for each allocation: for few and large ones.
template <typename T>
struct HugePages {
  using value_type = T;  // NOLINT(readability-identifier-naming): the library's name

  HugePages() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): as the library asks of an allocator
  HugePages(const HugePages<U>&) noexcept {}

  T* allocate(size_t n) { return static_cast<T*>(map_huge(n * sizeof(T))); }
  void deallocate(T* memory, size_t n) noexcept { unmap_huge(memory, n * sizeof(T)); }
  friend bool operator==(const HugePages&, const HugePages&) = default;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_HUGE_PAGES_H_
