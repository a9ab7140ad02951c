// SPDX-License-Identifier: Apache-2.0
// The packets of a burst whose programs have a forest: those of one forest walk it together,
// and on from where a rule passed them, until each is decided.
#include <algorithm>

#include "classifier/lookup.h"

namespace sluice {
namespace {

static_assert(kLookupBurst <= Forest::kMaxBurst);
static_assert(Forest::kNone == kNoTerm);

// A packet on its way.
struct Lane {
  const CompiledProgram* program;
  Verdict* verdict;
  lookup::Bits bits;  // if its answer may be among the vectors
  bool asks_bits;
  uint32_t from;   // the term to go on with
  uint32_t flags;  // of the outcome
};

// The index of the first of ascending numbers that is not below `least`.
uint32_t first_from(const std::vector<uint32_t>& ascending, uint32_t least) {
  return static_cast<uint32_t>(std::lower_bound(ascending.begin(), ascending.end(), least) -
                               ascending.begin());
}

uint32_t first_of_rest(const Lane& lane) {
  const std::vector<uint32_t>& rest = lane.program->forest->rest;
  const uint32_t from = lane.from == 0 ? 0 : first_from(rest, lane.from);
  const uint32_t bit = first_term(lane.program->vectors->words, lane.bits, from);
  return bit == kNoTerm ? kNoTerm : rest[bit];
}

// The first term from lane.from on that matches, `rule` being the first of the forest's.
uint32_t first_of_all(const Lane& lane, uint32_t rule) {
  const ForestTerms& forest = *lane.program->forest;
  const uint32_t term = rule == Forest::kNone ? kNoTerm : forest.of_rule[rule];
  return lane.asks_bits ? std::min(term, first_of_rest(lane)) : term;
}

// What follows when `term` matches; true if it decides.
bool decide(Lane& lane, uint32_t term) {
  const Consequence then =
      term == kNoTerm ? Consequence{} : lane.program->forest->consequences[term];
  if (then.next == Consequence::kDecides) {
    *lane.verdict = outcome::unpack(then.outcome | lane.flags);
    return true;
  }
  lane.flags = outcome::kPassedOrLogged;
  lane.from = then.next;
  return false;
}

// Lanes with the keys that a forest knows them by.
struct Walk {
  Lane lanes[kLookupBurst];
  FiveTuple keys[kLookupBurst];
  size_t count = 0;
};

// From the first rules that match to the terms, each step fetching what the next one reads.
void to_terms(const Walk& w, uint32_t (&first)[kLookupBurst]) {
  for (size_t i = 0; i < w.count; ++i) {
    const ForestTerms& forest = *w.lanes[i].program->forest;
    __builtin_prefetch(forest.of_rule.data() + (first[i] == Forest::kNone ? 0 : first[i]));
  }
  for (size_t i = 0; i < w.count; ++i) {
    first[i] = first_of_all(w.lanes[i], first[i]);
    __builtin_prefetch(w.lanes[i].program->forest->consequences.data() +
                       (first[i] == kNoTerm ? 0 : first[i]));
  }
}

// REQUIRES: all lanes' programs have this forest.
void walk(const Forest& forest, Walk& w, SimdLevel level) {
  uint32_t first[kLookupBurst], floors[kLookupBurst];
  forest.find({w.keys, w.count}, {first, w.count}, level);
  for (;;) {
    to_terms(w, first);
    size_t left = 0;
    for (size_t i = 0; i < w.count; ++i) {
      Lane& lane = w.lanes[i];
      if (!decide(lane, first[i])) {
        floors[left] = first_from(lane.program->forest->of_rule, lane.from);
        w.keys[left] = w.keys[i];
        w.lanes[left++] = lane;
      }
    }
    w.count = left;
    if (left == 0) {
      return;
    }
    forest.find_from({w.keys, left}, {floors, left}, {first, left}, level);
  }
}

Lane enter(const LookupTables& tables, const Burst& burst, size_t i, ClassId remote) {
  const FlowKey& key = burst.keys[i];
  const CompiledProgram& program = *tables.instances[burst.instances[i]].program;
  Lane lane{&program, burst.verdicts + i, {}, false, 0, 0};
  lane.asks_bits = program.forest->rest_has_ip4 || !key.dst.is_v4();
  if (lane.asks_bits) {
    const lookup::Rows rows =
        lookup::rows_of<lookup::Scalar>(program, *tables.classes, key, remote);
    lane.bits = lookup::bits_of(program, rows, key.src_port);
  }
  return lane;
}

}  // namespace

void decide_by_forests(const LookupTables& tables, const Burst& burst, const ForestLanes& lanes,
                       SimdLevel level) noexcept {
  uint32_t waiting[kLookupBurst];
  size_t count = 0;
  for (size_t k = 0; k < lanes.count; ++k) {
    const uint32_t i = lanes.lanes[k];
    if (burst.keys[i].dst.is_v4()) {
      waiting[count++] = i;
      continue;
    }
    Lane lane = enter(tables, burst, i, lanes.classes[i]);
    while (!decide(lane, first_of_all(lane, Forest::kNone))) {
    }
  }
  Walk w;
  while (count != 0) {
    const Literals* literals = nullptr;
    size_t later = 0;
    w.count = 0;
    for (size_t k = 0; k < count; ++k) {
      const uint32_t i = waiting[k];
      const Lane lane = enter(tables, burst, i, lanes.classes[i]);
      const Literals* own = lane.program->forest->literals.get();
      literals = literals == nullptr ? own : literals;
      if (own != literals) {
        waiting[later++] = i;
        continue;
      }
      w.keys[w.count] = five_tuple_of(burst.keys[i]);
      w.lanes[w.count++] = lane;
    }
    count = later;
    walk(literals->forest, w, level);
  }
}

}  // namespace sluice
