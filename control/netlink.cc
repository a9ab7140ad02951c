// SPDX-License-Identifier: Apache-2.0
#include "control/netlink.h"

#include <cerrno>
#include <cstring>
#include <functional>
#include <system_error>
#include <utility>

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

namespace sluice::control {
namespace {

using Message = std::unique_ptr<nl_msg, decltype(&nlmsg_free)>;
using Attributes = std::vector<nlattr*>;

constexpr unsigned char kFamilies[] = {AF_INET, AF_INET6};

// A request with room for every attribute that this file puts in.
Message message_of(int type, int flags) {
  return {nlmsg_alloc_simple(type, flags), &nlmsg_free};
}

Error failure(const std::string& what, int code) {
  const int error = code < 0 ? -code : code;
  return {what + ": " + std::generic_category().message(error),
          error == EPERM || error == EACCES ? "run as root, or with CAP_NET_ADMIN" : ""};
}

void put_address(nl_msg* message, int type, const Address& address) {
  if (address.is_v4()) {
    nla_put_u32(message, type, Be32::of(address.v4().value).wire);
    return;
  }
  const uint64_t wire[2] = {__builtin_bswap64(address.hi), __builtin_bswap64(address.lo)};
  nla_put(message, type, sizeof wire, wire);
}

unsigned char family_of(const Address& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

// What a prefix that the kernel counts by its family counts on the 128-bit form.
uint8_t length_of(unsigned char family, unsigned length) {
  return static_cast<uint8_t>(family == AF_INET ? length + 96 : length);
}

std::optional<Address> address_of(const nlattr* attribute) {
  if (attribute == nullptr) {
    return std::nullopt;
  }
  const auto* bytes = static_cast<const uint8_t*>(nla_data(attribute));
  Address address;
  if (nla_len(attribute) == 4) {
    Be32 wire;
    std::memcpy(&wire, bytes, 4);
    return Address::of(Ip4{wire.host()});
  }
  if (nla_len(attribute) != 16) {
    return std::nullopt;
  }
  std::memcpy(&address.hi, bytes, 8);
  std::memcpy(&address.lo, bytes + 8, 8);
  address.hi = __builtin_bswap64(address.hi);
  address.lo = __builtin_bswap64(address.lo);
  return address;
}

std::optional<MacAddress> mac_of(const nlattr* attribute) {
  if (attribute == nullptr || nla_len(attribute) != 6) {
    return std::nullopt;
  }
  MacAddress mac;
  std::memcpy(mac.bytes, nla_data(attribute), sizeof mac.bytes);
  return mac;
}

// The attributes behind a message's fixed header, by type; nullptr where absent.
Attributes attributes_of(nlmsghdr* header, size_t fixed, int max_type) {
  Attributes table(static_cast<size_t>(max_type) + 1, nullptr);
  nlmsg_parse(header, static_cast<int>(fixed), table.data(), max_type, nullptr);
  return table;
}

Link link_of(nlmsghdr* header) {
  const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(header));
  const Attributes table = attributes_of(header, sizeof *info, IFLA_MAX);
  Link link;
  link.ifindex = info->ifi_index;
  link.up = (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_RUNNING) != 0;
  if (table[IFLA_IFNAME] != nullptr) {
    link.name = nla_get_string(table[IFLA_IFNAME]);
  }
  if (table[IFLA_MTU] != nullptr) {
    link.mtu = nla_get_u32(table[IFLA_MTU]);
  }
  link.mac = mac_of(table[IFLA_ADDRESS]).value_or(MacAddress{});
  return link;
}

std::optional<Neighbour> neighbour_of(nlmsghdr* header) {
  const auto* info = static_cast<const ndmsg*>(nlmsg_data(header));
  if (info->ndm_family != AF_INET && info->ndm_family != AF_INET6) {
    return std::nullopt;  // a bridge's table comes on the same group
  }
  const Attributes table = attributes_of(header, sizeof *info, NDA_MAX);
  const std::optional<Address> address = address_of(table[NDA_DST]);
  if (!address) {
    return std::nullopt;
  }
  Neighbour neighbour{info->ndm_ifindex, *address, std::nullopt};
  constexpr unsigned kUsable =
      NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  if (header->nlmsg_type == RTM_NEWNEIGH && (info->ndm_state & kUsable) != 0) {
    neighbour.mac = mac_of(table[NDA_LLADDR]);
  }
  return neighbour;
}

// Of another family it is none: a kernel without IPv6 answers with what it has.
std::optional<Route> route_of(nlmsghdr* header, unsigned char family) {
  const auto* info = static_cast<const rtmsg*>(nlmsg_data(header));
  if (info->rtm_family != family || info->rtm_type != RTN_UNICAST) {
    return std::nullopt;
  }
  const Attributes table = attributes_of(header, sizeof *info, RTA_MAX);
  if (table[RTA_OIF] == nullptr) {
    return std::nullopt;
  }
  Route route;
  const Address any = family == AF_INET ? Address::of(Ip4{0}) : Address{};
  route.destination = Prefix::of(address_of(table[RTA_DST]).value_or(any),
                                 length_of(family, info->rtm_dst_len));
  route.table = table[RTA_TABLE] != nullptr ? nla_get_u32(table[RTA_TABLE]) : info->rtm_table;
  route.ifindex = static_cast<int>(nla_get_u32(table[RTA_OIF]));
  route.protocol = info->rtm_protocol;
  route.gateway = address_of(table[RTA_GATEWAY]);
  route.source = address_of(table[RTA_PREFSRC]);
  return route;
}

using OnMessage = std::function<void(nlmsghdr*)>;

int on_valid(nl_msg* message, void* argument) {
  (*static_cast<OnMessage*>(argument))(nlmsg_hdr(message));
  return NL_OK;
}

int on_error(sockaddr_nl*, nlmsgerr* error, void* argument) {
  *static_cast<int*>(argument) = error->error;
  return NL_STOP;
}

int on_end(nl_msg*, void* argument) {
  *static_cast<bool*>(argument) = true;
  return NL_STOP;
}

int on_ack(nl_msg*, void* argument) {
  *static_cast<bool*>(argument) = true;
  return NL_STOP;
}

// Sends `message`, gives what comes back to `on_message` until the acknowledgement or the end
// of a dump.  Returns 0 or a negative errno: the kernel's own, which libnl's codes would blur.
int exchange(nl_sock* socket, nl_msg* message, OnMessage on_message) {
  if (nl_send_auto(socket, message) < 0) {
    return errno != 0 ? -errno : -EIO;
  }
  int error = 0;
  bool ended = false;
  const std::unique_ptr<nl_cb, decltype(&nl_cb_put)> callbacks(nl_cb_alloc(NL_CB_DEFAULT),
                                                               &nl_cb_put);
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_valid, &on_message);
  nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_end, &ended);
  nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_ack, &ended);
  nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &error);
  while (!ended && error == 0) {
    const int received = nl_recvmsgs(socket, callbacks.get());
    if (received < 0 && error == 0) {
      return received == -NLE_DUMP_INTR ? -EAGAIN : -EIO;
    }
  }
  return error;
}

nl_sock* connect_route(int* error) {
  nl_sock* socket = nl_socket_alloc();
  if (socket == nullptr) {
    *error = -ENOMEM;
    return nullptr;
  }
  if (nl_connect(socket, NETLINK_ROUTE) < 0) {
    *error = errno != 0 ? -errno : -EIO;
    nl_socket_free(socket);
    return nullptr;
  }
  return socket;
}

void put_veth_end(nl_msg* message, const Netlink::VethEnd& end, uint32_t mtu) {
  nla_put_string(message, IFLA_IFNAME, end.name.c_str());
  nla_put(message, IFLA_ADDRESS, sizeof end.mac.bytes, end.mac.bytes);
  nla_put_u32(message, IFLA_MTU, mtu);
}

Message address_message(int type, int flags, const LocalAddress& local) {
  Message message = message_of(type, flags);
  ifaddrmsg info{};
  info.ifa_family = family_of(local.address);
  const unsigned family_bits = local.address.is_v4() ? 96 : 0;
  info.ifa_prefixlen = static_cast<uint8_t>(local.length - family_bits);
  info.ifa_index = static_cast<uint32_t>(local.ifindex);
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  put_address(message.get(), IFA_LOCAL, local.address);
  put_address(message.get(), IFA_ADDRESS, local.address);
  return message;
}

Message route_message(int type, int flags, const Route& route) {
  Message message = message_of(type, flags);
  rtmsg info{};
  info.rtm_family = family_of(route.destination.base);
  info.rtm_dst_len = static_cast<uint8_t>(route.destination.written_length());
  info.rtm_table = RT_TABLE_UNSPEC;  // RTA_TABLE holds it
  info.rtm_protocol = route.protocol;
  info.rtm_scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  info.rtm_type = RTN_UNICAST;
  if (route.gateway) {
    info.rtm_flags = RTNH_F_ONLINK;  // the gateway need not lie in a connected prefix
  }
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  put_address(message.get(), RTA_DST, route.destination.base);
  nla_put_u32(message.get(), RTA_TABLE, route.table);
  nla_put_u32(message.get(), RTA_OIF, static_cast<uint32_t>(route.ifindex));
  if (route.gateway) {
    put_address(message.get(), RTA_GATEWAY, *route.gateway);
  }
  if (route.source) {
    put_address(message.get(), RTA_PREFSRC, *route.source);
  }
  return message;
}

Message rule_message(int type, int flags, const IpRule& rule) {
  Message message = message_of(type, flags);
  fib_rule_hdr info{};
  info.family = rule.ip6 ? AF_INET6 : AF_INET;
  info.action = FR_ACT_TO_TBL;
  info.table = RT_TABLE_UNSPEC;  // FRA_TABLE holds it
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  nla_put_u32(message.get(), FRA_PRIORITY, rule.priority);
  nla_put_u32(message.get(), FRA_TABLE, rule.table);
  nla_put_u8(message.get(), FRA_PROTOCOL, rule.protocol);
  return message;
}

std::string named(const Route& route) {
  return "route " + to_string(route.destination) + " table " + std::to_string(route.table);
}

}  // namespace

void Netlink::Close::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}
void NetlinkMonitor::Close::operator()(nl_sock* socket) const {
  nl_socket_free(socket);
}

Result<Netlink> Netlink::open() {
  int error = 0;
  nl_sock* socket = connect_route(&error);
  if (socket == nullptr) {
    return failure("netlink: open", error);
  }
  return Netlink(socket);
}

int Netlink::request(nl_msg* message) {
  return exchange(socket_.get(), message, [](nlmsghdr*) {});
}

Result<std::optional<Link>> Netlink::link(const std::string& name) {
  const Message message = message_of(RTM_GETLINK, NLM_F_REQUEST);
  ifinfomsg info{};
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
  std::optional<Link> found;
  const int error = exchange(socket_.get(), message.get(),
                             [&](nlmsghdr* header) { found = link_of(header); });
  if (error == -ENODEV) {
    return std::optional<Link>();
  }
  if (error != 0) {
    return failure("link \"" + name + "\"", error);
  }
  return found;
}

Result<std::vector<Neighbour>> Netlink::neighbours(int ifindex) {
  const Message message = message_of(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP);
  ndmsg info{};
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  std::vector<Neighbour> all;
  const int error = exchange(socket_.get(), message.get(), [&](nlmsghdr* header) {
    const std::optional<Neighbour> one = neighbour_of(header);
    if (one && one->ifindex == ifindex) {
      all.push_back(*one);
    }
  });
  if (error != 0) {
    return failure("neighbours of link " + std::to_string(ifindex), error);
  }
  return all;
}

Status Netlink::resolve(int ifindex, const Address& address) {
  const Message message =
      message_of(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  ndmsg info{};
  info.ndm_family = family_of(address);
  info.ndm_ifindex = ifindex;
  info.ndm_flags = NTF_USE;
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  put_address(message.get(), NDA_DST, address);
  const int error = request(message.get());
  if (error != 0) {
    return failure("neighbour " + to_string(address) + ": resolve", error);
  }
  return Ok{};
}

Result<std::vector<LocalAddress>> Netlink::addresses() {
  std::vector<LocalAddress> all;
  for (const unsigned char family : kFamilies) {
    const Message message = message_of(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP);
    ifaddrmsg info{};
    info.ifa_family = family;
    nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
    const int error = exchange(socket_.get(), message.get(), [&](nlmsghdr* header) {
      const auto* one = static_cast<const ifaddrmsg*>(nlmsg_data(header));
      const Attributes table = attributes_of(header, sizeof *one, IFA_MAX);
      const bool own = table[IFA_LOCAL] != nullptr;  // else IFA_ADDRESS is not the other end
      const auto address = address_of(table[own ? IFA_LOCAL : IFA_ADDRESS]);
      const bool link_local = family == AF_INET6 && one->ifa_scope == RT_SCOPE_LINK;
      if (address && one->ifa_family == family && !link_local) {
        all.push_back({static_cast<int>(one->ifa_index), *address,
                       length_of(family, one->ifa_prefixlen)});
      }
    });
    if (error != 0) {
      return failure("addresses", error);
    }
  }
  return all;
}

Result<std::vector<Route>> Netlink::routes(uint32_t table) {
  std::vector<Route> all;
  for (const unsigned char family : kFamilies) {
    const Message message = message_of(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
    rtmsg info{};
    info.rtm_family = family;
    nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
    const int error = exchange(socket_.get(), message.get(), [&](nlmsghdr* header) {
      const std::optional<Route> one = route_of(header, family);
      if (one && one->table == table) {
        all.push_back(*one);
      }
    });
    if (error != 0) {
      return failure("routes of table " + std::to_string(table), error);
    }
  }
  return all;
}

Status Netlink::add_veth(const VethEnd& end, const VethEnd& peer, uint32_t mtu) {
  const Message message =
      message_of(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg info{};
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  put_veth_end(message.get(), end, mtu);
  nlattr* link_info = nla_nest_start(message.get(), IFLA_LINKINFO);
  nla_put_string(message.get(), IFLA_INFO_KIND, "veth");
  nlattr* data = nla_nest_start(message.get(), IFLA_INFO_DATA);
  nlattr* other = nla_nest_start(message.get(), VETH_INFO_PEER);
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  put_veth_end(message.get(), peer, mtu);
  nla_nest_end(message.get(), other);
  nla_nest_end(message.get(), data);
  nla_nest_end(message.get(), link_info);
  const int error = request(message.get());
  if (error != 0) {
    return failure("link \"" + end.name + "\": create", error);
  }
  return Ok{};
}

Status Netlink::set_up(int ifindex) {
  const Message message = message_of(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
  ifinfomsg info{};
  info.ifi_index = ifindex;
  info.ifi_flags = IFF_UP;
  info.ifi_change = IFF_UP;
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  const int error = request(message.get());
  if (error != 0) {
    return failure("link " + std::to_string(ifindex) + ": set up", error);
  }
  return Ok{};
}

Status Netlink::delete_link(int ifindex) {
  const Message message = message_of(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK);
  ifinfomsg info{};
  info.ifi_index = ifindex;
  nlmsg_append(message.get(), &info, sizeof info, NLMSG_ALIGNTO);
  const int error = request(message.get());
  if (error != 0) {
    return failure("link " + std::to_string(ifindex) + ": delete", error);
  }
  return Ok{};
}

Status Netlink::add_address(const LocalAddress& address) {
  const Message message = address_message(
      RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, address);
  const int error = request(message.get());
  if (error != 0 && error != -EEXIST) {
    return failure("address " + to_string(address.address) + ": add", error);
  }
  return Ok{};
}

Status Netlink::delete_address(const LocalAddress& address) {
  const Message message = address_message(RTM_DELADDR, NLM_F_REQUEST | NLM_F_ACK, address);
  const int error = request(message.get());
  if (error != 0 && error != -EADDRNOTAVAIL) {
    return failure("address " + to_string(address.address) + ": delete", error);
  }
  return Ok{};
}

Status Netlink::add_route(const Route& route, bool replace) {
  const int how = replace ? NLM_F_REPLACE : NLM_F_EXCL;
  const Message message =
      route_message(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | how, route);
  const int error = request(message.get());
  if (error != 0) {
    return failure(named(route) + ": add", error);
  }
  return Ok{};
}

Status Netlink::delete_route(const Route& route) {
  const Message message = route_message(RTM_DELROUTE, NLM_F_REQUEST | NLM_F_ACK, route);
  const int error = request(message.get());
  if (error != 0 && error != -ESRCH) {
    return failure(named(route) + ": delete", error);
  }
  return Ok{};
}

Status Netlink::add_rule(const IpRule& rule) {
  const Message message =
      rule_message(RTM_NEWRULE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, rule);
  const int error = request(message.get());
  if (error != 0) {
    return failure("rule of priority " + std::to_string(rule.priority) + ": add", error);
  }
  return Ok{};
}

Status Netlink::delete_rules(const IpRule& rule) {
  constexpr int kMost = 64;  // leftovers of that many dead instances; keeps the loop bounded
  for (int i = 0; i < kMost; ++i) {
    const Message message = rule_message(RTM_DELRULE, NLM_F_REQUEST | NLM_F_ACK, rule);
    const int error = request(message.get());
    const bool no_family = error == -EAFNOSUPPORT || error == -EOPNOTSUPP;
    if (error == -ENOENT || error == -ESRCH || no_family) {
      return Ok{};
    }
    if (error != 0) {
      return failure("rule of priority " + std::to_string(rule.priority) + ": delete", error);
    }
  }
  return Ok{};
}

Result<NetlinkMonitor> NetlinkMonitor::open() {
  int error = 0;
  nl_sock* socket = connect_route(&error);
  if (socket == nullptr) {
    return failure("netlink: open", error);
  }
  NetlinkMonitor monitor(socket);
  nl_socket_disable_seq_check(socket);
  nl_socket_set_nonblocking(socket);
  nl_socket_set_buffer_size(socket, 1 << 20, 0);
  if (nl_socket_add_memberships(socket, RTNLGRP_LINK, RTNLGRP_NEIGH, 0) < 0) {
    return failure("netlink: subscribe", errno);
  }
  return monitor;
}

int NetlinkMonitor::fd() const {
  return nl_socket_get_fd(socket_.get());
}

std::vector<Event> NetlinkMonitor::drain() {
  std::vector<Event> events;
  OnMessage on_message = [&events](nlmsghdr* header) {
    Event event;
    if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) {
      const auto* info = static_cast<const ifinfomsg*>(nlmsg_data(header));
      if (info->ifi_family != AF_UNSPEC) {
        return;  // a bridge's view of its port, not the link
      }
      event.kind =
          header->nlmsg_type == RTM_NEWLINK ? Event::Kind::link : Event::Kind::link_gone;
      event.link = link_of(header);
      events.push_back(std::move(event));
    } else if (header->nlmsg_type == RTM_NEWNEIGH || header->nlmsg_type == RTM_DELNEIGH) {
      if (const std::optional<Neighbour> neighbour = neighbour_of(header)) {
        event.kind = Event::Kind::neighbour;
        event.neighbour = *neighbour;
        events.push_back(std::move(event));
      }
    }
  };
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, on_valid, &on_message);
  for (;;) {
    const int received = nl_recvmsgs_default(socket_.get());
    if (received == -NLE_NOMEM) {  // ENOBUFS: the socket's buffer overflowed
      events.push_back(Event{});
      continue;
    }
    if (received < 0) {
      break;  // -NLE_AGAIN: all is read
    }
  }
  nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_DEFAULT, nullptr, nullptr);
  return events;
}

}  // namespace sluice::control
