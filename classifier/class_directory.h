// SPDX-License-Identifier: Apache-2.0
// Address classes: two addresses that are members of the same sets are of one class.
//
// A membership is one address set that some rule asks about, as a number (memberships.h).  The
// sorted list of memberships of an address is its signature, and equal signatures get one
// ClassId.  Class 0 has the empty signature: "in no set".  Label selectors repeat, so a node of
// 100 000 pods and 6 000 sets has some thousands of classes.
//
// Classes count how many table entries name them.  An id is never given to another signature,
// so what was compiled for one directory holds for its successors; a successor that would carry
// more dead classes than living ones starts anew instead (see Matcher).
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

  // The class of a signature, made if there is none, and referred to once more.
  // REQUIRES: sorted, no membership twice.
  ClassId retain(std::span<const MembershipId> signature);
  // Another entry of the same class.
  void retain(ClassId id) { ++classes_[id].references; }
  // The class of a signature, if there is one.
  std::optional<ClassId> find(std::span<const MembershipId> signature) const;

  std::span<const MembershipId> signature(ClassId id) const { return classes_[id].signature; }
  // Keeps all classes, with no entry that names them: for a successor's tables.
  void forget_references();
  // Ids are below this.
  size_t size() const { return classes_.size(); }
  size_t in_use() const;  // how many some entry names; class 0 always
  size_t bytes() const { return bytes_; }

 private:
  struct Class {
    std::vector<MembershipId> signature;
    uint64_t references = 0;
  };
  std::vector<Class> classes_;
  std::unordered_multimap<uint64_t, ClassId> by_hash_;  // of the signature
  size_t bytes_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_CLASS_DIRECTORY_H_
