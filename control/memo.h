// SPDX-License-Identifier: Apache-2.0
// What was derived from objects of the model, kept as long as the objects are there.
//
// An object of the model never changes, so what was derived from it alone holds as long as the
// very same object is in the next model too.  Used by one compilation at a time.
#ifndef SLUICE_CONTROL_MEMO_H_
#define SLUICE_CONTROL_MEMO_H_

#include <unordered_map>
#include <utility>

#include "classifier/shared.h"

namespace sluice::control {

template <typename From, typename To>
class Memo {
 public:
  // What was put for `from` in this round or the one before, or nullptr.  Its address stays.
  To* find(const Shared<From>& from) {
    if (const auto now = current_.find(from.address()); now != current_.end()) {
      return &now->second.value;
    }
    auto node = previous_.extract(from.address());
    return node.empty() ? nullptr : &current_.insert(std::move(node)).position->second.value;
  }
  // Takes the place of what was put before.
  To& put(const Shared<From>& from, To value) {
    return current_.insert_or_assign(from.address(), Entry{from, std::move(value)})
        .first->second.value;
  }
  // Ends a round: `gone` sees what nobody asked for in it, which is forgotten.
  template <typename Gone>
  void end_round(const Gone& gone) {
    for (auto& [address, entry] : previous_) {
      gone(entry.value);
    }
    previous_ = std::move(current_);
    current_.clear();
  }
  void end_round() {
    end_round([](const To&) {});
  }

 private:
  struct Entry {
    Shared<From> from;  // held, so that no other object gets its address
    To value;
  };
  std::unordered_map<const From*, Entry> previous_, current_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_MEMO_H_
