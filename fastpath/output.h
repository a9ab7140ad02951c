// SPDX-License-Identifier: Apache-2.0
// The way out of one worker: a batch of frames per port, frames that wait for a neighbour, and
// rings to other workers.  Every fate is counted here, once, when it is final.
//
// Owned by one worker.  Bounds: kMaxBurst frames per batch for a port or a worker (then it
// goes), 3 frames per neighbour, an eighth of kMaxHeld from one port and kMaxHeld in all (then
// neigh_unresolved), ring size for hand-over (then res_tx). Held frames wait at most one
// second.
#ifndef SLUICE_FASTPATH_OUTPUT_H_
#define SLUICE_FASTPATH_OUTPUT_H_

#include <array>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <rte_mbuf.h>

#include "fastpath/conntrack.h"
#include "fastpath/counters.h"
#include "fastpath/drop_samples.h"
#include "fastpath/neighbours.h"
#include "fastpath/packet.h"
#include "fastpath/packet_meta.h"
#include "fastpath/view.h"

struct rte_ring;

namespace sluice {

// 169.254.1.1: who we are to pods, which know it as their gateway (Calico), and to the node's
// own kernel, which takes no packet from its own addresses.
inline constexpr Ip4 kLinkLocal{0xa9fe0101};

struct FateRecord {
  PortId port;
  uint32_t index;
  Fate fate;
  DropReason reason;
};

class Output {
 public:
  Output(uint8_t worker, Counters& counters, Neighbours& neighbours, rte_mempool* pool)
      : worker_(worker),
        counters_(counters),
        neighbours_(neighbours),
        pool_(pool),
        batches_(std::make_unique<Batch[]>(kMaxPorts)) {}

  // A ring to worker `to`, which takes what we hand over.  Before the first frame.
  void connect(uint8_t to, rte_ring* ring) {
    peers_.resize(std::max<size_t>(peers_.size(), to + size_t{1}));
    peers_[to].ring = ring;
  }
  void record_fates(std::vector<FateRecord>* log) { fate_log_ = log; }
  void sample_drops(DropSamples* samples) { samples_ = samples; }
  void begin(const View& view, Nanos now) noexcept {
    view_ = &view;
    now_ = now;
  }

  // The frame is whole but for its Ethernet addresses; `port` sends it to `next`, whose MAC is
  // looked up, or to `mac` if that is not zero.  `fate` counts for meta(frame).in_port when it
  // has gone; kNoPort there means a frame of our own making.
  void send(rte_mbuf* frame, PortId port, const Address& next, const MacAddress& mac,
            Fate fate) noexcept;
  // The frame has its Ethernet header: ARP answers, frames handed over ready.
  void send_ready(rte_mbuf* frame, PortId port, Fate fate) noexcept;
  // The same.  REQUIRES: view().sends() it by that port ourselves.
  void send_by_own(rte_mbuf* frame, PortId port, Fate fate) noexcept;
  // To another worker, which goes on with it as meta(frame).stage says; at the next flush().
  void hand_over(rte_mbuf* frame, uint8_t worker) noexcept;

  void drop(rte_mbuf* frame, DropReason reason) noexcept;
  // The rule that the next drop is due to.
  void denied_by(CounterSlot rule) noexcept { denied_by_ = rule; }
  void consume(rte_mbuf* frame) noexcept;

  // Sends and hands over every batch; once per burst.
  void flush() noexcept;
  // Sends what now has its neighbour, drops what waited too long, asks for the rest again.
  void release_held() noexcept;
  // At the end: frees what still waits, which stays counted as held.
  void free_held() noexcept;

  // The frame waits elsewhere, in the caller's hands (for its first fragment); it does no
  // longer; the end has come, free it as free_held() does.
  void wait(rte_mbuf* frame) noexcept { count_held(frame, 1); }
  void stop_waiting(rte_mbuf* frame) noexcept { count_held(frame, ~uint64_t{0}); }
  void free_waiting(rte_mbuf* frame) noexcept;

  rte_mbuf* allocate() noexcept;  // null when the pool is empty; in_port is kNoPort
  uint8_t worker() const { return worker_; }
  Neighbours& neighbours() { return neighbours_; }
  Counters& counters() { return counters_; }
  const View& view() const { return *view_; }
  Nanos now() const { return now_; }
  // Ports that were sent to since the last call, and have more to do than that.
  std::span<const PortId> take_busy() {
    return std::span(busy_).first(std::exchange(busy_count_, 0));
  }
  // Workers whose rings got frames since the last call; bit per worker.
  uint64_t take_wakes() {
    const uint64_t wakes = wakes_;
    wakes_ = 0;
    return wakes;
  }

 private:
  static constexpr unsigned kMaxHeld = 1024;
  static constexpr unsigned kHeldPerNeighbour = 3;
  static constexpr unsigned kHeldPerPort = kMaxHeld / 8;
  static constexpr Nanos kHoldFor = kSecond;
  static constexpr Nanos kAskAgain = 250000000;
  struct Batch {
    uint16_t count = 0;
    std::array<rte_mbuf*, kMaxBurst> frames;
  };
  struct Peer {  // another worker
    rte_ring* ring = nullptr;
    Batch batch;
  };
  struct Held {
    rte_mbuf* frame;
    uint32_t slot;
    PortId in_port;
    Nanos until;
    Nanos ask_at;
  };

  struct Leaving {
    PortId in_port;
    Fate fate;
    uint32_t index;
  };

  void flush_port(PortId port) noexcept;
  void flush_peer(unsigned worker) noexcept;
  void count_left(PortId port, const Leaving& frames, unsigned n) noexcept;
  void hold(rte_mbuf* frame, PortId port, uint32_t slot, Fate fate) noexcept;
  void ask(uint32_t slot) noexcept;
  void count(rte_mbuf* frame, Fate fate, DropReason reason) noexcept;
  void count_held(rte_mbuf* frame, uint64_t n) noexcept;
  void sample(rte_mbuf* frame, DropReason reason) noexcept;

  uint8_t worker_;
  Counters& counters_;
  Neighbours& neighbours_;
  rte_mempool* pool_;
  const View* view_ = nullptr;
  Nanos now_ = 0;
  uint64_t wakes_ = 0;
  unsigned busy_count_ = 0;
  std::array<PortId, kMaxBurst> busy_;  // some of them, where there are more
  std::vector<Peer> peers_;
  uint64_t dirty_peers_ = 0;  // bit per worker
  std::vector<FateRecord>* fate_log_ = nullptr;
  DropSamples* samples_ = nullptr;
  CounterSlot denied_by_ = kNoCounter;
  std::unique_ptr<Batch[]> batches_;
  unsigned dirty_count_ = 0;
  std::array<PortId, kMaxPorts> dirty_;
  unsigned held_count_ = 0;
  std::array<Held, kMaxHeld> held_;
};

[[gnu::always_inline]] inline void Output::send_by_own(rte_mbuf* frame, PortId port,
                                                       Fate fate) noexcept {
  meta(frame).fate = fate;
  Batch& batch = batches_[port];
  if (batch.count == 0) {
    dirty_[dirty_count_++] = port;
  }
  batch.frames[batch.count++] = frame;
  if (batch.count == kMaxBurst) {
    flush_port(port);
  }
}

inline void Output::send_ready(rte_mbuf* frame, PortId port, Fate fate) noexcept {
  if (view_->sends(port, worker_)) [[likely]] {
    send_by_own(frame, port, fate);
    return;
  }
  PacketMeta& m = meta(frame);
  m.fate = fate;
  m.out_port = port;
  m.stage = PacketMeta::Stage::ready;
  hand_over(frame, view_->owner[port]);
}

}  // namespace sluice

#endif  // SLUICE_FASTPATH_OUTPUT_H_
