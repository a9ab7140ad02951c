// SPDX-License-Identifier: Apache-2.0
#include "fastpath/fragments.h"

namespace sluice {

uint32_t Fragments::hash(const Tuple4& t, uint16_t id, PortId port) noexcept {
  uint64_t h = uint64_t{t.src.value} << 32 | t.dst.value;
  h ^= (uint64_t{id} << 32 | uint64_t{port} << 8 | t.protocol) * 0x9e3779b97f4a7c15u;
  h *= 0xff51afd7ed558ccdu;
  return static_cast<uint32_t>(h >> 40) & (kBuckets - 1);
}

bool Fragments::same(const Record& r, const Tuple4& t, uint16_t id, PortId port) noexcept {
  return r.port == port && r.id == id && r.tuple.src == t.src && r.tuple.dst == t.dst &&
         r.tuple.protocol == t.protocol;
}

void Fragments::remember(const Parsed& first, uint16_t id, PortId port, Nanos now) noexcept {
  Bucket& bucket = buckets_[hash(first.tuple, id, port)];
  Record* victim = &bucket[0];
  for (Record& r : bucket) {
    if (same(r, first.tuple, id, port)) {
      victim = &r;
      break;
    }
    if (r.until < victim->until) {
      victim = &r;
    }
  }
  *victim = {
      first.tuple,      now + kLife,      id,          port, first.icmp_type, first.icmp_code,
      first.icmp_error, DropReason::none, first.quoted};
}

void Fragments::refuse(const Parsed& first, uint16_t id, PortId port,
                       DropReason reason) noexcept {
  for (Record& r : buckets_[hash(first.tuple, id, port)]) {
    if (same(r, first.tuple, id, port)) {
      r.reason = reason;
      return;
    }
  }
}

DropReason Fragments::complete(Parsed& later, uint16_t id, PortId port,
                               Nanos now) const noexcept {
  for (const Record& r : buckets_[hash(later.tuple, id, port)]) {
    if (same(r, later.tuple, id, port) && now < r.until) {
      later.tuple = r.tuple;
      later.icmp_type = r.icmp_type;
      later.icmp_code = r.icmp_code;
      later.icmp_error = r.icmp_error;
      later.quoted = r.quoted;
      return r.reason;
    }
  }
  return DropReason::frag_no_head;
}

}  // namespace sluice
