// SPDX-License-Identifier: Apache-2.0
// Rules as terms: conjunctions of four independent fields, in the order in which they are
// asked.
//
// A rule is one term, except that named-port and service sets tie a port to an address: such a
// rule is a few terms with the same consequence, one for each (protocol, port) pair.  Tiers,
// lists and defaults become one flat list: a term that matches either decides or goes on with a
// later term (pass: the first of the next tier; log: the next one).
// Made and read by the compiler only.
#ifndef SLUICE_CLASSIFIER_TERMS_H_
#define SLUICE_CLASSIFIER_TERMS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "classifier/intervals.h"
#include "classifier/memberships.h"
#include "classifier/outcome.h"
#include "classifier/rule.h"

namespace sluice {

struct Term {
  struct Side {
    std::vector<MembershipId> in;   // the address is in all of these
    std::vector<MembershipId> out;  // and in none of these
    friend bool operator==(const Side&, const Side&) = default;
  };
  Intervals transport;     // see transport.h; never empty
  Intervals source_ports;  // never empty; meaningful only where transport has ports
  Side source, destination;
};

// The terms of one rule.  None if it can match nothing.
std::vector<Term> terms_of(const Rule& rule, const Memberships& memberships);

// What follows when a term matches.
struct Consequence {
  static constexpr uint32_t kDecides = UINT32_MAX;
  uint32_t outcome = outcome::kUndecided;
  uint32_t next = kDecides;  // or the term to go on with; then passed_or_logged holds
  friend bool operator==(const Consequence&, const Consequence&) = default;
};

// The terms of each list, made when first asked for and shared by all programs.
// REQUIRES: the rules and memberships outlive it.
class ListTerms {
 public:
  struct OfRule {
    std::vector<Term> terms;
    Action action = Action::deny;
    CounterSlot counter = kNoCounter;
  };
  ListTerms(const RuleSet& rules, const Memberships& memberships);
  const std::vector<OfRule>& of(ListId list);
  const Term& always() const { return always_; }

 private:
  const RuleSet& rules_;
  const Memberships& memberships_;
  std::vector<std::optional<std::vector<OfRule>>> lists_;
  Term always_;  // for the defaults of tiers
};

// Which side of a program's packets is known beforehand, and of which memberships it is.
struct Pinned {
  enum class Side : uint8_t { none, source, destination };
  Side side = Side::none;
  std::span<const MembershipId> signature = {};  // sorted
};

// A program flattened; terms that the pinned side rules out, or that nothing can reach, are
// left out.  The terms belong to `lists`.
struct TermList {
  std::vector<const Term*> terms;
  std::vector<Consequence> consequences;  // by term
  friend bool operator==(const TermList&, const TermList&) = default;
};
TermList flatten(const Program& program, ListTerms& lists, const Pinned& pinned);

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_TERMS_H_
