// SPDX-License-Identifier: Apache-2.0
#include "control/cli_chains.h"

#include <cstdio>
#include <sstream>

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
  return {{"chain", chain.name},
          {"table", chain.table},
          {"references", chain.references},
          {"rules", rules}};
}

// A line in the words of iptables -L, whose match and argument are those of iptables -S.
struct Listed {
  std::string protocol = "all";
  std::string in = "*";
  std::string out = "*";
  std::string source = "0.0.0.0/0";
  std::string destination = "0.0.0.0/0";
  std::string rest;
};

// "MARK or 0x10000" of "0x10000/0x10000": `mask` are the bits that change, to `value`.
std::string mark_text(const std::string& value_and_mask) {
  const size_t slash = value_and_mask.find('/');
  const std::string value = value_and_mask.substr(0, slash);
  const std::string mask = value_and_mask.substr(slash + 1);
  if (value == mask) {
    return "MARK or " + value;
  }
  if (std::stoul(value, nullptr, 16) != 0) {
    return "MARK xset " + value_and_mask;
  }
  char kept[16];
  std::snprintf(kept, sizeof kept, "0x%x",
                ~static_cast<unsigned>(std::stoul(mask, nullptr, 16)));
  return std::string("MARK and ") + kept;
}

void list_match(const std::string& match, Listed& out) {
  std::istringstream words(match);
  std::string no;
  for (std::string word, value; words >> word;) {
    if (word == "!") {
      no = "!";
      continue;
    }
    words >> value;
    const bool zero = value.starts_with("0/");
    if (word == "-p") {
      out.protocol = no + value;
    } else if (word == "--in-interface") {
      out.in = value;
    } else if (word == "--out-interface") {
      out.out = value;
    } else if (word == "--source") {
      out.source = no + value;
    } else if (word == "--destination") {
      out.destination = no + value;
    } else if (word == "--mark") {
      out.rest += " mark match " + (zero ? "0x" + value : value);
    } else if (word == "--match-set") {
      std::string way;
      words >> way;
      out.rest += no.empty() ? " match-set " : " ! match-set ";
      out.rest += value.append(" ").append(way);
    } else if (word == "--source-ports" || word == "--destination-ports") {
      out.rest += word[2] == 's' ? " multiport sports " : " multiport dports ";
      out.rest += no + value;
    } else if (word == "--ctstate") {
      out.rest += " ctstate " + value;
    } else if (word == "--icmp-type") {
      const size_t slash = value.find('/');
      out.rest += (no.empty() ? " icmptype " : " icmp !type ") + value.substr(0, slash);
      out.rest += slash == std::string::npos ? "" : " code " + value.substr(slash + 1);
    } else {  // "-m MODULE": its "!" stands behind it
      continue;
    }
    no.clear();
  }
}

Listed list(const ChainLine& l) {
  Listed out;
  out.rest = "/* cali:" + l.hash + " */";
  for (const std::string& comment : l.comments) {
    out.rest += " /* " + comment + " */";
  }
  list_match(l.match, out);
  constexpr std::string_view kSetMark = "--set-mark ";
  if (l.argument.starts_with(kSetMark)) {
    out.rest += " " + mark_text(l.argument.substr(kSetMark.size()));
  } else if (l.target == "LOG") {
    out.rest += " LOG flags 0 level 5 prefix \"calico-packet: \"";
  }
  out.rest += l.go_to ? " [goto]" : "";
  return out;
}

// As iptables -xvnL does.
void print_chain(const Chain& chain) {
  std::printf("Chain %s (%zu references)%s\n", chain.name.c_str(), chain.references,
              chain.table == "filter" ? "" : (" in table " + chain.table).c_str());
  std::puts(
      "    pkts      bytes target     prot opt in     out     source               "
      "destination");
  for (const ChainLine& l : chain.lines) {
    const Listed at = list(l);
    std::printf("%8llu %10llu %-10s %-4s --  %-6s %-7s %-20s %-20s %s\n",
                static_cast<unsigned long long>(l.packets),
                static_cast<unsigned long long>(l.bytes), l.target.c_str(), at.protocol.c_str(),
                at.in.c_str(), at.out.c_str(), at.source.c_str(), at.destination.c_str(),
                at.rest.c_str());
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
