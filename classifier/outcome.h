// SPDX-License-Identifier: Apache-2.0
// A verdict in one word, as the cells of compiled programs hold it.
//
//   bits 0-27 counter slot (all ones: none), 28 passed_or_logged, 29-30 kind
//   bit 31    not a verdict: the rest is a row of the table's exceptions, by source port
#ifndef SLUICE_CLASSIFIER_OUTCOME_H_
#define SLUICE_CLASSIFIER_OUTCOME_H_

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

constexpr Verdict unpack(uint32_t word) {
  const uint32_t counter = word & kCounter;
  return {static_cast<Verdict::Kind>(word >> kKindShift & 3), (word & kPassedOrLogged) != 0,
          counter | (uint32_t{counter == kCounter} * ~kCounter)};  // kNoCounter has all bits
}

}  // namespace sluice::outcome

#endif  // SLUICE_CLASSIFIER_OUTCOME_H_
