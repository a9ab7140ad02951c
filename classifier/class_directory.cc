// SPDX-License-Identifier: Apache-2.0
#include "classifier/class_directory.h"

#include <algorithm>
#include <cassert>

namespace sluice {
namespace {

uint64_t hash_of(std::span<const MembershipId> signature) {
  uint64_t hash = signature.size();
  for (const MembershipId id : signature) {
    hash = (hash ^ id) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

size_t bytes_of(std::span<const MembershipId> signature) {
  constexpr size_t kNode = 40;  // of the index
  return kNode + sizeof(std::vector<MembershipId>) + signature.size_bytes();
}

}  // namespace

ClassDirectory::ClassDirectory() {
  id_of(std::span<const MembershipId>{});
}

std::optional<ClassId> ClassDirectory::find(std::span<const MembershipId> signature) const {
  const auto [first, last] = by_hash_.equal_range(hash_of(signature));
  for (auto it = first; it != last; ++it) {
    const std::vector<MembershipId>& known = classes_[it->second];
    if (std::equal(known.begin(), known.end(), signature.begin(), signature.end())) {
      return it->second;
    }
  }
  return std::nullopt;
}

ClassId ClassDirectory::id_of(std::span<const MembershipId> signature) {
  assert(std::is_sorted(signature.begin(), signature.end()));
  if (const std::optional<ClassId> known = find(signature)) {
    return *known;
  }
  const auto id = static_cast<ClassId>(classes_.size());
  classes_.emplace_back(signature.begin(), signature.end());
  by_hash_.emplace(hash_of(signature), id);
  bytes_ += bytes_of(signature);
  return id;
}

}  // namespace sluice
