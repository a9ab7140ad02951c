// SPDX-License-Identifier: Apache-2.0
// The compiled matcher: which rule decides, for bursts of packets.
//
//   RuleSet ─► Memberships ─► AddressClasses      one front end for the node
//          └─► terms ─► CompiledProgram           one per (program, side, class of own address)
//
// A caller asks by InstanceId: a program of the RuleSet at one endpoint address (a Pin), or at
// no particular one (host endpoints, endpoints that may send from other addresses).  Its
// verdicts equal Linear's, which stays as the oracle and tells every step (Linear::walk).
//
// Any number of threads may classify.  What did not change since `previous` is shared with it:
// the front end, and each program whose lists and tiers are the same.
//
// Where only members of sets changed, a few of them and none a pinned address, and every
// program is pinned, the address tables are shared too, and the new classes wait for settle():
//   make  ─►  publish  ─►  no thread uses an earlier matcher  ─►  settle
// Until then the addresses answer as before the change; afterwards as the RuleSet says.  So no
// table names a class before every program in use has a row for it.  Few other changes of
// members, or such beside rules that ask nothing new of addresses, go into a copy of the
// tables; all else makes them anew. Bounds: Options::memory_bytes for all tables together.
#ifndef SLUICE_CLASSIFIER_MATCHER_H_
#define SLUICE_CLASSIFIER_MATCHER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "classifier/class_changes.h"
#include "classifier/lookup.h"
#include "classifier/program.h"
#include "classifier/result.h"
#include "classifier/rule.h"
#include "classifier/simd.h"

namespace sluice {

class Matcher {
 public:
  // Told of each pin whose program is there, compiled or not, and how many there are.
  using Progress = std::function<void(size_t made, size_t all)>;

  // Whose packets a program judges.  With a side, all of them have `address` there: only the
  // other side is looked up.
  struct Pin {
    ProgramId program = 0;
    Pinned::Side side = Pinned::Side::none;
    Address address = {};
    // Has the packet `address` at its side?
    bool fits(const FlowKey& key) const {
      return side == Pinned::Side::none ||
             (side == Pinned::Side::source ? key.src : key.dst) == address;
    }
    friend bool operator==(const Pin&, const Pin&) = default;
  };

  struct Options {
    size_t memory_bytes = size_t{1} << 30;
    CompileLimits limits = {};
    std::optional<Form> form = {};        // all programs take it; by their size otherwise
    std::optional<SimdLevel> level = {};  // the processor's best otherwise
    bool in_place = true;  // few members change by settle(); all at once otherwise
    Progress progress = {};
  };

  // InstanceId i is pins[i].  The error names the limit that was passed; then nothing is made.
  // Shares nothing with a `previous` that is not settled.
  // REQUIRES: pins name programs of `rules`; `previous` has the same limits and form, and no
  // other matcher made from it was settled.
  static Result<std::shared_ptr<const Matcher>> make(std::shared_ptr<const RuleSet> rules,
                                                     std::span<const Pin> pins,
                                                     const Options& options,
                                                     const Matcher* previous = nullptr);

  // Judges keys[i] by instances[i] and writes verdicts[i].
  // REQUIRES: the three spans have one length; instances[i] < the number of pins.
  void classify(std::span<const FlowKey> keys, std::span<const InstanceId> instances,
                std::span<Verdict> verdicts) const noexcept;

  // Gives the addresses whose sets changed their new classes, in place.  Nothing happens the
  // second time.
  // REQUIRES: no thread uses a matcher made before this one; one caller at a time.
  void settle() const noexcept;
  bool settled() const noexcept;

  const RuleSet& rules() const { return *rules_; }
  const AddressClasses& classes() const { return *classes_; }
  const Pin& pin(InstanceId id) const { return pins_[id]; }
  // How an instance's program was compiled.  Instances may share one.
  const CompiledProgram& program(InstanceId id) const { return *instances_[id].program; }
  size_t instance_count() const { return instances_.size(); }
  size_t program_count() const;                        // those that differ
  size_t compiled_count() const { return compiled_; }  // not taken from the predecessor

  struct Memory {
    size_t classes = 0;   // the front end
    size_t programs = 0;  // what they share counted once
    size_t total() const { return classes + programs; }
  };
  Memory memory() const { return memory_; }

 private:
  // What a program is made of: its lists, tiers, pinned side and local class.
  using Key = std::vector<uint64_t>;
  using Programs = std::map<Key, std::shared_ptr<const CompiledProgram>>;
  using Classify = void (*)(const LookupTables&, const Burst&) noexcept;
  friend class MatcherBuild;

  Matcher() = default;

  std::shared_ptr<const RuleSet> rules_;
  std::shared_ptr<const Memberships> memberships_;
  std::shared_ptr<AddressClasses> classes_;
  size_t known_classes_ = 0;  // for which every program has a row
  size_t first_size_ = 0;     // classes and memberships when these were made from nothing
  std::vector<ClassChange> changes_;
  std::vector<bool> read_;  // by ListId: somebody is judged by it
  std::shared_ptr<const Programs> programs_;
  std::vector<Pin> pins_;  // by instance
  std::vector<Instance> instances_;
  size_t compiled_ = 0;
  Memory memory_;
  Classify classify_ = classify_scalar;
};

}  // namespace sluice

#endif  // SLUICE_CLASSIFIER_MATCHER_H_
