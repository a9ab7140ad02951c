// SPDX-License-Identifier: Apache-2.0
// Which objects the files name twice: one kind, namespace and name may stand in one place only.
//
// Follows the files from one load to the next, and does work for those alone that came or went.
// Written and read by config/load on one thread; holds the files of the last load.
#ifndef SLUICE_CONFIG_IDENTITIES_H_
#define SLUICE_CONFIG_IDENTITIES_H_

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "config/findings.h"
#include "config/resource_file.h"

namespace sluice::config {

class Identities {
 public:
  using Content = std::shared_ptr<const ResourceFile>;

  // The files that are there now, each once.
  void follow(std::vector<Content> files);
  // An error for each object that is there more than once; `names` of files.
  void report(const std::vector<std::string>& names, Findings& findings) const;

 private:
  using Object = FileContent::Object;
  struct Hash {
    size_t operator()(const Object* o) const { return o->hash; }
  };
  struct Same {
    bool operator()(const Object* a, const Object* b) const { return a->is(*b); }
  };

  std::vector<Content> files_;  // hold what the others point to
  std::unordered_multiset<const Object*, Hash, Same> objects_;
  std::unordered_set<const Object*> again_;  // that came when there was one like them
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_IDENTITIES_H_
