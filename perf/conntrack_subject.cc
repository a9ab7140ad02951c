// SPDX-License-Identifier: Apache-2.0
#include "perf/conntrack_subject.h"

#include <utility>

namespace sluice::perf {

OrderedKey OrderedKey::of(const Tuple& t) {
  OrderedKey k{t.src.value, t.dst.value, t.src_port, t.dst_port, t.protocol};
  if (k.low > k.high || (k.low == k.high && k.low_port > k.high_port)) {
    std::swap(k.low, k.high);
    std::swap(k.low_port, k.high_port);
  }
  return k;
}

Records::Records(uint32_t flows) : records_(flows) {
  free_.reserve(flows);
  for (uint32_t id = flows; id > 0; --id) {
    free_.push_back(id - 1);
  }
}

void Records::write(uint32_t id, const OrderedKey& key) {
  Record& record = records_[id];
  record = {};
  record.key = key;
  record.deadline = 1;
}

}  // namespace sluice::perf
