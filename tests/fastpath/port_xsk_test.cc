// SPDX-License-Identifier: Apache-2.0
// AF_XDP ports on real veths.  Needs root.
#include "fastpath/port_xsk.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath/buffers.h"
#include "fastpath/eal.h"
#include "fastpath/xdp.h"
#include "tests/support/own_namespace.h"
#include "tests/support/packet_socket.h"

namespace sluice {
namespace {

using Frame = std::vector<uint8_t>;

using Peer = test::PacketSocket;  // on the pod's end of a veth, or the network's

// Ethernet and IPv4 as far as the XDP program reads, then `fill`.
Frame make_frame(size_t bytes, uint8_t protocol, const char* destination,
                 uint16_t type = 0x0800) {
  Frame frame(bytes, 0xa5);
  std::memset(frame.data(), 0xff, 6);
  frame[12] = static_cast<uint8_t>(type >> 8);
  frame[13] = static_cast<uint8_t>(type);
  frame[14] = 0x45;
  frame[23] = protocol;
  inet_pton(AF_INET, destination, &frame[30]);
  return frame;
}

Frame make_frame6(const char* destination, uint8_t protocol = 17, uint8_t first = 0) {
  Frame frame = make_frame(100, 0, "0.0.0.0", 0x86dd);
  frame[14] = 0x60;
  frame[20] = protocol;
  frame[54] = first;
  inet_pton(AF_INET6, destination, &frame[38]);
  return frame;
}

class PortXskTest : public test::OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped()) {
      return;
    }
    for (const char* n : {"0", "1"}) {
      const std::string us = std::string("us") + n;
      const std::string peer = std::string("peer") + n;
      ASSERT_EQ(shell("ip link add " + us + " type veth peer name " + peer), 0);
      ASSERT_EQ(shell("ip link set " + us + " up && ip link set " + peer + " up"), 0);
    }
    ASSERT_TRUE(start_eal(eal_options("")));
    auto buffers = Buffers::create(16384);
    ASSERT_TRUE(buffers) << buffers.error().what;
    buffers_ = std::move(*buffers);
    free_ = rte_mempool_avail_count(buffers_->pool());
    auto xdp = Xdp::load();
    ASSERT_TRUE(xdp) << xdp.error().what;
    xdp_ = std::move(*xdp);
  }

  static int index(const char* name) { return static_cast<int>(if_nametoindex(name)); }

  Result<std::unique_ptr<PortXsk>> try_open(const char* name) {
    Port::Info info;
    info.name = name;
    PortXsk::Options options;
    options.ifindex = index(name);
    options.interface = name;
    options.ring_size = 1024;
    return PortXsk::open(info, options, *buffers_);
  }
  std::unique_ptr<PortXsk> open(const char* name, XdpRole role) {
    const Status attached = xdp_->attach(index(name), role);
    EXPECT_TRUE(attached) << attached.error().what;
    auto port = try_open(name);
    // The kernel of a busy machine frees a closed socket's queue late; sluiced retries, too.
    for (int tries = 0; !port && tries < 20; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      port = try_open(name);
    }
    if (!port) {
      ADD_FAILURE() << port.error().what;
      return nullptr;
    }
    const Status bound = xdp_->bind(index(name), 0, (*port)->wait_fd());
    EXPECT_TRUE(bound);
    return std::move(*port);
  }

  // Frames that come within 300 ms, at most `most`.
  static std::vector<rte_mbuf*> receive(PortXsk& port, size_t most = 1) {
    std::vector<rte_mbuf*> got;
    for (pollfd waiting{port.wait_fd(), POLLIN, 0};
         got.size() < most && poll(&waiting, 1, 300) == 1;) {
      rte_mbuf* frames[kMaxBurst];
      const unsigned n = port.receive(frames);
      got.insert(got.end(), frames, frames + n);
    }
    return got;
  }
  static Frame bytes_of(const rte_mbuf* frame) {
    const auto* data = rte_pktmbuf_mtod(frame, const uint8_t*);
    return {data, data + frame->data_len};
  }

  std::unique_ptr<Buffers> buffers_;
  std::unique_ptr<Xdp> xdp_;
  unsigned free_ = 0;
};

TEST_F(PortXskTest, CarriesFramesFromOnePeerToTheOtherInPlace) {
  Peer left("peer0");
  Peer right("peer1");
  auto in = open("us0", XdpRole::pod);
  auto out = open("us1", XdpRole::pod);
  ASSERT_TRUE(in != nullptr && out != nullptr);
  EXPECT_FALSE(xdp_->generic(index("us0")));
  for (const size_t bytes : {size_t{60}, size_t{777}, size_t{1514}}) {
    const Frame sent = make_frame(bytes, 17, "10.0.0.9");
    left.send(sent);
    auto got = receive(*in);
    ASSERT_EQ(got.size(), 1u) << bytes;
    EXPECT_EQ(bytes_of(got[0]), sent);
    EXPECT_EQ(rte_pktmbuf_headroom(got[0]), RTE_PKTMBUF_HEADROOM);
    EXPECT_EQ(got[0]->nb_segs, 1);
    // As encapsulation does: 20 bytes more in front, in the same buffer.
    std::memset(rte_pktmbuf_prepend(got[0], 20), 0x11, 20);
    const Frame longer = bytes_of(got[0]);
    if (bytes + 20 <= 1514) {
      ASSERT_EQ(out->transmit(got), 1u);
      EXPECT_EQ(right.receive(), longer);
    } else {
      rte_pktmbuf_free(got[0]);
    }
  }
  in.reset();
  out.reset();
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free_);
}

TEST_F(PortXskTest, SendsWholeBurstsAndGetsEveryBufferBack) {
  Peer right("peer1");
  auto out = open("us1", XdpRole::pod);
  ASSERT_NE(out, nullptr);
  const unsigned open_free = rte_mempool_avail_count(buffers_->pool());
  size_t arrived = 0;
  for (unsigned burst = 0; burst < 40; ++burst) {
    std::vector<rte_mbuf*> frames(kMaxBurst);
    ASSERT_EQ(rte_pktmbuf_alloc_bulk(buffers_->pool(), frames.data(), kMaxBurst), 0);
    for (rte_mbuf* frame : frames) {
      const Frame bytes = make_frame(60, 17, "10.0.0.9");
      std::memcpy(rte_pktmbuf_append(frame, 60), bytes.data(), 60);
    }
    ASSERT_EQ(out->transmit(frames), kMaxBurst);
    for (unsigned i = 0; i < kMaxBurst; ++i) {
      arrived += right.receive().size() == 60 ? 1u : 0u;
    }
  }
  EXPECT_EQ(arrived, 40u * kMaxBurst);
  rte_mbuf* none[kMaxBurst];
  EXPECT_EQ(out->receive(none), 0u);
  EXPECT_EQ(out->receive(none), 0u);
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), open_free) << "idle turns drain";
  out.reset();
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free_);
}

TEST_F(PortXskTest, ClosingReturnsFramesThatNobodyTook) {
  Peer left("peer0");
  auto in = open("us0", XdpRole::pod);
  ASSERT_NE(in, nullptr);
  EXPECT_LT(rte_mempool_avail_count(buffers_->pool()), free_);
  for (int i = 0; i < 2000; ++i) {  // more than the ring holds: the kernel drops the rest
    left.send(make_frame(60, 17, "10.0.0.9"));
  }
  EXPECT_GT(in->missed(), 0u);
  in.reset();
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free_);
  // And the queue is free for the next.
  for (int i = 0; i < 3; ++i) {
    in = open("us0", XdpRole::pod);
    ASSERT_NE(in, nullptr);
    left.send(make_frame(60, 17, "10.0.0.9"));
    auto got = receive(*in);
    EXPECT_EQ(got.size(), 1u);
    rte_pktmbuf_free_bulk(got.data(), static_cast<unsigned>(got.size()));
    in.reset();
  }
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free_);
}

TEST_F(PortXskTest, ClosesInAnyOrderAndWithoutItsInterface) {
  Peer right("peer1");
  auto first = open("us0", XdpRole::pod);
  auto second = open("us1", XdpRole::pod);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  ASSERT_EQ(shell("ip link del us0"), 0);
  rte_mbuf* frames[kMaxBurst];
  EXPECT_EQ(first->receive(frames), 0u);
  rte_mbuf* frame = rte_pktmbuf_alloc(buffers_->pool());
  rte_pktmbuf_append(frame, 60);
  EXPECT_EQ(first->transmit({&frame, 1}), 1u);  // taken and lost; must not leak or crash
  first.reset();
  right.send(make_frame(60, 17, "10.0.0.9"));
  auto got = receive(*second);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
  second.reset();
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free_);
}

TEST_F(PortXskTest, SurvivesAnEmptyPool) {
  Peer left("peer0");
  auto in = open("us0", XdpRole::pod);
  ASSERT_NE(in, nullptr);
  std::vector<rte_mbuf*> held;
  while (rte_mbuf* frame = rte_pktmbuf_alloc(buffers_->pool())) {
    held.push_back(frame);
  }
  size_t got_before = 0;
  for (int i = 0; i < 1200; ++i) {
    left.send(make_frame(60, 17, "10.0.0.9"));
    rte_mbuf* frames[kMaxBurst];
    const unsigned n = in->receive(frames);
    held.insert(held.end(), frames, frames + n);
    got_before += n;
  }
  EXPECT_LE(got_before, 1024u);
  EXPECT_GT(in->missed(), 0u);
  rte_pktmbuf_free_bulk(held.data(), static_cast<unsigned>(held.size()));
  rte_mbuf* frames[kMaxBurst];
  EXPECT_EQ(in->receive(frames), 0u);  // refills
  left.send(make_frame(60, 17, "10.0.0.9"));
  auto got = receive(*in);
  ASSERT_EQ(got.size(), 1u);
  rte_pktmbuf_free(got[0]);
  in.reset();
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free_);
}

TEST_F(PortXskTest, RefusesWhatSomebodyElseUses) {
  auto first = open("us0", XdpRole::pod);
  ASSERT_NE(first, nullptr);
  const auto second = try_open("us0");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().what.find("us0"), std::string::npos) << second.error().what;
  auto other = Xdp::load();
  ASSERT_TRUE(other);
  const Status refused = (*other)->attach(index("us0"), XdpRole::pod);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("sluice_pod"), std::string::npos) << refused.error().what;
  EXPECT_NE(refused.error().hint.find("us0 xdp off"), std::string::npos)
      << refused.error().hint;
  xdp_->detach(index("us0"));
  EXPECT_TRUE((*other)->attach(index("us0"), XdpRole::pod)) << "free after detaching";
}

TEST_F(PortXskTest, UplinkTakesOnlyWhatIsOurs) {
  Peer network("peer0");
  auto uplink = open("us0", XdpRole::uplink);
  ASSERT_NE(uplink, nullptr);
  ASSERT_TRUE(xdp_->set_node_addresses({{0xc0a86401}}));  // 192.168.100.1
  ASSERT_TRUE(xdp_->set_local({*parse_prefix("10.1.1.9"), *parse_prefix("10.2.0.0/16")}));
  const auto taken = [&](const Frame& frame) {
    network.send(frame);
    auto got = receive(*uplink);
    rte_pktmbuf_free_bulk(got.data(), static_cast<unsigned>(got.size()));
    return got.size() == 1;
  };
  EXPECT_TRUE(taken(make_frame(100, 4, "192.168.100.1"))) << "IPIP to the node";
  EXPECT_FALSE(taken(make_frame(100, 6, "192.168.100.1"))) << "SSH to the node";
  EXPECT_FALSE(taken(make_frame(100, 4, "192.168.100.2"))) << "IPIP to another node";
  EXPECT_TRUE(taken(make_frame(100, 17, "10.1.1.9"))) << "a pod";
  EXPECT_FALSE(taken(make_frame(100, 17, "10.1.1.10"))) << "beside a pod";
  EXPECT_TRUE(taken(make_frame(100, 17, "10.2.200.3"))) << "inside a prefix";
  EXPECT_FALSE(taken(make_frame(60, 17, "10.1.1.9", 0x0806))) << "ARP";
  EXPECT_FALSE(taken(make_frame(60, 17, "10.1.1.9", 0x8100))) << "VLAN";
  EXPECT_FALSE(taken(make_frame(60, 17, "10.1.1.9", 0x86dd))) << "IPv6";
  ASSERT_TRUE(xdp_->set_local({*parse_prefix("10.2.0.0/16")}));
  EXPECT_FALSE(taken(make_frame(100, 17, "10.1.1.9"))) << "a pod that has left";
  EXPECT_TRUE(taken(make_frame(100, 17, "10.2.200.3")));
  ASSERT_TRUE(xdp_->set_take_all(true));
  EXPECT_TRUE(taken(make_frame(100, 6, "192.168.100.1"))) << "SSH to the node";
  EXPECT_TRUE(taken(make_frame(100, 4, "192.168.100.2"))) << "IPIP to another node";
  EXPECT_FALSE(taken(make_frame(100, 112, "224.0.0.18"))) << "VRRP";
  EXPECT_FALSE(taken(make_frame(100, 17, "255.255.255.255"))) << "DHCP";
  EXPECT_FALSE(taken(make_frame(60, 6, "192.168.100.1", 0x0806))) << "ARP";
  EXPECT_FALSE(taken(make_frame(60, 6, "192.168.100.1", 0x8100))) << "VLAN";
  EXPECT_FALSE(taken(make_frame(60, 6, "192.168.100.1", 0x86dd))) << "IPv6";
}

TEST_F(PortXskTest, UplinkTakesIpv6ForPodsAndAllOfItWhereItIsDropped) {
  Peer network("peer0");
  auto uplink = open("us0", XdpRole::uplink);
  ASSERT_NE(uplink, nullptr);
  ASSERT_TRUE(xdp_->set_local(
      {*parse_prefix("10.1.1.9"), *parse_prefix("fd00::9"), *parse_prefix("fd00:0:0:1::/64")}));
  const auto taken = [&](const Frame& frame) {
    network.send(frame);
    auto got = receive(*uplink);
    const bool same = got.size() == 1 && bytes_of(got[0]) == frame;
    rte_pktmbuf_free_bulk(got.data(), static_cast<unsigned>(got.size()));
    return same;
  };
  EXPECT_TRUE(taken(make_frame6("fd00::9"))) << "a pod";
  EXPECT_FALSE(taken(make_frame6("fd00::8"))) << "beside a pod";
  EXPECT_TRUE(taken(make_frame6("fd00:0:0:1:ffff::"))) << "inside a prefix";
  EXPECT_FALSE(taken(make_frame6("fd00:0:0:2::"))) << "behind the prefix";
  EXPECT_FALSE(taken(make_frame6("ff02::1"))) << "all nodes";
  EXPECT_TRUE(taken(make_frame(100, 17, "10.1.1.9"))) << "IPv4 is not forgotten";
  ASSERT_TRUE(xdp_->set_local({*parse_prefix("fd00::8")}));
  EXPECT_FALSE(taken(make_frame6("fd00::9"))) << "a pod that has left";
  EXPECT_TRUE(taken(make_frame6("fd00::8")));
  ASSERT_TRUE(xdp_->set_ip6(XdpIp6::dropped));
  EXPECT_TRUE(taken(make_frame6("fd00::9")));
  EXPECT_TRUE(taken(make_frame6("ff02::1")));
  EXPECT_FALSE(taken(make_frame(100, 17, "10.1.1.9"))) << "IPv4 of others";
  ASSERT_TRUE(xdp_->set_ip6(XdpIp6::carried));
  EXPECT_FALSE(taken(make_frame6("ff02::1")));
  EXPECT_FALSE(taken(make_frame6("fd00::7"))) << "the node's own";
  ASSERT_TRUE(xdp_->set_take_all(true));
  EXPECT_TRUE(taken(make_frame6("fd00::7"))) << "under a host endpoint";
  EXPECT_FALSE(taken(make_frame6("ff02::1"))) << "a group";
  EXPECT_FALSE(taken(make_frame6("fe80::7"))) << "link-local";
  for (uint8_t type = 133; type <= 137; ++type) {
    EXPECT_FALSE(taken(make_frame6("fd00::7", 58, type))) << "discovery";
  }
  EXPECT_TRUE(taken(make_frame6("fd00::7", 58, 128))) << "a ping";
  Frame from_link = make_frame6("fd00::7");
  inet_pton(AF_INET6, "fe80::7", &from_link[22]);
  EXPECT_FALSE(taken(from_link)) << "from a link-local address";
  ASSERT_TRUE(xdp_->set_ip6(XdpIp6::kernel));
  EXPECT_FALSE(taken(make_frame6("fd00::7"))) << "IPv6 is off";
  EXPECT_TRUE(taken(make_frame6("fd00::8"))) << "a pod's is dropped by workers";
}

}  // namespace
}  // namespace sluice
