// SPDX-License-Identifier: Apache-2.0
#include "classifier/matcher.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <set>
#include <string>
#include <unordered_map>

namespace sluice {
namespace {

// Programs that are not one look-up in one table send every packet to decide().
constexpr uint32_t kAskDecide = outcome::kException;
// A port map in which every key has column 0.
constexpr std::array<PortMap::Line, 4> kOneColumn = [] {
  std::array<PortMap::Line, 4> lines{};
  lines[0].values.fill(1);  // where any kind begins, and its width
  lines[1].values.fill(UINT16_MAX);
  lines[2].values.fill(UINT16_MAX);
  return lines;
}();

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
    out.ports = program.ports->lines.data();
  } else {  // every row is row 0, every key column 0
    out.cells = &kAskDecide;
    out.ports = kOneColumn.data();
  }
  const bool asks_class = program.form != Form::forest || program.forest->rest_has_ip4;
  out.ip4_mask = asks_class ? UINT32_MAX : 0;
  return out;
}

uint64_t hash_of(const TermList& list) {
  uint64_t hash = list.terms.size();
  for (size_t i = 0; i < list.terms.size(); ++i) {
    const Consequence& then = list.consequences[i];
    for (const uint64_t part : {reinterpret_cast<uint64_t>(list.terms[i]),
                                uint64_t{then.next} << 32 | then.outcome}) {
      hash = (hash ^ part) * 0x9e3779b97f4a7c15;
      hash ^= hash >> 32;
    }
  }
  return hash;
}

// REQUIRES: class_changes() has seen to the room.
void assign_all(const std::vector<ClassChange>& changes, AddressClasses& classes) {
  for (const ClassChange& change : changes) {
    [[maybe_unused]] const bool done = classes.assign(change.address, change.after);
    assert(done);
  }
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
        last_(previous),
        previous_(previous != nullptr && previous->settled() ? previous : nullptr),
        out_(new Matcher) {
    out_->rules_ = std::move(rules);
    limits_ = options.limits;
    if (options.form) {
      limits_.force(*options.form);
    }
  }

  // Did run() fail for what was taken from the predecessor, too?  Its tables do not shrink: a
  // start may do what an update can't.
  bool may_fit_afresh() const { return too_large_ && previous_ != nullptr; }

  Result<std::shared_ptr<const Matcher>> run(std::span<const Matcher::Pin> pins) {
    if (Status status = check_counters(); !status) {
      return status.error();
    }
    out_->pins_.assign(pins.begin(), pins.end());
    find_read_lists();
    make_classes();
    if (!out_->classes_->ok()) {
      return Error{"policy: no memory for the address classes"};
    }
    choose_level();
    if (take_programs()) {
      return std::shared_ptr<const Matcher>(std::move(out_));
    }
    if (last_ != nullptr) {
      for (const auto& [key, program] : *last_->programs_) {
        pools_.know(*program);
      }
    }
    lists_.emplace(*out_->rules_, *out_->memberships_);
    for (const Matcher::Pin& pin : pins) {
      if (Status status = add(pin); !status) {
        return status.error();
      }
      if (options_.progress) {
        options_.progress(used_.size(), pins.size());
      }
    }
    if (Status status = fit_memory(); !status) {
      return status.error();
    }
    for (const auto& entry : used_) {
      out_->instances_.push_back(instance_of(*entry->second));
    }
    out_->programs_ = std::make_shared<const Matcher::Programs>(std::move(programs_));
    return std::shared_ptr<const Matcher>(std::move(out_));
  }

 private:
  void find_read_lists() {
    const RuleSet& rules = *out_->rules_;
    out_->read_.assign(rules.lists.size(), false);
    for (const Matcher::Pin& pin : out_->pins_) {
      for (const Tier& tier : rules.programs[pin.program].tiers) {
        for (const ListId list : tier.lists) {
          out_->read_[list] = true;
        }
      }
    }
    same_lists_ = previous_ != nullptr && previous_->read_ == out_->read_;
    for (ListId list = 0; same_lists_ && list < rules.lists.size(); ++list) {
      same_lists_ = !out_->read_[list] || rules.lists[list].is(previous_->rules_->lists[list]);
    }
    same_policy_ = same_lists_ && out_->pins_ == previous_->pins_ &&
                   rules.programs == previous_->rules_->programs;
  }

  // All of the predecessor's, if only addresses have other classes than before, and these are
  // known.
  bool take_programs() {
    if (previous_ == nullptr || !same_policy_ || out_->classes_ != previous_->classes_ ||
        out_->known_classes_ != previous_->known_classes_) {
      return false;
    }
    out_->memory_ = {out_->classes_->bytes(), previous_->memory_.programs};
    if (out_->memory_.total() > options_.memory_bytes) {
      return false;
    }
    out_->programs_ = previous_->programs_;
    out_->instances_ = previous_->instances_;
    return true;
  }

  // The predecessor's front end or a copy where no set changed but for a few members, else its
  // successor.  A fresh one once most of its classes or memberships may be dead.
  void make_classes() {
    if (previous_ != nullptr && outgrown(*previous_)) {
      previous_ = nullptr;
    }
    if (previous_ == nullptr) {
      out_->memberships_ = std::make_shared<const Memberships>(*out_->rules_, out_->read_);
      out_->classes_ = std::make_shared<AddressClasses>(*out_->memberships_);
      out_->first_size_ = size_of(*out_);
    } else {
      const Memberships& before = *previous_->memberships_;
      auto memberships =
          same_lists_ && before.same_port_sets(*out_->rules_)
              ? std::make_shared<const Memberships>(*out_->rules_, before)
              : std::make_shared<const Memberships>(*out_->rules_, out_->read_, &before);
      same_terms_ = memberships->same_pairs(before);
      out_->first_size_ = previous_->first_size_;
      if (!take_classes(memberships)) {
        out_->classes_ =
            std::make_shared<AddressClasses>(*memberships, previous_->classes_.get());
        out_->memberships_ = std::move(memberships);
      }
    }
    out_->known_classes_ = out_->classes_->directory().size();
  }

  static size_t size_of(const Matcher& m) {
    return m.classes_->directory().size() + m.memberships_->size();
  }
  // Classes and memberships only come while a directory goes on.
  static bool outgrown(const Matcher& m) {
    constexpr size_t kSlack = 1024;
    return size_of(m) > 2 * m.first_size_ + kSlack;
  }

  // The predecessor's, or a copy, where few members changed.  False if many did.
  bool take_classes(const std::shared_ptr<const Memberships>& memberships) {
    out_->classes_ = previous_->classes_;
    if (memberships->within(*previous_->memberships_)) {
      out_->memberships_ = previous_->memberships_;
      return true;
    }
    auto changes =
        class_changes(*previous_->memberships_, *memberships, *out_->classes_, kMaxChanges);
    if (!changes) {
      return false;
    }
    out_->memberships_ = memberships;
    if (may_settle_later(*changes)) {
      out_->changes_ = std::move(*changes);
      return true;
    }
    out_->classes_ = std::make_shared<AddressClasses>(previous_->classes_->copy());
    if (out_->classes_->ok()) {
      assign_all(*changes, *out_->classes_);
    }
    return true;
  }

  // Until settle() packets meet the rules of now with the members of before: so rules, programs
  // and whom they judge must be the same.  And a packet must meet one changed address at most,
  // or it would meet one as it was and the other as it is: so each program is pinned, to an
  // address that does not change; the two programs of a packet between local endpoints then
  // meet none.
  bool may_settle_later(const std::vector<ClassChange>& changes) const {
    return options_.in_place && same_policy_ &&
           std::all_of(out_->pins_.begin(), out_->pins_.end(), [&](const Matcher::Pin& pin) {
             const auto at = std::lower_bound(
                 changes.begin(), changes.end(), pin.address,
                 [](const ClassChange& c, const Address& a) { return c.address < a; });
             const bool changed = at != changes.end() && at->address == pin.address;
             return pin.side != Pinned::Side::none && !changed;
           });
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
    const ClassId local =
        pin.side == Pinned::Side::none ? 0 : out_->classes_->find(pin.address);
    const auto [entry, fresh] = programs_.try_emplace(key_of(*out_->rules_, pin, local));
    used_.push_back(entry);
    if (!fresh) {
      return Ok{};
    }
    if (same_terms_) {
      const auto known = previous_->programs_->find(entry->first);
      if (known != previous_->programs_->end() && adopt(known->second, entry->second)) {
        return Ok{};
      }
    }
    return make_program(pin, out_->classes_->directory().signature(local), entry->second);
  }

  // Takes a program of the predecessor, with rows for what is new.  False if it must be
  // compiled.
  bool adopt(const Compiled& known, Compiled& to) {
    const ClassDirectory& directory = out_->classes_->directory();
    const auto rows = static_cast<ClassId>(previous_->known_classes_);
    if (rows == directory.size()) {
      to = known;
    } else if (auto extended = extend(*known, directory, rows, pools_)) {
      to = std::make_shared<const CompiledProgram>(std::move(*extended));
    } else {
      return false;
    }
    pools_.adopt(*to);
    return true;
  }

  // One that asks the same as another, though for an endpoint of another class, is that one.
  Status make_program(const Matcher::Pin& pin, std::span<const MembershipId> local,
                      Compiled& to) {
    TermList terms = flatten(out_->rules_->programs[pin.program], *lists_, {pin.side, local});
    const uint64_t hash = hash_of(terms);
    const auto [first, last] = sources_.equal_range(hash);
    auto source = std::find_if(first, last, [&](const auto& entry) {
      return entry.second.side == pin.side && entry.second.terms == terms;
    });
    if (source == last) {
      source = sources_.emplace(hash, Source{pin.side, std::move(terms), {}, {}});
      if (!compile_source(source->second, limits_)) {
        too_large_ = true;
        return Error{"policy: program of " + std::to_string(source->second.terms.terms.size()) +
                         " terms: more than " + mebibytes(limits_.axis_bytes) +
                         " of bit vectors",
                     "use fewer rules with literal addresses, or sets in their place"};
      }
      ++out_->compiled_;
    }
    to = source->second.program;
    source->second.users.push_back(&to);
    if (total() / 2 <= options_.memory_bytes) {
      return Ok{};
    }
    return fit_memory();  // before the rest is made: it may be hopeless
  }

  // Cells have 28 bits for a counter.
  Status check_counters() const {
    const auto fits = [](CounterSlot slot) {
      return slot == kNoCounter || slot <= outcome::kMaxCounter;
    };
    bool all = true;
    const std::vector<Shared<RuleList>>& lists = out_->rules_->lists;
    for (ListId list = 0; list < lists.size(); ++list) {
      const bool known = previous_ != nullptr && list < previous_->rules_->lists.size() &&
                         lists[list].is(previous_->rules_->lists[list]);
      for (size_t i = 0; !known && i < lists[list]->rules.size(); ++i) {
        all = all && fits(lists[list]->rules[i].counter);
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

  // Where compiled programs of this run come from.
  struct Source {
    Pinned::Side side;
    TermList terms;
    Compiled program;
    std::vector<Compiled*> users;  // in programs_
  };

  // False if it passes the limits.
  bool compile_source(Source& source, const CompileLimits& limits) {
    if (!classes_of_) {
      classes_of_.emplace(out_->classes_->directory(), out_->memberships_->size());
    }
    auto compiled =
        compile(source.terms, source.side, {*classes_of_, *out_->memberships_}, limits, pools_);
    if (compiled) {
      source.program = std::make_shared<const CompiledProgram>(std::move(*compiled));
    }
    return compiled.has_value();
  }

  // Bit vectors take the place of tables, the largest first, until the cap is kept.
  void shrink_tables() {
    std::vector<Source*> tables;
    for (auto& [hash, source] : sources_) {
      if (source.program->form == Form::table) {
        tables.push_back(&source);
      }
    }
    std::sort(tables.begin(), tables.end(), [](const Source* a, const Source* b) {
      return a->program->size_bytes() > b->program->size_bytes();
    });
    // What tables share is not saved with each: count again until it is enough.
    for (size_t next = 0; next < tables.size() && total() > options_.memory_bytes;) {
      const size_t over = total() - options_.memory_bytes;
      for (size_t saved = 0; saved < over && next < tables.size(); ++next) {
        saved += shrink(*tables[next]);
      }
      pools_ = Pools{};
      for (const auto& [key, program] : programs_) {
        pools_.adopt(*program);
      }
    }
  }

  // Returns the bytes saved.
  size_t shrink(Source& source) {
    CompileLimits vectors_only = limits_;
    vectors_only.table_cells = 0;
    Compiled before = source.program;
    if (!compile_source(source, vectors_only) ||
        source.program->size_bytes() >= before->size_bytes()) {
      source.program = std::move(before);
      return 0;
    }
    for (Compiled* user : source.users) {
      *user = source.program;
    }
    return before->size_bytes() - source.program->size_bytes();
  }

  Status fit_memory() {
    if (total() > options_.memory_bytes && !options_.form) {
      shrink_tables();
    }
    out_->memory_ = {out_->classes_->bytes(), pools_.bytes()};
    if (out_->memory_.total() <= options_.memory_bytes) {
      return Ok{};
    }
    too_large_ = true;
    return Error{"policy: compiled tables of " + mebibytes(out_->memory_.total()) +
                     " (addresses " + mebibytes(out_->memory_.classes) + ", " +
                     std::to_string(programs_.size()) + " programs " +
                     mebibytes(out_->memory_.programs) + ") exceed the cap of " +
                     mebibytes(options_.memory_bytes),
                 "raise policy.memory"};
  }

  void choose_level() {
    const SimdLevel level = options_.level.value_or(best_simd_level());
    out_->classify_ = level == SimdLevel::avx512 ? classify_avx512
                      : level == SimdLevel::avx2 ? classify_avx2
                                                 : classify_scalar;
  }

  const Matcher::Options& options_;
  const Matcher* last_;      // whose forests may be taken
  const Matcher* previous_;  // what else; null if nothing
  std::unique_ptr<Matcher> out_;
  CompileLimits limits_;
  bool too_large_ = false;
  static constexpr size_t kMaxChanges = 1024;  // of addresses, in all sets
  bool same_lists_ = false;   // are read as the predecessor read, and the very same
  bool same_policy_ = false;  // likewise, for the same pins: nothing but members may differ
  bool same_terms_ = false;   // as the predecessor's, where lists and tiers are the same
  std::optional<ListTerms> lists_;
  std::optional<ClassesOf> classes_of_;
  Pools pools_;
  Matcher::Programs programs_;
  std::vector<Matcher::Programs::iterator> used_;      // by instance
  std::unordered_multimap<uint64_t, Source> sources_;  // by hash of the terms
};

Result<std::shared_ptr<const Matcher>> Matcher::make(std::shared_ptr<const RuleSet> rules,
                                                     std::span<const Pin> pins,
                                                     const Options& options,
                                                     const Matcher* previous) {
  MatcherBuild build(rules, options, previous);
  auto made = build.run(pins);
  if (!made && build.may_fit_afresh()) {
    return MatcherBuild(std::move(rules), options, nullptr).run(pins);
  }
  return made;
}

size_t Matcher::program_count() const {
  std::set<const CompiledProgram*> programs;
  for (const Instance& instance : instances_) {
    programs.insert(instance.program);
  }
  return programs.size();
}

bool Matcher::settled() const noexcept {
  return std::all_of(changes_.begin(), changes_.end(), [&](const ClassChange& change) {
    return classes_->find(change.address) == change.after;
  });
}

void Matcher::settle() const noexcept {
  if (!settled()) {
    assign_all(changes_, *classes_);
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
