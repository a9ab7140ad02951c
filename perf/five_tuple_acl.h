// SPDX-License-Identifier: Apache-2.0
// The peer of the forest: DPDK's rte_acl over the same five-tuple rules.
//
// Best mode the processor has (AVX-512 32-wide, else AVX2), batches of kBatch, memory on
// transparent huge pages if the kernel gives them.  One thread; needs the EAL.
#ifndef SLUICE_PERF_FIVE_TUPLE_ACL_H_
#define SLUICE_PERF_FIVE_TUPLE_ACL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "classifier/forest.h"

struct rte_acl_ctx;

namespace sluice::perf {

class FiveTupleAcl {
 public:
  static constexpr size_t kBatch = 256;

  // What rte_acl reads: network order.
  struct Key {
    uint8_t protocol = 0;
    uint8_t pad[3] = {};
    Be32 src, dst;
    Be16 src_port, dst_port;
  };
  static std::vector<Key> keys_of(std::span<const FiveTuple> trace);

  // Fails with what rte_acl said.  `max_bytes` bounds its run-time tables; 0: no bound.
  static Result<std::unique_ptr<FiveTupleAcl>> make(std::span<const FiveTupleRule> rules,
                                                    size_t max_bytes);
  FiveTupleAcl(const FiveTupleAcl&) = delete;
  FiveTupleAcl& operator=(const FiveTupleAcl&) = delete;
  ~FiveTupleAcl();

  // Writes the index of the first matching rule, or Forest::kNone.
  // REQUIRES: keys.size() == first.size() <= kBatch.
  void find(std::span<const Key> keys, std::span<uint32_t> first);

  const char* mode() const { return mode_; }
  size_t bytes() const { return bytes_; }  // of heap it holds

 private:
  FiveTupleAcl() = default;
  rte_acl_ctx* context_ = nullptr;
  const char* mode_ = "";
  size_t bytes_ = 0;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_FIVE_TUPLE_ACL_H_
