// SPDX-License-Identifier: Apache-2.0
#include "control/cli_policies.h"

#include <cstdio>
#include <fstream>

#include "config/policy_cases.h"
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

}  // namespace

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
