// SPDX-License-Identifier: Apache-2.0
#include "classifier/region.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <sys/mman.h>

namespace sluice {

std::optional<uint64_t> available_memory() {
  std::FILE* file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) {
    return std::nullopt;
  }
  char line[128];
  std::optional<uint64_t> found;
  unsigned long long kib = 0;
  while (!found && std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
      found = uint64_t{kib} * 1024;
    }
  }
  std::fclose(file);
  return found;
}

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

bool Region::populate() noexcept {
  return bytes_ == 0 || madvise(data_, bytes_, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
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
