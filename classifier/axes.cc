// SPDX-License-Identifier: Apache-2.0
#include "classifier/axes.h"

#include <algorithm>
#include <compare>
#include <iterator>
#include <numeric>

namespace sluice {
namespace {

void set_bit(uint64_t* bitmap, size_t bit) {
  bitmap[bit / 64] |= uint64_t{1} << (bit % 64);
}
void clear_bit(uint64_t* bitmap, size_t bit) {
  bitmap[bit / 64] &= ~(uint64_t{1} << (bit % 64));
}

// The terms that ask about each membership, as numbers of those mentioned.
class Mentions {
 public:
  Mentions(const TermList& terms, SideOfTerm side) : base_((terms.terms.size() + 63) / 64) {
    for (const Term* term : terms.terms) {
      const Term::Side& s = term->*side;
      ids_.insert(ids_.end(), s.in.begin(), s.in.end());
      ids_.insert(ids_.end(), s.out.begin(), s.out.end());
    }
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    asked_.resize(ids_.size());
    for (uint32_t t = 0; t < terms.terms.size(); ++t) {
      const Term::Side& s = terms.terms[t]->*side;
      if (s.in.empty()) {
        set_bit(base_.data(), t);
      }
      for (const MembershipId id : s.in) {
        asked_[number(id)].in.push_back({t, static_cast<uint32_t>(s.in.size())});
      }
      for (const MembershipId id : s.out) {
        asked_[number(id)].out.push_back(t);
      }
    }
    met_.resize(terms.terms.size());
  }

  std::span<const MembershipId> ids() const { return ids_; }

  // The terms that hold for an address that has just these of the mentioned memberships.
  std::span<const uint64_t> bitmap(std::span<const uint32_t> numbers) {
    bits_ = base_;
    for (const uint32_t n : numbers) {
      for (const auto& [term, needed] : asked_[n].in) {
        if (++met_[term] == needed) {
          set_bit(bits_.data(), term);
        }
      }
    }
    for (const uint32_t n : numbers) {
      for (const auto& [term, needed] : asked_[n].in) {
        met_[term] = 0;
      }
      for (const uint32_t term : asked_[n].out) {
        clear_bit(bits_.data(), term);
      }
    }
    return bits_;
  }

 private:
  struct Asked {
    std::vector<std::pair<uint32_t, uint32_t>> in;  // term, and how many it needs in all
    std::vector<uint32_t> out;
  };
  size_t number(MembershipId id) const {
    return static_cast<size_t>(std::lower_bound(ids_.begin(), ids_.end(), id) - ids_.begin());
  }
  std::vector<uint64_t> base_;
  std::vector<MembershipId> ids_;
  std::vector<Asked> asked_;
  std::vector<uint32_t> met_;  // how many of a term's memberships were seen so far
  std::vector<uint64_t> bits_;
};

uint32_t with(uint32_t hash, MembershipId id) {  // of a combination, sorted, and one more
  const uint64_t mixed = (uint64_t{hash} << 32 | id) * 0x9e3779b97f4a7c15;
  return static_cast<uint32_t>(mixed >> 32);
}

}  // namespace

std::optional<ClassId> Asked::example(std::span<const MembershipId> signature,
                                      const ClassDirectory& directory) const {
  const auto combination = [&](std::span<const MembershipId> of) {
    std::vector<MembershipId> out;
    std::set_intersection(of.begin(), of.end(), ids.begin(), ids.end(),
                          std::back_inserter(out));
    return out;
  };
  const std::vector<MembershipId> wanted = combination(signature);
  const uint32_t wanted_hash = std::accumulate(wanted.begin(), wanted.end(), 0u, with);
  auto at = std::lower_bound(examples.begin(), examples.end(), Example{wanted_hash, 0});
  for (; at != examples.end() && at->hash == wanted_hash; ++at) {
    if (combination(directory.signature(at->class_id)) == wanted) {
      return at->class_id;
    }
  }
  return std::nullopt;
}

uint32_t Bitmaps::intern(std::span<const uint64_t> bitmap) {
  uint64_t hash = 0;
  for (const uint64_t word : bitmap) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 32;
  }
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (std::equal(bitmap.begin(), bitmap.end(), (*this)[it->second])) {
      return it->second;
    }
  }
  if (all_.size() * sizeof(uint64_t) + bitmap.size_bytes() > max_bytes_) {
    full_ = true;
    return 0;
  }
  all_.insert(all_.end(), bitmap.begin(), bitmap.end());
  by_hash_.emplace(hash, count_);
  return count_++;
}

ClassesOf::ClassesOf(const ClassDirectory& directory, size_t memberships)
    : class_count_(directory.size()), starts_(memberships + 1, 0) {
  for (ClassId c = 0; c < class_count_; ++c) {
    for (const MembershipId id : directory.signature(c)) {
      ++starts_[id + 1];
    }
  }
  for (size_t id = 0; id < memberships; ++id) {
    starts_[id + 1] += starts_[id];
  }
  classes_.resize(starts_.back());
  std::vector<size_t> at(starts_.begin(), starts_.end() - 1);
  for (ClassId c = 0; c < class_count_; ++c) {
    for (const MembershipId id : directory.signature(c)) {
      classes_[at[id]++] = c;
    }
  }
}

AddressAxis address_axis(const TermList& terms, SideOfTerm side, const ClassesOf& classes,
                         size_t max_bytes) {
  Mentions mentions(terms, side);
  // The classes of a group have its parent's memberships and one more.  Group 0 has none.
  struct Group {
    uint32_t parent = 0;
    uint32_t number = 0;             // of the membership
    uint32_t hash = 0;               // of all its memberships
    uint32_t split_by = UINT32_MAX;  // the last membership that some of its classes have, and
    uint32_t part = 0;               // the group of those
  };
  std::vector<Group> groups(1);
  std::vector<uint32_t> group_of(classes.class_count(), 0);
  for (uint32_t n = 0; n < mentions.ids().size(); ++n) {
    for (const ClassId c : classes[mentions.ids()[n]]) {
      const uint32_t group = group_of[c];
      if (groups[group].split_by != n) {
        groups[group].split_by = n;
        groups[group].part = static_cast<uint32_t>(groups.size());
        groups.push_back({group, n, with(groups[group].hash, mentions.ids()[n])});
      }
      group_of[c] = groups[group].part;
    }
  }
  AddressAxis axis{{},
                   Bitmaps(terms.terms.size(), max_bytes),
                   {0, {mentions.ids().begin(), mentions.ids().end()}, {}}};
  std::vector<uint32_t> row_of_group(groups.size(), UINT32_MAX);
  std::vector<uint32_t> numbers;  // of one group
  axis.row_of_class.reserve(group_of.size());
  for (ClassId c = 0; c < group_of.size(); ++c) {
    const uint32_t group = group_of[c];
    if (row_of_group[group] == UINT32_MAX) {
      numbers.clear();
      for (uint32_t g = group; g != 0; g = groups[g].parent) {
        numbers.push_back(groups[g].number);
      }
      row_of_group[group] = axis.rows.intern(mentions.bitmap(numbers));
      if (axis.rows.full()) {
        break;
      }
      axis.asked.examples.push_back({groups[group].hash, c});
    }
    axis.row_of_class.push_back(row_of_group[group]);
  }
  std::sort(axis.asked.examples.begin(), axis.asked.examples.end());
  return axis;
}

AddressAxis known_address(const TermList& terms) {
  AddressAxis axis{{}, Bitmaps(terms.terms.size()), {}};
  const std::vector<uint64_t> all(axis.rows.words(), ~uint64_t{0});
  axis.rows.intern(all);
  return axis;
}

RangeAxis range_axis(const TermList& terms, RangesOfTerm ranges, const RangeSpace& space) {
  struct Event {
    uint32_t at;
    uint32_t term;
    bool begins;
  };
  std::vector<Event> events;
  for (uint32_t t = 0; t < terms.terms.size(); ++t) {
    for (const Interval& interval : (terms.terms[t]->*ranges).all()) {
      events.push_back({interval.first, t, true});
      if (interval.last < space.last) {
        events.push_back({interval.last + 1, t, false});
      }
    }
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.at < b.at || (a.at == b.at && a.begins < b.begins);  // ends first
  });
  RangeAxis axis{{}, Bitmaps(terms.terms.size(), space.max_bytes)};
  std::vector<uint64_t> bits(axis.rows.words(), 0);
  const auto mark = [&](uint32_t at, uint32_t row, bool always) {
    if (always || axis.boundaries.back().row != row) {
      axis.boundaries.push_back({at, row});
    }
  };
  uint32_t next_stride = 0;
  for (size_t i = 0; !axis.rows.full() && (i < events.size() || next_stride <= space.last);) {
    const uint32_t event = i < events.size() ? events[i].at : UINT32_MAX;
    const uint32_t at = std::min(event, next_stride);
    for (; i < events.size() && events[i].at == at; ++i) {
      events[i].begins ? set_bit(bits.data(), events[i].term)
                       : clear_bit(bits.data(), events[i].term);
    }
    const bool forced = at == next_stride;
    mark(at, axis.rows.intern(bits), forced);
    if (forced) {
      next_stride = space.stride == 0 ? UINT32_MAX : next_stride + space.stride;
    }
  }
  return axis;
}

}  // namespace sluice
