// SPDX-License-Identifier: Apache-2.0
// How a burst of packets meets compiled programs, stage by stage.
//
// The stages of one packet depend on each other, those of different packets do not: so each
// stage runs over the whole burst, fetching what the next will read.
//   1 the descriptor of the packet's instance; the first-level word of its remote address
//     and the column of its transport key
//   2 the word: a class, or where it is found
//     (of IPv6, the line where the address itself is; if it is not there, that of a prefix)
//   3 the class   4 the row that the program gives the class   5 the cell   6 the verdict
// What is arithmetic only is done for as many packets at a time as the level has room for.
// A cell that is no verdict sends the packet to `decide`, which knows all forms: programs with
// exceptions by source port, bit vectors, and those that look at both addresses.  Only those of
// programs with a forest go on together (lookup_forest.cc).
//
// The template is compiled once for each processor level, in a file of its own (lookup_*.cc),
// so what is here must be inlined there: another level's copy must never be linked in its
// place.
#ifndef SLUICE_CLASSIFIER_LOOKUP_H_
#define SLUICE_CLASSIFIER_LOOKUP_H_

#include <cstddef>
#include <cstdint>

#include "classifier/address_classes.h"
#include "classifier/program.h"
#include "classifier/simd.h"
#include "classifier/transport.h"

namespace sluice {

using InstanceId = uint32_t;  // of a program at an endpoint: see Matcher

inline constexpr size_t kLookupBurst = 64;

// All that most packets need of an instance, in one line.  The pointers lead into the program.
struct alignas(64) Instance {
  const uint8_t* rows = nullptr;         // of the remote side's projection
  const uint32_t* cells = nullptr;       // or one that sends everything to decide()
  const PortMap::Line* ports = nullptr;  // of the port map
  const CompiledProgram* program = nullptr;
  uint32_t column_count = 0;
  uint32_t row_mask = 0;
  uint8_t row_shift = 0;
  uint8_t remote_offset = 0;       // of the remote address in a FlowKey
  uint32_t ip4_mask = UINT32_MAX;  // of that address; 0 where nothing hangs on its class
};
static_assert(sizeof(Instance) == 64);

struct LookupTables {
  const AddressClasses* classes = nullptr;
  const Instance* instances = nullptr;
};

// REQUIRES: count <= kLookupBurst.
struct Burst {
  const FlowKey* keys = nullptr;
  const InstanceId* instances = nullptr;
  Verdict* verdicts = nullptr;
  size_t count = 0;
};

// Packets of a burst whose programs have the form forest.
struct ForestLanes {
  const uint32_t* lanes = nullptr;  // indices into the burst
  size_t count = 0;
  const ClassId* classes = nullptr;  // of the remote addresses, by index into the burst
};
// Decides them.  The same code for all levels; the forest has its own for each.
void decide_by_forests(const LookupTables& tables, const Burst& burst, const ForestLanes& lanes,
                       SimdLevel level) noexcept;

// One for each processor level; all give the same answers.
void classify_scalar(const LookupTables& tables, const Burst& burst) noexcept;
void classify_avx2(const LookupTables& tables, const Burst& burst) noexcept;
void classify_avx512(const LookupTables& tables, const Burst& burst) noexcept;

namespace lookup {

#define SLUICE_INLINE [[gnu::always_inline]] static inline

// The level of any processor, which the others are compared with.
struct Scalar {
  static constexpr SimdLevel kLevel = SimdLevel::scalar;
  using Words = uint32_t;  // of so many packets at a time

  // How many of the line's values are below `value`.
  [[gnu::always_inline]] static uint32_t below(const PortMap::Line& line,
                                               uint32_t value) noexcept {
    uint16_t count = 0;
    for (const uint16_t of_line : line.values) {
      count = static_cast<uint16_t>(count + (of_line < static_cast<uint16_t>(value) ? 1 : 0));
    }
    return count;
  }

  // Bit j: the word `i + j` of eight has a term.
  [[gnu::always_inline]] static uint32_t live(const auto& bits, size_t i) noexcept {
    uint32_t words = 0;
    for (size_t j = 0; j < Vectors::kBlock; ++j) {
      words |= (bits(i + j) != 0 ? 1u : 0u) << j;
    }
    return words;
  }

  // Bit j: word j has its highest bit set.
  [[gnu::always_inline]] static uint64_t signs(Words word) noexcept { return word >> 31; }

  [[gnu::always_inline]] static void unpack(Words cell, Verdict* verdict) noexcept {
    *verdict = outcome::unpack(cell);
  }
};

// Two comparisons of a line; a block of more than one is searched.
template <typename Level>
SLUICE_INLINE uint32_t column_of(const PortMap::Line* lines, transport::Key key) noexcept {
  const uint32_t start = lines->values[key.kind];
  const uint32_t width = lines->values[PortMap::kWidths + key.kind];
  const uint32_t block = Level::below(lines[start], key.value);
  const PortMap::Line* last = lines + start + 1 + size_t{2} * width * block;
  if (width == 1) [[likely]] {
    return last[1].values[Level::below(last[0], key.value)];
  }
  while (last->values.back() < key.value) {
    ++last;
  }
  return last[width].values[Level::below(*last, key.value)];
}

// A packet's rows on the four axes of a program, of which the source port's is found last.
struct Rows {
  uint32_t source, destination, column;
};
template <typename Level>
SLUICE_INLINE Rows rows_of(const CompiledProgram& program, const AddressClasses& classes,
                           const FlowKey& key, ClassId remote) noexcept {
  const bool both = program.pinned == Pinned::Side::none;
  return {program.source == nullptr ? 0 : program.source->row(remote),
          program.destination == nullptr
              ? 0
              : program.destination->row(both ? classes.find(key.dst) : remote),
          column_of<Level>(program.ports->lines.data(), transport::key_of(key))};
}

// The bitmap of the terms that hold for a packet.
struct Bits {
  const uint64_t *source, *destination, *column, *port;
  [[gnu::always_inline]] uint64_t operator()(size_t i) const noexcept {
    return source[i] & destination[i] & column[i] & port[i];
  }
};
SLUICE_INLINE Bits bits_of(const CompiledProgram& program, const Rows& rows,
                           uint16_t source_port) noexcept {
  const Vectors& v = *program.vectors;
  return {v.sources.data() + rows.source * v.words,
          v.destinations.data() + rows.destination * v.words,
          v.columns.data() + rows.column * v.words,
          v.port_rows.data() + program.source_ports->row(source_port) * v.words};
}

SLUICE_INLINE const uint32_t* cell_of(const Table& table, const Rows& rows) noexcept {
  return table.cells.data() +
         (size_t{rows.source} * table.destinations + rows.destination) * table.columns +
         rows.column;
}

// Fetches what decide() reads first.
SLUICE_INLINE void prepare(const CompiledProgram& program, const FlowKey& key,
                           const Rows& rows) noexcept {
  if (program.form == Form::table) {
    __builtin_prefetch(cell_of(*program.table, rows));
    return;
  }
  const Bits bits = bits_of(program, rows, key.src_port);
  for (const uint64_t* bitmap : {bits.source, bits.destination, bits.column, bits.port}) {
    __builtin_prefetch(bitmap);
  }
}

// As sluice::first_term, a block of words at a time.
template <typename Level>
SLUICE_INLINE uint32_t first_term(const Bits& bits, size_t words, uint32_t from) noexcept {
  size_t i = from / 64;
  if (i >= words) {
    return kNoTerm;
  }
  uint64_t left = bits(i) & ~uint64_t{0} << (from % 64);
  while (left == 0) {
    if (++i >= words) {
      return kNoTerm;
    }
    const uint32_t live = Level::live(bits, i);
    i += live == 0 ? Vectors::kBlock - 1 : static_cast<size_t>(__builtin_ctz(live));
    if (live != 0) {
      left = i < words ? bits(i) : 0;
    }
  }
  return static_cast<uint32_t>(i * 64) + static_cast<uint32_t>(__builtin_ctzll(left));
}

// Decides one packet.  REQUIRES: the program's form is table or vectors.
template <typename Level>
SLUICE_INLINE uint32_t decide(const CompiledProgram& program, const FlowKey& key,
                              const Rows& rows) noexcept {
  if (program.form == Form::table) {
    const Table& table = *program.table;
    const uint32_t cell = *cell_of(table, rows);
    return (cell & outcome::kException) == 0
               ? cell
               : table.exceptions[size_t{cell & ~outcome::kException} * table.port_rows +
                                  program.source_ports->row(key.src_port)];
  }
  const Vectors& v = *program.vectors;
  const Bits bits = bits_of(program, rows, key.src_port);
  return first_match(v.consequences.data(),
                     [&](uint32_t from) { return first_term<Level>(bits, v.words, from); });
}

// What the stages carry from one to the next, by packet.
struct Lanes {
  const Instance* instance[kLookupBurst];
  alignas(64) uint32_t ip4[kLookupBurst];    // the remote address, 0 if it is not IPv4
  alignas(64) uint32_t word[kLookupBurst];   // of the first level; then the class
  alignas(64) uint32_t entry[kLookupBurst];  // of a dense group, 0 if in none; then its class
  alignas(64) uint32_t cell[kLookupBurst];
  uint32_t column[kLookupBurst];  // of the transport key
  const uint32_t* cell_at[kLookupBurst];
};
// The same of IPv6, by number of the packet among those of IPv6.
struct Ip6Lanes {
  uint32_t lane[kLookupBurst];  // its place in the burst
  const Ip6Classes::Bucket* exact[kLookupBurst];
  const ClassId* known[kLookupBurst];  // null if a prefix is to be looked for
  Ip6Classes::Probe probe[kLookupBurst];
  size_t count = 0;
};

// A step for each packet, of as many at a time as Level::Words holds, then one by one.
template <typename Level, typename Step>
SLUICE_INLINE void for_words(size_t count, const Step& step) {
  constexpr size_t kWords = sizeof(typename Level::Words) / 4;
  size_t i = 0;
  for (; i + kWords <= count; i += kWords) {
    step.template operator()<Level>(i);
  }
  for (; i < count; ++i) {
    step.template operator()<Scalar>(i);
  }
}
template <typename Level>
SLUICE_INLINE typename Level::Words load(const uint32_t* from) {
  typename Level::Words out;
  __builtin_memcpy(&out, from, sizeof out);
  return out;
}
template <typename Words>
SLUICE_INLINE void store(uint32_t* to, const Words& words) {
  __builtin_memcpy(to, &words, sizeof words);
}
// Of words whose highest bit is set, and of no other, all bits.
template <typename Words>
SLUICE_INLINE Words spread_sign(const Words& words) {
  return 0 - (words >> 31);
}
SLUICE_INLINE uint64_t lanes_below(size_t count) {
  return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}
// Calls step(lane) for each bit of the mask.
template <typename Step>
SLUICE_INLINE void for_lanes(uint64_t mask, const Step& step) {
  for (; mask != 0; mask &= mask - 1) {
    step(static_cast<size_t>(__builtin_ctzll(mask)));
  }
}

SLUICE_INLINE const Address& remote_of(const FlowKey& key, const Instance& instance) {
  return *reinterpret_cast<const Address*>(reinterpret_cast<const char*>(&key) +
                                           instance.remote_offset);
}

// Then nothing of what is only for IPv6 need be done for any of them.
SLUICE_INLINE bool all_ip4(const Burst& burst) {
  using Addresses [[gnu::vector_size(32)]] = uint64_t;  // of a key: both
  static_assert(offsetof(FlowKey, src) == 0 && offsetof(FlowKey, dst) == sizeof(Address));
  constexpr uint64_t kTop = ~uint64_t{0} << 32;
  constexpr Addresses kIp4 = {0, Address::kMapped, 0, Address::kMapped};
  Addresses odd = {};
  for (size_t i = 0; i < burst.count; ++i) {
    Addresses of_key;
    __builtin_memcpy(&of_key, burst.keys + i, sizeof of_key);
    odd |= of_key ^ kIp4;
  }
  return (odd[0] | (odd[1] & kTop) | odd[2] | (odd[3] & kTop)) == 0;
}

// Traffic is a mixture, so what differs from packet to packet is computed by masks: a branch on
// it would be mispredicted every other time.
SLUICE_INLINE uint64_t mask_if(bool condition) {
  return ~uint64_t{0} * static_cast<uint64_t>(condition);
}

template <typename Level>
SLUICE_INLINE void read_ip4_keys(Lanes& l, const LookupTables& tables, const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  for (size_t i = 0; i < burst.count; ++i) {
    const FlowKey& key = burst.keys[i];
    const Instance& instance = tables.instances[burst.instances[i]];
    l.instance[i] = &instance;
    l.ip4[i] = static_cast<uint32_t>(remote_of(key, instance).lo) & instance.ip4_mask;
    __builtin_prefetch(ip4.first(Ip4{l.ip4[i]}));
    l.column[i] = column_of<Level>(instance.ports, transport::key_of(key, false));
  }
}

template <typename Level>
SLUICE_INLINE void read_keys(Lanes& l, Ip6Lanes& l6, const LookupTables& tables,
                             const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  const Ip6Classes& ip6 = tables.classes->ip6();
  for (size_t i = 0; i < burst.count; ++i) {
    const FlowKey& key = burst.keys[i];
    const Instance& instance = tables.instances[burst.instances[i]];
    const Address& remote = remote_of(key, instance);
    const bool v4 = (remote.hi | (remote.lo >> 32 ^ Address::kMapped >> 32)) == 0;
    l.instance[i] = &instance;
    l.ip4[i] = static_cast<uint32_t>(remote.lo & mask_if(v4)) & instance.ip4_mask;
    __builtin_prefetch(ip4.first(Ip4{l.ip4[i]}));
    l6.lane[l6.count] = static_cast<uint32_t>(i);
    l6.exact[l6.count] = ip6.exact_at(remote);
    __builtin_prefetch(l6.exact[l6.count]);
    l6.count += static_cast<size_t>(!v4);
    l.column[i] = column_of<Level>(instance.ports, transport::key_of(key));
  }
}

// The classes of IPv4 addresses, as `word`.
template <typename Level>
SLUICE_INLINE void find_ip4(Lanes& l, const LookupTables& tables, size_t count) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  for (size_t i = 0; i < count; ++i) {
    l.word[i] = __atomic_load_n(ip4.first(Ip4{l.ip4[i]}), __ATOMIC_ACQUIRE);
  }
  uint64_t sparse = 0;
  for_words<Level>(
      count, [&]<typename Of>(size_t i) __attribute__((always_inline)) {
        const auto word = load<Of>(l.word + i);
        sparse |= Of::signs(word & ~(word << 1)) << i;
        store(l.entry + i, Ip4Classes::View::entry_of(word, load<Of>(l.ip4 + i)) &
                               spread_sign(word & (word << 1)));
      });
  for_lanes(
      sparse, [&](size_t i)
                  __attribute__((always_inline)) { __builtin_prefetch(ip4.line(l.word[i])); });
  for (size_t i = 0; i < count; ++i) {
    __builtin_prefetch(ip4.entries() + l.entry[i]);
  }
  for (size_t i = 0; i < count; ++i) {
    l.entry[i] = __atomic_load_n(ip4.entries() + l.entry[i], __ATOMIC_RELAXED);
  }
  for_lanes(
      sparse, [&](size_t i) __attribute__((always_inline)) {
        l.word[i] = ip4.in_sparse(l.word[i], Ip4{l.ip4[i]});
      });
  for_words<Level>(
      count, [&]<typename Of>(size_t i) __attribute__((always_inline)) {
        const auto word = load<Of>(l.word + i);
        const auto dense = spread_sign(word);
        store(l.word + i, (load<Of>(l.entry + i) & dense) | (word & ~dense));
      });
}

// The classes of the others, likewise.
SLUICE_INLINE void find_ip6(Lanes& l, Ip6Lanes& l6, const LookupTables& tables,
                            const Burst& burst) {
  const Ip6Classes& ip6 = tables.classes->ip6();
  const auto remote = [&](size_t k) -> const Address& {
    return remote_of(burst.keys[l6.lane[k]], *l.instance[l6.lane[k]]);
  };
  uint64_t by_prefix = 0;
  for (size_t k = 0; k < l6.count; ++k) {
    l6.known[k] = Ip6Classes::exact_in(*l6.exact[k], remote(k));
    by_prefix |= uint64_t{l6.known[k] == nullptr} << k;
    __builtin_prefetch(ip6.filter_at(remote(k)));
  }
  for_lanes(
      by_prefix, [&](size_t k) __attribute__((always_inline)) {
        l6.probe[k] = ip6.probe(remote(k));
        __builtin_prefetch(l6.probe[k].prefix);
      });
  for_lanes(
      ~by_prefix & lanes_below(l6.count), [&](size_t k) __attribute__((always_inline)) {
        l.word[l6.lane[k]] = __atomic_load_n(l6.known[k], __ATOMIC_RELAXED);
      });
  for_lanes(
      by_prefix, [&](size_t k) __attribute__((always_inline)) {
        l.word[l6.lane[k]] = ip6.resolve(l6.probe[k], *l6.exact[k], remote(k));
      });
}

SLUICE_INLINE const uint8_t* row_at(const Instance& instance, ClassId class_id) {
  return instance.rows + (size_t{class_id} << instance.row_shift);
}

SLUICE_INLINE const uint32_t* cell_at(const Instance& instance, ClassId class_id,
                                      uint32_t column) {
  uint32_t row = 0;
  __builtin_memcpy(&row, row_at(instance, class_id), sizeof row);
  return instance.cells + size_t{row & instance.row_mask} * instance.column_count + column;
}

// The packets that one look-up in one table did not decide.
template <typename Level>
SLUICE_INLINE void decide_rare(uint64_t rare, const Lanes& l, const LookupTables& tables,
                               const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  uint32_t in_forest[kLookupBurst], other[kLookupBurst];
  Rows rows[kLookupBurst];  // by index of `other`
  size_t in_forests = 0, others = 0;
  for_lanes(
      rare, [&](size_t i) __attribute__((always_inline)) {
        __builtin_prefetch(ip4.first(Ip4{static_cast<uint32_t>(burst.keys[i].dst.lo)}));
        in_forest[in_forests] = other[others] = static_cast<uint32_t>(i);
        const bool forest = l.instance[i]->program->form == Form::forest;
        in_forests += static_cast<size_t>(forest);
        others += static_cast<size_t>(!forest);
      });
  for (size_t k = 0; k < others; ++k) {
    const uint32_t i = other[k];
    const CompiledProgram& program = *l.instance[i]->program;
    rows[k] = rows_of<Level>(program, *tables.classes, burst.keys[i], l.word[i]);
    prepare(program, burst.keys[i], rows[k]);
  }
  for (size_t k = 0; k < others; ++k) {
    const uint32_t i = other[k];
    burst.verdicts[i] =
        outcome::unpack(decide<Level>(*l.instance[i]->program, burst.keys[i], rows[k]));
  }
  if (in_forests != 0) {
    decide_by_forests(tables, burst, {in_forest, in_forests, l.word}, Level::kLevel);
  }
}

template <typename Level>
SLUICE_INLINE void classify_burst(const LookupTables& tables, const Burst& burst) {
  Lanes l;
  if (all_ip4(burst)) {
    read_ip4_keys<Level>(l, tables, burst);
    find_ip4<Level>(l, tables, burst.count);
  } else {
    Ip6Lanes l6;
    read_keys<Level>(l, l6, tables, burst);
    find_ip4<Level>(l, tables, burst.count);
    find_ip6(l, l6, tables, burst);
  }
  for (size_t i = 0; i < burst.count; ++i) {
    __builtin_prefetch(row_at(*l.instance[i], l.word[i]));
  }
  for (size_t i = 0; i < burst.count; ++i) {
    l.cell_at[i] = cell_at(*l.instance[i], l.word[i], l.column[i]);
    __builtin_prefetch(l.cell_at[i]);
  }
  for (size_t i = 0; i < burst.count; ++i) {
    l.cell[i] = *l.cell_at[i];
  }
  uint64_t rare = 0;
  for_words<Level>(
      burst.count, [&]<typename Of>(size_t i) __attribute__((always_inline)) {
        const auto cell = load<Of>(l.cell + i);
        rare |= Of::signs(cell) << i;
        Of::unpack(cell, burst.verdicts + i);
      });
  decide_rare<Level>(rare, l, tables, burst);
}

#undef SLUICE_INLINE

}  // namespace lookup
}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LOOKUP_H_
