// SPDX-License-Identifier: Apache-2.0
#include "fastpath/buffers.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <system_error>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <sys/mman.h>

#include "classifier/region.h"

namespace sluice {
namespace {

constexpr uint32_t kHeaderBytes = 64;  // rte_mempool_objhdr, a cache line
constexpr uint32_t kObjectBytes =
    sizeof(rte_mbuf) + kPrivateBytes + RTE_PKTMBUF_HEADROOM + kFrameRoom;
constexpr uint32_t kElementBytes = kHeaderBytes + kObjectBytes;
static_assert(sizeof(rte_mbuf) == 128 && RTE_PKTMBUF_HEADROOM == 128);
// An AF_XDP frame starts XDP_PACKET_HEADROOM (256) into its chunk, plus the UMEM's own
// headroom.
static_assert(kHeaderBytes + sizeof(rte_mbuf) + kPrivateBytes == 256);
// Mempool rounds objects up to cache lines: ours need no rounding.  UMEM chunks fit a page.
static_assert(kObjectBytes % RTE_CACHE_LINE_SIZE == 0 && kElementBytes <= 4096);
constexpr unsigned kCache = 256;  // buffers per lcore

Error short_of_memory(uint32_t count, uint64_t bytes, const std::string& why) {
  const std::string mib = std::to_string((bytes + (1u << 20) - 1) >> 20);
  return Error{
      "packet memory: " + std::to_string(count) + " buffers need " + mib + " MiB: " + why,
      "free memory, set fewer ports, or reserve huge pages: sysctl vm.nr_hugepages=" +
          std::to_string((bytes + kHugePage - 1) / kHugePage)};
}

}  // namespace

Result<std::unique_ptr<Buffers>> Buffers::create(uint32_t count) {
  std::unique_ptr<Buffers> self(new Buffers());
  self->count_ = count;
  const uint64_t needed = uint64_t{count} * kElementBytes;
  self->bytes_ = (needed + kHugePage - 1) / kHugePage * kHugePage;
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  void* region = mmap(nullptr, self->bytes_, kProtection, kFlags | MAP_HUGETLB, -1, 0);
  self->huge_ = region != MAP_FAILED;
  if (!self->huge_) {
    const std::optional<uint64_t> available = available_memory();
    if (available && *available < self->bytes_) {
      return short_of_memory(count, self->bytes_, "more than is available");
    }
    region = mmap(nullptr, self->bytes_, kProtection, kFlags, -1, 0);
    if (region == MAP_FAILED) {
      return short_of_memory(count, self->bytes_, std::generic_category().message(errno));
    }
    madvise(region, self->bytes_, MADV_HUGEPAGE);
  }
  self->region_ = region;

  static unsigned serial = 0;  // pool names are unique in a process; control thread only
  char name[RTE_MEMPOOL_NAMESIZE];
  std::snprintf(name, sizeof(name), "sluice_%u", serial++);
  // NO_IOVA_CONTIG: elements may cross pages, so they stand without holes; NO_SPREAD: no
  // padding for memory channels.  Both keep element n at region + n * kElementBytes.
  self->pool_ = rte_mempool_create_empty(
      name, count, kObjectBytes, std::min(kCache, count / 8), sizeof(rte_pktmbuf_pool_private),
      SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NO_SPREAD);
  if (self->pool_ == nullptr) {
    return short_of_memory(count, self->bytes_, rte_strerror(rte_errno));
  }
  rte_mempool_set_ops_byname(self->pool_, rte_mbuf_best_mempool_ops(), nullptr);
  rte_pktmbuf_pool_private room{};
  room.mbuf_data_room_size = RTE_PKTMBUF_HEADROOM + kFrameRoom;
  room.mbuf_priv_size = kPrivateBytes;
  rte_pktmbuf_pool_init(self->pool_, &room);
  const int populated =
      rte_mempool_populate_iova(self->pool_, static_cast<char*>(region),
                                reinterpret_cast<uintptr_t>(region), needed, nullptr, nullptr);
  if (populated < 0 || static_cast<uint32_t>(populated) != count) {
    return short_of_memory(count, self->bytes_,
                           populated < 0 ? rte_strerror(-populated) : "the pool took fewer");
  }
  rte_mempool_obj_iter(self->pool_, rte_pktmbuf_init, nullptr);
  return self;
}

Buffers::~Buffers() {
  rte_mempool_free(pool_);
  if (region_ != nullptr) {
    munmap(region_, bytes_);
  }
}

uint32_t Buffers::element_bytes() const {
  return kElementBytes;
}

}  // namespace sluice
