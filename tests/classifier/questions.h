// SPDX-License-Identifier: Apache-2.0
// Random policies asked: keys with the programs they are for and what Linear says of them, and
// sets whose members come and go.
#ifndef SLUICE_TESTS_CLASSIFIER_QUESTIONS_H_
#define SLUICE_TESTS_CLASSIFIER_QUESTIONS_H_

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "classifier/linear.h"
#include "classifier/matcher.h"
#include "tests/classifier/random_policy.h"

namespace sluice {

using Pin = Matcher::Pin;

inline bool operator==(const Verdict& a, const Verdict& b) {
  return a.kind == b.kind && a.passed_or_logged == b.passed_or_logged && a.counter == b.counter;
}

inline std::shared_ptr<const Matcher> make(const RuleSet& rules, std::span<const Pin> pins,
                                           const Matcher::Options& options = {},
                                           const Matcher* previous = nullptr) {
  auto made = Matcher::make(std::make_shared<const RuleSet>(rules), pins, options, previous);
  EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().what);
  return made ? *made : nullptr;
}

// Keys with their instances, and what Linear says of them.
struct Questions {
  std::vector<FlowKey> keys;
  std::vector<InstanceId> instances;
  std::vector<Verdict> expected;

  void add(const RuleSet& rules, std::span<const Pin> pins, InstanceId id, const FlowKey& key) {
    keys.push_back(key);
    instances.push_back(id);
    expected.emplace_back();
    Linear(std::make_shared<const RuleSet>(rules))
        .classify({&key, 1}, {&pins[id].program, 1}, {&expected.back(), 1});
  }
};

inline Questions ask(RandomPolicy& random, const RuleSet& rules, std::span<const Pin> pins,
                     size_t n) {
  Questions q;
  const Linear linear(std::make_shared<const RuleSet>(rules));
  for (size_t i = 0; i < n; ++i) {
    const InstanceId id = random.below(static_cast<uint32_t>(pins.size()));
    const Pin& pin = pins[id];
    FlowKey key = random.key();
    if (pin.side != Pinned::Side::none) {
      const bool source = pin.side == Pinned::Side::source;
      Address& remote = source ? key.dst : key.src;
      while (remote.is_v4() != pin.address.is_v4()) {
        remote = random.address();
      }
      (source ? key.src : key.dst) = pin.address;
    }
    q.keys.push_back(key);
    q.instances.push_back(id);
    q.expected.emplace_back();
    linear.classify({&key, 1}, {&pin.program, 1}, {&q.expected.back(), 1});
  }
  return q;
}

inline void expect_answers(const Matcher& matcher, const Questions& q) {
  std::vector<Verdict> verdicts(q.keys.size());
  matcher.classify(q.keys, q.instances, verdicts);
  for (size_t i = 0; i < verdicts.size(); ++i) {
    const FlowKey& key = q.keys[i];
    ASSERT_EQ(verdicts[i], q.expected[i])
        << "key " << i << ": " << to_string(key.src) << ":" << key.src_port << " to "
        << to_string(key.dst) << ":" << key.dst_port << " protocol " << int{key.protocol}
        << " instance " << q.instances[i] << " kind " << static_cast<int>(verdicts[i].kind)
        << " counter " << verdicts[i].counter << " instead of "
        << static_cast<int>(q.expected[i].kind) << " counter " << q.expected[i].counter;
  }
}

inline std::vector<Pin> random_pins(RandomPolicy& random, const RuleSet& rules) {
  std::vector<Pin> pins;
  for (ProgramId program = 0; program < rules.programs.size(); ++program) {
    pins.push_back({program});
    for (int i = 0; i < 4; ++i) {
      pins.push_back({program,
                      random.chance(50) ? Pinned::Side::source : Pinned::Side::destination,
                      random.address()});
    }
  }
  return pins;
}

// Those with an address: members may change in place under them.
inline std::vector<Pin> pinned_only(std::vector<Pin> pins) {
  std::erase_if(pins, [](const Pin& pin) { return pin.side == Pinned::Side::none; });
  return pins;
}

// Address sets whose members come and go one by one.
class ChangingSets {
 public:
  ChangingSets(RandomPolicy& random, RuleSet& rules) : random_(random), rules_(rules) {
    for (size_t set = 0; set < rules.address_sets.size(); ++set) {
      members_.emplace_back(random.below(40));
      for (Prefix& member : members_.back()) {
        member = random.prefix();
      }
      rules.address_sets[set] = AddressSet(members_[set]);
    }
  }

  // One address joins or leaves some sets.
  void change() { change(random_.address()); }
  void change(const Address& address) {
    const Prefix pod{address, 128};
    for (unsigned n = 1 + random_.below(3); n > 0; --n) {
      const size_t set = random_.below(static_cast<uint32_t>(members_.size()));
      if (std::erase(members_[set], pod) == 0) {
        members_[set].push_back(pod);
      }
      rules_.address_sets[set] = AddressSet(members_[set]);
    }
  }

 private:
  RandomPolicy& random_;
  RuleSet& rules_;
  std::vector<std::vector<Prefix>> members_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_CLASSIFIER_QUESTIONS_H_
