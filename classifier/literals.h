// SPDX-License-Identifier: Apache-2.0
// The literal part of a long program: its terms about IPv4 networks, as rules of a forest.
//
// Bit vectors of a term for each row grow with the square of a list of distinct literal nets; a
// forest grows with the list.  So a program of the form `forest` is taken apart:
//
//   literal    what a term says of IPv4, if that is a few five-tuple rules (one for each
//              prefix, transport kind and source port range that it is made of)
//   rest       all that is left, as terms again: those with sets or many negations, and what
//              literal terms say of IPv6.  It is compiled to bit vectors.
//
// Both know which term of the program a match stands for; the lower one has matched first.
// A rule's protocol is the kind of the transport key, its destination port the key's value
// (transport.h), so that ICMP and protocols without ports need no case of their own.  The
// pinned side has been evaluated and is any. Made by the compiler, read by it and (Forest,
// ForestTerms) by the packet path.
#ifndef SLUICE_CLASSIFIER_LITERALS_H_
#define SLUICE_CLASSIFIER_LITERALS_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "classifier/forest.h"
#include "classifier/memberships.h"
#include "classifier/terms.h"
#include "classifier/transport.h"

namespace sluice {

// A list of rules and its forest.  Programs that differ in what follows a match share it.
struct Literals {
  uint64_t hash = 0;                 // of the rules; set by its Pool
  std::vector<FiveTupleRule> rules;  // what was compiled; no lookup reads them
  Forest forest;                     // in form `trees`

  friend bool operator==(const Literals& a, const Literals& b) { return a.rules == b.rules; }
  size_t size_bytes() const {
    return sizeof *this + rules.size() * sizeof(FiveTupleRule) + forest.bytes();
  }
};

// What the rules of a forest, and the bits of the vectors beside it, stand for in a program.
struct ForestTerms {
  uint64_t hash = 0;  // of the rest; set by its Pool
  std::shared_ptr<const Literals> literals;
  std::vector<uint32_t> of_rule;          // rule of the forest -> term, ascending
  std::vector<uint32_t> rest;             // bit of the vectors -> term, ascending
  std::vector<Consequence> consequences;  // by term
  bool rest_has_ip4 = false;              // else IPv4 need not look there

  friend bool operator==(const ForestTerms&, const ForestTerms&) = default;
  size_t size_bytes() const {
    return sizeof *this + (of_rule.size() + rest.size()) * sizeof(uint32_t) +
           consequences.size() * sizeof(Consequence);
  }
};

// A program taken apart.
struct Split {
  std::vector<FiveTupleRule> rules;
  ForestTerms terms;         // `literals` is yet to be made from `rules`
  TermList rest;             // refers to the program's terms and to `ip6`
  std::deque<Term> ip6;      // what is left of literal terms
  size_t literal_terms = 0;  // how many terms have become rules
};
// REQUIRES: `terms` were flattened with `pinned`, and outlive the result.
Split split_literals(const TermList& terms, Pinned::Side pinned,
                     const Memberships& memberships);

// A key as the rules know it.  REQUIRES: both addresses are IPv4.
inline FiveTuple five_tuple_of(const FlowKey& key) noexcept {
  const transport::Key to = transport::key_of(key);
  return {key.src.v4().value,
          key.dst.v4().value,
          key.src_port,
          static_cast<uint16_t>(to.value),
          static_cast<uint8_t>(to.kind),
          {}};
}

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LITERALS_H_
