// SPDX-License-Identifier: Apache-2.0
#include "fastpath/output.h"

#include <bit>
#include <cstring>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "fastpath/ip6.h"
#include "fastpath/nd.h"
#include "fastpath/rewrite.h"

namespace sluice {

rte_mbuf* Output::allocate() noexcept {
  rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
  if (frame != nullptr) {
    meta(frame) = PacketMeta{};
  }
  return frame;
}

void Output::count(rte_mbuf* frame, Fate fate, DropReason reason) noexcept {
  const PacketMeta& m = meta(frame);
  if (m.in_port == kNoPort) {
    return;
  }
  counters_.port(m.in_port).fates[static_cast<size_t>(fate)].add(1);
  if (fate == Fate::dropped) {
    counters_.drops[static_cast<size_t>(reason)].add(1);
    if (m.outer_source != 0) {
      counters_.inner_drops[static_cast<size_t>(reason)].add(1);
    }
  }
  if (fate_log_ != nullptr) {
    fate_log_->push_back({m.in_port, replay_index(frame), fate, reason});
  }
}

void Output::count_held(rte_mbuf* frame, uint64_t n) noexcept {
  const PacketMeta& m = meta(frame);
  if (m.in_port != kNoPort) {
    counters_.port(m.in_port).fates[static_cast<size_t>(Fate::held)].add(n);
  }
}

void Output::sample(rte_mbuf* frame, DropReason reason) noexcept {
  const PacketMeta& m = meta(frame);
  DropSample* s = m.in_port == kNoPort ? nullptr : samples_->begin(reason, now_);
  if (s == nullptr) {
    return;
  }
  s->rule = denied_by_;
  s->in_port = m.in_port;
  s->outer_source = m.origin().outer_source;
  s->length = frame->pkt_len;
  s->head_bytes = std::min<uint16_t>(frame->data_len, DropSample::kHead);
  std::memcpy(s->head.data(), rte_pktmbuf_mtod(frame, const uint8_t*), s->head_bytes);
  samples_->commit();
}

void Output::drop(rte_mbuf* frame, DropReason reason) noexcept {
  count(frame, Fate::dropped, reason);
  if (samples_ != nullptr) {
    sample(frame, reason);
  }
  denied_by_ = kNoCounter;
  rte_pktmbuf_free(frame);
}

void Output::consume(rte_mbuf* frame) noexcept {
  count(frame, Fate::consumed, DropReason::none);
  rte_pktmbuf_free(frame);
}

void Output::send(rte_mbuf* frame, PortId port, const Address& next, const MacAddress& mac,
                  Fate fate) noexcept {
  Port* out = view_->ports[port];
  if (out == nullptr) {
    drop(frame, DropReason::port_down);
    return;
  }
  MacAddress dst = mac;
  if (dst.is_zero()) {
    const uint32_t slot = neighbours_.find(port, next, now_);
    if (slot == Neighbours::kNone) {
      drop(frame, DropReason::neigh_unresolved);
      return;
    }
    if (!neighbours_.mac(slot, dst)) {
      hold(frame, port, slot, fate);
      return;
    }
  }
  write_ether(frame, out->info().mac, dst, next.is_v4() ? kTypeIp4 : kTypeIp6);
  send_ready(frame, port, fate);
}

void Output::hand_over(rte_mbuf* frame, uint8_t worker) noexcept {
  if (worker >= peers_.size() || peers_[worker].ring == nullptr) {
    drop(frame, DropReason::sys_bug);
    return;
  }
  Batch& batch = peers_[worker].batch;
  batch.frames[batch.count++] = frame;
  dirty_peers_ |= uint64_t{1} << worker;
  if (batch.count == kMaxBurst) {
    flush_peer(worker);
  }
}

void Output::flush_peer(unsigned worker) noexcept {
  auto& [ring, batch] = peers_[worker];
  const unsigned total = std::exchange(batch.count, uint16_t{0});
  const unsigned taken = rte_ring_sp_enqueue_burst(
      ring, reinterpret_cast<void**>(batch.frames.data()), total, nullptr);
  for (unsigned i = taken; i < total; ++i) {
    drop(batch.frames[i], DropReason::res_tx);
  }
  wakes_ |= uint64_t{taken > 0} << worker;
}

// `n` frames that `port` has sent.
void Output::count_left(PortId port, const Leaving& frames, unsigned n) noexcept {
  const auto [in_port, fate, index] = frames;
  (in_port == kNoPort ? counters_.port(port).originated
                      : counters_.port(in_port).fates[static_cast<size_t>(fate)])
      .add(n);
  if (fate_log_ != nullptr && in_port != kNoPort) {
    fate_log_->push_back({in_port, index, fate, DropReason::none});
  }
}

void Output::flush_port(PortId port) noexcept {
  Batch& batch = batches_[port];
  const unsigned total = batch.count;
  batch.count = 0;
  Port* out = view_->way_out(port, worker_);
  if (out == nullptr || !out->up()) {
    for (unsigned i = 0; i < total; ++i) {
      drop(batch.frames[i], DropReason::port_down);
    }
    return;
  }
  // The port frees what it takes, so what must be known afterwards is read before.
  const PacketMeta& first = meta(batch.frames[0]);
  const Leaving like{first.in_port, first.fate, 0};
  uint64_t bytes = 0;
  bool alike = fate_log_ == nullptr;
  for (unsigned i = 0; i < total; ++i) {
    const PacketMeta& m = meta(batch.frames[i]);
    bytes += batch.frames[i]->pkt_len;
    alike &= m.in_port == like.in_port && m.fate == like.fate;
  }
  std::array<Leaving, kMaxBurst> leaving;
  for (unsigned i = 0; !alike && i < total; ++i) {
    const PacketMeta& m = meta(batch.frames[i]);
    leaving[i] = {m.in_port, m.fate, fate_log_ == nullptr ? 0 : replay_index(batch.frames[i])};
  }
  const std::span<rte_mbuf*> all(batch.frames.data(), total);
  unsigned sent = out->transmit(all);
  if (sent < total) {
    sent += out->transmit(all.subspan(sent));
  }
  if (out->busy() && busy_count_ < busy_.size()) {
    busy_[busy_count_++] = port;
  }
  if (alike) {
    count_left(port, like, sent);
  } else {
    for (unsigned i = 0; i < sent; ++i) {
      count_left(port, leaving[i], 1);
    }
  }
  for (unsigned i = sent; i < total; ++i) {
    bytes -= batch.frames[i]->pkt_len;
  }
  PortCounters& tx = counters_.port(port);
  tx.tx_packets.add(sent);
  tx.tx_bytes.add(bytes);
  const DropReason full = port == kHostPort ? DropReason::res_punt : DropReason::res_tx;
  for (unsigned i = sent; i < total; ++i) {
    drop(batch.frames[i], full);
  }
}

void Output::flush() noexcept {
  for (unsigned i = 0; i < dirty_count_; ++i) {
    if (batches_[dirty_[i]].count > 0) {
      flush_port(dirty_[i]);
    }
  }
  dirty_count_ = 0;
  for (uint64_t peers = std::exchange(dirty_peers_, 0); peers != 0; peers &= peers - 1) {
    flush_peer(static_cast<unsigned>(std::countr_zero(peers)));
  }
}

void Output::hold(rte_mbuf* frame, PortId port, uint32_t slot, Fate fate) noexcept {
  PacketMeta& m = meta(frame);
  unsigned same = 0;
  unsigned from_port = 0;
  for (unsigned i = 0; i < held_count_; ++i) {
    same += held_[i].slot == slot ? 1 : 0;
    from_port += held_[i].in_port == m.in_port ? 1 : 0;
  }
  if (same >= kHeldPerNeighbour || from_port >= kHeldPerPort || held_count_ == kMaxHeld) {
    drop(frame, DropReason::neigh_unresolved);
    return;
  }
  m.fate = fate;
  m.out_port = port;
  held_[held_count_++] = {frame, slot, m.in_port, now_ + kHoldFor, now_ + kAskAgain};
  count_held(frame, 1);
  if (same == 0) {
    ask(slot);
  }
}

// ARP is ours where nobody else speaks it; otherwise control has the kernel resolve.
void Output::ask(uint32_t slot) noexcept {
  if (!neighbours_.current(slot)) {
    return;  // it is another's by now: what waits for the first will have waited in vain
  }
  const PortId port = neighbours_.port(slot);
  const Port* out = view_->ports[port];
  if (out == nullptr || !out->info().own_neighbours) {
    neighbours_.want(slot);
    return;
  }
  const Address target = neighbours_.address(slot);
  const RouteTable& routes = *view_->generation->routes;
  if (!target.is_v4()) {
    const bool global = port == kUplinkPort && !routes.source6.is_zero();
    ask_nd(*this, port, global ? routes.source6 : link_local(out->info().mac), target);
    return;
  }
  rte_mbuf* frame = allocate();
  if (frame == nullptr) {
    return;
  }
  ArpPacket request;
  request.operation = 1;
  request.sender_mac = out->info().mac;
  // Pods know their gateway as 169.254.1.1 (Calico); on the uplink we are the node.
  request.sender = port == kUplinkPort ? routes.outer_source : kLinkLocal;
  request.target = target.v4();
  make_arp(frame, request, MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}});
  send_ready(frame, port, Fate::forwarded);
}

void Output::release_held() noexcept {
  unsigned kept = 0;
  const unsigned before = held_count_;
  for (unsigned i = 0; i < before; ++i) {
    Held h = held_[i];
    MacAddress mac;
    const bool known = neighbours_.mac(h.slot, mac);
    if (!known && now_ < h.until) {
      if (now_ >= h.ask_at) {
        h.ask_at = now_ + kAskAgain;
        ask(h.slot);
      }
      held_[kept++] = h;
      continue;
    }
    const PacketMeta& m = meta(h.frame);
    count_held(h.frame, ~uint64_t{0});
    if (!known) {
      drop(h.frame, DropReason::neigh_unresolved);
    } else {
      send(h.frame, m.out_port, neighbours_.address(h.slot), mac, m.fate);
    }
  }
  held_count_ = kept;
}

void Output::free_held() noexcept {
  for (unsigned i = 0; i < held_count_; ++i) {
    free_waiting(held_[i].frame);
  }
  held_count_ = 0;
}

void Output::free_waiting(rte_mbuf* frame) noexcept {
  const PacketMeta& m = meta(frame);
  if (fate_log_ != nullptr && m.in_port != kNoPort) {
    fate_log_->push_back({m.in_port, replay_index(frame), Fate::held, DropReason::none});
  }
  rte_pktmbuf_free(frame);
}

}  // namespace sluice
