// SPDX-License-Identifier: Apache-2.0
// The path's loops over eight packets, compiled twice: for AVX2, which is the floor, and for
// AVX-512, where twice as many registers hold what else goes to memory and back.
//
// Which of the two runs is settled when the program starts, as best_simd_level() says; they do
// the same.
#ifndef SLUICE_FASTPATH_WIDE_H_
#define SLUICE_FASTPATH_WIDE_H_

#include <type_traits>
#include <utility>

#include "classifier/simd.h"

namespace sluice {

inline const bool kWide = best_simd_level() == SimdLevel::avx512;

template <auto kBody, typename First, typename... Args>
[[gnu::always_inline]] inline auto run(First&& first, Args&&... args) {
  if constexpr (std::is_member_function_pointer_v<decltype(kBody)>) {
    return (first.*kBody)(std::forward<Args>(args)...);
  } else {
    return kBody(std::forward<First>(first), std::forward<Args>(args)...);
  }
}

#ifndef __clang__  // builds fuzz targets only
template <auto kBody, typename... Args>
[[gnu::target("avx512f,avx512vl,avx512bw,avx512dq,prefer-vector-width=256")]] auto run_wide(
    Args&&... args) {
  return run<kBody>(std::forward<Args>(args)...);
}
#endif

// Calls a function, or a member of its first argument.  REQUIRES: that is always_inline, and so
// is all that counts in it; it takes by value what is small, or each write may change that.
template <auto kBody, typename... Args>
[[gnu::always_inline]] inline auto run_best(Args&&... args) {
#ifndef __clang__
  if (kWide) {
    return run_wide<kBody>(std::forward<Args>(args)...);
  }
#endif
  return run<kBody>(std::forward<Args>(args)...);
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_WIDE_H_
