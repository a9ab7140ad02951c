// SPDX-License-Identifier: Apache-2.0
#include "fastpath/drop_samples.h"

#include <thread>

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr DropReason kSome = DropReason::ip4_ttl, kOther = DropReason::tun_src;

bool drop(DropSamples& samples, DropReason reason, Nanos now) {
  DropSample* slot = samples.begin(reason, now);
  if (slot == nullptr) {
    return false;
  }
  samples.commit();
  return true;
}

unsigned drop_many(DropSamples& samples, DropReason reason, Nanos now, unsigned times) {
  unsigned sampled = 0;
  for (unsigned i = 0; i < times; ++i) {
    sampled += drop(samples, reason, now) ? 1 : 0;
  }
  return sampled;
}

unsigned take_all(DropSamples& samples) {
  DropSample one;
  unsigned n = 0;
  while (samples.take(one)) {
    ++n;
  }
  return n;
}

TEST(DropSamples, GiveBackWhatWasWrittenInOrder) {
  DropSamples samples(1);
  DropSample got;
  EXPECT_FALSE(samples.take(got));
  for (uint16_t port = 5; port < 8; ++port) {
    DropSample* slot = samples.begin(kSome, 7 * kSecond);
    ASSERT_NE(slot, nullptr);
    slot->in_port = port;
    slot->rule = port;
    EXPECT_FALSE(port == 5 && samples.take(got)) << "it is not written yet";
    samples.commit();
  }
  for (uint16_t port = 5; port < 8; ++port) {
    ASSERT_TRUE(samples.take(got));
    EXPECT_EQ(got.in_port, port);
    EXPECT_EQ(got.rule, port);
    EXPECT_EQ(got.at, 7 * kSecond);
    EXPECT_EQ(got.reason, kSome);
  }
  EXPECT_FALSE(samples.take(got));
}

TEST(DropSamples, TakeAHundredOfAReasonEachSecondAndTellWhatTheyLeftOut) {
  DropSamples samples(1);
  EXPECT_EQ(drop_many(samples, kSome, 5 * kSecond, 1000), 100u);
  EXPECT_EQ(drop_many(samples, kOther, 5 * kSecond, 7), 7u) << "each reason has its own share";
  EXPECT_EQ(drop_many(samples, kSome, 6 * kSecond - 1, 10), 0u);
  EXPECT_EQ(take_all(samples), 107u);
  EXPECT_TRUE(drop(samples, kSome, 6 * kSecond));
  DropSample got;
  ASSERT_TRUE(samples.take(got));
  EXPECT_EQ(got.before, 910u);
  EXPECT_TRUE(drop(samples, kSome, 6 * kSecond));
  ASSERT_TRUE(samples.take(got));
  EXPECT_EQ(got.before, 0u);
}

TEST(DropSamples, OfSeveralWorkersTakeAHundredTogether) {
  DropSamples of_four(4);
  EXPECT_EQ(drop_many(of_four, kSome, kSecond, 1000), 25u);
  DropSamples of_many(200);
  EXPECT_EQ(drop_many(of_many, kSome, kSecond, 1000), 1u);
}

TEST(DropSamples, WaitForARingWithRoomAndTellWhatFoundItFull) {
  DropSamples samples(1);
  for (Nanos second = 1; second <= 6; ++second) {
    drop_many(samples, kSome, second * kSecond, 100);
  }
  DropSample got;
  unsigned taken = 0;
  uint32_t told = 0;
  while (samples.take(got)) {
    ++taken;
    told += got.before;
  }
  EXPECT_EQ(taken, DropSamples::kSlots);
  EXPECT_EQ(told, 0u);
  EXPECT_TRUE(drop(samples, kSome, 7 * kSecond));
  ASSERT_TRUE(samples.take(got));
  EXPECT_EQ(got.before, 600 - DropSamples::kSlots);
}

// For ThreadSanitizer, too: every sample arrives whole, and with `before` each drop is told.
TEST(DropSamples, CrossFromOneThreadToAnother) {
  constexpr uint32_t kDrops = 200000;
  DropSamples samples(1);
  std::thread worker([&] {
    for (uint32_t i = 0; i < kDrops; ++i) {
      // A second each: only the ring's room limits them; the last waits until it is in.
      DropSample* slot = samples.begin(kSome, (i + 1) * kSecond);
      while (slot == nullptr && i + 1 == kDrops) {
        std::this_thread::yield();
        slot = samples.begin(kSome, (i + 1) * kSecond);
      }
      if (slot != nullptr) {
        slot->length = i;
        slot->head_bytes = 4;
        slot->head[3] = static_cast<uint8_t>(i);
        samples.commit();
      }
    }
  });
  DropSample got;
  uint64_t last = 0;
  while (last != kDrops) {
    if (!samples.take(got)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(got.head[3], static_cast<uint8_t>(got.length));
    ASSERT_EQ(got.at, (got.length + uint64_t{1}) * kSecond);
    if (got.length + 1 != kDrops) {
      ASSERT_EQ(got.length, last + got.before);
    }
    last = got.length + uint64_t{1};
  }
  worker.join();
}

}  // namespace
}  // namespace sluice
