// SPDX-License-Identifier: Apache-2.0
// The node that the path benchmarks measure: its pods, their policies and its routes.
//
// Either made up (kPods pods, two programs of as many rules as one asks for) or with the pods
// and policies of a sluice.yaml, see config_node.h.  Pod p has port kFirstPodPort + p;
// `remotes` are behind the one tunnel peer.  Immutable once it is made.
#ifndef SLUICE_PERF_NODE_H_
#define SLUICE_PERF_NODE_H_

#include <memory>
#include <vector>

#include "classifier/rule.h"
#include "fastpath/tables.h"
#include "perf/scene.h"

namespace sluice::perf {

struct Node {
  struct Pod {
    Ip4 address;
    ProgramId egress = kNoProgram, ingress = kNoProgram;
  };
  std::vector<Pod> pods;        // kPods at most
  std::vector<Prefix> remotes;  // of IPv4, each longer than 0
  std::shared_ptr<const RuleSet> rules;
  CounterSlot counters = 0;  // slots that the rules count in
};

// kPods pods that share two programs, of egress and of ingress, each of `rules` rules: all but
// the last name UDP, a network and a port, and match nothing that a scene sends; the last
// allows.  Each counts in a slot of its own.
Node make_node(unsigned rules);

// What control would publish for the node; pod p belongs to worker p % workers.
std::shared_ptr<const Generation> make_generation(const Node& node, unsigned workers = 1);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_NODE_H_
