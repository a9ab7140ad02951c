// SPDX-License-Identifier: Apache-2.0
// The L2 addresses of next hops: (port, IPv4 address) -> MAC, one table for all workers.
//
// Any worker adds a key (compare-and-swap on an empty slot); the MAC is written by control for
// a kernel uplink (from netlink) and by the worker that hears ARP elsewhere, each as one atomic
// word.  Keys are never removed: at most kCapacity, then find() says kNone.  Readers never
// wait.  A slot is good for the life of the table.
#ifndef SLUICE_FASTPATH_NEIGHBOURS_H_
#define SLUICE_FASTPATH_NEIGHBOURS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "classifier/types.h"
#include "fastpath/path_mtu.h"
#include "fastpath/tables.h"

namespace sluice {

class Neighbours {
 public:
  static constexpr uint32_t kCapacity = 1u << 15;
  static constexpr uint32_t kNone = UINT32_MAX;

  Neighbours() : slots_(std::make_unique<Slot[]>(kCapacity)) {}

  // The slot of the key, added if it is new; kNone when the neighbourhood of its hash is full.
  uint32_t find(PortId port, Ip4 address) noexcept;
  // True and the MAC when it is known.
  bool mac(uint32_t slot, MacAddress& out) const noexcept {
    const uint64_t word = slots_[slot].mac.load(std::memory_order_acquire);
    __builtin_memcpy(out.bytes, &word, sizeof(out.bytes));
    return (word & kKnown) != 0;
  }
  // A MAC from the settings: what learn() and forget() hear later does not change it.
  void fix(uint32_t slot, const MacAddress& mac) noexcept;
  void learn(uint32_t slot, const MacAddress& mac) noexcept;
  void forget(uint32_t slot) noexcept;
  // A fixed one is no longer in the settings: unknown until it is learned.
  void loosen(uint32_t slot) noexcept;
  // Everything learned on a port that has closed; its next owner's pod may have another MAC.
  void forget_port(PortId port) noexcept;

  // A packet waits for this one: whoever resolves on its port shall ask.
  void want(uint32_t slot) noexcept {
    slots_[slot].wanted.store(true, std::memory_order_release);
  }
  // Every key that is wanted on `port`; clears the wish.
  void take_wanted(PortId port, const std::function<void(Ip4)>& visit);
  Ip4 address(uint32_t slot) const noexcept {
    return {static_cast<uint32_t>(slots_[slot].key.load(std::memory_order_relaxed))};
  }
  // What is known of the way to our peers, beside their MACs.
  PathMtu& path_mtu() noexcept { return path_mtu_; }
  PortId port(uint32_t slot) const noexcept {
    return static_cast<PortId>(slots_[slot].key.load(std::memory_order_relaxed) >> 32);
  }

 private:
  static constexpr uint64_t kKnown = uint64_t{1} << 48;
  static constexpr uint64_t kFixed = uint64_t{1} << 49;
  static constexpr uint64_t kUsed = uint64_t{1} << 63;
  static constexpr uint32_t kProbes = 64;
  bool fixed(uint32_t slot) const noexcept {
    return (slots_[slot].mac.load(std::memory_order_relaxed) & kFixed) != 0;
  }
  void store(uint32_t slot, const MacAddress& mac, uint64_t marks) noexcept;
  struct Slot {
    std::atomic<uint64_t> key{0};  // kUsed | port << 32 | address
    std::atomic<uint64_t> mac{0};  // kKnown | kFixed | 6 bytes
    std::atomic<bool> wanted{false};
  };
  std::unique_ptr<Slot[]> slots_;
  PathMtu path_mtu_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_NEIGHBOURS_H_
