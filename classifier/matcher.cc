// SPDX-License-Identifier: Apache-2.0
#include "classifier/matcher.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <set>
#include <string>
#include <tuple>

namespace sluice {
namespace {

// Programs that are not one look-up in one table send every packet to decide().
constexpr uint32_t kAskDecide = outcome::kException;
constexpr PortMap::Slice kOneColumnSlice = {0, 1};
constexpr std::array<PortMap::Slice, transport::kKinds> kOneColumnSlices = [] {
  std::array<PortMap::Slice, transport::kKinds> all{};
  all.fill(kOneColumnSlice);
  return all;
}();
constexpr std::array<uint16_t, 1 + PortMap::kBlock> kOneColumn = {};

Instance instance_of(const CompiledProgram& program) {
  Instance out;
  out.program = &program;
  const bool to_destination = program.pinned == Pinned::Side::source;
  out.remote_offset = to_destination ? offsetof(FlowKey, dst) : offsetof(FlowKey, src);
  const Projection& remote = to_destination ? *program.destination : *program.source;
  out.rows = remote.bytes.data();
  out.row_shift = remote.shift;
  if (program.form == Form::table && program.pinned != Pinned::Side::none) {
    out.row_mask = remote.mask();
    out.cells = program.table->cells.data();
    out.column_count = program.table->columns;
    out.slices = program.ports->slices.data();
    out.firsts = program.ports->firsts.data();
    out.columns = program.ports->columns.data();
  } else {  // every row is row 0, every key column 0
    out.cells = &kAskDecide;
    out.slices = kOneColumnSlices.data();
    out.firsts = out.columns = kOneColumn.data();
  }
  return out;
}

std::string mebibytes(size_t bytes) {
  return std::to_string((bytes + (size_t{1} << 20) - 1) >> 20) + " MiB";
}

}  // namespace

// One run of Matcher::make.
class MatcherBuild {
 public:
  using Compiled = std::shared_ptr<const CompiledProgram>;

  MatcherBuild(std::shared_ptr<const RuleSet> rules, const Matcher::Options& options,
               const Matcher* previous)
      : options_(options),
        previous_(previous != nullptr && previous->settled() ? previous : nullptr),
        out_(new Matcher) {
    out_->rules_ = std::move(rules);
    limits_ = options.limits;
    if (options.form) {
      limits_.table_cells = *options.form == Form::table ? SIZE_MAX : 0;
    }
  }

  Result<std::shared_ptr<const Matcher>> run(std::span<const Matcher::Pin> pins) {
    if (Status status = check_counters(); !status) {
      return status.error();
    }
    out_->pins_.assign(pins.begin(), pins.end());
    make_classes();
    if (!out_->classes_->ok()) {
      return Error{"policy: no memory for the address classes"};
    }
    lists_.emplace(*out_->rules_, *out_->memberships_);
    for (const Matcher::Pin& pin : pins) {
      if (Status status = add(pin); !status) {
        return status.error();
      }
    }
    if (Status status = fit_memory(); !status) {
      return status.error();
    }
    for (const auto& entry : used_) {
      out_->instances_.push_back(instance_of(*entry->second));
    }
    choose_level();
    return std::shared_ptr<const Matcher>(std::move(out_));
  }

 private:
  // The predecessor's front end as long as it knows every set of ours, but for a few members;
  // else its successor, or a fresh one once most of its classes may be dead.
  void make_classes() {
    const Memberships* known = previous_ == nullptr ? nullptr : previous_->memberships_.get();
    auto memberships = std::make_shared<const Memberships>(*out_->rules_, known);
    if (known != nullptr && share_classes(memberships)) {
      same_classes_ = true;
      return;
    }
    const AddressClasses* before = previous_ == nullptr ? nullptr : previous_->classes_.get();
    if (previous_ != nullptr && outgrown(*previous_)) {
      before = nullptr;
      memberships = std::make_shared<const Memberships>(*out_->rules_);
    }
    out_->memberships_ = std::move(memberships);
    out_->classes_ = std::make_shared<AddressClasses>(*out_->memberships_, before);
    out_->known_classes_ = out_->classes_->directory().size();
    out_->first_classes_ = before == nullptr ? out_->known_classes_ : previous_->first_classes_;
  }

  // Classes only come while their directory goes on.
  static bool outgrown(const Matcher& m) {
    constexpr size_t kSlack = 1024;
    return m.known_classes_ > 2 * m.first_classes_ + kSlack;
  }

  // Is everybody judged by the rules by which the predecessor judged him, but for the one whose
  // address changed?  Rules are in force with their publication and members when they are
  // settled: in between, edited rules would meet the members of before.
  bool same_policy() const {
    using Judged = std::tuple<Matcher::Key, Address>;
    const auto judged = [](const Matcher& m, const Matcher::Pin& pin) {
      return Judged{key_of(*m.rules_, pin), pin.address};
    };
    std::set<Judged> before;
    std::set<Address> others;
    for (const Matcher::Pin& pin : previous_->pins_) {
      before.insert(judged(*previous_, pin));
      others.insert(pin.address);
    }
    const auto& changes = out_->changes_;
    const auto fours = std::count_if(changes.begin(), changes.end(),
                                     [](const ClassChange& c) { return c.address.is_v4(); });
    if (fours <= 1 && changes.size() - static_cast<size_t>(fours) <= 1) {
      for (const ClassChange& change : changes) {
        others.erase(change.address);
      }
    }
    return std::all_of(out_->pins_.begin(), out_->pins_.end(), [&](const Matcher::Pin& pin) {
      const bool other = pin.side == Pinned::Side::none || others.contains(pin.address);
      return !other || before.contains(judged(*out_, pin));
    });
  }

  // With the predecessor.  False if too much changed.
  bool share_classes(const std::shared_ptr<const Memberships>& memberships) {
    out_->classes_ = previous_->classes_;
    out_->known_classes_ = previous_->known_classes_;
    out_->first_classes_ = previous_->first_classes_;
    if (memberships->within(*previous_->memberships_)) {
      out_->memberships_ = previous_->memberships_;
      return true;
    }
    if (!options_.in_place || outgrown(*previous_)) {
      return false;
    }
    auto changes =
        class_changes(*previous_->memberships_, *memberships, *out_->classes_, kMaxChanges);
    if (!changes) {
      return false;
    }
    out_->memberships_ = memberships;
    out_->changes_ = std::move(*changes);
    if (same_policy() && describe_new_classes()) {
      return true;
    }
    out_->changes_.clear();
    new_classes_.clear();
    return false;
  }

  // False if there is one that no change accounts for (of a matcher that was never settled).
  bool describe_new_classes() {
    const ClassDirectory& directory = out_->classes_->directory();
    std::map<ClassId, NewClass> fresh;
    for (const ClassChange& change : out_->changes_) {
      if (change.after >= previous_->known_classes_) {
        fresh[change.after] = {change.before, differing(directory.signature(change.before),
                                                        directory.signature(change.after))};
      }
    }
    for (auto& [id, described] : fresh) {
      new_classes_.push_back(std::move(described));
    }
    out_->known_classes_ = directory.size();
    return previous_->known_classes_ + fresh.size() == directory.size();
  }

  ClassId class_of(const Address& address) const {
    const auto change =
        std::lower_bound(out_->changes_.begin(), out_->changes_.end(), address,
                         [](const ClassChange& c, const Address& a) { return c.address < a; });
    return change != out_->changes_.end() && change->address == address
               ? change->after
               : out_->classes_->find(address);
  }

  static Matcher::Key key_of(const RuleSet& rules, const Matcher::Pin& pin, ClassId local = 0) {
    Matcher::Key key = {static_cast<uint64_t>(pin.side), local};
    for (const Tier& tier : rules.programs[pin.program].tiers) {
      key.push_back(uint64_t{tier.counter} << 32 | (tier.profiles ? 2u : 0u) |
                    (tier.end == TierEnd::deny ? 1u : 0u));
      key.push_back(tier.lists.size());
      for (const ListId list : tier.lists) {
        key.push_back(reinterpret_cast<uintptr_t>(rules.lists[list].address()));
      }
    }
    return key;
  }

  Status add(const Matcher::Pin& pin) {
    assert(pin.program < out_->rules_->programs.size());
    const bool pinned = pin.side != Pinned::Side::none;
    const ClassId local = pinned ? class_of(pin.address) : 0;
    const auto [entry, fresh] = out_->programs_.try_emplace(key_of(*out_->rules_, pin, local));
    used_.push_back(entry);
    if (!fresh) {
      return Ok{};
    }
    if (same_classes_) {
      const auto known = previous_->programs_.find(entry->first);
      if (known != previous_->programs_.end() && adopt(known->second, entry->second)) {
        return Ok{};
      }
    }
    ++out_->compiled_;
    recipes_[&entry->second] = {pin.program,
                                {pin.side, out_->classes_->directory().signature(local)}};
    return make_program(entry->second, limits_);
  }

  // Takes a program of the predecessor, with rows for what is new.  False if it must be
  // compiled.
  bool adopt(const Compiled& known, Compiled& to) {
    if (new_classes_.empty()) {
      to = known;
    } else if (auto extended = extend(*known, new_classes_, pools_)) {
      to = std::make_shared<const CompiledProgram>(std::move(*extended));
    } else {
      return false;
    }
    pools_.adopt(*to);
    return true;
  }

  Status make_program(Compiled& to, const CompileLimits& limits) {
    const Recipe& recipe = recipes_[&to];
    const Program& program = out_->rules_->programs[recipe.program];
    if (!classes_of_) {
      classes_of_.emplace(out_->classes_->directory(), out_->memberships_->size());
    }
    const TermList terms = flatten(program, *lists_, recipe.pinned);
    auto compiled = compile(terms, recipe.pinned.side, *classes_of_, limits, pools_);
    if (!compiled) {
      return Error{"policy: program of " + std::to_string(terms.terms.size()) +
                       " terms: more than " + mebibytes(limits.axis_bytes) + " of bit vectors",
                   "use fewer rules with literal addresses, or sets in their place"};
    }
    to = std::make_shared<const CompiledProgram>(std::move(*compiled));
    if (total() / 2 > options_.memory_bytes) {  // hopeless: do not make the rest
      return Error{"policy: compiled tables exceed twice the cap of " +
                       mebibytes(options_.memory_bytes) + " before all programs are compiled",
                   "raise policy.memory"};
    }
    return Ok{};
  }

  // Cells have 28 bits for a counter.
  Status check_counters() const {
    const auto fits = [](CounterSlot slot) {
      return slot == kNoCounter || slot <= outcome::kMaxCounter;
    };
    bool all = true;
    for (const Shared<RuleList>& list : out_->rules_->lists) {
      for (const Rule& rule : list->rules) {
        all = all && fits(rule.counter);
      }
    }
    for (const Program& program : out_->rules_->programs) {
      for (const Tier& tier : program.tiers) {
        all = all && fits(tier.counter);
      }
    }
    return all ? Status(Ok{})
               : Error{"policy: a counter slot is above " +
                       std::to_string(outcome::kMaxCounter)};
  }

  size_t total() const { return out_->classes_->bytes() + pools_.bytes(); }

  // Bit vectors take the place of tables, the largest first, until the cap is kept.
  Status shrink_tables() {
    std::vector<Compiled*> tables;
    for (auto& [key, program] : out_->programs_) {
      if (program->form == Form::table && recipes_.contains(&program)) {
        tables.push_back(&program);
      }
    }
    std::sort(tables.begin(), tables.end(), [](const Compiled* a, const Compiled* b) {
      return (*a)->size_bytes() > (*b)->size_bytes();
    });
    CompileLimits vectors_only = limits_;
    vectors_only.table_cells = 0;
    size_t bytes = total();
    for (Compiled* table : tables) {
      if (bytes <= options_.memory_bytes) {
        break;
      }
      Compiled before = *table;
      if (Status status = make_program(*table, vectors_only); !status) {
        return status;
      }
      if ((*table)->size_bytes() < before->size_bytes()) {
        bytes -= before->size_bytes() - (*table)->size_bytes();
      } else {
        *table = std::move(before);
      }
    }
    pools_ = Pools{};
    for (const auto& [key, program] : out_->programs_) {
      pools_.adopt(*program);
    }
    return Ok{};
  }

  Status fit_memory() {
    if (total() > options_.memory_bytes && !options_.form) {
      if (Status status = shrink_tables(); !status) {
        return status;
      }
    }
    out_->memory_ = {out_->classes_->bytes(), pools_.bytes()};
    if (out_->memory_.total() <= options_.memory_bytes) {
      return Ok{};
    }
    return Error{"policy: compiled tables of " + mebibytes(out_->memory_.total()) +
                     " (addresses " + mebibytes(out_->memory_.classes) + ", " +
                     std::to_string(out_->programs_.size()) + " programs " +
                     mebibytes(out_->memory_.programs) + ") exceed the cap of " +
                     mebibytes(options_.memory_bytes),
                 "raise policy.memory"};
  }

  void choose_level() {
    const Matcher::Level level = options_.level.value_or(Matcher::best_level());
    out_->classify_ = level == Matcher::Level::avx512 ? classify_avx512
                      : level == Matcher::Level::avx2 ? classify_avx2
                                                      : classify_scalar;
  }

  struct Recipe {
    ProgramId program = 0;
    Pinned pinned;
  };

  const Matcher::Options& options_;
  const Matcher* previous_;
  std::unique_ptr<Matcher> out_;
  CompileLimits limits_;
  static constexpr size_t kMaxChanges = 1024;  // addresses; more make the tables anew
  bool same_classes_ = false;
  std::vector<NewClass> new_classes_;  // ids from the predecessor's known_classes_ on
  std::optional<ListTerms> lists_;
  std::optional<ClassesOf> classes_of_;
  Pools pools_;
  std::vector<Matcher::Programs::iterator> used_;  // by instance
  std::map<const Compiled*, Recipe> recipes_;      // of those compiled in this run
};

Matcher::Level Matcher::best_level() {
  if (__builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512cd") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("bmi2") != 0) {
    return Level::avx512;
  }
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi2") != 0
             ? Level::avx2
             : Level::scalar;
}

Result<std::shared_ptr<const Matcher>> Matcher::make(std::shared_ptr<const RuleSet> rules,
                                                     std::span<const Pin> pins,
                                                     const Options& options,
                                                     const Matcher* previous) {
  return MatcherBuild(std::move(rules), options, previous).run(pins);
}

bool Matcher::settled() const noexcept {
  return std::all_of(changes_.begin(), changes_.end(), [&](const ClassChange& change) {
    return classes_->find(change.address) == change.after;
  });
}

void Matcher::settle() const noexcept {
  for (const ClassChange& change : changes_) {
    if (classes_->find(change.address) != change.after) {
      [[maybe_unused]] const bool done = classes_->assign(change.address, change.after);
      assert(done);  // class_changes() saw to the room
    }
  }
}

void Matcher::classify(std::span<const FlowKey> keys, std::span<const InstanceId> instances,
                       std::span<Verdict> verdicts) const noexcept {
  assert(keys.size() == instances.size() && keys.size() == verdicts.size());
  const LookupTables tables{classes_.get(), instances_.data()};
  for (size_t i = 0; i < keys.size(); i += kLookupBurst) {
    classify_(tables, {keys.data() + i, instances.data() + i, verdicts.data() + i,
                       std::min(kLookupBurst, keys.size() - i)});
  }
}

}  // namespace sluice
