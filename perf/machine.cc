// SPDX-License-Identifier: Apache-2.0
#include "perf/machine.h"

#include <fstream>

#include <rte_cycles.h>
#include <sys/utsname.h>

#include "classifier/simd.h"

namespace sluice::perf {
namespace {

// What stands behind the colon of the first line that begins with `key`; empty if none does.
std::string value_of(const char* file, const char* key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key)) {
      return line.substr(line.find_first_not_of(" \t", line.find(':') + 1));
    }
  }
  return "";
}

const char* level_name(SimdLevel level) {
  return level == SimdLevel::avx512 ? "AVX-512" : level == SimdLevel::avx2 ? "AVX2" : "scalar";
}

}  // namespace

std::string machine() {
  utsname system{};
  uname(&system);
  return value_of("/proc/cpuinfo", "model name") + ", TSC " +
         std::to_string(rte_get_tsc_hz() / 1000000) + " MHz, " + level_name(best_simd_level()) +
         ", Linux " + system.release;
}

uint64_t available_bytes() {
  const std::string kib = value_of("/proc/meminfo", "MemAvailable");
  return kib.empty() ? 0 : std::stoull(kib) * 1024;
}

}  // namespace sluice::perf
