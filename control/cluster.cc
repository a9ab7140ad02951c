// SPDX-License-Identifier: Apache-2.0
#include "control/cluster.h"

#include <algorithm>

namespace sluice::control {
namespace {

constexpr Ip4 kUnknownNode{0xc0000201};                       // 192.0.2.1
constexpr Address kUnknownNode6{0x20010db8'00000000, 0x201};  // 2001:db8::201

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
      nodes_[node.meta.name].push_back(Address::of(*node.address_host));
    }
    if (node.address6_host) {
      nodes_[node.meta.name].push_back(*node.address6_host);
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
    end.world = true;
    end.address = Address::of(kWorld);
    return end;
  }
  if (const auto address = parse_address(word)) {
    const auto owner = by_address_.find(*address);
    end.endpoint = owner == by_address_.end() ? nullptr : owner->second;
    end.address = *address;
    for (const auto& [name, known] : nodes_) {
      const bool has = std::find(known.begin(), known.end(), *address) != known.end();
      end.node = has ? name : end.node;
    }
    return end;
  }
  if (const auto node = node_end(word)) {
    return *node;
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
               near.empty() ? "give an address, NAMESPACE/POD, a node, world or host"
                            : "did you mean \"" + near + "\"?"};
}

// All that an end could use; one asked for by address has that one only.
std::vector<Address> Cluster::addresses_of(const End& end, const End& other) const {
  if (end.world) {
    return {kWorld, kWorld6};
  }
  if (end.host) {
    const auto node =
        other.endpoint == nullptr ? nodes_.end() : nodes_.find(other.endpoint->node);
    return node == nodes_.end() ? std::vector<Address>{kUnknownNode, kUnknownNode6}
                                : node->second;
  }
  if (const auto node = nodes_.find(end.node);
      node != nodes_.end() && end.address == node->second.front()) {
    return node->second;
  }
  const bool any = end.endpoint != nullptr && end.address == end.endpoint->addresses.front();
  return any ? end.endpoint->addresses : std::vector<Address>{end.address};
}

std::optional<std::pair<Address, Address>> Cluster::addresses(const End& from,
                                                              const End& to) const {
  for (const Address& a : addresses_of(from, to)) {
    for (const Address& b : addresses_of(to, from)) {
      if (a.is_v4() == b.is_v4()) {
        return std::pair(a, b);
      }
    }
  }
  return std::nullopt;
}

std::optional<Cluster::End> Cluster::node_end(const std::string& name) const {
  const auto node = nodes_.find(name);
  if (node == nodes_.end()) {
    return std::nullopt;
  }
  End end;
  end.address = node->second.front();
  end.node = name;
  return end;
}

const ProtectedNode* Cluster::protection(const std::string& node) const {
  const auto it = policy_.nodes.find(node);
  return it == policy_.nodes.end() ? nullptr : &it->second;
}

std::string Cluster::node_of(const End& end, const End& other) const {
  const End& at = end.host ? other : end;
  return at.endpoint != nullptr ? at.endpoint->node : at.node;
}

namespace {

// One packet's way past the lists of workloads and host endpoints; each call false: refused.
class Walk {
 public:
  Walk(const Linear& matcher, const FlowKey& key, Trail& trail)
      : matcher_(matcher), key_(key), trail_(trail) {}

  bool workload(ProgramId program, Direction direction) {
    return ask(matcher_, program, direction, key_, trail_);
  }

  // In by an interface; to the node itself, or through it.
  bool enter(const HostPolicy& p, bool to_node) {
    accepted_ = false;
    for (const auto& [stage, name] :
         {std::pair(&p.untracked_in, "untracked"), std::pair(&p.pre_dnat, "preDNAT")}) {
      const Verdict::Kind said = pass(*stage, name, Direction::ingress, key_);
      if (said != Verdict::Kind::none) {
        accepted_ = said == Verdict::Kind::allow;
        return accepted_;
      }
    }
    return pass(to_node ? p.normal_in : p.forward_in, to_node ? "normal" : "forward",
                Direction::ingress, key_) != Verdict::Kind::deny;
  }

  // Out by an interface; from the node itself, or through it.
  bool leave(const HostPolicy& p, bool from_node) {
    if (from_node) {
      const Verdict::Kind said = pass(p.untracked_out, "untracked", Direction::egress, key_);
      if (said != Verdict::Kind::none) {
        return said == Verdict::Kind::allow;
      }
    }
    return accepted_ ||
           pass(from_node ? p.normal_out : p.forward_out, from_node ? "normal" : "forward",
                Direction::egress, key_) != Verdict::Kind::deny;
  }

  // The tunnel's packet by the uplink, in or out.
  bool outer(const HostPolicy& uplink, const Address& src, const Address& dst,
             Direction direction) {
    const FlowKey key{src, dst, 0, 0, proto::kIpip};
    const bool in = direction == Direction::ingress;
    Verdict::Kind said =
        pass(in ? uplink.untracked_in : uplink.untracked_out, "untracked", direction, key);
    if (in && said == Verdict::Kind::none) {
      said = pass(uplink.pre_dnat, "preDNAT", direction, key);
    }
    return said != Verdict::Kind::deny;
  }

 private:
  Verdict::Kind pass(const HostStage& stage, const char* name, Direction direction,
                     const FlowKey& key) {
    return ask_stage(matcher_, stage, name, direction, key, trail_);
  }

  const Linear& matcher_;
  const FlowKey& key_;
  Trail& trail_;
  bool accepted_ = false;  // by the last enter(): no later list of that node
};

}  // namespace

Cluster::Answer Cluster::judge(const End& from, const End& to, const FlowKey& key,
                               bool apart) const {
  Answer out;
  const std::string a = node_of(from, to);
  const std::string b = node_of(to, from);
  const bool from_node = from.host || !from.node.empty();
  const bool to_node = to.host || !to.node.empty();
  const bool same = !apart && !a.empty() && a == b;
  if (from.host || (same && from_node)) {
    return out;
  }
  const ProtectedNode* here = protection(a);
  const ProtectedNode* there = protection(b);
  const bool tunnel = !same && !a.empty() && to.endpoint != nullptr && key.src.is_v4();
  const auto outer = [&](const ProtectedNode& node, Walk& walk, Direction direction) {
    const auto src = nodes_.find(a);
    const auto dst = nodes_.find(b);
    const bool ends = src != nodes_.end() && src->second.front().is_v4() &&
                      dst != nodes_.end() && dst->second.front().is_v4();
    return !tunnel || !ends ||
           walk.outer(node.uplink.policy, src->second.front(), dst->second.front(), direction);
  };
  Walk walk(*matcher_, key, out.trail);
  const auto passes = [&] {
    if (here != nullptr && from.endpoint != nullptr && !(same && to_node) &&
        !walk.enter(here->pods.policy, false)) {
      return false;
    }
    if (from.endpoint != nullptr && !walk.workload(from.endpoint->egress, Direction::egress)) {
      return false;
    }
    if (here != nullptr && !same &&
        (!walk.leave((tunnel ? here->tunnel : here->uplink).policy, from_node) ||
         !outer(*here, walk, Direction::egress))) {
      return false;
    }
    if (there != nullptr && !same &&
        (!outer(*there, walk, Direction::ingress) ||
         !walk.enter((tunnel ? there->tunnel : there->uplink).policy, to_node))) {
      return false;
    }
    return to.endpoint == nullptr ||
           (walk.workload(to.endpoint->ingress, Direction::ingress) &&
            (there == nullptr || walk.leave(there->pods.policy, false)));
  };
  out.allow = passes();
  return out;
}

bool Cluster::allows(const End& from, const End& to, const FlowKey& key, bool apart) const {
  if (!policy_.nodes.empty()) {
    return judge(from, to, key, apart).allow;
  }
  const auto one = [&](ProgramId program) {
    Verdict verdict;
    matcher_->classify({&key, 1}, {&program, 1}, {&verdict, 1});
    return verdict.kind == Verdict::Kind::allow;
  };
  return from.host || ((from.endpoint == nullptr || one(from.endpoint->egress)) &&
                       (to.endpoint == nullptr || one(to.endpoint->ingress)));
}

}  // namespace sluice::control
