// SPDX-License-Identifier: Apache-2.0
// absl::flat_hash_map with its default hash.  It knows no bursts: keys are looked up one after
// the other, or, Way::ahead, after its prefetch() for the whole burst, which hashes twice.
#include <absl/container/flat_hash_map.h>

#include "perf/conntrack_subject.h"

namespace sluice::perf {
namespace {

constexpr std::array kWays = {Way::index, Way::entry, Way::ahead};

// So that the hash takes all 16 bytes at once.
struct HashedKey : OrderedKey {
  template <typename H>
  // NOLINTNEXTLINE(readability-identifier-naming): absl's name for it
  friend H AbslHashValue(H state, const HashedKey& key) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&key);
    return H::combine_contiguous(std::move(state), bytes, sizeof(key));
  }
};
static_assert(std::has_unique_object_representations_v<HashedKey>);

using Map =
    absl::flat_hash_map<HashedKey, uint32_t, absl::flat_hash_map<HashedKey, uint32_t>::hasher,
                        std::equal_to<>, HugePages<std::pair<const HashedKey, uint32_t>>>;

class FlatHashMap : public FlowTable {
 public:
  explicit FlatHashMap(uint32_t flows) : records_(flows) { map_.reserve(flows); }

  const char* name() const override { return "absl::flat_hash_map"; }
  std::span<const Way> ways() const override { return kWays; }

  size_t insert(const Packets& packets, Way way) override {
    size_t done = 0;
    for (size_t at = 0; at < packets.size(); at += kMaxBurst) {
      const auto burst = packets.burst(at).keys;
      ahead(burst, way);
      for (const OrderedKey& key : burst) {
        const uint32_t id = records_.take();
        if (way != Way::index) {
          records_.write(id, key);
        }
        done += map_.try_emplace(HashedKey{key}, id).second ? 1 : 0;
      }
    }
    return done;
  }

  void settle(const Packets& packets, Way way) override {
    for (const OrderedKey& key : packets.keys) {
      const auto at = map_.find(HashedKey{key});
      if (way == Way::index && at != map_.end()) {
        records_.write(at->second, key);
      }
    }
  }

  void erase(const Packets& packets) override {
    for (const OrderedKey& key : packets.keys) {
      const auto at = map_.find(HashedKey{key});
      if (at != map_.end()) {
        records_.give(at->second);
        map_.erase(at);
      }
    }
  }

  Found find(const Packets& packets, Way way) override {
    Found found;
    for (size_t at = 0; at < packets.size(); at += kMaxBurst) {
      const auto burst = packets.burst(at).keys;
      ahead(burst, way);
      found.flows += way == Way::index ? known(burst) : good(burst);
    }
    return found;
  }

  uint64_t index_bytes() const override {
    return uint64_t{map_.capacity()} * (sizeof(Map::value_type) + 1);
  }
  uint64_t entry_bytes() const override { return Records::bytes_of_one(); }

 private:
  [[gnu::always_inline]] void ahead(std::span<const OrderedKey> burst, Way way) const {
    if (way == Way::ahead) {
      for (const OrderedKey& key : burst) {
        map_.prefetch(HashedKey{key});
      }
    }
  }

  size_t known(std::span<const OrderedKey> burst) const {
    size_t count = 0;
    for (const OrderedKey& key : burst) {
      const auto at = map_.find(HashedKey{key});
      if (at != map_.end()) {
        asm volatile("" : : "r"(at->second));  // it is read, as the other tables' data are
        ++count;
      }
    }
    return count;
  }

  size_t good(std::span<const OrderedKey> burst) const {
    std::array<uint32_t, kMaxBurst> ids;
    std::array<uint32_t, kMaxBurst> places;
    size_t found = 0;
    for (size_t i = 0; i < burst.size(); ++i) {
      const auto at = map_.find(HashedKey{burst[i]});
      if (at != map_.end()) {
        records_.prefetch(at->second);
        ids[found] = at->second;
        places[found] = static_cast<uint32_t>(i);
        ++found;
      }
    }
    size_t count = 0;
    for (size_t i = 0; i < found; ++i) {
      count += records_.good(ids[i], burst[places[i]]) ? 1 : 0;
    }
    return count;
  }

  Map map_;
  Records records_;
};

}  // namespace

Result<std::unique_ptr<FlowTable>> make_flat_hash_map(uint32_t flows) {
  return {std::make_unique<FlatHashMap>(flows)};
}

}  // namespace sluice::perf
