// SPDX-License-Identifier: Apache-2.0
// A checked walk over YAML: maps key by key, every complaint at its place.
//
// yaml-cpp is used here and in yaml.cc only.  It accepts duplicate keys, reads 010 as 8 and
// `yes` as true, and expands aliases without end: all of that is refused here, and numbers and
// booleans are read from their text.  One Document at a time, one thread.
#ifndef SLUICE_CONFIG_YAML_H_
#define SLUICE_CONFIG_YAML_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "config/findings.h"

namespace sluice::config {

// What all nodes of one file share.
struct Source {
  uint32_t file = 0;
  Findings* findings = nullptr;
  bool strict = false;            // unknown fields are errors
  bool unknown_is_error = false;  // always, as in sluice.yaml
};

class Value {
 public:
  Value(const Source& source, YAML::Node node, std::string path, Where where)
      : source_(&source), node_(std::move(node)), path_(std::move(path)), where_(where) {}

  const Where& where() const { return where_; }
  const std::string& path() const { return path_; }
  void error(const std::string& message, const std::string& hint = {}) const {
    source_->findings->error(where_, path_ + ": " + message, hint);
  }
  void warning(const std::string& message, const std::string& hint = {}) const {
    source_->findings->warning(where_, path_ + ": " + message, hint);
  }
  const Source& source() const { return *source_; }
  // The same, called `path` in complaints.
  Value with_path(std::string path) const { return {*source_, node_, std::move(path), where_}; }
  bool is_null() const { return node_.IsNull(); }
  bool is_map() const { return node_.IsMap(); }
  bool is_list() const { return node_.IsSequence(); }
  bool is_scalar() const { return node_.IsScalar(); }
  bool quoted() const { return node_.Tag() == "!"; }

  // The scalar as text; complains and returns "" for anything else.
  std::string text() const;
  std::optional<uint64_t> integer(uint64_t low, uint64_t high) const;
  std::optional<double> number() const;
  std::optional<bool> boolean() const;  // true or false, nothing else
  // Index of the text in `words`; complains with all of them.
  std::optional<size_t> one_of(const std::vector<std::string_view>& words) const;
  // Elements of a list; null is an empty one.
  std::vector<Value> list() const;
  std::vector<std::string> texts() const;
  std::map<std::string, std::string> labels() const;

  // The fields of a map: handlers by key, unknown ones reported with the nearest known, those
  // in `ignored` passed over.  Null is an empty map.
  using Handlers = std::map<std::string_view, std::function<void(const Value&)>>;
  void fields(const Handlers& handlers, const std::set<std::string_view>& ignored = {}) const;
  std::optional<Value> get(std::string_view key) const;

 private:
  const Source* source_;
  YAML::Node node_;
  std::string path_;
  Where where_;
};

// The documents of `text`; syntax errors, duplicate keys, too deep nesting and too many aliases
// are findings, and then there is none.
std::vector<Value> parse_documents(const Source& source, std::string_view text);

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_YAML_H_
