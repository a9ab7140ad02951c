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
  Region out(bytes_);
  if (out.data_ != nullptr) {
    out.take(*this, 0, bytes_);
  }
  return out;
}

void Region::take(const Region& other, size_t at, size_t bytes) noexcept {
  constexpr size_t kPage = 4096;
  static constexpr std::array<std::byte, kPage> kZeros = {};
  for (const size_t end = at + bytes; at < end; at += kPage) {
    const std::byte* page = other.as<std::byte>() + at;
    const size_t size = std::min(kPage, end - at);
    if (std::memcmp(page, kZeros.data(), size) != 0) {
      std::memcpy(as<std::byte>() + at, page, size);
    }
  }
}

Region::~Region() {
  if (data_ != nullptr) {
    munmap(data_, bytes_);
  }
}

}  // namespace sluice
