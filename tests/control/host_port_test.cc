// SPDX-License-Identifier: Apache-2.0
// Against the real kernel, in a network namespace of the test's own; skipped without the right
// to make one.
#include "control/host_port.h"

#include <algorithm>
#include <fstream>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::control {
namespace {

constexpr uint32_t kMain = 254;

Ip4 ip(const char* text) {
  return parse_address(text)->v4();
}
Prefix prefix(const char* text) {
  return *parse_prefix(text);
}

Address address(const char* text) {
  return *parse_address(text);
}
config::Uplink uplink(const std::vector<const char*>& addresses, const char* gateway) {
  config::Uplink out;
  for (const char* text : addresses) {
    const std::string whole = text;
    out.addresses.push_back({*parse_address(whole.substr(0, whole.find('/'))),
                             static_cast<uint8_t>(parse_prefix(whole)->length)});
  }
  out.gateway = ip(gateway);
  return out;
}

class HostPortTest : public testing::Test {
 protected:
  void SetUp() override {
    if (unshare(CLONE_NEWNET) != 0) {
      GTEST_SKIP() << "may not make a network namespace";
    }
    auto netlink = Netlink::open();
    ASSERT_TRUE(netlink) << netlink.error().what;
    netlink_.emplace(std::move(*netlink));
  }

  HostPort create() {
    auto port = HostPort::create({});
    if (!port) {
      ADD_FAILURE() << port.error().what;
      std::abort();
    }
    return std::move(*port);
  }
  std::vector<std::string> routes(uint32_t table) {
    std::vector<std::string> out;
    const auto all = netlink_->routes(table);
    for (const Route& route : *all) {
      out.push_back(to_string(route.destination) +
                    (route.gateway ? " via " + to_string(*route.gateway) : "") +
                    (route.source ? " src " + to_string(*route.source) : ""));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  bool local(const char* address) {
    const auto all = netlink_->addresses();
    return std::any_of(all->begin(), all->end(), [&](const LocalAddress& one) {
      return one.address == *parse_address(address);
    });
  }
  static std::string sysctl(const std::string& path) {
    std::string value;
    std::ifstream("/proc/sys/net/" + path) >> value;
    return value;
  }

  std::optional<Netlink> netlink_;
};

using Strings = std::vector<std::string>;

TEST_F(HostPortTest, BringsBothEndsUpWithoutIpv6OrReversePathFilter) {
  const std::string forwarding = sysctl("ipv4/ip_forward");
  const HostPort port = create();
  EXPECT_TRUE(port.kernel_end().up);
  EXPECT_TRUE(port.our_end().up);
  EXPECT_EQ(port.our_end().name, "sluice0p");
  EXPECT_EQ(port.kernel_end().mtu, 1500u);
  EXPECT_EQ(sysctl("ipv6/conf/sluice0/disable_ipv6"), "1");
  EXPECT_EQ(sysctl("ipv6/conf/sluice0p/disable_ipv6"), "1");
  EXPECT_EQ(sysctl("ipv4/conf/sluice0/rp_filter"), "0");
  EXPECT_EQ(sysctl("ipv4/ip_forward"), forwarding);
}

TEST_F(HostPortTest, MakesRoutesFollowPodsAndBlocks) {
  HostPort port = create();
  ASSERT_TRUE(port.sync_pods({address("10.1.0.2"), address("10.1.0.3")},
                             {prefix("10.2.0.0/26"), prefix("fd00::/64")}, ip("10.1.0.1")));
  EXPECT_EQ(routes(kHostPortTable),
            (Strings{"10.1.0.2/32", "10.1.0.3/32", "10.2.0.0/26 src 10.1.0.1"}));
  EXPECT_TRUE(local("10.1.0.1"));
  ASSERT_TRUE(port.sync_pods({address("10.1.0.3"), address("10.1.0.4")},
                             {prefix("10.2.0.0/26")}, ip("10.1.0.9")));
  EXPECT_EQ(routes(kHostPortTable),
            (Strings{"10.1.0.3/32", "10.1.0.4/32", "10.2.0.0/26 src 10.1.0.9"}));
  EXPECT_FALSE(local("10.1.0.1"));
  ASSERT_TRUE(port.sync_pods({}, {}, std::nullopt));
  EXPECT_EQ(routes(kHostPortTable), Strings{});
  EXPECT_FALSE(local("10.1.0.9"));
  EXPECT_EQ(sysctl("ipv6/conf/sluice0/disable_ipv6"), "1") << "no pod had IPv6";
}

TEST_F(HostPortTest, HasIpv6FromTheFirstIpv6PodOn) {
  HostPort port = create();
  ASSERT_TRUE(port.sync_pods({address("10.1.0.2"), address("fd00:1::2"), address("fd00:1::3")},
                             {prefix("10.2.0.0/26"), prefix("fd00:2::/122")}, ip("10.1.0.1")));
  EXPECT_EQ(routes(kHostPortTable),
            (Strings{"10.1.0.2/32", "10.2.0.0/26 src 10.1.0.1", "fd00:1::2/128",
                     "fd00:1::3/128", "fd00:2::/122"}));
  for (const char* off : {"disable_ipv6", "accept_ra", "router_solicitations", "accept_dad"}) {
    EXPECT_EQ(sysctl("ipv6/conf/sluice0/" + std::string(off)), "0") << off;
  }
  EXPECT_EQ(sysctl("ipv6/conf/sluice0p/disable_ipv6"), "1");
  ASSERT_TRUE(port.sync_pods({address("fd00:1::3")}, {prefix("fd00:2::/122")}, std::nullopt));
  EXPECT_EQ(routes(kHostPortTable), (Strings{"fd00:1::3/128", "fd00:2::/122"}));
  ASSERT_TRUE(port.sync_pods({}, {prefix("fd00:2::/122")}, std::nullopt));
  EXPECT_EQ(routes(kHostPortTable), Strings{}) << "no pod of ours needs the block";
  port.remove();
  EXPECT_TRUE(netlink_->add_rule({kHostPortRulePriority, kHostPortTable, kRouteProtocol, true}))
      << "the rule of IPv6 is gone";
}

TEST_F(HostPortTest, SolicitsAPodOutOfOurEnd) {
  HostPort port = create();
  ASSERT_TRUE(port.sync_pods({address("fd00:1::2")}, {}, std::nullopt));
  ASSERT_TRUE(netlink_->add_address({port.kernel_end().ifindex, address("fd00::1"), 128}));
  const int packets = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IPV6));
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_IPV6);
  where.sll_ifindex = port.our_end().ifindex;
  ASSERT_EQ(bind(packets, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  const int sender = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 pod{};
  pod.sin6_family = AF_INET6;
  pod.sin6_port = htons(53);
  ASSERT_EQ(inet_pton(AF_INET6, "fd00:1::2", &pod.sin6_addr), 1);
  ASSERT_EQ(sendto(sender, "x", 1, 0, reinterpret_cast<sockaddr*>(&pod), sizeof pod), 1);
  bool solicited = false;
  for (int i = 0; i < 20 && !solicited; ++i) {  // what else a new link says comes before
    pollfd readable{packets, POLLIN, 0};
    ASSERT_EQ(poll(&readable, 1, 2000), 1);
    uint8_t packet[128];
    constexpr uint8_t kSolicitation = 135;
    solicited = read(packets, packet, sizeof packet) >= 64 && packet[40] == kSolicitation &&
                std::equal(&pod.sin6_addr.s6_addr[0], &pod.sin6_addr.s6_addr[16], packet + 48);
    EXPECT_NE(packet[40], 133) << "routers are not asked for";
  }
  EXPECT_TRUE(solicited);
  close(packets);
  close(sender);
}

TEST_F(HostPortTest, SendsWhatTheNodeSendsToAPodOutOfOurEnd) {
  HostPort port = create();
  ASSERT_TRUE(port.sync_pods({address("10.1.0.2")}, {}, ip("10.1.0.1")));
  const int packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP));
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_ARP);
  where.sll_ifindex = port.our_end().ifindex;
  ASSERT_EQ(bind(packets, reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
  const int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in pod{};
  pod.sin_family = AF_INET;
  pod.sin_port = htons(53);
  pod.sin_addr.s_addr = inet_addr("10.1.0.2");
  ASSERT_EQ(sendto(sender, "x", 1, 0, reinterpret_cast<sockaddr*>(&pod), sizeof pod), 1);
  pollfd readable{packets, POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, 2000), 1);
  uint8_t frame[64];
  ASSERT_GE(read(packets, frame, sizeof frame), 42);
  const uint8_t target[] = {10, 1, 0, 2};
  EXPECT_TRUE(std::equal(target, target + 4, frame + 38));
  close(packets);
  close(sender);
}

TEST_F(HostPortTest, CarriesTheNodesAddressesWhenTheUplinkIsNotTheKernels) {
  HostPort port = create();
  ASSERT_TRUE(port.take_over_uplink(uplink({"192.168.7.2/24"}, "192.168.7.1")));
  EXPECT_EQ(routes(kMain),
            (Strings{"0.0.0.0/0 via 192.168.7.1", "192.168.7.0/24 src 192.168.7.2"}));
  port.remove();
  EXPECT_EQ(routes(kMain), Strings{});
}

TEST_F(HostPortTest, CarriesTheNodesIpv6AddressesToo) {
  HostPort port = create();
  config::Uplink both = uplink({"192.168.7.2/24", "fd00:7::2/64"}, "192.168.7.1");
  both.gateway6 = address("fe80::1");
  ASSERT_TRUE(port.take_over_uplink(both));
  EXPECT_TRUE(local("fd00:7::2"));
  const Strings main = routes(kMain);
  EXPECT_EQ(std::count(main.begin(), main.end(), "::/0 via fe80::1"), 1);
  EXPECT_EQ(std::count(main.begin(), main.end(), "fd00:7::/64"), 1);
  EXPECT_FALSE(port.take_over_uplink(both)) << "nobody's default route is replaced";
  port.remove();
  EXPECT_EQ(routes(kMain), Strings{});
}

TEST_F(HostPortTest, LeavesNothingBehindAndReplacesWhatADeadInstanceLeft) {
  const pid_t first = fork();
  if (first == 0) {
    HostPort port = create();
    _exit(port.sync_pods({address("10.1.0.2")}, {}, std::nullopt) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(first, &status, 0), first);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(routes(kHostPortTable), Strings{"10.1.0.2/32"});
  {
    const HostPort second = create();  // finds the links and the rule of the first
    EXPECT_EQ(routes(kHostPortTable), Strings{});
  }
  EXPECT_FALSE(netlink_->link("sluice0")->has_value());
  EXPECT_FALSE(netlink_->link("sluice0p")->has_value());
  // Without the rule, adding it anew is no clash.
  EXPECT_TRUE(netlink_->add_rule({kHostPortRulePriority, kHostPortTable, kRouteProtocol}));
}

TEST_F(HostPortTest, LeavesALivingInstanceAlone) {
  const HostPort first = create();
  const auto second = HostPort::create({});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().what.find("another sluiced"), std::string::npos);
  EXPECT_FALSE(HostPort::remove_leftovers());
  EXPECT_TRUE(netlink_->link("sluice0")->has_value());
}

TEST_F(HostPortTest, KeepsTheDefaultRouteThatIsThere) {
  HostPort port = create();
  ASSERT_TRUE(port.take_over_uplink(uplink({"192.168.7.2/24"}, "192.168.7.1")));
  const Strings before = routes(kMain);
  EXPECT_FALSE(port.take_over_uplink(uplink({"192.168.8.2/24"}, "192.168.8.1")));
  EXPECT_EQ(routes(kMain)[0], before[0]);
}

TEST_F(HostPortTest, RefusesALinkOfThatNameThatIsNotOurs) {
  ASSERT_TRUE(netlink_->add_veth({"sluice0", *parse_mac("02:00:00:00:00:01")},
                                 {"other", *parse_mac("02:00:00:00:00:02")}, 1500));
  const auto port = HostPort::create({});
  ASSERT_FALSE(port);
  EXPECT_NE(port.error().what.find("not ours"), std::string::npos);
  EXPECT_TRUE(netlink_->link("sluice0")->has_value());
}

TEST_F(HostPortTest, MonitorHearsOfLinksAndNeighbours) {
  auto monitor = NetlinkMonitor::open();
  ASSERT_TRUE(monitor);
  EXPECT_TRUE(monitor->drain().empty());
  {
    HostPort port = create();
    ASSERT_TRUE(port.sync_pods({address("10.1.0.2")}, {}, ip("10.1.0.1")));
    ASSERT_TRUE(netlink_->resolve(port.kernel_end().ifindex, Address::of(ip("10.1.0.2"))));
  }
  bool up = false;
  bool gone = false;
  for (const Event& event : monitor->drain()) {
    up = up ||
         (event.kind == Event::Kind::link && event.link.name == "sluice0p" && event.link.up);
    gone = gone || (event.kind == Event::Kind::link_gone && event.link.name == "sluice0p");
  }
  EXPECT_TRUE(up);
  EXPECT_TRUE(gone);
  EXPECT_TRUE(monitor->drain().empty());
}

}  // namespace
}  // namespace sluice::control
