// SPDX-License-Identifier: Apache-2.0
#include "classifier/address_classes.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace sluice {
namespace {

using Range = AddressSet::Range;

constexpr Address kFirst4 = Address::of(Ip4{0});
constexpr Address kLast4 = Address::of(Ip4{UINT32_MAX});

// One prefix of one membership of IPv4, packed into a word, so that millions sort fast.
constexpr unsigned kMembershipBits = 26;
constexpr uint64_t pack4(uint64_t base, uint64_t length, MembershipId membership) {
  return base << 32 | length << kMembershipBits | membership;
}

// The prefixes that make up first..last, for IPv6: the widest that begins there and stays
// inside, again and again.
template <typename Add>
void split6(Address first, const Address& last, const Add& add) {
  for (;;) {
    unsigned length = 128;
    while (length > 0) {
      const Prefix wider = Prefix::of(first, length - 1);
      if (wider.base != first || last < wider.last()) {
        break;
      }
      --length;
    }
    add(first, length);
    first = Prefix::of(first, length).last();
    if (first == last) {
      return;
    }
    first = first.next();
  }
}

std::vector<uint64_t> members4(const Memberships& memberships) {
  std::vector<uint64_t> all;
  for (MembershipId id = 0; id < memberships.size(); ++id) {
    const auto add = [&](uint64_t base, uint64_t length) {
      all.push_back(pack4(base, length, id));
    };
    const Intervals ip4 = memberships.members(id).ip4();
    for (const Interval& range : ip4.all()) {
      split_prefixes(range, add);
    }
  }
  return all;
}

// Sorts words by 11 bits at a time.  Six passes over millions beat comparing them.
void radix_sort(std::vector<uint64_t>& words) {
  constexpr unsigned kBits = 11;
  constexpr size_t kBuckets = size_t{1} << kBits;
  std::vector<uint64_t> other(words.size());
  for (unsigned shift = 0; shift < 64; shift += kBits) {
    std::array<size_t, kBuckets + 1> starts{};
    for (const uint64_t word : words) {
      ++starts[((word >> shift) & (kBuckets - 1)) + 1];
    }
    for (size_t i = 1; i <= kBuckets; ++i) {
      starts[i] += starts[i - 1];
    }
    for (const uint64_t word : words) {
      other[starts[(word >> shift) & (kBuckets - 1)]++] = word;
    }
    words.swap(other);
  }
}

// Prefixes come in order of (base, length); those that hold the current one are open, and its
// signature is that of the innermost open one and its own memberships.
template <typename Base>
class Nesting {
 public:
  explicit Nesting(ClassDirectory& directory) : directory_(directory) {}

  ClassId enter(const Base& base, const Base& last, std::span<const MembershipId> own) {
    while (!open_.empty() && open_.back().last < base) {
      open_.pop_back();
    }
    const std::span<const MembershipId> outer =
        directory_.signature(open_.empty() ? 0 : open_.back().class_id);
    merged_.clear();
    std::merge(outer.begin(), outer.end(), own.begin(), own.end(), std::back_inserter(merged_));
    const ClassId id = directory_.id_of(merged_);
    open_.push_back({last, id});
    return id;
  }

 private:
  struct Open {
    Base last;
    ClassId class_id;
  };
  ClassDirectory& directory_;
  std::vector<Open> open_;
  std::vector<MembershipId> merged_;
};

// ::/0 leaves out the mapped IPv4 addresses, which are never looked up here: close the gap.
std::vector<Range> ranges6(const AddressSet& set) {
  std::vector<Range> out;
  const Address before4{0, kFirst4.lo - 1}, after4{0, kLast4.lo + 1};
  for (const Range& range : set.ranges()) {
    if (range.first <= before4) {
      out.push_back({range.first, std::min(range.last, before4)});
    }
    if (range.last >= after4) {
      out.push_back({std::max(range.first, after4), range.last});
      if (out.size() > 1 && out[out.size() - 2].last == before4 && out.back().first == after4) {
        out[out.size() - 2].last = range.last;
        out.pop_back();
      }
    }
  }
  return out;
}

// A prefix of IPv6 and the memberships that have it, sorted.
struct Members6 {
  Prefix prefix;
  std::vector<MembershipId> memberships;
};

std::vector<Members6> members6(const Memberships& memberships) {
  struct Hash {
    size_t operator()(const Prefix& p) const { return ip6_hash::hash(p.base, p.length); }
  };
  std::unordered_map<Prefix, size_t, Hash> index;  // many memberships have the same prefixes
  std::vector<Members6> all;
  for (MembershipId id = 0; id < memberships.size(); ++id) {
    const auto add = [&](const Address& base, unsigned length) {
      const Prefix prefix{base, static_cast<uint8_t>(length)};
      const auto [found, fresh] = index.try_emplace(prefix, all.size());
      if (fresh) {
        all.push_back({prefix, {}});
      }
      all[found->second].memberships.push_back(id);
    };
    for (const Range& range : ranges6(memberships.members(id))) {
      split6(range.first, range.last, add);
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Members6& a, const Members6& b) { return a.prefix < b.prefix; });
  return all;
}

}  // namespace

AddressClasses::AddressClasses(const Memberships& memberships, const AddressClasses* previous) {
  if (previous != nullptr) {  // every known class stands where it stood
    directory_ = previous->directory_;
  }
  build_ip4(memberships);
  build_ip6(memberships);
}

AddressClasses AddressClasses::copy() const {
  AddressClasses out;
  out.directory_ = directory_;
  out.ip4_ = ip4_.copy();
  out.ip6_ = ip6_.copy();
  return out;
}

void AddressClasses::build_ip4(const Memberships& memberships) {
  std::vector<uint64_t> members = members4(memberships);
  radix_sort(members);
  std::vector<Ip4Classes::Entry> entries;
  std::vector<MembershipId> own;
  Nesting<uint64_t> nesting(directory_);
  constexpr uint64_t kMembership = (uint64_t{1} << kMembershipBits) - 1;
  for (size_t i = 0; i < members.size();) {
    const uint64_t prefix = members[i] >> kMembershipBits;
    own.clear();
    for (; i < members.size() && members[i] >> kMembershipBits == prefix; ++i) {
      own.push_back(static_cast<MembershipId>(members[i] & kMembership));
    }
    const uint64_t base = prefix >> (32 - kMembershipBits);
    const auto length = static_cast<uint8_t>(prefix & 63);
    const uint64_t last = base + (uint64_t{1} << (32 - length)) - 1;
    entries.push_back({static_cast<uint32_t>(base), length, nesting.enter(base, last, own)});
  }
  ip4_ = Ip4Classes(entries);
}

void AddressClasses::build_ip6(const Memberships& memberships) {
  const std::vector<Members6> members = members6(memberships);
  std::vector<Ip6Classes::Entry> entries;
  entries.reserve(members.size());
  Nesting<Address> nesting(directory_);
  for (const auto& [prefix, own] : members) {
    entries.push_back(
        {prefix.base, prefix.length, nesting.enter(prefix.base, prefix.last(), own)});
  }
  ip6_ = Ip6Classes(entries);
}

ClassId AddressClasses::find(const Address& address) const noexcept {
  return address.is_v4() ? ip4_.find(address.v4()) : ip6_.find(address);
}

bool AddressClasses::assign(const Address& address, ClassId class_id) {
  return address.is_v4() ? ip4_.assign(address.v4(), class_id) : ip6_.assign(address, class_id);
}

}  // namespace sluice
