// SPDX-License-Identifier: Apache-2.0
// Random selectors on random labels, by the compiled selector and by a naive twin written
// straight from the truth table (semantics 4.4); and the label index against asking each set.
#include <algorithm>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "control/labels.h"
#include "control/selector.h"

namespace sluice::control {
namespace {

using Labels = Selector::Labels;
using Random = std::mt19937_64;

constexpr const char* kKeys[] = {"a", "b", "in", "has", "pcns.x/y-z", "not"};
constexpr const char* kValues[] = {"", "v", "vw", "wv", "V", "it's", "a b", "\"q\""};

template <typename T, size_t n>
std::string any_of(const T (&all)[n], Random& random) {
  return all[random() % n];
}

// An expression as the twin keeps it.
struct Twin {
  char op = 0;  // '=' '#' 'i' 'n' 'h' 'c' 's' 'e' '*' (all), '!' '&' '|'
  std::string key;
  std::vector<std::string> values;
  std::vector<Twin> parts;
};

Twin make_twin(Random& random, unsigned depth) {
  Twin out;
  if (depth > 0 && random() % 2 == 0) {
    out.op = "!&|"[random() % 3];
    const size_t parts = out.op == '!' ? 1 : 2 + random() % 3;
    for (size_t i = 0; i < parts; ++i) {
      out.parts.push_back(make_twin(random, depth - 1));
    }
    return out;
  }
  out.op = "=#inhcse*"[random() % 9];
  out.key = any_of(kKeys, random);
  const bool set = out.op == 'i' || out.op == 'n';
  for (size_t i = set ? random() % 4 : 1; i > 0; --i) {
    out.values.push_back(any_of(kValues, random));
  }
  return out;
}

bool holds(const Twin& t, const Labels& labels) {
  const auto part = [&](const Twin& p) { return holds(p, labels); };
  switch (t.op) {
    case '*':
      return true;
    case '!':
      return !part(t.parts[0]);
    case '&':
      return std::all_of(t.parts.begin(), t.parts.end(), part);
    case '|':
      return std::any_of(t.parts.begin(), t.parts.end(), part);
    default:
      break;
  }
  const bool present = labels.count(t.key) > 0;
  const std::string value = present ? labels.at(t.key) : "";
  const bool listed = std::count(t.values.begin(), t.values.end(), value) > 0;
  switch (t.op) {
    case 'h':
      return present;
    case '=':
    case 'i':
      return present && listed;
    case '#':
    case 'n':
      return !present || !listed;
    case 'c':
      return present && value.find(t.values[0]) != std::string::npos;
    case 's':
      return present && value.rfind(t.values[0], 0) == 0;
    default: {
      const std::string& end = t.values[0];
      return present && value.size() >= end.size() &&
             value.compare(value.size() - end.size(), end.size(), end) == 0;
    }
  }
}

std::string blank(Random& random, bool needed = false) {
  constexpr const char* kBlanks[] = {" ", "\t", "  "};
  return needed || random() % 2 == 0 ? any_of(kBlanks, random) : "";
}

std::string quoted(const std::string& value, Random& random) {
  const bool single = value.find('"') != std::string::npos ||
                      (value.find('\'') == std::string::npos && random() % 2 == 0);
  return single ? "'" + value + "'" : "\"" + value + "\"";
}

std::string written(const Twin& t, Random& random) {
  const auto operand = [&](const Twin& p) {
    const bool bare = p.op != '&' && p.op != '|' && random() % 2 == 0;
    return bare ? written(p, random)
                : "(" + blank(random) + written(p, random) + blank(random) + ")";
  };
  if (t.op == '*') {
    return "all(" + blank(random) + ")";
  }
  if (t.op == 'h') {
    return "has(" + blank(random) + t.key + blank(random) + ")";
  }
  if (t.op == '!') {
    return "!" + blank(random) + operand(t.parts[0]);
  }
  if (t.op == '&' || t.op == '|') {
    std::string out = operand(t.parts[0]);
    for (size_t i = 1; i < t.parts.size(); ++i) {
      out += blank(random) + std::string(2, t.op) + blank(random) + operand(t.parts[i]);
    }
    return out;
  }
  if (t.op == 'i' || t.op == 'n') {
    std::string out = t.key + blank(random, true) + (t.op == 'n' ? "not" + blank(random) : "") +
                      "in" + blank(random) + "{";
    for (size_t i = 0; i < t.values.size(); ++i) {
      out += (i == 0 ? "" : ",") + blank(random) + quoted(t.values[i], random) + blank(random);
    }
    return out + (t.values.empty() || random() % 2 == 0 ? "" : ",") + blank(random) + "}";
  }
  const bool sign = t.op == '=' || t.op == '#';
  const std::string word = t.op == '='   ? "=="
                           : t.op == '#' ? "!="
                           : t.op == 'c'
                               ? "contains"
                               : (t.op == 's' ? "starts" : "ends") + blank(random) + "with";
  return t.key + blank(random, !sign) + word + blank(random) + quoted(t.values[0], random);
}

Labels make_labels(Random& random) {
  Labels out;
  for (const char* key : kKeys) {
    if (random() % 2 == 0) {
      out[key] = any_of(kValues, random);
    }
  }
  return out;
}

TEST(SelectorTwin, AgreesOnRandomSelectorsAndLabels) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  size_t matched = 0;
  constexpr size_t kRounds = 20000;
  for (size_t i = 0; i < kRounds; ++i) {
    const Twin twin = make_twin(random, 4);
    const std::string text = written(twin, random);
    const auto selector = Selector::parse(text);
    ASSERT_TRUE(selector) << text << ": " << selector.error().what;
    const auto again = Selector::parse(selector->canonical());
    ASSERT_TRUE(again) << selector->canonical();
    for (int k = 0; k < 8; ++k) {
      const Labels labels = make_labels(random);
      const bool expected = holds(twin, labels);
      ASSERT_EQ(selector->matches(labels), expected) << text;
      ASSERT_EQ(again->matches(labels), expected) << text;
      matched += expected ? 1 : 0;
    }
  }
  // Neither answer is rare, or the comparison would say little.
  EXPECT_GT(matched, kRounds);
  EXPECT_LT(matched, 7 * kRounds);
}

TEST(SelectorTwin, TheLabelIndexFindsWhatAskingEachSetFinds) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  LabelIndex index;
  std::vector<Labels> sets;
  for (int i = 0; i < 200; ++i) {
    const Labels labels = make_labels(random);
    const LabelsId id = index.add(labels);
    ASSERT_LE(id, sets.size());
    if (id == sets.size()) {
      sets.push_back(labels);
    }
    ASSERT_EQ(sets[id], labels);  // the same labels have the same id
  }
  ASSERT_EQ(index.size(), sets.size());
  for (int i = 0; i < 2000; ++i) {
    const std::string text = written(make_twin(random, 3), random);
    const auto selector = Selector::parse(text);
    ASSERT_TRUE(selector) << text;
    std::vector<LabelsId> expected;
    for (size_t id = 0; id < sets.size(); ++id) {
      if (selector->matches(sets[id])) {
        expected.push_back(static_cast<LabelsId>(id));
      }
    }
    ASSERT_EQ(index.matching(*selector), expected) << text;
  }
}

}  // namespace
}  // namespace sluice::control
