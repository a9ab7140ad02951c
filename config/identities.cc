// SPDX-License-Identifier: Apache-2.0
#include "config/identities.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice::config {

void Identities::follow(std::vector<Content> files) {
  const auto changed =
      difference(files_, files, [](const Content& file) -> const void* { return file.get(); });
  for (const Content& file : changed.gone) {
    for (const Shared<Object>& object : file->content().objects) {
      const auto [first, last] = objects_.equal_range(object.address());
      objects_.erase(std::find(first, last, object.address()));
      again_.erase(object.address());
    }
  }
  for (const Content& file : changed.come) {
    for (const Shared<Object>& object : file->content().objects) {
      if (objects_.contains(object.address())) {
        again_.insert(object.address());
      }
      objects_.insert(object.address());
    }
  }
  files_ = std::move(files);
}

void Identities::report(const std::vector<std::string>& names, Findings& findings) const {
  // A file's number is of the day when it was first seen, its name is not.
  const auto before = [&](const Object* a, const Object* b) {
    return std::tie(names[a->where.file], a->where.line, a->where.column) <
           std::tie(names[b->where.file], b->where.line, b->where.column);
  };
  const auto at = [&](const Object* o) {
    return names[o->where.file] + ":" + std::to_string(o->where.line);
  };
  std::unordered_set<const Object*, Hash, Same> said;
  for (const Object* one : again_) {
    const auto [begin, end] = objects_.equal_range(one);
    std::vector<const Object*> all(begin, end);
    if (all.size() < 2 || !said.insert(one).second) {
      continue;
    }
    std::sort(all.begin(), all.end(), before);
    const std::string what =
        "the same object twice: " + one->kind.substr(one->kind.find('/') + 1) + " " +
        qualified(one->space, one->name) + " is also in ";
    for (size_t i = 1; i < all.size(); ++i) {
      findings.error(all[i]->where, what + at(all[0]));
      findings.error(all[0]->where, what + at(all[i]));
    }
  }
}

}  // namespace sluice::config
