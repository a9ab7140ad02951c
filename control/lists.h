// SPDX-License-Identifier: Apache-2.0
// Rule lists of policies and profiles: compiled once, and put into each compilation's RuleSet.
//
// A list is compiled when an endpoint first runs it, and kept beside its policy as long as that
// is the same and each compilation uses it.  One that is compiled again and reads as before
// stays the very same value, so nothing is made of it anew.  Of all others only the mistakes
// are looked for, once.
#ifndef SLUICE_CONTROL_LISTS_H_
#define SLUICE_CONTROL_LISTS_H_

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "control/compile.h"
#include "control/rules.h"

namespace sluice::control {

// The rules of one policy or profile in one direction.
struct KeptList {
  RuleNotes notes;
  std::optional<Shared<RuleList>> rules;  // once an endpoint ran it; its sets are of `run`
  std::optional<Shared<ListName>> name;
  uint64_t run = 0;  // the last compilation that had it, as `id`
  ListId id = 0;
};

template <typename Holder>  // a Policy or a Profile
const std::vector<config::Rule>& rules_of(const Holder& holder, Direction direction) {
  return direction == Direction::ingress ? holder.ingress : holder.egress;
}

// Both lists of a holder, unused yet, by Direction.
using KeptLists = std::array<KeptList, 2>;
template <typename Holder>
KeptLists lists_of(const Holder& holder, const std::string& scope) {
  KeptLists out;
  for (const Direction direction : kDirections) {
    for (const config::Rule& rule : rules_of(holder, direction)) {
      RuleCompiler::check(rule, scope, out[index_of(direction)].notes);
    }
  }
  return out;
}

class Lists {
 public:
  Lists(const Inventory& inventory, RuleNames& counters)
      : inventory_(inventory), counters_(counters), sets_(inventory) {}

  // Begins a compilation: its lists go to `out`.
  void begin(RuleSet& set, CompiledPolicy& out);
  // The list's id in this compilation.  `scope`: the namespace of a namespaced policy.
  ListId use(KeptList& list, const std::vector<config::Rule>& rules, const std::string& scope,
             const ListName& name);
  // Adds what there is to say about the lists, whether they are used or not.
  void report(const KeptLists& lists, config::Findings& findings) const;
  // Ends it; sets that only lists of an earlier one name are given up.
  void end();

  size_t compiled() const { return compiled_; }  // lists, in this compilation
  size_t filled() const { return sets_.filled() - filled_before_; }  // sets, in this one

 private:
  using Key = std::tuple<std::string, std::string, std::string, std::string, Direction>;

  const Inventory& inventory_;
  RuleNames& counters_;
  Sets sets_;
  RuleCompiler rules_{sets_};
  RuleSet* set_ = nullptr;
  CompiledPolicy* out_ = nullptr;
  uint64_t run_ = 0;
  std::map<Key, Shared<RuleList>> before_, now_;  // of the last compilation, and of this one
  size_t compiled_ = 0;
  size_t filled_before_ = 0;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_LISTS_H_
