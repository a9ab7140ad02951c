// SPDX-License-Identifier: Apache-2.0
// The set of open ports on real veths.  Needs root.
#include "control/port_set.h"

#include <array>
#include <chrono>
#include <map>
#include <thread>

#include <net/if.h>
#include <rte_mbuf.h>

#include "fastpath/eal.h"
#include "fastpath/port_xsk.h"
#include "tests/support/own_namespace.h"
#include "tests/support/packet_builder.h"
#include "tests/support/packet_socket.h"

namespace sluice::control {
namespace {

constexpr PortId kPod = kFirstPodPort;

class PortSetTest : public test::OwnNamespace {
 protected:
  void SetUp() override {
    OwnNamespace::SetUp();
    if (IsSkipped()) {
      return;
    }
    ASSERT_EQ(shell("ip link add calia up type veth peer name peera"), 0);
    ASSERT_TRUE(start_eal(eal_options("")));
    auto buffers = Buffers::create(16384);
    ASSERT_TRUE(buffers) << buffers.error().what;
    buffers_ = std::move(*buffers);
    auto netlink = Netlink::open();
    ASSERT_TRUE(netlink) << netlink.error().what;
    netlink_.emplace(std::move(*netlink));
    ports_.emplace(PortSet::Room{2, 4, 512, 2048, 16384}, *buffers_, *netlink_);
    ASSERT_TRUE(ports_->load(""));
  }

  const Port* shown() { return view().ports[kPod]; }
  // As its worker is the second of two.
  View view() {
    auto generation = std::make_shared<Generation>();
    generation->endpoints.resize(1);
    generation->endpoints[0].worker = 1;
    generation->endpoint_of_port = {kNoEndpoint, kNoEndpoint, 0};
    View out;
    out.generation = generation;
    ports_->show(out);
    return out;
  }

  // The network sends flows enough to use each of the uplink's three queues.
  void expect_frames_by_each_queue(const View& view) {
    ports_->set_ours({}, {parse_prefix("10.0.0.2/32").value()}, XdpIp6::kernel);
    test::PacketSocket network("peer10");
    for (uint16_t flow = 1; flow <= 96; ++flow) {
      network.send(
          test::Frame().ether({}, {}).ip4("10.0.0.1", "10.0.0.2").udp(flow, 53).build());
    }
    std::map<const Port*, unsigned> got;
    unsigned all = 0;
    for (int i = 0; i < 2000 && all < 96; ++i) {
      for (const View::Queue& queue : view.queues) {
        std::array<rte_mbuf*, kMaxBurst> frames;
        const unsigned n = queue.port == kUplinkPort ? queue.of->receive(frames) : 0;
        rte_pktmbuf_free_bulk(frames.data(), n);
        got[queue.of] += n;
        all += n;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (const View::Queue& queue : view.queues) {
      EXPECT_TRUE(got[queue.of] > 0 || queue.port != kUplinkPort);
    }
    EXPECT_EQ(all, 96u);
  }

  const std::vector<PortSet::Pod> pod_ = {{kPod, "calia"}};
  const std::vector<PortId> none_ = {};
  std::unique_ptr<Buffers> buffers_;
  std::optional<Netlink> netlink_;
  std::optional<PortSet> ports_;
};

TEST_F(PortSetTest, ClosesAPortOnlyWhenNoViewShowsIt) {
  ASSERT_TRUE(ports_->sync(pod_));
  ASSERT_NE(shown(), nullptr);
  // Its pod goes while a worker may still see that view: nothing was published since.
  EXPECT_TRUE(ports_->sync({}));
  EXPECT_EQ(ports_->close_leaving(), none_);
  EXPECT_EQ(ports_->names().size(), 1u) << "it is open under the workers";
  EXPECT_EQ(shown(), nullptr) << "the next view is without it";
  EXPECT_EQ(ports_->close_leaving(), std::vector{kPod});
  EXPECT_TRUE(ports_->names().empty());
}

TEST_F(PortSetTest, ServesEveryQueueOfTheUplink) {
  ASSERT_EQ(shell("ip link add ens10 numrxqueues 3 numtxqueues 3 up type veth peer name peer10 "
                  "numtxqueues 3 && ip link set peer10 up"),
            0);
  config::Uplink uplink;
  uplink.interface = "calia";
  const auto one = PortSet::room_for(1, uplink, 2);
  ASSERT_TRUE(one) << one.error().what;
  uplink.interface = "ens10";
  const auto room = PortSet::room_for(1, uplink, 2);
  ASSERT_TRUE(room) << room.error().what;
  EXPECT_EQ(room->buffers, one->buffers + 2 * 3 * room->uplink_ring);
  for (int round = 0; round < 2; ++round) {  // closed, all of them are free for the next
    Status opened = ports_->open_uplink(uplink);
    for (int tries = 0; tries < 100 && !opened; ++tries) {  // the kernel may free them late
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      opened = ports_->open_uplink(uplink);
    }
    ASSERT_TRUE(opened) << opened.error().what;
    for (int tries = 0; tries < 100 && !ports_->sync(pod_); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    const View shown = view();
    std::vector<std::pair<PortId, uint8_t>> served;
    for (const View::Queue& queue : shown.queues) {
      served.emplace_back(queue.port, queue.worker);
    }
    const std::vector<std::pair<PortId, uint8_t>> expected = {
        {kUplinkPort, 0}, {kUplinkPort, 1}, {kUplinkPort, 0}, {kPod, 1}};
    EXPECT_EQ(served, expected);
    EXPECT_EQ(shown.uplink[0], shown.queues[0].of);
    EXPECT_EQ(shown.uplink[1], shown.queues[1].of);
    EXPECT_EQ(shown.owner[kPod], 1);
    EXPECT_EQ(ports_->names().size(), 2u);
    expect_frames_by_each_queue(shown);
    ports_.emplace(PortSet::Room{2, 4, 512, 512, 16384}, *buffers_, *netlink_);
    ASSERT_TRUE(ports_->load(""));
  }
}

TEST_F(PortSetTest, RefusesAPodOfSeveralQueues) {
  ASSERT_EQ(shell("ip link del calia; ip link add calia numrxqueues 2 numtxqueues 2 up "
                  "type veth peer name peera"),
            0);
  EXPECT_FALSE(ports_->sync(pod_));
  EXPECT_TRUE(ports_->refused());
}

TEST_F(PortSetTest, RefusesAnUplinkThatSendsOnFewerQueues) {
  ASSERT_EQ(
      shell("ip link add ens10 numrxqueues 3 numtxqueues 2 up type veth peer name peer10"), 0);
  config::Uplink uplink;
  uplink.interface = "ens10";
  EXPECT_FALSE(PortSet::room_for(1, uplink, 2));
  EXPECT_FALSE(ports_->open_uplink(uplink));
}

TEST_F(PortSetTest, ClosesOneThatNoViewHasShownAtOnce) {
  ASSERT_TRUE(ports_->sync(pod_));
  EXPECT_TRUE(ports_->sync({}));
  EXPECT_EQ(ports_->close_leaving(), std::vector{kPod});
}

TEST_F(PortSetTest, LeavesWhatStaysAlone) {
  ASSERT_TRUE(ports_->sync(pod_));
  const Port* open = shown();
  EXPECT_FALSE(ports_->sync(pod_)) << "nothing has changed";
  EXPECT_EQ(ports_->close_leaving(), none_);
  EXPECT_EQ(shown(), open);
}

TEST_F(PortSetTest, APortWhoseInterfaceHasGoneComesBackWithIt) {
  ASSERT_TRUE(ports_->sync(pod_));
  ASSERT_NE(shown(), nullptr);
  ASSERT_EQ(shell("ip link del calia"), 0);
  ports_->recheck_links();
  EXPECT_TRUE(ports_->sync(pod_));
  EXPECT_EQ(shown(), nullptr);
  EXPECT_EQ(ports_->close_leaving(), std::vector{kPod});
  EXPECT_FALSE(ports_->sync(pod_)) << "it is not there";
  ASSERT_EQ(shell("ip link add calia up type veth peer name peera"), 0);
  EXPECT_TRUE(ports_->sync(pod_));
  EXPECT_NE(shown(), nullptr);
}

TEST_F(PortSetTest, TellsThatAPortWasRefusedUntilItIsOpen) {
  PortXsk::Options options;
  options.ifindex = static_cast<int>(if_nametoindex("calia"));
  options.interface = "calia";
  options.ring_size = 512;
  auto holder = PortXsk::open({}, options, *buffers_);
  ASSERT_TRUE(holder) << holder.error().what;
  EXPECT_FALSE(ports_->sync(pod_));
  EXPECT_TRUE(ports_->refused()) << "somebody has its queue";
  holder->reset();
  for (int tries = 0; tries < 100 && !ports_->sync(pod_); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_NE(shown(), nullptr);
  EXPECT_FALSE(ports_->refused());
  EXPECT_FALSE(ports_->sync({{kPod, "calia"}, {kPod + 1, "calib"}}));
  EXPECT_FALSE(ports_->refused()) << "what is not there says so when it comes";
}

}  // namespace
}  // namespace sluice::control
