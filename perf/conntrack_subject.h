// SPDX-License-Identifier: Apache-2.0
// What conntrack_bench measures: tables that find a flow's entry by the 13 bytes of its
// five-tuple, in whichever direction a packet goes.
//
// sluice's ConnTable takes tuples as they stand in packets.  Its peers take keys with the ends
// already in order, made outside of the measured time, since a table of one-way keys would need
// every flow twice.  For the peers a flow has a Record as large as sluice's entry; Way says
// whether a look-up goes there.  All take packets in bursts of 64, as a worker has them; used
// by one thread.
#ifndef SLUICE_PERF_CONNTRACK_SUBJECT_H_
#define SLUICE_PERF_CONNTRACK_SUBJECT_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "classifier/result.h"
#include "fastpath/packet.h"
#include "fastpath/port.h"
#include "perf/huge_pages.h"

namespace sluice::perf {

// Both directions of a flow have the same: the lower (address, port) end comes first.
struct OrderedKey {
  uint32_t low = 0, high = 0;
  uint16_t low_port = 0, high_port = 0;
  uint32_t protocol = 0;

  static OrderedKey of(const Tuple& t);
  friend bool operator==(const OrderedKey&, const OrderedKey&) = default;
};
static_assert(sizeof(OrderedKey) == 16);

// One packet has one of each.
struct Packets {
  std::span<const Tuple> tuples;
  std::span<const OrderedKey> keys;

  size_t size() const { return keys.size(); }
  Packets burst(size_t at) const {
    const size_t n = std::min(size() - at, size_t{kMaxBurst});
    return {tuples.subspan(at, n), keys.subspan(at, n)};
  }
};

enum class Way : uint8_t {
  index,  // the key is compared and leads to the number of a record; no more
  entry,  // the record is fetched, too, and its flow and deadline are compared
  ahead,  // as `entry`, and the table is asked to prefetch for a whole burst first
};

class FlowTable {
 public:
  virtual ~FlowTable() = default;
  virtual const char* name() const = 0;
  // Those that it knows.
  virtual std::span<const Way> ways() const = 0;
  // Puts new flows in and returns how many.  Measured; Way::index leaves the records as they
  // are, which settle() makes up for, unmeasured.
  virtual size_t insert(const Packets& packets, Way way) = 0;
  virtual void settle(const Packets& packets, Way way) = 0;
  virtual void erase(const Packets& packets) = 0;
  struct Found {
    size_t flows = 0;
    size_t replies = 0;  // if it tells directions
  };
  // Measured.
  virtual Found find(const Packets& packets, Way way) = 0;
  virtual bool tells_directions() const { return false; }
  // Huge pages under what it has not put there itself.
  virtual void collapse() {}
  virtual uint64_t index_bytes() const = 0;
  virtual uint64_t entry_bytes() const = 0;  // of one flow
};

// Room for `flows`.
Result<std::unique_ptr<FlowTable>> make_conn_table(uint32_t flows);
Result<std::unique_ptr<FlowTable>> make_rte_hash(uint32_t flows);  // in DPDK's heap
Result<std::unique_ptr<FlowTable>> make_flat_hash_map(uint32_t flows);
// Of DPDK's heap, that make_rte_hash() takes at most.
uint64_t rte_hash_bytes(uint32_t flows);

// The peers' entries, and which of them are free.
class Records {
 public:
  explicit Records(uint32_t flows);
  uint32_t take() {
    const uint32_t id = free_.back();
    free_.pop_back();
    return id;
  }
  void give(uint32_t id) { free_.push_back(id); }
  void write(uint32_t id, const OrderedKey& key);
  // Both lines, to be written to, as ConnTable::find does.  Inlined by force: GCC drops calls
  // of what does nothing but prefetch.
  [[gnu::always_inline]] void prefetch(uint32_t id) const {
    __builtin_prefetch(&records_[id], 1);
    __builtin_prefetch(&records_[id].second_line, 1);
  }
  bool good(uint32_t id, const OrderedKey& key) const {
    return records_[id].key == key && records_[id].deadline > 0;
  }
  static constexpr uint64_t bytes_of_one() { return sizeof(Record); }

 private:
  struct alignas(64) Record {
    OrderedKey key;
    uint64_t deadline = 0;
    alignas(64) std::array<uint64_t, 8> second_line = {};
  };
  static_assert(sizeof(Record) == 128);
  std::vector<Record, HugePages<Record>> records_;
  std::vector<uint32_t> free_;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_CONNTRACK_SUBJECT_H_
