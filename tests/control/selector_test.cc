// SPDX-License-Identifier: Apache-2.0
// The selector language, row by row: semantics 4.1 to 4.5 and 4.7.
#include "control/selector.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using Labels = Selector::Labels;

Selector parsed(std::string_view text) {
  const auto selector = Selector::parse(text);
  EXPECT_TRUE(selector) << text << ": " << (selector ? "" : selector.error().what);
  return selector ? *selector : Selector();
}

// ---- truth (4.3, 4.4) ----------------------------------------------------------------------

struct Truth {
  const char* text;
  bool present_equal;  // for {k: v}
  bool present_other;  // for {k: w}
  bool absent;         // for {other: v}
};

TEST(SelectorTruth, EveryOperatorOnPresentAndAbsentLabels) {
  const Truth rows[] = {
      {"k == 'v'", true, false, false},
      {"k != 'v'", false, true, true},
      {"k in {'v'}", true, false, false},
      {"k in {'u', 'v', 'x'}", true, false, false},
      {"k in {}", false, false, false},
      {"k not in {'v'}", false, true, true},
      {"k not in {'u', 'v', 'x'}", false, true, true},
      {"k not in {}", true, true, true},
      {"has(k)", true, true, false},
      {"k contains 'v'", true, false, false},
      {"k contains ''", true, true, false},
      {"k starts with 'v'", true, false, false},
      {"k starts with ''", true, true, false},
      {"k ends with 'v'", true, false, false},
      {"k ends with ''", true, true, false},
      {"all()", true, true, true},
      {"global()", true, true, true},
      {"", true, true, true},
      {" \t ", true, true, true},
      {"!k == 'v'", false, true, true},
      {"!k != 'v'", true, false, false},
      {"!k in {'v'}", false, true, true},
      {"!k not in {'v'}", true, false, false},
      {"!has(k)", false, false, true},
      {"!k contains 'v'", false, true, true},
      {"!k starts with 'v'", false, true, true},
      {"!k ends with 'v'", false, true, true},
      {"!all()", false, false, false},
      {"!!has(k)", true, true, false},
      {"! ! !has(k)", false, false, true},
  };
  for (const Truth& row : rows) {
    const Selector s = parsed(row.text);
    EXPECT_EQ(s.matches({{"k", "v"}}), row.present_equal) << row.text;
    EXPECT_EQ(s.matches({{"k", "w"}}), row.present_other) << row.text;
    EXPECT_EQ(s.matches({{"other", "v"}}), row.absent) << row.text;
  }
}

TEST(SelectorTruth, ComparisonIsBytewiseAndWhole) {
  const struct {
    const char* text;
    const char* value;
    bool holds;
  } rows[] = {
      {"k == 'abc'", "abc", true},
      {"k == 'abc'", "Abc", false},
      {"k == 'abc'", "abcd", false},
      {"k == ''", "", true},
      {"k == ''", "a", false},
      {"k contains 'b'", "abc", true},
      {"k contains 'ac'", "abc", false},
      {"k contains 'B'", "abc", false},
      {"k starts with 'ab'", "abc", true},
      {"k starts with 'bc'", "abc", false},
      {"k starts with 'abcd'", "abc", false},
      {"k ends with 'bc'", "abc", true},
      {"k ends with 'ab'", "abc", false},
      {"k ends with 'xabc'", "abc", false},
      {"k == 'gr\xc3\xbc\xc3\x9f'", "gr\xc3\xbc\xc3\x9f", true},
      {"k == 'gr\xc3\xbc\xc3\x9f'", "grüss", false},
      {"k contains '\xbc'", "gr\xc3\xbc", true},
      {"k in {'a b', \"it's\"}", "it's", true},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(parsed(row.text).matches({{"k", row.value}}), row.holds)
        << row.text << " on " << row.value;
  }
}

TEST(SelectorTruth, NotBindsTighterThanAndTighterThanOr) {
  const struct {
    const char* text;
    Labels labels;
    bool holds;
  } rows[] = {
      {"has(a) || has(b) && has(c)", {{"a", ""}}, true},
      {"(has(a) || has(b)) && has(c)", {{"a", ""}}, false},
      {"has(a) && has(b) || has(c)", {{"c", ""}}, true},
      {"has(a) && (has(b) || has(c))", {{"c", ""}}, false},
      {"!has(a) && has(b)", {{"b", ""}}, true},
      {"!(has(a) && has(b))", {{"b", ""}}, true},
      {"!has(a) || has(b)", {{"a", ""}, {"b", ""}}, true},
      {"!(has(a) || has(b))", {{"a", ""}, {"b", ""}}, false},
      {"!a == 'x' && b == 'y'", {{"b", "y"}}, true},
      {"!a == 'x' && b == 'y'", {{"a", "x"}, {"b", "y"}}, false},
      {"!(a == 'x' && b == 'y')", {{"a", "x"}, {"b", "n"}}, true},
      {"has(a) || has(b) || has(c)", {{"c", ""}}, true},
      {"has(a) && has(b) && has(c)", {{"a", ""}, {"b", ""}}, false},
      {"((((has(a)))))", {{"a", ""}}, true},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(parsed(row.text).matches(row.labels), row.holds) << row.text;
  }
}

// ---- lexical details and canonical form (4.2, 4.5) -----------------------------------------

TEST(SelectorCanonical, TextsOfOneMeaningRenderAlike) {
  const struct {
    const char* text;
    const char* canonical;
  } rows[] = {
      {"", "all()"},
      {"  ", "all()"},
      {"all()", "all()"},
      {"all( )", "all()"},
      {"global(\t)", "global()"},
      {"has( k )", "has(k)"},
      {"k=='v'", "k == \"v\""},
      {"\tk\t==\t\"v\" ", "k == \"v\""},
      {"k != 'v'", "k != \"v\""},
      {"k == 'say \"hi\"'", "k == 'say \"hi\"'"},
      {"k == \"it's\"", "k == \"it's\""},
      {"k contains'v'", "k contains \"v\""},
      {"k starts with'v'", "k starts with \"v\""},
      {"k startswith 'v'", "k starts with \"v\""},
      {"k starts  \twith 'v'", "k starts with \"v\""},
      {"k endswith\"v\"", "k ends with \"v\""},
      {"k ends with 'v'", "k ends with \"v\""},
      {"k in{'b','a','b'}", "k in {\"a\", \"b\"}"},
      {"k in { 'a' , 'b' , }", "k in {\"a\", \"b\"}"},
      {"k in {}", "k in {}"},
      {"k notin{ }", "k not in {}"},
      {"k not\tin {'a'}", "k not in {\"a\"}"},
      {"(k == 'v')", "k == \"v\""},
      {"has(a)&&has(b)", "(has(a) && has(b))"},
      {"has(b) && has(a)", "(has(b) && has(a))"},
      {"has(a) && has(b) && has(c)", "(has(a) && has(b) && has(c))"},
      {"(has(a) && has(b)) && has(c)", "((has(a) && has(b)) && has(c))"},
      {"has(a)||has(b)&&has(c)", "(has(a) || (has(b) && has(c)))"},
      {"!has(a)", "!has(a)"},
      {"! has(a)", "!has(a)"},
      {"!!has(a)", "has(a)"},
      {"!!!has(a)", "!has(a)"},
      {"!(has(a) || has(b))", "!(has(a) || has(b))"},
      {"!k == 'v'", "!k == \"v\""},
      // A label may be called like an operator; its place decides.
      {"in == 'x'", "in == \"x\""},
      {"in in {'in'}", "in in {\"in\"}"},
      {"not not in {'x'}", "not not in {\"x\"}"},
      {"has == 'x'", "has == \"x\""},
      {"has(has)", "has(has)"},
      {"all == 'x'", "all == \"x\""},
      {"global != 'x'", "global != \"x\""},
      {"contains contains 'x'", "contains contains \"x\""},
      {"starts starts with 'x'", "starts starts with \"x\""},
      {"has(all)", "has(all)"},
      {"_A.b/c-9 == 'x'", "_A.b/c-9 == \"x\""},
      {"9 == 'x'", "9 == \"x\""},
      {"-.- == 'x'", "-.- == \"x\""},
      {"inx in {'a'}", "inx in {\"a\"}"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(parsed(row.text).canonical(), row.canonical) << row.text;
    // The canonical form is a selector, and its own canonical form.
    EXPECT_EQ(parsed(row.canonical).canonical(), row.canonical);
  }
}

TEST(SelectorCanonical, TheIdIsCalicos) {
  EXPECT_EQ(parsed("").id().substr(0, 25), "s:5y5I3VdRZfDU01O--xXAPx2");
  EXPECT_EQ(parsed("").id().size(), 2u + 38u);
  EXPECT_EQ(parsed("k in {'b','a'}").id(), parsed("k  in {\"a\",'b',}").id());
  EXPECT_NE(parsed("k == 'a'").id(), parsed("k == 'b'").id());
}

// ---- errors (4.7) --------------------------------------------------------------------------

TEST(SelectorErrors, EachHasItsOwnWordsAndPlace) {
  const struct {
    const char* text;
    size_t offset;
    const char* says;  // somewhere in the message
  } rows[] = {
      {"k == 'v", 5, "unterminated string"},
      {"k == \"v'", 5, "unterminated string"},
      {"k in {'a", 6, "unterminated string"},
      {"k = 'v'", 2, "expected '=='"},
      {"k =! 'v'", 2, "expected '=='"},
      {"has(a) & has(b)", 7, "expected '&&'"},
      {"has(a) | has(b)", 7, "expected '||'"},
      {"has(a) && has(b) | has(c)", 17, "expected '||'"},
      {"has(a) || has(b) & has(c)", 17, "expected '&&'"},
      {"k", 1, "expected operator after label 'k'"},
      {"k 'v'", 2, "expected operator after label 'k'"},
      {"k inx {'a'}", 2, "expected operator after label 'k'"},
      {"k containsx 'a'", 2, "expected operator after label 'k'"},
      {"k starts 'a'", 2, "expected operator after label 'k'"},
      {"k starts withx 'a'", 2, "expected operator after label 'k'"},
      {"k not {'a'}", 2, "expected operator after label 'k'"},
      {"k ! = 'v'", 2, "expected operator after label 'k'"},
      {"k && has(b)", 2, "expected operator after label 'k'"},
      {"has (k)", 4, "expected operator after label 'has'"},
      {"all ()", 4, "expected operator after label 'all'"},
      {"global ()", 7, "expected operator after label 'global'"},
      {"k == v", 5, "expected string"},
      {"k ==", 4, "expected string"},
      {"k contains {'a'}", 11, "expected string"},
      {"k in 'a'", 5, "expected set literal"},
      {"k in", 4, "expected set literal"},
      {"k not in ('a')", 9, "expected set literal"},
      {"k in {'a' 'b'}", 10, "expected '}'"},
      {"k in {'a'", 9, "expected '}'"},
      {"k in {,}", 6, "expected '}'"},
      {"k in {'a',,}", 10, "expected '}'"},
      {"k in {a}", 6, "expected '}'"},
      {"(has(a)", 7, "expected ')'"},
      {"(has(a) has(b))", 8, "expected ')'"},
      {"has(a", 5, "no closing ')' after has("},
      {"has(a b)", 6, "no closing ')' after has("},
      {"all(", 4, "no closing ')' after all("},
      {"all(x)", 4, "no closing ')' after all("},
      {"global(x)", 7, "no closing ')' after global("},
      {"has()", 4, "expected identifier"},
      {"has('k')", 4, "expected identifier"},
      {"has(", 4, "expected identifier"},
      {"'k' == 'v'", 0, "unexpected token"},
      {"k == 'v' && %", 12, "unexpected token"},
      {"()", 1, "unexpected token"},
      {"&& has(a)", 0, "unexpected token"},
      {"!= 'v'", 1, "unexpected token"},
      {"\n", 0, "unexpected token"},
      {"has(a) has(b)", 7, "unexpected content at end"},
      {"has(a))", 6, "unexpected content at end"},
      {"k == 'a' 'b'", 9, "unexpected content at end"},
      {"has(a)\n", 6, "unexpected content at end"},
      {"has(a)\r", 6, "unexpected content at end"},
      {"has(a) &&", 9, "unexpected end"},
      {"has(a) ||  ", 11, "unexpected end"},
      {"!", 1, "unexpected end"},
      {"(", 1, "unexpected end"},
      {"k ==\n'v'", 4, "expected string"},
  };
  for (const auto& row : rows) {
    size_t offset = 999;
    const auto selector = Selector::parse(row.text, &offset);
    ASSERT_FALSE(selector) << row.text;
    EXPECT_EQ(offset, row.offset) << row.text << ": " << selector.error().what;
    EXPECT_NE(selector.error().what.find(row.says), std::string::npos)
        << row.text << ": " << selector.error().what;
    EXPECT_EQ(selector.error().what.find("at offset " + std::to_string(row.offset) + ": "), 0u)
        << selector.error().what;
  }
}

TEST(SelectorErrors, LabelsEndAtTheirLimit) {
  const std::string longest(512, 'k');
  EXPECT_TRUE(Selector::parse(longest + " == 'v'"));
  EXPECT_TRUE(Selector::parse("has(" + longest + ")"));
  size_t offset = 0;
  const auto comparison = Selector::parse("has(a) && k" + longest + " == 'v'", &offset);
  ASSERT_FALSE(comparison);
  EXPECT_NE(comparison.error().what.find("label too long"), std::string::npos);
  EXPECT_EQ(offset, 10u);
  EXPECT_FALSE(Selector::parse("has(k" + longest + ")"));
}

TEST(SelectorErrors, NestingEndsAtItsLimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '(') + "has(a)" + std::string(depth, ')');
  };
  EXPECT_TRUE(Selector::parse(nested(64)));
  const auto deeper = Selector::parse(nested(65));
  ASSERT_FALSE(deeper);
  EXPECT_NE(deeper.error().what.find("nested deeper than 64"), std::string::npos);
  EXPECT_FALSE(Selector::parse(std::string(1000000, '(')));
  // Side by side is no nesting, and neither is a row of negations.
  std::string row = nested(64);
  for (int i = 0; i < 100; ++i) {
    row += " && (has(a))";
  }
  EXPECT_TRUE(Selector::parse(row));
  EXPECT_TRUE(parsed(std::string(100000, '!') + "has(a)").matches({{"a", ""}}));
}

TEST(SelectorErrors, NulIsAByteLikeAnother) {
  using std::string_literals::operator""s;
  EXPECT_FALSE(Selector::parse("has(a)\0"s));
  EXPECT_TRUE(parsed("k == 'a\0b'"s).matches({{"k", "a\0b"s}}));
  EXPECT_FALSE(parsed("k == 'a\0b'"s).matches({{"k", "a"}}));
}

// ---- what folding does to a tree (3.4) -----------------------------------------------------

TEST(SelectorTree, PrefixesKeysAndNothingElse) {
  EXPECT_EQ(parsed("!k == 'k' && (has(k) || k in {'k'} || all() || global())")
                .with_key_prefix("pcns.")
                .canonical(),
            "(!pcns.k == \"k\" && (has(pcns.k) || pcns.k in {\"k\"} || all() || global()))");
}

TEST(SelectorTree, ReplacesAllAndGlobalOnTheTreeNotInTheText) {
  const Selector has = Selector::has("ns");
  EXPECT_EQ(parsed("k == 'all()' && (all() || !global())")
                .with_all_replaced(has, has.negated())
                .canonical(),
            "(k == \"all()\" && (has(ns) || !!has(ns)))");
  EXPECT_TRUE(parsed("has(a) && !global()").mentions_global());
  EXPECT_FALSE(parsed("k == 'global()'").mentions_global());
  EXPECT_TRUE(parsed("(global())").is_exactly_global());
  EXPECT_FALSE(parsed("global() || has(a)").is_exactly_global());
}

TEST(SelectorTree, RequiredTermsHoldForEveryMatch) {
  const auto keys = [](const char* text) {
    std::string out;
    for (const Selector::Term& term : parsed(text).required_terms()) {
      out += term.key + (term.values ? "=" + std::to_string(term.values->size()) : "") + " ";
    }
    return out;
  };
  EXPECT_EQ(keys("a == 'x' && has(b) && c in {'y','z'} && d contains ''"), "a=1 b c=2 d ");
  EXPECT_EQ(keys("(a == 'x' && (has(b)))"), "a=1 b ");
  EXPECT_EQ(keys("a == 'x' || has(b)"), "");
  EXPECT_EQ(keys("!a == 'x' && !has(b) && c != 'y' && d not in {'z'} && all()"), "");
  EXPECT_EQ(keys("k in {}"), "k=0 ");
}

}  // namespace
}  // namespace sluice::control
