// SPDX-License-Identifier: Apache-2.0
// A DPDK device that checks checksums itself: net_tap, which does it in software.  Needs root.
#include <cstring>
#include <memory>
#include <span>

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include "fastpath/buffers.h"
#include "fastpath/eal.h"
#include "fastpath/port_ethdev.h"
#include "tests/support/own_namespace.h"
#include "tests/support/packet_builder.h"
#include "tests/support/packet_socket.h"

namespace sluice {
namespace {

// Frames of that length that come within a second, at most `most`; what `see` sees of each.
template <typename See>
unsigned receive(Port& port, size_t bytes, unsigned most, const See& see) {
  unsigned seen = 0;
  for (int i = 0; i < 1000 && seen < most; ++i) {
    rte_mbuf* got[kMaxBurst];
    const unsigned n = port.receive(got);
    for (rte_mbuf* frame : std::span(got, n)) {
      if (frame->pkt_len == bytes) {
        ++seen;
        see(*frame);
      }
      rte_pktmbuf_free(frame);
    }
    usleep(1000);
  }
  return seen;
}

class PortTapTest : public test::OwnNamespace {
 protected:
  void open(unsigned queues) {
    ASSERT_TRUE(start_eal(eal_options("")));
    auto buffers = Buffers::create(8192);
    ASSERT_TRUE(buffers) << buffers.error().what;
    buffers_ = std::move(*buffers);
    Port::Info info;
    info.name = "uplink";
    auto device = Ethdev::open("net_tap0,iface=tap0", info, queues, *buffers_);
    ASSERT_TRUE(device) << device.error().what;
    device_ = std::move(*device);
    ASSERT_EQ(shell("ip link set tap0 up"), 0);
  }

  std::unique_ptr<Buffers> buffers_;
  std::shared_ptr<const Ethdev> device_;
};

TEST_F(PortTapTest, AsksTheDeviceToCheckTcpAndUdp) {
  ASSERT_NO_FATAL_FAILURE(open(1));
  PortEthdev port(device_, 0);
  test::PacketSocket kernel("tap0");
  const auto comes = [&](const test::Bytes& frame) {
    kernel.send(frame);
    uint64_t flags = 0;
    receive(port, frame.size(), 1,
            [&](const rte_mbuf& got) { flags = got.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK; });
    return flags;
  };
  const auto packet = [] { return test::Frame().ip4("10.0.0.1", "10.0.0.2"); };
  EXPECT_EQ(comes(packet().tcp(1, 2, tcp::kSyn).payload(77)), RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  EXPECT_EQ(comes(packet().tcp(1, 2, tcp::kSyn).checksum(7).payload(77)),
            RTE_MBUF_F_RX_L4_CKSUM_BAD);
  EXPECT_EQ(comes(packet().udp(1, 2).payload(77)), RTE_MBUF_F_RX_L4_CKSUM_GOOD);
}

TEST_F(PortTapTest, HasItsFlowsSpreadOverSeveralQueues) {
  ASSERT_NO_FATAL_FAILURE(open(2));
  ASSERT_EQ(device_->queues(), 2u);
  rte_eth_conf asked{};
  ASSERT_EQ(rte_eth_dev_conf_get(device_->port(), &asked), 0);
  EXPECT_EQ(asked.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
  EXPECT_NE(asked.rx_adv_conf.rss_conf.rss_hf & RTE_ETH_RSS_IP, 0u);
  test::PacketSocket kernel("tap0");
  size_t bytes = 0;
  for (uint16_t flow = 1; flow <= 64; ++flow) {
    const test::Bytes frame =
        test::Frame().ip4("10.0.0.1", "10.0.0.2").udp(flow, 53).payload(177);
    kernel.send(frame);
    bytes = frame.size();
  }
  unsigned came = 0;
  for (const uint16_t queue : {uint16_t{0}, uint16_t{1}}) {
    PortEthdev port(device_, queue);
    const unsigned here = receive(port, bytes, 63, [](const rte_mbuf&) {});
    EXPECT_GT(here, 0u) << queue;
    came += here;
    rte_mbuf* frame = rte_pktmbuf_alloc(buffers_->pool());
    std::memset(rte_pktmbuf_append(frame, 60), 0, 60);
    EXPECT_EQ(port.transmit({&frame, 1}), 1u);
  }
  EXPECT_EQ(came, 64u);
}

}  // namespace
}  // namespace sluice
