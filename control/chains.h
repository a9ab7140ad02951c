// SPDX-License-Identifier: Apache-2.0
// The compiled policy as Calico's iptables chains: the listing that operators know.
//
// Names, order, marks and rule hashes are those of Calico's IPv4 tables, but that dispatch is
// one chain, not a tree, and that no policies are grouped.  The rules are those of
// the compiled programs, in the order in which they are written, a counter each.  What sluice
// decides before policy (sources, tunnels, states) has a line, too, so that every drop has a
// home.  Pure.  Source: Calico semantics, sections 3.8 and 7.
#ifndef SLUICE_CONTROL_CHAINS_H_
#define SLUICE_CONTROL_CHAINS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/compile.h"
#include "control/felix.h"
#include "control/rule_names.h"

namespace sluice::control {

struct ChainLine {
  uint64_t packets = 0;
  uint64_t bytes = 0;
  std::string target;    // ACCEPT, a chain, ...; "" for a comment alone
  std::string match;     // as iptables-save would write it; "" for all
  std::string argument;  // what follows the target
  std::vector<std::string> comments;
  std::string hash;    // 16 characters
  bool go_to = false;  // the target's end is this chain's end
  std::string key;     // NFLOG prefix of semantics 9.3 for what decides, else ""
};
struct Chain {
  std::string name;
  std::string table = "filter";  // those of policies and profiles are in all, here once
  size_t references = 0;
  std::vector<ChainLine> lines;
};

struct ChainCounters {
  struct Count {
    uint64_t packets = 0;
    uint64_t bytes = 0;
  };
  std::map<RuleName, Count> rules;
  std::map<std::string, uint64_t> drops;  // by reason
};

// `prefix` + `suffix`, or a hash of the suffix where that exceeds 28 characters (7.2).
std::string chain_name(std::string_view prefix, std::string_view suffix);

// A chain from the texts of its rules: "--jump X", "-m mark ...".  Their hashes (7.4).
std::vector<std::string> rule_hashes(const std::string& chain,
                                     const std::vector<std::string>& rules);

// cali-PREROUTING, cali-INPUT, cali-FORWARD, the dispatch, then each workload, each part of
// each host endpoint with the failsafes, each policy and profile.
// `felix`: what workloads may encapsulate, and the prefixes of their interfaces.
std::vector<Chain> make_chains(const CompiledPolicy& policy, const Felix& felix,
                               const RuleNames& names, const ChainCounters& counters);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_CHAINS_H_
