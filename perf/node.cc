// SPDX-License-Identifier: Apache-2.0
#include "perf/node.h"

#include <cstdio>
#include <cstdlib>

namespace sluice::perf {
namespace {

RuleList make_list(unsigned rules, CounterSlot first) {
  RuleList list;
  for (unsigned n = 0; n + 1 < rules; ++n) {
    Rule rule;
    rule.action = Action::deny;
    rule.protocol = proto::kUdp;
    rule.source.nets = {Prefix::of(Address::of(Ip4{0xac100000 + (n << 8)}), 120)};
    const auto port = static_cast<uint16_t>(2000 + n);
    rule.destination.ports = {{port, port}};
    rule.counter = first + n;
    list.rules.push_back(rule);
  }
  Rule last;
  last.action = Action::allow;
  last.counter = first + rules - 1;
  list.rules.push_back(last);
  return list;
}

std::shared_ptr<const RouteTable> make_routes(const Node& node) {
  auto table = std::make_shared<RouteTable>();
  table->version = 1;
  table->own = {kNode};
  table->peers = {kPeerNode.value};
  table->outer_source = kNode;
  std::vector<Lpm4::Entry> entries;
  for (const Node::Pod& pod : node.pods) {
    const auto id = static_cast<EndpointId>(entries.size());
    entries.push_back({Prefix::of(Address::of(pod.address), 128), id});
    table->routes.push_back({RouteKind::endpoint, id, {}, {}});
  }
  for (const Prefix& remote : node.remotes) {
    entries.push_back({remote, static_cast<RouteId>(node.pods.size())});
  }
  table->routes.push_back({RouteKind::tunnel, kNoEndpoint, kPeerNode, kPeerNode});
  table->lpm = Lpm4(entries);
  return table;
}

}  // namespace

Node make_node(unsigned rules) {
  Node node;
  auto set = std::make_shared<RuleSet>();
  for (const ProgramId program : {0u, 1u}) {
    set->lists.emplace_back(make_list(rules, program * rules));
    set->programs.push_back({{Tier{{program}, TierEnd::deny, false, kNoCounter}}});
  }
  node.rules = std::move(set);
  node.counters = 2 * rules;
  node.remotes = {Prefix::of(Address::of(kRemoteNet), 96 + 16)};
  for (unsigned pod = 0; pod < kPods; ++pod) {
    node.pods.push_back({pod_address(pod), 0, 1});
  }
  return node;
}

std::shared_ptr<const Generation> make_generation(const Node& node, unsigned workers) {
  auto g = std::make_shared<Generation>();
  g->number = 1;
  g->linear = std::make_shared<const Linear>(node.rules);
  g->routes = make_routes(node);
  g->endpoint_of_port.resize(kFirstPodPort, kNoEndpoint);
  for (unsigned n = 0; n < node.pods.size(); ++n) {
    const Node::Pod& pod = node.pods[n];
    Endpoint e;
    e.port = static_cast<PortId>(kFirstPodPort + n);
    e.worker = static_cast<uint8_t>(n % workers);
    e.ready = true;
    e.egress = pod.egress;
    e.ingress = pod.ingress;
    e.addresses = {pod.address};
    e.mac = pod_mac(n);
    g->endpoints.push_back(e);
    g->endpoint_of_port.push_back(n);
    g->by_address[pod.address] = n;
  }
  if (const Status made = compile(*g, {}, nullptr); !made) {
    std::fprintf(stderr, "%s\n", made.error().what.c_str());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return g;
}

}  // namespace sluice::perf
