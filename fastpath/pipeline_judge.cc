// SPDX-License-Identifier: Apache-2.0
// What policy says of a flow's first packet, and the counts of the rules that said it.
#include <functional>

#include "fastpath/pipeline.h"

namespace sluice {

// Asks the workloads' programs about all packets of the burst that find no connection,
// together: so the reads of the tables hide behind each other.  What becomes of it is
// judge()'s.
void Pipeline::ask_ahead(Burst& b, std::span<const ConnId> ids) noexcept {
  Questions& q = questions_;
  size_t n = 0;
  const auto add = [&](EndpointId id, End end, const FlowKey& key, Said& said) {
    if (!owns(id)) {
      return;
    }
    const Endpoint& e = g_->endpoints[id];
    const size_t six = key.src.is_v4() ? 0 : 1;
    const InstanceId judge = end == kSource ? e.judge_out[six] : e.judge_in[six];
    if (judge != kNoInstance && g_->matcher->pin(judge).fits(key)) {
      q.keys[n] = key;
      q.who[n] = judge;
      q.to[n++] = &said;
    }
  };
  for (size_t k = 0; k < ids.size(); ++k) {
    ahead_[k] = {};
    const unsigned i = b.live[k];
    if (ids[k] != kNoConn ||
        (b.narrow(i) && is_broadcast(b.plain[i].tuple.dst, b.origins[i]))) {
      continue;
    }
    const Parsed& p = b.wide(i);
    if (p.icmp_error) {
      continue;
    }
    const FlowKey key = p.flow_key();
    const RouteId route = g_->routes->find(key.dst);
    add(g_->endpoint_at(b.origins[i].port), kSource, key, ahead_[k][kSource]);
    add(route == Lpm4::kNone ? kNoEndpoint : g_->routes->routes[route].endpoint, kDestination,
        key, ahead_[k][kDestination]);
  }
  g_->matcher->classify({q.keys.data(), n}, {q.who.data(), n}, {q.verdicts.data(), n});
  for (size_t i = 0; i < n; ++i) {
    *q.to[i] = {q.who[i], q.verdicts[i]};
  }
}

// Runs the programs of the endpoints that are ours: egress of the source first, then ingress of
// the destination; both must allow.
void Pipeline::judge_workloads(const FlowKey& key, uint32_t bytes, EndpointId source,
                               EndpointId destination, Judged& out) noexcept {
  if (owns(source)) {
    const Endpoint& e = g_->endpoints[source];
    if (!e.ready) {
      out.reason = DropReason::policy_not_ready;
      return;
    }
    count_staged(e.pending_egress, key);
    if (consult(kSource, e.judge_out[key.src.is_v4() ? 0 : 1], key, bytes, out.egress) !=
        Verdict::Kind::allow) {
      out.reason = DropReason::policy_deny_egress;
      return;
    }
    out.reason = check_to_host(*g_, source, key.dst);
    if (out.reason != DropReason::none) {
      return;
    }
  }
  if (owns(destination)) {
    const Endpoint& e = g_->endpoints[destination];
    if (!e.ready) {
      out.reason = DropReason::policy_not_ready;
      return;
    }
    count_staged(e.pending_ingress, key);
    if (consult(kDestination, e.judge_in[key.src.is_v4() ? 0 : 1], key, bytes, out.ingress) !=
        Verdict::Kind::allow) {
      out.reason = DropReason::policy_deny_ingress;
    }
  }
}

// Runs one program and counts what it said.
Verdict::Kind Pipeline::consult(InstanceId who, const FlowKey& key, uint32_t bytes,
                                CounterSlot& rule) noexcept {
  rule = kNoCounter;
  return who == kNoInstance ? Verdict::Kind::none
                            : take({who, verdict_of(*g_, who, key)}, key, bytes, rule);
}

// Likewise a workload's, which may have been asked ahead.
Verdict::Kind Pipeline::consult(End end, InstanceId who, const FlowKey& key, uint32_t bytes,
                                CounterSlot& rule) noexcept {
  const SaidAtEnds* said = known_.said;
  const bool asked = said != nullptr && who != kNoInstance && (*said)[end].who == who;
  return asked ? take((*said)[end], key, bytes, rule) : consult(who, key, bytes, rule);
}

// Counts what a program said.
Verdict::Kind Pipeline::take(const Said& said, const FlowKey& key, uint32_t bytes,
                             CounterSlot& rule) noexcept {
  const Verdict& verdict = said.verdict;
  Counters& counters = out_.counters();
  if (verdict.passed_or_logged) {
    g_->linear->walk(key, g_->matcher->pin(said.who).program, [&](const Step& step) {
      if (step.counter != kNoCounter && step.counter != verdict.counter) {
        counters.rule(step.counter).judged.add(1);
      }
    });
  }
  rule = verdict.counter;
  if (rule != kNoCounter) {
    RuleCounters& c = counters.rule(rule);
    c.judged.add(1);
    if (verdict.kind == Verdict::Kind::deny) {
      out_.denied_by(rule);
      c.packets.add(1);
      c.bytes.add(bytes);
    }
  }
  return verdict.kind;
}

// Counts the rules of staged policies that would have been met, were they enforced, and the
// tier's end where a staged policy is its first.
void Pipeline::count_staged(ProgramId pending, const FlowKey& key) noexcept {
  if (pending == kNoProgram) {
    return;
  }
  const RuleSet& rules = g_->linear->rules();
  const auto count = [&](const Step& step) {
    const std::vector<ListId>& lists = rules.programs[pending].tiers[step.tier].lists;
    const bool of_rule = step.kind == Step::Kind::rule;
    if (step.counter != kNoCounter && (of_rule || !lists.empty()) &&
        rules.lists[of_rule ? step.list : lists.front()]->staged) {
      out_.counters().rule(step.counter).judged.add(1);
    }
  };
  g_->linear->walk(key, pending, std::ref(count));  // by reference: nothing is allocated
}

}  // namespace sluice
