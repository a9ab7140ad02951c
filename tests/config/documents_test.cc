// SPDX-License-Identifier: Apache-2.0
// What is refused before any field is looked at, each at its line and column.
#include "config/documents.h"

#include <gtest/gtest.h>

#include "tests/config/findings_of.h"

namespace sluice::config {
namespace {

using std::string_literals::operator""s;

struct Document {
  const char* what;
  std::string text;
  std::string finding;  // the only one
};
// Not the text: the report is XML, and some of it is no UTF-8.
void PrintTo(const Document& row, std::ostream* out) {
  *out << row.what;
}

class Refused : public testing::TestWithParam<Document> {};

TEST_P(Refused, AtItsPlace) {
  const Loaded loaded = load_text(GetParam().text, kTestFile);
  EXPECT_EQ(lines_of(loaded), std::vector<std::string>{"t.yaml:" + GetParam().finding});
  EXPECT_FALSE(loaded.ok());
  EXPECT_TRUE(loaded.model.policies.empty());
}

std::string repeat(const std::string& s, size_t n) {
  std::string out;
  while (n-- > 0) {
    out += s;
  }
  return out;
}

// Nine lists, each of nine aliases of the one before.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before +
            repeat(", " + before, 8) + "]\n";
  }
  return text;
}

// One hundred scalars, eighty times.
const std::string kNamespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
const std::string kEightThousand =
    "status: {a: &a [x" + repeat(", x", 99) + "], b: [*a" + repeat(", *a", 79) + "]}\n";

const Document kRefused[] = {
    {"DuplicateKey", "kind: A\nspec:\n  a: 1\n  b: 2\n  a: 3\n",
     "5:3: error: duplicate key \"a\", first in line 3"},
    {"DuplicateKeyQuotedOnce", "a: 1\n\"a\": 2\n",
     "2:1: error: duplicate key \"a\", first in line 1"},
    {"DuplicateKeyInJson", "{\"a\": {\"b\": 1, \"b\": 2}}",
     "1:16: error: duplicate key \"b\", first in line 1"},
    {"DuplicateKeyInSecondDocument", kNamespace + "---\nb: 1\nb: 2\n",
     "6:1: error: duplicate key \"b\", first in line 5"},
    {"ListAsKey", "? [a]\n: b\n", "1:3: error: a key must be plain text"},
    {"MergeKey", "a: &a {b: 1}\nc:\n  <<: *a\n",
     "3:3: error: merge keys are not read | hint: write the merged fields out"},
    {"Tag", "a: 1\nb: !!int \"5\"\n",
     "2:4: error: tags such as \"tag:yaml.org,2002:int\" are not read | hint: leave the tag "
     "out"},
    {"UnknownAnchor", "a: *b\n", "1:4: error: the referenced anchor is not defined"},
    {"AliasOfItself", "a: &a [*a]\n", "1:4: error: nested deeper than 32"},
    {"AliasBomb", alias_bomb(), "1:28: error: aliases expand to too many nodes"},
    {"AliasBombInDocuments", kNamespace + kEightThousand + "---\n" + kEightThousand,
     "6:194: error: aliases expand to too many nodes"},
    {"AliasBombInALongText", "# " + std::string(1 << 20, '-') + "\n" + alias_bomb(),
     "2:28: error: aliases expand to too many nodes"},
    {"UnclosedList", "a: [1, 2\n", "2:1: error: end of sequence flow not found"},
    {"UnclosedMap", "a: {b: 1\n", "2:1: error: end of map flow not found"},
    {"UnclosedQuote", "a: 1\nb: \"x\n", "3:1: error: a quote is not closed"},
    {"UnclosedSingleQuote", "a: 'x", "2:1: error: a quote is not closed"},
    {"ClosedTwice", "{\"a\": 1}}", "1:9: error: illegal flow end"},
    {"StrayKey", ",: a\n? c\n: d\ne: >-\n  g\n 0*a\n",
     "1:1: error: neither a field nor a value"},
    {"BadIndentation", "a:\n  - b\n c\n", "3:2: error: end of map not found"},
    {"ValueInValue", "a: b: c\n", "1:5: error: illegal map value"},
    {"Tab", "a:\n\tb: 1\n",
     "2:3: error: illegal map value | hint: indent with spaces, not tabs"},
    {"TabAfterSpaces", "a:\n  b: 1\n  \tc: 2\n",
     "3:3: error: illegal tab when looking for indentation | hint: indent with spaces, not "
     "tabs"},
    {"DeepFlow", repeat("[", 10000), "1:17: error: nested deeper than 32"},
    {"DeepFlowClosed", "a: " + repeat("[", 33) + repeat("]", 33),
     "1:35: error: nested deeper than 32"},
    {"DeepList", repeat("- ", 10000), "1:65: error: nested deeper than 32"},
    {"DeepMap", repeat("{a: ", 10000), "1:125: error: nested deeper than 32"},
    {"Binary", "a: \x01\n",
     "1:4: error: byte 0x01 is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"Latin1", "a: 1\n# caf\xe9\n",
     "2:6: error: byte 0xe9 is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"Utf16", "\xff\xfe"s + "a\0"s,
     "1:1: error: byte 0xff is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"Zero", "a: b\0c\n"s,
     "1:5: error: byte 0x00 is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"OverlongUtf8", "a: \xc0\xaf\n",
     "1:4: error: byte 0xc0 is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"CutUtf8", "a: \xe2\x82",
     "1:4: error: byte 0xe2 is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"Surrogate", "a: \xed\xa0\x80\n",
     "1:4: error: byte 0xed is not UTF-8 text | hint: save the file as UTF-8, without control "
     "characters"},
    {"Nothing", "", " error: is empty | hint: half-written? else remove the file"},
    {"Blanks", " \n\n \t\n", " error: is empty | hint: half-written? else remove the file"},
    {"Word", "networkpolicy\n", "1:1: error: not a resource: apiVersion and kind are needed"},
};
INSTANTIATE_TEST_SUITE_P(Documents, Refused, testing::ValuesIn(kRefused),
                         [](const auto& row) { return std::string(row.param.what); });

struct Form {
  const char* what;
  std::string text;
  size_t namespaces;
};
void PrintTo(const Form& form, std::ostream* out) {
  *out << form.what;
}
class Accepted : public testing::TestWithParam<Form> {};

TEST_P(Accepted, WithoutAWord) {
  const Loaded loaded = load_text(GetParam().text, kTestFile);
  EXPECT_EQ(all_of(loaded), "");
  EXPECT_EQ(loaded.model.namespaces.size(), GetParam().namespaces);
}

const std::string kOther = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n";

const Form kAccepted[] = {
    {"OneDocument", kNamespace, 1},
    {"TwoDocuments", kNamespace + "---\n" + kOther, 2},
    {"EmptyDocuments", "---\n---\n# nothing\n---\n" + kNamespace + "---\n...\n", 1},
    {"OnlyAComment", "# policies to come\n", 0},
    {"ByteOrderMark", "\xef\xbb\xbf" + kNamespace, 1},
    {"Directives", "# a\n%YAML 1.2\n---\n" + kNamespace + "...\n%YAML 1.2\n---\n" + kOther, 2},
    {"MarkersWithMore", "--- # a\n" + kNamespace + "---\t\n" + kOther + "---", 2},
    {"MarkersWithCarriageReturns", "---\r\n" + kNamespace + "---\r\n" + kOther, 2},
    {"NoMarkers",
     kNamespace + "  # ---\nstatus:\n  a: |\n    ---\n    b\n  ---: b\n  ---c: d\n", 1},
    {"CarriageReturns", "apiVersion: v1\r\nkind: Namespace\r\nmetadata: {name: a}\r\n", 1},
    {"WithoutLastNewline", "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}", 1},
    {"Json",
     "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"a\"}}", 1},
    {"JsonIndentedByTabs",
     "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": "
     "{\n\t\t\"name\": "
     "\"a\"\n\t}\n}\n",
     1},
    {"TwoJsonObjects",
     "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"a\"}}\n"
     "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"b\"}}\n",
     2},
    {"Aliases", "apiVersion: v1\nkind: Namespace\nmetadata: {name: &n a, labels: {x: *n}}\n",
     1},
    {"UnbalancedBracketsInText",
     kNamespace +
         "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: b\n  annotations:\n"
         "    a: |\n"s +
         repeat("      [[{{\n", 100),
     2},
};
INSTANTIATE_TEST_SUITE_P(Documents, Accepted, testing::ValuesIn(kAccepted),
                         [](const auto& row) { return std::string(row.param.what); });

TEST(Documents, ArePiecesThatMakeUpTheText) {
  const std::string text =
      "# a\n%YAML 1.2\n---\nb: 1\n---c: 1\n--- # d\n\n---\r\n e: |\n  ---\n---";
  std::string all;
  std::vector<std::pair<int, size_t>> pieces;
  for (const Piece& piece : pieces_of(text)) {
    all += piece.text;
    pieces.emplace_back(piece.line, piece.text.size());
  }
  EXPECT_EQ(all, text);
  EXPECT_EQ(pieces, (std::vector<std::pair<int, size_t>>{{0, 31}, {5, 9}, {7, 17}, {10, 3}}));
  EXPECT_EQ(pieces_of("").size(), 1u);
}

TEST(Documents, ByteOrderMarkDoesNotShiftColumns) {
  const Loaded loaded = load_text(
      "\xef\xbb\xbf"
      "kind: A\nkind: B\n",
      kTestFile);
  EXPECT_EQ(lines_of(loaded)[0], "t.yaml:2:1: error: duplicate key \"kind\", first in line 1");
}

}  // namespace
}  // namespace sluice::config
