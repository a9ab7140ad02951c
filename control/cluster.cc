// SPDX-License-Identifier: Apache-2.0
#include "control/cluster.h"

namespace sluice::control {
namespace {

constexpr Ip4 kUnknownNode{0xc0000201};  // 192.0.2.1

}  // namespace

std::string name_of(const LocalEndpoint& endpoint) {
  return qualified(endpoint.namespace_name, endpoint.name);
}

Cluster::Cluster(const config::Model& model, config::Findings& findings)
    : policy_(compile(model, counters_, findings, Whose::of_all_nodes)),
      matcher_(std::make_shared<const Linear>(policy_.rules)) {
  for (const LocalEndpoint& e : policy_.endpoints) {
    by_name_.emplace(name_of(e), &e);
    for (const Address& address : e.addresses) {
      by_address_.emplace(address, &e);
    }
  }
  for (const config::Node& node : model.nodes) {
    if (node.address_host) {
      nodes_[node.meta.name] = Address::of(*node.address_host);
    }
  }
}

Result<Cluster::End> Cluster::end_of(const std::string& word) const {
  End end;
  if (word == "host") {
    end.host = true;
    return end;
  }
  if (word == "world") {
    end.address = Address::of(kWorld);
    return end;
  }
  if (const auto address = parse_address(word)) {
    const auto owner = by_address_.find(*address);
    end.endpoint = owner == by_address_.end() ? nullptr : owner->second;
    end.address = *address;
    return end;
  }
  const auto named = by_name_.find(word);
  if (named != by_name_.end()) {
    end.endpoint = named->second;
    end.address = named->second->addresses.front();
    return end;
  }
  std::vector<std::string_view> known;
  for (const auto& [name, endpoint] : by_name_) {
    known.push_back(name);
  }
  const std::string near = config::nearest(word, known);
  return Error{"\"" + word + "\" is no address and no endpoint of these files",
               near.empty() ? "give an address, NAMESPACE/POD, world or host"
                            : "did you mean \"" + near + "\"?"};
}

Address Cluster::host_address(const End& other) const {
  const auto node =
      other.endpoint == nullptr ? nodes_.end() : nodes_.find(other.endpoint->node);
  return node == nodes_.end() ? Address::of(kUnknownNode) : node->second;
}

std::optional<std::pair<Address, Address>> Cluster::addresses(const End& from,
                                                              const End& to) const {
  // All that an end could use; an endpoint asked for by address has that one only.
  const auto of = [this](const End& end, const End& other) {
    if (end.host) {
      return std::vector<Address>{host_address(other)};
    }
    const bool any = end.endpoint != nullptr && end.address == end.endpoint->addresses.front();
    return any ? end.endpoint->addresses : std::vector<Address>{end.address};
  };
  for (const Address& a : of(from, to)) {
    for (const Address& b : of(to, from)) {
      if (a.is_v4() == b.is_v4()) {
        return std::pair(a, b);
      }
    }
  }
  return std::nullopt;
}

Cluster::Answer Cluster::judge(const End& from, const End& to, const FlowKey& key) const {
  Answer out;
  if (from.host) {
    return out;
  }
  if (from.endpoint != nullptr) {
    out.allow = ask(*matcher_, from.endpoint->egress, Direction::egress, key, out.trail);
  }
  if (out.allow && to.endpoint != nullptr) {
    out.allow = ask(*matcher_, to.endpoint->ingress, Direction::ingress, key, out.trail);
  }
  return out;
}

bool Cluster::allows(const End& from, const End& to, const FlowKey& key) const {
  const auto one = [&](ProgramId program) {
    Verdict verdict;
    matcher_->classify({&key, 1}, {&program, 1}, {&verdict, 1});
    return verdict.kind == Verdict::Kind::allow;
  };
  return from.host || ((from.endpoint == nullptr || one(from.endpoint->egress)) &&
                       (to.endpoint == nullptr || one(to.endpoint->ingress)));
}

}  // namespace sluice::control
