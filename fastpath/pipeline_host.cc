// SPDX-License-Identifier: Apache-2.0
// The host endpoints' part of the pipeline: stages before connections, and around workloads'.
#include <algorithm>

#include <rte_mbuf.h>

#include "fastpath/pipeline.h"

namespace sluice {
namespace {

FlowKey outer_key(Ip4 src, Ip4 dst) {
  return {Address::of(src), Address::of(dst), 0, 0, proto::kIpip};
}

}  // namespace

// Asks one stage; none: go on.
Verdict::Kind Pipeline::ask_stage(const HostStage& stage, const FlowKey& key, uint32_t bytes,
                                  CounterSlot& rule) noexcept {
  rule = kNoCounter;
  if (stage.program == kNoProgram) {
    return Verdict::Kind::none;
  }
  if (stage.failsafe != kNoProgram &&
      consult(stage.failsafe_judge, key, bytes, rule) == Verdict::Kind::allow) {
    return Verdict::Kind::none;
  }
  return consult(stage.judge, key, bytes, rule);
}

// What the uplink's untracked list says of an IPIP packet's outer header.
DropReason Pipeline::check_outer(const Tuple& outer, uint32_t bytes, bool inbound) noexcept {
  const HostStage& stage = inbound ? g_->uplink.untracked_in : g_->uplink.untracked_out;
  CounterSlot rule = kNoCounter;
  if (ask_stage(stage, outer_key(outer.src, outer.dst), bytes, rule) != Verdict::Kind::deny) {
    return DropReason::none;
  }
  return inbound ? DropReason::policy_deny_ingress : DropReason::policy_deny_egress;
}

// The untracked lists, which see every packet before any connection does.  True if the frame
// was ended here: refused, or sent on without a connection.
bool Pipeline::untracked(rte_mbuf* frame, Parsed& p, Origin origin) noexcept {
  DropReason reason = check_source(*g_, origin, p.source());
  const Way way = reason == DropReason::none ? decide_way(*g_, origin, p.destination()) : Way{};
  if (reason != DropReason::none || way.reason != DropReason::none) {
    return false;  // what follows finds the same, in its own order
  }
  const FlowKey key = p.flow_key();
  const HostStages stages = host_stages(*g_, origin, way, key);
  CounterSlot rule = kNoCounter;
  Verdict::Kind said = ask_stage(stages.untracked_in, key, p.total_length, rule);
  reason = DropReason::policy_deny_ingress;
  if (said == Verdict::Kind::none) {
    said = ask_stage(stages.untracked_out, key, p.total_length, rule);
    reason = DropReason::policy_deny_egress;
  }
  if (said == Verdict::Kind::none) {
    return false;
  }
  if (said == Verdict::Kind::deny) {
    refuse(frame, p, origin, reason);
    return true;
  }
  if (rule != kNoCounter) {
    out_.counters().rule(rule).packets.add(1);
    out_.counters().rule(rule).bytes.add(p.total_length);
  }
  const RouteKind kind = g_->routes->routes[way.route].kind;
  if (kind == RouteKind::endpoint && way.destination != kNoEndpoint && !owns(way.destination)) {
    meta(frame).set_origin(origin);
    meta(frame).stage = PacketMeta::Stage::untracked;
    out_.hand_over(frame, g_->endpoints[way.destination].worker);
    return true;
  }
  send_untracked(frame, p, origin);
  return true;
}

// On without a connection; a workload's policy judges every packet.
void Pipeline::send_untracked(rte_mbuf* frame, Parsed& p, Origin origin) noexcept {
  const Way way = decide_way(*g_, origin, p.destination());
  DropReason reason = way.reason;
  if (reason == DropReason::none) {
    reason = forward_.fits(frame, p, g_->routes->routes[way.route], origin.port == kHostPort);
  }
  if (reason == DropReason::none) {
    Judged verdict;
    judge_workloads(p.flow_key(), p.total_length, way.source, way.destination, verdict);
    reason = verdict.reason;
  }
  if (reason != DropReason::none) {
    refuse(frame, p, origin, reason);
    return;
  }
  go(frame, p, way.route, origin);
}

// A connection of the node's own that was there before the host endpoint, or before us: it is
// taken up unjudged, as what is established is.
bool Pipeline::was_before(const Parsed& p) const noexcept {
  const NodeFlows* flows = out_.view().node_flows.get();
  if (flows == nullptr || p.tuple.protocol != proto::kTcp || (p.tcp_flags & tcp::kSyn) != 0) {
    return false;
  }
  const Tuple& t = p.tuple;
  const NodeFlow sent{p.source(), p.destination(), t.src_port, t.dst_port};
  const NodeFlow received{p.destination(), p.source(), t.dst_port, t.src_port};
  return std::binary_search(flows->begin(), flows->end(), sent) ||
         std::binary_search(flows->begin(), flows->end(), received);
}

// A connection of the node's own that the kernel carried while no host endpoint was there, and
// of which nothing has passed here since: what we know of it is of the past.
bool Pipeline::went_on_elsewhere(ConnId id, const Parsed& p) const noexcept {
  return was_before(p) && connections_.quiet_since(id, out_.view().node_flows_since);
}

// The stages before the workloads' policies, of a new flow.
bool Pipeline::judge_host_in(const HostStages& stages, const FlowKey& key, uint32_t bytes,
                             Origin origin, Judged& out) noexcept {
  CounterSlot rule = kNoCounter;
  out.reason = DropReason::policy_deny_ingress;
  if (origin.outer_source.value != 0) {
    const FlowKey outer = outer_key(origin.outer_source, g_->routes->outer_source);
    CounterSlot unused = kNoCounter;
    Verdict::Kind said = Verdict::Kind::none;
    if (g_->uplink.untracked_in.program != kNoProgram) {
      // It was counted when it came in.
      said = verdict_of(*g_, g_->uplink.untracked_in.judge, outer).kind;
    }
    if (said != Verdict::Kind::allow &&
        ask_stage(g_->uplink.pre_dnat, outer, bytes, unused) == Verdict::Kind::deny) {
      return false;
    }
  }
  bool accepted = false;
  for (const HostStage* stage : {&stages.pre_dnat, &stages.in}) {
    if (accepted) {
      break;
    }
    const Verdict::Kind said = ask_stage(*stage, key, bytes, rule);
    if (said == Verdict::Kind::deny) {
      return false;
    }
    accepted = said == Verdict::Kind::allow && stage == &stages.pre_dnat;
    out.host_in = rule != kNoCounter ? rule : out.host_in;
  }
  out.accepted = accepted;
  out.reason = DropReason::none;
  return true;
}

// Runs what judges a new flow: the host endpoint it comes in by, the source's egress, the
// destination's ingress, the host endpoint it leaves by; each must let it pass.
Pipeline::Judged Pipeline::judge(rte_mbuf* frame, const Parsed& p, Origin origin,
                                 const Way& way) noexcept {
  Judged out;
  const FlowKey key = p.flow_key();
  const bool routed = way.route != Lpm4::kNone;
  const bool policed = g_->host_endpoints && routed && !was_before(p);
  const HostStages stages = policed ? host_stages(*g_, origin, way, key) : HostStages{};
  const bool first = meta(frame).stage != PacketMeta::Stage::judged_egress;
  if (policed && first && !judge_host_in(stages, key, p.total_length, origin, out)) {
    return out;
  }
  judge_workloads(key, p.total_length, way.source, way.destination, out);
  if (out.reason != DropReason::none || !policed) {
    return out;
  }
  const Route& route = g_->routes->routes[way.route];
  const bool last = route.kind != RouteKind::endpoint || owns(route.endpoint);
  CounterSlot rule = kNoCounter;
  if (last && !out.accepted &&
      ask_stage(stages.out, key, p.total_length, rule) == Verdict::Kind::deny) {
    out.reason = DropReason::policy_deny_egress;
  }
  // A connection remembers two rules: the workloads' own, else the host endpoint's.
  out.egress = out.egress == kNoCounter ? rule : out.egress;
  out.ingress = out.ingress == kNoCounter ? out.host_in : out.ingress;
  return out;
}

}  // namespace sluice
