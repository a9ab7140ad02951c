// SPDX-License-Identifier: Apache-2.0
#include "perf/policy_updates.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>

#include "classifier/linear.h"

namespace sluice::perf {
namespace {

using Made = std::shared_ptr<const Matcher>;

double now_ms() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

Made make(const std::shared_ptr<const RuleSet>& rules, std::span<const Matcher::Pin> pins,
          const Matcher* previous) {
  auto made = Matcher::make(rules, pins, {}, previous);
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().what.c_str());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return *made;
}

size_t count_wrong(const Matcher& matcher, const std::shared_ptr<const RuleSet>& rules,
                   const PolicyWorkload& w) {
  const Linear linear(rules);
  size_t wrong = 0;
  for (size_t i = 0; i < 2000; ++i) {
    const size_t at = i * (w.keys.size() / 2000);
    Verdict fast, plain;
    matcher.classify({&w.keys[at], 1}, {&w.instances[at], 1}, {&fast, 1});
    linear.classify({&w.keys[at], 1}, {&matcher.pin(w.instances[at]).program, 1}, {&plain, 1});
    wrong += fast.kind == plain.kind && fast.counter == plain.counter ? 0 : 1;
  }
  return wrong;
}

// Applies `change` to the rules again and again, each time on what the one before made.
UpdateRow repeat(const char* name, const PolicyWorkload& w,
                 const std::function<void(RuleSet&)>& change) {
  constexpr size_t kTimes = 11;
  UpdateRow row{name};
  RuleSet rules = *w.rules;
  Made matcher = make(w.rules, w.pins, nullptr);
  std::vector<std::pair<double, size_t>> each;
  for (size_t i = 0; i < kTimes; ++i) {
    change(rules);
    const auto shared = std::make_shared<const RuleSet>(rules);
    const double start = now_ms();
    Made next = make(shared, w.pins, matcher.get());
    next->settle();
    each.emplace_back(now_ms() - start, next->compiled_count());
    matcher = std::move(next);
  }
  std::sort(each.begin(), each.end());
  row.median_ms = each[kTimes / 2].first;
  row.worst_ms = each.back().first;
  row.compiled = each[kTimes / 2].second;
  row.programs = matcher->program_count();
  row.wrong = count_wrong(*matcher, std::make_shared<const RuleSet>(rules), w);
  return row;
}

void add(RuleSet& rules, size_t set, const Address& pod) {
  std::vector<Prefix> members = {{pod, 128}};
  for (const AddressSet::Range& range : rules.address_sets[set]->ranges()) {
    for (Address a = range.first; a <= range.last; ++a.lo) {
      members.push_back({a, 128});
    }
  }
  rules.address_sets[set] = AddressSet(members);
}

class Joining {
 public:
  Joining(const PolicySize& size, bool ip6) : sets_(size.sets), ip6_(ip6) {}

  // A pod that nobody knew joins the sets of another, and one more of a new signature.
  void join(RuleSet& rules, bool as_another) {
    const AddressSet::Range& other = any_range(rules);
    const Address pod = ip6_ ? Address{uint64_t{0xfd77} << 48, ++pods_}
                             : Address::of(Ip4{0x0ac80000 + ++pods_});
    std::vector<size_t> joined;
    for (size_t set = 0; set < sets_; ++set) {
      if (rules.address_sets[set]->contains(other.first)) {
        joined.push_back(set);
      }
    }
    if (!as_another) {
      joined.push_back(1 + random_() % (sets_ - 1));
    }
    for (const size_t set : joined) {
      add(rules, set, pod);
    }
  }

  // A pod of the node joins a set: its own programs judge it anew, and so do others.
  void relabel(RuleSet& rules, std::span<const Matcher::Pin> pins) {
    const Address& pod = pins[random_() % pins.size()].address;
    size_t set = 1 + random_() % (sets_ - 1);
    while (rules.address_sets[set]->contains(pod)) {
      set = 1 + random_() % (sets_ - 1);
    }
    add(rules, set, pod);
  }

 private:
  const AddressSet::Range& any_range(const RuleSet& rules) {
    const auto ranges = rules.address_sets[0]->ranges();  // set 0 is all pods
    return ranges[random_() % ranges.size()];
  }
  size_t sets_;
  bool ip6_;
  uint32_t pods_ = 0;
  std::mt19937_64 random_{7};
};

void reverse(RuleSet& rules, ListId list) {
  RuleList edited = *rules.lists[list];
  std::reverse(edited.rules.begin(), edited.rules.end());
  rules.lists[list] = edited;
}

struct Goals {
  const char* size;
  double known, fresh, one, all, cold;  // ms
};
constexpr Goals kGoals[] = {{"small", 0.001, 0.02, 1, 5, 50},
                            {"medium", 0.001, 0.05, 2, 20, 100},
                            {"large", 0.001, 0.1, 10, 100, 500},
                            {"extra large", 0.002, 0.5, 40, 1000, 4000}};

}  // namespace

std::vector<UpdateRow> measure_updates(const PolicySize& size, const PolicyWorkload& w,
                                       double cold_s) {
  const Goals& goals = *std::find_if(std::begin(kGoals), std::end(kGoals), [&](const Goals& g) {
    return std::strcmp(g.size, size.name) == 0;
  });
  Joining known(size, !w.keys[0].src.is_v4()), fresh(size, !w.keys[0].src.is_v4());
  Joining own(size, false);
  size_t edits = 0;
  std::vector<UpdateRow> rows;
  rows.push_back(
      repeat("pod joins, class exists", w, [&](RuleSet& r) { known.join(r, true); }));
  rows.push_back(repeat("pod joins, new class", w, [&](RuleSet& r) { fresh.join(r, false); }));
  rows.push_back(
      repeat("pod of the node joins a set", w, [&](RuleSet& r) { own.relabel(r, w.pins); }));
  rows.push_back(repeat("policy edited", w, [&](RuleSet& r) {
    reverse(r, r.programs[edits++ % r.programs.size()].tiers[2].lists.back());
  }));
  rows.push_back(repeat("policy of all programs edited", w, [&](RuleSet& r) {
    std::vector<ListId> shared;  // one for each direction
    for (const Program& program : r.programs) {
      shared.push_back(program.tiers[1].lists[0]);
    }
    std::sort(shared.begin(), shared.end());
    shared.erase(std::unique(shared.begin(), shared.end()), shared.end());
    for (const ListId list : shared) {
      reverse(r, list);
    }
  }));
  rows.push_back({"start of the node", 0, cold_s * 1e3, cold_s * 1e3, rows[0].programs,
                  rows[0].programs, 0});
  const double goal[] = {goals.known, goals.fresh, goals.one, goals.one, goals.all, goals.cold};
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].goal_ms = goal[i];
  }
  return rows;
}

}  // namespace sluice::perf
