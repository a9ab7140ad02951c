// SPDX-License-Identifier: Apache-2.0
#include "control/cli_policies.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>

#include <unistd.h>

#include "config/policy_cases.h"
#include "control/api.h"
#include "control/policy_diff.h"
#include "control/policy_test.h"

namespace sluice::control::cli {
namespace {

using nlohmann::json;

// The results of one test file.
struct Suite {
  std::string file;
  std::vector<std::string> files;  // for places
  std::vector<CaseResult> results;
};

std::string xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

size_t failures(const Suite& suite) {
  size_t n = 0;
  for (const CaseResult& result : suite.results) {
    n += result.passed ? 0 : 1;
  }
  return n;
}

std::string junit_text(const std::vector<Suite>& suites) {
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
  for (const Suite& suite : suites) {
    out += "  <testsuite name=\"" + xml(suite.file) + "\" tests=\"" +
           std::to_string(suite.results.size()) + "\" failures=\"" +
           std::to_string(failures(suite)) + "\">\n";
    for (const CaseResult& result : suite.results) {
      out += "    <testcase classname=\"" + xml(suite.file) + "\" name=\"" + xml(result.text) +
             "\"";
      out += result.passed
                 ? "/>\n"
                 : "><failure message=\"" + xml(result.message) + "\">" +
                       xml(place_text(result.where, suite.files)) + "</failure></testcase>\n";
    }
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

// One test file, or false if it makes no sense: then it is said.
bool run_file(const std::string& file, const std::vector<std::string>& paths, Suite& suite) {
  std::vector<config::PolicyCase> cases;
  config::Loaded loaded = config::load_policy_test(file, paths, cases);
  suite.file = file;
  if (loaded.ok()) {
    const Cluster cluster(loaded.model, loaded.findings);
    if (loaded.ok()) {
      suite.results = run_cases(cluster, cases, loaded.model.files, loaded.findings);
    }
  }
  suite.files = loaded.model.files;
  if (!loaded.ok()) {
    print_error(loaded.findings.format(loaded.model.files));
  }
  return loaded.ok();
}

void print_suites(const std::vector<Suite>& suites, size_t passed, size_t failed,
                  Output output) {
  json rows = json::array();
  for (const Suite& suite : suites) {
    for (const CaseResult& result : suite.results) {
      if (output == Output::json) {
        rows.push_back({{"file", suite.file},
                        {"line", result.where.line},
                        {"column", result.where.column},
                        {"case", result.text},
                        {"passed", result.passed},
                        {"message", result.message}});
      } else if (!result.passed) {
        std::printf("%s: %s: %s\n", place_text(result.where, suite.files).c_str(),
                    result.text.c_str(), result.message.c_str());
      }
    }
  }
  if (output == Output::json) {
    print_json({{"passed", passed}, {"failed", failed}, {"cases", rows}});
  } else {
    std::printf("%zu passed, %zu failed\n", passed, failed);
  }
}

// ---- diff --------------------------------------------------------------------------------

constexpr uint64_t kWorthProgress = 1'000'000;
constexpr size_t kNamesShown = 3;

// One side of a diff, or nothing if it has errors: then they are said.
struct Side {
  config::Loaded loaded;
  std::optional<Cluster> cluster;
};

bool load_side(const std::string& path, const std::vector<std::string>& with, Side& side) {
  std::vector<std::string> paths = {path};
  paths.insert(paths.end(), with.begin(), with.end());
  side.loaded = config::load_resources(paths);
  if (side.loaded.ok()) {
    side.cluster.emplace(side.loaded.model, side.loaded.findings);
  }
  if (!side.loaded.ok()) {
    print_error(side.loaded.findings.format(side.loaded.model.files));
  }
  return side.loaded.ok();
}

std::string names_text(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < kNamesShown; ++i) {
    out += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() <= kNamesShown
             ? out
             : out + " and " + std::to_string(names.size() - kNamesShown) + " more";
}

std::string_view verdict(bool allowed) {
  return allowed ? "allow" : "deny";
}

json diff_json(const PolicyDiff& diff, const std::vector<std::string>& files) {
  json changes = json::array();
  for (const FlowChange& c : diff.changes) {
    changes.push_back({{"from", c.from},
                       {"to", c.to},
                       {"flow", c.flow},
                       {"was", verdict(c.was_allowed)},
                       {"now", verdict(!c.was_allowed)},
                       {"by", c.by},
                       {"place", place_text(c.place, files)}});
  }
  return {{"same", diff.same()},
          {"changes", changes},
          {"added", diff.added},
          {"removed", diff.removed},
          {"judged", diff.judged}};
}

void print_diff(const PolicyDiff& diff) {
  for (const auto& [sign, names] : {std::pair('-', &diff.removed), {'+', &diff.added}}) {
    for (const std::string& name : *names) {
      std::printf("%c endpoint %s\n", sign, name.c_str());
    }
  }
  for (const FlowChange& c : diff.changes) {
    std::printf("%s -> %s %s: %s -> %s (by %s)\n", names_text(c.from).c_str(),
                names_text(c.to).c_str(), c.flow.c_str(),
                std::string(verdict(c.was_allowed)).c_str(),
                std::string(verdict(!c.was_allowed)).c_str(), c.by.c_str());
  }
  if (diff.same()) {
    std::puts("no flow changes");
  }
}

// Would the new policy deny this connection?  Each end counts only if policy judged it when the
// connection was opened: what a node sends to its own endpoints is exempt.
bool would_be_cut(const Cluster& after, const json& c) {
  const auto src = after.end_of(c.value("src", ""));
  const auto dst = after.end_of(c.value("dst", ""));
  const auto protocol = proto::number(c.value("proto", ""));
  if (!src || !dst || !protocol) {
    return false;
  }
  Cluster::End from = *src;
  Cluster::End to = *dst;
  if (c.value("egress_rule", "").empty()) {
    from.endpoint = nullptr;
  }
  if (c.value("ingress_rule", "").empty()) {
    to.endpoint = nullptr;
  }
  FlowKey key{from.address, to.address, c.value("sport", uint16_t{0}),
              c.value("dport", uint16_t{0}), *protocol};
  if (*protocol == proto::kIcmp) {  // what opens such a connection is an echo request
    key.src_port = 0;
    key.dst_port = 8 << 8;
  }
  return !after.allows(from, to, key);
}

// {"connections", "listed", "cut"} of the running daemon; those listed are judged.
std::optional<json> live_json(const Daemon& daemon, const Cluster& after, int& exit) {
  const std::optional<json> listed = ask(daemon, "connections", kAnswerTime, exit);
  if (!listed) {
    return std::nullopt;
  }
  size_t cut = 0;
  for (const json& c : *listed) {
    cut += would_be_cut(after, c) ? 1 : 0;
  }
  size_t all = listed->size();
  if (all == kMaxListed) {
    const std::optional<json> status = ask(daemon, "status", kAnswerTime, exit);
    if (!status) {
      return std::nullopt;
    }
    size_t held = 0;
    for (const json& worker : status->value("workers", json::array())) {
      held += worker.value("connections", size_t{0});
    }
    all = std::max(all, held);
  }
  return json{{"connections", all}, {"listed", listed->size()}, {"cut", cut}};
}

void print_live(const json& live) {
  const bool some = live["listed"] != live["connections"];
  std::printf(
      "%s of %s%s live connections would be cut (onPolicyChange: recheck), none with keep\n",
      text_of(live["cut"]).c_str(),
      some ? ("the first " + text_of(live["listed"]) + " of ").c_str() : "",
      text_of(live["connections"]).c_str());
}

void show_progress(uint64_t done, uint64_t all) {
  if (all >= kWorthProgress && isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "\r%3u %% of %llu flows", static_cast<unsigned>(done * 100 / all),
                 static_cast<unsigned long long>(all));
  }
}

}  // namespace

int diff(const DiffArguments& arguments, const Daemon& daemon) {
  Side before;
  Side after;
  const bool sense = load_side(arguments.paths[0], arguments.with, before);
  if (!load_side(arguments.paths[1], arguments.with, after) || !sense) {
    return kBadInput;
  }
  if (before.cluster->policy().endpoints.empty() && after.cluster->policy().endpoints.empty()) {
    print_error("neither side knows an endpoint: there is nothing to compare",
                "add a dump of pods and namespaces: --with dump.yaml");
    return kBadInput;
  }
  DiffOptions options;
  options.namespace_name = arguments.namespace_name;
  options.progress = show_progress;
  for (const Side* side : {&before, &after}) {
    for (const config::NetworkSet& set : side->loaded.model.network_sets) {
      options.named.insert(options.named.end(), set.nets.begin(), set.nets.end());
    }
  }
  const Result<PolicyDiff> found = diff(*before.cluster, *after.cluster, options);
  if (!found) {
    print_error(found.error().what, found.error().hint);
    return kBadInput;
  }
  if (found->judged >= kWorthProgress && isatty(STDERR_FILENO) == 1) {
    std::fputs("\n", stderr);
  }
  int exit = kYes;
  std::optional<json> live;
  if (arguments.live && !(live = live_json(daemon, *after.cluster, exit))) {
    return exit;
  }
  if (daemon.output == Output::json) {
    json out = diff_json(*found, after.loaded.model.files);
    if (live) {
      out["live"] = *live;
    }
    print_json(out);
  } else {
    print_diff(*found);
    if (live) {
      print_live(*live);
    }
  }
  return found->same() ? kYes : kNo;
}

int test(const TestArguments& arguments, Output output) {
  config::Loaded found;
  const std::vector<std::string> files = config::test_files(arguments.paths, found);
  if (!found.ok()) {
    print_error(found.findings.format(found.model.files));
    return kBadInput;
  }
  std::vector<Suite> suites;
  bool sense = true;
  size_t all = 0;
  size_t failed = 0;
  for (const std::string& file : files) {
    sense = run_file(file, arguments.paths, suites.emplace_back()) && sense;
    all += suites.back().results.size();
    failed += failures(suites.back());
  }
  if (all == 0 && sense) {
    print_error(files.empty() ? "no *.test.yaml there" : "no cases there",
                "cases: [{from: a/b, to: a/c, proto: tcp, port: 80, expect: allow}]");
    return kBadInput;
  }
  print_suites(suites, all - failed, failed, output);
  if (!arguments.junit.empty()) {
    std::ofstream out(arguments.junit);
    out << junit_text(suites);
    if (!out.flush()) {
      print_error(arguments.junit + ": cannot be written");
      return kBadInput;
    }
  }
  return !sense ? kBadInput : failed > 0 ? kNo : kYes;
}

}  // namespace sluice::control::cli
