// SPDX-License-Identifier: Apache-2.0
#include "control/cli_offline.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>

#include "config/load.h"
#include "control/build.h"
#include "control/compile.h"
#include "control/explain.h"
#include "control/lint.h"
#include "control/selector.h"

namespace sluice::control::cli {
namespace {

using nlohmann::json;

constexpr size_t kMaxLine = 1u << 16;

std::string_view word(config::Severity severity) {
  switch (severity) {
    case config::Severity::error:
      return "error";
    case config::Severity::warning:
      return "warning";
    case config::Severity::note:
      return "note";
  }
  return "";
}

json findings_json(const config::Loaded& loaded) {
  json rows = json::array();
  for (const config::Finding& one : loaded.findings.all()) {
    const auto& files = loaded.model.files;
    rows.push_back({{"severity", word(one.severity)},
                    {"file", one.where.file < files.size() ? files[one.where.file] : ""},
                    {"line", one.where.line},
                    {"column", one.where.column},
                    {"message", one.message},
                    {"hint", one.hint}});
  }
  return rows;
}

// Everything that the daemon would do with the settings, short of publishing.
std::optional<Built> load_and_build(config::Loaded& loaded, const std::string& file,
                                    Registries& registries) {
  loaded = config::load(file);
  if (!loaded.ok()) {
    return std::nullopt;
  }
  Built built = build(loaded.model, registries, nullptr, loaded.findings);
  if (!loaded.ok()) {
    return std::nullopt;
  }
  return built;
}

std::optional<std::map<std::string, std::string>> labels_of(std::string_view text) {
  std::map<std::string, std::string> labels;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, end);
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return std::nullopt;
    }
    labels[std::string(one.substr(0, equals))] = one.substr(equals + 1);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return labels;
}

// What packets are asked of, and the files that it came from.
struct Asked {
  const Built& built;
  const std::vector<std::string>& files;
};

// One line of --packets; false if it made no sense.
bool explain_line(const Asked& asked, const std::string& line, Output output) {
  const json packet = json::parse(line, nullptr, false);
  json answer;
  if (packet.is_object() && line.size() <= kMaxLine) {
    answer = explain_packet(asked.built, packet);
  } else {
    answer = {{"error", "not one JSON object"}};
  }
  const bool sense = !answer.contains("error");
  if (output == Output::table && sense) {
    std::fputs(explain_text(asked.built, packet, asked.files).c_str(), stdout);
  } else {
    print_json(answer);
  }
  return sense;
}

int explain_packets(const Asked& asked, std::istream& lines, Output output) {
  int exit = kYes;
  for (std::string line; std::getline(lines, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    if (!explain_line(asked, line, output)) {
      exit = kBadInput;
    }
  }
  return exit;
}

int explain_words(const Asked& asked, const std::vector<std::string>& words, Output output) {
  const Result<json> packet = packet_of_words(asked.built, words[0], words[1], words[2]);
  if (!packet) {
    print_error(packet.error().what, packet.error().hint);
    return kBadInput;
  }
  const json answer = explain_packet(asked.built, *packet);
  if (answer.contains("error")) {
    print_error(text_of(answer["error"]));
    return kBadInput;
  }
  if (output == Output::json) {
    print_json(answer);
  } else {
    std::fputs(explain_text(asked.built, *packet, asked.files).c_str(), stdout);
  }
  return answer.value("verdict", "") == "allow" ? kYes : kNo;
}

}  // namespace

int check(const CheckArguments& arguments, Output output) {
  const config::LoadOptions options{.strict = arguments.strict};
  Registries registries;
  config::Loaded loaded;
  CompiledPolicy policy;
  if (arguments.config.empty()) {
    loaded = config::load_resources(arguments.paths, options);
    if (loaded.ok()) {
      // Without settings there is no node, and so nothing to route.
      policy = compile(loaded.model, registries.rules, loaded.findings);
    }
  } else {
    loaded = config::load(arguments.config, options);
    if (loaded.ok()) {
      policy = build(loaded.model, registries, nullptr, loaded.findings).policy;
    }
  }
  if (loaded.ok()) {
    lint(loaded.model, loaded.findings);
  }
  const auto& all = loaded.findings.all();
  const bool warned = std::any_of(all.begin(), all.end(), [](const config::Finding& one) {
    return one.severity == config::Severity::warning;
  });
  const int exit = !loaded.ok() ? kBadInput : warned && arguments.strict ? kNo : kYes;
  if (output == Output::json) {
    print_json({{"ok", exit == kYes}, {"findings", findings_json(loaded)}});
    return exit;
  }
  print_error(loaded.findings.format(loaded.model.files));
  if (exit == kYes) {
    const config::Model& model = loaded.model;
    std::printf("fine: %zu files, %zu policies, %zu local endpoints\n", model.files.size(),
                model.policies.size() + model.kubernetes_policies.size() +
                    model.cluster_policies.size(),
                policy.endpoints.size());
  }
  return exit;
}

int explain(const ExplainArguments& arguments, Output output) {
  config::Loaded loaded;
  Registries registries;
  const std::optional<Built> built = load_and_build(loaded, arguments.config, registries);
  if (!built) {
    print_error(loaded.findings.format(loaded.model.files));
    return kBadInput;
  }
  const Asked asked{*built, loaded.model.files};
  if (arguments.packets.empty()) {
    return explain_words(asked, arguments.words, output);
  }
  if (arguments.packets == "-") {
    return explain_packets(asked, std::cin, output);
  }
  std::ifstream file(arguments.packets);
  if (!file) {
    print_error(arguments.packets + ": cannot be read");
    return kBadInput;
  }
  return explain_packets(asked, file, output);
}

int selector(const std::string& expression, const std::string& labels, Output output) {
  const Result<Selector> parsed = Selector::parse(expression);
  if (!parsed) {
    print_error(parsed.error().what, parsed.error().hint);
    return kBadInput;
  }
  const auto pairs = labels_of(labels);
  if (!pairs) {
    print_error("--labels \"" + labels + "\": not KEY=VALUE,KEY=VALUE");
    return kBadInput;
  }
  const bool matches = parsed->matches(*pairs);
  if (output == Output::json) {
    print_json(
        {{"matches", matches}, {"canonical", parsed->canonical()}, {"id", parsed->id()}});
  } else {
    std::puts(matches ? "matches" : "does not match");
  }
  return matches ? kYes : kNo;
}

}  // namespace sluice::control::cli
