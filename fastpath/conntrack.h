// SPDX-License-Identifier: Apache-2.0
// Connection table of one worker: fixed size, one entry for both directions of a flow.
//
// Written and read only by the owning worker; no lock.  (Control reads it through snapshot
// requests that the worker answers between bursts.)  An index of cache-line buckets, two
// candidate buckets for a key (16 candidates, never more), points at entries.  The key is the
// tuple with its ends ordered, so both directions find the same slot with one keyed hash
// (SipHash-1-3, key from getrandom at start; linear hashes collide under every key).
// A new entry recycles, among its 16 candidates: expired, closing, oldest unreplied.  Entries
// live until `deadline`; expire() works off a bounded slice.  Times are nanoseconds of a
// monotonic clock.  No allocation after construction.
// Source: reliability rules, section 3.
#ifndef SLUICE_FASTPATH_CONNTRACK_H_
#define SLUICE_FASTPATH_CONNTRACK_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "classifier/rule.h"
#include "classifier/verdict.h"
#include "fastpath/packet.h"
#include "fastpath/tables.h"
#include "fastpath/tcp_state.h"

namespace sluice {

using Nanos = uint64_t;
using ConnId = uint32_t;
inline constexpr ConnId kNoConn = UINT32_MAX;

enum Side : uint8_t { kOriginal = 0, kReply = 1 };

// All that an established packet needs; the first cache line is what every packet touches.
struct alignas(64) Connection {
  Tuple4 tuple;                       // as the initiator sent it
  TcpState tcp = TcpState::none;
  uint8_t replied : 1 = 0;
  uint8_t assured : 1 = 0;
  uint8_t live : 1 = 0;
  uint8_t midflow : 1 = 0;            // picked up in mid-stream
  uint32_t route_version = 0;         // both routes below are good for this table version
  std::array<RouteId, 2> route = {};  // by side: where packets of that side go
  std::array<Origin, 2> origin = {};  // by side: where they come from; port kNoPort: unknown yet
  Nanos deadline = 0;
  // second line
  Nanos created = 0;
  std::array<uint64_t, 2> packets = {};
  std::array<uint64_t, 2> bytes = {};  // of IPv4 packets
  EndpointId source = kNoEndpoint;
  EndpointId destination = kNoEndpoint;
  CounterSlot egress_rule = kNoCounter;   // what allowed it, for each leg
  CounterSlot ingress_rule = kNoCounter;
  uint32_t generation = 0;                // low bits of the generation that allowed it
};
static_assert(sizeof(Connection) <= 192);

struct Timeouts {  // seconds
  std::array<uint32_t, kTcpStates> tcp;
  uint32_t udp_one_way, udp_both_ways, icmp, other, midflow;
  static Timeouts linux_preset();
  static Timeouts calico_bpf_preset();
};

class ConnTable {
 public:
  struct Options {
    uint32_t max = 1000000;
    Timeouts timeouts = Timeouts::linux_preset();
    std::array<uint64_t, 2> hash_key = {};
  };
  explicit ConnTable(const Options& options);

  // Looks up tuples[i] in either direction; writes the entry (or kNoConn) and the side that the
  // tuple is of.  Hashes, prefetches and compares across the burst.  Expired entries are not
  // found.  REQUIRES: all spans have one length <= 64.
  void find(std::span<const Tuple4> tuples, Nanos now, std::span<ConnId> ids,
            std::span<Side> sides) noexcept;

  struct Created {
    ConnId id = kNoConn;
    DropReason reason = DropReason::none;  // ct_table_full, ct_embryonic
  };
  // A new entry for `tuple` as initiator, zeroed but for tuple, created and a first deadline.
  // REQUIRES: find() did not return one for it since.
  Created create(const Tuple4& tuple, Nanos now) noexcept;

  // Moves the entry on for one packet of side `side`: state, deadline, replied, assured, packet
  // and byte counts.  ct_invalid when the table of TCP refuses it.
  DropReason update(ConnId id, Side side, const Parsed& p, Nanos now) noexcept;

  // What a TCP packet that found no entry may do: none (may open, a SYN or an allowed pickup),
  // or ct_invalid / ct_midflow.  `loose`: mid-stream pickup is allowed now.
  static DropReason may_open(const Parsed& p, bool loose) noexcept;

  Connection& at(ConnId id) noexcept { return entries_[id]; }
  const Connection& at(ConnId id) const noexcept { return entries_[id]; }
  void erase(ConnId id) noexcept;

  // Looks at the next `slots` entries and erases those past their deadline; `gone` (may be
  // empty) sees each before it goes.
  void expire(Nanos now, uint32_t slots, const std::function<void(const Connection&)>& gone);
  void for_each(const std::function<void(ConnId, const Connection&)>& visit) const;

  uint32_t size() const { return size_; }
  uint32_t max() const { return max_; }

 private:
  struct alignas(64) Bucket {
    std::array<uint32_t, 8> ids;
    std::array<uint16_t, 8> tags;  // 0: the slot is free
  };

  std::unique_ptr<Bucket[]> buckets_;
  std::unique_ptr<Connection[]> entries_;
  std::unique_ptr<uint32_t[]> free_;
  uint32_t bucket_mask_ = 0;
  uint32_t max_ = 0;
  uint32_t size_ = 0;
  uint32_t free_count_ = 0;
  uint32_t embryonic_ = 0;
  uint32_t sweep_ = 0;
  Timeouts timeouts_;
  std::array<uint64_t, 2> key_ = {};
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_CONNTRACK_H_
