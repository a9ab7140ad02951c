// SPDX-License-Identifier: Apache-2.0
// What routers between the nodes said of the size of our IPIP packets: peer -> largest outer
// packet, where that is less than the uplink's own MTU.
//
// One table for all workers.  The worker that hears an ICMP 3/4 writes; every worker reads, a
// word at a time: what it sees half-written is an old size with a new deadline, or the reverse,
// for one packet.  A size is believed for 600 s.  Fixed: kPeers slots, kProbes of them for a
// peer; the one that ends soonest gives way.  No lock, no allocation after construction.
// Source: reliability rules, section 5; RFC 2003 5.1, RFC 1191.
#ifndef SLUICE_FASTPATH_PATH_MTU_H_
#define SLUICE_FASTPATH_PATH_MTU_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "classifier/types.h"
#include "fastpath/nanos.h"

namespace sluice {

class PathMtu {
 public:
  static constexpr uint32_t kPeers = 1024;
  static constexpr uint16_t kLeast = 576;  // less is not believed
  static constexpr uint64_t kBelieveFor = 600 * kSecond;

  // A router on the way to `peer` takes packets of at most `mtu` bytes.  Never raises what is
  // still believed.  REQUIRES: mtu >= kLeast; `peer` is a node of ours, which an attacker
  // cannot make up.
  void learn(Ip4 peer, uint16_t mtu, uint64_t now) noexcept;

  // The largest outer packet for `peer`: `own`, or less.
  uint16_t of(Ip4 peer, uint16_t own, uint64_t now) const noexcept {
    return last_until_.load(std::memory_order_relaxed) <= now ? own : look_up(peer, own, now);
  }

 private:
  static constexpr uint32_t kProbes = 8;
  struct Slot {
    std::atomic<uint64_t> peer_mtu{0};  // address << 16 | MTU
    std::atomic<uint64_t> until{0};
  };
  static uint32_t start(Ip4 peer) noexcept {
    return static_cast<uint32_t>(peer.value * uint64_t{0x9e3779b97f4a7c15u} >> 54);
  }
  static_assert(kPeers == 1u << (64 - 54));
  uint16_t look_up(Ip4 peer, uint16_t own, uint64_t now) const noexcept;

  std::atomic<uint64_t> last_until_{0};  // when nothing is believed any more
  std::array<Slot, kPeers> slots_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PATH_MTU_H_
