// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any bytes as a selector.  What parses must mean the same in its canonical
// form, survive the folding that rules do, and match only labels that have its required terms;
// what does not parse must say where.  Not part of the default build:
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -I. \
//     tests/fuzz/selector_fuzz.cc control/selector.cc control/hash.cc -lcrypto -o selector_fuzz
//   ./selector_fuzz -max_len=1024 tests/fuzz/corpus/selector
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control/selector.h"

namespace {

using sluice::control::Selector;

void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

const Selector::Labels kLabels[] = {
    {},
    {{"k", "v"}},
    {{"k", ""}, {"a", "b"}},
    {{"a", "v"}, {"in", "has"}, {"projectcalico.org/namespace", "ns1"}},
};

bool has_term(const Selector::Labels& labels, const Selector::Term& term) {
  const auto label = labels.find(term.key);
  if (label == labels.end()) {
    return false;
  }
  return !term.values ||
         std::count(term.values->begin(), term.values->end(), label->second) > 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t offset = SIZE_MAX;
  const auto selector = Selector::parse(text, &offset);
  if (!selector) {
    check(offset <= size && !selector.error().what.empty());
    return 0;
  }
  const auto again = Selector::parse(selector->canonical());
  check(again.has_value());
  const Selector prefixed = selector->with_key_prefix("pcns.");
  const Selector not_prefixed = prefixed.negated();
  const Selector none = Selector::all().negated();
  const Selector replaced = selector->with_all_replaced(none, Selector::all());
  check(!replaced.mentions_global());
  for (const Selector::Labels& labels : kLabels) {
    const bool matches = selector->matches(labels);
    check(again->matches(labels) == matches);
    check(selector->negated().matches(labels) != matches);
    check(Selector::conjunction(*selector, Selector::all()).matches(labels) == matches);
    for (const Selector::Term& term : selector->required_terms()) {
      check(!matches || has_term(labels, term));
    }
    Selector::Labels lent;
    for (const auto& [key, value] : labels) {
      lent["pcns." + key] = value;
    }
    check(prefixed.matches(lent) == matches && not_prefixed.matches(lent) != matches);
    replaced.matches(labels);
  }
  return 0;
}
