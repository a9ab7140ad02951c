// SPDX-License-Identifier: Apache-2.0
// A fixed block of zeroed memory for one large table, on huge pages where the kernel has them.
//
// Pages that are never written cost nothing, unless populate() was asked for them.  The block
// never moves, so readers may keep a pointer into it while the one writer fills it.  Whoever
// makes it owns it.
#ifndef SLUICE_CLASSIFIER_REGION_H_
#define SLUICE_CLASSIFIER_REGION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace sluice {

inline constexpr size_t kHugePage = size_t{2} << 20;

// Bytes that the machine can give away.  To ask for more succeeds, and the kernel kills later:
// look first.  Nothing where /proc does not tell.
std::optional<uint64_t> available_memory();

class Region {
 public:
  Region() = default;
  // Empty (data() is null) when `bytes` is 0 or the system refuses.
  explicit Region(size_t bytes);
  Region(Region&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Region& operator=(Region&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  // All of its pages are there from now on: none is cleared when it is first written.  Where
  // the kernel cannot do so (before 5.14) they still are.  False: there is no memory for them.
  bool populate() noexcept;
  // Empty if the system refuses.
  Region copy() const;
  // Has from now on the bytes that another block of its size has there.  Pages of zeros are
  // looked at, but go on costing no memory.
  // REQUIRES: they are zero here; `at` is a multiple of a page.
  void take(const Region& other, size_t at, size_t bytes) noexcept;

  template <typename T>
  T* as() const noexcept {
    return static_cast<T*>(data_);
  }
  size_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// The same as `count` elements of a type that zeros are a value of.
template <typename T>
class RegionOf {
 public:
  RegionOf() = default;
  explicit RegionOf(size_t count) : region_(count * sizeof(T)) {}

  T& operator[](size_t i) noexcept { return region_.as<T>()[i]; }
  const T& operator[](size_t i) const noexcept { return region_.as<T>()[i]; }
  explicit operator bool() const noexcept { return region_.bytes() > 0; }
  bool populate() noexcept { return region_.populate(); }

 private:
  Region region_;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_REGION_H_
