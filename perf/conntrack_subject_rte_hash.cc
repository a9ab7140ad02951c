// SPDX-License-Identifier: Apache-2.0
// DPDK's rte_hash as it is fastest for one thread: CRC in the processor, no extra flags, a
// quarter more entries than flows (half full or less, as ConnTable's index is), bulk look-ups
// of 64 with data.
#include <bit>
#include <string>

#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include "perf/conntrack_subject.h"
#include "perf/dpdk_heap.h"

namespace sluice::perf {
namespace {

constexpr std::array kWays = {Way::index, Way::entry};

void* as_data(uint32_t id) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): never followed; the table keeps nothing else
  return reinterpret_cast<void*>(uintptr_t{id});
}

uint32_t as_id(const void* data) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data));
}

uint32_t entries(uint32_t flows) {
  return flows + flows / 4;
}

class RteHash : public FlowTable {
 public:
  RteHash(rte_hash* hash, uint64_t bytes, uint32_t flows)
      : hash_(hash), index_bytes_(bytes), records_(flows) {}
  ~RteHash() override { rte_hash_free(hash_); }
  RteHash(const RteHash&) = delete;
  RteHash& operator=(const RteHash&) = delete;

  const char* name() const override { return "rte_hash bulk"; }
  std::span<const Way> ways() const override { return kWays; }

  size_t insert(const Packets& packets, Way way) override {
    size_t done = 0;
    for (const OrderedKey& key : packets.keys) {
      const uint32_t id = records_.take();
      if (way != Way::index) {
        records_.write(id, key);
      }
      done += rte_hash_add_key_data(hash_, &key, as_data(id)) == 0 ? 1 : 0;
    }
    return done;
  }

  void settle(const Packets& packets, Way way) override {
    for (const OrderedKey& key : packets.keys) {
      void* data = nullptr;
      if (way == Way::index && rte_hash_lookup_data(hash_, &key, &data) >= 0) {
        records_.write(as_id(data), key);
      }
    }
  }

  void erase(const Packets& packets) override {
    for (const OrderedKey& key : packets.keys) {
      void* data = nullptr;
      if (rte_hash_lookup_data(hash_, &key, &data) >= 0) {
        records_.give(as_id(data));
        rte_hash_del_key(hash_, &key);
      }
    }
  }

  Found find(const Packets& packets, Way way) override {
    Found found;
    std::array<const void*, kMaxBurst> keys;
    std::array<void*, kMaxBurst> data;
    for (size_t at = 0; at < packets.size(); at += kMaxBurst) {
      const auto burst = packets.burst(at).keys;
      for (size_t i = 0; i < burst.size(); ++i) {
        keys[i] = &burst[i];
      }
      uint64_t hits = 0;
      rte_hash_lookup_bulk_data(hash_, keys.data(), static_cast<uint32_t>(burst.size()), &hits,
                                data.data());
      found.flows += way == Way::index ? static_cast<size_t>(std::popcount(hits))
                                       : good(burst, hits, data);
    }
    return found;
  }

  void collapse() override { collapse_dpdk_heap(); }
  uint64_t index_bytes() const override { return index_bytes_; }
  uint64_t entry_bytes() const override { return Records::bytes_of_one(); }

 private:
  size_t good(std::span<const OrderedKey> burst, uint64_t hits,
              const std::array<void*, kMaxBurst>& data) const {
    for (uint64_t left = hits; left != 0; left &= left - 1) {
      records_.prefetch(as_id(data[static_cast<size_t>(std::countr_zero(left))]));
    }
    size_t count = 0;
    for (uint64_t left = hits; left != 0; left &= left - 1) {
      const auto i = static_cast<size_t>(std::countr_zero(left));
      count += records_.good(as_id(data[i]), burst[i]) ? 1 : 0;
    }
    return count;
  }

  rte_hash* hash_;
  uint64_t index_bytes_;
  Records records_;
};

}  // namespace

uint64_t rte_hash_bytes(uint32_t flows) {
  const uint64_t slots = std::bit_ceil(uint64_t{entries(flows)});
  // Eight to a line; a key with its data is 32 bytes; a ring of the free ones.
  return slots / 8 * 64 + uint64_t{entries(flows)} * 32 + slots * 2 * sizeof(uint32_t);
}

Result<std::unique_ptr<FlowTable>> make_rte_hash(uint32_t flows) {
  static unsigned count = 0;
  const std::string name = "peer" + std::to_string(count++);
  rte_hash_parameters parameters{};
  parameters.name = name.c_str();
  parameters.entries = entries(flows);
  parameters.key_len = sizeof(OrderedKey);
  parameters.hash_func = rte_hash_crc;
  const size_t before = dpdk_heap_bytes();
  rte_hash* hash = rte_hash_create(&parameters);
  if (hash == nullptr) {
    return Error{"rte_hash of " + std::to_string(parameters.entries) +
                 " entries: " + rte_strerror(rte_errno)};
  }
  return {std::make_unique<RteHash>(hash, dpdk_heap_bytes() - before, flows)};
}

}  // namespace sluice::perf
