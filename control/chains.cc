// SPDX-License-Identifier: Apache-2.0
#include "control/chains.h"

#include <set>
#include <utility>

#include "control/hash.h"
#include "control/host_endpoints.h"

namespace sluice::control {
namespace {

constexpr size_t kMaxName = 28;
constexpr size_t kMaxSetName = 31;
constexpr size_t kHashShown = 16;
constexpr const char* kAnyInterface = "any-interface-at-all";
constexpr const char* kUplinkInterface = "uplink";
constexpr const char* kAccepted = "-m mark --mark 0x10000/0x10000";
constexpr const char* kNotPassed = "-m mark --mark 0/0x20000";
// Alternatives of one rule (3.8): do all blocks of them match, and does this one?
constexpr const char* kAllBlocks = "0x80000/0x80000";
constexpr const char* kNotAllBlocks = "0/0x80000";
constexpr const char* kThisBlock = "0x100000/0x100000";
constexpr const char* kNotThisBlock = "0/0x100000";

std::string_view short_kind(std::string_view kind) {
  constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
      {"NetworkPolicy", "np"},
      {"GlobalNetworkPolicy", "gnp"},
      {"StagedNetworkPolicy", "snp"},
      {"StagedGlobalNetworkPolicy", "sgnp"},
      {"StagedKubernetesNetworkPolicy", "sknp"},
      {"KubernetesNetworkPolicy", "knp"},
      {"KubernetesClusterNetworkPolicy", "kcnp"},
      {"Profile", "pro"}};
  for (const auto& [name, text] : kKinds) {
    if (name == kind) {
      return text;
    }
  }
  return kind;
}

std::string policy_id(const ListName& n) {
  return std::string(short_kind(n.kind)) + "/" + qualified(n.namespace_name, n.name);
}

std::string list_chain(const ListName& n) {
  const bool in = n.direction == Direction::ingress;
  return n.kind == "Profile" ? chain_name(in ? "cali-pri-" : "cali-pro-", n.name)
                             : chain_name(in ? "cali-pi-" : "cali-po-", policy_id(n));
}

// "<A|D|P><P|R><I|E><rule>|<policy>"; -1 for the end of a tier, and of the profiles.
std::string log_key(Action action, const ListName& n, int rule) {
  std::string key = action == Action::allow ? "A" : action == Action::pass ? "P" : "D";
  key += n.kind == "Profile" ? "R" : "P";
  key += n.direction == Direction::ingress ? "I" : "E";
  return key + std::to_string(rule) + "|" + (n.kind == "Profile" ? n.name : policy_id(n));
}

std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z') ||
                       std::string_view("_ @%+=:,./-").find(c) != std::string_view::npos;
    out += plain ? c : '_';
  }
  return out.substr(0, 256);
}

// Collects the words of one rule's match.
struct Match {
  std::string text;
  void add(const std::string& words) { text += (text.empty() ? "" : " ") + words; }
};

std::string ports_match(const std::vector<PortRange>& ports, bool source, bool no) {
  std::string out = std::string("-m multiport ") + (no ? "! " : "") +
                    (source ? "--source-ports" : "--destination-ports");
  char sign = ' ';
  for (const PortRange& range : ports) {
    out += sign + std::to_string(range.low);
    out += range.low == range.high ? "" : ":" + std::to_string(range.high);
    sign = ',';
  }
  return out;
}

// As many as one multiport match takes: 15 ports, a range counts twice.
std::vector<std::vector<PortRange>> split(const std::vector<PortRange>& ports) {
  constexpr size_t kSlots = 15;
  std::vector<std::vector<PortRange>> out;
  size_t left = 0;
  for (const PortRange& range : ports) {
    const size_t slots = range.low == range.high ? 1 : 2;
    if (left < slots) {
      out.emplace_back();
      left = kSlots;
    }
    out.back().push_back(range);
    left -= slots;
  }
  return out;
}

std::string set_match(const std::string& name, bool source, bool ports, bool no) {
  const std::string way = source ? "src" : "dst";
  return std::string("-m set ") + (no ? "! " : "") + "--match-set " +
         ("cali40" + name).substr(0, kMaxSetName) + " " + way + (ports ? "," + way : "");
}

std::string net_match(const Prefix& net, bool source, bool no) {
  return (no ? "! " : "") + std::string(source ? "--source " : "--destination ") +
         to_string(net);
}

// REQUIRES: what takes several alternatives is left out.
void add_side(Match& m, const RuleSide& side, bool source, const SetNames& names) {
  for (const Prefix& net : side.nets) {
    m.add(net_match(net, source, false));
  }
  for (const SetId id : side.sets) {
    m.add(set_match(names.addresses[id], source, false, false));
  }
  if (!side.ports.empty()) {
    m.add(ports_match(side.ports, source, false));
  }
  for (const SetId id : side.port_sets) {
    m.add(set_match(names.ports[id], source, true, false));
  }
}

void add_not_side(Match& m, const RuleSide& side, bool source, const SetNames& names) {
  for (const Prefix& net : side.not_nets) {
    m.add(net_match(net, source, true));
  }
  for (const SetId id : side.not_sets) {
    m.add(set_match(names.addresses[id], source, false, true));
  }
  for (const std::vector<PortRange>& ports : split(side.not_ports)) {
    m.add(ports_match(ports, source, true));
  }
  for (const SetId id : side.not_port_sets) {
    m.add(set_match(names.ports[id], source, true, true));
  }
}

std::string icmp_text(const IcmpMatch& m, bool no) {
  return std::string("-m icmp ") + (no ? "! " : "") + "--icmp-type " + std::to_string(m.type) +
         (m.any_code ? "" : "/" + std::to_string(m.code));
}

std::string match_text(const Rule& rule, const SetNames& names) {
  Match m;
  if (rule.protocol) {
    m.add("-p " + proto::name(*rule.protocol));
  }
  add_side(m, rule.source, true, names);
  add_side(m, rule.destination, false, names);
  if (rule.icmp) {
    m.add(icmp_text(*rule.icmp, false));
  }
  if (rule.not_protocol) {
    m.add("! -p " + proto::name(*rule.not_protocol));
  }
  add_not_side(m, rule.source, true, names);
  add_not_side(m, rule.destination, false, names);
  if (rule.not_icmp) {
    m.add(icmp_text(*rule.not_icmp, true));
  }
  return m.text;
}

// As iptables-restore takes it, without "-A CHAIN HASH".
std::string rule_text(const ChainLine& line) {
  Match m;
  for (const std::string& comment : line.comments) {
    m.add("-m comment --comment \"" + printable(comment) + "\"");
  }
  if (!line.match.empty()) {
    m.add(line.match);
  }
  if (!line.target.empty()) {
    m.add((line.go_to ? "--goto " : "--jump ") + line.target);
  }
  if (!line.argument.empty()) {
    m.add(line.argument);
  }
  return m.text;
}

class Writer {
 public:
  Writer(const CompiledPolicy& policy, const Felix& felix, const RuleNames& names,
         const ChainCounters& counters)
      : policy_(policy), felix_(felix), names_(names), counters_(counters) {}

  std::vector<Chain> run() {
    entry();
    dispatch("cali-from-wl-dispatch", "--in-interface ", "cali-fw-");
    dispatch("cali-to-wl-dispatch", "--out-interface ", "cali-tw-");
    for (const LocalEndpoint& e : policy_.endpoints) {
      endpoint(e, Direction::egress);
      endpoint(e, Direction::ingress);
    }
    host_endpoints();
    for (ListId list = 0; list < policy_.lists.size(); ++list) {
      if (used_.contains(list)) {
        add_list(list);
      }
    }
    finish();
    return std::move(out_);
  }

 private:
  using Count = ChainCounters::Count;

  uint64_t drops(std::initializer_list<const char*> reasons) const {
    uint64_t n = 0;
    for (const char* reason : reasons) {
      const auto it = counters_.drops.find(reason);
      n += it == counters_.drops.end() ? 0 : it->second;
    }
    return n;
  }

  Count count(CounterSlot slot) const {
    if (slot == kNoCounter) {
      return {};
    }
    const auto it = counters_.rules.find(names_.name(slot));
    return it == counters_.rules.end() ? Count{} : it->second;
  }

  void start(const std::string& name, const char* table = "filter") {
    out_.push_back({name, table, 0, {}});
  }

  ChainLine& line(std::string match, std::string target, std::string argument = "",
                  std::vector<std::string> comments = {}) {
    return out_.back().lines.emplace_back(ChainLine{0, 0, std::move(target), std::move(match),
                                                    std::move(argument), std::move(comments),
                                                    "", false, ""});
  }

  void entry() {
    start("cali-PREROUTING");
    line("", "DROP", "", {"RPF: the source is not that of the endpoint, uplink or tunnel"})
        .packets = drops({"rpf_workload", "rpf_uplink", "rpf_tunnel"});
    start("cali-INPUT");
    line("-p 4", "DROP", "", {"Drop IPIP packets from non-Calico hosts"}).packets =
        drops({"tun_src"});
    line("-p 4", "DROP", "", {"IPIP for others than our workloads, or in IPIP"}).packets =
        drops({"tun_dst", "tun_nested"});
    start("cali-FORWARD");
    line("", "MARK", "--set-mark 0/0x1a0000");
    line("-m mark --mark 0/0x10000", "cali-from-hep-forward");
    for (const std::string& prefix : felix_.interface_prefixes) {
      line("--in-interface " + prefix + "+", "cali-from-wl-dispatch");
      line("--out-interface " + prefix + "+", "cali-to-wl-dispatch");
    }
    line("", "cali-to-hep-forward");
    line("", "cali-cidr-block");
    line("-m conntrack --ctstate INVALID", "DROP", "", {"INVALID, of all endpoints"}).packets =
        drops({"ct_invalid", "ct_midflow", "ct_window", "ct_rst"});
    line("", "DROP", "", {"Encapped packets originating in workloads, of all endpoints"})
        .packets = drops({"tun_from_workload"});
  }

  void dispatch(const std::string& name, const std::string& by, const char* prefix) {
    start(name);
    for (const LocalEndpoint& e : policy_.endpoints) {
      line(by + e.interface_name, chain_name(prefix, e.interface_name)).go_to = true;
    }
    line("", "DROP", "", {"Unknown interface"}).packets =
        by.starts_with("--in") ? drops({"endpoint_down"}) : 0;
  }

  void endpoint(const LocalEndpoint& e, Direction direction) {
    const bool from = direction == Direction::egress;
    const ProgramId id = from ? e.egress : e.ingress;
    if (id == kNoProgram) {
      return;
    }
    start(chain_name(from ? "cali-fw-" : "cali-tw-", e.interface_name));
    line("-m conntrack --ctstate RELATED,ESTABLISHED", "ACCEPT");
    line("-m conntrack --ctstate INVALID", "DROP");
    line("", "MARK", "--set-mark 0/0x30000");
    if (from && !felix_.allow_vxlan) {
      line("-p 17 -m multiport --destination-ports 4789", "DROP", "",
           {"Drop VXLAN encapped packets originating in workloads"});
    }
    if (from && !felix_.allow_ipip) {
      line("-p 4", "DROP", "", {"Drop IPinIP encapped packets originating in workloads"});
    }
    add_tiers(id, from);
  }

  void add_tiers(ProgramId id, bool from) {
    const Program& program = policy_.rules->programs[id];
    for (size_t t = 0; t < program.tiers.size(); ++t) {
      add_tier(program.tiers[t], policy_.tier_names[id][t], from);
    }
  }

  // One of the lists of policies that a host endpoint has.  `in`: from the network.
  struct HostPart {
    const char* table;
    const char* dispatch;
    const char* prefix;
    HostStage HostPolicy::*stage;
    bool in;
  };

  void host_endpoints() {
    constexpr HostPart kParts[] = {
        {"raw", "cali-from-host-endpoint", "cali-fh-", &HostPolicy::untracked_in, true},
        {"raw", "cali-to-host-endpoint", "cali-th-", &HostPolicy::untracked_out, false},
        {"mangle", "cali-from-host-endpoint", "cali-fh-", &HostPolicy::pre_dnat, true},
        {"filter", "cali-from-hep-forward", "cali-fhfw-", &HostPolicy::forward_in, true},
        {"filter", "cali-to-hep-forward", "cali-thfw-", &HostPolicy::forward_out, false},
        {"filter", "cali-from-host-endpoint", "cali-fh-", &HostPolicy::normal_in, true},
        {"filter", "cali-to-host-endpoint", "cali-th-", &HostPolicy::normal_out, false}};
    for (const HostPart& part : kParts) {
      // By interface; where a `*` endpoint stands for several it is one.
      std::map<std::string, HostStage> stages;
      for (const ProtectedInterface* p : {&policy_.uplink, &policy_.tunnel, &policy_.pods}) {
        const HostStage& stage = p->policy.*part.stage;
        if (!p->name.empty() && stage.program != kNoProgram) {
          stages.emplace(interface_of(*p), stage);
        }
      }
      if (!stages.empty()) {
        add_host_part(part, stages);
      }
    }
  }

  // One that is found by its addresses has no name in the files.
  std::string interface_of(const ProtectedInterface& p) const {
    return !p.interface_name.empty() ? p.interface_name
           : &p == &policy_.tunnel   ? kTunnelInterface
                                     : kUplinkInterface;
  }

  void add_host_part(const HostPart& part, const std::map<std::string, HostStage>& stages) {
    const auto chain = [&](const std::string& interface) {
      return chain_name(part.prefix, interface == "*" ? kAnyInterface : interface);
    };
    start(part.dispatch, part.table);
    // "*" sorts first, and takes what no other does: last.
    for (auto it = stages.rbegin(); it != stages.rend(); ++it) {
      const std::string by = part.in ? "--in-interface " : "--out-interface ";
      line(it->first == "*" ? "" : by + it->first, chain(it->first)).go_to = true;
    }
    const std::string failsafe = part.in ? "cali-failsafe-in" : "cali-failsafe-out";
    ProgramId failsafes = kNoProgram;
    for (const auto& [interface, stage] : stages) {
      start(chain(interface), part.table);
      if (part.table != std::string_view("raw")) {
        line("-m conntrack --ctstate RELATED,ESTABLISHED", "ACCEPT");
        line("-m conntrack --ctstate INVALID", "DROP");
      }
      if (stage.failsafe != kNoProgram) {
        failsafes = stage.failsafe;
        line("", failsafe);
      }
      line("", "MARK", "--set-mark 0/0x30000");
      add_tiers(stage.program, !part.in);
    }
    if (failsafes != kNoProgram) {
      start(failsafe, part.table);
      add_failsafes(failsafes);
    }
  }

  void add_failsafes(ProgramId id) {
    for (const ListId list : policy_.rules->programs[id].tiers[0].lists) {
      for (const Rule& rule : policy_.rules->lists[list]->rules) {
        const Count n = count(rule.counter);
        ChainLine& accept = line(match_text(rule, policy_.sets), "ACCEPT");
        accept.packets = n.packets;
        accept.bytes = n.bytes;
      }
    }
  }

  void add_tier(const Tier& tier, const std::string& name, bool from) {
    const std::string end = from ? "E" : "I";
    if (!tier.profiles) {
      line("", "MARK", "--set-mark 0/0x20000", {"Start of tier " + name});
    }
    for (const ListId list : tier.lists) {
      used_.insert(list);
      line(tier.profiles ? "" : kNotPassed, list_chain(policy_.lists[list]));
      line(kAccepted, "RETURN", "",
           {tier.profiles ? "Return if profile accepted" : "Return if policy accepted"});
    }
    const Count n = count(tier.counter);
    if (tier.profiles) {
      ChainLine& last = line("", "DROP", "", {"Drop if no profiles matched"});
      last.packets = n.packets;
      last.bytes = n.bytes;
      last.key = "DR" + end;
    } else if (tier.end == TierEnd::deny) {
      ChainLine& last = line(kNotPassed, "DROP", "",
                             {"End of tier " + name + ". Drop if no policies passed packet"});
      last.packets = n.packets;
      last.bytes = n.bytes;
      last.key = "DP" + end + "|" + name;
    }
  }

  void add_list(ListId list) {
    const ListName& n = policy_.lists[list];
    const std::vector<Rule>& rules = policy_.rules->lists[list]->rules;
    start(list_chain(n));
    const std::string title = n.kind + " " + qualified(n.namespace_name, n.name) +
                              (n.direction == Direction::ingress ? " ingress" : " egress");
    for (size_t i = 0; i < rules.size(); ++i) {
      if ((rules[i].families & Rule::kV4) != 0) {
        const size_t first = out_.back().lines.size();
        add_rule(rules[i], log_key(rules[i].action, n, static_cast<int>(i)));
        note(first, n.annotations[i]);
      }
    }
    auto& lines = out_.back().lines;
    while (!lines.empty() && lines.back().target == "RETURN") {
      lines.pop_back();
    }
    (lines.empty() ? line("", "") : lines.front()).comments.push_back(title);
  }

  // A rule's annotations are comments on each of its lines, from `first` on.
  void note(size_t first, const config::Labels& annotations) {
    for (size_t i = first; i < out_.back().lines.size(); ++i) {
      for (const auto& [key, value] : annotations) {
        std::string text = key;
        text += '=';
        text += value;
        out_.back().lines[i].comments.push_back(std::move(text));
      }
    }
  }

  struct Blocks {
    bool any = false;       // kAllBlocks speaks of some
    bool positive = false;  // of one that asks for a match
  };

  void begin_block(Blocks& blocks, const char* mark) {
    if (!blocks.any) {
      line("", "MARK", std::string("--set-mark ") + mark + "/0x180000");
      blocks.any = true;
    }
  }

  void any_of(Blocks& blocks, const std::vector<std::string>& matches) {
    begin_block(blocks, "0x0");
    for (const std::string& match : matches) {
      line(match, "MARK",
           std::string("--set-mark ") + (blocks.positive ? kThisBlock : kAllBlocks));
    }
    if (blocks.positive) {
      line(std::string("-m mark --mark ") + kNotThisBlock, "MARK",
           std::string("--set-mark ") + kNotAllBlocks);
    }
    blocks.positive = true;
  }

  // Each of an end's ports and named ports that needs a line of its own.
  std::vector<std::string> port_matches(const Rule& rule, bool source) const {
    const RuleSide& side = source ? rule.source : rule.destination;
    std::vector<std::string> out;
    for (const std::vector<PortRange>& ports : split(side.ports)) {
      out.push_back((rule.protocol ? "-p " + proto::name(*rule.protocol) + " " : "") +
                    ports_match(ports, source, false));
    }
    for (const SetId id : side.port_sets) {
      out.push_back(set_match(policy_.sets.ports[id], source, true, false));
    }
    return out;
  }

  // Writes the alternatives that do not fit in one line, and takes them out of the rule.
  bool add_blocks(Rule& rule) {
    Blocks blocks;
    for (const bool source : {true, false}) {
      RuleSide& side = source ? rule.source : rule.destination;
      if (const auto matches = port_matches(rule, source); matches.size() > 1) {
        any_of(blocks, matches);
        side.ports.clear();
        side.port_sets.clear();
      }
    }
    for (const bool source : {true, false}) {
      RuleSide& side = source ? rule.source : rule.destination;
      if (side.nets.size() > 1) {
        std::vector<std::string> matches;
        for (const Prefix& net : side.nets) {
          matches.push_back(net_match(net, source, false));
        }
        any_of(blocks, matches);
        side.nets.clear();
      }
    }
    for (const bool source : {true, false}) {
      RuleSide& side = source ? rule.source : rule.destination;
      if (side.nets.size() + side.not_nets.size() > 1) {
        begin_block(blocks, "0x80000");
        for (const Prefix& net : side.not_nets) {
          line(net_match(net, source, false), "MARK",
               std::string("--set-mark ") + kNotAllBlocks);
        }
        side.not_nets.clear();
      }
    }
    return blocks.any;
  }

  void add_rule(Rule rule, const std::string& key) {
    const bool blocks = add_blocks(rule);
    Match m{match_text(rule, policy_.sets)};
    if (blocks) {
      m.add(std::string("-m mark --mark ") + kAllBlocks);
    }
    const Count n = count(rule.counter);
    const auto counted = [&](ChainLine& l, const std::string& said) {
      l.packets = n.packets;
      l.bytes = n.bytes;
      l.key = said;
    };
    if (rule.action == Action::log) {
      counted(line(m.text, "LOG", "--log-prefix \"calico-packet: \" --log-level 5"), "");
      return;
    }
    const std::string mark = rule.action == Action::allow  ? "0x10000"
                             : rule.action == Action::pass ? "0x20000"
                                                           : "0x40000";
    const std::string both = mark + "/" + mark;
    counted(line(m.text, "MARK", "--set-mark " + both), key);
    counted(line("-m mark --mark " + both, rule.action == Action::deny ? "DROP" : "RETURN"),
            key);
  }

  // Hashes and references, when all is written.
  void finish() {
    std::map<std::string, size_t> chains;      // of that name
    std::map<std::string, size_t> references;  // to "TABLE NAME", and to NAME
    for (Chain& chain : out_) {
      std::vector<std::string> texts;
      for (const ChainLine& l : chain.lines) {
        texts.push_back(rule_text(l));
        ++references[l.target];
        ++references[chain.table + " " + l.target];
      }
      ++chains[chain.name];
      const std::vector<std::string> hashes = rule_hashes(chain.name, texts);
      for (size_t i = 0; i < hashes.size(); ++i) {
        chain.lines[i].hash = hashes[i];
      }
    }
    for (Chain& chain : out_) {
      chain.references =
          references[chains[chain.name] > 1 ? chain.table + " " + chain.name : chain.name];
    }
  }

  const CompiledPolicy& policy_;
  const Felix& felix_;
  const RuleNames& names_;
  const ChainCounters& counters_;
  std::set<ListId> used_;
  std::vector<Chain> out_;
};

}  // namespace

std::string chain_name(std::string_view prefix, std::string_view suffix) {
  const std::string end(suffix.empty() ? "_" : suffix);
  const size_t length = prefix.size() + end.size();
  if (length < kMaxName || (length == kMaxName && end[0] != '_')) {
    return std::string(prefix) + end;
  }
  return std::string(prefix) + "_" +
         sha256_base64url(end).substr(0, kMaxName - 1 - prefix.size());
}

std::vector<std::string> rule_hashes(const std::string& chain,
                                     const std::vector<std::string>& rules) {
  std::vector<std::string> out;
  std::string hash = sha224(chain);
  const std::string append = "-A " + chain + " HASH ";
  for (const std::string& rule : rules) {
    hash += append;
    hash += rule;
    hash = sha224(hash);
    out.push_back(base64url(hash).substr(0, kHashShown));
  }
  return out;
}

std::vector<Chain> make_chains(const CompiledPolicy& policy, const Felix& felix,
                               const RuleNames& names, const ChainCounters& counters) {
  return Writer(policy, felix, names, counters).run();
}

}  // namespace sluice::control
