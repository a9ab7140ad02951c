// SPDX-License-Identifier: Apache-2.0
#include "fastpath/path_mtu.h"

#include <algorithm>

namespace sluice {

void PathMtu::learn(Ip4 peer, uint16_t mtu, uint64_t now) noexcept {
  Slot* victim = nullptr;
  for (uint32_t i = 0; i < kProbes; ++i) {
    Slot& slot = slots_[(start(peer) + i) & (kPeers - 1)];
    const uint64_t word = slot.peer_mtu.load(std::memory_order_relaxed);
    if (word >> 16 == peer.value) {
      const bool believed = slot.until.load(std::memory_order_relaxed) > now;
      if (believed && mtu > static_cast<uint16_t>(word)) {
        return;
      }
      victim = &slot;
      break;
    }
    if (victim == nullptr || slot.until.load(std::memory_order_relaxed) <
                                 victim->until.load(std::memory_order_relaxed)) {
      victim = &slot;
    }
  }
  const uint64_t until = now + kBelieveFor;
  victim->peer_mtu.store(uint64_t{peer.value} << 16 | mtu, std::memory_order_relaxed);
  victim->until.store(until, std::memory_order_relaxed);
  last_until_.store(until, std::memory_order_relaxed);
}

uint16_t PathMtu::look_up(Ip4 peer, uint16_t own, uint64_t now) const noexcept {
  for (uint32_t i = 0; i < kProbes; ++i) {
    const Slot& slot = slots_[(start(peer) + i) & (kPeers - 1)];
    const uint64_t word = slot.peer_mtu.load(std::memory_order_relaxed);
    if (word >> 16 == peer.value && slot.until.load(std::memory_order_relaxed) > now) {
      return std::min(own, static_cast<uint16_t>(word));
    }
  }
  return own;
}

}  // namespace sluice
