// SPDX-License-Identifier: Apache-2.0
// What control asks of the kernel's network stack, and hears from it: links, addresses,
// neighbours, routes and rules, as plain structs.
//
// Netlink asks and changes; every call is one request and waits for its answer.  NetlinkMonitor
// only listens: its fd goes into the control loop's poll set, and drain() never blocks.  Both
// act in the network namespace that the opening thread is in, and belong to the control thread.
// Failures are Errors that name the object; nothing is retried here.
// Source: rtnetlink(7), linux/rtnetlink.h, linux/neighbour.h, linux/fib_rules.h.
#ifndef SLUICE_CONTROL_NETLINK_H_
#define SLUICE_CONTROL_NETLINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "classifier/result.h"
#include "classifier/types.h"

struct nl_sock;
struct nl_msg;

namespace sluice::control {

struct Link {
  int ifindex = 0;
  std::string name;
  MacAddress mac;
  uint32_t mtu = 0;
  bool up = false;  // administratively up and with carrier
};

struct Neighbour {
  int ifindex = 0;
  Address address;
  std::optional<MacAddress> mac;  // absent: gone, failed or not resolved yet
};

struct LocalAddress {
  int ifindex = 0;
  Address address;
  uint8_t length = 128;  // of its subnet, counted on the 128-bit form
};

// A unicast route; gateway and source are of the destination's family.
struct Route {
  Prefix destination;
  uint32_t table = 254;  // main
  int ifindex = 0;
  std::optional<Address> gateway;  // absent: the destination is on the link
  std::optional<Address> source;   // preferred source
  uint8_t protocol = 0;
  friend bool operator==(const Route&, const Route&) = default;
};

// Looks `table` up for every packet of one family.
struct IpRule {
  uint32_t priority = 0;
  uint32_t table = 0;
  uint8_t protocol = 0;
  bool ip6 = false;
};

class Netlink {
 public:
  static Result<Netlink> open();

  // The link of that name, or nullopt if there is none.
  Result<std::optional<Link>> link(const std::string& name);
  // The IPv4 and IPv6 neighbours that the kernel knows on that link; unusable ones have no mac.
  Result<std::vector<Neighbour>> neighbours(int ifindex);
  // Makes the kernel resolve the address as if it had a packet for it; the answer comes as a
  // neighbour event.
  Status resolve(int ifindex, const Address& address);
  // Addresses of all links but IPv6's link-local ones, IPv4 before IPv6.
  Result<std::vector<LocalAddress>> addresses();
  // Unicast routes of one table, IPv4 before IPv6; those with several next hops are left out.
  Result<std::vector<Route>> routes(uint32_t table);

  struct VethEnd {
    std::string name;
    MacAddress mac;
  };
  // Creates both ends, down.
  Status add_veth(const VethEnd& end, const VethEnd& peer, uint32_t mtu);
  Status set_up(int ifindex);
  Status delete_link(int ifindex);
  Status add_address(const LocalAddress& address);
  Status delete_address(const LocalAddress& address);
  // Replaces a route of the same destination and table.
  // Takes the place of another route to the same destination, unless told not to.
  Status add_route(const Route& route, bool replace = true);
  Status delete_route(const Route& route);
  Status add_rule(const IpRule& rule);
  // Removes every rule that equals `rule`; none is no error, nor is a family that the kernel
  // does not have.
  Status delete_rules(const IpRule& rule);

 private:
  struct Close {
    void operator()(nl_sock* socket) const;
  };
  explicit Netlink(nl_sock* socket) : socket_(socket) {}
  // Sends, waits for the acknowledgement; returns 0 or a negative errno.
  int request(nl_msg* message);

  std::unique_ptr<nl_sock, Close> socket_;
};

struct Event {
  enum class Kind : uint8_t {
    link,       // `link` is there, or changed
    link_gone,  // `link` was removed
    neighbour,  // `neighbour` changed; without mac it is gone or failed
    lost,       // the kernel dropped events: read everything again
  };
  Kind kind = Kind::lost;
  Link link;
  Neighbour neighbour;
};

class NetlinkMonitor {
 public:
  // Hears of every link, and of the neighbours of every link.
  static Result<NetlinkMonitor> open();
  // Readable when drain() has something to say.
  int fd() const;
  // All events since the last call, oldest first.  Never blocks.
  std::vector<Event> drain();

 private:
  struct Close {
    void operator()(nl_sock* socket) const;
  };
  explicit NetlinkMonitor(nl_sock* socket) : socket_(socket) {}
  std::unique_ptr<nl_sock, Close> socket_;
};

}  // namespace sluice::control

#endif  // SLUICE_CONTROL_NETLINK_H_
