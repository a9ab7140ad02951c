// SPDX-License-Identifier: Apache-2.0
// What `sluicectl get programs` shows: the compiled programs, whose packets each judges, and
// what each came to.
//
// Pure; read by control from what it has published.  Programs are listed by their size, largest
// first: that is what one asks who has come near policy.memory.  Cost: linear in endpoints.
#ifndef SLUICE_CONTROL_PROGRAM_LIST_H_
#define SLUICE_CONTROL_PROGRAM_LIST_H_

#include <nlohmann/json.hpp>

#include "control/build.h"

namespace sluice::control {

// {"programs": [{"endpoints": ["NAMESPACE/NAME", ..], "direction": "ingress"|"egress"|"both",
//   "form", "rules", "classes", "columns", "cells", "bytes"}],
//  "memory": {"classes", "programs", "total", "cap"}}
// An endpoint of a HostEndpoint is "NAME (STAGE)".  `classes` are the groups of addresses that
// the program tells apart, `columns` those of protocols and ports, both null where its form has
// no such; `cells` the combinations before equal ones were merged, which decide the form;
// `bytes` are with parts that programs share, which the memory's `programs` counts once.
// REQUIRES: built.generation has its matcher; `cap` is the memory it was made under.
nlohmann::json programs_json(const Built& built, size_t cap);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_PROGRAM_LIST_H_
