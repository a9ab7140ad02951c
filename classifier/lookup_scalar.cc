// SPDX-License-Identifier: Apache-2.0
// The burst look-up for any processor: what the other levels are compared with.
#include "classifier/lookup.h"

namespace sluice {

void classify_scalar(const LookupTables& tables, const Burst& burst) noexcept {
  lookup::classify_burst<lookup::Scalar>(tables, burst);
}

}  // namespace sluice
