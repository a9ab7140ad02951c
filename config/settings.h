// SPDX-License-Identifier: Apache-2.0
// sluice.yaml to config::Settings.  Every unknown key is an error.  Pure.
#ifndef SLUICE_CONFIG_SETTINGS_H_
#define SLUICE_CONFIG_SETTINGS_H_

#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

// `resources_at` gets the place of each entry of `resources`.
void read_settings(const Value& document, Settings& out, std::vector<Where>& resources_at);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_SETTINGS_H_
