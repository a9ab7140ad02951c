// SPDX-License-Identifier: Apache-2.0
#include "classifier/forest.h"

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice {
namespace {

uint32_t naive_find(const std::vector<FiveTupleRule>& rules, const FiveTuple& key,
                    uint32_t from = 0) {
  for (uint32_t i = from; i < rules.size(); ++i) {
    if (rules[i].matches(key)) {
      return i;
    }
  }
  return Forest::kNone;
}

using Random = std::mt19937_64;

uint32_t below(Random& random, uint64_t bound) {
  return static_cast<uint32_t>(random() % bound);
}

// How a random rule list is drawn.
struct Shape {
  const char* name;
  uint32_t address_mask;                // few bits: rules nest and overlap
  std::vector<uint8_t> src, dst;        // prefix lengths, equally likely
  unsigned src_any_port, dst_any_port;  // in 100
  unsigned any_protocol;                // in 100
};

const std::vector<Shape>& shapes() {
  static const std::vector<uint8_t> every = [] {
    std::vector<uint8_t> lengths;
    for (uint8_t length = 0; length <= 32; ++length) {
      lengths.push_back(length);
    }
    return lengths;
  }();
  static const std::vector<Shape> all = {
      {"acl", 0xffffffff, {0, 8, 16, 24, 32}, {16, 24, 27, 32, 32}, 100, 30, 10},
      {"fw", 0x0a0f0fff, {0, 0, 0, 16, 24, 32}, {0, 0, 24, 32}, 70, 20, 30},
      {"ipc", 0x0a1f00ff, {0, 8, 16, 23, 24, 28, 32}, {0, 8, 16, 24, 32}, 80, 50, 40},
      {"every length", 0xffffffff, every, every, 50, 50, 50},
      {"crowded", 0x0a0003ff, every, every, 50, 50, 50},
      {"hosts", 0x0a00ffff, {32}, {32}, 90, 10, 0},
      {"ports only", 0xffffffff, {0}, {0, 1}, 50, 10, 20},
      {"wild", 0xffffffff, {0, 1, 2}, {0, 1, 9, 10}, 95, 95, 90},
  };
  return all;
}

PortRange random_ports(Random& random, unsigned any) {
  if (below(random, 100) < any) {
    return {0, 0xffff};
  }
  switch (below(random, 4)) {
    case 0:
      return {1024, 0xffff};
    case 1: {
      const auto low = static_cast<uint16_t>(random());
      return {low, static_cast<uint16_t>(low + below(random, 0x10000u - low))};
    }
    default: {
      const auto port = static_cast<uint16_t>(below(random, 40) * 101);
      return {port, port};
    }
  }
}

std::vector<FiveTupleRule> random_rules(Random& random, const Shape& shape, size_t count) {
  std::vector<FiveTupleRule> rules;
  for (size_t i = 0; i < count; ++i) {
    if (i != 0 && below(random, 50) == 0) {
      rules.push_back(rules[below(random, i)]);
      continue;
    }
    FiveTupleRule rule;
    rule.src = static_cast<uint32_t>(random()) & shape.address_mask;
    rule.dst = static_cast<uint32_t>(random()) & shape.address_mask;
    rule.src_length = shape.src[below(random, shape.src.size())];
    rule.dst_length = shape.dst[below(random, shape.dst.size())];
    rule.src_port = random_ports(random, shape.src_any_port);
    rule.dst_port = random_ports(random, shape.dst_any_port);
    rule.any_protocol = below(random, 100) < shape.any_protocol;
    rule.protocol = std::array<uint8_t, 5>{6, 6, 17, 1, 200}[below(random, 5)];
    rules.push_back(rule);
  }
  return rules;
}

uint32_t near(Random& random, uint32_t base, unsigned length) {
  const uint32_t host = ~FiveTupleRule::mask(length);
  const uint32_t net = base & ~host;
  switch (below(random, 6)) {
    case 0:
      return net;
    case 1:
      return net | host;
    case 2:
      return net - 1;
    case 3:
      return (net | host) + 1;
    default:
      return net | (static_cast<uint32_t>(random()) & host);
  }
}

uint16_t near(Random& random, PortRange range) {
  switch (below(random, 6)) {
    case 0:
      return range.low;
    case 1:
      return range.high;
    case 2:
      return static_cast<uint16_t>(range.low - 1);
    case 3:
      return static_cast<uint16_t>(range.high + 1);
    default:
      return static_cast<uint16_t>(range.low + below(random, range.high - range.low + 1u));
  }
}

// Inside of a rule, at its corners, just outside of it, or anywhere.
FiveTuple random_key(Random& random, const std::vector<FiveTupleRule>& rules) {
  FiveTuple key;
  if (rules.empty() || below(random, 10) == 0) {
    key.src = static_cast<uint32_t>(random());
    key.dst = static_cast<uint32_t>(random());
    key.src_port = static_cast<uint16_t>(random());
    key.dst_port = static_cast<uint16_t>(random());
    key.protocol = static_cast<uint8_t>(random());
    return key;
  }
  const FiveTupleRule& rule = rules[below(random, rules.size())];
  key.src = near(random, rule.src, rule.src_length);
  key.dst = near(random, rule.dst, rule.dst_length);
  key.src_port = near(random, rule.src_port);
  key.dst_port = near(random, rule.dst_port);
  const bool other = rule.any_protocol || below(random, 20) == 0;
  key.protocol = other ? static_cast<uint8_t>(random()) : rule.protocol;
  return key;
}

void expect_like_the_twin(const std::vector<FiveTupleRule>& rules, Forest::Form form,
                          SimdLevel level, Random random, size_t keys) {
  const Result<Forest> forest = Forest::make(rules, {.bytes = size_t{1} << 30, .form = form});
  ASSERT_TRUE(forest) << forest.error().what;
  for (size_t done = 0; done < keys;) {
    std::array<FiveTuple, Forest::kMaxBurst> burst;
    std::array<uint32_t, Forest::kMaxBurst> first;
    const size_t count = 1 + below(random, burst.size());
    for (size_t i = 0; i < count; ++i) {
      burst[i] = random_key(random, rules);
    }
    forest->find(std::span(burst).first(count), std::span(first).first(count), level);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(first[i], naive_find(rules, burst[i])) << "key " << i << " of " << count;
    }
    if (forest->form() == Forest::Form::trees) {
      std::array<uint32_t, Forest::kMaxBurst> floors;
      for (uint32_t& floor : floors) {
        floor = below(random, rules.size() + 2);
      }
      forest->find_from(std::span(burst).first(count), std::span(floors).first(count),
                        std::span(first).first(count), level);
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(first[i], naive_find(rules, burst[i], floors[i]))
            << "key " << i << " of " << count << " from rule " << floors[i];
      }
    }
    done += count;
  }
}

struct Case {
  Forest::Form form;
  SimdLevel level;
};
class ForestTwin : public testing::TestWithParam<Case> {};

TEST_P(ForestTwin, AgreesWithItsNaiveTwin) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  for (const Shape& shape : shapes()) {
    for (const size_t count : {0, 1, 4, 5, 30, 300, 3000}) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + shape.name + ", " +
                   std::to_string(count) + " rules");
      Random random(seed + count);
      const auto rules = random_rules(random, shape, count);
      const Case& form = GetParam();
      ASSERT_NO_FATAL_FAILURE(expect_like_the_twin(rules, form.form, form.level, random, 3000));
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const SimdLevel level : simd_levels()) {
    all.push_back({Forest::Form::trees, level});
    all.push_back({Forest::Form::automatic, level});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(AllLevels, ForestTwin, testing::ValuesIn(cases()));

TEST(Forest, ALongListAgreesWithItsNaiveTwin) {
  const unsigned seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  for (const Shape& shape : shapes()) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + shape.name);
    Random random(seed);
    const auto rules = random_rules(random, shape, 20'000);
    ASSERT_NO_FATAL_FAILURE(
        expect_like_the_twin(rules, Forest::Form::automatic, best_simd_level(), random, 2000));
  }
}

TEST(Forest, MemoryBeyondTheLimitIsAnError) {
  Random random(1);
  const auto rules = random_rules(random, shapes()[3], 3000);
  for (const size_t bytes : {0, 1000, 100'000}) {
    const Result<Forest> forest = Forest::make(rules, {.bytes = bytes});
    ASSERT_FALSE(forest) << bytes;
    EXPECT_NE(forest.error().what.find(std::to_string(bytes) + " bytes"), std::string::npos)
        << forest.error().what;
  }
}

TEST(Forest, TheMemoryItTakesIsWithinTheLimit) {
  Random random(1);
  const auto rules = random_rules(random, shapes()[4], 3000);
  const size_t bytes = Forest::make(rules)->bytes();
  const Result<Forest> again = Forest::make(rules, {.bytes = 8 * bytes});
  ASSERT_TRUE(again);
  EXPECT_LE(again->bytes(), 8 * bytes);
}

TEST(Forest, RulesThatCannotBeAreRefused) {
  const struct {
    const char* sentence;
    FiveTupleRule rule;
    const char* what;
  } rows[] = {
      {"source too long", {.src_length = 33}, "rule 1: a prefix is longer than 32 bits"},
      {"destination too long", {.dst_length = 33}, "rule 1: a prefix is longer than 32 bits"},
      {"no source port", {.src_port = {2, 1}}, "rule 1: a port range is empty"},
      {"no destination port", {.dst_port = {2, 1}}, "rule 1: a port range is empty"},
  };
  for (const auto& row : rows) {
    const std::vector<FiveTupleRule> rules = {FiveTupleRule{}, row.rule};
    const Result<Forest> forest = Forest::make(rules);
    ASSERT_FALSE(forest) << row.sentence;
    EXPECT_EQ(forest.error().what, row.what) << row.sentence;
  }
}

}  // namespace
}  // namespace sluice
