// SPDX-License-Identifier: Apache-2.0
// A checked walk over YAML: maps key by key, every complaint at its place.
//
// Numbers and booleans are read from their text.  What YAML 1.1, and so kubectl, would take for
// another type than is expected (010, which is 8; yes, which is true) is refused, not
// converted. A field that is there but null is refused too, unless the caller says that null
// means absent: the API servers read it as left out, and leaving out a restriction widens a
// policy. A Value lives no longer than its Source and the text; one thread.  yaml-cpp is used
// here, in yaml.cc and in documents only.
#ifndef SLUICE_CONFIG_YAML_H_
#define SLUICE_CONFIG_YAML_H_

#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "config/findings.h"

namespace sluice::config {

// What all nodes of one text share.
struct Source {
  uint32_t file = 0;
  std::string_view text;  // without a byte order mark
  Findings* findings = nullptr;
  bool unknown_is_error = false;  // unknown fields are errors: sluice.yaml, and --strict
  int line = 0;                   // of the file, in which the text begins; 0-based
};

Where place(const Source& source, const YAML::Mark& mark);

// The number that the text is, all of it: std::from_chars, which takes a base too.
template <typename T, typename... Format>
std::optional<T> parse_whole(std::string_view text, Format... format) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value, format...);
  return code == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

// What a null in place of a field's value means.
enum class Null : uint8_t { refused, absent };

class Value {
 public:
  Value(const Source& source, const YAML::Node& node, std::string path, Where where)
      : source_(&source), node_(node), path_(std::move(path)), where_(where) {}

  const Where& where() const { return where_; }
  const std::string& path() const { return path_; }
  void error(const std::string& message, const std::string& hint = {}) const {
    source_->findings->error(where_, prefix() + message, hint);
  }
  void warning(const std::string& message, const std::string& hint = {}) const {
    source_->findings->warning(where_, prefix() + message, hint);
  }
  const Source& source() const { return *source_; }
  // The same, called `path` in complaints.
  Value with_path(std::string path) const { return {*source_, node_, std::move(path), where_}; }
  bool is_null() const { return node_.IsNull(); }
  bool is_map() const { return node_.IsMap(); }
  bool is_list() const { return node_.IsSequence(); }
  bool is_scalar() const { return node_.IsScalar(); }
  bool quoted() const { return node_.Tag() == "!"; }

  // The scalar as text; complains and returns "" for anything else, also for an unquoted number
  // or boolean, which the API servers refuse where they expect text.
  std::string text() const;
  // The scalar as it is written, whatever its type; "" for a list, a map and null.
  std::string written() const;
  // text(), and where it begins: behind its quote, or in the line below `>-`.
  Text placed_text() const;
  std::optional<uint64_t> integer(uint64_t low, uint64_t high) const;
  std::optional<double> number() const;
  std::optional<bool> boolean() const;  // true or false, nothing else
  // Index of the text in `words`; complains with all of them.
  std::optional<size_t> one_of(const std::vector<std::string_view>& words) const;
  // Elements of a list; a null among them is a finding and left out.
  std::vector<Value> list() const;
  std::vector<std::string> texts() const;
  // A map of texts.  Null::absent: the API servers keep a null as the empty text.
  std::map<std::string, std::string> labels(Null null = Null::refused) const;
  // Keys with their values, of a map whose keys are free.
  std::vector<std::pair<Value, Value>> entries() const;

  // The fields of a map: handlers by key, unknown ones reported with the nearest known, those
  // in `ignored` passed over.
  using Handlers = std::map<std::string_view, std::function<void(const Value&)>>;
  void fields(const Handlers& handlers, const std::set<std::string_view>& ignored = {},
              Null null = Null::refused) const;
  // The same, null being refused but in the fields of `nullable`, where it widens nothing.
  void fields(const Handlers& handlers, const std::set<std::string_view>& ignored,
              const std::set<std::string_view>& nullable) const;
  // The field of that name, if this is a map that has it and it is not null.
  std::optional<Value> get(std::string_view key) const;
  std::string text_at(std::string_view key) const;  // of that field; "" if there is none

 private:
  std::string prefix() const { return path_.empty() ? "" : path_ + ": "; }
  void unknown_field(const Where& at, const std::string& key, const Handlers& handlers,
                     const std::set<std::string_view>& ignored) const;

  const Source* source_;
  YAML::Node node_;
  std::string path_;
  Where where_;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_YAML_H_
