// SPDX-License-Identifier: Apache-2.0
// Calico and Kubernetes objects from YAML into the model: single objects, lists of them in
// every form that kubectl and calicoctl print, dispatched by apiVersion and kind (kinds.h reads
// each).
//
// A kind that is not read is named once at the end, with how many there were; it is never
// guessed.  The same object twice is an error at both places.
// Used by config/load on one thread.  Source: Calico semantics, section 1.
#ifndef SLUICE_CONFIG_RESOURCES_H_
#define SLUICE_CONFIG_RESOURCES_H_

#include <map>
#include <tuple>

#include "config/model.h"
#include "config/yaml.h"

namespace sluice::config {

class Resources {
 public:
  explicit Resources(Model& model) : model_(model) {}
  // One document: an object, or a list of them.
  void read(const Value& document);
  // Says which kinds were left out.
  void finish(Findings& findings) const;

 private:
  struct Type {  // what an object says it is
    std::string api_version;
    std::string kind;
  };
  struct LeftOut {
    size_t count = 0;
    Where first;
    bool decides = false;  // could it have changed a verdict?
  };

  void read_object(const Value& object, const Type& expected);
  void read_items(const Value& list, const Type& type);
  void leave_out(const Value& object, const Type& type);
  bool is_new(const Value& object, const Meta& meta, std::string_view group);

  Model& model_;
  std::map<std::tuple<std::string, std::string, std::string>, Where> seen_;
  std::map<std::string, LeftOut> left_out_;
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_RESOURCES_H_
