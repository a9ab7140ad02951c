// SPDX-License-Identifier: Apache-2.0
// Marks for valgrind's callgrind: what is between them is counted, the rest is not.
//
// Without valgrind's headers, or outside of valgrind, they do nothing.  Run callgrind with
// --collect-atstart=no; see instructions.sh.
#ifndef SLUICE_PERF_CALLGRIND_H_
#define SLUICE_PERF_CALLGRIND_H_

#include <string>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif

namespace sluice::perf {

#ifdef CALLGRIND_TOGGLE_COLLECT
inline bool under_valgrind() {
  return RUNNING_ON_VALGRIND != 0;
}
// On if it was off, and back.
inline void toggle_counting() {
  CALLGRIND_TOGGLE_COLLECT;
}
inline void forget_counts() {
  CALLGRIND_ZERO_STATS;
}
// Writes what was counted to a file that says `name`, and forgets it.
inline void dump_counts(const std::string& name) {
  CALLGRIND_DUMP_STATS_AT(name.c_str());
}
#else
inline bool under_valgrind() {
  return false;
}
inline void toggle_counting() {}
inline void forget_counts() {}
inline void dump_counts(const std::string&) {}
#endif

}  // namespace sluice::perf

#endif  // SLUICE_PERF_CALLGRIND_H_
