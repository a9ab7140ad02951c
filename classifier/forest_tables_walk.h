// SPDX-License-Identifier: Apache-2.0
// The lookup of a burst in tables, written once for all instruction sets; see forest_walk.h,
// whose rules hold here, too.  An `Isa` gives one function: `not_above`, how many of the
// sixteen boundaries of a line are not above an address.
//
// There is no branch that depends on a key, and no load of one key waits for another key's.
#ifndef SLUICE_CLASSIFIER_FOREST_TABLES_WALK_H_
#define SLUICE_CLASSIFIER_FOREST_TABLES_WALK_H_

#include "classifier/forest_tables.h"

namespace sluice::forest {
namespace {

template <unsigned kLevels, typename Isa>
inline uint32_t class_of(const Boundaries::Line* lines, const uint16_t* classes,
                         uint32_t address) {
  uint32_t line = 0;
  for (unsigned level = 0; level < kLevels; ++level) {
    line = line * kWays + Isa::not_above(lines[line], address);
    lines += level == 0 ? 1 : kWays;
  }
  return classes[line];
}

inline uint32_t class_of(const PortClasses& ports, const uint16_t* classes, uint16_t port) {
  return classes[static_cast<uint32_t>(ports.page[port >> 8]) << 8 | (port & 0xffu)];
}

inline uint32_t cell(const Cross& cross, const uint16_t* cells, uint32_t row, uint32_t column) {
  return cells[row * cross.columns + column];
}

// kSrc and kDst are the levels of the addresses' boundaries.
template <unsigned kSrc, unsigned kDst, typename Isa>
void find_in_tables(const Tables& t, const FiveTuple* keys, size_t count, uint32_t* first) {
  const Boundaries::Line* const src_lines = t.src.lines.data();
  const Boundaries::Line* const dst_lines = t.dst.lines.data();
  const uint16_t* const src_classes = t.src.classes.data();
  const uint16_t* const dst_classes = t.dst.classes.data();
  const uint16_t* const src_ports = t.src_port.classes.data();
  const uint16_t* const dst_ports = t.dst_port.classes.data();
  const uint16_t* const address_cells = t.addresses.cells.data();
  const uint16_t* const service_cells = t.service.cells.data();
  const uint16_t* const l4_cells = t.l4.cells.data();
  const uint16_t* const first_cells = t.first.cells.data();
  // In three steps, so that the processor sees many keys at once; each prefetches for the next.
  const uint16_t* cells[Forest::kMaxBurst];
  for (size_t i = 0; i < count; ++i) {
    const uint32_t src = class_of<kSrc, Isa>(src_lines, src_classes, keys[i].src);
    const uint32_t dst = class_of<kDst, Isa>(dst_lines, dst_classes, keys[i].dst);
    cells[i] = address_cells + (size_t{src} * t.addresses.columns + dst);
    __builtin_prefetch(cells[i]);
  }
  for (size_t i = 0; i < count; ++i) {
    const FiveTuple& key = keys[i];
    const uint32_t src_port = class_of(t.src_port, src_ports, key.src_port);
    const uint32_t dst_port = class_of(t.dst_port, dst_ports, key.dst_port);
    const uint32_t service = cell(t.service, service_cells, dst_port, t.protocol[key.protocol]);
    const uint32_t l4 = cell(t.l4, l4_cells, service, src_port);
    cells[i] = first_cells + (size_t{*cells[i]} * t.first.columns + l4);
    __builtin_prefetch(cells[i]);
  }
  for (size_t i = 0; i < count; ++i) {
    first[i] = *cells[i] == kNoRule ? Forest::kNone : *cells[i];
  }
}

template <unsigned kSrc, typename Isa>
void find_with_src(const Tables& t, const FiveTuple* keys, size_t count, uint32_t* first) {
  switch (t.dst.levels) {
    case 0:
      return find_in_tables<kSrc, 0, Isa>(t, keys, count, first);
    case 1:
      return find_in_tables<kSrc, 1, Isa>(t, keys, count, first);
    case 2:
      return find_in_tables<kSrc, 2, Isa>(t, keys, count, first);
    default:
      return find_in_tables<kSrc, 3, Isa>(t, keys, count, first);
  }
}

template <typename Isa>
void find_by_classes(const Tables& t, const FiveTuple* keys, size_t count, uint32_t* first) {
  switch (t.src.levels) {
    case 0:
      return find_with_src<0, Isa>(t, keys, count, first);
    case 1:
      return find_with_src<1, Isa>(t, keys, count, first);
    case 2:
      return find_with_src<2, Isa>(t, keys, count, first);
    default:
      return find_with_src<3, Isa>(t, keys, count, first);
  }
}

}  // namespace
}  // namespace sluice::forest

#endif  // SLUICE_CLASSIFIER_FOREST_TABLES_WALK_H_
