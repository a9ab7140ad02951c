// SPDX-License-Identifier: Apache-2.0
// What travels with a frame: where it came from, who counts its fate, and how far it got when
// it changes hands (another worker's ring, the hold queue).
//
// Written by the pipeline for each frame received and by Output for those of our own making;
// read by whoever has the frame.  It lies in the mbuf's first line, which is at hand anyway,
// where a driver would say what VLAN and RSS hash a frame had: nobody here asks for them.
#ifndef SLUICE_FASTPATH_PACKET_META_H_
#define SLUICE_FASTPATH_PACKET_META_H_

#include <cstddef>
#include <cstdint>

#include <rte_mbuf.h>

#include "classifier/verdict.h"
#include "fastpath/buffers.h"
#include "fastpath/tables.h"

namespace sluice {

struct [[gnu::packed, gnu::may_alias]] PacketMeta {
  // untracked: by a host endpoint; no connection is looked for.
  enum class Stage : uint8_t { received, judged_egress, untracked, ready };
  PortId out_port = kNoPort;  // for Stage::ready: the frame is complete, transmit it there
  uint32_t outer_source = 0;  // where it came from, with the next
  PortId from = kNoPort;
  PortId in_port = kNoPort;  // who counts its fate
  Stage stage = Stage::received;
  Fate fate = Fate::forwarded;  // for Stage::ready: what counts when it is sent

  Origin origin() const noexcept {
    return {from, Ip4{outer_source}};
  }
  void set_origin(Origin origin) noexcept {
    from = origin.port;
    outer_source = origin.outer_source.value;
  }
};
static_assert(offsetof(rte_mbuf, vlan_tci) + sizeof(PacketMeta) == offsetof(rte_mbuf, buf_len));

inline PacketMeta& meta(rte_mbuf* frame) noexcept {
  return *reinterpret_cast<PacketMeta*>(reinterpret_cast<uint8_t*>(frame) +
                                        offsetof(rte_mbuf, vlan_tci));
}

// The frame's number on its port, in the mbuf's private area; replay only.
inline uint32_t& replay_index(rte_mbuf* frame) noexcept {
  return *static_cast<uint32_t*>(rte_mbuf_to_priv(frame));
}
static_assert(sizeof(uint32_t) <= kPrivateBytes);

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PACKET_META_H_
