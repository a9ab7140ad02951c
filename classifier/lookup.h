// SPDX-License-Identifier: Apache-2.0
// How a burst of packets meets compiled programs, stage by stage.
//
// The stages of one packet depend on each other, those of different packets do not: so each
// stage runs over the whole burst, fetching what the next will read.
//   1 the descriptor of the packet's instance; the first-level word of its remote address
//   2 the word: a class, or where it is found; the column of its transport key
//   3 the class   4 the row that the program gives the class   5 the cell   6 the verdict
// A cell that is no verdict sends the packet to `decide`, which knows all forms: programs with
// exceptions by source port, bit vectors, and those that look at both addresses.
//
// The template is compiled once for each processor level, in a file of its own (lookup_*.cc),
// so what is here must be inlined there: another level's copy must never be linked in its
// place.
#ifndef SLUICE_CLASSIFIER_LOOKUP_H_
#define SLUICE_CLASSIFIER_LOOKUP_H_

#include <cstddef>

#include "classifier/address_classes.h"
#include "classifier/program.h"
#include "classifier/transport.h"

namespace sluice {

using InstanceId = uint32_t;  // of a program at an endpoint: see Matcher

inline constexpr size_t kMaxBurst = 64;

// All that most packets need of an instance, in one line.  The pointers lead into the program.
struct alignas(64) Instance {
  const uint8_t* rows = nullptr;     // of the remote side's projection
  const uint32_t* cells = nullptr;   // or one that sends everything to decide()
  const uint32_t* starts = nullptr;  // of the port map, and so on
  const uint16_t* firsts = nullptr;
  const uint16_t* columns = nullptr;
  const CompiledProgram* program = nullptr;
  uint32_t column_count = 0;
  uint32_t row_mask = 0;
  uint8_t row_shift = 0;
  bool remote_is_destination = false;
};
static_assert(sizeof(Instance) == 64);

struct LookupTables {
  const AddressClasses* classes = nullptr;
  const Instance* instances = nullptr;
};

// REQUIRES: count <= kMaxBurst.
struct Burst {
  const FlowKey* keys = nullptr;
  const InstanceId* instances = nullptr;
  Verdict* verdicts = nullptr;
  size_t count = 0;
};

// One for each processor level; all give the same answers.
void classify_scalar(const LookupTables& tables, const Burst& burst) noexcept;
void classify_avx2(const LookupTables& tables, const Burst& burst) noexcept;
void classify_avx512(const LookupTables& tables, const Burst& burst) noexcept;

namespace lookup {

#define SLUICE_INLINE [[gnu::always_inline]] inline

// Decides one packet whose remote address has class `remote`, whatever the program's form.
SLUICE_INLINE uint32_t decide(const CompiledProgram& program, const AddressClasses& classes,
                              const FlowKey& key, ClassId remote) noexcept {
  const bool both = program.pinned == Pinned::Side::none;
  const uint32_t source = program.source == nullptr ? 0 : program.source->row(remote);
  const uint32_t destination =
      program.destination == nullptr
          ? 0
          : program.destination->row(both ? classes.find(key.dst) : remote);
  const uint32_t column = program.ports->column(transport::key_of(key));
  if (program.form == Form::table) {
    const Table& table = *program.table;
    const uint32_t cell =
        table.cells[(size_t{source} * table.destinations + destination) * table.columns +
                    column];
    return (cell & outcome::kException) == 0
               ? cell
               : table.exceptions[size_t{cell & ~outcome::kException} * table.port_rows +
                                  program.source_ports->row(key.src_port)];
  }
  const Vectors& v = *program.vectors;
  const uint64_t* a = v.sources.data() + source * v.words;
  const uint64_t* b = v.destinations.data() + destination * v.words;
  const uint64_t* c = v.columns.data() + column * v.words;
  const uint64_t* d = v.port_rows.data() + program.source_ports->row(key.src_port) * v.words;
  return first_match(v.consequences.data(), v.words,
                     [&](size_t i) { return a[i] & b[i] & c[i] & d[i]; });
}

// What the stages carry from one to the next, by packet.
struct Lanes {
  const Instance* instance[kMaxBurst];
  const Address* remote[kMaxBurst];
  const uint32_t* word_at[kMaxBurst];  // IPv4: the first-level word, then the class
  Ip6Classes::Probe probe[kMaxBurst];  // IPv6
  const uint8_t* row_at[kMaxBurst];
  const uint32_t* cell_at[kMaxBurst];
  uint32_t word[kMaxBurst];
  uint32_t column[kMaxBurst];
  ClassId class_id[kMaxBurst];
  uint8_t ip4[kMaxBurst], ip6[kMaxBurst], sparse[kMaxBurst];  // packets of each kind
  size_t ip4_count, ip6_count, sparse_count;
};

SLUICE_INLINE void find_words(Lanes& l, const LookupTables& tables, const Burst& burst) {
  l.ip4_count = l.ip6_count = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    __builtin_prefetch(tables.instances + burst.instances[i]);
  }
  for (size_t i = 0; i < burst.count; ++i) {
    const Instance* instance = tables.instances + burst.instances[i];
    const FlowKey& key = burst.keys[i];
    l.instance[i] = instance;
    l.remote[i] = instance->remote_is_destination ? &key.dst : &key.src;
    const bool v4 = l.remote[i]->is_v4();
    l.ip4[l.ip4_count] = l.ip6[l.ip6_count] = static_cast<uint8_t>(i);
    l.ip4_count += v4 ? 1 : 0;
    l.ip6_count += v4 ? 0 : 1;
  }
  for (size_t k = 0; k < l.ip4_count; ++k) {
    const size_t i = l.ip4[k];
    l.word_at[i] = tables.classes->ip4().first(l.remote[i]->v4());
    __builtin_prefetch(l.word_at[i]);
  }
  for (size_t k = 0; k < l.ip6_count; ++k) {
    const size_t i = l.ip6[k];
    l.probe[i] = tables.classes->ip6().probe(*l.remote[i]);
    __builtin_prefetch(l.probe[i].exact);
    __builtin_prefetch(l.probe[i].prefix);
  }
}

template <typename Level>
SLUICE_INLINE void find_columns(Lanes& l, const Burst& burst) {
  for (size_t i = 0; i < burst.count; ++i) {
    const transport::Key key = transport::key_of(burst.keys[i]);
    const Instance& instance = *l.instance[i];
    const uint32_t start = instance.starts[key.kind];
    const uint32_t count = instance.starts[key.kind + 1] - start;
    l.column[i] =
        instance
            .columns[start + Level::last_at_most(instance.firsts + start, count, key.value)];
  }
}

SLUICE_INLINE void find_classes(Lanes& l, const LookupTables& tables) {
  const Ip4Classes& ip4 = tables.classes->ip4();
  l.sparse_count = 0;
  for (size_t k = 0; k < l.ip4_count; ++k) {
    const size_t i = l.ip4[k];
    const uint32_t word = __atomic_load_n(l.word_at[i], __ATOMIC_ACQUIRE);
    constexpr uint32_t kDenseGroup = Ip4Classes::kGroup | Ip4Classes::kDense;
    const bool dense = (word & kDenseGroup) == kDenseGroup;
    const bool sparse = (word & kDenseGroup) == Ip4Classes::kGroup;
    l.word[i] = word;
    l.word_at[i] = dense ? ip4.dense_entry(word, l.remote[i]->v4()) : &l.word[i];
    __builtin_prefetch(sparse ? static_cast<const void*>(ip4.line(word)) : l.word_at[i]);
    l.sparse[l.sparse_count] = static_cast<uint8_t>(i);
    l.sparse_count += sparse ? 1 : 0;
  }
  for (size_t k = 0; k < l.ip4_count; ++k) {
    const size_t i = l.ip4[k];
    l.class_id[i] = __atomic_load_n(l.word_at[i], __ATOMIC_RELAXED);
  }
  for (size_t k = 0; k < l.sparse_count; ++k) {
    const size_t i = l.sparse[k];
    l.class_id[i] = ip4.in_sparse(l.word[i], l.remote[i]->v4());
  }
  for (size_t k = 0; k < l.ip6_count; ++k) {
    const size_t i = l.ip6[k];
    l.class_id[i] = tables.classes->ip6().resolve(l.probe[i], *l.remote[i]);
  }
}

SLUICE_INLINE void find_cells(Lanes& l, const Burst& burst) {
  for (size_t i = 0; i < burst.count; ++i) {
    l.row_at[i] = l.instance[i]->rows + (size_t{l.class_id[i]} << l.instance[i]->row_shift);
    __builtin_prefetch(l.row_at[i]);
  }
  for (size_t i = 0; i < burst.count; ++i) {
    uint32_t row = 0;
    __builtin_memcpy(&row, l.row_at[i], sizeof row);
    const Instance& instance = *l.instance[i];
    l.cell_at[i] =
        instance.cells + size_t{row & instance.row_mask} * instance.column_count + l.column[i];
    __builtin_prefetch(l.cell_at[i]);
  }
}

template <typename Level>
SLUICE_INLINE void classify_burst(const LookupTables& tables, const Burst& burst) {
  Lanes l;
  find_words(l, tables, burst);
  find_columns<Level>(l, burst);
  find_classes(l, tables);
  find_cells(l, burst);
  for (size_t i = 0; i < burst.count; ++i) {
    uint32_t cell = *l.cell_at[i];
    if ((cell & outcome::kException) != 0) {
      cell = decide(*l.instance[i]->program, *tables.classes, burst.keys[i], l.class_id[i]);
    }
    burst.verdicts[i] = outcome::unpack(cell);
  }
}

#undef SLUICE_INLINE

}  // namespace lookup
}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LOOKUP_H_
