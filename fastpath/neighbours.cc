// SPDX-License-Identifier: Apache-2.0
#include "fastpath/neighbours.h"

#include <cstring>

namespace sluice {

uint64_t Neighbours::key_of(PortId port, const Address& address) noexcept {
  const uint64_t on_port = kUsed | uint64_t{port} << 32;
  return address.is_v4() ? on_port | address.v4().value
                         : on_port | kSix | static_cast<uint32_t>(AddressHash{}(address));
}

Address Neighbours::address(uint32_t slot) const noexcept {
  const Slot& s = slots_[index(slot)];
  const uint64_t key = s.key.load(std::memory_order_relaxed);
  if ((key & kSix) == 0) {
    return Ip4{static_cast<uint32_t>(key)};
  }
  return {s.hi.load(std::memory_order_relaxed), s.lo.load(std::memory_order_relaxed)};
}

uint32_t Neighbours::find(PortId port, const Address& address, uint64_t now) noexcept {
  const bool six = !address.is_v4();
  const uint64_t key = key_of(port, address);
  const uint32_t start = start_of(key);
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t at = (start + i) & (kCapacity - 1);
    Slot& slot = slots_[at];
    uint64_t seen = slot.key.load(std::memory_order_relaxed);
    if (seen == 0 && slot.key.compare_exchange_strong(seen, key)) {
      slot.hi.store(address.hi, std::memory_order_relaxed);
      slot.lo.store(address.lo, std::memory_order_relaxed);
      seen = key;
    }
    if ((seen & kSameKey) == key && (!six || this->address(at) == address)) {
      if (now >= slot.asked.load(std::memory_order_relaxed) + kSecond) {
        slot.asked.store(now, std::memory_order_relaxed);
      }
      return times_of_key(seen) << kSlotTimes | at;
    }
  }
  return recycle(key, address, start, now);
}

uint32_t Neighbours::known(PortId port, const Address& address) const noexcept {
  const uint64_t key = key_of(port, address);
  const uint32_t start = start_of(key);
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t at = (start + i) & (kCapacity - 1);
    const uint64_t seen = slots_[at].key.load(std::memory_order_relaxed);
    const uint32_t slot = times_of_key(seen) << kSlotTimes | at;
    if ((seen & kSameKey) == key && this->address(slot) == address) {
      return slot;
    }
  }
  return kNone;
}

// Gives `key` the slot of another, as said at the top; kNone: all are needed, or another worker
// was faster.
uint32_t Neighbours::recycle(uint64_t key, const Address& address, uint32_t start,
                             uint64_t now) noexcept {
  uint32_t victim = kNone;
  uint64_t victims_key = 0;
  uint64_t oldest = UINT64_MAX;
  bool resolved = true;
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t at = (start + i) & (kCapacity - 1);
    const uint64_t seen = slots_[at].key.load(std::memory_order_relaxed);
    const uint64_t mac = slots_[at].mac.load(std::memory_order_relaxed);
    const uint64_t asked = slots_[at].asked.load(std::memory_order_relaxed);
    const bool known = (mac & kKnown) != 0 && mac >> kMacTimes == times_of_key(seen);
    const bool needed =
        known && ((mac & kFixed) != 0 || asked == 0 || now < asked || now - asked < kIdle);
    const bool better = known == resolved ? asked < oldest : resolved;
    if (!needed && better) {
      victim = at;
      victims_key = seen;
      oldest = asked;
      resolved = known;
    }
  }
  if (victim == kNone) {
    return kNone;
  }
  Slot& slot = slots_[victim];
  const uint32_t times = (times_of_key(victims_key) + 1) & kTimes;
  if (!slot.key.compare_exchange_strong(victims_key, key | uint64_t{times} << kKeyTimes)) {
    return kNone;
  }
  slot.hi.store(address.hi, std::memory_order_relaxed);
  slot.lo.store(address.lo, std::memory_order_relaxed);
  slot.mac.store(uint64_t{times} << kMacTimes, std::memory_order_release);
  slot.asked.store(now, std::memory_order_relaxed);
  slot.wanted.store(false, std::memory_order_relaxed);
  return times << kSlotTimes | victim;
}

bool Neighbours::fixed(uint32_t slot) const noexcept {
  const uint64_t word = slots_[index(slot)].mac.load(std::memory_order_relaxed);
  return (word & kFixed) != 0 && word >> kMacTimes == times(slot);
}

void Neighbours::store(uint32_t slot, const MacAddress& mac, uint64_t marks) noexcept {
  if (!current(slot)) {
    return;
  }
  uint64_t word = 0;
  std::memcpy(&word, mac.bytes, sizeof(mac.bytes));
  slots_[index(slot)].mac.store(word | marks | uint64_t{times(slot)} << kMacTimes,
                                std::memory_order_release);
}

void Neighbours::fix(uint32_t slot, const MacAddress& mac) noexcept {
  store(slot, mac, kKnown | kFixed);
}

void Neighbours::learn(uint32_t slot, const MacAddress& mac) noexcept {
  if (!fixed(slot)) {
    store(slot, mac, kKnown);
  }
}

void Neighbours::forget(uint32_t slot) noexcept {
  if (!fixed(slot)) {
    store(slot, {}, 0);
  }
}

void Neighbours::loosen(uint32_t slot) noexcept {
  store(slot, {}, 0);
}

void Neighbours::forget_port(PortId port) noexcept {
  for (uint32_t i = 0; i < kCapacity; ++i) {
    const uint64_t key = slots_[i].key.load(std::memory_order_relaxed);
    if (key != 0 && this->port(i) == port) {
      forget(times_of_key(key) << kSlotTimes | i);
    }
  }
}

void Neighbours::take_wanted(PortId port, const std::function<void(const Address&)>& visit) {
  for (uint32_t i = 0; i < kCapacity; ++i) {
    Slot& slot = slots_[i];
    if (slot.wanted.load(std::memory_order_acquire) && this->port(i) == port) {
      slot.wanted.store(false, std::memory_order_relaxed);
      visit(address(i));
    }
  }
}

}  // namespace sluice
