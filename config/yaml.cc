// SPDX-License-Identifier: Apache-2.0
#include "config/yaml.h"

#include <charconv>
#include <cmath>

namespace sluice::config {
namespace {

constexpr unsigned kMaxDepth = 32;
constexpr unsigned kMaxShared = 10000;

Where place(uint32_t file, const YAML::Mark& mark) {
  return {file, mark.line + 1, mark.column + 1};
}

// Does the text nest deeper than kMaxDepth?  Judged by brackets and indentation before the
// parser recurses into it.
bool too_deep(std::string_view text, int& line) {
  unsigned flow = 0;
  bool quoted = false;
  char quote = 0;
  line = 1;
  size_t dashes = 0;
  bool at_start = true;
  for (const char c : text) {
    if (c == '\n') {
      ++line;
      at_start = true;
      dashes = 0;
      continue;
    }
    if (at_start && c == '-') {
      if (++dashes > kMaxDepth) {
        return true;
      }
    } else if (c != ' ') {
      at_start = false;
    }
    if (quoted) {
      quoted = c != quote;
    } else if ((c == '"' || c == '\'') && flow > 0) {
      quoted = true;
      quote = c;
    } else if (c == '[' || c == '{') {
      if (++flow > kMaxDepth) {
        return true;
      }
    } else if ((c == ']' || c == '}') && flow > 0) {
      --flow;
    }
  }
  return false;
}

// Walks everything once: duplicates, depth, and the nodes reached, aliases expanded.
class Checker {
 public:
  Checker(const Source& source, size_t budget) : source_(source), budget_(budget) {}

  bool check(const YAML::Node& node, unsigned depth) {
    if (depth > kMaxDepth) {
      return fail(node, "nested deeper than " + std::to_string(kMaxDepth));
    }
    if (budget_ == 0) {
      return fail(node, "aliases expand to too many nodes");
    }
    --budget_;
    if (node.IsSequence()) {
      for (const auto& item : node) {
        if (!check(item, depth + 1)) {
          return false;
        }
      }
    } else if (node.IsMap()) {
      return check_map(node, depth);
    }
    return true;
  }

 private:
  bool check_map(const YAML::Node& node, unsigned depth) {
    std::map<std::string, int> seen;
    for (const auto& item : node) {
      if (!item.first.IsScalar()) {
        return fail(item.first, "a key must be plain text");
      }
      const auto [it, fresh] = seen.emplace(item.first.Scalar(), item.first.Mark().line + 1);
      if (!fresh) {
        return fail(item.first, "duplicate key \"" + it->first + "\", first in line " +
                                    std::to_string(it->second));
      }
      if (!check(item.second, depth + 1)) {
        return false;
      }
    }
    return true;
  }
  bool fail(const YAML::Node& node, const std::string& message) {
    source_.findings->error(place(source_.file, node.Mark()), message);
    return false;
  }
  const Source& source_;
  size_t budget_;
};

}  // namespace

std::string Value::text() const {
  if (!is_scalar()) {
    error("text is expected here");
    return "";
  }
  return node_.Scalar();
}

std::optional<uint64_t> Value::integer(uint64_t low, uint64_t high) const {
  const std::string range = "a whole number from " + std::to_string(low) + " to " +
                            std::to_string(high) + " is expected";
  if (!is_scalar()) {
    error(range);
    return {};
  }
  const std::string& s = node_.Scalar();
  uint64_t n = 0;
  const auto [end, code] = std::from_chars(s.data(), s.data() + s.size(), n);
  const bool padded = s.size() > 1 && s[0] == '0';
  if (code != std::errc() || end != s.data() + s.size() || padded || n < low || n > high) {
    error(range + ", not \"" + s + "\"");
    return {};
  }
  return n;
}

std::optional<double> Value::number() const {
  const std::string s = is_scalar() ? node_.Scalar() : "";
  double n = 0;
  const auto [end, code] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (s.empty() || code != std::errc() || end != s.data() + s.size() || !std::isfinite(n)) {
    error("a number is expected, not \"" + s + "\"");
    return {};
  }
  return n;
}

std::optional<bool> Value::boolean() const {
  if (is_scalar() && !quoted() && (node_.Scalar() == "true" || node_.Scalar() == "false")) {
    return node_.Scalar() == "true";
  }
  error("true or false is expected");
  return {};
}

std::optional<size_t> Value::one_of(const std::vector<std::string_view>& words) const {
  const std::string s = is_scalar() ? node_.Scalar() : "";
  std::string all;
  for (size_t i = 0; i < words.size(); ++i) {
    if (s == words[i]) {
      return i;
    }
    all += (i == 0 ? "" : ", ") + std::string(words[i]);
  }
  const std::string near = nearest(s, words);
  error("\"" + s + "\" is not one of: " + all,
        near.empty() ? "" : "did you mean \"" + near + "\"?");
  return {};
}

std::vector<Value> Value::list() const {
  std::vector<Value> out;
  if (is_null()) {
    return out;
  }
  if (!is_list()) {
    error("a list is expected");
    return out;
  }
  size_t i = 0;
  for (const auto& item : node_) {
    out.emplace_back(*source_, item, path_ + "[" + std::to_string(i++) + "]",
                     place(source_->file, item.Mark()));
  }
  return out;
}

std::vector<std::string> Value::texts() const {
  std::vector<std::string> out;
  for (const Value& item : list()) {
    out.push_back(item.text());
  }
  return out;
}

std::map<std::string, std::string> Value::labels() const {
  std::map<std::string, std::string> out;
  if (is_null()) {
    return out;
  }
  if (!is_map()) {
    error("a map of text to text is expected");
    return out;
  }
  for (const auto& item : node_) {
    const Value value(*source_, item.second, path_ + "." + item.first.Scalar(),
                      place(source_->file, item.first.Mark()));
    out[item.first.Scalar()] = item.second.IsNull() ? "" : value.text();
  }
  return out;
}

void Value::fields(const Handlers& handlers, const std::set<std::string_view>& ignored) const {
  if (is_null()) {
    return;
  }
  if (!is_map()) {
    error("a map is expected");
    return;
  }
  for (const auto& item : node_) {
    const std::string& key = item.first.Scalar();
    const Where at = place(source_->file, item.first.Mark());
    if (const auto it = handlers.find(key); it != handlers.end()) {
      // An empty value has no place of its own: yaml-cpp reports the next token's.
      const bool empty = item.second.IsNull();
      it->second(Value(*source_, item.second, path_ + "." + key,
                       empty ? at : place(source_->file, item.second.Mark())));
      continue;
    }
    if (ignored.contains(key)) {
      continue;
    }
    std::vector<std::string_view> known;
    for (const auto& [name, unused] : handlers) {
      known.push_back(name);
    }
    const std::string near = nearest(key, known);
    const std::string message = "unknown field \"" + key + "\" in " + path_;
    const std::string hint = near.empty() ? "" : "did you mean \"" + near + "\"?";
    if (source_->strict || source_->unknown_is_error) {
      source_->findings->error(at, message, hint);
    } else {
      source_->findings->warning(at, message, hint);
    }
  }
}

std::optional<Value> Value::get(std::string_view key) const {
  if (!is_map()) {
    return {};
  }
  for (const auto& item : node_) {
    if (item.first.Scalar() == key) {
      return Value(
          *source_, item.second, path_ + "." + std::string(key),
          place(source_->file, item.second.IsNull() ? item.first.Mark() : item.second.Mark()));
    }
  }
  return {};
}

std::vector<Value> parse_documents(const Source& source, std::string_view text) {
  std::vector<Value> out;
  int line = 0;
  if (too_deep(text, line)) {
    source.findings->error({source.file, line, 1},
                           "nested deeper than " + std::to_string(kMaxDepth));
    return out;
  }
  try {
    for (const YAML::Node& node : YAML::LoadAll(std::string(text))) {
      if (node.IsNull()) {
        continue;
      }
      // As many nodes as there are bytes can be written out; aliases may add kMaxShared.
      if (!Checker(source, text.size() + kMaxShared).check(node, 0)) {
        return {};
      }
      out.emplace_back(source, node, "", place(source.file, node.Mark()));
    }
  } catch (const YAML::Exception& error) {
    source.findings->error(place(source.file, error.mark), error.msg);
    return {};
  }
  return out;
}

}  // namespace sluice::config
