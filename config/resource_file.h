// SPDX-License-Identifier: Apache-2.0
// One file of resources as it was read, document by document: what a document says is kept with
// its text, and is not parsed again as long as the same text stands in the same lines.
//
// Made by config/load; immutable, any thread may read it.  Its text is held as long as it is.
#ifndef SLUICE_CONFIG_RESOURCE_FILE_H_
#define SLUICE_CONFIG_RESOURCE_FILE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/documents.h"
#include "config/resources.h"

namespace sluice::config {

class ResourceFile {
 public:
  // `index`: the file's, for Where::file; `before`: how the same file was last read, if it was.
  ResourceFile(std::string text, uint32_t index, bool strict, const ResourceFile* before);
  ResourceFile(const ResourceFile&) = delete;  // documents look into text_
  ResourceFile& operator=(const ResourceFile&) = delete;

  const FileContent& content() const { return content_; }

 private:
  struct Part {
    Piece piece;  // of text_
    std::shared_ptr<const FileContent> content;
    size_t aliased = 0;  // nodes more than are written, which its aliases reach
  };
  const Part* find(const Piece& piece) const;
  void add(const FileContent& part);

  std::string text_;
  std::vector<Part> parts_;  // by line
  FileContent content_;      // of all of them
};

}  // namespace sluice::config

#endif  // SLUICE_CONFIG_RESOURCE_FILE_H_
