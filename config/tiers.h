// SPDX-License-Identifier: Apache-2.0
// Reading Tier resources.  Called by Resources only; pure but for what it fills.  Source:
// Calico semantics, section 1.2.
#ifndef SLUICE_CONFIG_TIERS_H_
#define SLUICE_CONFIG_TIERS_H_

#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

// Appends the tier that `object` describes; a reserved one may only say what it is anyway.
void read_tier(const Value& object, Meta meta, Model& model);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_TIERS_H_
