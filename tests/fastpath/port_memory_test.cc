// SPDX-License-Identifier: Apache-2.0
// Buffers, and ports that need no rights: captures and virtual ethdevs.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <unistd.h>

#include "fastpath/buffers.h"
#include "fastpath/eal.h"
#include "fastpath/nanos.h"
#include "fastpath/port_ethdev.h"
#include "fastpath/port_pcap.h"

namespace sluice {
namespace {

std::unique_ptr<Buffers> make_buffers(uint32_t count) {
  if (Status s = start_eal(eal_options("")); !s) {
    ADD_FAILURE() << s.error().what;
    return nullptr;
  }
  auto buffers = Buffers::create(count);
  if (!buffers) {
    ADD_FAILURE() << buffers.error().what;
    return nullptr;
  }
  return std::move(*buffers);
}

TEST(Eal, LeavesTheCallerOnItsProcessors) {
  cpu_set_t before;
  cpu_set_t after;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  ASSERT_TRUE(start_eal(eal_options("")));
  ASSERT_TRUE(start_eal(eal_options(""))) << "a second start does nothing";
  ASSERT_EQ(sched_getaffinity(0, sizeof(after), &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(Eal, TellsPciAddressesFromDevargs) {
  EXPECT_EQ(eal_options("0000:3b:00.0").pci_device, "0000:3b:00.0");
  EXPECT_EQ(eal_options("3b:00.0,arg=1").pci_device, "3b:00.0");
  EXPECT_EQ(eal_options("net_memif0,role=client").pci_device, "");
  EXPECT_EQ(eal_options("").pci_device, "");
}

TEST(Buffers, ElementsStandWithoutHoles) {
  const auto buffers = make_buffers(5000);
  ASSERT_NE(buffers, nullptr);
  rte_mempool* pool = buffers->pool();
  EXPECT_EQ(pool->header_size, 64u);
  EXPECT_EQ(pool->trailer_size, 0u);
  std::vector<bool> seen(buffers->count());
  for (uint32_t i = 0; i < buffers->count(); ++i) {
    rte_mbuf* frame = rte_pktmbuf_alloc(pool);
    ASSERT_NE(frame, nullptr) << i;
    const auto offset = static_cast<uint64_t>(reinterpret_cast<char*>(frame) -
                                              static_cast<char*>(buffers->region()));
    ASSERT_EQ(offset % buffers->element_bytes(), pool->header_size);
    ASSERT_LT(offset, buffers->region_bytes());
    seen.at(offset / buffers->element_bytes()) = true;
    // AF_XDP writes 256 + headroom bytes into the chunk: there the data must begin.
    ASSERT_EQ(rte_pktmbuf_mtod(frame, char*) - reinterpret_cast<char*>(frame) + 64, 384);
    ASSERT_EQ(rte_pktmbuf_tailroom(frame), kFrameRoom);
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 5000);
  EXPECT_EQ(rte_pktmbuf_alloc(pool), nullptr);
}

TEST(Buffers, SayHowMuchMemoryIsMissing) {
  make_buffers(64);
  const auto buffers = Buffers::create(0x7fffffff);
  ASSERT_FALSE(buffers);
  EXPECT_NE(buffers.error().what.find("MiB"), std::string::npos) << buffers.error().what;
}

class Captures : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice_port_test_XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    buffers_ = make_buffers(256);
    ASSERT_NE(buffers_, nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  struct Frame {
    uint64_t time;
    uint32_t bytes;
    uint32_t original;
  };
  std::string write(const std::vector<Frame>& frames, int link_type = DLT_EN10MB) {
    const std::string path = directory_ + "/in.pcap";
    pcap_t* format =
        pcap_open_dead_with_tstamp_precision(link_type, 65535, PCAP_TSTAMP_PRECISION_NANO);
    pcap_dumper_t* out = pcap_dump_open(format, path.c_str());
    for (const Frame& frame : frames) {
      std::vector<u_char> bytes(frame.bytes, static_cast<u_char>(frame.time));
      pcap_pkthdr header{};
      header.ts.tv_sec = static_cast<time_t>(frame.time / kSecond);
      header.ts.tv_usec = static_cast<suseconds_t>(frame.time % kSecond);
      header.caplen = frame.bytes;
      header.len = frame.original;
      pcap_dump(reinterpret_cast<u_char*>(out), &header, bytes.data());
    }
    pcap_dump_close(out);
    pcap_close(format);
    return path;
  }
  Result<std::unique_ptr<PortPcap>> open(const std::optional<std::string>& in) {
    Port::Info info;
    info.name = "uplink";
    return PortPcap::open(in, directory_ + "/out.pcap", *buffers_, info);
  }
  static std::string bytes_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  std::string directory_;
  std::unique_ptr<Buffers> buffers_;
};

TEST_F(Captures, ComeOutAsTheyWentIn) {
  const std::string in =
      write({{1000000001, 60, 60}, {1000000001, 0, 0}, {2500000999, 2048, 2048}});
  const unsigned free = rte_mempool_avail_count(buffers_->pool());
  {
    auto port = open(in);
    ASSERT_TRUE(port) << port.error().what;
    uint32_t index = 0;
    rte_mbuf* frames[kMaxBurst];
    while (const auto time = (*port)->next_time()) {
      (*port)->set_now(*time);
      ASSERT_EQ((*port)->receive(frames), 1u) << "one frame a call";
      EXPECT_EQ((*port)->last_index(), index++);
      ASSERT_EQ((*port)->transmit({frames, 1}), 1u);
    }
    EXPECT_EQ(index, 3u);
    EXPECT_EQ((*port)->receive(frames), 0u);
    EXPECT_EQ((*port)->missed(), 0u);
    EXPECT_TRUE((*port)->flush());
  }
  EXPECT_EQ(bytes_of(in), bytes_of(directory_ + "/out.pcap"));
  EXPECT_EQ(rte_mempool_avail_count(buffers_->pool()), free);
}

TEST_F(Captures, WithoutInputHaveNoFramesAndStillAnOutput) {
  {
    auto port = open(std::nullopt);
    ASSERT_TRUE(port) << port.error().what;
    EXPECT_FALSE((*port)->next_time());
  }
  EXPECT_EQ(bytes_of(directory_ + "/out.pcap").size(), 24u);
}

TEST_F(Captures, ThatCannotBeReplayedAreRefused) {
  const auto refused = [this](const std::string& path, const std::string& why) {
    const auto port = open(path);
    ASSERT_FALSE(port) << why;
    EXPECT_NE(port.error().what.find(why), std::string::npos) << port.error().what;
    EXPECT_NE(port.error().what.find(path), std::string::npos) << port.error().what;
  };
  refused(write({{1, 60, 60}, {2, 40, 90}}), "frame 1: captured 40 of 90 bytes");
  refused(write({{1, 2049, 2049}}), "2049 bytes exceed 2048");
  refused(write({{1, 60, 60}}, DLT_RAW), "not Ethernet");
  const std::string cut = write({{1, 60, 60}});
  std::filesystem::resize_file(cut, 24 + 16 + 30);
  refused(cut, "frame 0");
  refused(directory_ + "/absent.pcap", "No such file");
}

TEST_F(Captures, LoseFramesWhenBuffersAreUsedUp) {
  std::vector<rte_mbuf*> held;
  while (rte_mbuf* frame = rte_pktmbuf_alloc(buffers_->pool())) {
    held.push_back(frame);
  }
  auto port = open(write({{1, 60, 60}, {2, 60, 60}}));
  ASSERT_TRUE(port);
  rte_mbuf* frame = nullptr;
  EXPECT_EQ((*port)->receive({&frame, 1}), 0u);
  EXPECT_EQ((*port)->missed(), 1u);
  rte_pktmbuf_free_bulk(held.data(), static_cast<unsigned>(held.size()));
  EXPECT_EQ((*port)->receive({&frame, 1}), 1u);
  EXPECT_EQ((*port)->last_index(), 1u);
  rte_pktmbuf_free(frame);
}

Result<std::unique_ptr<PortEthdev>> open_device(const std::string& device, Buffers& buffers) {
  Port::Info info;
  info.name = "uplink";
  auto opened = Ethdev::open(device, info, 1, buffers);
  if (!opened) {
    return opened.error();
  }
  return std::make_unique<PortEthdev>(*opened, uint16_t{0});
}

TEST(PortEthdev, ReceivesSendsAndReturnsEveryFrame) {
  const auto buffers = make_buffers(8192);
  ASSERT_NE(buffers, nullptr);
  const unsigned free = rte_mempool_avail_count(buffers->pool());
  for (int round = 0; round < 2; ++round) {  // a closed device can be opened again
    auto port = open_device("net_null0", *buffers);
    ASSERT_TRUE(port) << port.error().what;
    EXPECT_FALSE((*port)->info().mac.is_zero());
    EXPECT_EQ((*port)->info().mtu, 1500);
    rte_mbuf* frames[kMaxBurst];
    EXPECT_EQ((*port)->receive(frames), kMaxBurst);
    EXPECT_EQ((*port)->transmit(frames), kMaxBurst);
  }
  EXPECT_EQ(rte_mempool_avail_count(buffers->pool()), free);
}

// Two ends of a memif in one process: what one sends, the other receives.
TEST(PortEthdev, MovesFramesOverMemif) {
  const auto buffers = make_buffers(8192);
  ASSERT_NE(buffers, nullptr);
  const std::string socket = "socket=@sluice_test_" + std::to_string(getpid());
  auto server = open_device("net_memif0,role=server," + socket, *buffers);
  ASSERT_TRUE(server) << server.error().what;
  auto client = open_device("net_memif1,role=client," + socket, *buffers);
  ASSERT_TRUE(client) << client.error().what;
  rte_mbuf* sent = rte_pktmbuf_alloc(buffers->pool());
  std::memset(rte_pktmbuf_append(sent, 777), 0x5a, 777);
  unsigned taken = 0;
  for (int i = 0; i < 300 && taken == 0; ++i) {  // the ends meet over a socket, in EAL's thread
    usleep(10000);
    taken = (*client)->transmit({&sent, 1});
  }
  ASSERT_EQ(taken, 1u);
  rte_mbuf* got[kMaxBurst];
  unsigned n = 0;
  for (int i = 0; i < 100 && n == 0; ++i) {
    n = (*server)->receive(got);
    usleep(1000);
  }
  ASSERT_EQ(n, 1u);
  EXPECT_EQ(got[0]->data_len, 777);
  EXPECT_EQ(*rte_pktmbuf_mtod_offset(got[0], uint8_t*, 776), 0x5a);
  rte_pktmbuf_free(got[0]);
}

TEST(PortEthdev, NamesTheDeviceThatCannotBeOpened) {
  const auto buffers = make_buffers(64);
  const auto port = open_device("net_nothing0", *buffers);
  ASSERT_FALSE(port);
  EXPECT_NE(port.error().what.find("net_nothing0"), std::string::npos);
  EXPECT_FALSE(port.error().hint.empty());
}

}  // namespace
}  // namespace sluice
