// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <algorithm>
#include <filesystem>
#include <new>

#include "config/documents.h"
#include "config/files.h"
#include "config/old_names.h"
#include "config/resources.h"
#include "config/settings.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNoMemory = "needs more memory than there is";

class Loader {
 public:
  Loader(Loaded& out, const LoadOptions& options)
      : out_(out), options_(options), resources_(out.model) {}

  void resource_text(std::string_view text, const std::string& name) {
    const Source source{out_.model.add_file(name), without_mark(text), &out_.findings,
                        options_.strict};
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
      out_.findings.error({source.file, 0, 0}, "is empty",
                          "half-written? else remove the file");
    }
    for (const Value& document : parse_documents(source)) {
      resources_.read(document);
    }
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
          at ? *at : Where{out_.model.add_file(path), 0, 0},
          (at ? "\"" + path + "\" " : "") + "has no *.yaml, *.yml or *.json file");
    }
    for (const std::string& name : files) {
      file(name, at);
    }
  }

  void settings_text(std::string_view text, const std::string& name,
                     std::vector<Where>& resources_at) {
    const Source source{out_.model.add_file(name), without_mark(text), &out_.findings, true};
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
    resources_.finish(out_.findings);
    leave_out_exports(out_.model, out_.findings);
    check_http();
  }

 private:
  void complain(const Complaint& complaint, const std::optional<Where>& at) {
    out_.findings.error(at ? *at : Where{out_.model.add_file(complaint.file), 0, 0},
                        (at ? "\"" + complaint.file + "\" " : "") + complaint.message);
  }

  void file(const std::string& path, const std::optional<Where>& at) {
    std::string complaint;
    try {
      if (const auto text = read_whole(path, complaint)) {
        resource_text(*text, path == "-" ? "<stdin>" : path);
      }
    } catch (const std::bad_alloc&) {  // what runs already must run on
      complaint = kNoMemory;
    }
    if (!complaint.empty()) {
      complain({path, complaint}, at);
    }
  }

  void check_http() {
    const auto check = [this](const auto& object) {
      for (const auto* rules : {&object->ingress, &object->egress}) {
        std::for_each(rules->begin(), rules->end(), [this](const Rule& r) { check_http(r); });
      }
    };
    std::for_each(out_.model.policies.begin(), out_.model.policies.end(), check);
    std::for_each(out_.model.profiles.begin(), out_.model.profiles.end(), check);
  }

  void check_http(const Rule& rule) {
    if (rule.http && out_.model.settings.policy.http_l4) {
      out_.findings.warning(rule.where, "the http match is ignored: policy.httpRules is l4");
    } else if (rule.http) {
      out_.findings.error(rule.where, "http matches are not enforced yet",
                          "policy: {httpRules: l4} allows what the rest of the rule allows");
    }
  }

  Loaded& out_;
  LoadOptions options_;
  Resources resources_;
};

}  // namespace

Loaded load(const std::string& settings_file, const LoadOptions& options) {
  Loaded out;
  Loader loader(out, options);
  std::vector<Where> at;
  std::string complaint;
  try {
    if (const auto text = read_whole(settings_file, complaint)) {
      loader.settings_text(*text, settings_file, at);
    }
  } catch (const std::bad_alloc&) {
    complaint = kNoMemory;
  }
  if (!complaint.empty()) {
    out.findings.error({out.model.add_file(settings_file), 0, 0}, complaint);
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
