// SPDX-License-Identifier: Apache-2.0
// A DPDK device that checks checksums itself: net_tap, which does it in software.  Needs root.
#include <cerrno>
#include <memory>
#include <span>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath/buffers.h"
#include "fastpath/eal.h"
#include "fastpath/port_ethdev.h"
#include "tests/support/own_namespace.h"
#include "tests/support/packet_builder.h"

namespace sluice {
namespace {

// Sends a frame out of the interface, as the kernel would.
void send(const char* interface, const test::Bytes& frame) {
  const int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(if_nametoindex(interface));
  EXPECT_EQ(
      sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
      static_cast<ssize_t>(frame.size()))
      << "errno " << errno;
  close(fd);
}

// What the device says of the checksum of a frame of that length: waits a second for it.
uint64_t said_of(Port& port, size_t bytes) {
  uint64_t flags = 0;
  for (int i = 0; i < 1000 && flags == 0; ++i) {
    rte_mbuf* got[kMaxBurst];
    const unsigned n = port.receive(got);
    for (rte_mbuf* frame : std::span(got, n)) {
      flags |= frame->pkt_len == bytes ? frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK : 0;
      rte_pktmbuf_free(frame);
    }
    usleep(1000);
  }
  return flags;
}

class PortTapTest : public test::OwnNamespace {};

TEST_F(PortTapTest, AsksTheDeviceToCheckTcpAndUdp) {
  ASSERT_TRUE(start_eal(eal_options("")));
  auto buffers = Buffers::create(8192);
  ASSERT_TRUE(buffers) << buffers.error().what;
  Port::Info info;
  info.name = "uplink";
  auto port = PortEthdev::open("net_tap0,iface=tap0", info, **buffers);
  ASSERT_TRUE(port) << port.error().what;
  ASSERT_EQ(shell("ip link set tap0 up"), 0);
  const auto comes = [&](const test::Bytes& frame) {
    send("tap0", frame);
    return said_of(**port, frame.size());
  };
  const auto packet = [] { return test::Frame().ip4("10.0.0.1", "10.0.0.2"); };
  EXPECT_EQ(comes(packet().tcp(1, 2, tcp::kSyn).payload(77)), RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  EXPECT_EQ(comes(packet().tcp(1, 2, tcp::kSyn).checksum(7).payload(77)),
            RTE_MBUF_F_RX_L4_CKSUM_BAD);
  EXPECT_EQ(comes(packet().udp(1, 2).payload(77)), RTE_MBUF_F_RX_L4_CKSUM_GOOD);
}

}  // namespace
}  // namespace sluice
