// SPDX-License-Identifier: Apache-2.0
// The axes of one program: the values of a field, merged where no term tells them apart.
//
// Each axis has rows, and each row a bitmap of the terms whose field holds there.  A packet's
// rows on all axes, ANDed, are the terms that match it.
//   address axis  class -> row, by partition refinement: each membership that the terms mention
//                 splits the classes that have it from those that have not.  The work is the
//                 sum of set sizes in classes, whatever the number of members.
//   range axis    sorted boundaries -> row, by one sweep (transport keys, source ports)
// Made and read by the compiler only.
#ifndef SLUICE_CLASSIFIER_AXES_H_
#define SLUICE_CLASSIFIER_AXES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "classifier/class_directory.h"
#include "classifier/terms.h"

namespace sluice {

// Distinct bitmaps of a fixed width, numbered in the order of their coming.
class Bitmaps {
 public:
  // Takes no more bitmaps once they have `max_bytes`: then it is full, and of no use.
  explicit Bitmaps(size_t bits, size_t max_bytes = SIZE_MAX)
      : words_((bits + 63) / 64), max_bytes_(max_bytes) {}
  uint32_t intern(std::span<const uint64_t> bitmap);
  const uint64_t* operator[](uint32_t row) const { return all_.data() + row * words_; }
  size_t words() const { return words_; }
  uint32_t count() const { return count_; }
  bool full() const { return full_; }
  std::span<const uint64_t> all() const { return all_; }

 private:
  size_t words_, max_bytes_;
  bool full_ = false;
  uint32_t count_ = 0;
  std::vector<uint64_t> all_;
  std::unordered_multimap<uint64_t, uint32_t> by_hash_;
};

// Which classes have a membership; made once for a directory.
class ClassesOf {
 public:
  ClassesOf(const ClassDirectory& directory, size_t memberships);
  std::span<const ClassId> operator[](MembershipId id) const {
    return {classes_.data() + starts_[id], starts_[id + 1] - starts_[id]};
  }
  size_t class_count() const { return class_count_; }

 private:
  size_t class_count_;
  std::vector<size_t> starts_;
  std::vector<ClassId> classes_;
};

// What an address axis distinguishes: classes that have the same of these memberships are on
// one row.  For each combination that there was, one class that has it stands as an example.
struct Asked {
  struct Example {
    uint32_t hash = 0;  // of the combination
    ClassId class_id = 0;
    friend auto operator<=>(const Example&, const Example&) = default;
  };
  uint64_t hash = 0;              // of the rest; set by its Pool
  std::vector<MembershipId> ids;  // sorted
  std::vector<Example> examples;  // sorted

  // A class that is on the row where an address of this signature belongs, if there is one.
  std::optional<ClassId> example(std::span<const MembershipId> signature,
                                 const ClassDirectory& directory) const;
  friend bool operator==(const Asked& a, const Asked& b) {
    return a.ids == b.ids && a.examples == b.examples;
  }
  size_t size_bytes() const {
    return ids.size() * sizeof(MembershipId) + examples.size() * sizeof(Example);
  }
};

struct AddressAxis {
  std::vector<uint32_t> row_of_class;
  Bitmaps rows{0};
  Asked asked;
};
using SideOfTerm = Term::Side Term::*;
AddressAxis address_axis(const TermList& terms, SideOfTerm side, const ClassesOf& classes,
                         size_t max_bytes);
// The one row of an address that is known: all terms, since flatten() dropped the others.
AddressAxis known_address(const TermList& terms);

struct RangeAxis {
  struct Boundary {
    uint32_t first = 0;  // of the values from here to the next boundary
    uint32_t row = 0;
  };
  std::vector<Boundary> boundaries;  // the first is at 0
  Bitmaps rows{0};
};
using RangesOfTerm = Intervals Term::*;
struct RangeSpace {
  uint32_t last = 0;    // values are 0 to this
  uint32_t stride = 0;  // there is a boundary at each multiple of it; 0 for none
  size_t max_bytes = SIZE_MAX;
};
RangeAxis range_axis(const TermList& terms, RangesOfTerm ranges, const RangeSpace& space);

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_AXES_H_
