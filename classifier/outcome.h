// SPDX-License-Identifier: Apache-2.0
// A verdict in one word, as the cells of compiled programs hold it.
//
//   bits 0-27 counter slot (all ones: none), 28 passed_or_logged, 29-30 kind
//   bit 31    not a verdict: the rest is a row of the table's exceptions, by source port
#ifndef SLUICE_CLASSIFIER_OUTCOME_H_
#define SLUICE_CLASSIFIER_OUTCOME_H_

#include <cstddef>
#include <cstdint>

#include "classifier/rule.h"

namespace sluice::outcome {

inline constexpr uint32_t kCounter = (1u << 28) - 1;
inline constexpr uint32_t kPassedOrLogged = 1u << 28;
inline constexpr unsigned kKindShift = 29;
inline constexpr uint32_t kException = 1u << 31;
inline constexpr CounterSlot kMaxCounter = kCounter - 1;

constexpr uint32_t pack(Verdict::Kind kind, CounterSlot counter) {
  return static_cast<uint32_t>(kind) << kKindShift | (counter & kCounter);
}
inline constexpr uint32_t kUndecided = pack(Verdict::Kind::none, kNoCounter);

// A verdict as it lies in memory, in two words; of one outcome or of a vector of them.
template <typename Words>
struct Halves {
  Words low;   // kind, passed_or_logged
  Words high;  // counter
};
static_assert(offsetof(Verdict, kind) == 0 && offsetof(Verdict, passed_or_logged) == 1);
static_assert(offsetof(Verdict, counter) == 4 && sizeof(Verdict) == 8);
template <typename Words>
[[gnu::always_inline]] constexpr Halves<Words> halves(Words word) {
  const Words counter = word & kCounter;
  // kNoCounter has all bits.
  return {(word >> kKindShift & 3) | (word >> 20 & 0x100),
          counter | (0 - ((counter + 1) >> 28))};
}

constexpr Verdict unpack(uint32_t word) {
  const Halves<uint32_t> v = halves(word);
  return {static_cast<Verdict::Kind>(v.low & 3), v.low >> 8 != 0, v.high};
}

}  // namespace sluice::outcome

#endif  // SLUICE_CLASSIFIER_OUTCOME_H_
