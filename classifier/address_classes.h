// SPDX-License-Identifier: Apache-2.0
// Address -> class by set membership, for one policy: the front end that all programs share.
//
// Built by control from the memberships of a RuleSet; afterwards any number of threads look
// addresses up, while one writer may give single addresses another class (`assign`).  Readers
// then see the old class or the new one.  The rule for the writer: every program must know a
// class before an address names it.
//
// The directory of signatures is control's side of it; no lookup reads it.
#ifndef SLUICE_CLASSIFIER_ADDRESS_CLASSES_H_
#define SLUICE_CLASSIFIER_ADDRESS_CLASSES_H_

#include <memory>

#include "classifier/class_directory.h"
#include "classifier/ip4_classes.h"
#include "classifier/ip6_classes.h"
#include "classifier/memberships.h"

namespace sluice {

class AddressClasses {
 public:
  // With a predecessor, whose memberships `memberships` continues: a signature that both know
  // has the same class in both, and a class of one means nothing else in the other.
  explicit AddressClasses(const Memberships& memberships,
                          const AddressClasses* previous = nullptr);

  // Not ok() if the system refused the memory.
  AddressClasses copy() const;

  ClassId find(const Address& address) const noexcept;

  // From now on `address` has the class, which the directory must hold.  False if the tables
  // have no more room for it: build them anew.  REQUIRES: one caller at a time.
  bool assign(const Address& address, ClassId class_id);

  const Ip4Classes& ip4() const noexcept { return ip4_; }
  const Ip6Classes& ip6() const noexcept { return ip6_; }
  const ClassDirectory& directory() const noexcept { return directory_; }
  ClassDirectory& directory() noexcept { return directory_; }

  // False if the system refused the memory: then nothing must be looked up.
  bool ok() const noexcept { return ip4_.ok() && ip6_.ok(); }
  size_t bytes() const noexcept { return ip4_.bytes() + ip6_.bytes() + directory_.bytes(); }

 private:
  AddressClasses() = default;
  void build_ip4(const Memberships& memberships);
  void build_ip6(const Memberships& memberships);

  ClassDirectory directory_;
  Ip4Classes ip4_;
  Ip6Classes ip6_;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_ADDRESS_CLASSES_H_
