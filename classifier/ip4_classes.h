// SPDX-License-Identifier: Apache-2.0
// IPv4 address -> class: DIR-24-8 (Gupta, Lin, McKeown, INFOCOM 1998) whose second level is
// compressed.
//
//   first level   one word per /24: its class, or where its group lies
//   sparse group  one 64-byte line: a bit for each address at which a run of one class begins,
//                 and the classes of up to 16 runs, found by counting bits
//   dense group   256 words, for a /24 of more runs (a block of pods, mostly)
//
// Built once by control in ascending order of prefixes; afterwards one writer may `assign`
// single addresses while any number of threads read.  Readers see the old class or the new one:
// an entry of a dense group is stored in place; another group is written aside first and then
// named by one store.  Groups so replaced are not used again before the table is rebuilt, so no
// grace period is needed; when the spare groups are used up, `assign` says so and the table has
// to be rebuilt.
// Bounds: 64 MiB of first level, 64 bytes per sparse and 1 KiB per dense /24, a quarter and
// kSpareLines more for assignments.
#ifndef SLUICE_CLASSIFIER_IP4_CLASSES_H_
#define SLUICE_CLASSIFIER_IP4_CLASSES_H_

#include <array>
#include <bit>
#include <bitset>
#include <cstdint>
#include <span>

#include "classifier/region.h"
#include "classifier/types.h"

namespace sluice {

using ClassId = uint32_t;  // see class_directory.h; 0: in no set

class Ip4Classes {
 public:
  static constexpr uint32_t kGroup = 0x80000000;  // of a first-level word: names a group
  static constexpr uint32_t kDense = 0x40000000;  // ... which is dense
  static constexpr uint32_t kIndex = 0x3fffffff;  // its line, or the class
  static constexpr unsigned kRuns = 16;           // of a sparse group
  static constexpr unsigned kDenseLines = 16;

  struct alignas(64) Line {
    std::array<uint64_t, 4> starts;         // bit a: a run begins at address a; bit 0 is set
    std::array<uint16_t, kRuns> run_class;  // by position of the run
  };
  static_assert(sizeof(Line) == 64);

  struct Entry {
    uint32_t base = 0;  // host bits are zero
    uint8_t length = 0;
    ClassId class_id = 0;
  };

  Ip4Classes() = default;  // every address has class 0, and no memory is used
  // REQUIRES: entries sorted by (base, length), each once.  The longest that holds an address
  // names its class.
  explicit Ip4Classes(std::span<const Entry> entries);

  // Not ok() if the system refused the memory.
  Ip4Classes copy() const;

  // Where the tables lie, for who looks many addresses up at once.
  struct View {
    const uint32_t* words;
    uint32_t mask;
    const Line* lines;

    const uint32_t* first(Ip4 address) const noexcept {
      return words + ((address.value >> 8) & mask);
    }
    const Line* line(uint32_t word) const noexcept { return lines + (word & kIndex); }
    // The classes in dense groups, of which entry_of() gives the index, for one word and
    // address or for vectors of them.  REQUIRES: the word names a group of this kind.
    const ClassId* entries() const noexcept {
      return static_cast<const ClassId*>(static_cast<const void*>(lines));
    }
    template <typename Words>
    [[gnu::always_inline]] static constexpr Words entry_of(Words word, Words address) noexcept {
      return ((word & kIndex) << 4) + (address & 0xff);
    }
    const ClassId* dense_entry(uint32_t word, Ip4 address) const noexcept {
      return entries() + entry_of(word, address.value);
    }
    ClassId in_sparse(uint32_t word, Ip4 address) const noexcept;
  };
  View view() const noexcept { return {first_, mask_, lines_ != nullptr ? lines_ : &kNoLine}; }

  ClassId resolve(uint32_t word, Ip4 address) const noexcept;
  ClassId find(Ip4 address) const noexcept {
    return resolve(__atomic_load_n(view().first(address), __ATOMIC_ACQUIRE), address);
  }

  // From now on `address` has the class.  False if no spare group is left; then nothing
  // changed. REQUIRES: one caller at a time; entries were not empty at construction.
  bool assign(Ip4 address, ClassId class_id);
  // Lines that an assignment takes at most, and those that are left.
  size_t lines_for(Ip4 address) const noexcept {
    const bool in_place = (*view().first(address) & (kGroup | kDense)) == (kGroup | kDense);
    return in_place ? 0 : kDenseLines;
  }
  size_t lines_free() const noexcept { return capacity_ - used_; }

  // False if the system refused the memory: then the table must not be used.
  bool ok() const noexcept { return mask_ == 0 || (first_ != nullptr && lines_ != nullptr); }
  size_t bytes() const noexcept { return first_level_.bytes() + groups_.bytes(); }
  size_t lines_used() const noexcept { return used_; }

 private:
  static constexpr size_t kSpareLines = 4096;
  using Group = std::array<ClassId, 256>;

  uint32_t make_group(const Group& classes);  // the word that names it, or kNoWord
  // The words of so many /24s, which from now on are copied, too.
  uint32_t* writable(uint32_t slash24, size_t count = 1);

  static constexpr uint32_t kNoWord = UINT32_MAX;
  static constexpr uint32_t kEmpty = 0;
  static constexpr Line kNoLine = {};
  Region first_level_;
  Region groups_;
  const uint32_t* first_ = &kEmpty;
  uint32_t mask_ = 0;
  Line* lines_ = nullptr;
  size_t used_ = 0, capacity_ = 0;
  // Parts of the first level that were ever written: a copy need not look at the others.
  static constexpr size_t kPart = size_t{1} << 14;  // words: a /10
  std::bitset<(size_t{1} << 24) / kPart> written_;
};

[[gnu::always_inline]] inline ClassId Ip4Classes::View::in_sparse(uint32_t word,
                                                                  Ip4 address) const noexcept {
  // Runs that begin at or before the address, less one, is the position of its run.
  const Line* group = line(word);
  const uint32_t low = address.value & 0xff, at = low >> 6;
  const uint64_t begun = ~uint64_t{0} >> (63 - (low & 63));  // in the word of the address
  int runs = 0;
#pragma GCC unroll 4
  for (uint32_t i = 0; i < 4; ++i) {
    const uint64_t before = ~uint64_t{0} * uint64_t{i < at};
    const uint64_t here = begun * uint64_t{i == at};
    runs += std::popcount(group->starts[i] & (before | here));
  }
  return group->run_class[static_cast<unsigned>(runs - 1)];
}

[[gnu::always_inline]] inline ClassId Ip4Classes::resolve(uint32_t word,
                                                          Ip4 address) const noexcept {
  if ((word & kGroup) == 0) {
    return word;
  }
  return (word & kDense) != 0
             ? __atomic_load_n(view().dense_entry(word, address), __ATOMIC_RELAXED)
             : view().in_sparse(word, address);
}

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_IP4_CLASSES_H_
