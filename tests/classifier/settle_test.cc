// SPDX-License-Identifier: Apache-2.0
// Readers classify without pause while a writer changes members and rules, one change after the
// other, as control does: make, publish, grace period, settle.  Run under ThreadSanitizer too.
#include <atomic>
#include <cstdlib>
#include <thread>

#include "tests/classifier/questions.h"

namespace sluice {
namespace {

// What readers see at a time: a matcher, and the two answers that it may give.
struct Shown {
  std::shared_ptr<const Matcher> matcher;
  std::vector<Verdict> before, after;
};

class Readers {
 public:
  Readers(const Questions& questions, const Shown* first)
      : questions_(questions), shown_(first) {
    for (Reader& reader : readers_) {
      reader.thread = std::thread([this, &reader] { run(reader); });
    }
  }
  ~Readers() {
    stop_ = true;
    for (Reader& reader : readers_) {
      reader.thread.join();
    }
  }
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  // Returns once nobody looks at what was shown before.
  void show(const Shown* next) {
    shown_ = next;
    for (const Reader& reader : readers_) {
      const uint64_t begun = reader.rounds;
      while (reader.rounds == begun) {
        std::this_thread::yield();
      }
    }
  }
  size_t wrong() const { return wrong_; }

 private:
  struct Reader {
    std::atomic<uint64_t> rounds = 0;  // ended
    std::thread thread;
  };

  void run(Reader& self) {
    std::vector<Verdict> got(questions_.keys.size());
    for (; !stop_; ++self.rounds) {
      const Shown& now = *shown_;
      now.matcher->classify(questions_.keys, questions_.instances, got);
      for (size_t i = 0; i < got.size(); ++i) {
        wrong_ += got[i] == now.before[i] || got[i] == now.after[i] ? 0 : 1;
      }
      std::this_thread::yield();  // there may be fewer cores than threads
    }
  }

  const Questions& questions_;
  std::atomic<const Shown*> shown_;
  std::atomic<size_t> wrong_ = 0;
  std::atomic<bool> stop_ = false;
  std::array<Reader, 2> readers_;
};

std::vector<Verdict> answers(const RuleSet& rules, const Questions& q,
                             std::span<const Pin> pins) {
  const Linear linear(std::make_shared<const RuleSet>(rules));
  std::vector<Verdict> out(q.keys.size());
  for (size_t i = 0; i < out.size(); ++i) {
    linear.classify({&q.keys[i], 1}, {&pins[q.instances[i]].program, 1}, {&out[i], 1});
  }
  return out;
}

// A pod that is asked about joins and leaves sets, seldom the program's own; at times a list is
// edited as well.
void change(RandomPolicy& random, RuleSet& rules, ChangingSets& sets, const Questions& q,
            std::span<const Pin> pins) {
  const size_t i = random.below(static_cast<uint32_t>(q.keys.size()));
  const bool source_is_own = pins[q.instances[i]].side == Pinned::Side::source;
  sets.change(source_is_own == random.chance(5) ? q.keys[i].src : q.keys[i].dst);
  if (random.chance(3)) {
    rules.lists[random.below(static_cast<uint32_t>(rules.lists.size()))] =
        random.rule_list(rules);
  }
}

TEST(Settle, ReadersSeeTheOldAnswerOrTheNewOneAndAfterAGracePeriodOnlyTheNewOne) {
  const char* all = std::getenv("SLUICE_LONG");  // NOLINT(concurrency-mt-unsafe): one thread
  const size_t deltas = all != nullptr && std::string_view(all) == "1" ? 33'334 : 40;
  size_t differences = 0, in_place = 0;
  for (const uint64_t seed : seeds(2)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    RuleSet rules = random.rule_set();
    ChangingSets sets(random, rules);
    const std::vector<Pin> pins = pinned_only(random_pins(random, rules));
    Matcher::Options options;
    options.level = seed % 2 == 0 ? SimdLevel::scalar : best_simd_level();
    auto shown = std::make_unique<Shown>();
    shown->matcher = make(rules, pins, options);
    const Questions q = ask(random, rules, pins, 128);
    shown->before = shown->after = q.expected;
    Readers readers(q, shown.get());
    for (size_t i = 0; i < deltas; ++i) {
      change(random, rules, sets, q, pins);
      auto next = std::make_unique<Shown>();
      next->matcher = make(rules, pins, options, shown->matcher.get());
      ASSERT_NE(next->matcher, nullptr);
      next->before = shown->after;
      next->after = answers(rules, q, pins);
      differences += next->before == next->after ? 0 : 1;
      in_place += next->matcher->settled() ? 0 : 1;
      readers.show(next.get());  // nobody uses an earlier matcher
      next->matcher->settle();
      auto settled = std::make_unique<Shown>(*next);
      settled->before = settled->after;
      readers.show(settled.get());
      shown = std::move(settled);
    }
    EXPECT_EQ(readers.wrong(), 0u);
  }
  EXPECT_GT(differences, 3u) << "changes are to be seen";
  EXPECT_GT(in_place, 10u);
}

}  // namespace
}  // namespace sluice
