// SPDX-License-Identifier: Apache-2.0
#include "fastpath/pipeline.h"

#include <algorithm>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "fastpath/conntrack_eight.h"
#include "fastpath/conntrack_pass.h"
#include "fastpath/parse.h"
#include "fastpath/wide.h"

namespace sluice {
namespace {

// Entries that one look at the table goes through: some 10 microseconds.
constexpr uint32_t kSweepSlice = 512;
constexpr Nanos kRound = kSecond;  // in which the whole table is gone through

uint64_t ones_below(size_t n) {  // up to 64
  return n == 0 ? 0 : ~uint64_t{0} >> (64 - n);
}

bool opens_or_closes(const Parsed& p) {
  return p.is_icmp() || (p.tuple.protocol == proto::kTcp &&
                         (p.tcp_flags & (tcp::kSyn | tcp::kFin | tcp::kRst)) != 0);
}

}  // namespace

void Pipeline::begin(const View& view, Nanos now) noexcept {
  g_ = view.generation.get();
  now_ = now;
  started_ = started_ == 0 ? now : started_;
  short_ways_ = options_.short_ways && !g_->untracked;
  short_hits_ = short_ways_ && !g_->options.verify_l4_all;
  out_.begin(view, now);
  forward_.begin();
}

// ---- what the bytes say ------------------------------------------------------------------

void Pipeline::receive(std::span<rte_mbuf*> frames, PortId port) noexcept {
  const Port& from = *out_.view().ports[port];
  const L2Options l2{from.info().mac, from.info().mtu,
                     options_.any_unicast || from.info().kernel_routes};
  Burst& b = burst_;
  b.clear();
  uint64_t bytes = 0;
  for (rte_mbuf* frame : frames) {
    rte_prefetch0(rte_pktmbuf_mtod(frame, void*));
    bytes += frame->pkt_len;
  }
  PlainTunnels tunnels = plain_tunnels(port);
  const bool unfinished = from.info().unfinished_checksums;
  const size_t n = frames.size();
  std::array<Ip4, kMaxBurst> outer_sources;
  const uint64_t plain_ones =
      short_ways_ ? parse_plain(frames, l2, tunnels, b.plain, outer_sources) : 0;
  const auto begin = [&](size_t k, Ip4 outer_source) {
    PacketMeta& m = meta(frames[k]);
    m.set_origin({port, outer_source});
    m.in_port = port;
    m.stage = PacketMeta::Stage::received;
  };
  const auto begin_plain = [&](size_t k) {
    begin(k, outer_sources[k]);
    if (b.plain[k].marks.unfinished != 0 && (unfinished || outer_sources[k].value != 0)) {
      finish_plain(frames[k], b.plain[k]);
    }
  };
  if (plain_ones == ones_below(n)) [[likely]] {
    std::copy(frames.begin(), frames.end(), b.frames.begin());
    for (size_t k = 0; k < n; ++k) {
      begin_plain(k);
      b.origins[k] = {port, outer_sources[k]};
    }
    b.plain_ones = plain_ones;
    b.count = static_cast<unsigned>(n);
  } else {
    for (size_t k = 0; k < n; ++k) {
      if ((plain_ones >> k & 1) != 0) {
        begin_plain(k);
        b.plain[b.count] = b.plain[k];  // those before it may be fewer now
        b.add(frames[k], {port, outer_sources[k]}, true);
      } else {
        begin(k, {});
        read(b, frames[k], from, l2);
      }
    }
  }
  PortCounters& rx = out_.counters().port(port);
  rx.rx_packets.add(frames.size());
  rx.rx_bytes.add(bytes);
  track(b);
  out_.flush();
}

void Pipeline::resume(std::span<rte_mbuf*> frames) noexcept {
  Burst& b = burst_;
  b.clear();
  for (rte_mbuf* frame : frames) {  // another core has written them
    rte_prefetch0(frame);
  }
  size_t n = 0;
  for (rte_mbuf* frame : frames) {
    const PacketMeta& m = meta(frame);
    if (m.stage == PacketMeta::Stage::ready) {
      out_.send_ready(frame, m.out_port, m.fate);
    } else {
      rte_prefetch0(rte_pktmbuf_mtod(frame, void*));
      frames[n++] = frame;
    }
  }
  // The other worker proved and, if need be, unwrapped them: only what it read is read again.
  const uint64_t plain_ones = short_ways_ ? parse_plain_again(frames.first(n), b.plain) : 0;
  for (size_t k = 0; k < n; ++k) {
    const PacketMeta& m = meta(frames[k]);
    if ((plain_ones >> k & 1) != 0 && m.stage != PacketMeta::Stage::untracked) {
      b.plain[b.count] = b.plain[k];
      b.add(frames[k], m.origin(), true);
    } else {
      resume(b, frames[k]);
    }
  }
  track(b);
  out_.flush();
}

// ---- what is known of the flow -----------------------------------------------------------

// As pass_plain() does, of up to eight at a time; the others go one by one, in their turn.
// REQUIRES: behind the last there is kNoConn.
[[gnu::always_inline]] inline void Pipeline::pass_eight(Burst& b, unsigned first,
                                                        unsigned count) noexcept {
  EightHits hits(connections_, &b.ids[first], &b.sides[first], &b.plain[first]);
  static_assert(2 * sizeof(Words) == sizeof(Origin) * kLanes);
  const Words origins = load_words(&b.origins[first]);
  const Words others = load_words(&b.origins[first + kLanes / 2]);
  const Words port = even_words(origins, others) & 0xffff;
  const Words outer = odd_words(origins, others);
  const Words known_outer = only(port == kUplinkPort, hits.outer_source());
  Lanes good = hits.pass(connections_) & ~hits.last_hop() & (hits.port() == port) &
               (known_outer == outer) & (port != kHostPort) &
               (hits.route_version() == g_->routes->version);
  if (g_->options.recheck) {
    good &= hits.generation() == static_cast<uint32_t>(g_->number);
  }
  uint32_t taken = ended_ ? 0 : bits(good) & static_cast<uint32_t>(~b.parsed_ones >> first);
  const Words route = hits.route();
  for (unsigned i = 0; i < count; ++i) {
    const unsigned k = first + i;
    if ((taken >> i & 1) != 0) [[likely]] {
      const Plain& p = b.plain[k];
      const Forward::Hop* hop = forward_.hop_of(route[i], p);
      if (hop != nullptr) [[likely]] {
        hits.keep(i, now_);
        forward_.depart(b.frames[k], p, *hop);
        continue;
      }
    }
    track_one(b, k);
    taken = ended_ ? 0 : taken;  // what it ended is not as was read
  }
}

void Pipeline::track(Burst& b) noexcept {
  if (options_.workers > 1) {
    hand_over_early(b);
  }
  const unsigned n = b.count;
  for (unsigned k = 0; k < n; ++k) {
    b.tuples[k] = b.plain[k].tuple;  // of most
  }
  for (uint64_t others = b.parsed_ones; others != 0; others &= others - 1) {
    const auto k = static_cast<unsigned>(std::countr_zero(others));
    const Parsed& p = b.parsed[k];
    b.tuples[k] = p.icmp_error ? p.quoted : p.tuple;
    b.pairs[k] = p.icmp_error ? &p.quoted_pair : &p.pair;
  }
  connections_.find({b.tuples.data(), n}, now_, {b.ids.data(), n}, {b.sides.data(), n},
                    {b.pairs.data(), n}, {b.hashes.data(), n});
  const uint64_t known = known_ones(b);
  b.asked_ahead = options_.short_ways ? ask_ahead(b, ones_below(n) & ~known) : 0;
  ended_ = false;
  opened_.reset();
  const bool by_eights = short_hits_ && connections_.passes();
  for (unsigned first = 0; first < n; first += kLanes) {
    const unsigned count = std::min(n - first, kLanes);
    constexpr int kFew = 2;  // are faster alone
    if (by_eights && std::popcount(known >> first & 0xff) > kFew) {
      run_best<&Pipeline::pass_eight>(*this, b, first, count);
    } else {
      for (unsigned k = first; k < first + count; ++k) {
        track_one(b, k);
      }
    }
  }
  known_ = {};  // what goes untracked is judged, too
}

// Which packets have a connection, bit by bit.  What lies behind the last, up to the next
// multiple of eight, has none from now on.
uint64_t Pipeline::known_ones(Burst& b) noexcept {
  uint64_t known = 0;
  const size_t n = b.count;
  std::fill(b.ids.begin() + n, b.ids.begin() + (n + kLanes - 1) / kLanes * kLanes, kNoConn);
  for (size_t first = 0; first < n; first += kLanes) {
    known |= uint64_t{bits(load_words(&b.ids[first]) != kNoConn)} << first;
  }
  return known;
}

void Pipeline::track_one(Burst& b, unsigned k) noexcept {
  rte_mbuf* frame = b.frames[k];
  const Plain& plain = b.plain[k];
  const Origin origin = b.origins[k];
  ConnId& id = b.ids[k];
  Side& side = b.sides[k];
  const uint64_t hash = b.hashes[k];
  // What an earlier packet of the burst opened, ended or recycled is not as find() saw it.
  if (ended_ || (id == kNoConn && opened_[mark(hash)])) [[unlikely]] {
    id = connections_.find_again(b.tuples[k], hash, b.tuples[k].six ? b.pairs[k] : nullptr,
                                 now_, side);
  }
  if (b.narrow(k) && id != kNoConn && pass_plain(frame, plain, origin, id, side)) {
    return;
  }
  const bool asked = (b.asked_ahead >> k & 1) != 0;
  const Ahead* ahead = asked && id == kNoConn ? &ahead_[k] : nullptr;
  if (b.narrow(k) && ahead != nullptr && open_plain(frame, plain, origin, hash, *ahead)) {
    return;
  }
  if (b.narrow(k) && is_broadcast(plain.tuple.dst, origin)) {
    out_.drop(frame, DropReason::ip4_dst);  // no connection has such an end
    return;
  }
  known_ = {hash, ahead, b.plain_of(k)};
  Parsed& p = b.wide(k);
  if (p.icmp_error) {
    on_error(frame, p, origin, id, side);
  } else if (id != kNoConn) {
    on_hit(frame, p, origin, id, side);
  } else {
    on_miss(frame, p, origin);
  }
}

// As open() asks; of what is in a tunnel nobody does.
template <typename A>
bool Pipeline::is_broadcast(const A& destination, Origin origin) const noexcept {
  return origin.outer_source.value == 0 && g_->routes->is_broadcast(destination);
}

void Pipeline::hand_over_early(Burst& b) noexcept {
  uint64_t kept = 0;
  PortId port = kNoPort;  // that of the packet before, mostly that of all
  bool ours = false;
  for (unsigned i = 0; i < b.count; ++i) {
    if (b.origins[i].port != port) {
      port = b.origins[i].port;
      ours = owns(g_->endpoint_at(port));
    }
    const Address destination =
        b.narrow(i) ? Address(b.plain[i].tuple.dst) : b.parsed[i].destination();
    if (ours || !hand_over_early(b.frames[i], destination, b.origins[i])) {
      kept |= uint64_t{1} << i;
    }
  }
  if (kept != ones_below(b.count)) {
    b.keep(kept);
  }
}

// A frame for another worker's pod goes there at once; one for the node or for nobody here goes
// to the worker of such flows.  REQUIRES: its sender is not ours to judge.
bool Pipeline::hand_over_early(rte_mbuf* frame, const Address& destination,
                               Origin origin) noexcept {
  if (meta(frame).stage == PacketMeta::Stage::judged_egress) {
    return false;
  }
  const RouteId id = g_->routes->find(destination);
  if (id == Lpm4::kNone || g_->routes->routes[id].kind == RouteKind::blackhole) {
    return false;  // it ends here
  }
  const Route& route = g_->routes->routes[id];
  const uint8_t owner =
      route.kind == RouteKind::endpoint ? g_->endpoints[route.endpoint].worker : kHostWorker;
  if (owner == options_.worker || is_broadcast(destination, origin)) {
    return false;
  }
  meta(frame).set_origin(origin);
  out_.hand_over(frame, owner);
  return true;
}

// The same as go(), the short way if the packet under way is plain.
void Pipeline::leave(rte_mbuf* frame, Parsed& p, RouteId route, Origin origin) noexcept {
  const Plain* plain = origin.port != kHostPort ? known_.plain : nullptr;
  const Forward::Hop* hop = plain != nullptr ? forward_.hop_of(route, *plain) : nullptr;
  if (hop != nullptr) {
    forward_.depart(frame, *plain, *hop);
  } else {
    go(frame, p, route, origin);
  }
}

// Sends the packet on: to the worker that owns the destination if that is another, else out.
void Pipeline::go(rte_mbuf* frame, Parsed& p, RouteId id, Origin origin) noexcept {
  const Route& route = g_->routes->routes[id];
  if (options_.workers > 1 && route.kind == RouteKind::endpoint && !owns(route.endpoint)) {
    PacketMeta& m = meta(frame);
    m.set_origin(origin);
    m.stage = PacketMeta::Stage::judged_egress;
    out_.hand_over(frame, g_->endpoints[route.endpoint].worker);
    return;
  }
  if (g_->untracked && route.kind == RouteKind::tunnel) {
    Tuple outer;
    outer.src = g_->routes->outer_source;
    outer.dst = route.next_hop.v4();
    const DropReason denied = check_outer(outer, uint32_t{p.total_length} + kIp4Bytes, false);
    if (denied != DropReason::none) {
      refuse(frame, p, origin, denied);
      return;
    }
  }
  forward_.send(frame, p, route, origin.port == kHostPort);
}

// May a packet that the node has not asked for go that way?
DropReason Pipeline::police(RouteId route) noexcept {
  const bool punted = g_->routes->routes[route].kind == RouteKind::local;
  return punted && !police_.packet(g_->options, now_) ? DropReason::res_punt_rate
                                                      : DropReason::none;
}

// Drops a frame; of a first fragment the later ones will know.
void Pipeline::refuse(rte_mbuf* frame, const Parsed& p, Origin origin,
                      DropReason reason) noexcept {
  if (p.fragment && !p.later_fragment) {
    fragments_.refuse(p, origin.port, reason);
  }
  out_.drop(frame, reason);
}

// Most packets of connections: past every check but that of the connection's state, and
// forwarded.  False: it needs the others, and nothing has changed.
inline bool Pipeline::pass_plain(rte_mbuf* frame, const Plain& p, Origin origin, ConnId id,
                                 Side side) noexcept {
  Connection& c = connections_.at(id);
  const bool plain =
      c.origin(side) == origin && c.route_version == g_->routes->version && c.replied != 0 &&
      c.cut == 0 && p.marks.last_hop == 0 && origin.port != kHostPort && short_hits_ &&
      (!g_->options.recheck || c.generation == static_cast<uint32_t>(g_->number));
  const Forward::Hop* hop = plain ? forward_.hop_of(c.route[side], p) : nullptr;
  if (hop == nullptr || !connections_.pass(c, side, p, now_)) {
    return false;
  }
  forward_.depart(frame, p, *hop);
  return true;
}

void Pipeline::on_hit(rte_mbuf* frame, Parsed& p, Origin origin, ConnId id,
                      Side side) noexcept {
  Connection& c = connections_.at(id);
  bool elsewhere = false;
  DropReason reason = check_hit(frame, p, origin, id, side, elsewhere);
  if (elsewhere) {
    return;
  }
  if (reason == DropReason::none) {
    reason = connections_.update(id, side, p, now_, g_->options.tcp_liberal);
    if (reason == DropReason::ct_window && went_on_elsewhere(id, p)) {
      end(id);
      on_miss(frame, p, origin);
      return;
    }
  }
  const RouteId route = c.route[side];
  if (reason == DropReason::none && c.replied == 0) {
    reason = police(route);
  }
  if (reason != DropReason::none) {
    refuse(frame, p, origin, reason);
    return;
  }
  if (c.deadline <= now_) [[unlikely]] {
    end(id);
  }
  leave(frame, p, route, origin);
}

// All checks of a packet that has a connection, before that says what it thinks of it.
// `elsewhere`: it opens another, and has ended.
DropReason Pipeline::check_hit(rte_mbuf* frame, Parsed& p, Origin origin, ConnId id, Side side,
                               bool& elsewhere) noexcept {
  Connection& c = connections_.at(id);
  if (c.origin(side) != origin || c.route_version != g_->routes->version) {
    const DropReason reason = refresh(c, side, p, origin, elsewhere);
    if (elsewhere) {
      end(id);
      on_miss(frame, p, origin);
      return DropReason::none;
    }
    if (reason != DropReason::none) {
      return reason;
    }
  }
  const Route& route = g_->routes->routes[c.route[side]];
  const DropReason reason = forward_.fits(frame, p, route, origin.port == kHostPort);
  if (reason != DropReason::none) {
    return reason;
  }
  if (connections_.reopens(c, side, p)) {
    elsewhere = true;
    on_miss(frame, p, origin, id);
    return DropReason::none;
  }
  const bool verify =
      g_->options.verify_l4_all || (g_->options.verify_l4_control && opens_or_closes(p));
  if (verify && !l4_checksum_ok(frame, p)) {
    return DropReason::l4_checksum;
  }
  if (c.cut != 0) {
    return DropReason::policy_recheck;
  }
  return is_to_judge(c, p, side) ? judge_again(frame, p, id, side) : DropReason::none;
}

// A SYN of the initiator's is judged again, and with onPolicyChange: recheck the first packet
// of either side after a change, as what opened the connection was.
bool Pipeline::is_to_judge(const Connection& c, const Parsed& p, Side side) const noexcept {
  return (p.tuple.protocol == proto::kTcp && side == kOriginal &&
          (p.tcp_flags & (tcp::kSyn | tcp::kAck)) == tcp::kSyn) ||
         is_to_recheck(c, p, side);
}

bool Pipeline::is_to_recheck(const Connection& c, const Parsed& p, Side side) const noexcept {
  // An ICMP reply has not the query's type; there is none without another query.
  return g_->options.recheck && c.generation != static_cast<uint32_t>(g_->number) &&
         (side == kOriginal || !p.is_icmp());
}

// REQUIRES: is_to_judge().
DropReason Pipeline::judge_again(rte_mbuf* frame, const Parsed& p, ConnId id,
                                 Side side) noexcept {
  Connection& c = connections_.at(id);
  const bool recheck = is_to_recheck(c, p, side);
  Parsed first = p;
  const PacketFlow flow = connections_.flow(id);
  first.tuple = flow.tuple;
  first.pair = flow.pair;
  Way way;
  way.source = c.source();
  way.destination = c.destination();
  way.route = g_->routes->find(flow.destination());
  const Origin from =
      c.port[kOriginal] == kNoPort ? origin_towards(*g_, flow.source()) : c.origin(kOriginal);
  const Judged verdict = judge(frame, first, from, way);
  if (verdict.reason == DropReason::none) {
    settle(c);
    c.set_rules(verdict.egress, verdict.ingress);
    c.generation = static_cast<uint32_t>(g_->number);
    return DropReason::none;
  }
  if (!recheck) {
    return verdict.reason;
  }
  if (p.tuple.protocol == proto::kTcp) {
    connections_.cut(id, now_);
  } else {
    end(id);
  }
  return DropReason::policy_recheck;
}

// The side's way is new, or the route table has changed: check the source and route again.
// `moved`: an end's address is another endpoint's by now, which policy has not judged.
DropReason Pipeline::refresh(Connection& c, Side side, const Parsed& p, Origin origin,
                             bool& moved) noexcept {
  DropReason reason = check_source(*g_, origin, p.source());
  if (reason != DropReason::none) {
    return reason;
  }
  const Way way = decide_way(*g_, origin, p.destination());
  if (way.reason != DropReason::none) {
    return way.reason;
  }
  // What the host sends to a pod is never judged: it has no destination, nor has its answer.
  const bool exempt = side == kReply && c.destination() == kNoEndpoint;
  const bool from_host = origin.port == kHostPort;
  const EndpointId source = side == kOriginal ? c.source() : c.destination();
  const EndpointId destination = side == kOriginal ? c.destination() : c.source();
  moved = (way.destination != destination && !from_host) || (way.source != source && !exempt);
  if (moved) {
    return DropReason::none;
  }
  if (c.route_version != g_->routes->version) {
    c.port = {kNoPort, kNoPort};
    c.route_version = g_->routes->version;
  }
  c.set_origin(side, origin);
  c.route[side] = way.route;
  return DropReason::none;
}

// Has the side sent what the error quotes?  Of TCP the number must be under way, as far as its
// window is enforced.
bool Pipeline::was_sent(const Connection& c, Side side, const Parsed& error) const noexcept {
  const bool windows =
      c.tuple.protocol == proto::kTcp && c.midflow == 0 && !g_->options.tcp_liberal;
  return c.packets(side) > 0 && (!windows || under_way(c.window, side, error.quoted_seq));
}

// An ICMP error about a packet that travelled on side `quoted` of the connection.
void Pipeline::on_error(rte_mbuf* frame, Parsed& p, Origin origin, ConnId id,
                        Side quoted) noexcept {
  DropReason reason = check_source(*g_, origin, p.source());
  Way way;
  if (reason == DropReason::none) {
    way = decide_way(*g_, origin, p.destination());
    reason = way.reason;
  }
  if (reason == DropReason::none) {
    reason = forward_.fits(frame, p, g_->routes->routes[way.route], origin.port == kHostPort);
  }
  if (reason == DropReason::none && (id == kNoConn || connections_.at(id).cut != 0)) {
    reason = DropReason::icmp_unrelated;
  }
  if (reason == DropReason::none) {
    // The error comes from where the quoted packet went, which must have been sent at all.
    if (!was_sent(connections_.at(id), quoted, p) ||
        port_towards(*g_, p.quoted_destination()) != origin.port) {
      reason = DropReason::icmp_quote_mismatch;
    }
  }
  if (reason == DropReason::none && g_->options.verify_l4_control &&
      !l4_checksum_ok(frame, p)) {
    reason = DropReason::l4_checksum;
  }
  if (reason == DropReason::none) {
    reason = police(way.route);
  }
  if (reason != DropReason::none) {
    refuse(frame, p, origin, reason);
    return;
  }
  go(frame, p, way.route, origin);
}

// ---- between bursts ----------------------------------------------------------------------

// Credits the rules that admitted a connection with what it carried since the last time.
void Pipeline::fold(const Connection& c) noexcept {
  const auto packets =
      static_cast<uint32_t>(c.packets(kOriginal) + c.packets(kReply)) - c.folded_packets;
  const auto bytes =
      static_cast<uint32_t>(c.bytes(kOriginal) + c.bytes(kReply)) - c.folded_bytes;
  for (const CounterSlot slot : {c.egress_rule(), c.ingress_rule()}) {
    if (slot != kNoCounter && packets > 0) {
      out_.counters().rule(slot).packets.add(packets);
      out_.counters().rule(slot).bytes.add(bytes);
    }
  }
}

// The same, for a connection that goes on.
void Pipeline::settle(Connection& c) noexcept {
  const auto packets = static_cast<uint32_t>(c.packets(kOriginal) + c.packets(kReply));
  if (packets != c.folded_packets) {
    fold(c);
    c.folded_packets = packets;
    c.folded_bytes = static_cast<uint32_t>(c.bytes(kOriginal) + c.bytes(kReply));
  }
}

void Pipeline::end(ConnId id) noexcept {
  fold(connections_.at(id));
  connections_.erase(id);
  ended_ = true;
}

void Pipeline::sweep(uint32_t slots) noexcept {
  connections_.expire(
      now_, slots, [this](const Connection& c) { fold(c); },
      [this](Connection& c) { settle(c); });
}

void Pipeline::fold_all() noexcept {
  sweep(connections_.max());
}

void Pipeline::age() noexcept {
  // A whole round takes about a second: folded_bytes counts no further.  What a long turn
  // leaves is caught up slice by slice.
  swept_ = std::max(swept_, now_ - std::min(now_, kRound));
  const uint64_t used = std::max(connections_.used(), 1u);
  const uint64_t due = std::min<uint64_t>((now_ - swept_) * used / kRound, kSweepSlice);
  if (due > 0) {
    swept_ += due * kRound / used;
    sweep(static_cast<uint32_t>(due));
  }
}

void Pipeline::tick() noexcept {
  fragments_.expire(now_);
  drop_lost();
  out_.release_held();
  sweep(kSweepSlice);
  out_.flush();
}

}  // namespace sluice
