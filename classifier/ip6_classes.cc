// SPDX-License-Identifier: Apache-2.0
#include "classifier/ip6_classes.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr size_t kFilterBits = 24;
constexpr size_t kSpareKeys = 1024;  // for assignments
constexpr uint8_t kNoFilter = 0;

}  // namespace

Ip6Classes::Ip6Classes(std::span<const Entry> entries) : filter_of_(&kNoFilter) {
  const size_t keys = entries.size() + entries.size() / 4 + kSpareKeys;
  const size_t buckets = std::bit_ceil(keys * 2 / kKeys);
  table_ = Region(buckets * sizeof(Bucket));
  buckets_ = table_.as<Bucket>();
  length_sets_.push_back({});
  if (buckets_ == nullptr) {
    return;
  }
  bucket_mask_ = buckets - 1;
  capacity_ = keys;
  for (const Entry& entry : entries) {
    if (entry.length == 0) {
      default_ = entry.class_id;
    } else {
      insert(entry);
    }
  }
  build_filter(entries);
}

Ip6Classes Ip6Classes::copy() const {
  Ip6Classes out;
  out.table_ = table_.copy();
  out.buckets_ = out.table_.as<Bucket>();
  out.bucket_mask_ = bucket_mask_;
  if (filter_mask_ != 0) {
    out.filter_ = filter_.copy();
    out.filter_of_ = out.filter_.as<uint8_t>();
    out.filter_mask_ = filter_mask_;
    out.buckets_ = out.filter_of_ == nullptr ? nullptr : out.buckets_;
  }
  out.length_sets_ = length_sets_;
  out.default_ = default_;
  out.used_ = used_;
  out.capacity_ = capacity_;
  return out;
}

void Ip6Classes::Lengths::add(uint8_t length) {
  several = several || (longest != 0 && longest != length);
  bits[length / 64] |= uint64_t{1} << (length % 64);
  longest = std::max(longest, length);
  mask = ip6_hash::masked({UINT64_MAX, UINT64_MAX}, longest);
}

bool Ip6Classes::insert(const Entry& entry) {
  if (used_ == capacity_) {
    return false;
  }
  uint64_t at = ip6_hash::hash(entry.base, entry.length) & bucket_mask_;
  for (;;) {
    Bucket& bucket = buckets_[at];
    for (unsigned i = 0; i < kKeys; ++i) {
      if ((bucket.tags >> (8 * i) & 0xff) == 0) {
        __atomic_store_n(&bucket.key[i].hi, entry.base.hi, __ATOMIC_RELAXED);
        __atomic_store_n(&bucket.key[i].lo, entry.base.lo, __ATOMIC_RELAXED);
        __atomic_store_n(&bucket.class_id[i], entry.class_id, __ATOMIC_RELAXED);
        const uint32_t tag = uint32_t{entry.length} + 1;
        __atomic_store_n(&bucket.tags, bucket.tags | tag << (8 * i), __ATOMIC_RELEASE);
        ++used_;
        return true;
      }
    }
    __atomic_store_n(&bucket.tags, bucket.tags | kOverflow, __ATOMIC_RELEASE);
    at = (at + 1) & bucket_mask_;
  }
}

void Ip6Classes::build_filter(std::span<const Entry> entries) {
  const auto filtered = [](const Entry& e) { return e.length > 0 && e.length < 128; };
  if (std::none_of(entries.begin(), entries.end(), filtered)) {
    return;
  }
  filter_ = Region(size_t{1} << kFilterBits);
  auto* filter = filter_.as<uint8_t>();
  if (filter == nullptr) {
    buckets_ = nullptr;
    return;
  }
  filter_of_ = filter;
  filter_mask_ = (uint64_t{1} << kFilterBits) - 1;
  Lengths all;  // set 1, which also stands for those that find no room

  for (const Entry& entry : entries) {
    if (filtered(entry)) {
      all.add(entry.length);
    }
  }
  length_sets_.push_back(all);
  const auto with = [&](uint8_t set, uint8_t length) {
    Lengths grown = length_sets_[set];
    grown.add(length);
    auto found = std::find(length_sets_.begin(), length_sets_.end(), grown);
    if (found == length_sets_.end()) {
      if (length_sets_.size() == kMaxLengthSets) {
        return uint8_t{1};
      }
      found = length_sets_.insert(length_sets_.end(), grown);
    }
    return static_cast<uint8_t>(found - length_sets_.begin());
  };
  for (const Entry& entry : entries) {
    if (!filtered(entry)) {
      continue;
    }
    const uint64_t first = entry.base.hi >> (64 - kFilterBits);
    const uint64_t count =
        entry.length >= kFilterBits ? 1 : uint64_t{1} << (kFilterBits - entry.length);
    uint8_t last = 0, last_grown = with(0, entry.length);
    for (uint64_t i = first; i < first + count; ++i) {
      if (filter[i] != last) {
        last = filter[i];
        last_grown = with(last, entry.length);
      }
      filter[i] = last_grown;
    }
  }
}

// The entry of a prefix, or null.  Follows overflows.
const ClassId* Ip6Classes::entry(const Address& base, unsigned length) const noexcept {
  const Bucket* bucket = bucket_of(base, length);
  for (;;) {
    const uint32_t tags = tags_of(*bucket);
    if (const uint32_t found = hits(*bucket, tags, base, length); found != 0) {
      return &bucket->class_id[static_cast<unsigned>(__builtin_ctz(found))];
    }
    if ((tags & kOverflow) == 0) {
      return nullptr;
    }
    bucket = buckets_ + ((static_cast<uint64_t>(bucket - buckets_) + 1) & bucket_mask_);
  }
}

ClassId Ip6Classes::find_slowly(const Address& address, const Lengths& lengths) const noexcept {
  if (const ClassId* exact = entry(address, 128)) {
    return __atomic_load_n(exact, __ATOMIC_RELAXED);
  }
  for (unsigned half = 2; half-- > 0;) {
    uint64_t left = lengths.bits[half];
    while (left != 0) {
      const auto bit = static_cast<unsigned>(std::bit_width(left) - 1) & 63;
      left &= ~(uint64_t{1} << bit);
      const unsigned length = half * 64 + bit;
      if (const ClassId* found = entry(ip6_hash::masked(address, length), length)) {
        return __atomic_load_n(found, __ATOMIC_RELAXED);
      }
    }
  }
  return default_;
}

bool Ip6Classes::assign(const Address& address, ClassId class_id) {
  if (const ClassId* known = entry(address, 128)) {
    __atomic_store_n(const_cast<ClassId*>(known), class_id, __ATOMIC_RELEASE);
    return true;
  }
  return insert({address, 128, class_id});
}

}  // namespace sluice
