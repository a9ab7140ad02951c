// SPDX-License-Identifier: Apache-2.0
#include "classifier/program.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

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
  return hash_all(hash_all(0, p.firsts), p.columns);
}
uint64_t hash_of(const SourcePorts& p) {
  return hash_all(hash_all(0, p.firsts), p.rows);
}
uint64_t hash_of(const Table& t) {
  return hash_all(hash_all(t.columns, t.cells), t.exceptions);
}
uint64_t hash_of(const Vectors& v) {
  uint64_t hash = hash_all(hash_all(hash_all(0, v.sources), v.destinations), v.columns);
  for (const Consequence& c : v.consequences) {
    hash = mix(hash, uint64_t{c.next} << 32 | c.outcome);
  }
  return hash;
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
        for (size_t i = 0; i < words_; ++i) {
          both_[i] = axes_.sources.rows[s][i] & axes_.destinations.rows[d][i];
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
    for (size_t i = 0; i < words_; ++i) {
      by_port = by_port || (both_[i] & column[i] & port_terms_[i]) != 0;
    }
    if (!by_port) {
      return first_match(terms_.consequences.data(), words_,
                         [&](size_t i) { return both_[i] & column[i]; });
    }
    std::vector<uint32_t> row;
    for (uint32_t port = 0; port < table_.port_rows; ++port) {
      const uint64_t* ports = axes_.source_ports.rows[port];
      row.push_back(first_match(terms_.consequences.data(), words_,
                                [&](size_t i) { return both_[i] & column[i] & ports[i]; }));
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

  const TermList& terms_;
  const Axes& axes_;
  size_t words_;
  std::vector<uint64_t> both_, port_terms_;
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
  const size_t stride = inner * slices;
  std::vector<uint32_t> kept;
  for (size_t o = 0; o < cells.size(); o += stride) {
    uint32_t next = 0;
    for (uint32_t k = 0; k < slices; ++k) {
      if (number[k] == next) {
        const auto at = cells.begin() + static_cast<ptrdiff_t>(o + k * inner);
        kept.insert(kept.end(), at, at + static_cast<ptrdiff_t>(inner));
        ++next;
      }
    }
  }
  slices = *std::max_element(number.begin(), number.end()) + 1;
  cells = std::move(kept);
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

PortMap make_port_map(const RangeAxis& axis, const std::vector<uint32_t>& renumbered) {
  PortMap out;
  const auto add = [&](uint32_t first, uint16_t column) {
    out.firsts.push_back(static_cast<uint16_t>(first));
    out.columns.push_back(column);
  };
  auto boundary = axis.boundaries.begin();
  for (PortMap::Slice& slice : out.slices) {
    slice.start = static_cast<uint32_t>(out.firsts.size());
    do {
      const auto column = static_cast<uint16_t>(renumbered[boundary->row]);
      if (slice.size == 0 || out.columns.back() != column) {
        add(boundary->first, column);
        ++slice.size;
      }
      ++boundary;
    } while (boundary != axis.boundaries.end() && (boundary->first & 0xffff) != 0);
    for (uint32_t i = 0; i < slice.size && slice.size > PortMap::kBlock; i += PortMap::kBlock) {
      add(out.firsts[slice.start + i], 0);
    }
  }
  out.firsts.insert(out.firsts.end(), PortMap::kBlock, 0);
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
  return {rows.all().begin(), rows.all().end()};
}

}  // namespace

std::string_view name(Form form) {
  return form == Form::table ? "table" : "vectors";
}

size_t CompiledProgram::size_bytes() const {
  const auto of = [](const auto& part) { return part == nullptr ? 0 : part->size_bytes(); };
  return sizeof *this + of(source) + of(destination) + of(ports) + of(source_ports) +
         of(source_asked) + of(destination_asked) + of(table) + of(vectors);
}

template <typename Part>
std::shared_ptr<const Part> Pool<Part>::share(Part part) {
  part.hash = hash_of(part);
  const auto [first, last] = parts_.equal_range(part.hash);
  for (auto it = first; it != last; ++it) {
    if (*it->second == part) {
      return it->second;
    }
  }
  bytes_ += part.size_bytes();
  const uint64_t hash = part.hash;
  return parts_.emplace(hash, std::make_shared<const Part>(std::move(part)))->second;
}

template <typename Part>
std::shared_ptr<const Part> Pool<Part>::share(const std::shared_ptr<const Part>& part) {
  const auto [first, last] = parts_.equal_range(part->hash);
  const auto same = std::find_if(
      first, last, [&](const auto& e) { return e.second == part || *e.second == *part; });
  if (same != last) {
    return same->second;
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
}

size_t Pools::bytes() const {
  return projections.bytes() + asked.bytes() + ports.bytes() + source_ports.bytes() +
         tables.bytes() + vectors.bytes();
}

std::optional<CompiledProgram> compile(const TermList& terms, Pinned::Side pinned,
                                       const ClassesOf& classes, const CompileLimits& limits,
                                       Pools& pools) {
  Axes axes = make_axes(terms, pinned, classes, limits.axis_bytes);
  if (axes.too_large()) {
    return std::nullopt;
  }
  CompiledProgram out;
  out.pinned = pinned;
  out.terms = terms.terms.size();
  out.cells = axes.cells();
  Renumbering rows;
  // A cell that depends on the source port costs a row of exceptions; few do, as a rule.
  constexpr size_t kExceptionsForACell = 32;
  const size_t at_worst = out.cells * axes.source_ports.rows.count() / kExceptionsForACell;
  if (std::max(out.cells, at_worst) <= limits.table_cells) {
    out.form = Form::table;
    Table table = Tabulation(terms, axes).run();
    rows = merge_equal(table);
    out.table = pools.tables.share(std::move(table));
  } else {
    out.form = Form::vectors;
    rows = {identity(axes.sources.rows.count()), identity(axes.destinations.rows.count()),
            identity(axes.transport.rows.count())};
    out.vectors = pools.vectors.share(Vectors{
        0, axes.transport.rows.words(), copy(axes.sources.rows), copy(axes.destinations.rows),
        copy(axes.transport.rows), copy(axes.source_ports.rows), terms.consequences});
  }
  if (pinned != Pinned::Side::source) {
    out.source = pools.projections.share(make_projection(axes.sources, rows.source));
    out.source_asked = pools.asked.share(std::move(axes.sources.asked));
  }
  if (pinned != Pinned::Side::destination) {
    out.destination =
        pools.projections.share(make_projection(axes.destinations, rows.destination));
    out.destination_asked = pools.asked.share(std::move(axes.destinations.asked));
  }
  out.ports = pools.ports.share(make_port_map(axes.transport, rows.column));
  out.source_ports = pools.source_ports.share(make_source_ports(axes.source_ports));
  return out;
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
