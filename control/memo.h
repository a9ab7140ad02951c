// SPDX-License-Identifier: Apache-2.0
// What was derived from objects of the model, kept as long as the objects are there.
//
// An object of the model never changes, so what was derived from it alone holds as long as the
// very same object is in the next model too.  Used by one compilation at a time: a round.
#ifndef SLUICE_CONTROL_MEMO_H_
#define SLUICE_CONTROL_MEMO_H_

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "classifier/shared.h"

namespace sluice::control {

template <typename From, typename To>
class Memo {
 public:
  // What was put for `from` in this round or the one before, or nullptr.  Its address stays.
  To* find(const Shared<From>& from) {
    const auto it = entries_.find(from.address());
    return it == entries_.end() ? nullptr : &asked(it->second).value;
  }
  // Takes the place of what was put before.
  To& put(const Shared<From>& from, To value) {
    if (To* known = find(from); known != nullptr) {
      return *known = std::move(value);
    }
    return asked(entries_.try_emplace(from.address(), from, std::move(value)).first->second)
        .value;
  }
  // Ends a round: `gone` sees what nobody asked for in it, which is forgotten.
  template <typename Gone>
  void end_round(const Gone& gone) {
    for (auto it = entries_.begin(); asked_ < entries_.size();) {
      if (it->second.round == round_) {
        ++it;
      } else {
        gone(it->second.value);
        it = entries_.erase(it);
      }
    }
    ++round_;
    asked_ = 0;
  }
  void end_round() {
    end_round([](const To&) {});
  }

 private:
  struct Entry {
    Entry(const Shared<From>& holds, To&& derived) : from(holds), value(std::move(derived)) {}
    Shared<From> from;  // held, so that no other object gets its address
    To value;
    uint64_t round = 0;  // in which it was asked for last
  };

  Entry& asked(Entry& entry) {
    asked_ += entry.round == round_ ? 0 : 1;
    entry.round = round_;
    return entry;
  }

  std::unordered_map<const From*, Entry> entries_;
  uint64_t round_ = 1;
  size_t asked_ = 0;  // entries of this round
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_MEMO_H_
