// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/subject.h"

#include <algorithm>
#include <map>

#include "config/load.h"
#include "control/build.h"
#include "control/explain.h"
#include "tests/differential/evaluate.h"
#include "tests/differential/frames.h"

namespace sluice::differential {
namespace {

using nlohmann::json;

Address address_of(const Ip& ip) {
  return ip.v6 ? Address{static_cast<uint64_t>(ip.bits >> 64), static_cast<uint64_t>(ip.bits)}
               : Address::of({static_cast<uint32_t>(ip.bits)});
}

FlowKey key_of(const Packet& p) {
  FlowKey key{address_of(p.src), address_of(p.dst), p.sport, p.dport, p.protocol};
  if (p.protocol == 1 || p.protocol == 58) {
    key.dst_port = static_cast<uint16_t>(p.type << 8 | p.code);
  }
  return key;
}

json json_of(const Packet& p) {
  json out = {{"in", p.in}, {"src", text(p.src)}, {"dst", text(p.dst)}, {"proto", p.protocol}};
  if (ported(p.protocol)) {
    out["sport"] = p.sport;
    out["dport"] = p.dport;
  } else if (p.protocol == 1 || p.protocol == 58) {
    out["icmpType"] = p.type;
    out["icmpCode"] = p.code;
  }
  return out;
}

// explain's words as an Answer; empty if policy did not speak.
std::optional<Answer> answer_of(const json& said) {
  if (!said.contains("tier") || said["tier"].is_null()) {
    return {};
  }
  Answer out{said["verdict"] == "allow",
             said["direction"] == "egress",
             said["tier"],
             "Profile",
             "",
             "",
             said["rule"]};
  if (const json& by = said["policy"]; by.is_object()) {  // else there is no profile to blame
    out.kind = by["kind"];
    out.space = by["namespace"];
    out.name = by["name"];
  }
  return out;
}

class Subject {
 public:
  explicit Subject(const Cluster& c)
      : cluster_(c), loaded_(config::load_text(yaml(c), "cluster.yaml")) {
    loaded_.model.settings =
        config::load_settings_text(settings_yaml(), "sluice.yaml").model.settings;
    if (loaded_.ok()) {
      built_ = control::build(loaded_.model, registries_, nullptr, loaded_.findings);
    }
  }
  bool ok() const { return loaded_.ok(); }
  std::string findings() const { return loaded_.findings.format(loaded_.model.files); }

  // The packet by the kernel's name for the port that it comes in by.
  Packet named(Packet p) const {
    for (const control::LocalEndpoint& e : built_.policy.endpoints) {
      if (p.in == e.namespace_name + "/" + e.name) {
        p.in = e.interface_name;
        break;
      }
    }
    return p;
  }

  Result<std::vector<std::string>> replay(const std::vector<Packet>& packets,
                                          const std::string& directory) const {
    return replayed(loaded_, packets, directory);
  }

  // The answers where they differ.
  std::optional<std::string> differ(const Packet& p, const std::string& fate, Tally& tally) {
    ++tally.packets;
    std::string answers;
    bool same = ends_agree(p, answers);
    tally.six += p.src.v6;
    if (opens(p)) {
      same = explain_agrees(p, fate, tally, answers) && same;
    }
    return same ? std::nullopt : std::optional(answers);
  }

 private:
  // Each end on its own: the evaluator and the matcher.
  bool ends_agree(const Packet& p, std::string& answers) const {
    bool same = true;
    for (const bool egress : {true, false}) {
      const Pod* pod = egress ? source_of(cluster_, p) : destination_of(cluster_, p);
      if (pod == nullptr) {
        continue;
      }
      const Answer answer = evaluate_end(cluster_, *pod, egress, p, false);
      const control::LocalEndpoint& e = endpoint(*pod);
      const ProgramId program = egress ? e.egress : e.ingress;
      const FlowKey key = key_of(p);
      Verdict verdict;
      built_.generation->linear->classify({&key, 1}, {&program, 1}, {&verdict, 1});
      const bool allow = verdict.kind == Verdict::Kind::allow;
      same = same && allow == answer.allow;
      answers += "evaluator, alone: " + text(answer) +
                 "\nlinear matcher, alone: " + (allow ? "allow" : "deny") + "\n";
    }
    return same;
  }

  bool explain_agrees(const Packet& p, const std::string& fate, Tally& tally,
                      std::string& answers) const {
    const Answer wanted = evaluate(cluster_, p, false);
    const json said = control::explain_packet(built_, json_of(named(p)));
    const std::optional<Answer> got = answer_of(said);
    const bool by_policy = !wanted.tier.empty();
    bool same = by_policy ? got == wanted : !got && said["verdict"] == "deny";
    answers += "evaluator: " + text(wanted) + "\nexplain: " + said.dump() +
               "\ndata path: " + fate + "\n";
    tally.allowed += wanted.allow;
    tally.by_rule += wanted.rule >= 0 && wanted.tier != "__PROFILE__";

    const std::string denied = !by_policy      ? "tun_from_workload"
                               : wanted.egress ? "policy_deny_egress"
                                               : "policy_deny_ingress";
    same = same && (wanted.allow ? fate == "forwarded" || fate == "punted" : fate == denied);

    const Pod* from = source_of(cluster_, p);
    const Pod* to = destination_of(cluster_, p);
    const bool pending =
        by_policy && ((from != nullptr && has_pending(cluster_, *from, true)) ||
                      (to != nullptr && has_pending(cluster_, *to, false)));
    if (pending != said.contains("pending")) {
      answers += std::string("evaluator: staged policies ") + (pending ? "" : "do not ") +
                 "select an end\n";
      return false;
    }
    if (pending) {
      ++tally.pending;
      const Answer staged = evaluate(cluster_, p, true);
      answers += "evaluator, staged: " + text(staged) + "\n";
      same = same && answer_of(said["pending"]) == staged;
    }
    return same;
  }

  const control::LocalEndpoint& endpoint(const Pod& pod) const {
    const auto& all = built_.policy.endpoints;
    return *std::find_if(all.begin(), all.end(), [&](const control::LocalEndpoint& e) {
      return e.namespace_name == pod.space && e.name == pod.name;
    });
  }

  const Cluster& cluster_;
  config::Loaded loaded_;
  control::Registries registries_;
  control::Built built_;
};

}  // namespace

std::optional<Difference> compare(const Cluster& cluster, const std::vector<Packet>& packets,
                                  const std::string& directory, Tally& tally) {
  Subject subject(cluster);
  if (!subject.ok()) {
    return Difference{{}, subject.findings()};
  }
  std::vector<Packet> frames;
  for (const Packet& p : packets) {
    frames.push_back(subject.named(p));
  }
  const auto fates = subject.replay(frames, directory);
  if (!fates) {
    return Difference{{}, "replay: " + fates.error().what};
  }
  for (size_t i = 0; i < packets.size(); ++i) {
    if (auto answers = subject.differ(packets[i], (*fates)[i], tally)) {
      return Difference{packets[i], *answers};
    }
  }
  return {};
}

}  // namespace sluice::differential
