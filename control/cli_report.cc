// SPDX-License-Identifier: Apache-2.0
#include "control/cli_report.h"

#include <charconv>
#include <cstdio>
#include <ctime>
#include <optional>

#include "config/load.h"
#include "control/api.h"
#include "control/compile.h"
#include "control/policy_trail.h"
#include "control/shadowed.h"

namespace sluice::control::cli {
namespace {

using nlohmann::json;

// "1h30m" in seconds.
std::optional<uint64_t> duration(std::string_view text) {
  constexpr std::pair<char, uint64_t> kUnits[] = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
  uint64_t total = 0;
  bool any = false;
  while (!text.empty()) {
    uint32_t n = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), n);
    const char* end = read.ptr;
    if (read.ec != std::errc{} || end == text.data() + text.size()) {
      return std::nullopt;
    }
    const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const auto& u) { return u.first == *end; });
    if (unit == std::end(kUnits)) {
      return std::nullopt;
    }
    total += n * unit->second;
    any = true;
    text.remove_prefix(static_cast<size_t>(end + 1 - text.data()));
  }
  return any ? std::optional(total) : std::nullopt;
}

std::optional<std::time_t> point(const std::string& text) {
  for (const char* format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    std::tm utc{};
    const char* end = strptime(text.c_str(), format, &utc);
    if (end == nullptr || *end != '\0') {
      continue;
    }
    const std::tm asked = utc;
    const std::time_t at = timegm(&utc);  // makes the 31st of February one of March
    constexpr int kYear1970 = 70;
    if (asked.tm_mday == utc.tm_mday && asked.tm_year >= kYear1970) {
      return at;
    }
  }
  return std::nullopt;
}

std::string place_text(const json& rule) {
  return text_of(rule["file"]) + ":" + text_of(rule["line"]);
}

// "default/NetworkPolicy:shop/db#0 (db.yaml:7)"
std::string hider_text(const json& by) {
  if (by["rule"] == -1) {
    const std::string tier = text_of(by["tier"]);
    return tier == kFailsafeTier ? "failsafe ports" : "end of tier " + tier;
  }
  return text_of(by["tier"]) + "/" + text_of(by["kind"]) + ":" +
         qualified(by.value("namespace", ""), by.value("policy", "")) + "#" +
         text_of(by["rule"]) + " (" + place_text(by) + ")";
}

json shadow_json(const CompiledPolicy& policy, const std::vector<std::string>& files,
                 const ShadowReport& report) {
  json out = {{"shadowed", json::array()}, {"idle", json::array()}};
  for (const Shadowed& one : report.shadowed) {
    json row = rule_json(policy, files, one.rule.list, one.rule.rule);
    row["hidden_by"] = one.end_of_tier.empty()
                           ? rule_json(policy, files, one.hidden_by.list, one.hidden_by.rule)
                           : json{{"tier", one.end_of_tier}, {"rule", -1}};
    row["others"] = one.others;
    row["whatever_members"] = one.whatever;
    out["shadowed"].push_back(std::move(row));
  }
  for (const RulePlace& place : report.idle) {
    out["idle"].push_back(rule_json(policy, files, place.list, place.rule));
  }
  return out;
}

// Where a rule is written, and when it was used, as tables show it.
void add_words(json& row) {
  row["place"] = place_text(row);
  for (const char* key : {"last_used", "counted_since"}) {
    row[key] = time_text(row[key]);
  }
}

}  // namespace

Result<uint64_t> seconds_since(const std::string& text, std::time_t now) {
  if (const auto seconds = duration(text)) {
    return *seconds;
  }
  const auto at = point(text);
  if (!at) {
    return Error{"--since \"" + text + "\": neither a duration nor a time",
                 "7d, 1h30m, 2026-11-21 or 2026-11-21T10:00:00Z (UTC)"};
  }
  if (*at > now) {
    return Error{"--since \"" + text + "\": is yet to come"};
  }
  return static_cast<uint64_t>(now - *at);
}

int report_unused(const ReportArguments& arguments, const Daemon& daemon) {
  json request = {{"verb", "unused"}};
  const std::time_t now = std::time(nullptr);
  if (!arguments.since.empty()) {
    const auto age = seconds_since(arguments.since, now);
    if (!age) {
      print_error(age.error().what, age.error().hint);
      return kBadInput;
    }
    request["age_s"] = *age;
  }
  int exit = kYes;
  std::optional<json> result = result_of(call(daemon.socket, request, kAnswerTime), exit);
  if (!result) {
    return exit;
  }
  json& rows = (*result)["rules"];
  exit = rows.empty() ? kYes : kNo;
  if (daemon.output == Output::json) {
    print_json(*result);
    return exit;
  }
  if (rows.empty()) {
    std::puts("every rule was used");
    return exit;
  }
  const std::time_t since = now - static_cast<std::time_t>(request.value("age_s", uint64_t{0}));
  size_t young = 0;
  for (json& row : rows) {
    young += row.value("counted_since", std::time_t{0}) > since ? 1 : 0;
    add_words(row);
  }
  print_table(rows, {"tier", "kind", "namespace", "policy", "direction", "rule", "action",
                     "place", "last_used", "counted_since"});
  if (request.contains("age_s") && young > 0) {
    std::printf("\n%zu of these are counted only since a later time than --since\n", young);
  }
  return exit;
}

int report_shadowed(const ReportArguments& arguments, Output output) {
  config::Loaded loaded = arguments.config.empty() ? config::load_resources(arguments.paths)
                                                   : config::load(arguments.config);
  RuleNames names;
  CompiledPolicy policy;
  if (loaded.ok()) {
    policy = compile(loaded.model, names, loaded.findings,
                     arguments.config.empty() ? Whose::of_all_nodes : Whose::of_our_node);
  }
  if (!loaded.ok()) {
    print_error(loaded.findings.format(loaded.model.files));
    return kBadInput;
  }
  if (policy.rules->programs.empty()) {
    print_error("no endpoint in these files: no rule judges anybody",
                arguments.config.empty()
                    ? "give those of the Pods, WorkloadEndpoints or HostEndpoints, too"
                    : "does `node` name their node?");
    return kBadInput;
  }
  const Result<ShadowReport> report = find_shadowed(policy);
  if (!report) {
    print_error(report.error().what, report.error().hint);
    return kBadInput;
  }
  json answer = shadow_json(policy, loaded.model.files, *report);
  const int exit = report->shadowed.empty() ? kYes : kNo;
  if (output == Output::json) {
    print_json(answer);
    return exit;
  }
  for (json& row : answer["shadowed"]) {
    row["place"] = place_text(row);
    row["hider"] = hider_text(row["hidden_by"]) +
                   (row["others"] == 0 ? "" : " and " + text_of(row["others"]) + " more");
    row["always"] = row["whatever_members"];
  }
  if (exit == kYes) {
    std::puts("no rule is shadowed");
  } else {
    print_table(answer["shadowed"], {"tier", "kind", "namespace", "policy", "direction", "rule",
                                     "action", "place", "always", "hider"});
  }
  if (!report->idle.empty()) {
    std::printf("\n%zu rules match nothing now (-o json lists them)\n", report->idle.size());
  }
  return exit;
}

}  // namespace sluice::control::cli
