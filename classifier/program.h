// SPDX-License-Identifier: Apache-2.0
// One compiled program: what an endpoint's policies say in one direction, ready for look-up.
//
// A packet meets four axes: source class, destination class, transport key, source port.  Where
// the endpoint's own address is known (pinned), its axis has been evaluated and is gone.
//
//   form table    the outcome of every combination is a cell of one array; rows with equal
//                 outcomes are merged, then columns.  A cell that depends on the source port
//                 names a row of exceptions instead.
//   form vectors  a bitmap of terms for each row of each axis; they are ANDed and the first
//                 term that is left says what follows.  For programs whose table would pass the
//                 cap.
//   form forest   a forest of five-tuple rules for the terms about literal IPv4 nets, and bit
//                 vectors for the others (literals.h).  For thousands of literal nets.
//
// All parts are immutable and shared: equal parts of different programs are one object. Control
// makes them, the packet path reads them; see lookup.h for how.
#ifndef SLUICE_CLASSIFIER_PROGRAM_H_
#define SLUICE_CLASSIFIER_PROGRAM_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "classifier/axes.h"
#include "classifier/literals.h"
#include "classifier/terms.h"
#include "classifier/transport.h"

namespace sluice {

enum class Form : uint8_t { table, vectors, forest };
std::string_view name(Form form);  // "table"

// Class -> row, in one byte each where there are at most 256 rows, else in two or four.
struct Projection {
  uint64_t hash = 0;  // of the rest; set by its Pool
  static constexpr size_t kSlack = 3;
  uint8_t shift = 0;           // the logarithm of the bytes for each
  std::vector<uint8_t> bytes;  // and kSlack more, so that four may always be read

  uint32_t mask() const { return static_cast<uint32_t>((uint64_t{1} << (8u << shift)) - 1); }
  uint32_t row(ClassId class_id) const noexcept {
    uint32_t word = 0;
    __builtin_memcpy(&word, bytes.data() + (size_t{class_id} << shift), sizeof word);
    return word & mask();
  }
  friend bool operator==(const Projection&, const Projection&) = default;
  size_t size_bytes() const { return bytes.size(); }
};

// Transport key -> column.  A key is the last of its column or lies before that: for each kind
// the places of the last values are sorted in up to 32 blocks, and a line of samples has the
// last value of each block, so that two comparisons of a line find the place.
//   lines[0]             where the lines of each kind begin; from kWidths on, how many lines of
//                        values a block has: one, but for more than 1024 places
//   of a kind: samples   unused ones are UINT16_MAX, which no value passes
//     of each block      lines of last values, likewise, then as many of their columns
struct PortMap {
  static constexpr uint32_t kLine = 32;
  using Values = std::array<uint16_t, kLine>;
  struct alignas(64) Line {
    Values values;
    friend bool operator==(const Line&, const Line&) = default;
  };
  static constexpr uint32_t kWidths = 16;  // index of those in lines[0]
  static_assert(transport::kKinds <= kWidths && kWidths + transport::kKinds <= kLine);
  uint64_t hash = 0;
  std::vector<Line> lines;

  friend bool operator==(const PortMap&, const PortMap&) = default;
  size_t size_bytes() const { return sizeof *this + lines.size() * sizeof(Line); }
};

// Source port -> row of that axis; used by few programs, and for few packets.
struct SourcePorts {
  uint64_t hash = 0;             // of the rest; set by its Pool
  std::vector<uint16_t> firsts;  // the first is 0
  std::vector<uint16_t> rows;

  uint32_t row(uint16_t port) const noexcept;
  friend bool operator==(const SourcePorts&, const SourcePorts&) = default;
  size_t size_bytes() const { return (firsts.size() + rows.size()) * sizeof(uint16_t); }
};

// cells[(source row * destinations + destination row) * columns + column]
struct Table {
  uint64_t hash = 0;
  uint32_t sources = 1, destinations = 1, columns = 1, port_rows = 1;
  std::vector<uint32_t> cells;       // outcomes, see outcome.h
  std::vector<uint32_t> exceptions;  // row * port_rows + row of the source port

  friend bool operator==(const Table&, const Table&) = default;
  size_t size_bytes() const {
    return sizeof *this + (cells.size() + exceptions.size()) * sizeof(uint32_t);
  }
};

struct Vectors {
  static constexpr size_t kBlock = 8;  // words that are looked at together
  uint64_t hash = 0;                   // of the rest; set by its Pool
  size_t words = 0;                    // of each bitmap
  // Bitmaps, row by row, and all but a word of a block more that may be read.
  std::vector<uint64_t> sources, destinations, columns, port_rows;
  std::vector<Consequence> consequences;  // by term; none beside a forest, which has them

  size_t rows(const std::vector<uint64_t>& of) const {
    return words == 0 ? 0 : (of.size() - (kBlock - 1)) / words;
  }
  friend bool operator==(const Vectors&, const Vectors&) = default;
  size_t size_bytes() const {
    return sizeof *this +
           (sources.size() + destinations.size() + columns.size() + port_rows.size()) *
               sizeof(uint64_t) +
           consequences.size() * sizeof(Consequence);
  }
};

struct CompiledProgram {
  Form form = Form::table;
  Pinned::Side pinned = Pinned::Side::none;
  std::shared_ptr<const Projection> source, destination;  // null on the pinned side
  std::shared_ptr<const PortMap> ports;
  std::shared_ptr<const SourcePorts> source_ports;
  std::shared_ptr<const Table> table;                            // form table
  std::shared_ptr<const Vectors> vectors;                        // forms vectors and forest
  std::shared_ptr<const ForestTerms> forest;                     // form forest
  std::shared_ptr<const Asked> source_asked, destination_asked;  // what those tell apart
  size_t terms = 0;
  size_t cells = 0;  // combinations of rows before merging; in form forest, of the vectors

  size_t size_bytes() const;  // of all parts, shared or not
};

// Keeps one copy of equal parts.  Written by one thread at a time.
template <typename Part>
class Pool {
 public:
  std::shared_ptr<const Part> share(Part part);
  std::shared_ptr<const Part> share(
      const std::shared_ptr<const Part>& part);  // one made before
  // The part with this hash for which same(part) holds; null if there is none.
  template <typename Same>
  std::shared_ptr<const Part> find(uint64_t hash, const Same& same) const;
  size_t bytes() const { return bytes_; }  // of the distinct parts

 private:
  size_t bytes_ = 0;
  std::unordered_multimap<uint64_t, std::shared_ptr<const Part>> parts_;  // by hash
};

struct Pools {
  Pool<Projection> projections;
  Pool<Asked> asked;
  Pool<PortMap> ports;
  Pool<SourcePorts> source_ports;
  Pool<Table> tables;
  Pool<Vectors> vectors;
  Pool<Literals> literals;
  Pool<ForestTerms> forests;
  // Of earlier programs: a forest is dear, and most changes leave the literals as they are.
  std::vector<std::shared_ptr<const Literals>> known_literals;

  void adopt(const CompiledProgram& program);
  void know(const CompiledProgram& earlier);
  size_t bytes() const;
};

struct CompileLimits {
  // Combinations of rows up to which a program takes the form of a table.  The cells are also
  // the work of compiling it.
  size_t table_cells = size_t{1} << 18;
  // Bytes of bitmaps of one axis up to which a program is compiled at all.
  size_t axis_bytes = size_t{64} << 20;
  // Literal terms from which on a program that takes no table takes a forest.
  size_t forest_terms = 2048;
  // Bytes of a forest up to which it is made.
  size_t forest_bytes = size_t{256} << 20;

  // Henceforth every program takes the form, or is refused.
  void force(Form form);
};

// What the terms' memberships mean.
struct AddressQuestions {
  const ClassesOf& classes;
  const Memberships& memberships;
};

// Compiles a flattened program; nothing if it passes the limits.
// REQUIRES: terms flattened with `pinned`.
std::optional<CompiledProgram> compile(const TermList& terms, Pinned::Side pinned,
                                       const AddressQuestions& questions,
                                       const CompileLimits& limits, Pools& pools);

// The program with rows for the classes from `known` on; all else is shared.  Nothing if there
// is none for one of them: then it must be compiled again.
std::optional<CompiledProgram> extend(const CompiledProgram& program,
                                      const ClassDirectory& directory, ClassId known,
                                      Pools& pools);

// How many values of sorted[0..n) are at most `value`, less one.  REQUIRES: sorted[0] <= value.
[[gnu::always_inline]] inline uint32_t last_at_most(const uint16_t* sorted, uint32_t n,
                                                    uint32_t value) noexcept {
  const uint16_t* at = sorted;
  while (n > 1) {
    const uint32_t half = n / 2;
    at = at[half] <= value ? at + half : at;
    n -= half;
  }
  return static_cast<uint32_t>(at - sorted);
}

[[gnu::always_inline]] inline uint32_t SourcePorts::row(uint16_t port) const noexcept {
  return rows[last_at_most(firsts.data(), static_cast<uint32_t>(firsts.size()), port)];
}

inline constexpr uint32_t kNoTerm = UINT32_MAX;

// The first term from `from` on in a bitmap whose i-th word is word(i); kNoTerm if none is.
template <typename Word>
[[gnu::always_inline]] inline uint32_t first_term(size_t words, const Word& word,
                                                  uint32_t from) {
  uint64_t after = ~uint64_t{0} << (from % 64);  // the terms of the word that count
  for (size_t i = from / 64; i < words; ++i) {
    const uint64_t left = word(i) & after;
    if (left != 0) {
      return static_cast<uint32_t>(i * 64) + static_cast<uint32_t>(__builtin_ctzll(left));
    }
    after = ~uint64_t{0};
  }
  return kNoTerm;
}

// The outcome that matching terms lead to; next(from) gives the first of them from `from` on.
template <typename Next>
[[gnu::always_inline]] inline uint32_t first_match(const Consequence* consequences,
                                                   const Next& next) {
  uint32_t flags = 0;
  for (uint32_t from = 0;;) {
    const uint32_t term = next(from);
    if (term == kNoTerm) {
      return outcome::kUndecided | flags;
    }
    const Consequence& then = consequences[term];
    if (then.next == Consequence::kDecides) {
      return then.outcome | flags;
    }
    flags = outcome::kPassedOrLogged;
    from = then.next;
  }
}

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_PROGRAM_H_
