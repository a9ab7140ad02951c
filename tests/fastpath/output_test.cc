// SPDX-License-Identifier: Apache-2.0
// What leaves is counted where it came in, whatever else leaves with it and however much of it
// the port takes: beside a count frame by frame.
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

constexpr PortId kSentTo = kPodB;

// One burst for a port that takes `room` frames, all of one kind or of many.
struct Burst {
  struct Frame {
    PortId in_port;
    Fate fate;
    uint16_t length;
  };
  std::vector<Frame> frames;
  unsigned room = 0;

  static Burst random(std::mt19937& random) {
    const auto frame = [&] {
      const PortId from[] = {kUplinkPort, kPodA, kPodA, kNoPort};
      return Frame{from[random() % 4], random() % 4 == 0 ? Fate::punted : Fate::forwarded,
                   static_cast<uint16_t>(60 + random() % 100)};
    };
    Burst b;
    const bool alike = random() % 2 == 0;
    const Frame first = frame();
    for (size_t n = 1 + random() % kMaxBurst; n > 0; --n) {
      b.frames.push_back(alike ? first : frame());
    }
    b.room = static_cast<unsigned>(random() % (kMaxBurst + kMaxBurst / 2));
    return b;
  }
};

// Counters as one frame after the other changes them.
struct Counts {
  std::array<uint64_t, kMaxPorts> forwarded{}, punted{}, dropped{};
  uint64_t originated = 0, tx_packets = 0, tx_bytes = 0, drops = 0;

  void count(const Burst& b) {
    for (size_t i = 0; i < b.frames.size(); ++i) {
      const auto [in_port, fate, length] = b.frames[i];
      const bool sent = i < b.room;
      tx_packets += sent ? 1 : 0;
      tx_bytes += sent ? length : 0;
      if (in_port == kNoPort) {
        originated += sent ? 1 : 0;
        continue;
      }
      drops += sent ? 0 : 1;
      ++(!sent ? dropped : fate == Fate::punted ? punted : forwarded)[in_port];
    }
  }
  void expect_like(const Counters& counters) const {
    for (const PortId port : {kUplinkPort, kPodA, kSentTo}) {
      const auto& fates = counters.port(port).fates;
      EXPECT_EQ(fates[static_cast<size_t>(Fate::forwarded)].get(), forwarded[port]);
      EXPECT_EQ(fates[static_cast<size_t>(Fate::punted)].get(), punted[port]);
      EXPECT_EQ(fates[static_cast<size_t>(Fate::dropped)].get(), dropped[port]);
    }
    EXPECT_EQ(counters.port(kSentTo).originated.get(), originated);
    EXPECT_EQ(counters.port(kSentTo).tx_packets.get(), tx_packets);
    EXPECT_EQ(counters.port(kSentTo).tx_bytes.get(), tx_bytes);
    EXPECT_EQ(counters.drops[static_cast<size_t>(DropReason::res_tx)].get(), drops);
  }
};

TEST(Output, CountsEachFrameOfABurstWhereItCameIn) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const unsigned before = rte_mempool_avail_count(test::pool());
  MemoryPort port(Port::Info{"out", kCalico, kEtherMtu, true, true});
  View view;
  view.serve(kSentTo, &port, 0);
  Counters counters(1);
  Neighbours neighbours;
  Output output(0, counters, neighbours, test::pool());
  output.begin(view, kSecond);
  Counts counts;
  for (int round = 0; round < 300; ++round) {
    const Burst b = Burst::random(random);
    port.room = b.room;
    for (const auto [in_port, fate, length] : b.frames) {
      rte_mbuf* frame = rte_pktmbuf_alloc(test::pool());
      ASSERT_NE(rte_pktmbuf_append(frame, length), nullptr);
      meta(frame) = PacketMeta{};
      meta(frame).in_port = in_port;
      output.send_ready(frame, kSentTo, fate);
    }
    output.flush();
    counts.count(b);
  }
  counts.expect_like(counters);
  EXPECT_EQ(rte_mempool_avail_count(test::pool()), before);
}

}  // namespace
}  // namespace sluice::test
