// SPDX-License-Identifier: Apache-2.0
#include "classifier/region.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <sys/mman.h>

namespace sluice {

Region::Region(size_t bytes) {
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

Region Region::copy() const {
  constexpr size_t kPage = 4096;
  static constexpr std::array<std::byte, kPage> kZeros = {};
  Region out(bytes_);
  for (size_t at = 0; out.data_ != nullptr && at < bytes_; at += kPage) {
    const std::byte* page = as<std::byte>() + at;
    const size_t size = std::min(kPage, bytes_ - at);
    if (std::memcmp(page, kZeros.data(), size) != 0) {
      std::memcpy(out.as<std::byte>() + at, page, size);
    }
  }
  return out;
}

Region::~Region() {
  if (data_ != nullptr) {
    munmap(data_, bytes_);
  }
}

}  // namespace sluice
