// SPDX-License-Identifier: Apache-2.0
#include "config/resource_file.h"

#include <algorithm>
#include <utility>

#include "config/old_names.h"

namespace sluice::config {
namespace {

// What is said of the files' rules together.
void note_rules(FileContent& content) {
  const auto& policies = content.model.policies;
  content.exports = std::any_of(policies.begin(), policies.end(), may_be_export);
  const auto note = [&](const Rule& rule) {
    if (rule.http) {
      content.http.push_back(rule.where);
    }
  };
  const auto note_all = [&](const auto& holder) {
    std::for_each(holder->ingress.begin(), holder->ingress.end(), note);
    std::for_each(holder->egress.begin(), holder->egress.end(), note);
  };
  std::for_each(policies.begin(), policies.end(), note_all);
  std::for_each(content.model.profiles.begin(), content.model.profiles.end(), note_all);
}

}  // namespace

ResourceFile::ResourceFile(std::string text, uint32_t index, bool strict,
                           const ResourceFile* before)
    : text_(std::move(text)) {
  const std::string_view all = without_mark(text_);
  if (all.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    content_.findings.error({index, 0, 0}, "is empty", "half-written? else remove the file");
    return;
  }
  size_t aliases = kMaxAliased;
  for (const Piece& piece : pieces_of(all)) {
    const Part* known = before == nullptr ? nullptr : before->find(piece);
    // What was wrong may be right now: how far aliases reach depends on the documents before.
    if (known != nullptr && known->aliased <= aliases &&
        !known->content->findings.has_errors()) {
      parts_.push_back({piece, known->content, known->aliased});
    } else {
      auto content = std::make_shared<FileContent>();
      const Source source{index, piece.text, &content->findings, strict, piece.line};
      size_t left = aliases;
      Resources resources(*content);
      for (const Value& document : parse_documents(source, left)) {
        resources.read(document);
      }
      note_rules(*content);
      parts_.push_back({piece, std::move(content), aliases - left});
    }
    aliases -= parts_.back().aliased;
    add(*parts_.back().content);
  }
}

// What the same text in the same lines said.
const ResourceFile::Part* ResourceFile::find(const Piece& piece) const {
  const auto part =
      std::lower_bound(parts_.begin(), parts_.end(), piece.line,
                       [](const Part& p, int line) { return p.piece.line < line; });
  const bool same =
      part != parts_.end() && part->piece.line == piece.line && part->piece.text == piece.text;
  return same ? &*part : nullptr;
}

void ResourceFile::add(const FileContent& part) {
  content_.model.append(part.model);
  content_.objects.insert(content_.objects.end(), part.objects.begin(), part.objects.end());
  content_.findings.add(part.findings);
  content_.exports = content_.exports || part.exports;
  content_.http.insert(content_.http.end(), part.http.begin(), part.http.end());
  for (const auto& [kind, left] : part.left_out) {
    content_.left_out[kind].add(left);
  }
}

}  // namespace sluice::config
