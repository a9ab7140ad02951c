// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <new>
#include <unordered_set>

#include "config/documents.h"
#include "config/old_names.h"
#include "config/read_files.h"
#include "config/resources.h"
#include "config/settings.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNoMemory = "needs more memory than there is";

// The objects of one more file.
void append(Model& to, const Model& file) {
  const auto add = [](auto& all, const auto& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  add(to.tiers, file.tiers);
  add(to.policies, file.policies);
  add(to.kubernetes_policies, file.kubernetes_policies);
  add(to.cluster_policies, file.cluster_policies);
  add(to.profiles, file.profiles);
  add(to.network_sets, file.network_sets);
  add(to.workload_endpoints, file.workload_endpoints);
  add(to.host_endpoints, file.host_endpoints);
  add(to.pods, file.pods);
  add(to.namespaces, file.namespaces);
  add(to.service_accounts, file.service_accounts);
  add(to.endpoint_slices, file.endpoint_slices);
  add(to.felix_configurations, file.felix_configurations);
  add(to.ip_pools, file.ip_pools);
  add(to.nodes, file.nodes);
  add(to.blocks, file.blocks);
  to.services += file.services;
}

class Loader {
 public:
  Loader(Loaded& out, const LoadOptions& options)
      : out_(out), options_(options), known_(options.known) {
    if (known_ != nullptr) {
      known_->begin();
    }
  }

  void resource_text(std::string_view text, const std::string& name) {
    add(std::make_shared<const FileContent>(read(text, index_of(name))));
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
    say_what_was_left_out();
    leave_out_exports(out_.model, out_.findings);
    check_http();
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
      } else if (const auto text = read_whole(path, complaint, options_.trust)) {
        const std::string name = path == "-" ? "<stdin>" : path;
        const auto content = std::make_shared<const FileContent>(read(*text, index_of(name)));
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

  FileContent read(std::string_view text, uint32_t index) const {
    FileContent out;
    const Source source{index, without_mark(text), &out.findings, options_.strict};
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
      out.findings.error({index, 0, 0}, "is empty", "half-written? else remove the file");
    }
    Resources resources(out);
    for (const Value& document : parse_documents(source)) {
      resources.read(document);
    }
    return out;
  }

  void add(const std::shared_ptr<const FileContent>& content) {
    contents_.push_back(content);
    append(out_.model, content->model);
    out_.findings.add(content->findings);
    for (const FileContent::Object& object : content->objects) {
      const auto [first, fresh] = objects_.insert(&object);
      if (!fresh) {
        refuse_twice(object, **first);
      }
    }
    for (const auto& [kind, left] : content->left_out) {
      FileContent::LeftOut& all = left_out_[kind];
      all.first = all.count == 0 ? left.first : all.first;
      all.count += left.count;
      all.decides = left.decides;
    }
  }

  void refuse_twice(const FileContent::Object& a, const FileContent::Object& b) {
    const std::string what = "the same object twice: " + a.kind.substr(a.kind.find('/') + 1) +
                             " " + qualified(a.space, a.name) + " is also in ";
    const auto at = [this](const Where& w) {
      const auto& names = known_ == nullptr ? out_.model.files : known_->names();
      return names[w.file] + ":" + std::to_string(w.line);
    };
    out_.findings.error(a.where, what + at(b.where));
    out_.findings.error(b.where, what + at(a.where));
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
  ReadFiles* known_;
  struct Hash {
    size_t operator()(const FileContent::Object* o) const { return o->hash; }
  };
  struct Same {
    bool operator()(const FileContent::Object* a, const FileContent::Object* b) const {
      return a->is(*b);
    }
  };
  std::vector<std::shared_ptr<const FileContent>> contents_;  // hold what objects_ points to
  std::unordered_set<const FileContent::Object*, Hash, Same> objects_;
  std::map<std::string, FileContent::LeftOut> left_out_;
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
