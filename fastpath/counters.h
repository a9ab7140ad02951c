// SPDX-License-Identifier: Apache-2.0
// What one worker has counted: frames per port and fate, drops per reason, hits per rule.
//
// Each worker writes its own Counters and nobody else's; control reads all of them at any time
// and adds up.  Values only grow, except `held`, which is how many wait now.  For every port,
// summed over workers: rx_packets = forwarded + punted + consumed + held + dropped, once no
// frame is under way.
#ifndef SLUICE_FASTPATH_COUNTERS_H_
#define SLUICE_FASTPATH_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "classifier/rule.h"
#include "classifier/verdict.h"
#include "fastpath/tables.h"

namespace sluice {

// One writer, many readers: a plain add for the writer, never torn for a reader.
class Counter {
 public:
  void add(uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct PortCounters {
  Counter rx_packets;
  Counter rx_bytes;
  Counter tx_packets;
  Counter tx_bytes;
  std::array<Counter, kFates> fates;  // of frames received on this port
  Counter originated;                 // frames of our own making sent here (ARP, ICMP)
};

struct RuleCounters {
  Counter judged;   // packets that policy judged: hits as iptables shows them
  Counter packets;  // whole traffic of the connections it admitted, and packets it refused
  Counter bytes;
};

class Counters {
 public:
  explicit Counters(CounterSlot rules)
      : ports_(std::make_unique<PortCounters[]>(kMaxPorts)),
        rules_(std::make_unique<RuleCounters[]>(rules)),
        rule_count_(rules) {}

  PortCounters& port(PortId id) noexcept { return ports_[id]; }
  const PortCounters& port(PortId id) const noexcept { return ports_[id]; }
  // REQUIRES: slot < rules().
  RuleCounters& rule(CounterSlot slot) noexcept { return rules_[slot]; }
  const RuleCounters& rule(CounterSlot slot) const noexcept { return rules_[slot]; }
  CounterSlot rules() const { return rule_count_; }

  std::array<Counter, kDropReasons> drops;
  // Of those, of packets that came out of a tunnel: the reason is about the inner header.
  std::array<Counter, kDropReasons> inner_drops;
  Counter icmp_suppressed;  // ICMP errors not sent because of the rate limit
  Counter connections_opened;

 private:
  std::unique_ptr<PortCounters[]> ports_;
  std::unique_ptr<RuleCounters[]> rules_;
  CounterSlot rule_count_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_COUNTERS_H_
