// SPDX-License-Identifier: Apache-2.0
// The first packet of a flow: what the tables say of it, and the connection that it opens.
#include <rte_mbuf.h>

#include "fastpath/parse.h"
#include "fastpath/pipeline.h"

namespace sluice {
namespace {

constexpr Nanos kLooseGrace = 120 * kSecond;

}  // namespace

// Puts the question what the program of one end says, if it has one and is ours.  False: that
// alone will not do to let the packet pass.
[[gnu::always_inline]] inline bool Pipeline::ask_end(End end, EndpointId id, const FlowKey& key,
                                                     Ahead& out) noexcept {
  if (!owns(id)) {
    return true;
  }
  const Endpoint& e = g_->endpoints[id];
  const size_t six = key.src.is_v4() ? 0 : 1;
  const InstanceId judge = end == kSource ? e.judge_out[six] : e.judge_in[six];
  if (judge == kNoInstance || !g_->matcher->pin(judge).fits(key)) {
    return false;
  }
  Questions& q = questions_;
  q.keys[q.count] = key;
  q.who[q.count] = judge;
  out.questions[end] = static_cast<Question>(q.count++);
  return e.ready && (end == kSource ? e.pending_egress : e.pending_ingress) == kNoProgram;
}

// Asks the tables about all packets of the burst that find no connection, and the workloads'
// programs together: so their reads hide behind each other.  What becomes of it is told in each
// one's turn.  Returns those that were asked about, bit by bit.
uint64_t Pipeline::ask_ahead(Burst& b, uint64_t unknown) noexcept {
  Questions& q = questions_;
  q.count = 0;
  uint64_t asked = 0;
  for (; unknown != 0; unknown &= unknown - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(unknown));
    if (!b.narrow(i) && b.parsed[i].icmp_error) {
      continue;
    }
    asked |= uint64_t{1} << i;
    Ahead& a = ahead_[i];
    const FlowKey key = b.narrow(i) ? b.plain[i].flow_key() : b.parsed[i].flow_key();
    const Origin origin = b.origins[i];
    a.questions = {kNone, kNone};
    a.way = way_of(*g_, origin, key.src, key.dst);
    a.common =
        a.way.reason == DropReason::none && !g_->host_endpoints && origin.port != kHostPort;
    if (a.way.reason == DropReason::none) {
      a.common &= ask_end(kSource, a.way.source, key, a);
      a.common &= ask_end(kDestination, a.way.destination, key, a);
    }
  }
  if (q.count != 0) {
    g_->matcher->classify({q.keys.data(), q.count}, {q.who.data(), q.count},
                          {q.verdicts.data(), q.count});
  }
  return asked;
}

// Most first packets: a SYN, or of UDP, that both ends allow, with no more to be done for it.
// False: it is for on_miss(), which knows what is to be said of it; nothing has changed.
bool Pipeline::open_plain(rte_mbuf* frame, const Plain& p, Origin origin, uint64_t hash,
                          const Ahead& ahead) noexcept {
  const auto [reason, route, source, destination] = ahead.way;
  const auto allows = [this](Question question) {
    if (question == kNone) {
      return true;
    }
    const Verdict& said = questions_.verdicts[question];
    return said.kind == Verdict::Kind::allow && !said.passed_or_logged;
  };
  const bool opens = p.tuple.protocol != proto::kTcp ||
                     (p.tcp_flags & (tcp::kSyn | tcp::kAck | tcp::kRst)) == tcp::kSyn;
  const PathOptions& o = g_->options;
  const auto& [egress, ingress] = ahead.questions;
  if (!ahead.common || !allows(egress) || !allows(ingress) || !opens || p.marks.last_hop != 0 ||
      !connections_.has_room(source)) {
    return false;
  }
  // To the node itself, which not all may reach, there is no hop.
  const Forward::Hop* hop = forward_.hop_of(route, p);
  if (hop == nullptr ||
      (source != kNoEndpoint &&
       !may_send(g_->endpoints[source], p.tuple.protocol, p.tuple.dst_port)) ||
      ((o.verify_l4_all || o.verify_l4_control) && !plain_checksum_ok(frame, p))) {
    return false;
  }
  const ConnId id = connections_.open(p, now_, source, destination, hash);
  if (id == kNoConn) {
    return false;
  }
  opened_[mark(hash)] = true;
  std::array<CounterSlot, 2> rules = {kNoCounter, kNoCounter};
  for (const End end : {kSource, kDestination}) {
    if (ahead.questions[end] != kNone) {
      rules[end] = questions_.verdicts[ahead.questions[end]].counter;
      if (rules[end] != kNoCounter) {
        out_.counters().rule(rules[end]).judged.add(1);
      }
    }
  }
  has_opened(connections_.at(id), origin, ahead.way, rules[kSource], rules[kDestination]);
  forward_.depart(frame, p, *hop);
  return true;
}

// A connection is there, as its first packet found the way.
void Pipeline::has_opened(Connection& c, Origin origin, const Way& way, CounterSlot egress,
                          CounterSlot ingress) noexcept {
  out_.counters().connections_opened.add(1);
  c.set_rules(egress, ingress);
  c.generation = static_cast<uint32_t>(g_->number);
  c.route_version = g_->routes->version;
  c.set_origin(kOriginal, origin);
  c.route[kOriginal] = way.route;
}

// What the packet alone says about whether it may open a connection.
DropReason Pipeline::check_opening(const rte_mbuf* frame, const Parsed& p, Origin origin,
                                   const Way& way) noexcept {
  const EndpointId source = g_->endpoint_at(origin.port);
  if (source != kNoEndpoint &&
      !may_send(g_->endpoints[source], p.tuple.protocol, p.tuple.dst_port)) {
    return DropReason::tun_from_workload;
  }
  if (p.is_icmp() && p.tuple.icmp_class < 0) {
    return DropReason::icmp_unsolicited;
  }
  if (p.tuple.protocol == proto::kTcp && p.later_fragment) {
    return DropReason::ct_midflow;  // its first has ended the connection, or lost it
  }
  if (p.tuple.protocol == proto::kTcp) {
    const PathOptions& o = g_->options;
    // The node's own connections were not seen before a host endpoint had us see them; its
    // kernel follows their states itself.
    const bool of_node =
        g_->host_endpoints &&
        (origin.port == kHostPort || g_->routes->routes[way.route].kind == RouteKind::local);
    const bool loose =
        was_before(p) ||
        (o.tcp_loose && (!o.tcp_grace || of_node || now_ < started_ + kLooseGrace));
    const DropReason reason = ConnTable::may_open(p, loose);
    if (reason != DropReason::none) {
      return reason;
    }
  }
  if ((g_->options.verify_l4_all || g_->options.verify_l4_control) &&
      !l4_checksum_ok(frame, p)) {
    return DropReason::l4_checksum;
  }
  return DropReason::none;
}

// `reopened`: the closing entry that this SYN begins anew on; it stays if policy refuses the
// SYN.
void Pipeline::on_miss(rte_mbuf* frame, Parsed& p, Origin origin, ConnId reopened) noexcept {
  const Way way = known_.ahead != nullptr ? known_.ahead->way
                                          : way_of(*g_, origin, p.source(), p.destination());
  DropReason reason = way.reason;
  if (reason == DropReason::none) {
    reason = forward_.fits(frame, p, g_->routes->routes[way.route], origin.port == kHostPort);
  }
  if (reason == DropReason::none) {
    reason = check_opening(frame, p, origin, way);
  }
  Judged verdict;
  if (reason == DropReason::none) {
    verdict = judge(frame, p, origin, way);
    reason = verdict.reason;
  }
  if (reason == DropReason::none) {
    reason = police(way.route);  // before an entry is made for it
  }
  ConnTable::Created made;
  if (reason == DropReason::none) {
    if (reopened != kNoConn) {
      end(reopened);
    }
    made = connections_.create(p.tuple, now_, way.source, way.destination, p.pair, known_.hash);
    reason = made.reason;
  }
  if (made.recycled != nullptr) {  // even where it was in vain
    fold(*made.recycled);
    ended_ = true;
  }
  if (reason != DropReason::none) {
    refuse(frame, p, origin, reason);
    return;
  }
  opened_[mark(known_.hash)] = true;
  Connection& c = connections_.at(made.id);
  has_opened(c, origin, way, verdict.egress, verdict.ingress);
  reason = connections_.update(made.id, kOriginal, p, now_, g_->options.tcp_liberal);
  if (reason != DropReason::none) {
    connections_.erase(made.id);
    refuse(frame, p, origin, reason);
    return;
  }
  leave(frame, p, way.route, origin);
}

}  // namespace sluice
