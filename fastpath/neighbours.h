// SPDX-License-Identifier: Apache-2.0
// The L2 addresses of next hops: (port, address) -> MAC, one table for all workers.
//
// Any worker adds a key (compare-and-swap on a slot); the MAC is written by control for a
// kernel uplink (from netlink) and by the worker that hears ARP elsewhere, each as one atomic
// word. Readers never wait.  Bounds: kCapacity slots, kProbes of them for a key.  Where all of
// those are taken the oldest unresolved key gives way, else the resolved one that no packet
// asked for since kIdle; fixed ones never, nor what only control asked for (the kernel looks
// after it and says when it is gone).  So a scan of an on-link network recycles its own slots.
// Both words bear the number of times that a slot was given away, and so does what find()
// returns: with an old one nothing is known and nothing is written.
#ifndef SLUICE_FASTPATH_NEIGHBOURS_H_
#define SLUICE_FASTPATH_NEIGHBOURS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "classifier/types.h"
#include "fastpath/nanos.h"
#include "fastpath/path_mtu.h"
#include "fastpath/tables.h"

namespace sluice {

class Neighbours {
 public:
  static constexpr uint32_t kCapacity = 1u << 15;
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kIdle = 600 * kSecond;

  Neighbours() : slots_(std::make_unique<Slot[]>(kCapacity)) {}

  // The slot of the key, added if it is new; kNone when the neighbourhood of its hash is full.
  // `now` (nanoseconds, monotonic): a packet asks; 0: control does.
  uint32_t find(PortId port, const Address& address, uint64_t now = 0) noexcept;
  // The same, but kNone if it is new.
  uint32_t known(PortId port, const Address& address) const noexcept;
  // Is the slot still that key's?
  bool current(uint32_t slot) const noexcept {
    return times_of_key(slots_[index(slot)].key.load(std::memory_order_relaxed)) == times(slot);
  }
  // True and the MAC when it is known.
  bool mac(uint32_t slot, MacAddress& out) const noexcept {
    const uint64_t word = slots_[index(slot)].mac.load(std::memory_order_acquire);
    __builtin_memcpy(out.bytes, &word, sizeof(out.bytes));
    return (word & kKnown) != 0 && word >> kMacTimes == times(slot);
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
    slots_[index(slot)].wanted.store(true, std::memory_order_release);
  }
  // Every key that is wanted on `port`; clears the wish.
  void take_wanted(PortId port, const std::function<void(const Address&)>& visit);
  Address address(uint32_t slot) const noexcept;
  // What is known of the way to our peers, beside their MACs.
  PathMtu& path_mtu() noexcept { return path_mtu_; }
  PortId port(uint32_t slot) const noexcept {
    return static_cast<PortId>(slots_[index(slot)].key.load(std::memory_order_relaxed) >> 32 &
                               kPortMask);
  }

 private:
  static constexpr uint64_t kKnown = uint64_t{1} << 48;
  static constexpr uint64_t kFixed = uint64_t{1} << 49;
  static constexpr uint64_t kUsed = uint64_t{1} << 63;
  static constexpr uint64_t kSix = uint64_t{1} << 47;
  static constexpr PortId kPortMask = 0x7fff;
  static_assert(kMaxPorts <= kPortMask);
  static constexpr uint32_t kProbes = 64;
  // How often the slot was given away: in the key above the port, in the MAC above the marks,
  // in what find() returns above the index.
  static constexpr unsigned kTimesBits = 14, kKeyTimes = 48, kMacTimes = 50, kSlotTimes = 15;
  static constexpr uint32_t kTimes = (1u << kTimesBits) - 1;
  static_assert(kCapacity == 1u << kSlotTimes && kMacTimes + kTimesBits == 64);
  static constexpr uint64_t kSameKey = ~(uint64_t{kTimes} << kKeyTimes);
  static uint32_t index(uint32_t slot) noexcept { return slot & (kCapacity - 1); }
  static uint32_t times(uint32_t slot) noexcept { return slot >> kSlotTimes; }
  static uint32_t times_of_key(uint64_t key) noexcept {
    return static_cast<uint32_t>(key >> kKeyTimes) & kTimes;
  }
  bool fixed(uint32_t slot) const noexcept;
  uint32_t recycle(uint64_t key, const Address& address, uint32_t start, uint64_t now) noexcept;
  static uint64_t key_of(PortId port, const Address& address) noexcept;
  static uint32_t start_of(uint64_t key) noexcept {
    return static_cast<uint32_t>(key * 0x9e3779b97f4a7c15u >> 49);
  }
  void store(uint32_t slot, const MacAddress& mac, uint64_t marks) noexcept;
  struct Slot {
    std::atomic<uint64_t> key{0};    // kUsed | times | kSix | port << 32 | address, or its hash
    std::atomic<uint64_t> mac{0};    // times | kKnown | kFixed | 6 bytes
    std::atomic<uint64_t> asked{0};  // by a packet, to the second; 0: never
    // Of IPv6 the whole address, written right after the key.  Who comes in between takes it
    // for another's and adds the key once more, which does no harm: from then on all find the
    // first.
    std::atomic<uint64_t> hi{0}, lo{0};
    std::atomic<bool> wanted{false};
  };
  std::unique_ptr<Slot[]> slots_;
  PathMtu path_mtu_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_NEIGHBOURS_H_
