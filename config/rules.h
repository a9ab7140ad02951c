// SPDX-License-Identifier: Apache-2.0
// One Calico rule from YAML to config::Rule, checked field by field.  Pure.
// Source: Calico semantics, sections 3.1 to 3.7.
#ifndef SLUICE_CONFIG_RULES_H_
#define SLUICE_CONFIG_RULES_H_

#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

// The list under `ingress` or `egress`.
std::vector<Rule> read_rules(const Value& list, bool ingress);
Text read_text(const Value& v);
// "TCP" or 6; a name that is not known, or 0, is a finding.
std::optional<Protocol> read_protocol(const Value& v);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_RULES_H_
