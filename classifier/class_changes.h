// SPDX-License-Identifier: Apache-2.0
// What a change of a few members means: which addresses get which class.
//
// The usual change is one pod that joins or leaves sets.  Most often addresses of its new
// signature are known already (a replica of something); then no program changes at all, and the
// new class of its address is one store.  Used by control's compile, see Matcher.
#ifndef SLUICE_CLASSIFIER_CLASS_CHANGES_H_
#define SLUICE_CLASSIFIER_CLASS_CHANGES_H_

#include <optional>
#include <vector>

#include "classifier/address_classes.h"

namespace sluice {

struct ClassChange {
  Address address;
  ClassId after = 0;
};

// The changes from one to the other, by address.  New signatures get their classes in the
// directory; no address is assigned yet, and there is room to assign all.  Nothing if more than
// `limit` times an address joins or leaves, or a membership that only one of them knows, or
// without that room: then the tables are to be made anew. REQUIRES: `classes` are those of
// `before`; `after` continues `before`.
std::optional<std::vector<ClassChange>> class_changes(const Memberships& before,
                                                      const Memberships& after,
                                                      AddressClasses& classes, size_t limit);

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_CLASS_CHANGES_H_
