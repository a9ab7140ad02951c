// SPDX-License-Identifier: Apache-2.0
// A value that never changes once it is made, and that many hold: copying it shares it.
//
// What one generation has in common with the next is kept so, and `is` tells in one comparison
// that nothing changed.  Reads like the value; any thread may read it.
#ifndef SLUICE_CLASSIFIER_SHARED_H_
#define SLUICE_CLASSIFIER_SHARED_H_

#include <memory>
#include <utility>

namespace sluice {

template <typename T>
class Shared {
 public:
  Shared() : value_(std::make_shared<const T>()) {}
  // NOLINTNEXTLINE(google-explicit-constructor): stands where a T stands
  Shared(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  const T& operator*() const noexcept { return *value_; }
  const T* operator->() const noexcept { return value_.get(); }
  // NOLINTNEXTLINE(google-explicit-constructor): stands where a T stands
  operator const T&() const noexcept { return *value_; }

  // The very same value, not an equal one.
  bool is(const Shared& other) const noexcept { return value_ == other.value_; }
  const T* address() const noexcept { return value_.get(); }

 private:
  std::shared_ptr<const T> value_;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_SHARED_H_
