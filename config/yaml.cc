// SPDX-License-Identifier: Apache-2.0
#include "config/yaml.h"

#include <algorithm>
#include <cmath>

namespace sluice::config {
namespace {

constexpr const char* kNoValue = "has no value";
constexpr const char* kNoValueHint = "leave the field out, or give it a value";

bool is_number(std::string s) {
  std::erase(s, '_');
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) {
    s.erase(0, 1);
  }
  static const std::set<std::string_view> kWords = {".inf", ".Inf", ".INF",
                                                    ".nan", ".NaN", ".NAN"};
  if (kWords.contains(s)) {
    return true;
  }
  if (s.empty() || s.find_first_of(".0123456789") != 0) {
    return false;
  }
  const std::string_view prefix = std::string_view(s).substr(0, 2);
  const int base = prefix == "0x" || prefix == "0X" ? 16 : prefix == "0o" ? 8 : 2;
  const bool based = base != 2 || prefix == "0b";
  return based ? parse_whole<uint64_t>(std::string_view(s).substr(2), base).has_value()
               : parse_whole<double>(s).has_value();
}

// Would YAML 1.1 read the plain scalar as a boolean or a number, so that it is no text to the
// API servers?  What they print is quoted then.
bool is_other_type(const std::string& s) {
  static const std::set<std::string_view> kBooleans = {
      "true", "True", "TRUE", "false", "False", "FALSE", "yes", "Yes", "YES", "y", "Y",
      "no",   "No",   "NO",   "on",    "On",    "ON",    "off", "Off", "OFF", "n", "N"};
  return kBooleans.contains(s) || is_number(s);
}

bool is_padded(const std::string& s) {
  const size_t digit = s.empty() || s[0] != '-' ? 0 : 1;
  return s.size() > digit + 1 && s[digit] == '0' && s[digit + 1] >= '0' && s[digit + 1] <= '9';
}

}  // namespace

Where place(const Source& source, const YAML::Mark& mark) {
  return mark.is_null() ? Where{source.file, 0, 0}
                        : Where{source.file, source.line + mark.line + 1, mark.column + 1};
}

std::string Value::text() const {
  if (!is_scalar()) {
    error("text is expected here");
    return "";
  }
  if (!quoted() && is_other_type(node_.Scalar())) {
    error("text is expected, and " + node_.Scalar() + " is none to YAML",
          "write it in quotes: \"" + node_.Scalar() + "\"");
    return "";
  }
  return node_.Scalar();
}

std::string Value::written() const {
  return is_scalar() ? node_.Scalar() : "";
}

Text Value::placed_text() const {
  Text out{text(), where_};
  const std::string_view source = source_->text;
  auto start = static_cast<size_t>(std::max(node_.Mark().pos, 0));
  if (!is_scalar() || start >= source.size()) {
    return out;
  }
  const char first = quoted() ? source[start] : ' ';
  if (first == '"' || first == '\'') {
    ++out.where.column;
    ++start;
  } else if (const size_t end = source.find('\n', start);
             (first == '|' || first == '>') && end != std::string_view::npos) {
    start = std::min(source.find_first_not_of(' ', end + 1), source.size());
    ++out.where.line;
    out.where.column = static_cast<int>(start - end);
  }
  out.verbatim = source.substr(start, out.value.size()) == out.value;
  return out;
}

std::optional<uint64_t> Value::integer(uint64_t low, uint64_t high) const {
  const std::string range = "a whole number from " + std::to_string(low) + " to " +
                            std::to_string(high) + " is expected";
  const std::string s = written();
  const auto n = parse_whole<uint64_t>(s);
  if (!n || quoted() || is_padded(s) || *n < low || *n > high) {
    error(is_scalar() ? range + ", not \"" + s + "\"" : range,
          n && quoted() ? "write it without quotes" : "");
    return {};
  }
  return n;
}

std::optional<double> Value::number() const {
  const std::string s = written();
  const auto n = parse_whole<double>(s);
  if (!n || quoted() || is_padded(s) || !std::isfinite(*n)) {
    error(is_scalar() ? "a number is expected, not \"" + s + "\"" : "a number is expected",
          n && quoted() ? "write it without quotes" : "");
    return {};
  }
  return n;
}

std::optional<bool> Value::boolean() const {
  if (const std::string s = written(); !quoted() && (s == "true" || s == "false")) {
    return s == "true";
  }
  error("true or false is expected");
  return {};
}

std::optional<size_t> Value::one_of(const std::vector<std::string_view>& words) const {
  const std::string s = written();
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
  if (!is_list()) {
    error("a list is expected");
    return out;
  }
  size_t i = 0;
  for (const auto& item : node_) {
    const std::string index = "[" + std::to_string(i++) + "]";
    if (item.IsNull()) {  // it has no place of its own: yaml-cpp reports the next token's
      error("entry " + index + " is empty", "remove the entry");
      continue;
    }
    out.emplace_back(*source_, item, path_ + index, place(*source_, item.Mark()));
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

std::vector<std::pair<Value, Value>> Value::entries() const {
  std::vector<std::pair<Value, Value>> out;
  if (!is_map()) {
    error("a map is expected");
    return out;
  }
  for (const auto& item : node_) {
    const std::string name = path_ + "." + item.first.Scalar();
    const Where at = place(*source_, item.first.Mark());
    out.emplace_back(Value(*source_, item.first, name, at),
                     Value(*source_, item.second, name,
                           item.second.IsNull() ? at : place(*source_, item.second.Mark())));
  }
  return out;
}

std::map<std::string, std::string> Value::labels(Null null) const {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : entries()) {
    if (value.is_null() && null == Null::refused) {
      value.error(kNoValue, kNoValueHint);
    }
    out[key.text()] = value.is_null() ? "" : value.text();
  }
  return out;
}

void Value::unknown_field(const Where& at, const std::string& key, const Handlers& handlers,
                          const std::set<std::string_view>& ignored) const {
  std::vector<std::string_view> known(ignored.begin(), ignored.end());
  for (const auto& [name, unused] : handlers) {
    known.push_back(name);
  }
  const std::string near = nearest(key, known);
  const std::string message = "unknown field \"" + key + "\" in " + path_;
  const std::string hint = near.empty() ? "" : "did you mean \"" + near + "\"?";
  if (source_->unknown_is_error) {
    source_->findings->error(at, message, hint);
  } else {
    source_->findings->warning(at, message, hint);
  }
}

void Value::fields(const Handlers& handlers, const std::set<std::string_view>& ignored,
                   Null null) const {
  std::set<std::string_view> nullable;
  for (const auto& [name, unused] : handlers) {
    if (null == Null::absent) {
      nullable.insert(name);
    }
  }
  fields(handlers, ignored, nullable);
}

void Value::fields(const Handlers& handlers, const std::set<std::string_view>& ignored,
                   const std::set<std::string_view>& nullable) const {
  if (!is_map()) {
    error("a map is expected");
    return;
  }
  for (const auto& item : node_) {
    const std::string& key = item.first.Scalar();
    const Where at = place(*source_, item.first.Mark());
    const auto it = handlers.find(key);
    if (it == handlers.end()) {
      if (!ignored.contains(key)) {
        unknown_field(at, key, handlers, ignored);
      }
    } else if (!item.second.IsNull()) {
      it->second(
          Value(*source_, item.second, path_ + "." + key, place(*source_, item.second.Mark())));
    } else if (!nullable.contains(key)) {
      source_->findings->error(at, path_ + "." + key + ": " + kNoValue, kNoValueHint);
    }
  }
}

std::optional<Value> Value::get(std::string_view key) const {
  if (!is_map()) {
    return {};
  }
  for (const auto& item : node_) {
    if (item.first.Scalar() == key && !item.second.IsNull()) {
      return Value(*source_, item.second, path_ + "." + std::string(key),
                   place(*source_, item.second.Mark()));
    }
  }
  return {};
}

std::string Value::text_at(std::string_view key) const {
  const auto v = get(key);
  return v ? v->text() : std::string();
}

}  // namespace sluice::config
