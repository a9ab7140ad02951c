// SPDX-License-Identifier: Apache-2.0
// The node's own connection to its pods: a veth pair into the kernel, and the routes that lead
// the kernel's sends toward pods into it.
//
// The kernel keeps `name` (sluice0); the fast path opens `peer` (sluice0p) as a port.  Routes
// to local pods and remote blocks stand in a table of our own, which one rule puts before main,
// so that they win over routes that Calico left there, without touching those.  The kernel
// resolves pod addresses on sluice0 by ARP and neighbour discovery; the fast path answers.
//
// sluice0 has IPv6, and the rule its twin, from the first IPv6 pod (or address) on: before, it
// would only make noise.  The kernel takes no router's word there and sends no solicitation for
// one.
//
// Life: create() clears what a dead instance left and makes the pair; remove(), or the
// destructor, takes the rule and the pair away, and with the pair all its routes and addresses.
// Neither ip_forward nor any other interface's settings are touched.  Written and read by the
// control thread only; it acts in the network namespace it was created in.
#ifndef SLUICE_CONTROL_HOST_PORT_H_
#define SLUICE_CONTROL_HOST_PORT_H_

#include <optional>
#include <string>
#include <vector>

#include "classifier/result.h"
#include "classifier/types.h"
#include "config/model.h"
#include "control/netlink.h"

namespace sluice::control {

inline constexpr uint32_t kHostPortTable = 8600;
inline constexpr uint32_t kHostPortRulePriority = 100;
inline constexpr uint8_t kRouteProtocol = 186;  // marks what is ours, for `ip route` to show

class HostPort {
 public:
  struct Options {
    std::string name = "sluice0";   // the kernel's end
    std::string peer = "sluice0p";  // ours
    uint32_t mtu = 1500;
  };

  // Makes the pair, both ends up, and the rule.  A pair or rule of the same name or number that
  // a dead instance left is removed first.
  // Fails if a link of that name is no veth pair of ours, or another process has it.
  static Result<HostPort> create(const Options& options);

  HostPort(HostPort&& other) noexcept;
  HostPort& operator=(HostPort&& other) noexcept;
  ~HostPort() { remove(); }

  const Link& kernel_end() const { return kernel_end_; }
  const Link& our_end() const { return our_end_; }

  // Makes the kernel's routes equal to these: /32 or /128 for each pod, and each remote block,
  // those of IPv4 with `source`, the tunnel's address, as preferred source.  `source` is put on
  // sluice0 as /32 unless the node has it already.  Only differences are applied.  Blocks of
  // IPv6 are left out while no pod has IPv6; all of it is, where the kernel has none.
  Status sync_pods(const std::vector<Address>& pods, const std::vector<Prefix>& remote_blocks,
                   std::optional<Ip4> source);

  // For an uplink that the kernel does not have: the node's addresses go onto sluice0 with
  // their connected routes, and the default routes go through it.
  Status take_over_uplink(const config::Uplink& uplink);

  // Takes away what a dead instance left, if anything; an error if one lives.
  static Status remove_leftovers(const std::string& name = "sluice0");

  // Takes everything away again; a second call does nothing.
  void remove();

 private:
  HostPort(Netlink netlink, int held);
  static Status clear(const std::string& name);
  // Makes `source` local, and drops the one that we added before if it is another.
  Status sync_source(std::optional<Ip4> source);
  // Gives sluice0 its IPv6, once; nothing where the kernel has none.
  Status enable_ip6();
  // Those that the kernel is to have.
  std::vector<Route> wanted_routes(const std::vector<Address>& pods,
                                   const std::vector<Prefix>& remote_blocks,
                                   std::optional<Ip4> source) const;
  Status add_default_route(const Address& gateway);

  std::optional<Netlink> netlink_;  // empty once removed or moved from
  int held_ = -1;                   // the name, ours while this is open
  Link kernel_end_;
  Link our_end_;
  std::optional<Ip4> added_source_;
  bool ip6_ = false;  // sluice0 has IPv6
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_HOST_PORT_H_
