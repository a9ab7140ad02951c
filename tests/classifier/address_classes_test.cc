// SPDX-License-Identifier: Apache-2.0
#include "classifier/address_classes.h"

#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "tests/classifier/random_policy.h"

namespace sluice {
namespace {

std::vector<bool> all_lists(const RuleSet& rules) {
  return std::vector<bool>(rules.lists.size(), true);
}

// The signature that membership by membership gives.
std::vector<MembershipId> signature(const Memberships& memberships, const Address& address) {
  std::vector<MembershipId> all;
  for (MembershipId id = 0; id < memberships.size(); ++id) {
    if (memberships.members(id).contains(address)) {
      all.push_back(id);
    }
  }
  return all;
}

void expect_classes(const AddressClasses& classes, const Memberships& memberships,
                    const Address& address) {
  const auto found = classes.directory().signature(classes.find(address));
  EXPECT_EQ(std::vector<MembershipId>(found.begin(), found.end()),
            signature(memberships, address))
      << to_string(address);
}

RuleSet one_set_each(std::vector<std::vector<const char*>> sets) {
  RuleSet rules;
  RuleList list;
  for (const std::vector<const char*>& members : sets) {
    std::vector<Prefix> prefixes;
    for (const char* member : members) {
      prefixes.push_back(*parse_prefix(member));
    }
    Rule rule;
    rule.source.sets = {static_cast<SetId>(rules.address_sets.size())};
    list.rules.push_back(rule);
    rules.address_sets.emplace_back(AddressSet(prefixes));
  }
  rules.lists.emplace_back(list);
  rules.programs.push_back({{Tier{{0}}}});
  return rules;
}

TEST(AddressClasses, ASignatureIsTheSetsThatHoldTheAddress) {
  for (const uint64_t seed : seeds(60)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    const RuleSet rules = random.rule_set();
    const Memberships memberships(rules, all_lists(rules));
    const AddressClasses classes(memberships);
    for (int i = 0; i < 1000; ++i) {
      expect_classes(classes, memberships, random.address());
    }
    // The edges of every range, and what lies beside them.
    for (MembershipId id = 0; id < memberships.size(); ++id) {
      for (const AddressSet::Range& range : memberships.members(id).ranges()) {
        for (const Address& a : {range.first, range.last}) {
          expect_classes(classes, memberships, a);
          expect_classes(classes, memberships, {a.hi, a.lo + 1});
          expect_classes(classes, memberships, {a.hi, a.lo - 1});
        }
      }
    }
  }
}

TEST(AddressClasses, EqualSignaturesAreOneClass) {
  const RuleSet rules =
      one_set_each({{"10.0.0.1", "10.0.7.1", "fd00::1"}, {"10.0.0.0/8"}, {"::/0"}});
  const AddressClasses classes{Memberships(rules, all_lists(rules))};
  const auto of = [&](const char* text) { return classes.find(*parse_address(text)); };
  EXPECT_EQ(of("10.0.0.1"), of("10.0.7.1"));
  EXPECT_NE(of("10.0.0.1"), of("10.0.0.2"));
  EXPECT_EQ(of("10.0.0.2"), of("10.255.255.255"));
  EXPECT_EQ(of("11.0.0.0"), 0u);
  EXPECT_EQ(of("2001:db8::1"), of("ffff::"));
  EXPECT_NE(of("fd00::1"), of("2001:db8::1"));
  EXPECT_EQ(of("::ffff:11.0.0.0"), 0u) << "::/0 holds no IPv4 address";
}

TEST(AddressClasses, WithoutMembersNothingIsInASetAndIp4TakesNoMemory) {
  const RuleSet rules = one_set_each({{}, {"fd00::/8"}});
  const AddressClasses classes{Memberships(rules, all_lists(rules))};
  EXPECT_EQ(classes.find(*parse_address("10.0.0.1")), 0u);
  EXPECT_EQ(classes.find(Address{}), 0u);
  EXPECT_EQ(classes.ip4().bytes(), 0u);
}

// As many keys as there are lines: of some lines more than fit belong there.
TEST(Ip6Classes, FindsKeysThatOverflowedIntoTheNextLine) {
  constexpr uint64_t kNet = 0xfd00'0000'0000'0000;
  constexpr ClassId kAround = 1, kFirst = 2;
  for (const uint64_t seed : seeds(2)) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    for (const uint8_t length : {uint8_t{64}, uint8_t{128}}) {
      std::vector<Ip6Classes::Entry> entries;
      for (ClassId i = 0; i < 18'000; ++i) {
        const Address base{kNet | random() >> 8, length == 64 ? 0 : random()};
        entries.push_back({base, length, kFirst + i});
      }
      const Ip6Classes::Entry around{{kNet, 0}, 8, kAround};
      if (length == 128) {  // the others are of one length: no second one need be looked for
        entries.push_back(around);
      }
      const Ip6Classes classes(entries);
      ASSERT_TRUE(classes.ok());
      for (ClassId i = 0; i < 18'000; ++i) {
        const Address& base = entries[i].base;
        ASSERT_EQ(classes.find({base.hi, length == 64 ? random() : base.lo}), kFirst + i);
        const Address beside{kNet | random() >> 8, random()};
        ASSERT_EQ(classes.find(beside), length == 64 ? 0 : kAround);
      }
    }
  }
}

TEST(AddressClasses, ASuccessorKeepsTheClassesOfKnownSignatures) {
  for (const uint64_t seed : seeds(20)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    RuleSet rules = random.rule_set();
    const Memberships before(rules, all_lists(rules));
    const AddressClasses old(before);
    rules.address_sets[0] = random.address_set();
    rules.lists.emplace_back(random.rule_list(rules));
    rules.programs.push_back({{Tier{{static_cast<ListId>(rules.lists.size() - 1)}}}});
    const Memberships after(rules, all_lists(rules), &before);
    const AddressClasses young(after, &old);
    for (ClassId id = 0; id < old.directory().size(); ++id) {
      const auto a = old.directory().signature(id), b = young.directory().signature(id);
      EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
    for (int i = 0; i < 500; ++i) {
      expect_classes(young, after, random.address());
    }
  }
}

// In copies as well, of which the one before knows nothing.
TEST(AddressClasses, AnAssignedAddressHasItsClassAndNoOtherHas) {
  for (const uint64_t seed : seeds(20)) {
    SCOPED_TRACE(seed);
    RandomPolicy random(seed);
    const RuleSet rules = random.rule_set();
    const Memberships memberships(rules, all_lists(rules));
    AddressClasses classes(memberships);
    if (classes.ip4().bytes() == 0) {
      continue;
    }
    std::map<Address, ClassId> assigned, assigned_before;
    std::optional<AddressClasses> before;
    for (int i = 0; i < 2000; ++i) {
      if (i % 500 == 250) {
        before = std::exchange(classes, classes.copy());
        assigned_before = assigned;
      }
      const Address address = random.address();
      const ClassId id = random.below(static_cast<uint32_t>(classes.directory().size()));
      ASSERT_TRUE(classes.assign(address, id) || assigned.size() > 900);
      assigned[address] = classes.find(address);
      EXPECT_EQ(classes.find(address), id);
    }
    for (int i = 0; i < 2000; ++i) {
      const Address address = random.address();
      const auto known = assigned.find(address);
      if (known != assigned.end()) {
        EXPECT_EQ(classes.find(address), known->second) << to_string(address);
      } else {
        expect_classes(classes, memberships, address);
        expect_classes(*before, memberships, address);
      }
    }
    for (const auto& [address, id] : assigned) {
      EXPECT_EQ(classes.find(address), id) << to_string(address);
      if (const auto known = assigned_before.find(address); known != assigned_before.end()) {
        EXPECT_EQ(before->find(address), known->second) << to_string(address);
      } else {
        expect_classes(*before, memberships, address);
      }
    }
  }
}

TEST(AddressClasses, ReadersSeeTheOldClassOrTheNewOne) {
  const RuleSet rules =
      one_set_each({{"10.0.0.0/24"}, {"10.0.0.7"}, {"fd00::/64"}, {"fd00::7"}});
  const Memberships memberships(rules, all_lists(rules));
  AddressClasses classes(memberships);
  const auto of = [&](const char* text) { return classes.find(*parse_address(text)); };
  const ClassId plain4 = of("10.0.0.1"), special4 = of("10.0.0.7");
  const ClassId plain6 = of("fd00::1"), special6 = of("fd00::7");
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, rounds = 0;
  std::thread reader([&] {
    while (!stop) {
      for (uint64_t i = 0; i < 256; ++i) {
        const ClassId a = classes.find(Address::of(Ip4{0x0a000000 | static_cast<uint32_t>(i)}));
        const ClassId b = classes.find({uint64_t{0xfd} << 56, i});
        wrong += (a == plain4 || a == special4) && (b == plain6 || b == special6) ? 0 : 1;
      }
      ++rounds;
    }
  });
  for (uint32_t i = 0; i < 2560 || rounds < 100; ++i) {
    const uint32_t low = i % 256;
    EXPECT_TRUE(
        classes.assign(Address::of(Ip4{0x0a000000 | low}), i % 3 != 0 ? special4 : plain4));
    EXPECT_TRUE(classes.assign({uint64_t{0xfd} << 56, low}, i % 3 != 0 ? special6 : plain6));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(of("10.0.1.0"), 0u);
}

}  // namespace
}  // namespace sluice
