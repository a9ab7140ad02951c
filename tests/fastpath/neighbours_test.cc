// SPDX-License-Identifier: Apache-2.0
#include "fastpath/neighbours.h"

#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

constexpr PortId kPort = 0;
constexpr Ip4 kOnLink{0x0a0a0000};  // a /16

// Of its own for every address.
MacAddress mac_of(Ip4 address) {
  MacAddress mac{{2, 7}};
  std::memcpy(mac.bytes + 2, &address.value, 4);
  return mac;
}

bool knows(Neighbours& table, Ip4 address, uint64_t now) {
  MacAddress mac;
  const uint32_t slot = table.find(kPort, address, now);
  return slot != Neighbours::kNone && table.mac(slot, mac) && mac == mac_of(address);
}

TEST(Neighbours, AScanOfAnOnLinkNetworkLeavesRoomForOthers) {
  const auto table = std::make_unique<Neighbours>();
  uint64_t now = kSecond;
  const Ip4 gateway{0xc0a86401};
  table->learn(table->find(kPort, gateway, now), mac_of(gateway));
  for (uint32_t round = 0; round < 2; ++round) {
    for (uint32_t n = 0; n < 1u << 16; ++n) {
      now += 20000;
      ASSERT_NE(table->find(kPort, Ip4{kOnLink.value + n}, now), Neighbours::kNone) << n;
    }
  }
  EXPECT_TRUE(knows(*table, gateway, now)) << "what is resolved does not give way to a scan";
  const Ip4 late{0xc0a86402};
  table->learn(table->find(kPort, late, now), mac_of(late));
  EXPECT_TRUE(knows(*table, late, now));
}

TEST(Neighbours, ResolvedOnesGiveWayOnlyAfterALongIdleTime) {
  const auto table = std::make_unique<Neighbours>();
  uint64_t now = kSecond;
  const auto fill = [&](uint32_t base) {
    uint32_t full = 0;
    for (uint32_t n = 0; n < 1u << 16; ++n) {
      const uint32_t slot = table->find(kPort, Ip4{base + n}, now);
      if (slot == Neighbours::kNone) {
        ++full;
      } else {
        table->learn(slot, mac_of({base + n}));
      }
    }
    return full;
  };
  EXPECT_GE(fill(0x0a000000), Neighbours::kCapacity) << "the rest found no room";
  now += Neighbours::kIdle - kSecond;
  EXPECT_EQ(fill(0x0b000000), 1u << 16) << "all are young";
  EXPECT_TRUE(knows(*table, {0x0a000000}, now)) << "and this one is used again";
  now += 2 * kSecond;
  EXPECT_LE(fill(0x0b000000), Neighbours::kCapacity + 64);
  EXPECT_TRUE(knows(*table, {0x0a000000}, now));
  EXPECT_FALSE(knows(*table, {0x0a000001}, now));
}

TEST(Neighbours, FixedOnesAndThoseOfTheKernelStay) {
  const auto table = std::make_unique<Neighbours>();
  const Ip4 fixed{1}, kernels{2};
  table->fix(table->find(kPort, fixed), mac_of(fixed));
  table->learn(table->find(kPort, kernels), mac_of(kernels));
  for (uint32_t n = 0; n < 1u << 17; ++n) {
    ASSERT_NE(table->find(kPort, Ip4{kOnLink.value + n}, 5000 * kSecond + n),
              Neighbours::kNone);
  }
  EXPECT_TRUE(knows(*table, fixed, 9000 * kSecond));
  EXPECT_TRUE(knows(*table, kernels, 9000 * kSecond));
}

TEST(Neighbours, ASlotThatIsAnothersByNowKnowsAndTakesNothing) {
  const auto table = std::make_unique<Neighbours>();
  const Ip4 first{0xc0a86401};
  const uint32_t slot = table->find(kPort, first, kSecond);
  EXPECT_TRUE(table->current(slot));
  for (uint32_t n = 0; table->current(slot); ++n) {
    const Ip4 other{kOnLink.value + n};
    const uint32_t others = table->find(kPort, other, 2 * kSecond + n);
    table->learn(others, mac_of(other));
    table->forget(others);
  }
  table->learn(slot, mac_of(first));
  table->fix(slot, mac_of(first));
  MacAddress mac;
  EXPECT_FALSE(table->mac(slot, mac));
  EXPECT_FALSE(knows(*table, first, 3 * kSecond));
}

TEST(Neighbours, WorkersNeverReadAnothersMac) {
  const auto table = std::make_unique<Neighbours>();
  std::vector<std::thread> workers;
  std::atomic<uint64_t> wrong{0};
  for (uint32_t w = 0; w < 2; ++w) {
    workers.emplace_back([&, w] {
      for (uint32_t n = 0; n < 400000; ++n) {
        const Ip4 address{kOnLink.value + (n * 2654435761u + w * 77) % 50000};
        const uint32_t slot = table->find(kPort, address, kSecond + n);
        MacAddress mac;
        if (slot == Neighbours::kNone) {
          continue;
        }
        if (table->mac(slot, mac) && mac != mac_of(address)) {
          ++wrong;
        }
        if (n % 3 == 0) {
          table->learn(slot, mac_of(address));
        } else if (n % 3 == 1) {
          table->forget(slot);
        }
      }
    });
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace sluice::test
