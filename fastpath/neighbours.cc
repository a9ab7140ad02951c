// SPDX-License-Identifier: Apache-2.0
#include "fastpath/neighbours.h"

#include <cstring>

namespace sluice {

uint32_t Neighbours::find(PortId port, Ip4 address) noexcept {
  const uint64_t key = kUsed | uint64_t{port} << 32 | address.value;
  const uint64_t hash = key * 0x9e3779b97f4a7c15u;
  const auto start = static_cast<uint32_t>(hash >> 49);
  static_assert(kCapacity == 1u << 15);
  for (uint32_t i = 0; i < kProbes; ++i) {
    const uint32_t at = (start + i) & (kCapacity - 1);
    uint64_t seen = slots_[at].key.load(std::memory_order_relaxed);
    if (seen == 0 && slots_[at].key.compare_exchange_strong(seen, key)) {
      return at;
    }
    if (seen == key) {
      return at;
    }
  }
  return kNone;
}

void Neighbours::store(uint32_t slot, const MacAddress& mac, uint64_t marks) noexcept {
  uint64_t word = 0;
  std::memcpy(&word, mac.bytes, sizeof(mac.bytes));
  slots_[slot].mac.store(word | marks, std::memory_order_release);
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
    slots_[slot].mac.store(0, std::memory_order_release);
  }
}

void Neighbours::loosen(uint32_t slot) noexcept {
  slots_[slot].mac.store(0, std::memory_order_release);
}

void Neighbours::forget_port(PortId port) noexcept {
  for (uint32_t i = 0; i < kCapacity; ++i) {
    if (this->port(i) == port) {
      forget(i);
    }
  }
}

void Neighbours::take_wanted(PortId port, const std::function<void(Ip4)>& visit) {
  for (uint32_t i = 0; i < kCapacity; ++i) {
    Slot& slot = slots_[i];
    if (slot.wanted.load(std::memory_order_acquire) && this->port(i) == port) {
      slot.wanted.store(false, std::memory_order_relaxed);
      visit(address(i));
    }
  }
}

}  // namespace sluice
