// SPDX-License-Identifier: Apache-2.0
#include "tests/control/short_memory.h"

#include <cstdlib>
#include <new>

namespace sluice {
namespace {

thread_local size_t made = 0, fails_at = 0;

}  // namespace

ShortMemory::ShortMemory(size_t allocations) {
  fails_at = made + 1 + allocations;
}
ShortMemory::~ShortMemory() {
  fails_at = 0;
}
size_t ShortMemory::allocations() {
  return made;
}

}  // namespace sluice

void* operator new(size_t bytes) {
  void* out = ++sluice::made == sluice::fails_at ? nullptr : std::malloc(bytes);
  if (out == nullptr) {
    throw std::bad_alloc();
  }
  return out;
}

void* operator new(size_t bytes, const std::nothrow_t& /*nothrow*/) noexcept {
  return ++sluice::made == sluice::fails_at ? nullptr : std::malloc(bytes);
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, size_t /*bytes*/) noexcept {
  std::free(memory);
}
