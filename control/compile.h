// SPDX-License-Identifier: Apache-2.0
// From the model to rules: which endpoints are ours, which policies select them, in which
// order, and what every selector, named port and service set holds.
//
// The policy half of control: no DPDK, no I/O; used alike by sluiced, `check` and `explain`.
// One call sees one Model and is all-or-nothing: with errors in `findings` the result must not
// be published.  Cost of the first: linear in endpoints + policies + set members, times the
// selectors that an endpoint's labels can satisfy; of the next: a look at each file and at what
// our endpoints run, and work for the objects that changed.
//
// Source: Calico semantics, sections 1 to 4.
#ifndef SLUICE_CONTROL_COMPILE_H_
#define SLUICE_CONTROL_COMPILE_H_

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "classifier/rule.h"
#include "config/findings.h"
#include "config/model.h"
#include "control/rule_names.h"
#include "control/selector.h"
#include "fastpath/tables.h"

namespace sluice::control {

using config::qualified;

enum class Direction : uint8_t { ingress, egress };
inline constexpr Direction kDirections[] = {Direction::ingress, Direction::egress};
constexpr size_t index_of(Direction direction) {
  return direction == Direction::ingress ? 0 : 1;
}

inline constexpr const char* kFailsafeTier = "__FAILSAFE__";  // of Felix' failsafe ports

// What a RuleList or a Tier of the compiled set is called; parallel to the RuleSet's indices.
struct ListName {
  std::string kind;  // NetworkPolicy, GlobalNetworkPolicy, KubernetesNetworkPolicy, Profile
  std::string namespace_name;  // "" for global
  std::string name;
  std::string tier;  // __PROFILE__ for profiles
  Direction direction = Direction::ingress;
  config::Where where;
  std::vector<config::Where> rules = {};         // where each rule is written
  std::vector<config::Labels> annotations = {};  // of each rule

  // Has somebody written this rule?  Not those of failsafe ports and of namespaces' profiles.
  bool written(size_t rule) const {
    const config::Where& at = rules[rule];
    return at.line != 0 && at != where;
  }
  // Where the written rule ends that begins at `rule`: it may have been compiled to several.
  size_t end_of(size_t rule) const {
    const auto next = std::find_if(rules.begin() + static_cast<ptrdiff_t>(rule), rules.end(),
                                   [&](const config::Where& at) { return at != rules[rule]; });
    return static_cast<size_t>(next - rules.begin());
  }
};

// One local workload, as policy sees it.
struct LocalEndpoint {
  std::string namespace_name;
  std::string name;  // the pod's name, or the WorkloadEndpoint's where it names no pod
  std::string interface_name;  // host side of the veth
  std::string node;
  std::vector<Address> addresses;
  std::vector<Prefix> allowed_sources;
  std::optional<MacAddress> mac;
  config::Labels labels;  // effective: own, then inherited from profiles
  std::vector<std::string> profiles;
  ProgramId ingress = kNoProgram;
  ProgramId egress = kNoProgram;
  // What would judge it if staged policies were enforced; kNoProgram where none selects it.
  // explain shows what these say, workers count what staged rules would have decided.
  ProgramId pending_ingress = kNoProgram;
  ProgramId pending_egress = kNoProgram;
  config::Where where;
};

// What Calico calls the sets of a RuleSet ("s:...", "n:...", "svc:..."), by SetId.
struct SetNames {
  std::vector<std::string> addresses;
  std::vector<std::string> ports;
};

// What protects one place of the node; `name` is "" where no HostEndpoint does.
struct ProtectedInterface {
  std::string name;
  std::string interface_name;  // "*": all that have none of their own; "": told by addresses
  HostPolicy policy;
};

// What protects one node.
struct ProtectedNode {
  ProtectedInterface uplink, tunnel, pods;
};

struct CompiledPolicy {
  std::shared_ptr<const RuleSet> rules;
  SetNames sets;
  std::vector<Shared<ListName>> lists;               // by ListId
  std::vector<std::vector<std::string>> tier_names;  // by ProgramId, then tier index
  std::vector<LocalEndpoint> endpoints;     // of settings.node, sorted by interface name
  ProtectedInterface uplink, tunnel, pods;  // of settings.node
  // With of_all_nodes instead: every node that a HostEndpoint protects, by name.
  std::map<std::string, ProtectedNode> nodes;
  size_t policies = 0;  // policies that select a local endpoint
  // What had to be done anew for it.
  struct Work {
    size_t objects = 0;  // pods, endpoints and network sets read
    size_t lists = 0;    // compiled
    size_t sets = 0;     // whose members were gathered
  } work;
};

// The endpoints that get programs; what asks about a whole cluster names no node.
enum class Whose : uint8_t { of_our_node, of_all_nodes };

// Compiles one model after the other, and does anew only what the difference asks for.
class Compiler {
 public:
  // `counters` gives a stable CounterSlot to each rule and each tier default; it only grows.
  explicit Compiler(RuleNames& counters);
  ~Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  // The same as a new Compiler would give for the model.  Problems (selectors that do not
  // parse, overlapping pod addresses, unknown profiles as warnings, ...) go to `findings`.
  CompiledPolicy compile(const config::Model& model, config::Findings& findings,
                         Whose whose = Whose::of_our_node);

  struct Kept;  // in compile.cc

 private:
  RuleNames& counters_;
  std::unique_ptr<Kept> kept_;
};

// Of one model alone.
CompiledPolicy compile(const config::Model& model, RuleNames& counters,
                       config::Findings& findings, Whose whose = Whose::of_our_node);

// Whom the policy selects, as one selector over effective labels (semantics 4.6).
Selector policy_selector(const config::Policy& policy, config::Findings& findings);

// Does the policy apply to this direction (semantics 1.3)?
bool applies(const config::Policy& policy, Direction direction);

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_COMPILE_H_
