// SPDX-License-Identifier: Apache-2.0
// Address classes: two addresses that are members of the same sets are of one class.
//
// A membership is one address set that some rule asks about, as a number (memberships.h).  The
// sorted list of memberships of an address is its signature, and equal signatures get one
// ClassId.  Class 0 has the empty signature: "in no set".  Label selectors repeat, so a node of
// 100 000 pods and 6 000 sets has some thousands of classes.
//
// An id is never given to another signature, so what was compiled for one directory holds for
// its successors; one that may carry more dead classes than living ones has no successor (see
// Matcher).
// Written by control while it builds or updates, never read by the packet path.
#ifndef SLUICE_CLASSIFIER_CLASS_DIRECTORY_H_
#define SLUICE_CLASSIFIER_CLASS_DIRECTORY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace sluice {

using ClassId = uint32_t;
using MembershipId = uint32_t;

class ClassDirectory {
 public:
  ClassDirectory();

  // The class of a signature, made if there is none.
  // REQUIRES: sorted, no membership twice.
  ClassId id_of(std::span<const MembershipId> signature);
  // The class of a signature, if there is one.
  std::optional<ClassId> find(std::span<const MembershipId> signature) const;

  std::span<const MembershipId> signature(ClassId id) const { return classes_[id]; }
  // Ids are below this.
  size_t size() const { return classes_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  std::vector<std::vector<MembershipId>> classes_;      // their signatures
  std::unordered_multimap<uint64_t, ClassId> by_hash_;  // of the signature
  size_t bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_CLASS_DIRECTORY_H_
