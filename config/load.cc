// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <filesystem>
#include <map>
#include <memory>
#include <new>

#include "config/documents.h"
#include "config/identities.h"
#include "config/old_names.h"
#include "config/read_files.h"
#include "config/resource_file.h"
#include "config/settings.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNoMemory = "needs more memory than there is";

class Loader {
 public:
  Loader(Loaded& out, const LoadOptions& options)
      : out_(out), options_(options), known_(options.known) {
    if (known_ != nullptr) {
      known_->begin();
    }
  }

  void resource_text(std::string_view text, const std::string& name) {
    add(std::make_shared<const ResourceFile>(std::string(text), index_of(name), options_.strict,
                                             nullptr));
  }

  // A file or directory; `at` is where it was named, if it was.
  void path(const std::string& path, std::optional<Where> at) {
    std::error_code error;
    if (path == "-" || !fs::is_directory(path, error)) {
      file(path, at);
      return;
    }
    std::vector<Complaint> complaints;
    const std::vector<std::string> files = list_files(path, complaints);
    for (const Complaint& complaint : complaints) {
      complain(complaint, at);
    }
    if (files.empty() && complaints.empty()) {
      out_.findings.warning(
          at ? *at : Where{index_of(path), 0, 0},
          (at ? "\"" + path + "\" " : "") + "has no *.yaml, *.yml or *.json file");
    }
    for (const std::string& name : files) {
      file(name, at);
    }
  }

  void settings_text(std::string_view text, const std::string& name,
                     std::vector<Where>& resources_at) {
    const Source source{index_of(name), without_mark(text), &out_.findings, true};
    const auto documents = parse_documents(source);
    if (documents.size() != 1) {
      if (out_.ok()) {
        out_.findings.error({source.file, 1, 1}, "one YAML document is expected");
      }
      return;
    }
    read_settings(documents[0].with_path("settings"), out_.model.settings, resources_at);
  }

  void finish() {
    if (known_ != nullptr) {
      out_.model.files = known_->names();
    }
    Identities fresh;
    Identities& identities = known_ == nullptr ? fresh : known_->identities();
    identities.follow(std::move(files_));
    identities.report(out_.model.files, out_.findings);
    say_what_was_left_out();
    if (out_.model.service) {
      out_.findings.warning(*out_.model.service,
                            "Service: Service objects are not applied yet: cluster addresses "
                            "are not translated");
    }
    // After a slip in the settings all is still known.
    if (known_ != nullptr && out_.ok()) {
      known_->forget_others();
    }
    if (has_exports_) {
      leave_out_exports(out_.model, out_.findings);
    }
  }

  // What cannot be read; `at` is where it was named, if it was.
  void complain(const Complaint& complaint, const std::optional<Where>& at) {
    out_.findings.error(at ? *at : Where{index_of(complaint.file), 0, 0},
                        (at ? "\"" + complaint.file + "\" " : "") + complaint.message,
                        complaint.hint);
  }

 private:
  void file(const std::string& path, const std::optional<Where>& at) {
    Complaint complaint;
    try {
      if (const auto known = known_ != nullptr ? known_->find(path) : nullptr) {
        add(known);
      } else if (auto text = read_whole(path, complaint, options_.trust)) {
        const std::string name = path == "-" ? "<stdin>" : path;
        const auto before = known_ != nullptr ? known_->before(path) : nullptr;
        const auto content = std::make_shared<const ResourceFile>(
            *std::move(text), index_of(name), options_.strict, before.get());
        add(content);
        if (known_ != nullptr) {
          known_->keep(path, content);
        }
      }
    } catch (const std::bad_alloc&) {  // what runs already must run on
      complaint = {path, kNoMemory, ""};
    }
    if (!complaint.message.empty()) {
      complain(complaint, at);
    }
  }

  // A name that a place can have.
  uint32_t index_of(const std::string& name) {
    if (known_ == nullptr) {
      return out_.model.add_file(name);
    }
    return known_->index_of(name);
  }

  void add(const std::shared_ptr<const ResourceFile>& file) {
    const FileContent& content = file->content();
    files_.push_back(file);
    out_.model.share(content.model);
    out_.findings.add(content.findings);
    has_exports_ = has_exports_ || content.exports;
    for (const auto& [kind, left] : content.left_out) {
      left_out_[kind].add(left);
    }
    for (const Where& rule : content.http) {
      refuse_http(rule);
    }
  }

  void say_what_was_left_out() {
    for (const auto& [kind, left] : left_out_) {
      const std::string message =
          kind + ": " + std::to_string(left.count) + (left.count == 1 ? " object" : " objects");
      if (left.decides) {
        out_.findings.warning(left.first,
                              message + " not applied: not supported by this version");
      } else {
        out_.findings.note(left.first, message + " not read");
      }
    }
  }

  void refuse_http(const Where& rule) {
    if (out_.model.settings.policy.http_l4) {
      out_.findings.warning(rule, "the http match is ignored: policy.httpRules is l4");
    } else {
      out_.findings.error(rule, "http matches are not enforced yet",
                          "policy: {httpRules: l4} allows what the rest of the rule allows");
    }
  }

  Loaded& out_;
  LoadOptions options_;
  ReadFiles* known_;
  std::vector<std::shared_ptr<const ResourceFile>> files_;
  std::map<std::string, FileContent::LeftOut> left_out_;
  bool has_exports_ = false;
};

}  // namespace

Loaded load(const std::string& settings_file, const LoadOptions& options) {
  Loaded out;
  Loader loader(out, options);
  std::vector<Where> at;
  Complaint complaint;
  try {
    if (const auto text = read_whole(settings_file, complaint, options.trust)) {
      loader.settings_text(*text, settings_file, at);
    }
  } catch (const std::bad_alloc&) {
    complaint = {settings_file, kNoMemory, ""};
  }
  if (!complaint.message.empty()) {
    loader.complain(complaint, {});
    loader.finish();
    return out;
  }
  const fs::path base = fs::path(settings_file).parent_path();
  for (size_t i = 0; i < at.size(); ++i) {
    loader.path((base / out.model.settings.resources[i]).string(), at[i]);
  }
  loader.finish();
  return out;
}

Loaded load_resources(const std::vector<std::string>& paths, const LoadOptions& options) {
  Loaded out;
  Loader loader(out, options);
  for (const std::string& path : paths) {
    loader.path(path, {});
  }
  loader.finish();
  return out;
}

Loaded load_text(std::string_view text, const std::string& file_name,
                 const LoadOptions& options) {
  Loaded out;
  Loader loader(out, options);
  loader.resource_text(text, file_name);
  loader.finish();
  return out;
}

Loaded load_settings_text(std::string_view text, const std::string& file_name,
                          const LoadOptions& options) {
  Loaded out;
  Loader loader(out, options);
  std::vector<Where> at;
  loader.settings_text(text, file_name, at);
  return out;
}

}  // namespace sluice::config
