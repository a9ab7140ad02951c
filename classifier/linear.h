// SPDX-License-Identifier: Apache-2.0
// The plain matcher: first match by a loop over the rules, exactly as the policy reads.
//
// It is the oracle that every faster matcher is compared with, so it must stay obvious.
// Immutable after construction; any number of threads may read it.  Cost per key: O(rules of
// the program), each with O(log members) for the sets it names; no allocation.
#ifndef SLUICE_CLASSIFIER_LINEAR_H_
#define SLUICE_CLASSIFIER_LINEAR_H_

#include <functional>
#include <memory>
#include <span>

#include "classifier/rule.h"

namespace sluice {

// One thing that happened while a program judged a key, in order.
struct Step {
  enum class Kind : uint8_t { rule, tier_default };
  Kind kind = Kind::rule;
  uint32_t tier = 0;             // index into Program::tiers
  ListId list = 0;               // for rules
  uint32_t rule = 0;             // index into RuleList::rules, for rules
  Action action = Action::deny;  // of the rule, or what the tier's default does
  CounterSlot counter = kNoCounter;
};

// The part of a rule that a key does not meet, in the order in which they are asked.
enum class Mismatch : uint8_t {
  none,
  ip_version,
  protocol,
  icmp,
  source,
  source_port,
  destination,
  destination_port,
};

// The first part of `rule`, one of the rules of `rules`, that `key` does not meet; none if the
// rule matches.
Mismatch mismatch(const RuleSet& rules, const Rule& rule, const FlowKey& key) noexcept;

class Linear {
 public:
  explicit Linear(std::shared_ptr<const RuleSet> rules) : rules_(std::move(rules)) {}

  // Judges keys[i] by programs[i] and writes verdicts[i].
  // REQUIRES: the three spans have one length; programs[i] < rules().programs.size().
  void classify(std::span<const FlowKey> keys, std::span<const ProgramId> programs,
                std::span<Verdict> verdicts) const noexcept;

  // Judges one key and reports each matching rule and each tier default on the way, the
  // deciding one last.  For counters of pass and log rules, and for `explain`.
  Verdict walk(const FlowKey& key, ProgramId program,
               const std::function<void(const Step&)>& visit) const;

  const RuleSet& rules() const { return *rules_; }
  const std::shared_ptr<const RuleSet>& shared_rules() const { return rules_; }

 private:
  std::shared_ptr<const RuleSet> rules_;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_LINEAR_H_
