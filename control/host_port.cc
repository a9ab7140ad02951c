// SPDX-License-Identifier: Apache-2.0
#include "control/host_port.h"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <system_error>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/tc_hook.h"

namespace sluice::control {
namespace {

// Fixed, so that nobody's naming policy changes them, and a leftover pair is known as ours.
constexpr MacAddress kKernelMac = {{0x02, 0x73, 0x6c, 0x75, 0x00, 0x01}};
constexpr MacAddress kOurMac = {{0x02, 0x73, 0x6c, 0x75, 0x00, 0x02}};
constexpr uint32_t kMainTable = 254;

constexpr IpRule kRule = {kHostPortRulePriority, kHostPortTable, kRouteProtocol, false};
constexpr IpRule kRule6 = {kHostPortRulePriority, kHostPortTable, kRouteProtocol, true};

Status write_sysctl(const std::string& path, const char* value, bool must_exist) {
  std::ofstream file("/proc/sys/net/" + path);
  if (!file && !must_exist) {
    return Ok{};  // the kernel has no IPv6
  }
  file << value << std::flush;
  if (!file) {
    return Error{"sysctl net/" + path + ": cannot set to " + value};
  }
  return Ok{};
}

Result<Link> existing(Netlink& netlink, const std::string& name) {
  auto link = netlink.link(name);
  if (!link) {
    return link.error();
  }
  if (!*link) {
    return Error{"link \"" + name + "\" vanished while it was set up"};
  }
  return **link;
}

Status bring_up(Netlink& netlink, const Link& link) {
  if (Status s = write_sysctl("ipv6/conf/" + link.name + "/disable_ipv6", "1", false); !s) {
    return s;
  }
  return netlink.set_up(link.ifindex);
}

// A name that one process of the network namespace can have, and that ends with it: an abstract
// socket.  What stands under a name that nobody has was left by a dead one.
Result<int> hold(const std::string& name) {
  const std::string path = "sluice/" + name;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), bytes) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  if (error == EADDRINUSE) {
    return Error{"another sluiced of this network namespace has the host port " + name,
                 "end it first: `ss -xap | grep sluice` shows its pid"};
  }
  return Error{"host port " + name + ": " + std::generic_category().message(error)};
}

bool contains(const std::vector<Route>& routes, const Route& route) {
  return std::find(routes.begin(), routes.end(), route) != routes.end();
}

bool has_ip6(const std::vector<Address>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [](const Address& address) { return !address.is_v4(); });
}

}  // namespace

HostPort::HostPort(Netlink netlink, int held) : netlink_(std::move(netlink)), held_(held) {}

HostPort::HostPort(HostPort&& other) noexcept
    : netlink_(std::exchange(other.netlink_, std::nullopt)),
      held_(std::exchange(other.held_, -1)),
      kernel_end_(std::move(other.kernel_end_)),
      our_end_(std::move(other.our_end_)),
      added_source_(other.added_source_),
      ip6_(other.ip6_) {}

HostPort& HostPort::operator=(HostPort&& other) noexcept {
  if (this != &other) {
    remove();
    netlink_ = std::exchange(other.netlink_, std::nullopt);
    held_ = std::exchange(other.held_, -1);
    kernel_end_ = std::move(other.kernel_end_);
    our_end_ = std::move(other.our_end_);
    added_source_ = other.added_source_;
    ip6_ = other.ip6_;
  }
  return *this;
}

Status HostPort::remove_leftovers(const std::string& name) {
  const auto held = hold(name);
  if (!held) {
    return held.error();
  }
  close(*held);
  return clear(name);
}

Status HostPort::clear(const std::string& name) {
  TcHook::remove_leftovers();
  auto netlink = Netlink::open();
  if (!netlink) {
    return netlink.error();
  }
  const auto old = netlink->link(name);
  if (!old) {
    return old.error();
  }
  if (*old) {
    if ((*old)->mac != kKernelMac) {
      return Error{"link \"" + name + "\" exists and is not ours",
                   "rename or remove it: the host port needs that name"};
    }
    if (Status s = netlink->delete_link((*old)->ifindex); !s) {
      return s;
    }
  }
  if (Status s = netlink->delete_rules(kRule); !s) {
    return s;
  }
  return netlink->delete_rules(kRule6);
}

Result<HostPort> HostPort::create(const Options& options) {
  auto netlink = Netlink::open();
  if (!netlink) {
    return netlink.error();
  }
  const auto held = hold(options.name);
  if (!held) {
    return held.error();
  }
  // From here on the destructor undoes what was done.
  HostPort port(std::move(*netlink), *held);
  if (Status s = clear(options.name); !s) {
    return s.error();
  }
  if (Status s = port.netlink_->add_veth({options.name, kKernelMac}, {options.peer, kOurMac},
                                         options.mtu);
      !s) {
    return s.error();
  }
  if (const auto made = port.netlink_->link(options.name); made && *made) {
    port.kernel_end_ = **made;
  }
  const auto our_end = existing(*port.netlink_, options.peer);
  if (!our_end) {
    return our_end.error();
  }
  if (Status s = write_sysctl("ipv4/conf/" + options.name + "/rp_filter", "0", true); !s) {
    return s.error();
  }
  if (Status s = bring_up(*port.netlink_, *our_end); !s) {
    return s.error();
  }
  if (Status s = bring_up(*port.netlink_, port.kernel_end_); !s) {
    return s.error();
  }
  if (Status s = port.netlink_->add_rule(kRule); !s) {
    return s.error();
  }
  // Read again: both have carrier only now.
  auto kernel_up = existing(*port.netlink_, options.name);
  auto our_up = existing(*port.netlink_, options.peer);
  if (!kernel_up || !our_up) {
    return kernel_up ? our_up.error() : kernel_up.error();
  }
  port.kernel_end_ = std::move(*kernel_up);
  port.our_end_ = std::move(*our_up);
  return port;
}

Status HostPort::sync_source(std::optional<Ip4> source) {
  if (added_source_ && added_source_ != source) {
    const LocalAddress old = {kernel_end_.ifindex, Address::of(*added_source_), 128};
    if (Status s = netlink_->delete_address(old); !s) {
      return s;
    }
    added_source_.reset();
  }
  if (!source || added_source_) {
    return Ok{};
  }
  const auto local = netlink_->addresses();
  if (!local) {
    return local.error();
  }
  for (const LocalAddress& one : *local) {
    if (one.address == Address::of(*source)) {
      return Ok{};
    }
  }
  if (Status s = netlink_->add_address({kernel_end_.ifindex, Address::of(*source), 128}); !s) {
    return s;
  }
  added_source_ = source;
  return Ok{};
}

Status HostPort::enable_ip6() {
  const std::string conf = "ipv6/conf/" + kernel_end_.name;
  if (ip6_ || !std::ifstream("/proc/sys/net/" + conf + "/disable_ipv6")) {
    return Ok{};
  }
  // Nobody else is on this link: no router to hear, and no duplicate of our address.
  for (const char* off : {"accept_ra", "router_solicitations", "accept_dad"}) {
    if (Status s = write_sysctl(conf + "/" + off, "0", true); !s) {
      return s;
    }
  }
  if (Status s = write_sysctl(conf + "/disable_ipv6", "0", true); !s) {
    return s;
  }
  if (Status s = netlink_->add_rule(kRule6); !s) {
    return s;
  }
  ip6_ = true;
  return Ok{};
}

std::vector<Route> HostPort::wanted_routes(const std::vector<Address>& pods,
                                           const std::vector<Prefix>& remote_blocks,
                                           std::optional<Ip4> source) const {
  const bool ip6 = ip6_ && has_ip6(pods);
  std::vector<Route> wanted;
  wanted.reserve(pods.size() + remote_blocks.size());
  const auto want = [&](const Prefix& destination, const std::optional<Address>& from) {
    if (destination.is_v4() || ip6) {
      wanted.push_back({destination, kHostPortTable, kernel_end_.ifindex, std::nullopt, from,
                        kRouteProtocol});
    }
  };
  for (const Address& pod : pods) {
    want(Prefix::of(pod, 128), std::nullopt);
  }
  for (const Prefix& block : remote_blocks) {
    const bool from_tunnel = source && block.is_v4();
    want(block, from_tunnel ? std::optional(Address::of(*source)) : std::nullopt);
  }
  return wanted;
}

Status HostPort::sync_pods(const std::vector<Address>& pods,
                           const std::vector<Prefix>& remote_blocks,
                           std::optional<Ip4> source) {
  if (!netlink_) {
    return Error{"host port: is removed"};
  }
  if (Status s = sync_source(source); !s) {
    return s;
  }
  Status ip6 = Ok{};
  if (has_ip6(pods)) {
    ip6 = enable_ip6();  // IPv4 does not wait for it
  }
  const std::vector<Route> wanted = wanted_routes(pods, remote_blocks, source);
  const auto present = netlink_->routes(kHostPortTable);
  if (!present) {
    return present.error();
  }
  // New ones first: a changed route replaces its predecessor, so that no packet finds a gap.
  for (const Route& route : wanted) {
    if (!contains(*present, route)) {
      if (Status s = netlink_->add_route(route); !s) {
        return s;
      }
    }
  }
  for (const Route& route : *present) {
    const bool kept = std::any_of(wanted.begin(), wanted.end(), [&](const Route& w) {
      return w.destination == route.destination;
    });
    if (!kept) {
      if (Status s = netlink_->delete_route(route); !s) {
        return s;
      }
    }
  }
  return ip6;
}

Status HostPort::take_over_uplink(const config::Uplink& uplink) {
  if (!netlink_) {
    return Error{"host port: is removed"};
  }
  for (const auto& one : uplink.addresses) {
    if (!one.address.is_v4()) {
      if (Status s = enable_ip6(); !s) {
        return s;
      }
    }
    // The kernel makes the connected route itself.
    if (Status s = netlink_->add_address({kernel_end_.ifindex, one.address, one.length}); !s) {
      return s;
    }
  }
  if (uplink.gateway) {
    if (Status s = add_default_route(Address::of(*uplink.gateway)); !s) {
      return s;
    }
  }
  if (uplink.gateway6 && ip6_) {
    return add_default_route(*uplink.gateway6);
  }
  return Ok{};
}

Status HostPort::add_default_route(const Address& gateway) {
  const Prefix everything = Prefix::of(gateway, gateway.is_v4() ? 96 : 0);
  const Status added = netlink_->add_route(
      {everything, kMainTable, kernel_end_.ifindex, gateway, std::nullopt, kRouteProtocol},
      false);
  if (!added) {
    return Error{added.error().what,
                 "if the node has a default route already, give that one a metric: it is the "
                 "way out without sluice"};
  }
  return Ok{};
}

void HostPort::remove() {
  if (!netlink_) {
    return;
  }
  // A failure here leaves what create() clears at the next start; there is nobody to tell.
  static_cast<void>(netlink_->delete_rules(kRule));
  static_cast<void>(netlink_->delete_rules(kRule6));
  if (kernel_end_.ifindex != 0) {
    static_cast<void>(netlink_->delete_link(kernel_end_.ifindex));
  }
  netlink_.reset();
  close(std::exchange(held_, -1));
}

}  // namespace sluice::control
