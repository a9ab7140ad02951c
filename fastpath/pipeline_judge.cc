// SPDX-License-Identifier: Apache-2.0
// What policy says of a flow's first packet, and the counts of the rules that said it.
#include <functional>

#include "fastpath/pipeline.h"

namespace sluice {

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
                            : take(who, verdict_of(*g_, who, key), key, bytes, rule);
}

// Likewise a workload's, which may have been asked ahead.
Verdict::Kind Pipeline::consult(End end, InstanceId who, const FlowKey& key, uint32_t bytes,
                                CounterSlot& rule) noexcept {
  const Ahead* ahead = known_.ahead;
  const Question asked = ahead != nullptr ? ahead->questions[end] : kNone;
  return asked != kNone && questions_.who[asked] == who
             ? take(who, questions_.verdicts[asked], key, bytes, rule)
             : consult(who, key, bytes, rule);
}

// Counts what a program said.
Verdict::Kind Pipeline::take(InstanceId who, const Verdict& verdict, const FlowKey& key,
                             uint32_t bytes, CounterSlot& rule) noexcept {
  Counters& counters = out_.counters();
  if (verdict.passed_or_logged) {
    g_->linear->walk(key, g_->matcher->pin(who).program, [&](const Step& step) {
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
