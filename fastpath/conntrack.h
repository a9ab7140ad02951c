// SPDX-License-Identifier: Apache-2.0
// Connection table of one worker: fixed size, one entry for both directions of a flow.
//
// Written and read only by the owning worker; no lock.  (Control reads it through snapshot
// requests that the worker answers between bursts.)  An index of cache-line buckets, two
// candidate buckets for a key (the second for when the first is crowded; 16 candidates, never
// more), points at entries.  The key is the tuple with its ends ordered, so both directions
// find the same slot with one keyed hash (SipHash-1-3, key from getrandom at start; linear
// hashes collide under every key). A new entry recycles, among its 16 candidates: expired,
// closing, oldest unreplied.  Entries live until `deadline`; expire() works off a bounded
// slice.  Times are nanoseconds of a monotonic clock.  The addresses of IPv6 flows stand in a
// table of their own beside the entries.  No allocation after construction.  Source:
// reliability rules, section 3.
#ifndef SLUICE_FASTPATH_CONNTRACK_H_
#define SLUICE_FASTPATH_CONNTRACK_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "classifier/region.h"
#include "classifier/result.h"
#include "classifier/rule.h"
#include "classifier/verdict.h"
#include "fastpath/nanos.h"
#include "fastpath/packet.h"
#include "fastpath/tables.h"
#include "fastpath/tcp_state.h"
#include "fastpath/tcp_window.h"

namespace sluice {

struct Plain;

using ConnId = uint32_t;
inline constexpr ConnId kNoConn = UINT32_MAX;
// Longer than TCP waits between two retransmissions.
inline constexpr Nanos kCutFor = 300 * kSecond;
// Before that a UDP exchange is just a question.
inline constexpr Nanos kAssuredAge = 2 * kSecond;

// Rules and endpoints as an entry holds them: all bits set is none.
inline constexpr unsigned kRuleBits = 20, kEndpointBits = 12;
inline constexpr uint32_t kNoRule = (1u << kRuleBits) - 1, kNoEnd = (1u << kEndpointBits) - 1;

// A moment in 32 bits: 17 ms each, good for differences of two years.
inline constexpr unsigned kTickShift = 24;
constexpr uint32_t ticks(Nanos t) {
  return static_cast<uint32_t>(t >> kTickShift);
}
constexpr Nanos age(uint32_t created, Nanos now) {
  return Nanos{ticks(now) - created} << kTickShift;
}

// All that an established packet needs, in two cache lines.  Unlikely values have no bits to
// spare: what is narrow here has a bound that a static_assert states.
struct alignas(64) Connection {
  Tuple tuple;  // as the initiator sent it
  TcpState tcp : 4 = TcpState::none;
  uint8_t syn_scale : 4 = 0;  // syn_passed: the window scale of that SYN
  uint8_t replied : 1 = 0;
  uint8_t assured : 1 = 0;
  uint8_t live : 1 = 0;
  uint8_t midflow : 1 = 0;       // picked up in mid-stream: its windows are not enforced
  uint8_t simultaneous : 1 = 0;  // TCP: both sides sent a SYN first
  uint8_t syn_passed : 1 = 0;    // TCP: the initiator's last packet was a SYN out of turn
  uint8_t cut : 1 = 0;           // TCP: ended by policy
  uint8_t spare : 1 = 0;
  TcpMarks marks;
  uint32_t route_version = 0;         // both routes below are good for this table version
  std::array<RouteId, 2> route = {};  // by side: where packets of that side go
  std::array<PortId, 2> port = {kNoPort, kNoPort};  // by side: where they come from, if known
  Ip4 outer_source;         // whose tunnel the side that comes by the uplink uses; 0: none
  uint32_t generation = 0;  // low bits of the generation that allowed it
  uint32_t created = 0;     // ticks()
  Nanos deadline = 0;
  uint64_t egress_bits : kRuleBits = kNoRule;  // what allowed it, for each leg
  uint64_t ingress_bits : kRuleBits = kNoRule;
  uint64_t source_bits : kEndpointBits = kNoEnd;
  uint64_t destination_bits : kEndpointBits = kNoEnd;
  // second line
  TcpWindow window;
  uint32_t syn_end = 0;  // syn_passed: what a SYN+ACK to it acknowledges
  std::array<uint64_t, 2> bytes_and_high =
      {};                                    // by side: bits 0 to 55; above, packets' upper 8
  std::array<uint32_t, 2> packets_low = {};  // the lower 32
  // Of those, what the rules were credited with: low 32 bits, enough between two sweeps.
  uint32_t folded_packets = 0;
  uint32_t folded_bytes = 0;

  uint64_t packets(Side side) const {
    return bytes_and_high[side] >> 56 << 32 | packets_low[side];
  }
  uint64_t bytes(Side side) const { return bytes_and_high[side] << 8 >> 8; }  // of IPv4 packets
  bool expired(Nanos now) const { return deadline <= now; }
  void count(Side side, uint32_t bytes) {
    bytes_and_high[side] += bytes;
    if (++packets_low[side] == 0) [[unlikely]] {
      bytes_and_high[side] += uint64_t{1} << 56;
    }
  }
  // Of UDP: an exchange that lasts is more than a question.
  void assure(Nanos now) {
    if (assured == 0 && age(created, now) > kAssuredAge) {
      assured = 1;
    }
  }
  Origin origin(Side side) const {
    return {port[side], port[side] == kUplinkPort ? outer_source : Ip4{}};
  }
  // At most one side comes by the uplink: what would leave as it came is never forwarded.
  void set_origin(Side side, Origin from) {
    port[side] = from.port;
    if (from.port == kUplinkPort) {
      outer_source = from.outer_source;
    }
  }
  EndpointId source() const {
    return source_bits == kNoEnd ? kNoEndpoint : static_cast<EndpointId>(source_bits);
  }
  EndpointId destination() const {
    return destination_bits == kNoEnd ? kNoEndpoint : static_cast<EndpointId>(destination_bits);
  }
  void set_ends(EndpointId source, EndpointId destination) {
    source_bits = source & kNoEnd;
    destination_bits = destination & kNoEnd;
  }
  CounterSlot egress_rule() const {
    return egress_bits == kNoRule ? kNoCounter : static_cast<CounterSlot>(egress_bits);
  }
  CounterSlot ingress_rule() const {
    return ingress_bits == kNoRule ? kNoCounter : static_cast<CounterSlot>(ingress_bits);
  }
  void set_rules(CounterSlot egress, CounterSlot ingress) {
    egress_bits = egress & kNoRule;
    ingress_bits = ingress & kNoRule;
  }
};
static_assert(sizeof(Connection) == 128 && offsetof(Connection, window) == 64);
static_assert(kMaxPorts - kFirstPodPort <= kNoEnd, "an endpoint has a port of its own");

struct Timeouts {  // seconds
  std::array<uint32_t, kTcpStates> tcp;
  uint32_t udp_one_way, udp_both_ways, icmp, other, midflow;
  uint32_t stalled;    // TCP: closed window, unacknowledged data, retransmissions; 0: no rule
  uint32_t grace = 0;  // no entry expires before this age
  static Timeouts linux_preset();
  static Timeouts calico_bpf_preset();
};

class ConnTable {
 public:
  struct Options {
    uint32_t max = 1000000;
    Timeouts timeouts = Timeouts::linux_preset();
    std::array<uint64_t, 2> hash_key = {};
    double endpoint_share = 0.5;  // of the table, that one endpoint may open
    uint32_t tables = 1;          // of this size, that share the machine's memory
    bool populate = false;        // its pages are there at once: no packet waits for one
  };
  // The memory is the table's from now on; unless it is populated, a page costs nothing until
  // it is used.  An Error with the size needed if the machine has not as much.
  static Result<ConnTable> make(const Options& options);
  // Of memory, for a table of `max` connections, its index included.
  static uint64_t bytes_for(uint32_t max);
  // Bytes that the machine has, and can give away.
  struct Memory {
    uint64_t all, available;
    static Memory now();
  };
  // Does make() try at all?  All tables must fit into the machine, and one that is populated
  // into what nobody else has.
  static bool fits(const Options& options, const Memory& memory);

  // Looks up tuples[i] in either direction; writes the entry (or kNoConn) and the side that the
  // tuple is of.  Hashes, prefetches and compares across the burst.  Expired entries are not
  // found.  pairs[i]: the addresses of tuples[i] if it is of IPv6; `pairs` may be empty if none
  // is.  hashes[i], unless empty: of tuples[i], which those below take.
  // REQUIRES: all spans have one length <= 64.
  void find(std::span<const Tuple> tuples, Nanos now, std::span<ConnId> ids,
            std::span<Side> sides, std::span<const AddressPair* const> pairs = {},
            std::span<uint64_t> hashes = {}) noexcept;
  // The same for one tuple: entries have come or gone since its hash was found.
  ConnId find_again(const Tuple& tuple, uint64_t hash, const AddressPair* pair, Nanos now,
                    Side& side) const noexcept;

  struct Created {
    ConnId id = kNoConn;
    // ct_table_full, ct_embryonic, ct_endpoint_limit
    DropReason reason = DropReason::none;
    // The entry that had to go for it, if any; good until the next create().
    const Connection* recycled = nullptr;
  };
  // A new entry for `tuple` as initiator, zeroed but for tuple, created and a first deadline.
  // In a full table, or full buckets, it takes the place of another: an expired one, a closing
  // one, the oldest unreplied one, else ct_table_full.  Unreplied entries stay within half of
  // the table, else ct_embryonic; those that one endpoint opened, within its share, else
  // ct_endpoint_limit.  `source`: the local endpoint that opens it, `destination` that answers.
  // `pair`: the addresses, if it is of IPv6; `hash`: what find() said, if it was asked.
  // REQUIRES: find() did not return one for it since.
  Created create(const Tuple& tuple, Nanos now, EndpointId source = kNoEndpoint,
                 EndpointId destination = kNoEndpoint, const AddressPair& pair = {},
                 std::optional<uint64_t> hash = {}) noexcept;

  // May `source` open one more without another going for it?
  bool has_room(EndpointId source) const noexcept {
    return !too_many_embryonic() && !opened_too_many(source);
  }
  // create() and update() of a plain packet that opens, a SYN or one of UDP.  kNoConn, and
  // nothing has changed, where that is not so simple: another would have to go.
  // REQUIRES: has_room(source).
  ConnId open(const Plain& p, Nanos now, EndpointId source, EndpointId destination,
              uint64_t hash) noexcept;

  // Moves the entry on for one packet of side `side`: state, windows, deadline, replied,
  // assured, packet and byte counts.  ct_invalid when the table of TCP refuses it, ct_window or
  // ct_rst when its numbers do.  What the table ignores, and what is stale, is counted, no
  // more. `liberal`: of TCP, only RSTs must fit the window.  A RST that is the first answer
  // ends the entry: its deadline is `now`, and the caller erases it. REQUIRES: !reopens(at(id),
  // side, p); such a packet is refused.
  DropReason update(ConnId id, Side side, const Parsed& p, Nanos now,
                    bool liberal = false) noexcept;

  // The same for the packets that most are: of TCP that is established and was seen from its
  // begin, or of UDP.  False: it is not one of those, or update() would refuse it; then nothing
  // has changed.  In conntrack_pass.h.  REQUIRES: the entry is replied and not cut.
  bool pass(Connection& c, Side side, const Plain& p, Nanos now) noexcept;

  // What pass() adds to the time: to established TCP, to such that is stalled, to UDP.  And is
  // it possible at all: spans may be so short that update() must look at each.
  std::array<Nanos, 3> plain_spans() const noexcept {
    return {spans_.established[0], spans_.established[1], spans_.udp_both_ways};
  }
  bool passes() const noexcept { return spans_.outlive_grace; }

  // Has no good packet of the connection passed here since then?
  bool quiet_since(ConnId id, Nanos then) const noexcept;

  // True for a SYN that begins anew on a connection in time_wait or close: it is a new flow
  // with `p`'s sender as initiator, so policy decides.  The caller erases the entry first.
  static bool reopens(const Connection& c, Side side, const Parsed& p) noexcept;

  // What a TCP packet that found no entry may do: none (may open, a SYN or an allowed pickup),
  // or ct_invalid / ct_midflow.  `loose`: mid-stream pickup is allowed now.  Of ICMP only
  // queries may open, else icmp_unsolicited; everything else may.
  static DropReason may_open(const Parsed& p, bool loose) noexcept;

  Connection& at(ConnId id) noexcept { return entries_[id]; }
  const Connection& at(ConnId id) const noexcept { return entries_[id]; }
  // As the initiator sent it: tuple and addresses.
  PacketFlow flow(ConnId id) const noexcept;
  void erase(ConnId id) noexcept;
  // Ends a TCP connection that policy denies from now on: no packet but a new SYN passes.  It
  // is remembered for kCutFor, so that what a side sends again is not taken for a pickup.
  void cut(ConnId id, Nanos now) noexcept;

  // Looks at the next `slots` entries and erases those past their deadline; `gone` (may be
  // empty) sees each before it goes.  In a table more than three quarters full deadlines come
  // sooner, as shrink() says.
  // `alive` sees each of those that stay, and may change their folded_* fields.
  void expire(Nanos now, uint32_t slots, const std::function<void(const Connection&)>& gone,
              const std::function<void(Connection&)>& alive = {});
  void for_each(const std::function<void(ConnId, const Connection&)>& visit) const;

  uint32_t size() const { return size_; }
  uint32_t used() const { return used_; }  // entries that a whole round of expire() looks at
  uint32_t embryonic() const { return embryonic_; }
  uint32_t opened_by(EndpointId id) const { return opened_by_[id]; }
  uint32_t max() const { return max_; }

 private:
  static constexpr unsigned kSlots = 8;
  struct alignas(64) Bucket {
    std::array<uint16_t, kSlots> tags;  // of the hash; 0: the slot is free
    std::array<ConnId, kSlots> ids;
    uint32_t elsewhere;  // entries that begin here, but are in their second bucket
  };
  // Where a key may be, two buckets and the mark it has there: all in its hash.
  struct Place {
    uint64_t hash = 0;
    uint32_t mask = 0;

    uint16_t tag() const {
      const auto tag = static_cast<uint16_t>(hash >> 48);
      return tag == 0 ? uint16_t{1} : tag;
    }
    uint32_t first() const { return static_cast<uint32_t>(hash) & mask; }
    uint32_t second() const {
      const uint32_t other = static_cast<uint32_t>(hash >> 24) & mask;
      return other == first() ? other ^ 1u : other;
    }
    std::array<uint32_t, 2> buckets() const { return {first(), second()}; }
  };
  static uint32_t buckets_for(uint32_t max);
  static Error too_large(const Options& options, const Memory& memory);
  bool allocate(uint32_t max, bool populate);  // false: there is not as much memory
  bool is_of(ConnId id, const Tuple& tuple, Side& side) const noexcept;
  bool is_of_six(ConnId id, const Tuple& tuple, const AddressPair* pair,
                 Side& side) const noexcept;
  uint64_t find_candidates(std::span<const Tuple> tuples, const uint64_t* hashes,
                           ConnId* ids) const noexcept;
  uint32_t confirm_eight(const Tuple* tuples, const ConnId* ids, Nanos now,
                         Side* sides) const noexcept;
  void find_each(std::span<const Tuple> tuples, Nanos now, std::span<ConnId> ids,
                 std::span<Side> sides, std::span<const AddressPair* const> pairs,
                 std::span<uint64_t> hashes) noexcept;

  struct Spans {  // the timeouts in nanoseconds
    std::array<Nanos, kTcpStates> tcp = {};
    std::array<Nanos, 2> established = {};  // and while it is stalled
    Nanos udp_one_way = 0, udp_both_ways = 0, icmp = 0, other = 0, midflow = 0, stalled = 0,
          grace = 0;
    bool outlive_grace = true;  // those of pass() are never shorter
  };

  static std::array<uint64_t, 2> ordered(const Tuple& tuple) noexcept;
  Place place_of(const Tuple& tuple) const noexcept;
  void find_hashes(std::span<const Tuple> tuples, uint64_t* hashes) const noexcept;
  uint32_t slots_with(uint16_t tag, uint32_t bucket) const noexcept;
  ConnId find_in(uint32_t bucket, uint32_t slots, const Tuple& tuple, const AddressPair* pair,
                 Side& side) const noexcept;
  ConnId find_at(const Place& place, const Tuple& tuple, const AddressPair* pair,
                 Side& side) const noexcept;
  [[gnu::always_inline]] void prefetch(ConnId id, bool six) const noexcept {
    const Connection& c = entries_[id];
    __builtin_prefetch(&c, 1);
    __builtin_prefetch(&c.window, 1);
    if (six) {
      __builtin_prefetch(&pairs_[id]);
    }
  }
  ConnId candidate(const Place& place, unsigned n) const noexcept;
  // Whose entries count against a limit that a new one would break.
  struct Crowd {
    bool all = true;
    bool embryonic = false;
    EndpointId source = kNoEndpoint;
  };
  ConnTable() = default;
  double shrink() const noexcept;
  bool gone_quiet(const Connection& c, Nanos now, double shrink) const noexcept;
  ConnId victim(const Place& place, Nanos now, Crowd crowd) const noexcept;
  bool too_many_embryonic() const noexcept { return embryonic_ >= std::max(max_ / 2, 1u); }
  bool opened_too_many(EndpointId source) const noexcept {
    return source != kNoEndpoint && opened_by_[source] >= endpoint_limit_;
  }
  bool over_limit(EndpointId source, Crowd& crowd, DropReason& reason) const noexcept;
  ConnId take(const Place& place) noexcept;
  Connection& begin(ConnId id, const Tuple& tuple, Nanos now, EndpointId source,
                    EndpointId destination) noexcept;
  void remove(ConnId id, const Place& place) noexcept;
  bool insert(ConnId id, const Place& place) noexcept;
  DropReason update_tcp(Connection& c, Side side, const Parsed& p, Nanos now, bool liberal,
                        bool& ignored) noexcept;
  static DropReason update_reset(Connection& c, Side side, const TcpSegment& s, Nanos now,
                                 bool& ignored) noexcept;
  static bool begins_anew(Connection& c, Side side, const TcpSegment& s, TcpEvent event,
                          TcpStep& to) noexcept;
  static Fit fit(Connection& c, Side side, const TcpSegment& s, TcpEvent event) noexcept;
  Nanos span_of(const Connection& c) const noexcept;
  void renew(Connection& c, Nanos now) const noexcept;

  RegionOf<Bucket> buckets_;
  RegionOf<Connection> entries_;
  RegionOf<AddressPair> pairs_;  // of those of IPv6
  RegionOf<ConnId> free_;        // a stack of entries given back
  uint32_t bucket_mask_ = 0;
  uint32_t max_ = 0;
  uint32_t size_ = 0;
  uint32_t used_ = 0;  // entries from here on were never used
  uint32_t free_count_ = 0;
  uint32_t embryonic_ = 0;  // live and unreplied
  uint32_t endpoint_limit_ = 0;
  std::vector<uint32_t> opened_by_;  // by EndpointId: live entries
  uint32_t sweep_ = 0;
  Spans spans_;
  std::array<uint64_t, 2> key_ = {};
  Connection recycled_;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_CONNTRACK_H_
