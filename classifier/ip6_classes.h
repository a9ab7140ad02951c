// SPDX-License-Identifier: Apache-2.0
// IPv6 address -> class: one hash table of prefixes of all lengths, longest first.
//
// Most members of sets are pods, so the address itself (/128) is looked for first, one line.
// Of those that are not there the longest other length that can match at all is next: a filter
// by the top 24 bits names the lengths that exist there.  Only addresses with several lengths
// above them need further probes.
//
// A bucket is one cache line of three keys; a full one overflows into the next.  Built once by
// control, then one writer may `assign` while any number of threads read: an entry's class is
// stored in place, a new entry becomes visible with its tag, which is stored last.
// Bounds: 64 bytes per three prefixes, at half load; 16 MiB of filter if there are prefixes
// other than /128 and /0, of which only the pages that hold some are touched.
#ifndef SLUICE_CLASSIFIER_IP6_CLASSES_H_
#define SLUICE_CLASSIFIER_IP6_CLASSES_H_

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "classifier/region.h"
#include "classifier/types.h"

namespace sluice {

using ClassId = uint32_t;

class Ip6Classes {
 public:
  struct Entry {
    Address base;  // host bits are zero
    uint8_t length = 0;
    ClassId class_id = 0;
  };
  static constexpr unsigned kKeys = 3;
  static constexpr uint32_t kOverflow = 0xff000000;
  struct alignas(64) Bucket {
    std::array<Address, kKeys> key;
    std::array<ClassId, kKeys> class_id;
    // Byte i: the length of key i, + 1; 0: no key there.  Byte 3: keys that belong here lie in
    // the next bucket.  Stored last, in one.
    uint32_t tags;
  };
  static_assert(sizeof(Bucket) == 64);

  Ip6Classes() : Ip6Classes(std::span<const Entry>{}) {}
  // REQUIRES: no two entries alike.  The longest that holds an address names its class.
  explicit Ip6Classes(std::span<const Entry> entries);

  // Not ok() if the system refused the memory.
  Ip6Classes copy() const;

  // A look-up in steps; what a step reads is to be fetched before it.
  // 1: the line where the address itself is, if anywhere.
  const Bucket* exact_at(const Address& address) const noexcept {
    return bucket_of(address, kExact);
  }
  // 2: its class there, or null.
  static const ClassId* exact_in(const Bucket& bucket, const Address& address) noexcept;
  // 3, for null: the line that probe() reads.
  const uint8_t* filter_at(const Address& address) const noexcept {
    return filter_of_ + ((address.hi >> 40) & filter_mask_);
  }
  // 4: the line of the longest prefix that can hold it.
  struct Probe {
    const Bucket* prefix;
    uint32_t lengths;  // index into the length sets
  };
  Probe probe(const Address& address) const noexcept;
  // 5: its class.  `exact`: what step 1 said.
  ClassId resolve(const Probe& probe, const Bucket& exact,
                  const Address& address) const noexcept;
  // All steps.
  ClassId find(const Address& address) const noexcept;

  // From now on `address` has the class.  False if the table is too full; then nothing changed.
  // REQUIRES: one caller at a time.
  bool assign(const Address& address, ClassId class_id);
  size_t keys_free() const noexcept { return capacity_ - used_; }  // an assignment takes one

  bool ok() const noexcept { return buckets_ != nullptr; }
  size_t bytes() const noexcept { return table_.bytes() + filter_.bytes(); }

 private:
  // Lengths of prefixes, 1 to 127, as bits; `longest` is 0 for none.
  struct Lengths {
    std::array<uint64_t, 2> bits = {};
    Address mask;  // of the longest
    uint8_t longest = 0;
    bool several = false;

    void add(uint8_t length);
    friend bool operator==(const Lengths& a, const Lengths& b) { return a.bits == b.bits; }
  };
  static constexpr size_t kMaxLengthSets = 256;  // the filter's entries are bytes
  static constexpr unsigned kExact = 128;

  const Bucket* bucket_of(const Address& base, unsigned length) const noexcept;
  static uint32_t tags_of(const Bucket& bucket) noexcept {
    return __atomic_load_n(&bucket.tags, __ATOMIC_ACQUIRE);
  }
  static uint32_t hits(const Bucket& bucket, uint32_t tags, const Address& base,
                       unsigned length) noexcept;
  const ClassId* entry(const Address& base, unsigned length) const noexcept;
  ClassId find_slowly(const Address& address, const Lengths& lengths) const noexcept;
  bool insert(const Entry& entry);
  void build_filter(std::span<const Entry> entries);

  Region table_, filter_;
  Bucket* buckets_ = nullptr;
  uint64_t bucket_mask_ = 0;
  const uint8_t* filter_of_ = nullptr;  // by the top 24 bits, or one zero
  uint64_t filter_mask_ = 0;
  std::vector<Lengths> length_sets_;  // 0: none; 1: all that occur
  ClassId default_ = 0;               // of ::/0
  size_t used_ = 0, capacity_ = 0;    // keys
};

// The look-up is compiled for several processor levels, none of which may lend its copy to
// another: so all of it is always inlined (tests/classifier/levels_test.py).
namespace ip6_hash {
inline constexpr uint64_t kA = 0x9e3779b97f4a7c15, kB = 0xc2b2ae3d27d4eb4f;

constexpr Address masked(const Address& a, unsigned length) {
  const uint64_t ones = ~uint64_t{0};
  const uint64_t hi = length >= 64 ? ones : ones << 1 << (63 - length);
  const uint64_t lo = length >= 128 ? ones : length <= 64 ? 0 : ones << (128 - length);
  return {a.hi & hi, a.lo & lo};
}

constexpr uint64_t hash(const Address& base, unsigned length) {
  const uint64_t mixed = (base.hi ^ (base.hi >> 29) ^ length) * kA + base.lo;
  const uint64_t folded = (mixed ^ (mixed >> 32)) * kB;
  return folded ^ (folded >> 31);
}
}  // namespace ip6_hash

[[gnu::always_inline]] inline const Ip6Classes::Bucket* Ip6Classes::bucket_of(
    const Address& base, unsigned length) const noexcept {
  return buckets_ + (ip6_hash::hash(base, length) & bucket_mask_);
}

// Bit i: key i of the bucket is this prefix.  A key whose tag is not there yet may just be
// written: what is read of it is not used.
[[gnu::always_inline]] inline uint32_t Ip6Classes::hits(const Bucket& bucket, uint32_t tags,
                                                        const Address& base,
                                                        unsigned length) noexcept {
  uint32_t found = 0;
#pragma GCC unroll 3
  for (unsigned i = 0; i < kKeys; ++i) {
    const uint64_t hi = __atomic_load_n(&bucket.key[i].hi, __ATOMIC_RELAXED);
    const uint64_t lo = __atomic_load_n(&bucket.key[i].lo, __ATOMIC_RELAXED);
    const uint64_t differs =
        (hi ^ base.hi) | (lo ^ base.lo) | ((tags >> (8 * i) & 0xff) ^ (length + 1));
    found |= uint32_t{differs == 0} << i;
  }
  return found;
}

// Which key it is differs from packet to packet: compute all, then choose.
[[gnu::always_inline]] inline const ClassId* Ip6Classes::exact_in(
    const Bucket& bucket, const Address& address) noexcept {
  const uint32_t found = hits(bucket, tags_of(bucket), address, kExact);
  return found == 0 ? nullptr : &bucket.class_id[__builtin_ctz(found)];
}

[[gnu::always_inline]] inline Ip6Classes::Probe Ip6Classes::probe(
    const Address& address) const noexcept {
  const uint32_t set = *filter_at(address);
  const Lengths& lengths = length_sets_[set];
  return {
      bucket_of({address.hi & lengths.mask.hi, address.lo & lengths.mask.lo}, lengths.longest),
      set};
}

[[gnu::always_inline]] inline ClassId Ip6Classes::resolve(
    const Probe& probe, const Bucket& exact, const Address& address) const noexcept {
  const Lengths& lengths = length_sets_[probe.lengths];
  const Address base = {address.hi & lengths.mask.hi, address.lo & lengths.mask.lo};
  const uint32_t tags = tags_of(*probe.prefix);
  const uint32_t found = hits(*probe.prefix, tags, base, lengths.longest);
  const bool elsewhere = ((tags & kOverflow) != 0) | lengths.several;
  const bool unsure = ((tags_of(exact) & kOverflow) != 0) | ((found == 0) & elsewhere);
  if (__builtin_expect(unsure, 0)) {
    return find_slowly(address, lengths);
  }
  constexpr uint32_t kSome = 1u << (kKeys - 1);  // any key, where there was no hit
  const ClassId* of_prefix = &probe.prefix->class_id[__builtin_ctz(found | kSome)];
  return __atomic_load_n(found != 0 ? of_prefix : &default_, __ATOMIC_RELAXED);
}

[[gnu::always_inline]] inline ClassId Ip6Classes::find(const Address& address) const noexcept {
  const Bucket& exact = *exact_at(address);
  const ClassId* known = exact_in(exact, address);
  return known != nullptr ? __atomic_load_n(known, __ATOMIC_RELAXED)
                          : resolve(probe(address), exact, address);
}

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_IP6_CLASSES_H_
