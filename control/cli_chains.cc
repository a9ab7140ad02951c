// SPDX-License-Identifier: Apache-2.0
#include "control/cli_chains.h"

#include <cstdio>

#include "config/load.h"
#include "control/build.h"
#include "control/chains.h"

namespace sluice::control::cli {
namespace {

using nlohmann::json;

Action action_of(const std::string& word) {
  return word == "allow"  ? Action::allow
         : word == "pass" ? Action::pass
         : word == "log"  ? Action::log
                          : Action::deny;
}

// Calico's packets are what policy judged: our `connections`.
ChainCounters counters_of(const json& stats) {
  ChainCounters out;
  for (const json& row : stats.value("rules", json::array())) {
    const RuleName name{row.value("kind", ""),
                        row.value("namespace", ""),
                        row.value("policy", ""),
                        row.value("tier", ""),
                        row.value("direction", "") == "ingress",
                        row.value("rule", 0),
                        action_of(row.value("action", ""))};
    out.rules[name] = {row.value("connections", uint64_t{0}), row.value("bytes", uint64_t{0})};
  }
  const json drops = stats.value("drops", json::object());
  for (const auto& [reason, n] : drops.items()) {
    out.drops[reason] = n.get<uint64_t>();
  }
  return out;
}

json chain_json(const Chain& chain) {
  json rules = json::array();
  for (const ChainLine& l : chain.lines) {
    rules.push_back({{"packets", l.packets},
                     {"bytes", l.bytes},
                     {"target", l.target},
                     {"goto", l.go_to},
                     {"match", l.match},
                     {"argument", l.argument},
                     {"comments", l.comments},
                     {"hash", "cali:" + l.hash},
                     {"key", l.key}});
  }
  return {{"chain", chain.name}, {"references", chain.references}, {"rules", rules}};
}

void print_chain(const Chain& chain) {
  std::printf("Chain %s (%zu references)\n", chain.name.c_str(), chain.references);
  std::printf("%8s %10s %-28s %s\n", "pkts", "bytes", "target", "match");
  for (const ChainLine& l : chain.lines) {
    std::string rest = l.match + (l.match.empty() ? "" : " ") + "/* cali:" + l.hash + " */";
    for (const std::string& comment : l.comments) {
      rest += " /* " + comment + " */";
    }
    rest += l.argument.empty() ? "" : " " + l.argument;
    rest += l.go_to ? " [goto]" : "";
    std::printf("%8llu %10llu %-28s %s\n", static_cast<unsigned long long>(l.packets),
                static_cast<unsigned long long>(l.bytes), l.target.c_str(), rest.c_str());
  }
}

}  // namespace

int chains(const ChainsArguments& arguments, const Daemon& daemon) {
  config::Loaded loaded = config::load(arguments.config);
  Registries registries;
  Built built;
  if (loaded.ok()) {
    built = build(loaded.model, registries, nullptr, loaded.findings);
  }
  if (!loaded.ok()) {
    print_error(loaded.findings.format(loaded.model.files));
    return kBadInput;
  }
  ChainCounters counters;
  if (arguments.live) {
    int exit = kYes;
    const auto stats = ask(daemon, "stats", kAnswerTime, exit);
    if (!stats) {
      return exit;
    }
    counters = counters_of(*stats);
  }
  Felix felix = felix_of(loaded.model);
  if (loaded.model.settings.path.tun_from_workload) {
    felix.allow_ipip = felix.allow_vxlan = true;
  }
  json rows = json::array();
  bool first = true;
  for (const Chain& chain : make_chains(built.policy, felix, registries.rules, counters)) {
    if (!arguments.name.empty() && chain.name != arguments.name) {
      continue;
    }
    rows.push_back(chain_json(chain));
    if (daemon.output == Output::table) {
      std::fputs(first ? "" : "\n", stdout);
      print_chain(chain);
    }
    first = false;
  }
  if (daemon.output == Output::json) {
    print_json(rows);
  }
  if (rows.empty()) {
    print_error("no chain is named \"" + arguments.name + "\"",
                "chains without a name lists all");
    return kNo;
  }
  return kYes;
}

}  // namespace sluice::control::cli
