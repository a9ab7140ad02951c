// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <iterator>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/resources.h"
#include "config/settings.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;
constexpr size_t kMaxFile = size_t{64} << 20;

uint32_t add_file(Model& model, const std::string& name) {
  model.files.push_back(name);
  return static_cast<uint32_t>(model.files.size() - 1);
}

// The whole of a file, read once; what changes under us is refused.
std::optional<std::string> read_whole(const std::string& path, std::string& complaint) {
  if (path == "-") {
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat before {};
  if (fd < 0 || fstat(fd, &before) != 0) {
    complaint = std::string("cannot be read: ") + std::strerror(errno);
    if (fd >= 0) {
      close(fd);
    }
    return {};
  }
  std::string text;
  if (!S_ISREG(before.st_mode)) {
    complaint = "is not a regular file";
  } else if (static_cast<size_t>(before.st_size) > kMaxFile) {
    complaint = "is larger than 64 MiB";
  } else {
    text.resize(static_cast<size_t>(before.st_size));
    size_t done = 0;
    ssize_t n = 0;
    while (done < text.size() && (n = ::read(fd, &text[done], text.size() - done)) > 0) {
      done += static_cast<size_t>(n);
    }
    struct stat after {};
    if (n < 0 || done < text.size() || fstat(fd, &after) != 0 ||
        after.st_size != before.st_size || after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
        after.st_mtim.tv_nsec != before.st_mtim.tv_nsec) {
      complaint = "changed while it was read";
    }
  }
  close(fd);
  return complaint.empty() ? std::optional(std::move(text)) : std::nullopt;
}

bool is_resource_file(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::string ending = path.extension().string();
  return name[0] != '.' && !name.ends_with(".test.yaml") &&
         (ending == ".yaml" || ending == ".yml" || ending == ".json");
}

// The resource files under a directory, in lexical order.
void list_files(const fs::path& directory, std::vector<std::string>& out) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().filename().string()[0] != '.') {
      entries.push_back(entry.path());
    }
  }
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) {
    if (fs::is_directory(entry, error)) {
      list_files(entry, out);
    } else if (is_resource_file(entry)) {
      out.push_back(entry.string());
    }
  }
}

class Loader {
 public:
  Loader(Loaded& out, const LoadOptions& options)
      : out_(out), options_(options), resources_(out.model) {}

  void resource_text(std::string_view text, const std::string& name) {
    const Source source{add_file(out_.model, name), &out_.findings, options_.strict, false};
    for (const Value& document : parse_documents(source, text)) {
      resources_.read(document);
    }
  }

  // A file or directory; `at` is where it was named, if it was.
  void path(const std::string& path, std::optional<Where> at) {
    std::error_code error;
    std::vector<std::string> files;
    if (path != "-" && fs::is_directory(path, error)) {
      list_files(path, files);
    } else {
      files.push_back(path);
    }
    for (const std::string& file : files) {
      std::string complaint;
      const auto text = read_whole(file, complaint);
      if (!text) {
        const Where where = at ? *at : Where{add_file(out_.model, file), 0, 0};
        out_.findings.error(where, (at ? "\"" + file + "\" " : "") + complaint);
        continue;
      }
      resource_text(*text, file == "-" ? "<stdin>" : file);
    }
  }

  void settings_text(std::string_view text, const std::string& name,
                     std::vector<Where>& resources_at) {
    const Source source{add_file(out_.model, name), &out_.findings, true, true};
    const auto documents = parse_documents(source, text);
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
    check_http();
  }

 private:
  void check_http() {
    for (const Policy& policy : out_.model.policies) {
      for (const auto* rules : {&policy.ingress, &policy.egress}) {
        for (const Rule& rule : *rules) {
          if (rule.http && out_.model.settings.policy.http_l4) {
            out_.findings.warning(rule.where,
                                  "the http match is ignored: policy.httpRules is l4");
          } else if (rule.http) {
            out_.findings.error(
                rule.where, "http matches are not enforced yet",
                "policy: {httpRules: l4} allows what the rest of the rule allows");
          }
        }
      }
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
  std::string complaint;
  const auto text = read_whole(settings_file, complaint);
  if (!text) {
    out.findings.error({add_file(out.model, settings_file), 0, 0}, complaint);
    return out;
  }
  std::vector<Where> at;
  loader.settings_text(*text, settings_file, at);
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
