// SPDX-License-Identifier: Apache-2.0
// Samples of what one worker drops: why, where it came in, which rule denied it, and the first
// bytes of the frame, for people who watch (`sluicectl drops --watch`).
//
// The worker writes, control reads: a ring with one of each, no lock, no allocation, no clock
// but the burst's.  Control alone makes sense of the bytes.  Bounds: kPerSecond samples of a
// reason a second, over all workers; kSlots that wait for control, which comes round every
// 20 ms.  What is not sampled is told by the next sample of its reason (`before`); what found
// the ring full is told so, too.  Source: reliability rules, section 9.
#ifndef SLUICE_FASTPATH_DROP_SAMPLES_H_
#define SLUICE_FASTPATH_DROP_SAMPLES_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "classifier/rule.h"
#include "classifier/verdict.h"
#include "fastpath/conntrack.h"
#include "fastpath/tables.h"

namespace sluice {

struct DropSample {
  static constexpr size_t kHead = 128;  // Ethernet, IPIP, IPv4 with options, TCP with options

  Nanos at = 0;
  DropReason reason = DropReason::none;
  CounterSlot rule = kNoCounter;  // that denied it, where policy did
  PortId in_port = kNoPort;
  Ip4 outer_source;     // it came out of this node's tunnel: the reason is about what is inside
  uint32_t before = 0;  // dropped for the same reason since the last sample of it, unsampled
  uint32_t length = 0;  // of the frame
  uint16_t head_bytes = 0;
  std::array<uint8_t, kHead> head;
};

class DropSamples {
 public:
  static constexpr uint32_t kSlots = 512;  // a power of two
  static constexpr uint32_t kPerSecond = 100;

  // `workers`: how many share kPerSecond.
  explicit DropSamples(uint8_t workers)
      : per_second_(std::max(1u, kPerSecond / std::max<uint32_t>(workers, 1))),
        slots_(std::make_unique<DropSample[]>(kSlots)) {}

  // Worker: a slot for a drop of `reason`, with `at`, `reason` and `before` filled in; null
  // when it is not to be sampled.  A slot is seen by control once it is given to commit().
  DropSample* begin(DropReason reason, Nanos now) noexcept {
    Share& share = shares_[static_cast<size_t>(reason)];
    if (now - share.since >= kSecond) {
      share.since = now;
      share.taken = 0;
    }
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (share.taken >= per_second_ || head - tail_.load(std::memory_order_acquire) == kSlots) {
      ++share.skipped;
      return nullptr;
    }
    ++share.taken;
    DropSample& slot = slots_[head % kSlots];
    slot.at = now;
    slot.reason = reason;
    slot.before = share.skipped;
    share.skipped = 0;
    return &slot;
  }
  void commit() noexcept {
    head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  // Control: the oldest sample that waits; false when there is none.
  bool take(DropSample& out) noexcept {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) {
      return false;
    }
    out = slots_[tail % kSlots];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

 private:
  struct Share {  // of one reason
    Nanos since = 0;
    uint32_t taken = 0;
    uint32_t skipped = 0;
  };

  uint32_t per_second_;
  std::unique_ptr<DropSample[]> slots_;
  std::array<Share, kDropReasons> shares_;
  alignas(64) std::atomic<uint32_t> head_{0};  // next to write
  alignas(64) std::atomic<uint32_t> tail_{0};  // next to read
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_DROP_SAMPLES_H_
