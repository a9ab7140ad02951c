// SPDX-License-Identifier: Apache-2.0
#include "control/cli_live.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <vector>

#include "control/api.h"

namespace sluice::control::cli {
namespace {

using nlohmann::json;
using Columns = std::vector<std::string>;

constexpr std::chrono::seconds kReloadTime{120};  // a large node's policies compile meanwhile

struct Kind {
  std::string_view what;  // the verb, too
  Columns columns;
  Columns named_by;  // fields that NAME is compared with
};

const Kind* kind_of(std::string_view what) {
  static const std::vector<Kind> kinds = {
      {"endpoints",
       {"namespace", "name", "interface", "addresses", "worker", "state", "ingress_policies",
        "egress_policies"},
       {"name", "interface", "addresses"}},
      {"policies",
       {"tier", "order", "kind", "namespace", "name", "endpoints"},
       {"name", "tier"}},
      {"programs",
       {"direction", "form", "rules", "classes", "columns", "cells", "bytes", "endpoints"},
       {"direction", "form", "endpoints"}},
      {"routes", {"destination", "kind", "via", "port"}, {"destination", "via", "port"}},
      {"connections",
       {"proto", "src", "sport", "dst", "dport", "state", "age_s", "expires_s", "packets",
        "reply_packets", "bytes", "reply_bytes", "worker", "ingress_rule", "egress_rule"},
       {"src", "dst", "proto"}},
  };
  for (const Kind& kind : kinds) {
    if (kind.what == what) {
      return &kind;
    }
  }
  return nullptr;
}

// "shop/db" is called shop/db and db, "gateway (forward)" gateway.
bool is_called(const json& value, const std::string& name) {
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  return text == name || text.ends_with("/" + name) || text.starts_with(name + " (");
}

bool names(const json& row, const Kind& kind, const std::string& name) {
  if (row.value("namespace", "") + "/" + row.value("name", "") == name) {
    return true;
  }
  return std::any_of(kind.named_by.begin(), kind.named_by.end(), [&](const std::string& field) {
    const json value = row.value(field, json());
    if (!value.is_array()) {
      return value == name;
    }
    return std::any_of(value.begin(), value.end(),
                       [&](const json& one) { return is_called(one, name); });
  });
}

// What is under `get programs`.
void print_memory(const json& memory) {
  const auto mebibytes = [&](const char* key) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MiB", memory.value(key, 0.0) / (1 << 20));
    return std::string(text);
  };
  std::printf("\nin all %s: addresses %s, programs %s; policy.memory %s\n",
              mebibytes("total").c_str(), mebibytes("classes").c_str(),
              mebibytes("programs").c_str(), mebibytes("cap").c_str());
}

// The first of the endpoints and how many more there are, or all if `wide`.
void shorten_endpoints(json& rows, bool wide) {
  for (json& row : rows) {
    json& endpoints = row["endpoints"];
    if (const size_t n = endpoints.size(); !wide && endpoints.is_array() && n > 2) {
      endpoints = text_of(endpoints[0]) + " and " + std::to_string(n - 1) + " more";
    }
  }
}

void line(const char* what, const std::string& value) {
  std::printf("%-12s %s\n", what, value.c_str());
}

// {name: {fields}} or {name: number} as rows, the name under `key`.
json rows_of(const json& object, const std::string& key) {
  json rows = json::array();
  for (const auto& [name, value] : object.items()) {
    json row = value.is_object() ? value : json{{"packets", value}};
    row[key] = name;
    rows.push_back(std::move(row));
  }
  return rows;
}

// Both histograms side by side: the buckets that hold something, then what sums them up.
json reload_rows(const json& reloads) {
  const json first = reloads.value("first_worker", json::object());
  const json every = reloads.value("every_worker", json::object());
  json rows = json::array();
  const json buckets = first.value("buckets", json::array());
  for (size_t i = 0; i < buckets.size(); ++i) {
    const json& a = buckets[i]["count"];
    const json& b = every["buckets"][i]["count"];
    const json& end = buckets[i]["up_to_s"];
    if (a != 0 || b != 0) {
      rows.push_back({{"seconds", end.is_null() ? "more" : "<= " + text_of(end)},
                      {"first_worker", a},
                      {"every_worker", b}});
    }
  }
  constexpr std::pair<const char*, const char*> kSums[] = {
      {"count", "count"}, {"p50", "p50_s"}, {"p99", "p99_s"}};
  for (const auto& [name, key] : kSums) {
    rows.push_back({{"seconds", name},
                    {"first_worker", first.value(key, json())},
                    {"every_worker", every.value(key, json())}});
  }
  return rows;
}

// `stats`: the daemon's whole answer.
void print_stats(const json& stats, const std::string& what) {
  const json result = stats.value(what, json::object());
  static const Columns ports = {"name",     "rx_packets", "rx_bytes",   "tx_packets",
                                "tx_bytes", "forwarded",  "punted",     "consumed",
                                "held",     "dropped",    "originated", "missed"};
  static const Columns rules = {"tier", "kind",   "namespace",   "policy",  "direction",
                                "rule", "action", "connections", "packets", "bytes"};
  if (what == "ports") {
    print_table(rows_of(result, "name"), ports);
  } else if (what == "drops") {
    json rows = rows_of(result, "reason");
    const json inner = stats.value("inner_drops", json::object());
    for (json& row : rows) {
      row["inner"] = inner.value(row.value("reason", ""), 0);
    }
    std::stable_sort(rows.begin(), rows.end(), [](const json& a, const json& b) {
      return a.value("packets", 0.0) > b.value("packets", 0.0);
    });
    print_table(rows, {"reason", "packets", "inner"});
  } else if (what == "rules") {
    print_table(result, rules);
  } else {
    print_table(reload_rows(result), {"seconds", "first_worker", "every_worker"});
  }
}

}  // namespace

std::optional<json> result_of(const Result<json>& answer, int& exit) {
  if (!answer) {
    print_error(answer.error().what, answer.error().hint);
    exit = kUnreachable;
    return std::nullopt;
  }
  if (!answer->value("ok", false)) {
    print_error(answer->value("error", "refused"), answer->value("hint", ""));
    exit = answer->value("code", static_cast<int>(kRefused));
    return std::nullopt;
  }
  exit = kYes;
  return answer->value("result", json());
}

std::optional<json> ask(const Daemon& daemon, const std::string& verb,
                        std::chrono::seconds patience, int& exit) {
  return result_of(call(daemon.socket, {{"verb", verb}}, patience), exit);
}

int status(const Daemon& daemon) {
  int exit = kYes;
  const std::optional<json> result = ask(daemon, "status", kAnswerTime, exit);
  if (!result) {
    return exit;
  }
  if (daemon.output == Output::json) {
    print_json(*result);
    return exit;
  }
  const auto field = [&](const char* key) { return text_of(result->value(key, json())); };
  const json reload = result->value("last_reload", json::object());
  const json buffers = result->value("buffers", json::object());
  line("node", field("node"));
  line("version", field("version"));
  line("pid", field("pid"));
  line("uptime", field("uptime_s") + " s");
  line("generation",
       field("generation") + (result->value("pending", false) ? ", pending" : ""));
  line("endpoints", field("endpoints"));
  line("policies", field("policies"));
  line("last reload", time_text(reload.value("at", json())) +
                          (reload.value("ok", true) ? " ok" : " failed: ") +
                          reload.value("error", ""));
  line("buffers", text_of(buffers.value("free", json())) + " free of " +
                      text_of(buffers.value("total", json())) +
                      (result->value("huge_pages", false) ? ", on huge pages" : ""));
  std::string alarms;
  const json counts = result->value("alarms", json::object());
  for (const auto& [name, count] : counts.items()) {
    if (count != 0) {
      alarms += (alarms.empty() ? "" : ", ") + name + " " + text_of(count);
    }
  }
  line("alarms", alarms.empty() ? "none" : alarms);
  const json posture = result->value("posture", json::object());
  line("posture", "capabilities " + text_of(posture.value("capabilities", json())) +
                      (posture.value("no_new_privileges", false) ? ", no new privileges" : "") +
                      ", seccomp " + (posture.value("seccomp", false) ? "on" : "off") +
                      ", core dumps " + (posture.value("core_dumps", true) ? "on" : "off"));
  std::puts("");
  print_table(result->value("workers", json::array()),
              {"core", "idle_mode", "pace", "busy_ratio", "connections", "ports"});
  return exit;
}

int get(const Daemon& daemon, const std::string& what, const std::string& name) {
  const Kind* kind = kind_of(what);
  if (kind == nullptr) {
    print_error("get: \"" + what +
                "\" is not among endpoints, policies, programs, routes, connections");
    return kBadInput;
  }
  int exit = kYes;
  std::optional<json> result = ask(daemon, what, kAnswerTime, exit);
  if (!result) {
    return exit;
  }
  // Programs have totals beside them.
  json& all = result->is_object() ? (*result)[what] : *result;
  json rows = json::array();
  for (const json& row : all) {
    if (name.empty() || names(row, *kind, name)) {
      rows.push_back(row);
    }
  }
  if (!name.empty() && rows.empty()) {
    print_error("get " + what + ": none is named \"" + name + "\"");
    exit = kNo;
  }
  if (daemon.output == Output::json) {
    all = std::move(rows);
    print_json(*result);
  } else if (exit == kYes && result->is_object()) {
    shorten_endpoints(rows, daemon.wide);
    print_table(rows, kind->columns);
    print_memory(result->value("memory", json::object()));
  } else if (exit == kYes) {
    print_table(rows, kind->columns);
  }
  return exit;
}

int stats(const Daemon& daemon, const std::string& what) {
  int exit = kYes;
  const std::optional<json> result = ask(daemon, "stats", kAnswerTime, exit);
  if (!result) {
    return exit;
  }
  if (daemon.output == Output::json) {
    print_json(what.empty() ? *result : result->value(what, json()));
    return exit;
  }
  for (const char* part : {"ports", "drops", "rules", "reloads"}) {
    if (what.empty() || what == part) {
      print_stats(*result, part);
      if (what.empty() && std::string_view(part) != "reloads") {
        std::puts("");
      }
    }
  }
  return exit;
}

int reload(const Daemon& daemon) {
  int exit = kYes;
  const std::optional<json> result = ask(daemon, "reload", kReloadTime, exit);
  if (!result) {
    return exit;
  }
  if (daemon.output == Output::json) {
    print_json(*result);
  } else {
    std::printf(
        "generation %s%s%s\n", text_of(result->value("generation", json())).c_str(),
        result->value("changed", true) ? "" : ", nothing changed",
        result->value("pending", false) ? ", pending: a worker has not taken it up yet" : "");
  }
  return exit;
}

int version(const Daemon& daemon) {
  const Result<json> answer =
      call(daemon.socket, {{"verb", "status"}}, std::chrono::seconds(1));
  json running;
  if (answer && answer->value("ok", false)) {
    running = answer->value("result", json::object()).value("version", json());
  }
  if (daemon.output == Output::json) {
    print_json({{"sluicectl", SLUICE_VERSION}, {"sluiced", running}});
    return kYes;
  }
  std::printf("sluicectl %s\n", SLUICE_VERSION);
  if (!running.is_null()) {
    std::printf("sluiced %s\n", text_of(running).c_str());
  }
  return kYes;
}

}  // namespace sluice::control::cli
