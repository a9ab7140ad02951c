// SPDX-License-Identifier: Apache-2.0
#define ALLOW_EXPERIMENTAL_API  // to let rte_acl use AVX-512
#include "perf/policy_acl.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include <rte_acl.h>
#include <rte_cycles.h>
#include <rte_vect.h>

#include "perf/chunk_clock.h"

namespace sluice::perf {
namespace {

constexpr size_t kMaxRules = 1'000'000;  // more take rte_acl minutes to build, or do not fit
constexpr size_t kMaxBytes = size_t{2} << 30;
constexpr size_t kBatch = 256, kChunk = 4 * kBatch, kPackets = 500'000;

// As rte_acl reads it, in network order.
struct AclKey {
  uint8_t protocol = 0;
  uint8_t unused[3] = {};
  Be32 src, dst;
  Be16 src_port, dst_port;
};
static_assert(sizeof(AclKey) == 16);

constexpr unsigned kFields = 5;
const rte_acl_field_def kFieldDefs[kFields] = {
    {RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, offsetof(AclKey, protocol)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 1, 1, offsetof(AclKey, src)},
    {RTE_ACL_FIELD_TYPE_MASK, 4, 2, 2, offsetof(AclKey, dst)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 3, 3, offsetof(AclKey, src_port)},
    {RTE_ACL_FIELD_TYPE_RANGE, 2, 4, 3, offsetof(AclKey, dst_port)},
};
RTE_ACL_RULE_DEF(AclRule, kFields);

// Rules that five-tuples can say: a set or nets at the source, ports, a protocol.
bool has_plain_form(const Rule& rule) {
  const RuleSide &s = rule.source, &d = rule.destination;
  return (rule.action == Action::allow || rule.action == Action::deny) && !rule.icmp &&
         !rule.not_icmp && !rule.not_protocol &&
         s.sets.size() + (s.nets.empty() ? 0 : 1) <= 1 && s.not_sets.empty() &&
         s.not_nets.empty() && d.sets.empty() && d.not_sets.empty() && d.nets.empty() &&
         d.not_nets.empty() && s.port_sets.empty() && d.port_sets.empty() &&
         s.not_ports.empty() && d.not_ports.empty();
}

void add_plain(const RuleList& from, RuleList& to) {
  for (const Rule& rule : from.rules) {
    if (has_plain_form(rule)) {
      to.rules.push_back(rule);
      to.rules.back().counter = static_cast<CounterSlot>(to.rules.size());
    }
  }
}

// The plain rules of all tiers but the profiles, as one list with a default that denies.
RuleSet plain_policy(const RuleSet& rules, const Program& program) {
  RuleSet out;
  out.address_sets = rules.address_sets;
  RuleList list;
  for (const Tier& tier : program.tiers) {
    for (const ListId id : tier.profiles ? std::vector<ListId>{} : tier.lists) {
      add_plain(*rules.lists[id], list);
    }
  }
  out.lists.emplace_back(std::move(list));
  out.programs = {{{Tier{{0}, TierEnd::deny, false, 0}}}};
  return out;
}

// The prefixes of an IPv4 range.
void split(const AddressSet::Range& range, const std::function<void(uint32_t, unsigned)>& add) {
  uint64_t first = range.first.v4().value;
  const uint64_t last = range.last.v4().value;
  while (first <= last) {
    const int aligned = first == 0 ? 32 : std::countr_zero(first);
    const int bits =
        std::min({aligned, static_cast<int>(std::bit_width(last - first + 1)) - 1, 32});
    add(static_cast<uint32_t>(first), static_cast<unsigned>(32 - bits));
    first += uint64_t{1} << bits;
  }
}

// Calls add for each five-tuple rule of one source and its ports; false once add says so.
using Add = std::function<bool(const AclRule&)>;
bool expand_ports(const Rule& rule, AclRule acl, const Add& add) {
  const std::vector<PortRange> any = {{0, UINT16_MAX}};
  for (const PortRange& source : rule.source.ports.empty() ? any : rule.source.ports) {
    for (const PortRange& port :
         rule.destination.ports.empty() ? any : rule.destination.ports) {
      acl.field[3].value.u16 = source.low;
      acl.field[3].mask_range.u16 = source.high;
      acl.field[4].value.u16 = port.low;
      acl.field[4].mask_range.u16 = port.high;
      if (!add(acl)) {
        return false;
      }
    }
  }
  return true;
}

AddressSet sources_of(const RuleSet& policy, const Rule& rule) {
  if (!rule.source.sets.empty()) {
    return *policy.address_sets[rule.source.sets[0]];
  }
  const std::vector<Prefix> anywhere = {{Address::of(Ip4{0}), 96}};
  return AddressSet(rule.source.nets.empty() ? anywhere : rule.source.nets);
}

// Calls add for each five-tuple rule; stops when it says false.
void expand(const RuleSet& policy, const Add& add) {
  const std::vector<Rule>& rules = policy.lists[0]->rules;
  bool more = true;
  for (size_t i = 0; i < rules.size() && more; ++i) {
    AclRule acl{};
    acl.data.category_mask = 1;
    acl.data.priority = static_cast<int32_t>(RTE_ACL_MAX_PRIORITY - 1 - i);
    acl.data.userdata = static_cast<uint32_t>(i + 1);
    acl.field[0].value.u8 = rules[i].protocol.value_or(0);
    acl.field[0].mask_range.u8 = rules[i].protocol ? 0xff : 0;
    const AddressSet sources = sources_of(policy, rules[i]);
    for (const AddressSet::Range& range : sources.ranges()) {
      split(range, [&](uint32_t base, unsigned length) {
        acl.field[1].value.u32 = base;
        acl.field[1].mask_range.u32 = length;
        more = more && expand_ports(rules[i], acl, add);
      });
    }
  }
}

size_t expanded_rules(const RuleSet& policy) {
  size_t count = 0;
  expand(policy, [&](const AclRule&) { return ++count <= kMaxRules; });
  return count;
}

rte_acl_ctx* build(const RuleSet& policy, size_t rules) {
  rte_acl_param param{};
  param.name = "peer";
  param.socket_id = SOCKET_ID_ANY;
  param.rule_size = RTE_ACL_RULE_SZ(kFields);
  param.max_rule_num = static_cast<uint32_t>(rules);
  rte_acl_ctx* context = rte_acl_create(&param);
  if (context == nullptr) {
    return nullptr;
  }
  bool added = true;
  expand(policy, [&](const AclRule& rule) {
    const auto* as_base = static_cast<const rte_acl_rule*>(static_cast<const void*>(&rule));
    added = rte_acl_add_rules(context, as_base, 1) == 0;
    return added;
  });
  rte_acl_config config{};
  config.num_categories = 1;
  config.num_fields = kFields;
  config.max_size = kMaxBytes;
  std::copy(std::begin(kFieldDefs), std::end(kFieldDefs), config.defs);
  if (!added || rte_acl_build(context, &config) != 0) {
    rte_acl_free(context);
    return nullptr;
  }
  return context;
}

// The median chunk of all runs, in nanoseconds per packet; prepare(at) is not timed.
template <typename Prepare, typename Work>
double time_chunks(unsigned runs, size_t packets, const Prepare& prepare, const Work& work) {
  ChunkClock clock;
  for (unsigned run = 0; run < runs; ++run) {
    for (size_t at = 0; at + kChunk <= packets; at += kChunk) {
      prepare(at);
      clock.time(work);
    }
  }
  return clock.median() / kChunk;
}

struct Packets {
  std::vector<FlowKey> keys;
  std::vector<AclKey> acl;
};

// All ingress packets of the workload, sent to this endpoint.
Packets packets_for(const PolicyWorkload& w, const Address& endpoint) {
  Packets out;
  for (size_t i = 0; i < w.keys.size() && out.keys.size() < kPackets; ++i) {
    if (w.pins[w.instances[i]].side != Pinned::Side::destination) {
      continue;
    }
    FlowKey key = w.keys[i];
    key.dst = endpoint;
    out.keys.push_back(key);
    AclKey acl;
    acl.protocol = key.protocol;
    acl.src = Be32::of(key.src.v4().value);
    acl.dst = Be32::of(key.dst.v4().value);
    acl.src_port = Be16::of(key.src_port);
    acl.dst_port = Be16::of(key.dst_port);
    out.acl.push_back(acl);
  }
  return out;
}

double time_matcher(const Matcher& matcher, const Packets& p, unsigned runs,
                    std::vector<Verdict>& verdicts) {
  std::vector<FlowKey> keys(kChunk);
  const std::vector<InstanceId> instances(kChunk, 0);
  std::vector<Verdict> out(kChunk);
  verdicts.resize(p.keys.size());
  matcher.classify(p.keys, std::vector<InstanceId>(p.keys.size(), 0), verdicts);
  return time_chunks(
      runs, p.keys.size(),
      [&](size_t at) { std::copy_n(p.keys.data() + at, kChunk, keys.data()); },
      [&] {
        for (size_t i = 0; i < kChunk; i += kLookupBurst) {
          matcher.classify({keys.data() + i, kLookupBurst}, {instances.data(), kLookupBurst},
                           {out.data() + i, kLookupBurst});
        }
      });
}

double time_acl(const rte_acl_ctx* context, const Packets& p, unsigned runs,
                std::vector<uint32_t>& results) {
  std::vector<AclKey> keys(kChunk);
  std::vector<const uint8_t*> data(kChunk);
  for (size_t i = 0; i < kChunk; ++i) {
    data[i] = reinterpret_cast<const uint8_t*>(&keys[i]);
  }
  results.assign(p.acl.size() + kChunk, 0);
  uint32_t* out = results.data();
  return time_chunks(
      runs, p.acl.size(),
      [&](size_t at) {
        std::copy_n(p.acl.data() + at, kChunk, keys.data());
        out = results.data() + at;
      },
      [&] {
        for (size_t i = 0; i < kChunk; i += kBatch) {
          rte_acl_classify(context, data.data() + i, out + i, kBatch, 1);
        }
      });
}

size_t differing(const std::vector<Verdict>& verdicts, const std::vector<uint32_t>& results) {
  size_t wrong = 0;
  for (size_t i = 0; i + kChunk <= verdicts.size(); ++i) {
    wrong += verdicts[i].counter == results[i] ? 0 : 1;
  }
  return wrong;
}

}  // namespace

AclRow measure_acl(const PolicyWorkload& w, unsigned runs) {
  AclRow row;
  size_t tried = 0;
  for (const Matcher::Pin& pin : w.pins) {
    if (pin.side != Pinned::Side::destination) {
      continue;
    }
    ++tried;
    const RuleSet policy = plain_policy(*w.rules, w.rules->programs[pin.program]);
    row.rules = expanded_rules(policy);
    if (row.rules > kMaxRules) {
      continue;
    }
    const uint64_t before = rte_rdtsc();
    rte_acl_ctx* context = build(policy, row.rules);
    row.build_s =
        static_cast<double>(rte_rdtsc() - before) / static_cast<double>(rte_get_tsc_hz());
    if (context == nullptr) {
      row.note = "rte_acl cannot hold " + std::to_string(row.rules) + " rules";
      return row;
    }
    const Packets p = packets_for(w, pin.address);
    const Matcher::Pin here = {0, pin.side, pin.address};
    const auto made = Matcher::make(std::make_shared<const RuleSet>(policy), {&here, 1}, {});
    std::vector<Verdict> verdicts;
    row.matcher_ns = time_matcher(**made, p, runs, verdicts);
    rte_vect_set_max_simd_bitwidth(RTE_VECT_SIMD_512);
    for (const auto alg : {RTE_ACL_CLASSIFY_AVX512X32, RTE_ACL_CLASSIFY_AVX512X16,
                           RTE_ACL_CLASSIFY_AVX2, RTE_ACL_CLASSIFY_SCALAR}) {
      if (rte_acl_set_ctx_classify(context, alg) != 0) {
        continue;  // the processor has not the instructions
      }
      std::vector<uint32_t> results;
      const double ns = time_acl(context, p, runs, results);
      row.wrong += differing(verdicts, results);
      row.acl_ns = row.acl_ns == 0 ? ns : std::min(row.acl_ns, ns);
    }
    rte_acl_free(context);
    char text[160];
    std::snprintf(text, sizeof text,
                  "%zu plain rules, rte_acl %.1f ns (built in %.1f s), the matcher %.1f ns",
                  row.rules, row.acl_ns, row.build_s, row.matcher_ns);
    row.note = text;
    break;
  }
  if (tried > 1 || row.rules > kMaxRules) {
    const size_t above = row.rules > kMaxRules ? tried : tried - 1;
    row.note += (row.note.empty() ? "rte_acl not built" : "") + std::string("; ") +
                std::to_string(above) + " programs before it expand to over " +
                std::to_string(kMaxRules) + " rules";
  }
  return row;
}

}  // namespace sluice::perf
