// SPDX-License-Identifier: Apache-2.0
// Memory that runs out once: in its life the n-th `new` of this thread throws std::bad_alloc,
// as in a process that may have no more, which has some again as soon as that is unwound.
//
// short_memory.cc replaces the global operator new; link it into the test.
#ifndef SLUICE_TESTS_CONTROL_SHORT_MEMORY_H_
#define SLUICE_TESTS_CONTROL_SHORT_MEMORY_H_

#include <cstddef>

namespace sluice {

class ShortMemory {
 public:
  explicit ShortMemory(size_t allocations);
  ~ShortMemory();
  ShortMemory(const ShortMemory&) = delete;
  ShortMemory& operator=(const ShortMemory&) = delete;

  // How often this thread has called `new`.
  static size_t allocations();
};

}  // namespace sluice

#endif  // SLUICE_TESTS_CONTROL_SHORT_MEMORY_H_
