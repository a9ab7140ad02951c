// SPDX-License-Identifier: Apache-2.0
// The burst look-up for any processor: what the other levels are compared with.
#include "classifier/lookup.h"

namespace sluice {
namespace {

struct Scalar {
  static uint32_t last_at_most(const uint16_t* sorted, uint32_t n, uint32_t value) noexcept {
    return sluice::last_at_most(sorted, n, value);
  }
};

}  // namespace

void classify_scalar(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<Scalar>(tables, burst);
}

}  // namespace sluice
