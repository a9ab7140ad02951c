// SPDX-License-Identifier: Apache-2.0
#include "classifier/region.h"

#include <sys/mman.h>

namespace sluice {

Region::Region(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  if (bytes == 0) {
    return;
  }
  bytes_ = bytes >= kHugePage ? (bytes + kHugePage - 1) & ~(kHugePage - 1) : bytes;
  void* memory =
      mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    bytes_ = 0;
    return;
  }
  data_ = memory;
  if (bytes_ >= kHugePage) {
    madvise(data_, bytes_, MADV_HUGEPAGE);  // refused where they are switched off: no loss
  }
}

Region::~Region() {
  if (data_ != nullptr) {
    munmap(data_, bytes_);
  }
}

}  // namespace sluice
