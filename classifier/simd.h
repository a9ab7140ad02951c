// SPDX-License-Identifier: Apache-2.0
// The processor levels that look-ups are compiled for; classifier/meson.build has the compiler
// flags of each.  Code of one level is in files of its own and must be reached only where the
// processor has the level: whoever looks up asks once, and passes the level on.
#ifndef SLUICE_CLASSIFIER_SIMD_H_
#define SLUICE_CLASSIFIER_SIMD_H_

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

namespace sluice {

enum class SimdLevel : uint8_t { scalar, avx2, avx512 };
inline constexpr std::array kSimdLevels = {SimdLevel::scalar, SimdLevel::avx2,
                                           SimdLevel::avx512};

// The highest that this processor has, as known when it is first asked; SLUICE_SIMD=avx2 or
// =scalar in the environment keeps it from what is above that.
inline SimdLevel best_simd_level() noexcept {
  static const SimdLevel level = [] {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here changes the environment
    const char* said = std::getenv("SLUICE_SIMD");
    const std::string_view most = said == nullptr ? "" : said;
    if (most == "scalar" || __builtin_cpu_supports("avx2") == 0 ||
        __builtin_cpu_supports("bmi2") == 0) {
      return SimdLevel::scalar;
    }
    const bool wide =
        __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512cd") != 0 &&
        __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
    return wide && most != "avx2" ? SimdLevel::avx512 : SimdLevel::avx2;
  }();
  return level;
}

// All up to that.
inline std::span<const SimdLevel> simd_levels() noexcept {
  return std::span(kSimdLevels).first(static_cast<size_t>(best_simd_level()) + 1);
}

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_SIMD_H_
