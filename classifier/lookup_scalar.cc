// SPDX-License-Identifier: Apache-2.0
// The burst look-up for any processor: what the other levels are compared with.
#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Scalar {
  static constexpr SimdLevel kLevel = SimdLevel::scalar;

  // The last of a slice's values that is at most `value`, as an index into all of them.
  static uint32_t place(const uint16_t* firsts, PortMap::Slice slice, uint32_t value) noexcept {
    return slice.start + last_at_most(firsts + slice.start, slice.size, value);
  }
};

}  // namespace

void classify_scalar(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Scalar>(tables, burst);
}

}  // namespace sluice
