// SPDX-License-Identifier: Apache-2.0
// Calico's selector language: parse, evaluate, canonical text, identity.
//
// Pure values, immutable after parsing, shareable between threads.  Nesting is capped at 64,
// text at 1024 bytes where the API caps it.  Source: Calico semantics, section 4.
#ifndef SLUICE_CONTROL_SELECTOR_H_
#define SLUICE_CONTROL_SELECTOR_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/result.h"

namespace sluice::control {

class Selector {
 public:
  using Labels = std::map<std::string, std::string>;
  struct Node;  // the syntax tree, defined in selector.cc

  Selector();  // all()

  // An empty text is all().  The error names the byte offset (0-based) and what was expected;
  // `error_offset`, if given, receives the offset too.
  static Result<Selector> parse(std::string_view text, size_t* error_offset = nullptr);

  bool matches(const Labels& labels) const;
  // Canonical form (section 4.5): groups parenthesised, sets sorted, double quotes.
  const std::string& canonical() const { return canonical_; }
  // "s:" + base64url-nopad(SHA-224("s:" + canonical)).
  std::string id() const;

  // A label that every match must have: with one of `values`, or with any value.
  struct Term {
    std::string key;
    std::optional<std::vector<std::string>> values;
  };
  // What the selector requires for certain; empty if it promises nothing.
  std::vector<Term> required_terms() const;

  static Selector all();
  static Selector has(const std::string& key);
  static Selector equals(const std::string& key, const std::string& value);
  static Selector in(const std::string& key, const std::vector<std::string>& values);
  static Selector conjunction(const Selector& a, const Selector& b);
  Selector negated() const;
  // Every label key prefixed ("pcns.", "pcsa."), on the tree.
  Selector with_key_prefix(std::string_view prefix) const;
  // all() and global() replaced, on the tree (section 3.4).
  Selector with_all_replaced(const Selector& for_all, const Selector& for_global) const;
  bool mentions_global() const;  // anywhere
  bool is_exactly_global() const;

 private:
  explicit Selector(std::shared_ptr<const Node> root);
  std::shared_ptr<const Node> root_;
  std::string canonical_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_SELECTOR_H_
