// SPDX-License-Identifier: Apache-2.0
// Which fragments of a datagram were seen, and what became of its first one, which alone says
// what flow they are of.  Fragments are forwarded as they come and nothing is put together, but
// no byte of a datagram passes twice and none before the first fragment was judged.
//
// A record lives from a key's first piece until the datagram is complete, or nothing came for
// 30 s.  Pieces that come before the first one wait in here, at most 100 ms; the caller counts
// them and frees what take_lost() gives back.
//
// Owned by one worker.  Bounds: kRecords records (when full the one longest without a piece
// goes), an eighth of them for one source, kPieces pieces of a datagram, kHeldPerKey waiting
// for one first piece, Options::held in all.  Keyed hash; sources share their count by a keyed
// hash, too.  No allocation after construction.  Source: reliability rules, section 4; RFC
// 1858, 3128, 5722, 815.
#ifndef SLUICE_FASTPATH_FRAGMENTS_H_
#define SLUICE_FASTPATH_FRAGMENTS_H_

#include <array>
#include <cstdint>
#include <memory>

#include "fastpath/conntrack.h"
#include "fastpath/packet.h"

struct rte_mbuf;

namespace sluice {

class Fragments {
 public:
  static constexpr uint32_t kRecords = 16384;
  static constexpr uint32_t kPerSource = kRecords / 8;
  static constexpr uint32_t kPieces = 64;
  static constexpr uint32_t kHeldPerKey = 8;
  static constexpr uint32_t kMaxHeld = 1024;
  static constexpr Nanos kHoldFor = 100 * uint64_t{1000000};
  static constexpr Nanos kIdle = 30 * kSecond;

  struct Options {
    uint32_t held = kMaxHeld;  // at most kMaxHeld
    std::array<uint64_t, 2> hash_key = {};
  };
  explicit Fragments(const Options& options);

  struct Answer {
    DropReason reason = DropReason::none;
    bool held = false;  // `frame` waits in here for its first fragment
  };
  // Takes note of a piece.  A first one is remembered as it is parsed; a later one learns from
  // it what it is of (tuple, ICMP type, quote), or waits.  Reasons: frag_overlap,
  // frag_duplicate, frag_len, frag_too_many, frag_no_head, frag_table_full, and why the first
  // was refused. Frames that had to go meanwhile are taken by take_lost(). REQUIRES:
  // p.fragment, and parse_l4() said none of it.
  Answer add(Parsed& p, PortId port, rte_mbuf* frame, Nanos now) noexcept;
  // The first fragment was dropped for `reason`, and so are the later ones.
  void refuse(const Parsed& first, PortId port, DropReason reason) noexcept;
  // The next of those that waited for this first fragment, in the order they came; null when
  // there is none left, and then the record of a complete datagram has gone.
  // REQUIRES: called until null for every first fragment that add() took.
  rte_mbuf* release(const Parsed& first, PortId port) noexcept;
  // What add() tells a later fragment, for one that release() gave back.
  DropReason inherit(Parsed& later, PortId port) noexcept;

  // Gives up what waited too long and forgets some of the records without a piece for 30 s.
  void expire(Nanos now) noexcept;
  // A frame that no longer waits, to be dropped for `reason`; null: there is none.
  struct Lost {
    rte_mbuf* frame = nullptr;
    DropReason reason = DropReason::none;
  };
  Lost take_lost() noexcept;
  // A frame that waits, whichever; null: none does.  For the end.
  rte_mbuf* take_held() noexcept;

  uint32_t size() const { return size_; }
  uint32_t held() const { return held_count_; }

 private:
  using Index = uint16_t;
  static constexpr Index kNil = UINT16_MAX;
  static constexpr uint32_t kSources = 1u << 16;
  static constexpr uint32_t kForgetPerCall = 64;
  // Those that are lost have a place until they are taken.
  static constexpr uint32_t kPlaces = 2 * kMaxHeld;
  struct Range {  // bytes of the datagram's payload
    uint16_t begin;
    uint16_t end;
  };
  struct Record {
    PacketFlow flow;  // of a later piece until the first has come
    Nanos seen = 0;
    uint32_t id = 0;
    PortId port = kNoPort;
    bool has_first = false;
    bool poisoned = false;
    DropReason reason = DropReason::none;
    uint8_t pieces = 0;
    uint8_t held = 0;
    uint16_t end = 0;      // where the last piece ended; 0: not seen
    uint16_t highest = 0;  // of all ends
    uint16_t bytes = 0;    // seen, in all
    Index chain = kNil;    // next of the same hash, or next free one
    Index older = kNil, newer = kNil;
    Index first_held = kNil, last_held = kNil;
    std::array<Range, kPieces> ranges;
  };
  struct Held {
    rte_mbuf* frame = nullptr;
    Nanos until = 0;
    DropReason reason = DropReason::none;  // once lost
    Index record = kNil;
    Index older = kNil, newer = kNil;  // of all that wait
    Index next = kNil;                 // of the record; or next lost or free one
  };

  uint64_t hash(Ip4 a, Ip4 b, uint64_t rest) const noexcept;
  Index& head(const PacketFlow& flow, uint32_t id, PortId port) noexcept;
  Index find(const Parsed& p, PortId port) noexcept;
  Index create(const Parsed& p, PortId port, Nanos now) noexcept;
  void touch(Index at, Nanos now) noexcept;
  void unlink(Index at) noexcept;
  void forget(Index at, DropReason held) noexcept;
  static DropReason check(const Record& r, Range range, bool last) noexcept;
  static void note(Record& r, Range range, bool last) noexcept;
  static DropReason tell(const Record& r, Parsed& later) noexcept;
  bool full() const noexcept { return held_count_ >= options_.held || free_held_ == kNil; }
  void hold(Index at, rte_mbuf* frame, Nanos now) noexcept;
  Index pop_held(Record& r) noexcept;
  void lose(Record& r, DropReason reason) noexcept;
  void give_up(Nanos now) noexcept;
  uint16_t& share(Ip4 source) noexcept;

  Options options_;
  std::unique_ptr<Record[]> records_;
  std::unique_ptr<Held[]> held_;
  std::unique_ptr<Index[]> heads_;
  std::unique_ptr<uint16_t[]> sources_;  // records by hash of the source
  Index free_ = 0;
  Index oldest_ = kNil, newest_ = kNil;  // by their last piece
  Index free_held_ = 0;
  Index oldest_held_ = kNil, newest_held_ = kNil;
  Index lost_ = kNil, last_lost_ = kNil;
  uint32_t size_ = 0;
  uint32_t held_count_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_FRAGMENTS_H_
