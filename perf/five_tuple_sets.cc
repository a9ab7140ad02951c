// SPDX-License-Identifier: Apache-2.0
#include "perf/five_tuple_sets.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <random>
#include <tuple>
#include <unordered_set>

namespace sluice::perf {
namespace {

using Random = std::mt19937_64;

constexpr PortMix kNoPorts = {1, 0, 0, 0, 0};

const Shape kAcl = {
    "acl",
    {{30, 20, 31, 32, 32},
     {22, 16, 24, 24, 32},
     {14, 0, 0, 32, 32},
     {10, 0, 0, 16, 28},
     {18, 32, 32, 32, 32},
     {6, 8, 16, 16, 24}},
    {{70, 6, false, {98, 1, 0, 0, 1}, {15, 8, 2, 15, 60}},
     {15, 17, false, {95, 2, 0, 0, 3}, {20, 10, 0, 15, 55}},
     {5, 1, false, kNoPorts, kNoPorts},
     {10, 0, true, kNoPorts, kNoPorts}},
    {40, {6, 12, 40, 60}, 1.6},
    {25, {4, 10, 60, 120}, 1.4},
    40,
};
const Shape kFw = {
    "fw",
    {{20, 0, 0, 32, 32},
     {16, 32, 32, 0, 0},
     {14, 0, 0, 16, 28},
     {14, 16, 28, 0, 0},
     {18, 32, 32, 32, 32},
     {11, 24, 31, 24, 31},
     {6, 8, 16, 16, 24},
     {1, 0, 0, 0, 0}},
    {{55, 6, false, {75, 10, 0, 5, 10}, {22, 10, 2, 14, 52}},
     {25, 17, false, {65, 12, 0, 8, 15}, {20, 12, 2, 16, 50}},
     {8, 1, false, kNoPorts, kNoPorts},
     {12, 0, true, kNoPorts, kNoPorts}},
    {30, {8, 16, 40, 80}, 1.5},
    {30, {8, 16, 40, 80}, 1.5},
    40,
};
const Shape kIpc = {
    "ipc",
    {{34, 32, 32, 32, 32},
     {22, 24, 30, 24, 32},
     {11, 0, 0, 32, 32},
     {10, 32, 32, 0, 0},
     {11, 16, 23, 16, 23},
     {6, 0, 0, 16, 24},
     {5, 16, 24, 0, 0},
     {1, 0, 0, 0, 0}},
    {{45, 6, false, {80, 5, 0, 5, 10}, {42, 6, 2, 10, 40}},
     {30, 17, false, {70, 6, 0, 8, 16}, {40, 6, 2, 12, 40}},
     {8, 1, false, kNoPorts, kNoPorts},
     {5, 47, false, kNoPorts, kNoPorts},
     {12, 0, true, kNoPorts, kNoPorts}},
    {45, {6, 14, 40, 60}, 1.8},
    {45, {6, 14, 40, 60}, 1.8},
    40,
};
// The variations.
const Shape kAclB = {
    "acl-b",
    {{25, 8, 23, 28, 32},
     {25, 24, 32, 24, 32},
     {20, 0, 0, 24, 32},
     {20, 32, 32, 32, 32},
     {10, 12, 27, 12, 27}},
    {{60, 6, false, {90, 5, 0, 1, 4}, {25, 10, 5, 25, 35}},
     {25, 17, false, {85, 5, 0, 2, 8}, {25, 10, 5, 20, 40}},
     {15, 0, true, kNoPorts, kNoPorts}},
    {65, {20, 40, 100, 200}, 2.5},
    {65, {20, 40, 100, 200}, 2.5},
    120,
};
const Shape kFwB = {
    "fw-b",
    {{25, 0, 0, 20, 32},
     {22, 20, 32, 0, 0},
     {8, 0, 4, 8, 15},
     {8, 8, 15, 0, 4},
     {15, 22, 32, 22, 32},
     {20, 32, 32, 32, 32},
     {2, 0, 0, 0, 0}},
    {{50, 6, false, {60, 15, 2, 10, 13}, {20, 15, 5, 25, 35}},
     {35, 17, false, {50, 15, 2, 13, 20}, {20, 15, 5, 25, 35}},
     {15, 0, true, kNoPorts, kNoPorts}},
    {15, {30, 60, 120, 200}, 1.0},
    {55, {12, 30, 80, 160}, 2.2},
    100,
};
const Shape kIpcB = {
    "ipc-b",
    {{20, 32, 32, 32, 32},
     {25, 16, 31, 16, 31},
     {15, 0, 0, 24, 32},
     {15, 24, 32, 0, 0},
     {12, 10, 18, 28, 32},
     {12, 28, 32, 10, 18},
     {1, 0, 0, 0, 0}},
    {{40, 6, false, {70, 10, 2, 8, 10}, {35, 10, 5, 20, 30}},
     {40, 17, false, {60, 10, 2, 13, 15}, {35, 10, 5, 20, 30}},
     {4, 50, false, kNoPorts, kNoPorts},
     {16, 0, true, kNoPorts, kNoPorts}},
    {70, {16, 30, 90, 180}, 2.6},
    {20, {16, 30, 90, 180}, 1.2},
    100,
};

double unit(Random& random) {
  return static_cast<double>(random() >> 11) * 0x1.0p-53;
}
uint32_t below(Random& random, size_t bound) {
  return static_cast<uint32_t>(random() % bound);
}
uint32_t between(Random& random, uint32_t low, uint32_t high) {
  return low + below(random, size_t{high} - low + 1);
}

// The row of a table with weights.
template <typename Row>
const Row& draw(Random& random, const std::vector<Row>& rows) {
  unsigned sum = 0;
  for (const Row& row : rows) {
    sum += row.weight;
  }
  unsigned left = below(random, sum);
  const Row* at = rows.data();
  while (left >= at->weight) {
    left -= at->weight;
    ++at;
  }
  return *at;
}

uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

class Generator {
 public:
  Generator(const Shape& shape, size_t count, uint64_t seed)
      : shape_(shape), random_(mix(seed)), salt_(random_()) {
    const double scale = std::sqrt(static_cast<double>(count) / 1000);
    const auto pool = std::max<size_t>(8, static_cast<size_t>(shape.ports * scale));
    for (size_t i = 0; i < pool; ++i) {
      const bool known = below(random_, 3) == 0;  // a third below 1024, as services are
      const auto port = static_cast<uint16_t>(known ? below(random_, 1024) : random_());
      exact_.push_back({port, port});
      const auto low = static_cast<uint16_t>(below(random_, 0xff00));
      const uint32_t width = 1u << between(random_, 1, 11);
      ranges_.push_back({low, static_cast<uint16_t>(std::min(0xffffu, low + width))});
    }
  }

  FiveTupleRule rule() {
    FiveTupleRule rule;
    const LengthPair& lengths = draw(random_, shape_.lengths);
    rule.src_length = static_cast<uint8_t>(between(random_, lengths.src_low, lengths.src_high));
    rule.dst_length = static_cast<uint8_t>(between(random_, lengths.dst_low, lengths.dst_high));
    rule.src = address(shape_.src, src_, 0) & FiveTupleRule::mask(rule.src_length);
    rule.dst = address(shape_.dst, dst_, 1) & FiveTupleRule::mask(rule.dst_length);
    const ProtocolMix& protocol = draw(random_, shape_.protocols);
    rule.any_protocol = protocol.any;
    rule.protocol = protocol.protocol;
    rule.src_port = ports(protocol.src);
    rule.dst_port = ports(protocol.dst);
    return rule;
  }

  Random& random() { return random_; }

 private:
  // Each byte is one of a few that its parent has, by a hash of the bytes before it.
  uint32_t address(const Nesting& nesting, std::vector<uint32_t>& known, uint64_t side) {
    if (!known.empty() && below(random_, 100) < nesting.reuse) {
      return known[below(random_, known.size())];
    }
    uint64_t address = 0;
    for (const uint8_t branches : nesting.branches) {
      const auto branch =
          static_cast<uint64_t>(branches * std::pow(unit(random_), nesting.skew));
      const uint64_t byte = mix(salt_ ^ address << 20 ^ branch << 8 ^ side) & 0xff;
      address = address << 8 | byte;
    }
    known.push_back(static_cast<uint32_t>(address));
    return known.back();
  }

  PortRange ports(const PortMix& mix) {
    unsigned left = below(random_, mix.wc + mix.hi + mix.lo + mix.ar + mix.em);
    const auto is = [&](unsigned weight) {
      const bool hit = left < weight;
      left -= hit ? 0 : weight;
      return hit;
    };
    if (is(mix.wc)) {
      return {0, 0xffff};
    }
    if (is(mix.hi)) {
      return {1024, 0xffff};
    }
    if (is(mix.lo)) {
      return {0, 1023};
    }
    return pick(is(mix.ar) ? ranges_ : exact_);
  }

  // A few ports are in most rules.
  PortRange pick(const std::vector<PortRange>& pool) {
    const double at = static_cast<double>(pool.size()) * std::pow(unit(random_), 2.5);
    return pool[static_cast<size_t>(at)];
  }

  const Shape& shape_;
  Random random_;
  uint64_t salt_;
  std::vector<PortRange> exact_;
  std::vector<PortRange> ranges_;
  std::vector<uint32_t> src_;
  std::vector<uint32_t> dst_;
};

struct HashRule {
  size_t operator()(const FiveTupleRule& r) const {
    const uint64_t ports = uint64_t{r.src_port.low} << 48 | uint64_t{r.src_port.high} << 32 |
                           uint64_t{r.dst_port.low} << 16 | r.dst_port.high;
    const uint64_t rest = uint64_t{r.src_length} << 24 | uint64_t{r.dst_length} << 16 |
                          uint64_t{r.protocol} << 8 | (r.any_protocol ? 1u : 0u);
    return mix(mix(uint64_t{r.src} << 32 | r.dst) ^ mix(ports + rest * 0x9e3779b97f4a7c15));
  }
};

unsigned specificity(const FiveTupleRule& r) {
  const auto bits = [](PortRange p) {
    return static_cast<unsigned>(16 - std::log2(p.high - p.low + 1));
  };
  return r.src_length + r.dst_length + (bits(r.src_port) + bits(r.dst_port)) / 2;
}

}  // namespace

std::span<const Shape> shapes() {
  static const std::vector<Shape> all = {kAcl, kFw, kIpc, kAclB, kFwB, kIpcB};
  return all;
}

const Shape* find_shape(std::string_view name) {
  const auto all = shapes();
  const auto at = std::find_if(all.begin(), all.end(),
                               [&](const Shape& shape) { return shape.name == name; });
  return at == all.end() ? nullptr : &*at;
}

std::vector<FiveTupleRule> make_rules(const Shape& shape, size_t count, uint64_t seed) {
  Generator generator(shape, count, seed);
  std::unordered_set<FiveTupleRule, HashRule> seen;
  std::vector<std::pair<double, FiveTupleRule>> ranked;
  for (size_t tries = 0; ranked.size() < count && tries < 20 * count; ++tries) {
    const FiveTupleRule rule = generator.rule();
    if (seen.insert(rule).second) {
      ranked.emplace_back(specificity(rule) + 12 * unit(generator.random()), rule);
    }
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<FiveTupleRule> rules;
  rules.reserve(ranked.size());
  for (const auto& [rank, rule] : ranked) {
    rules.push_back(rule);
  }
  return rules;
}

Result<std::vector<FiveTupleRule>> read_rules(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return Error{path + ": cannot be read"};
  }
  std::vector<FiveTupleRule> rules;
  for (std::string line; std::getline(file, line);) {
    unsigned s[4], d[4], lengths[2], ports[4], protocol, mask;
    // NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion): counted, then checked
    const int fields = std::sscanf(
        line.c_str(), "@%3u.%3u.%3u.%3u/%2u %3u.%3u.%3u.%3u/%2u %5u : %5u %5u : %5u %x/%x",
        &s[0], &s[1], &s[2], &s[3], &lengths[0], &d[0], &d[1], &d[2], &d[3], &lengths[1],
        &ports[0], &ports[1], &ports[2], &ports[3], &protocol, &mask);
    if (fields != 16) {
      return Error{path + ":" + std::to_string(rules.size() + 1) + ":1: not a filter"};
    }
    FiveTupleRule rule;
    rule.src = s[0] << 24 | s[1] << 16 | s[2] << 8 | s[3];
    rule.dst = d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3];
    rule.src_length = static_cast<uint8_t>(lengths[0]);
    rule.dst_length = static_cast<uint8_t>(lengths[1]);
    rule.src_port = {static_cast<uint16_t>(ports[0]), static_cast<uint16_t>(ports[1])};
    rule.dst_port = {static_cast<uint16_t>(ports[2]), static_cast<uint16_t>(ports[3])};
    rule.protocol = static_cast<uint8_t>(protocol);
    rule.any_protocol = mask == 0;
    rules.push_back(rule);
  }
  return rules;
}

std::vector<FiveTuple> make_trace(std::span<const FiveTupleRule> rules, size_t count,
                                  uint64_t seed) {
  Random random(mix(seed ^ 0x7261636563617274));
  const auto inside = [&](PortRange range) {
    return static_cast<uint16_t>(between(random, range.low, range.high));
  };
  std::vector<FiveTuple> trace(count);
  for (size_t i = 0; i < count; ++i) {
    const FiveTupleRule& rule = rules[i % rules.size()];
    const auto bits = random();
    FiveTuple& key = trace[i];
    key.src = rule.src | (static_cast<uint32_t>(bits) & ~FiveTupleRule::mask(rule.src_length));
    key.dst =
        rule.dst | (static_cast<uint32_t>(bits >> 32) & ~FiveTupleRule::mask(rule.dst_length));
    key.src_port = inside(rule.src_port);
    key.dst_port = inside(rule.dst_port);
    key.protocol = rule.any_protocol ? static_cast<uint8_t>(random()) : rule.protocol;
  }
  std::shuffle(trace.begin(), trace.end(), random);
  return trace;
}

size_t count_distinct(std::vector<FiveTuple> trace) {
  const auto parts = [](const FiveTuple& k) {
    return std::tuple(k.src, k.dst, k.src_port, k.dst_port, k.protocol);
  };
  std::sort(trace.begin(), trace.end(),
            [&](const FiveTuple& a, const FiveTuple& b) { return parts(a) < parts(b); });
  return static_cast<size_t>(std::unique(trace.begin(), trace.end()) - trace.begin());
}

}  // namespace sluice::perf
