// SPDX-License-Identifier: Apache-2.0
// The one pool of packet buffers: a DPDK mbuf pool laid out in one contiguous region that is at
// the same time the UMEM of every AF_XDP socket, so that a frame crosses from any port to any
// other without a copy of ours.
//
// Made once at start by control; huge pages when the machine has them free, plain memory
// otherwise.  Buffers are taken and given back by any worker (mempool cache per lcore).
//
// Layout of one element (unaligned UMEM chunk):
//   | mempool header 64 | rte_mbuf 128 | private 64 | headroom 128 | data 2048 |
#ifndef SLUICE_FASTPATH_BUFFERS_H_
#define SLUICE_FASTPATH_BUFFERS_H_

#include <cstdint>
#include <memory>

#include "classifier/result.h"

struct rte_mempool;
struct rte_mbuf;

namespace sluice {

inline constexpr uint16_t kFrameRoom = 2048;   // bytes of frame after the headroom
inline constexpr uint16_t kPrivateBytes = 64;  // AF_XDP has a frame begin so far in
inline constexpr uint16_t kMaxMtu = kFrameRoom - 14;

class Buffers {
 public:
  // `count` buffers.  Fails with the size needed when memory is short.  REQUIRES: EAL is up.
  static Result<std::unique_ptr<Buffers>> create(uint32_t count);
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  rte_mempool* pool() const { return pool_; }
  void* region() const { return region_; }  // the UMEM
  uint64_t region_bytes() const { return bytes_; }
  uint32_t element_bytes() const;  // the UMEM chunk size
  bool huge_pages() const { return huge_; }
  uint32_t count() const { return count_; }

 private:
  Buffers() = default;
  rte_mempool* pool_ = nullptr;
  void* region_ = nullptr;
  uint64_t bytes_ = 0;
  uint32_t count_ = 0;
  bool huge_ = false;
};

}  // namespace sluice

#endif  // SLUICE_FASTPATH_BUFFERS_H_
