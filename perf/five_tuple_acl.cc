// SPDX-License-Identifier: Apache-2.0
#include "perf/five_tuple_acl.h"

#include <cstring>

#include <rte_acl.h>
#include <rte_errno.h>
#include <rte_vect.h>

#include "perf/dpdk_heap.h"

namespace sluice::perf {
namespace {

using Key = FiveTupleAcl::Key;

enum Field : uint8_t { kProtocol, kSrc, kDst, kSrcPort, kDstPort, kFields };
RTE_ACL_RULE_DEF(AclRule, kFields);

rte_acl_field_def field(uint8_t type, uint8_t size, Field index, uint8_t input, size_t offset) {
  return {type, size, index, input, static_cast<uint32_t>(offset)};
}

rte_acl_config config(size_t max_bytes) {
  rte_acl_config c{};
  c.num_categories = 1;
  c.num_fields = kFields;
  c.max_size = max_bytes;
  c.defs[kProtocol] =
      field(RTE_ACL_FIELD_TYPE_BITMASK, 1, kProtocol, 0, offsetof(Key, protocol));
  c.defs[kSrc] = field(RTE_ACL_FIELD_TYPE_MASK, 4, kSrc, 1, offsetof(Key, src));
  c.defs[kDst] = field(RTE_ACL_FIELD_TYPE_MASK, 4, kDst, 2, offsetof(Key, dst));
  c.defs[kSrcPort] = field(RTE_ACL_FIELD_TYPE_RANGE, 2, kSrcPort, 3, offsetof(Key, src_port));
  c.defs[kDstPort] = field(RTE_ACL_FIELD_TYPE_RANGE, 2, kDstPort, 3, offsetof(Key, dst_port));
  return c;
}

AclRule acl_rule(const FiveTupleRule& rule, size_t index) {
  AclRule r{};
  r.data.userdata = static_cast<uint32_t>(index + 1);
  r.data.category_mask = 1;
  r.data.priority = static_cast<int32_t>(RTE_ACL_MAX_PRIORITY - index);
  r.field[kProtocol].value.u8 = rule.any_protocol ? 0 : rule.protocol;
  r.field[kProtocol].mask_range.u8 = rule.any_protocol ? 0 : 0xff;
  r.field[kSrc].value.u32 = rule.src;
  r.field[kSrc].mask_range.u32 = rule.src_length;
  r.field[kDst].value.u32 = rule.dst;
  r.field[kDst].mask_range.u32 = rule.dst_length;
  r.field[kSrcPort].value.u16 = rule.src_port.low;
  r.field[kSrcPort].mask_range.u16 = rule.src_port.high;
  r.field[kDstPort].value.u16 = rule.dst_port.low;
  r.field[kDstPort].mask_range.u16 = rule.dst_port.high;
  return r;
}

Error failed(const char* step, int code) {
  return Error{std::string(step) + ": " + rte_strerror(code < 0 ? -code : code)};
}

}  // namespace

std::vector<Key> FiveTupleAcl::keys_of(std::span<const FiveTuple> trace) {
  std::vector<Key> keys(trace.size());
  for (size_t i = 0; i < trace.size(); ++i) {
    const FiveTuple& k = trace[i];
    keys[i] = {k.protocol,          {}, Be32::of(k.src), Be32::of(k.dst), Be16::of(k.src_port),
               Be16::of(k.dst_port)};
  }
  return keys;
}

Result<std::unique_ptr<FiveTupleAcl>> FiveTupleAcl::make(std::span<const FiveTupleRule> rules,
                                                         size_t max_bytes) {
  rte_vect_set_max_simd_bitwidth(RTE_VECT_SIMD_512);
  const size_t before = dpdk_heap_bytes();
  std::unique_ptr<FiveTupleAcl> acl(new FiveTupleAcl);
  static unsigned serial = 0;  // one name, one context
  const std::string name = "five_tuple" + std::to_string(serial++);
  rte_acl_param param{};
  param.name = name.c_str();
  param.socket_id = SOCKET_ID_ANY;
  param.rule_size = RTE_ACL_RULE_SZ(kFields);
  param.max_rule_num = static_cast<uint32_t>(rules.size());
  acl->context_ = rte_acl_create(&param);
  if (acl->context_ == nullptr) {
    return failed("rte_acl_create", rte_errno);
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    const AclRule rule = acl_rule(rules[i], i);
    const int added =
        rte_acl_add_rules(acl->context_, reinterpret_cast<const rte_acl_rule*>(&rule), 1);
    if (added != 0) {
      return failed("rte_acl_add_rules", added);
    }
  }
  const rte_acl_config c = config(max_bytes);
  if (const int built = rte_acl_build(acl->context_, &c); built != 0) {
    return failed("rte_acl_build", built);
  }
  collapse_dpdk_heap();
  const struct {
    enum rte_acl_classify_alg algorithm;
    const char* name;
  } modes[] = {{RTE_ACL_CLASSIFY_AVX512X32, "AVX-512 32-wide"},
               {RTE_ACL_CLASSIFY_AVX2, "AVX2"},
               {RTE_ACL_CLASSIFY_SSE, "SSE"}};
  for (const auto& mode : modes) {
    if (rte_acl_set_ctx_classify(acl->context_, mode.algorithm) == 0) {
      acl->mode_ = mode.name;
      break;
    }
  }
  acl->bytes_ = dpdk_heap_bytes() - before;
  return acl;
}

FiveTupleAcl::~FiveTupleAcl() {
  rte_acl_free(context_);
}

void FiveTupleAcl::find(std::span<const Key> keys, std::span<uint32_t> first) {
  std::array<const uint8_t*, kBatch> data;
  for (size_t i = 0; i < keys.size(); ++i) {
    data[i] = &keys[i].protocol;
  }
  rte_acl_classify(context_, data.data(), first.data(), static_cast<uint32_t>(keys.size()), 1);
  for (uint32_t& index : first) {
    index -= 1;  // 0, nothing, becomes kNone
  }
}

}  // namespace sluice::perf
