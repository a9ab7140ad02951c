// SPDX-License-Identifier: Apache-2.0
#include "classifier/ip4_classes.h"

#include <algorithm>
#include <cassert>

namespace sluice {
namespace {

constexpr size_t kFirstLevel = size_t{1} << 24;

uint32_t runs_of(const std::array<ClassId, 256>& classes) {
  uint32_t runs = 1;
  for (size_t i = 1; i < classes.size(); ++i) {
    runs += classes[i] != classes[i - 1] ? 1 : 0;
  }
  return runs;
}

bool fits_sparse(const std::array<ClassId, 256>& classes) {
  return runs_of(classes) <= Ip4Classes::kRuns &&
         *std::max_element(classes.begin(), classes.end()) <= UINT16_MAX;
}

// Calls visit(slash24, classes) for each /24 that `entries` split, with `word_of(slash24)` as
// the class around them; calls paint(entry) for each entry that covers whole /24s.
template <typename Paint, typename WordOf, typename Visit>
void walk(std::span<const Ip4Classes::Entry> entries, const Paint& paint, const WordOf& word_of,
          const Visit& visit) {
  std::array<ClassId, 256> group;
  for (size_t i = 0; i < entries.size();) {
    if (entries[i].length <= 24) {
      paint(entries[i++]);
      continue;
    }
    const uint32_t slash24 = entries[i].base >> 8;
    group.fill(word_of(slash24));
    for (; i < entries.size() && entries[i].base >> 8 == slash24; ++i) {
      std::fill_n(group.begin() + (entries[i].base & 0xff),
                  size_t{1} << (32 - entries[i].length), entries[i].class_id);
    }
    visit(slash24, group);
  }
}

}  // namespace

Ip4Classes::Ip4Classes(std::span<const Entry> entries) {
  if (entries.empty()) {
    return;
  }
  first_level_ = Region(kFirstLevel * sizeof(uint32_t));
  first_ = first_level_.as<uint32_t>();
  mask_ = kFirstLevel - 1;
  if (first_ == nullptr) {
    return;
  }
  const auto paint = [&](const Entry& entry) {
    const size_t count = size_t{1} << (24 - entry.length);
    std::fill_n(writable(entry.base >> 8, count), count, entry.class_id);
  };
  const auto word_of = [&](uint32_t slash24) { return *writable(slash24); };
  size_t lines = 0;
  walk(entries, paint, word_of, [&](uint32_t, const Group& classes) {
    lines += fits_sparse(classes) ? 1 : kDenseLines;
  });
  capacity_ = lines + lines / 4 + kSpareLines;
  groups_ = Region(capacity_ * sizeof(Line));
  lines_ = groups_.as<Line>();
  if (lines_ == nullptr) {
    return;
  }
  walk(
      entries, [](const Entry&) {}, word_of,
      [&](uint32_t slash24, const Group& classes) {
        *writable(slash24) = make_group(classes);
      });
}

Ip4Classes Ip4Classes::copy() const {
  Ip4Classes out;
  if (mask_ == 0) {
    return out;
  }
  out.first_level_ = Region(first_level_.bytes());
  out.groups_ = Region(groups_.bytes());
  out.first_ = out.first_level_.as<uint32_t>();
  out.mask_ = mask_;
  out.lines_ = out.groups_.as<Line>();
  if (!out.ok()) {
    return out;
  }
  constexpr size_t kPartBytes = kPart * sizeof(uint32_t);
  for (size_t part = 0; part < written_.size(); ++part) {
    if (written_[part]) {
      out.first_level_.take(first_level_, part * kPartBytes, kPartBytes);
    }
  }
  out.groups_.take(groups_, 0, used_ * sizeof(Line));
  out.used_ = used_;
  out.capacity_ = capacity_;
  out.written_ = written_;
  return out;
}

uint32_t* Ip4Classes::writable(uint32_t slash24, size_t count) {
  for (size_t part = slash24 / kPart; part <= (slash24 + count - 1) / kPart; ++part) {
    written_.set(part);
  }
  return first_level_.as<uint32_t>() + slash24;
}

uint32_t Ip4Classes::make_group(const Group& classes) {
  const bool sparse = fits_sparse(classes);
  const size_t lines = sparse ? 1 : kDenseLines;
  if (used_ + lines > capacity_) {
    return kNoWord;
  }
  const auto at = static_cast<uint32_t>(used_);
  used_ += lines;
  if (!sparse) {
    std::copy(classes.begin(), classes.end(),
              static_cast<ClassId*>(static_cast<void*>(lines_ + at)));
    return kGroup | kDense | at;
  }
  Line& line = lines_[at];
  size_t run = 0;
  for (size_t i = 0; i < classes.size(); ++i) {
    if (i == 0 || classes[i] != classes[i - 1]) {
      line.starts[i / 64] |= uint64_t{1} << (i % 64);
      line.run_class[run++] = static_cast<uint16_t>(classes[i]);
    }
  }
  return kGroup | at;
}

bool Ip4Classes::assign(Ip4 address, ClassId class_id) {
  assert(mask_ != 0);
  uint32_t* word = writable(address.value >> 8);
  const uint32_t low = address.value & 0xff;
  if ((*word & (kGroup | kDense)) == (kGroup | kDense)) {
    auto* dense = static_cast<ClassId*>(static_cast<void*>(lines_ + (*word & kIndex)));
    __atomic_store_n(dense + low, class_id, __ATOMIC_RELEASE);
    return true;
  }
  Group classes;
  for (uint32_t i = 0; i < classes.size(); ++i) {
    classes[i] = resolve(*word, Ip4{(address.value & ~0xffu) | i});
  }
  if (classes[low] == class_id) {
    return true;
  }
  classes[low] = class_id;
  const uint32_t replaced = make_group(classes);
  if (replaced == kNoWord) {
    return false;
  }
  __atomic_store_n(word, replaced, __ATOMIC_RELEASE);
  return true;
}

}  // namespace sluice
