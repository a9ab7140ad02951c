// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error, spelled as a subset of std::expected, which GCC 12 has only
// in C++23 mode.  For code off the packet path; packets carry a DropReason instead.
#ifndef SLUICE_CLASSIFIER_RESULT_H_
#define SLUICE_CLASSIFIER_RESULT_H_

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace sluice {

// `what` names the object, the value and the limit: port "uplink": mtu 9600 exceeds 2048.
// `hint` is the fix, or empty.
struct Error {
  std::string what;
  std::string hint = {};
};

template <typename T>
class [[nodiscard]] Result {
 public:
  // NOLINTBEGIN(google-explicit-constructor): as std::expected
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  // NOLINTEND(google-explicit-constructor)

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() {
    assert(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    assert(has_value());
    return *std::get_if<0>(&state_);
  }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const {
    assert(!has_value());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

struct Ok {};
using Status = Result<Ok>;

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_RESULT_H_
