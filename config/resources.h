// SPDX-License-Identifier: Apache-2.0
// Calico and Kubernetes objects from a YAML document: single objects, lists of them in
// every form that kubectl and calicoctl print, dispatched by apiVersion and kind (kinds.h reads
// each).
//
// A kind that is not read is counted, never guessed.
// Used by config/resource_file on one thread.  Source: Calico semantics, section 1.
#ifndef SLUICE_CONFIG_RESOURCES_H_
#define SLUICE_CONFIG_RESOURCES_H_

#include <map>
#include <string>
#include <vector>

#include "config/findings.h"
#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

// What one file holds, or a document of it.
struct FileContent {
  struct Object {
    std::string kind, space, name;  // with its API group; namespace
    Where where;
    bool is(const Object& other) const {
      return name == other.name && space == other.space && kind == other.kind;
    }
    size_t hash = 0;  // of those three
  };
  struct LeftOut {
    size_t count = 0;
    Where first;
    bool decides = false;  // could it have changed a verdict?
    void add(const LeftOut& more);
  };
  ResourceLists model;
  std::vector<Shared<Object>> objects;
  std::map<std::string, LeftOut> left_out;  // by kind and apiVersion
  std::vector<Where> http;                  // rules with an http match
  bool exports = false;                     // may have some, see old_names.h
  Findings findings;
};

class Resources {
 public:
  explicit Resources(FileContent& out) : out_(out) {}
  // One document: an object, or a list of them.
  void read(const Value& document);

 private:
  struct Type {  // what an object says it is
    std::string api_version;
    std::string kind;
  };
  void read_object(const Value& object, const Type& expected);
  void read_items(const Value& list, const Type& type);
  void leave_out(const Value& object, const Type& type);

  FileContent& out_;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_RESOURCES_H_
