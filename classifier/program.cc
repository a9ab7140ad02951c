// SPDX-License-Identifier: Apache-2.0
#include "classifier/program.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <map>
#include <numeric>

namespace sluice {
namespace {

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ (hash >> 32);
}

template <typename T>
uint64_t hash_all(uint64_t hash, const std::vector<T>& values) {
  hash = mix(hash, values.size());
  for (const T& value : values) {
    hash = mix(hash, value);
  }
  return hash;
}

uint64_t hash_of(const Projection& p) {
  uint64_t hash = mix(p.shift, p.bytes.size());
  for (size_t i = 0; i < p.bytes.size(); i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, p.bytes.data() + i, std::min(sizeof word, p.bytes.size() - i));
    hash = mix(hash, word);
  }
  return hash;
}
uint64_t hash_of(const Asked& a) {
  uint64_t hash = hash_all(0, a.ids);
  for (const Asked::Example& example : a.examples) {
    hash = mix(hash, uint64_t{example.hash} << 32 | example.class_id);
  }
  return hash;
}
uint64_t hash_of(const PortMap& p) {
  uint64_t hash = 0;
  for (const PortMap::Line& line : p.lines) {
    const auto words =
        std::bit_cast<std::array<uint64_t, sizeof line / sizeof(uint64_t)>>(line);
    hash = std::accumulate(words.begin(), words.end(), hash, mix);
  }
  return hash;
}
uint64_t hash_of(const SourcePorts& p) {
  return hash_all(hash_all(0, p.firsts), p.rows);
}
uint64_t hash_of(const Table& t) {
  return hash_all(hash_all(t.columns, t.cells), t.exceptions);
}
uint64_t hash_all(uint64_t hash, const std::vector<Consequence>& consequences) {
  for (const Consequence& c : consequences) {
    hash = mix(hash, uint64_t{c.next} << 32 | c.outcome);
  }
  return hash;
}
uint64_t hash_of(const Vectors& v) {
  return hash_all(hash_all(hash_all(hash_all(0, v.sources), v.destinations), v.columns),
                  v.consequences);
}
uint64_t hash_of(const std::vector<FiveTupleRule>& rules) {
  uint64_t hash = mix(0, rules.size());
  for (const FiveTupleRule& r : rules) {
    hash = mix(hash, uint64_t{r.src} << 32 | r.dst);
    hash =
        mix(hash, uint64_t{r.dst_port.low} << 48 | uint64_t{r.dst_port.high} << 32 |
                      uint64_t{r.protocol} << 16 | uint64_t{r.src_length} << 8 | r.dst_length);
  }
  return hash;
}
uint64_t hash_of(const Literals& l) {
  return hash_of(l.rules);
}
uint64_t hash_of(const ForestTerms& f) {
  return hash_all(hash_all(hash_all(f.rest_has_ip4 ? 1 : 0, f.of_rule), f.rest),
                  f.consequences);
}

// All rows of the four axes, before any form is chosen.
struct Axes {
  AddressAxis sources, destinations;
  RangeAxis transport, source_ports;

  bool too_large() const {
    return sources.rows.full() || destinations.rows.full() || transport.rows.full() ||
           source_ports.rows.full() || transport.rows.count() > UINT16_MAX;
  }
  size_t cells() const {
    return size_t{sources.rows.count()} * destinations.rows.count() * transport.rows.count();
  }
};

Axes make_axes(const TermList& terms, Pinned::Side pinned, const ClassesOf& classes,
               size_t limit) {
  const auto addresses = [&](Pinned::Side side, SideOfTerm of) {
    return pinned == side ? known_address(terms) : address_axis(terms, of, classes, limit);
  };
  return {addresses(Pinned::Side::source, &Term::source),
          addresses(Pinned::Side::destination, &Term::destination),
          range_axis(terms, &Term::transport, {transport::kLast, 1u << 16, limit}),
          range_axis(terms, &Term::source_ports, {transport::kLastPort, 0, limit})};
}

// Evaluates every combination of rows.
class Tabulation {
 public:
  Tabulation(const TermList& terms, const Axes& axes)
      : terms_(terms), axes_(axes), words_(axes.transport.rows.words()), both_(words_) {
    table_.sources = axes.sources.rows.count();
    table_.destinations = axes.destinations.rows.count();
    table_.columns = axes.transport.rows.count();
    table_.port_rows = axes.source_ports.rows.count();
  }

  Table run() {
    find_port_terms();
    table_.cells.reserve(axes_.cells());
    for (uint32_t s = 0; s < table_.sources; ++s) {
      for (uint32_t d = 0; d < table_.destinations; ++d) {
        some_by_port_ = false;
        for (size_t i = 0; i < words_; ++i) {
          both_[i] = axes_.sources.rows[s][i] & axes_.destinations.rows[d][i];
          some_by_port_ = some_by_port_ || (both_[i] & port_terms_[i]) != 0;
        }
        for (uint32_t column = 0; column < table_.columns; ++column) {
          table_.cells.push_back(cell(axes_.transport.rows[column]));
        }
      }
    }
    return std::move(table_);
  }

 private:
  // Terms that do not hold for all source ports.
  void find_port_terms() {
    port_terms_.assign(words_, 0);
    for (uint32_t row = 0; row < table_.port_rows; ++row) {
      for (size_t i = 0; i < words_; ++i) {
        port_terms_[i] |= ~axes_.source_ports.rows[row][i];
      }
    }
    // Bits past the last term are no terms.
    if (terms_.terms.size() % 64 != 0) {
      port_terms_.back() &= (uint64_t{1} << (terms_.terms.size() % 64)) - 1;
    }
  }

  uint32_t cell(const uint64_t* column) {
    bool by_port = false;
    for (size_t i = 0; some_by_port_ && i < words_; ++i) {
      by_port = by_port || (both_[i] & column[i] & port_terms_[i]) != 0;
    }
    if (!by_port) {
      return outcome_of([&](size_t i) { return both_[i] & column[i]; });
    }
    std::vector<uint32_t> row;
    for (uint32_t port = 0; port < table_.port_rows; ++port) {
      const uint64_t* ports = axes_.source_ports.rows[port];
      row.push_back(outcome_of([&](size_t i) { return both_[i] & column[i] & ports[i]; }));
    }
    if (std::adjacent_find(row.begin(), row.end(), std::not_equal_to<>{}) == row.end()) {
      return row.front();
    }
    const auto [known, fresh] =
        exceptions_.try_emplace(row, static_cast<uint32_t>(exceptions_.size()));
    if (fresh) {
      table_.exceptions.insert(table_.exceptions.end(), row.begin(), row.end());
    }
    return outcome::kException | known->second;
  }

  template <typename Word>
  uint32_t outcome_of(const Word& word) const {
    return first_match(terms_.consequences.data(),
                       [&](uint32_t from) { return first_term(words_, word, from); });
  }

  const TermList& terms_;
  const Axes& axes_;
  size_t words_;
  std::vector<uint64_t> both_;  // of the source and the destination at hand
  std::vector<uint64_t> port_terms_;
  bool some_by_port_ = false;                             // among both_
  std::map<std::vector<uint32_t>, uint32_t> exceptions_;  // row -> its number
  Table table_;
};

// Numbers the slices of a table along one axis so that equal ones have one number.  The cells
// of slice k are at k * inner + o * stride + i, for i < inner and all outer o.
std::vector<uint32_t> equal_slices(const std::vector<uint32_t>& cells, uint32_t slices,
                                   size_t inner) {
  const size_t stride = inner * slices;
  std::vector<uint64_t> hashes(slices, 0);
  for (size_t o = 0; o < cells.size(); o += stride) {
    for (uint32_t k = 0; k < slices; ++k) {
      for (size_t i = 0; i < inner; ++i) {
        hashes[k] = mix(hashes[k], cells[o + k * inner + i]);
      }
    }
  }
  const auto equal = [&](uint32_t a, uint32_t b) {
    for (size_t o = 0; o < cells.size(); o += stride) {
      const auto* at = cells.data() + o;
      if (!std::equal(at + a * inner, at + (a + 1) * inner, at + b * inner)) {
        return false;
      }
    }
    return true;
  };
  std::unordered_multimap<uint64_t, uint32_t> first_with;  // hash -> slice
  std::vector<uint32_t> number(slices);
  uint32_t count = 0;
  for (uint32_t k = 0; k < slices; ++k) {
    const auto [begin, end] = first_with.equal_range(hashes[k]);
    const auto same =
        std::find_if(begin, end, [&](const auto& entry) { return equal(entry.second, k); });
    if (same != end) {
      number[k] = number[same->second];
    } else {
      number[k] = count++;
      first_with.emplace(hashes[k], k);
    }
  }
  return number;
}

// Keeps the first of each number's slices.
void keep_one_each(std::vector<uint32_t>& cells, const std::vector<uint32_t>& number,
                   size_t inner, uint32_t& slices) {
  const uint32_t count = *std::max_element(number.begin(), number.end()) + 1;
  if (count == slices) {
    return;
  }
  auto to = cells.begin();  // what is kept comes to lie at its own place or before
  for (auto from = cells.begin(); from != cells.end();) {
    uint32_t next = 0;
    for (uint32_t k = 0; k < slices; ++k, from += static_cast<ptrdiff_t>(inner)) {
      if (number[k] == next) {
        to = std::copy(from, from + static_cast<ptrdiff_t>(inner), to);
        ++next;
      }
    }
  }
  cells.erase(to, cells.end());
  slices = count;
}

// Row of the axis -> row of the form that was chosen.
struct Renumbering {
  std::vector<uint32_t> source, destination, column;
};

std::vector<uint32_t> identity(uint32_t count) {
  std::vector<uint32_t> out(count);
  for (uint32_t i = 0; i < count; ++i) {
    out[i] = i;
  }
  return out;
}

Renumbering merge_equal(Table& table) {
  Renumbering out;
  const auto merge = [&](size_t inner, uint32_t& slices) {
    std::vector<uint32_t> number = equal_slices(table.cells, slices, inner);
    keep_one_each(table.cells, number, inner, slices);
    return number;
  };
  out.source = merge(size_t{table.destinations} * table.columns, table.sources);
  out.destination = merge(table.columns, table.destinations);
  out.column = merge(1, table.columns);
  table.cells.shrink_to_fit();
  return out;
}

void append(Projection& projection, uint32_t row) {
  for (unsigned byte = 0; byte < 1u << projection.shift; ++byte) {
    projection.bytes.push_back(static_cast<uint8_t>(row >> (8 * byte)));
  }
}

Projection make_projection(const AddressAxis& axis, const std::vector<uint32_t>& renumbered) {
  Projection out;
  const uint32_t highest = *std::max_element(renumbered.begin(), renumbered.end());
  out.shift = highest > UINT16_MAX ? 2 : highest > UINT8_MAX ? 1 : 0;
  for (const uint32_t row : axis.row_of_class) {
    append(out, renumbered[row]);
  }
  out.bytes.insert(out.bytes.end(), Projection::kSlack, 0);
  return out;
}

// The values of one kind up to `last`, after those of the place before.
struct Place {
  uint16_t last, column;
};

// Of the blocks of one kind.
size_t width_of(const std::vector<Place>& places) {
  constexpr size_t kMost = size_t{PortMap::kLine} * PortMap::kLine;
  return (places.size() + kMost - 1) / kMost;
}

// The lines of one kind.
std::vector<PortMap::Line> lines_of(const std::vector<Place>& places) {
  constexpr PortMap::Line kUnused = [] {
    PortMap::Line line{};
    line.values.fill(UINT16_MAX);
    return line;
  }();
  constexpr size_t kLine = PortMap::kLine;
  const size_t width = width_of(places), block = kLine * width;
  const size_t blocks = (places.size() + block - 1) / block;
  std::vector<PortMap::Line> out(1 + 2 * width * blocks, kUnused);
  for (size_t i = 0; i < places.size(); ++i) {
    const size_t at = 1 + 2 * width * (i / block) + i % block / kLine;
    out[at].values[i % kLine] = places[i].last;
    out[at + width].values[i % kLine] = places[i].column;
    out[0].values[i / block] = places[i].last;
  }
  return out;
}

PortMap make_port_map(const RangeAxis& axis, const std::vector<uint32_t>& renumbered) {
  PortMap out;
  out.lines.emplace_back();
  auto boundary = axis.boundaries.begin();
  for (uint32_t kind = 0; kind < transport::kKinds; ++kind) {
    std::vector<Place> places;
    do {
      const auto column = static_cast<uint16_t>(renumbered[boundary->row]);
      if (!places.empty() && places.back().column != column) {
        places.back().last = static_cast<uint16_t>(boundary->first - 1);
      }
      if (places.empty() || places.back().column != column) {
        places.push_back({UINT16_MAX, column});
      }
      ++boundary;
    } while (boundary != axis.boundaries.end() && (boundary->first & 0xffff) != 0);
    const std::vector<PortMap::Line> lines = lines_of(places);
    // Kinds of which nothing is asked have the same lines.
    const auto known =
        std::search(out.lines.begin() + 1, out.lines.end(), lines.begin(), lines.end());
    out.lines[0].values[kind] = static_cast<uint16_t>(known - out.lines.begin());
    out.lines[0].values[PortMap::kWidths + kind] = static_cast<uint16_t>(width_of(places));
    if (known == out.lines.end()) {
      out.lines.insert(known, lines.begin(), lines.end());
    }
  }
  out.lines.shrink_to_fit();
  return out;
}

SourcePorts make_source_ports(const RangeAxis& axis) {
  SourcePorts out;
  for (const RangeAxis::Boundary& boundary : axis.boundaries) {
    out.firsts.push_back(static_cast<uint16_t>(boundary.first));
    out.rows.push_back(static_cast<uint16_t>(boundary.row));
  }
  return out;
}

std::vector<uint64_t> copy(const Bitmaps& rows) {
  std::vector<uint64_t> out;
  out.reserve(rows.all().size() + Vectors::kBlock - 1);
  out.assign(rows.all().begin(), rows.all().end());
  out.insert(out.end(), Vectors::kBlock - 1, 0);
  return out;
}

// One run of compile().
class Compilation {
 public:
  Compilation(Pinned::Side pinned, const AddressQuestions& questions,
              const CompileLimits& limits, Pools& pools)
      : pinned_(pinned), questions_(questions), limits_(limits), pools_(pools) {}

  std::optional<CompiledProgram> run(const TermList& terms) {
    out_.pinned = pinned_;
    out_.terms = terms.terms.size();
    const bool long_list = terms.terms.size() >= limits_.forest_terms;
    // No table has bitmaps much larger, and whether vectors would fit may not matter.
    constexpr size_t kBesideForest = size_t{16} << 20;
    Axes axes = axes_of(
        terms, long_list ? std::min(limits_.axis_bytes, kBesideForest) : limits_.axis_bytes);
    if (!axes.too_large() && suits_a_table(axes)) {
      tabulate(terms, axes);
      return std::move(out_);
    }
    if (long_list) {
      if (plant(terms)) {
        return std::move(out_);
      }
      axes = axes_of(terms, limits_.axis_bytes);
    }
    if (axes.too_large()) {
      return std::nullopt;
    }
    out_.form = Form::vectors;
    keep_vectors(axes, terms.consequences);
    return std::move(out_);
  }

 private:
  Axes axes_of(const TermList& terms, size_t max_bytes) const {
    return make_axes(terms, pinned_, questions_.classes, max_bytes);
  }

  bool suits_a_table(const Axes& axes) const {
    // A cell that depends on the source port costs a row of exceptions; few do, as a rule.
    constexpr size_t kExceptionsForACell = 32;
    const size_t at_worst = axes.cells() * axes.source_ports.rows.count() / kExceptionsForACell;
    return std::max(axes.cells(), at_worst) <= limits_.table_cells;
  }

  void tabulate(const TermList& terms, const Axes& axes) {
    out_.form = Form::table;
    Table table = Tabulation(terms, axes).run();
    const Renumbering rows = merge_equal(table);
    out_.table = pools_.tables.share(std::move(table));
    project(axes, rows);
  }

  void keep_vectors(const Axes& axes, const std::vector<Consequence>& consequences) {
    out_.vectors = pools_.vectors.share(Vectors{
        0, axes.transport.rows.words(), copy(axes.sources.rows), copy(axes.destinations.rows),
        copy(axes.transport.rows), copy(axes.source_ports.rows), consequences});
    project(axes,
            {identity(axes.sources.rows.count()), identity(axes.destinations.rows.count()),
             identity(axes.transport.rows.count())});
  }

  void project(const Axes& axes, const Renumbering& rows) {
    out_.cells = axes.cells();
    if (pinned_ != Pinned::Side::source) {
      out_.source = pools_.projections.share(make_projection(axes.sources, rows.source));
      out_.source_asked = pools_.asked.share(axes.sources.asked);
    }
    if (pinned_ != Pinned::Side::destination) {
      out_.destination =
          pools_.projections.share(make_projection(axes.destinations, rows.destination));
      out_.destination_asked = pools_.asked.share(axes.destinations.asked);
    }
    out_.ports = pools_.ports.share(make_port_map(axes.transport, rows.column));
    out_.source_ports = pools_.source_ports.share(make_source_ports(axes.source_ports));
  }

  // False if there are too few literal terms, or what a forest takes passes the limits.
  bool plant(const TermList& terms) {
    Split split = split_literals(terms, pinned_, questions_.memberships);
    if (split.literal_terms < limits_.forest_terms) {
      return false;
    }
    const Axes rest = axes_of(split.rest, limits_.axis_bytes);
    if (rest.too_large()) {
      return false;
    }
    split.terms.literals = literals(std::move(split.rules));
    if (split.terms.literals == nullptr) {
      return false;
    }
    out_.form = Form::forest;
    out_.forest = pools_.forests.share(std::move(split.terms));
    keep_vectors(rest, {});
    return true;
  }

  std::shared_ptr<const Literals> literals(std::vector<FiveTupleRule> rules) {
    const auto same = [&](const Literals& other) { return other.rules == rules; };
    if (auto known = pools_.literals.find(hash_of(rules), same)) {
      return known;
    }
    for (const auto& known : pools_.known_literals) {
      if (same(*known)) {
        return pools_.literals.share(known);
      }
    }
    Result<Forest> forest =
        Forest::make(rules, {.bytes = limits_.forest_bytes, .form = Forest::Form::trees});
    return forest ? pools_.literals.share(Literals{0, std::move(rules), std::move(*forest)})
                  : nullptr;
  }

  Pinned::Side pinned_;
  const AddressQuestions& questions_;
  const CompileLimits& limits_;
  Pools& pools_;
  CompiledProgram out_;
};

}  // namespace

std::string_view name(Form form) {
  return form == Form::table ? "table" : form == Form::vectors ? "vectors" : "forest";
}

size_t CompiledProgram::size_bytes() const {
  const auto of = [](const auto& part) { return part == nullptr ? 0 : part->size_bytes(); };
  return sizeof *this + of(source) + of(destination) + of(ports) + of(source_ports) +
         of(source_asked) + of(destination_asked) + of(table) + of(vectors) + of(forest) +
         of(forest == nullptr ? nullptr : forest->literals);
}

template <typename Part>
template <typename Same>
std::shared_ptr<const Part> Pool<Part>::find(uint64_t hash, const Same& same) const {
  const auto [first, last] = parts_.equal_range(hash);
  const auto found = std::find_if(first, last, [&](const auto& e) { return same(*e.second); });
  return found == last ? nullptr : found->second;
}

template <typename Part>
std::shared_ptr<const Part> Pool<Part>::share(Part part) {
  part.hash = hash_of(part);
  const auto known = find(part.hash, [&](const Part& other) { return other == part; });
  return known != nullptr ? known : share(std::make_shared<const Part>(std::move(part)));
}

template <typename Part>
std::shared_ptr<const Part> Pool<Part>::share(const std::shared_ptr<const Part>& part) {
  if (auto known = find(part->hash, [&](const Part& other) {
        return &other == part.get() || other == *part;
      })) {
    return known;
  }
  bytes_ += part->size_bytes();
  return parts_.emplace(part->hash, part)->second;
}

void Pools::adopt(const CompiledProgram& program) {
  const auto add = [](auto& pool, const auto& part) {
    if (part != nullptr) {
      pool.share(part);
    }
  };
  add(projections, program.source);
  add(projections, program.destination);
  add(asked, program.source_asked);
  add(asked, program.destination_asked);
  add(ports, program.ports);
  add(source_ports, program.source_ports);
  add(tables, program.table);
  add(vectors, program.vectors);
  if (program.forest != nullptr) {
    add(forests, program.forest);
    add(literals, program.forest->literals);
  }
}

void Pools::know(const CompiledProgram& earlier) {
  const auto& literals_of = earlier.forest == nullptr ? nullptr : earlier.forest->literals;
  if (literals_of != nullptr && std::find(known_literals.begin(), known_literals.end(),
                                          literals_of) == known_literals.end()) {
    known_literals.push_back(literals_of);
  }
}

size_t Pools::bytes() const {
  return projections.bytes() + asked.bytes() + ports.bytes() + source_ports.bytes() +
         tables.bytes() + vectors.bytes() + literals.bytes() + forests.bytes();
}

void CompileLimits::force(Form form) {
  table_cells = form == Form::table ? SIZE_MAX : 0;
  forest_terms = form == Form::forest ? 0 : SIZE_MAX;
}

std::optional<CompiledProgram> compile(const TermList& terms, Pinned::Side pinned,
                                       const AddressQuestions& questions,
                                       const CompileLimits& limits, Pools& pools) {
  return Compilation(pinned, questions, limits, pools).run(terms);
}

std::optional<CompiledProgram> extend(const CompiledProgram& program,
                                      const ClassDirectory& directory, ClassId known,
                                      Pools& pools) {
  CompiledProgram out = program;
  const auto lengthen = [&](std::shared_ptr<const Projection>& projection, const Asked& asked) {
    Projection longer = *projection;
    longer.bytes.resize(size_t{known} << longer.shift);
    for (ClassId c = known; c < directory.size(); ++c) {
      const std::optional<ClassId> like = asked.example(directory.signature(c), directory);
      if (!like) {
        return false;
      }
      append(longer, projection->row(*like));
    }
    longer.bytes.insert(longer.bytes.end(), Projection::kSlack, 0);
    projection = pools.projections.share(std::move(longer));
    return true;
  };
  if ((out.source != nullptr && !lengthen(out.source, *out.source_asked)) ||
      (out.destination != nullptr && !lengthen(out.destination, *out.destination_asked))) {
    return std::nullopt;
  }
  return out;
}

}  // namespace sluice
