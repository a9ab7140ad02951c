// SPDX-License-Identifier: Apache-2.0
// Addresses that endpoints of other nodes have outside of those nodes' blocks: each needs a
// route of its own.
//
// Follows the endpoints from model to model; all are looked at only if the nodes or blocks
// change.  Used by plan_routes on the control thread.
#ifndef SLUICE_CONTROL_BORROWED_H_
#define SLUICE_CONTROL_BORROWED_H_

#include <array>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "config/model.h"

namespace sluice::control {

class Borrowed {
 public:
  // Where endpoints are at home: the other nodes, and their blocks.
  struct Homes {
    std::map<std::string, std::array<std::optional<Address>, 2>> nodes;  // IPv6's, IPv4's
    std::map<Address, std::vector<Prefix>> blocks;                       // by node's address
    friend bool operator==(const Homes&, const Homes&) = default;
  };
  struct One {
    Address address;
    Address node;
  };
  // Is it a pod, its namespace and name: of two with one address the later in this order wins,
  // whichever was read first.
  using Identity = std::tuple<bool, std::string, std::string>;

  const std::map<Identity, std::vector<One>>& update(const config::Model& model, Homes homes);

 private:
  template <typename Object>
  void follow(config::Objects<Object>& known, const config::Objects<Object>& now);
  void add(const Identity& who, const std::string& node, const std::vector<Address>& addresses);

  Homes homes_;
  config::Objects<config::WorkloadEndpoint> endpoints_;
  config::Objects<config::Pod> pods_;
  std::map<Identity, std::vector<One>> all_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_BORROWED_H_
