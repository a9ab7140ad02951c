// SPDX-License-Identifier: Apache-2.0
// A packet's way through one worker, as bursts: validate, decapsulate, look up, judge, forward.
//
// Owned by one worker, which calls begin() once per turn and then any number of bursts.  A
// frame ends here in exactly one fate (see Output), or goes to another worker's ring with its
// PacketMeta saying how far it came.  A worker judges only endpoints it owns: the source's
// egress on the source's worker, the destination's ingress on the destination's, each with an
// entry of its own when the two differ.
// No allocation, lock, system call or clock read in here.
#ifndef SLUICE_FASTPATH_PIPELINE_H_
#define SLUICE_FASTPATH_PIPELINE_H_

#include <array>
#include <bit>
#include <bitset>
#include <span>

#include "fastpath/conntrack.h"
#include "fastpath/decide.h"
#include "fastpath/forward.h"
#include "fastpath/fragments.h"
#include "fastpath/output.h"
#include "fastpath/parse_plain.h"
#include "fastpath/punt_police.h"

namespace sluice {

class Pipeline {
 public:
  struct Options {
    uint8_t worker = 0;
    uint8_t workers = 1;
    uint16_t first_id = 0;     // IP identification of our own packets starts here
    bool any_unicast = false;  // replay: take frames for the capture's own unicast addresses
    std::array<uint64_t, 2> hash_key = {};  // of fragments and of IPv6 shorthands
    bool short_ways = true;                 // tests: the long ways must come to the same
  };
  Pipeline(const Options& options, ConnTable& connections, Output& output)
      : options_(options),
        connections_(connections),
        out_(output),
        forward_(output, options.first_id, options.workers),
        fragments_({Fragments::kMaxHeld / options.workers, options.hash_key}),
        police_(options.workers) {}

  // The tables, ports and time of what follows.  `view` must live until the next begin().
  void begin(const View& view, Nanos now) noexcept;
  // Frames as `port` received them.  REQUIRES: frames.size() <= kMaxBurst.
  void receive(std::span<rte_mbuf*> frames, PortId port) noexcept;
  // Frames that another worker handed over.
  void resume(std::span<rte_mbuf*> frames) noexcept;
  // Goes on with the sweep of the connections, a small slice at a time; every turn.
  void age() noexcept;
  // Waiting frames, and a slice of the sweep in any case; every millisecond.
  void tick() noexcept;
  // Credits every connection's traffic to its rules now; for the end of a replay.
  void fold_all() noexcept;
  // At the end: frees the frames that still wait, which stay counted as held.
  void free_held() noexcept;

 private:
  // The burst under way.  A packet is in `plain`, and in `parsed` from when the long way needs
  // it; or there from the start.
  struct Burst {
    std::array<rte_mbuf*, kMaxBurst> frames;
    std::array<Plain, kMaxBurst> plain;
    std::array<Parsed, kMaxBurst> parsed;
    std::array<Origin, kMaxBurst> origins;
    uint64_t plain_ones = 0;   // of which rows of `plain`
    uint64_t parsed_ones = 0;  // and `parsed` count, bit by bit; of each packet one at least
    unsigned count = 0;
    // What track() asks the connections, and is told.
    std::array<Tuple, kMaxBurst> tuples;
    std::array<const AddressPair*, kMaxBurst> pairs;
    std::array<ConnId, kMaxBurst> ids;
    std::array<Side, kMaxBurst> sides;
    std::array<uint64_t, kMaxBurst> hashes;
    uint64_t asked_ahead = 0;  // about which of those without a connection, bit by bit

    void clear() {
      count = 0;
      plain_ones = parsed_ones = 0;
    }
    void add(rte_mbuf* frame, Origin origin, bool is_plain) {
      frames[count] = frame;
      origins[count] = origin;
      (is_plain ? plain_ones : parsed_ones) |= uint64_t{1} << count++;
    }
    // Leaves only those packets, in their order.
    void keep(uint64_t ones) {
      const uint64_t parsed_before = parsed_ones;
      clear();
      for (; ones != 0; ones &= ones - 1) {
        const auto i = static_cast<unsigned>(std::countr_zero(ones));
        const bool is_plain = (parsed_before >> i & 1) == 0;
        if (i != count && is_plain) {
          plain[count] = plain[i];
        } else if (i != count) {
          parsed[count] = parsed[i];
        }
        add(frames[i], origins[i], is_plain);
      }
    }
    // Nobody has asked for it as the long way reads it.
    bool narrow(unsigned i) const { return (parsed_ones >> i & 1) == 0; }
    const Plain* plain_of(unsigned i) const {
      return (plain_ones >> i & 1) != 0 ? &plain[i] : nullptr;
    }
    // The packet as the long way reads it.
    Parsed& wide(unsigned i) {
      if (narrow(i)) {
        widen(plain[i], plain_ip4(frames[i]), parsed[i]);
        parsed_ones |= uint64_t{1} << i;
      }
      return parsed[i];
    }
  };
  enum End : uint8_t { kSource, kDestination };
  // What is asked of programs ahead of a burst, of both ends of each packet, and what they say.
  // As large as it is, it is kept: to make it anew took longer than to fill it.
  struct Questions {
    static constexpr size_t kMost = size_t{2} * kMaxBurst;
    std::array<FlowKey, kMost> keys;
    std::array<InstanceId, kMost> who;
    std::array<Verdict, kMost> verdicts;
    size_t count = 0;
  };
  using Question = uint8_t;  // its place there
  static constexpr Question kNone = UINT8_MAX;
  static_assert(Questions::kMost < kNone);
  // What the tables say of a first packet, before its turn.
  struct Ahead {
    bool common = false;  // it may go that way, and nobody says more of it than `questions`
    std::array<Question, 2> questions;  // by End
    Way way;                            // its reason is that of check_source(), too
  };
  // What track() knows of a packet that is no part of it.
  struct Known {
    uint64_t hash = 0;             // of its tuple
    const Ahead* ahead = nullptr;  // if it was asked
    const Plain* plain = nullptr;  // if it is one
  };
  // How one packet stands towards its connection.
  struct Judged {
    DropReason reason = DropReason::none;
    CounterSlot egress = kNoCounter;
    CounterSlot ingress = kNoCounter;
    CounterSlot host_in = kNoCounter;
    bool accepted = false;  // by a preDNAT policy: no later host stage
  };

  // pipeline_open.cc
  void read(Burst& b, rte_mbuf* frame, const Port& from, const L2Options& l2) noexcept;
  DropReason open(rte_mbuf* frame, const Port& port, Parsed& p, Origin origin) noexcept;
  PlainTunnels plain_tunnels(PortId port) const noexcept;
  void resume(Burst& b, rte_mbuf* frame) noexcept;
  void join(Burst& b, rte_mbuf* frame, bool handed_over) noexcept;
  void add(Burst& b, rte_mbuf* frame, bool handed_over) noexcept;
  DropReason read_again(rte_mbuf* frame, Parsed& p) noexcept;
  DropReason read6(rte_mbuf* frame, Parsed& p) noexcept;
  bool meet6(rte_mbuf* frame, const Port& from, PortId port, Parsed& p) noexcept;
  DropReason open_tunnel(rte_mbuf* frame, const Parsed& outer, Parsed& p,
                         Origin origin) noexcept;
  DropReason open_l4(rte_mbuf* frame, bool unfinished, Parsed& p, Origin origin) noexcept;
  bool learn_path(rte_mbuf* frame, const Parsed& p, Origin origin) noexcept;
  // pipeline.cc
  void track(Burst& b) noexcept;
  static uint64_t known_ones(Burst& b) noexcept;
  static constexpr size_t mark(uint64_t hash) { return hash >> (64 - kMarkBits); }
  template <typename A>  // Ip4 or Address
  bool is_broadcast(const A& destination, Origin origin) const noexcept;
  void hand_over_early(Burst& b) noexcept;
  bool hand_over_early(rte_mbuf* frame, const Address& destination, Origin origin) noexcept;
  void pass_eight(Burst& b, unsigned first, unsigned count) noexcept;
  void track_one(Burst& b, unsigned k) noexcept;
  bool pass_plain(rte_mbuf* frame, const Plain& p, Origin origin, ConnId id,
                  Side side) noexcept;
  void on_hit(rte_mbuf* frame, Parsed& p, Origin origin, ConnId id, Side side) noexcept;
  DropReason check_hit(rte_mbuf* frame, Parsed& p, Origin origin, ConnId id, Side side,
                       bool& elsewhere) noexcept;
  void on_error(rte_mbuf* frame, Parsed& p, Origin origin, ConnId id, Side quoted) noexcept;
  bool was_sent(const Connection& c, Side side, const Parsed& error) const noexcept;
  bool is_to_judge(const Connection& c, const Parsed& p, Side side) const noexcept;
  bool is_to_recheck(const Connection& c, const Parsed& p, Side side) const noexcept;
  DropReason judge_again(rte_mbuf* frame, const Parsed& p, ConnId id, Side side) noexcept;
  DropReason refresh(Connection& c, Side side, const Parsed& p, Origin origin,
                     bool& moved) noexcept;
  // pipeline_first.cc
  uint64_t ask_ahead(Burst& b, uint64_t unknown) noexcept;
  bool ask_end(End end, EndpointId id, const FlowKey& key, Ahead& out) noexcept;
  bool open_plain(rte_mbuf* frame, const Plain& p, Origin origin, uint64_t hash,
                  const Ahead& ahead) noexcept;
  void on_miss(rte_mbuf* frame, Parsed& p, Origin origin, ConnId reopened = kNoConn) noexcept;
  DropReason check_opening(const rte_mbuf* frame, const Parsed& p, Origin origin,
                           const Way& way) noexcept;
  void has_opened(Connection& c, Origin origin, const Way& way, CounterSlot egress,
                  CounterSlot ingress) noexcept;
  // pipeline_judge.cc
  void count_staged(ProgramId pending, const FlowKey& key) noexcept;
  void judge_workloads(const FlowKey& key, uint32_t bytes, EndpointId source,
                       EndpointId destination, Judged& out) noexcept;
  Verdict::Kind consult(InstanceId who, const FlowKey& key, uint32_t bytes,
                        CounterSlot& rule) noexcept;
  Verdict::Kind consult(End end, InstanceId who, const FlowKey& key, uint32_t bytes,
                        CounterSlot& rule) noexcept;
  Verdict::Kind take(InstanceId who, const Verdict& verdict, const FlowKey& key, uint32_t bytes,
                     CounterSlot& rule) noexcept;
  // pipeline_fragments.cc
  bool admit(rte_mbuf* frame, Parsed& p, Origin origin) noexcept;
  void follow(Burst& b, const Parsed& p, Origin origin, bool handed_over) noexcept;
  void release(const Parsed& first, Origin origin, bool handed_over) noexcept;
  void drop_lost() noexcept;
  // pipeline_host.cc
  Judged judge(rte_mbuf* frame, const Parsed& p, Origin origin, const Way& way) noexcept;
  bool judge_host_in(const HostStages& stages, const FlowKey& key, uint32_t bytes,
                     Origin origin, Judged& out) noexcept;
  Verdict::Kind ask_stage(const HostStage& stage, const FlowKey& key, uint32_t bytes,
                          CounterSlot& rule) noexcept;
  DropReason check_outer(const Tuple& outer, uint32_t bytes, bool inbound) noexcept;
  bool untracked(rte_mbuf* frame, Parsed& p, Origin origin) noexcept;
  void send_untracked(rte_mbuf* frame, Parsed& p, Origin origin) noexcept;
  bool was_before(const Parsed& p) const noexcept;
  bool went_on_elsewhere(ConnId id, const Parsed& p) const noexcept;
  void refuse(rte_mbuf* frame, const Parsed& p, Origin origin, DropReason reason) noexcept;
  void go(rte_mbuf* frame, Parsed& p, RouteId route, Origin origin) noexcept;
  void leave(rte_mbuf* frame, Parsed& p, RouteId route, Origin origin) noexcept;
  DropReason police(RouteId route) noexcept;
  bool owns(EndpointId id) const noexcept {
    return id != kNoEndpoint && g_->endpoints[id].worker == options_.worker;
  }
  void fold(const Connection& c) noexcept;
  void settle(Connection& c) noexcept;
  void end(ConnId id) noexcept;
  void sweep(uint32_t slots) noexcept;

  Options options_;
  ConnTable& connections_;
  Output& out_;
  Forward forward_;
  Fragments fragments_;
  PuntPolice police_;
  const Generation* g_ = nullptr;
  bool short_ways_ = false;  // frames may take them
  bool short_hits_ = false;  // and those of connections
  Nanos now_ = 0;
  Nanos started_ = 0;
  Nanos swept_ = 0;     // the sweep has come as far as it should have at this time
  bool ended_ = false;  // entries went in this burst: what was found may not be there
  static constexpr unsigned kMarkBits = 9;
  // Those that came in this burst, by mark(): more may be there than was found.
  std::bitset<size_t{1} << kMarkBits> opened_;
  Burst burst_;
  std::array<Ahead, kMaxBurst> ahead_;  // of the burst's packets
  Questions questions_;
  Known known_;  // of the packet under way
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_PIPELINE_H_
