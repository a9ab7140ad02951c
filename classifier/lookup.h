// SPDX-License-Identifier: Apache-2.0
// How a burst of packets meets compiled programs, stage by stage.
//
// The stages of one packet depend on each other, those of different packets do not: so each
// stage runs over the whole burst, fetching what the next will read.
//   1 the descriptor of the packet's instance; the first-level word of its remote address
//   2 the word: a class, or where it is found; the column of its transport key
//     (of IPv6, the line where the address itself is; if it is not there, that of a prefix)
//   3 the class   4 the row that the program gives the class   5 the cell   6 the verdict
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

#include "classifier/address_classes.h"
#include "classifier/program.h"
#include "classifier/simd.h"
#include "classifier/transport.h"

namespace sluice {

using InstanceId = uint32_t;  // of a program at an endpoint: see Matcher

inline constexpr size_t kLookupBurst = 64;

// All that most packets need of an instance, in one line.  The pointers lead into the program.
struct alignas(64) Instance {
  const uint8_t* rows = nullptr;           // of the remote side's projection
  const uint32_t* cells = nullptr;         // or one that sends everything to decide()
  const PortMap::Slice* slices = nullptr;  // of the port map, and so on
  const uint16_t* firsts = nullptr;
  const uint16_t* columns = nullptr;
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

// A packet's rows on the four axes of a program, of which the source port's is found last.
struct Rows {
  uint32_t source, destination, column;
};
SLUICE_INLINE Rows rows_of(const CompiledProgram& program, const AddressClasses& classes,
                           const FlowKey& key, ClassId remote) noexcept {
  const bool both = program.pinned == Pinned::Side::none;
  return {program.source == nullptr ? 0 : program.source->row(remote),
          program.destination == nullptr
              ? 0
              : program.destination->row(both ? classes.find(key.dst) : remote),
          program.ports->column(transport::key_of(key))};
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

// Where a value belongs in a slice, by Level::in_block: the samples tell the block.
template <typename Level>
SLUICE_INLINE uint32_t place_by_blocks(const uint16_t* firsts, PortMap::Slice slice,
                                       uint32_t value) noexcept {
  if (slice.size <= PortMap::kBlock) {
    return slice.start + Level::in_block(firsts + slice.start, slice.size, value);
  }
  const uint32_t samples = (slice.size + PortMap::kBlock - 1) / PortMap::kBlock;
  const uint16_t* samples_at = firsts + slice.start + slice.size;
  const uint32_t block = samples > PortMap::kBlock
                             ? last_at_most(samples_at, samples, value)
                             : Level::in_block(samples_at, samples, value);
  const uint32_t before = slice.start + block * PortMap::kBlock;
  const uint32_t rest = slice.size - block * PortMap::kBlock;
  return before + Level::in_block(firsts + before,
                                  rest < PortMap::kBlock ? rest : PortMap::kBlock, value);
}

// What the stages carry from one to the next, by packet.
struct Lanes {
  const Instance* instance[kLookupBurst];
  uint32_t ip4[kLookupBurst];     // the remote address, 0 if it is not IPv4
  uint32_t column[kLookupBurst];  // of the transport key
  uint32_t word[kLookupBurst];    // of the first level, then the class, unless it is elsewhere
  const ClassId* class_at[kLookupBurst];
  ClassId class_id[kLookupBurst];
  const uint32_t* cell_at[kLookupBurst];
  const Ip6Classes::Bucket* exact[kLookupBurst];  // of IPv6, as are the next
  Ip6Classes::Probe probe[kLookupBurst];
  // Packets that need more than the others, and how many.
  uint32_t ip6[kLookupBurst], in_prefix[kLookupBurst], sparse[kLookupBurst];
  uint32_t rare[kLookupBurst], in_forest[kLookupBurst];
  Rows rows[kLookupBurst];  // by number of the rare packet
  size_t ip6_count = 0, in_prefix_count = 0, sparse_count = 0, rare_count = 0;
};

// Traffic is a mixture, so what differs from packet to packet is computed by masks: a branch on
// it would be mispredicted every other time.
SLUICE_INLINE uint64_t mask_if(bool condition) {
  return ~uint64_t{0} * static_cast<uint64_t>(condition);
}
template <typename T>
SLUICE_INLINE const T* select(bool condition, const T* yes, const T* no) {
  const uint64_t mask = mask_if(condition);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): compilers make a branch of ?:
  return reinterpret_cast<const T*>((reinterpret_cast<uintptr_t>(yes) & mask) |
                                    (reinterpret_cast<uintptr_t>(no) & ~mask));
}
SLUICE_INLINE void append_if(bool condition, size_t lane, uint32_t* lanes, size_t& count) {
  lanes[count] = static_cast<uint32_t>(lane);
  count += static_cast<size_t>(condition);
}

SLUICE_INLINE const Address& remote_of(const FlowKey& key, const Instance& instance) {
  return *reinterpret_cast<const Address*>(reinterpret_cast<const char*>(&key) +
                                           instance.remote_offset);
}

// Then nothing of what is only for IPv6 need be done for any of them.
SLUICE_INLINE bool all_ip4(const Burst& burst) {
  uint64_t odd = 0;
  for (size_t i = 0; i < burst.count; ++i) {
    const Address &src = burst.keys[i].src, &dst = burst.keys[i].dst;
    odd |=
        src.hi | dst.hi | (src.lo ^ Address::kMapped) >> 32 | (dst.lo ^ Address::kMapped) >> 32;
  }
  return odd == 0;
}

template <typename Level>
SLUICE_INLINE void find_column(Lanes& l, size_t i, const transport::Key& key) {
  const Instance& instance = *l.instance[i];
  l.column[i] =
      instance.columns[Level::place(instance.firsts, instance.slices[key.kind], key.value)];
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
    find_column<Level>(l, i, transport::key_of(key, false));
  }
}

template <typename Level>
SLUICE_INLINE void read_keys(Lanes& l, const LookupTables& tables, const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  const Ip6Classes& ip6 = tables.classes->ip6();
  for (size_t i = 0; i < burst.count; ++i) {
    const FlowKey& key = burst.keys[i];
    const Instance& instance = tables.instances[burst.instances[i]];
    const Address& remote = remote_of(key, instance);
    const bool v4 = (remote.hi | (remote.lo >> 32 ^ Address::kMapped >> 32)) == 0;
    l.instance[i] = &instance;
    l.ip4[i] = static_cast<uint32_t>(remote.lo & mask_if(v4)) & instance.ip4_mask;
    l.exact[i] = ip6.exact_at(remote);
    const void* word = ip4.first(Ip4{l.ip4[i]});
    __builtin_prefetch(select<void>(v4, word, l.exact[i]));
    append_if(!v4, i, l.ip6, l.ip6_count);
    find_column<Level>(l, i, transport::key_of(key));
  }
}

SLUICE_INLINE void find_ip4(Lanes& l, const LookupTables& tables, const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  for (size_t i = 0; i < burst.count; ++i) {
    const Ip4 address{l.ip4[i]};
    const uint32_t word = __atomic_load_n(ip4.first(address), __ATOMIC_ACQUIRE);
    const bool sparse =
        (word & (Ip4Classes::kGroup | Ip4Classes::kDense)) == Ip4Classes::kGroup;
    l.word[i] = word;
    // The class is in a dense group, or in the word itself; a sparse group waits for its line.
    const bool dense = word >= (Ip4Classes::kGroup | Ip4Classes::kDense);
    l.class_at[i] = select(dense, ip4.dense_entry(word, address), l.word + i);
    __builtin_prefetch(l.class_at[i]);
    append_if(sparse, i, l.sparse, l.sparse_count);
  }
  for (size_t k = 0; k < l.sparse_count; ++k) {
    __builtin_prefetch(ip4.line(l.word[l.sparse[k]]));
  }
}

SLUICE_INLINE void find_rest(Lanes& l, const LookupTables& tables, const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  for (size_t k = 0; k < l.sparse_count; ++k) {
    const size_t i = l.sparse[k];
    l.word[i] = ip4.in_sparse(l.word[i], Ip4{l.ip4[i]});  // where class_at of IPv4 leads
  }
  for (size_t i = 0; i < burst.count; ++i) {
    l.class_id[i] = __atomic_load_n(l.class_at[i], __ATOMIC_RELAXED);
  }
  const Ip6Classes& ip6 = tables.classes->ip6();
  for (size_t k = 0; k < l.in_prefix_count; ++k) {
    const size_t i = l.in_prefix[k];
    l.class_id[i] =
        ip6.resolve(l.probe[i], *l.exact[i], remote_of(burst.keys[i], *l.instance[i]));
  }
}

// What IPv6 has instead of find_ip4(), which knows nothing of it.
SLUICE_INLINE void find_ip6(Lanes& l, const LookupTables& tables, const Burst& burst) {
  const Ip6Classes& ip6 = tables.classes->ip6();
  for (size_t k = 0; k < l.ip6_count; ++k) {
    const uint32_t i = l.ip6[k];
    const Address& remote = remote_of(burst.keys[i], *l.instance[i]);
    const ClassId* exact = Ip6Classes::exact_in(*l.exact[i], remote);
    const bool known = exact != nullptr;
    l.class_at[i] = select(known, exact, l.word + i);
    append_if(!known, i, l.in_prefix, l.in_prefix_count);
    __builtin_prefetch(ip6.filter_at(remote));
  }
  for (size_t k = 0; k < l.in_prefix_count; ++k) {
    const size_t i = l.in_prefix[k];
    l.probe[i] = ip6.probe(remote_of(burst.keys[i], *l.instance[i]));
    __builtin_prefetch(l.probe[i].prefix);
  }
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
SLUICE_INLINE void decide_rare(Lanes& l, const LookupTables& tables, const Burst& burst) {
  const Ip4Classes::View ip4 = tables.classes->ip4().view();
  size_t in_forests = 0, others = 0;
  for (size_t k = 0; k < l.rare_count; ++k) {
    const uint32_t i = l.rare[k];
    const Address& to = burst.keys[i].dst;
    __builtin_prefetch(ip4.first(Ip4{static_cast<uint32_t>(to.lo)}));
    l.in_forest[in_forests] = l.rare[others] = i;  // no further than k
    const bool forest = l.instance[i]->program->form == Form::forest;
    in_forests += static_cast<size_t>(forest);
    others += static_cast<size_t>(!forest);
  }
  for (size_t k = 0; k < others; ++k) {
    const uint32_t i = l.rare[k];
    const CompiledProgram& program = *l.instance[i]->program;
    l.rows[k] = rows_of(program, *tables.classes, burst.keys[i], l.class_id[i]);
    prepare(program, burst.keys[i], l.rows[k]);
  }
  for (size_t k = 0; k < others; ++k) {
    const uint32_t i = l.rare[k];
    burst.verdicts[i] =
        outcome::unpack(decide<Level>(*l.instance[i]->program, burst.keys[i], l.rows[k]));
  }
  if (in_forests != 0) {
    decide_by_forests(tables, burst, {l.in_forest, in_forests, l.class_id}, Level::kLevel);
  }
}

template <typename Level>
SLUICE_INLINE void classify_burst(const LookupTables& tables, const Burst& burst) {
  Lanes l;
  if (all_ip4(burst)) {
    read_ip4_keys<Level>(l, tables, burst);
  } else {
    read_keys<Level>(l, tables, burst);
  }
  find_ip4(l, tables, burst);
  find_ip6(l, tables, burst);
  find_rest(l, tables, burst);
  for (size_t i = 0; i < burst.count; ++i) {
    __builtin_prefetch(row_at(*l.instance[i], l.class_id[i]));
  }
  for (size_t i = 0; i < burst.count; ++i) {
    l.cell_at[i] = cell_at(*l.instance[i], l.class_id[i], l.column[i]);
    __builtin_prefetch(l.cell_at[i]);
  }
  for (size_t i = 0; i < burst.count; ++i) {
    const uint32_t cell = *l.cell_at[i];
    burst.verdicts[i] = outcome::unpack(cell);
    append_if((cell & outcome::kException) != 0, i, l.rare, l.rare_count);
  }
  decide_rare<Level>(l, tables, burst);
}

#undef SLUICE_INLINE

}  // namespace lookup
}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LOOKUP_H_
