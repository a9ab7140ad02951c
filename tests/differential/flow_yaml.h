// SPDX-License-Identifier: Apache-2.0
// Pieces of YAML in flow style, for print and print_kubernetes.  Pure; any thread.
#ifndef SLUICE_TESTS_DIFFERENTIAL_FLOW_YAML_H_
#define SLUICE_TESTS_DIFFERENTIAL_FLOW_YAML_H_

#include <string>
#include <vector>

#include "tests/differential/cluster.h"

namespace sluice::differential {

// Flow style throughout: one line an object's part, no indentation to get wrong.
inline std::string quoted(const std::string& s) {
  return "\"" + s + "\"";
}

template <typename List, typename Print>
std::string list(const List& items, Print print) {
  std::string out = "[";
  for (const auto& item : items) {
    out += (out.size() == 1 ? "" : ", ") + print(item);
  }
  return out + "]";
}

// The fields of an object, in the order in which they are given.
class Map {
 public:
  Map& add(const std::string& key, const std::string& value) {
    text_ += (text_.empty() ? "" : ", ") + key + ": " + value;
    return *this;
  }
  bool empty() const { return text_.empty(); }
  std::string done() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

inline std::string labels_text(const Labels& labels) {
  Map m;
  for (const auto& [key, value] : labels) {
    m.add(quoted(key), quoted(value));
  }
  return m.done();
}

inline std::string net_text(const Net& n) {
  return quoted(text(n.base) + "/" + std::to_string(n.length));
}

// A resource up to its spec.  REQUIRES: no single quote in an annotation.
std::string head(const std::string& api, const std::string& kind, const std::string& name,
                 const std::string& space, const Labels& labels = {},
                 const Labels& annotations = {});

// "  types: [Ingress, Egress]", or whatever the key is.
inline std::string types_text(const char* key, bool ingress, bool egress) {
  return std::string("  ") + key + ": [" + (ingress ? "Ingress" : "") +
         (ingress && egress ? ", " : "") + (egress ? "Egress" : "") + "]\n";
}

// Whole resources.
std::string text(const KubePolicy& policy);
std::string text(const ClusterPolicy& policy);
std::string text(const Slice& slice);

}  // namespace sluice::differential

#endif  // SLUICE_TESTS_DIFFERENTIAL_FLOW_YAML_H_
