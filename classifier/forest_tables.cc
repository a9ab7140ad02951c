// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest_tables.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <unordered_map>

namespace sluice::forest {
namespace {

constexpr unsigned kMaxLevels = 3;
constexpr size_t kMaxBoundaries = kWays * kWays * kWays - 1;
constexpr uint64_t kMix = 0x9e3779b97f4a7c15;

// Sets of rules, each kept once; the number of a set is a class.
class RuleSets {
 public:
  explicit RuleSets(size_t rules) : words_((rules + 63) / 64) {}

  size_t size() const { return words_ == 0 ? 0 : bits_.size() / words_; }
  std::span<const uint64_t> operator[](size_t id) const {
    return std::span(bits_).subspan(id * words_, words_);
  }
  size_t words() const { return words_; }

  uint32_t number_of(std::span<const uint64_t> set) {
    uint64_t hash = 0;
    for (size_t i = 0; i < set.size(); ++i) {
      hash += (set[i] ^ set[i] >> 32) * (kMix * (2 * i + 1));
    }
    hash ^= hash >> 29;
    const auto [begin, end] = known_.equal_range(hash);
    for (auto at = begin; at != end; ++at) {
      const auto other = (*this)[at->second];
      if (std::equal(set.begin(), set.end(), other.begin())) {
        return at->second;
      }
    }
    const auto id = static_cast<uint32_t>(size());
    bits_.insert(bits_.end(), set.begin(), set.end());
    known_.emplace(hash, id);
    return id;
  }

 private:
  size_t words_;
  std::vector<uint64_t> bits_;
  std::unordered_multimap<uint64_t, uint32_t> known_;
};

// One field of all rules: the values from `low` to `high` of each.
struct Interval {
  uint32_t low;
  uint32_t high;
};

// A field's values, cut where some rule begins or ends to hold.
struct Cuts {
  std::vector<uint32_t> at;       // ascending; below at[0] lies the first part, and so on
  std::vector<uint16_t> classes;  // of the parts: at.size() + 1
  RuleSets sets;
};

// Nothing if there are more than `max` cuts, or more classes than fit 16 bits.
std::optional<Cuts> cut(std::span<const Interval> rules, size_t max) {
  struct Change {
    uint32_t at;
    uint32_t rule;
  };
  Cuts cuts{{}, {}, RuleSets(rules.size())};
  std::vector<uint64_t> holding(cuts.sets.words());
  std::vector<Change> changes;
  for (uint32_t rule = 0; rule < rules.size(); ++rule) {
    if (rules[rule].low == 0) {
      holding[rule / 64] |= uint64_t{1} << (rule % 64);
    } else {
      changes.push_back({rules[rule].low, rule});
    }
    if (rules[rule].high != UINT32_MAX) {
      changes.push_back({rules[rule].high + 1, rule});
    }
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.at < b.at; });
  cuts.classes.push_back(static_cast<uint16_t>(cuts.sets.number_of(holding)));
  for (size_t i = 0; i < changes.size();) {
    const uint32_t at = changes[i].at;
    for (; i < changes.size() && changes[i].at == at; ++i) {
      holding[changes[i].rule / 64] ^= uint64_t{1} << (changes[i].rule % 64);
    }
    const uint32_t number = cuts.sets.number_of(holding);
    cuts.at.push_back(at);
    cuts.classes.push_back(static_cast<uint16_t>(number));
    if (cuts.at.size() > max || number >= kNoRule) {
      return std::nullopt;
    }
  }
  return cuts;
}

// All pairs of two classes: what rules are left.  Nothing if the table would be too large, or
// more than `max_classes` come out.
std::optional<RuleSets> combine(const RuleSets& rows, const RuleSets& columns,
                                size_t max_classes, Cross& cross) {
  if (rows.size() * columns.size() > kMaxCells) {
    return std::nullopt;
  }
  RuleSets combined(rows.words() * 64);
  std::vector<uint64_t> both(rows.words());
  cross.columns = static_cast<uint32_t>(columns.size());
  cross.cells.clear();
  cross.cells.reserve(rows.size() * columns.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto row = rows[r];
    for (size_t c = 0; c < columns.size(); ++c) {
      const auto column = columns[c];
      for (size_t word = 0; word < both.size(); ++word) {
        both[word] = row[word] & column[word];
      }
      const uint32_t number = combined.number_of(both);
      if (number >= max_classes) {
        return std::nullopt;
      }
      cross.cells.push_back(static_cast<uint16_t>(number));
    }
  }
  return combined;
}

uint16_t first_of_both(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  for (size_t word = 0; word < a.size(); ++word) {
    if (const uint64_t both = a[word] & b[word]; both != 0) {
      return static_cast<uint16_t>(word * 64 + static_cast<size_t>(std::countr_zero(both)));
    }
  }
  return kNoRule;
}

// Like combine, but all that is kept is the first rule of each pair.
bool decide(const RuleSets& rows, const RuleSets& columns, Cross& cross) {
  if (rows.size() * columns.size() > kMaxCells) {
    return false;
  }
  cross.columns = static_cast<uint32_t>(columns.size());
  cross.cells.clear();
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < columns.size(); ++c) {
      cross.cells.push_back(first_of_both(rows[r], columns[c]));
    }
  }
  return true;
}

void transpose(Cross& cross) {
  const uint32_t columns = cross.columns;
  const auto rows = static_cast<uint32_t>(cross.cells.size() / columns);
  std::vector<uint16_t> turned(cross.cells.size());
  for (uint32_t r = 0; r < rows; ++r) {
    for (uint32_t c = 0; c < columns; ++c) {
      turned[size_t{c} * rows + r] = cross.cells[size_t{r} * columns + c];
    }
  }
  cross.cells = std::move(turned);
  cross.columns = rows;
}

// Keeps one of equal rows, and gives the classes in `users`, which name rows, the row's new
// number.
void merge_rows(Cross& cross, std::span<uint16_t> users) {
  const size_t columns = cross.columns;
  const size_t rows = cross.cells.size() / columns;
  const auto row = [&](size_t r) {
    return std::span(cross.cells).subspan(r * columns, columns);
  };
  std::unordered_multimap<uint64_t, uint16_t> known;
  std::vector<uint16_t> renamed(rows);
  uint16_t kept = 0;
  for (size_t r = 0; r < rows; ++r) {
    uint64_t hash = 0;
    for (const uint16_t cell : row(r)) {
      hash = (hash ^ cell) * kMix;
      hash ^= hash >> 29;
    }
    const auto [begin, end] = known.equal_range(hash);
    const auto same = std::find_if(begin, end, [&](const auto& entry) {
      return std::equal(row(r).begin(), row(r).end(), row(entry.second).begin());
    });
    if (same != end) {
      renamed[r] = same->second;
      continue;
    }
    std::copy(row(r).begin(), row(r).end(), row(kept).begin());
    known.emplace(hash, kept);
    renamed[r] = kept++;
  }
  cross.cells.resize(kept * columns);
  cross.cells.shrink_to_fit();
  for (uint16_t& user : users) {
    user = renamed[user];
  }
}

void merge(Cross& cross, std::span<uint16_t> row_users, std::span<uint16_t> column_users) {
  merge_rows(cross, row_users);
  transpose(cross);
  merge_rows(cross, column_users);
  transpose(cross);
}

Boundaries arrange(const Cuts& cuts) {
  Boundaries b;
  size_t slots = 1;
  for (b.levels = 0; slots <= cuts.at.size(); ++b.levels) {
    slots *= kWays;
  }
  const auto at = [&](size_t i) { return i < cuts.at.size() ? cuts.at[i] : UINT32_MAX; };
  for (size_t stride = slots / kWays, lines = 1; stride != 0; stride /= kWays, lines *= kWays) {
    for (size_t line = 0; line < lines; ++line) {
      Boundaries::Line& out = b.lines.emplace_back();
      for (unsigned i = 0; i < kWays - 1; ++i) {
        out.at[i] = at((line * kWays + i + 1) * stride - 1);
      }
    }
  }
  // The highest address counts the empty slots, too.
  b.classes = cuts.classes;
  b.classes.resize(slots, cuts.classes.back());
  return b;
}

PortClasses arrange_ports(const Cuts& cuts) {
  PortClasses ports;
  std::vector<uint16_t> all;
  for (size_t part = 0; part < cuts.classes.size(); ++part) {
    const size_t end = part < cuts.at.size() ? cuts.at[part] : 0x10000;
    all.resize(std::min<size_t>(end, 0x10000), cuts.classes[part]);
  }
  for (size_t high = 0; high < 256; ++high) {
    const auto page = std::span(all).subspan(high * 256, 256);
    size_t at = 0;
    while (at < ports.classes.size() &&
           !std::equal(page.begin(), page.end(),
                       ports.classes.begin() + static_cast<ptrdiff_t>(at))) {
      at += 256;
    }
    if (at == ports.classes.size()) {
      ports.classes.insert(ports.classes.end(), page.begin(), page.end());
    }
    ports.page[high] = static_cast<uint16_t>(at / 256);
  }
  return ports;
}

Interval addresses(uint32_t base, unsigned length) {
  const uint32_t mask = FiveTupleRule::mask(length);
  return {base & mask, base | ~mask};
}

template <typename Get>
std::vector<Interval> field(std::span<const FiveTupleRule> rules, const Get& get) {
  std::vector<Interval> intervals;
  intervals.reserve(rules.size());
  for (const FiveTupleRule& rule : rules) {
    intervals.push_back(get(rule));
  }
  return intervals;
}

Interval ports(PortRange range) {
  return {range.low, range.high};
}

// Classes of all fields before they are arranged for lookups.
struct Fields {
  std::optional<Cuts> src, dst, src_port, dst_port, protocol;
  explicit Fields(std::span<const FiveTupleRule> rules)
      : src(cut(field(rules, [](const auto& r) { return addresses(r.src, r.src_length); }),
                kMaxBoundaries)),
        dst(cut(field(rules, [](const auto& r) { return addresses(r.dst, r.dst_length); }),
                kMaxBoundaries)),
        src_port(cut(field(rules, [](const auto& r) { return ports(r.src_port); }), 0x10000)),
        dst_port(cut(field(rules, [](const auto& r) { return ports(r.dst_port); }), 0x10000)),
        protocol(cut(
            field(rules,
                  [](const auto& r) {
                    return r.any_protocol ? Interval{0, 255} : Interval{r.protocol, r.protocol};
                  }),
            256)) {}
  bool fit() const { return src && dst && src_port && dst_port && protocol; }
};

}  // namespace

size_t Tables::bytes() const {
  size_t total = sizeof(*this);
  for (const Boundaries* b : {&src, &dst}) {
    total += b->lines.size() * sizeof(Boundaries::Line) + b->classes.size() * sizeof(uint16_t);
  }
  for (const PortClasses* p : {&src_port, &dst_port}) {
    total += p->classes.size() * sizeof(uint16_t);
  }
  for (const Cross* c : {&addresses, &service, &l4, &first}) {
    total += c->cells.size() * sizeof(uint16_t);
  }
  return total;
}

std::unique_ptr<Tables> build_tables(std::span<const FiveTupleRule> rules, size_t max_bytes) {
  if (rules.empty() || rules.size() > kMaxTableRules) {
    return nullptr;
  }
  Fields f(rules);
  if (!f.fit()) {
    return nullptr;
  }
  auto tables = std::make_unique<Tables>();
  // The services first: they are quick, and tell how many classes of addresses are too many.
  const auto service = combine(f.dst_port->sets, f.protocol->sets, kNoRule, tables->service);
  if (!service) {
    return nullptr;
  }
  const auto l4 = combine(*service, f.src_port->sets, kNoRule, tables->l4);
  if (!l4) {
    return nullptr;
  }
  const size_t max_classes = std::min<size_t>(kNoRule, kMaxCells / l4->size());
  if (f.src->sets.size() * f.dst->sets.size() > kMaxAddressCells) {
    return nullptr;
  }
  const auto addresses = combine(f.src->sets, f.dst->sets, max_classes, tables->addresses);
  if (!addresses || !decide(*addresses, *l4, tables->first)) {
    return nullptr;
  }
  merge(tables->first, tables->addresses.cells, tables->l4.cells);
  merge(tables->addresses, f.src->classes, f.dst->classes);
  merge(tables->l4, tables->service.cells, f.src_port->classes);
  merge(tables->service, f.dst_port->classes, f.protocol->classes);
  tables->src = arrange(*f.src);
  tables->dst = arrange(*f.dst);
  tables->src_port = arrange_ports(*f.src_port);
  tables->dst_port = arrange_ports(*f.dst_port);
  for (size_t value = 0; value < 256; ++value) {
    const auto& at = f.protocol->at;
    const auto part = std::upper_bound(at.begin(), at.end(), value) - at.begin();
    tables->protocol[value] = f.protocol->classes[static_cast<size_t>(part)];
  }
  return tables->bytes() <= std::min(max_bytes, kMaxTableBytes) ? std::move(tables) : nullptr;
}

}  // namespace sluice::forest
