// SPDX-License-Identifier: Apache-2.0
// From a model to what is published: compiles policy, plans routes, numbers endpoints.
//
// Run by control on each change and by the offline tools.  All-or-nothing: with errors in
// `findings` the result must not be published.  A route table that did not change since
// `previous` is shared with it.
#ifndef SLUICE_CONTROL_BUILD_H_
#define SLUICE_CONTROL_BUILD_H_

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "config/findings.h"
#include "config/model.h"
#include "control/compile.h"
#include "control/endpoint_slots.h"
#include "control/routes.h"
#include "control/rule_names.h"
#include "fastpath/tables.h"

namespace sluice::control {

// The numbers that outlive generations.  One for the life of the program.
struct Registries {
  RuleNames rules;
  EndpointSlots endpoints;
  Borrowed borrowed;
  Compiler compiler{rules};
};

struct Built {
  std::shared_ptr<const Generation> generation;  // never null
  CompiledPolicy policy;
  std::vector<EndpointId> endpoint_ids;  // by index into policy.endpoints
  RoutePlan routes;
  std::string endpoint_to_host_said_by;     // the FelixConfiguration's name
  std::chrono::nanoseconds compiled_in{0};  // that its matcher took, of all the time

  // The endpoint's names, or nullptr for a free slot.
  const LocalEndpoint* endpoint(EndpointId id) const;
};

// Findings besides those of compile() and plan_routes(): a node name that no resource knows,
// more endpoints than there are slots.
Built build(const config::Model& model, Registries& registries, const Built* previous,
            config::Findings& findings, const Matcher::Progress& progress = {});

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_BUILD_H_
