// SPDX-License-Identifier: Apache-2.0
// The lower bound: what a forwarder written with DPDK's own libraries does at least.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lpm.h>
#include <rte_mbuf.h>

#include "fastpath/rewrite.h"
#include "perf/dpdk_heap.h"
#include "perf/huge_pages.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

// As rte_hash sees it: 13 bytes, filled up to 16.
struct Key {
  Be32 src, dst;
  Be16 src_port, dst_port;
  uint32_t protocol = 0;
};
static_assert(sizeof(Key) == 16);

struct alignas(64) Entry {
  MacAddress mac;
  uint64_t packets = 0;
  uint64_t bytes = 0;
};

struct Ports {
  Be16 src, dst;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "peer: %s\n", what);
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

class PlainDpdk : public Subject {
 public:
  PlainDpdk(const Scene& scene, const Node& node) : entries_(scene.flows) {
    static int count = 0;
    char name[32];
    std::snprintf(name, sizeof(name), "peer%d", count++);
    rte_hash_parameters h{};
    h.name = name;
    h.entries = std::max(1024u, scene.flows + scene.flows / 4);
    h.key_len = sizeof(Key);
    h.hash_func = rte_hash_crc;
    hash_ = rte_hash_create(&h);
    rte_lpm_config l{};
    l.max_rules = 1024;
    l.number_tbl8s = 256;
    lpm_ = rte_lpm_create(name, SOCKET_ID_ANY, &l);
    if (hash_ == nullptr || lpm_ == nullptr) {
      fail("rte_hash or rte_lpm: out of memory");
    }
    for (unsigned pod = 0; pod < node.pods.size(); ++pod) {
      rte_lpm_add(lpm_, node.pods[pod].address.value, 32, pod);
      macs_[pod] = pod_mac(pod);
    }
    for (const Prefix& remote : node.remotes) {
      rte_lpm_add(lpm_, remote.base.v4().value, static_cast<uint8_t>(remote.written_length()),
                  kPods);
    }
    macs_[kPods] = kPeerMac;
    for (uint32_t n = 0; n < scene.flows; ++n) {
      const Tuple t = scene.tuple(n);
      const Key key{Be32::of(t.src.value), Be32::of(t.dst.value), Be16::of(t.src_port),
                    Be16::of(t.dst_port), t.protocol};
      if (rte_hash_add_key_data(hash_, &key, &entries_[n]) != 0) {
        fail("rte_hash is full");
      }
    }
    collapse(entries_.data(), entries_.size() * sizeof(Entry));
    collapse_dpdk_heap();
    outer_.version_ihl = 0x45;
    outer_.fragment = Be16::of(Ip4Header::kDf);
    outer_.ttl = 64;
    outer_.protocol = proto::kIpip;
    outer_.src = Be32::of(kNode.value);
    outer_.dst = Be32::of(kPeerNode.value);
  }
  ~PlainDpdk() override {
    rte_hash_free(hash_);
    rte_lpm_free(lpm_);
  }
  PlainDpdk(const PlainDpdk&) = delete;
  PlainDpdk& operator=(const PlainDpdk&) = delete;

  void burst(PortId port) override {
    std::array<rte_mbuf*, kMaxBurst> frames;
    Port& from = in_;
    const unsigned n = from.receive(frames);
    for (unsigned i = 0; i < n; ++i) {
      __builtin_prefetch(rte_pktmbuf_mtod(frames[i], void*));
    }
    for (unsigned i = 0; i < n; ++i) {
      if (port == kUplinkPort) {
        rte_pktmbuf_adj(frames[i], kIp4Bytes);
      }
      const auto* ip = rte_pktmbuf_mtod_offset(frames[i], const Ip4Header*, kEtherBytes);
      const auto* l4 =
          rte_pktmbuf_mtod_offset(frames[i], const Ports*, kEtherBytes + kIp4Bytes);
      keys_[i] = {ip->src, ip->dst, l4->src, l4->dst, ip->protocol};
      key_pointers_[i] = &keys_[i];
      destinations_[i] = ip->dst.host();
    }
    uint64_t hits = 0;
    rte_hash_lookup_bulk_data(hash_, key_pointers_.data(), n, &hits, data_.data());
    rte_lpm_lookup_bulk(lpm_, destinations_.data(), hops_.data(), n);
    for (unsigned i = 0; i < n; ++i) {
      if ((hits >> i & 1) != 0) {
        __builtin_prefetch(data_[i], 1);
      }
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < n; ++i) {
      if ((hits >> i & 1) != 0 && (hops_[i] & RTE_LPM_LOOKUP_SUCCESS) != 0) {
        forward(frames[i], *static_cast<Entry*>(data_[i]), hops_[i] & 0xffffff);
        frames[kept++] = frames[i];
      }
    }
    from.transmit({frames.data(), kept});
  }
  MemoryPort& port(PortId) override { return in_; }
  uint64_t sent() const override { return in_.sent(); }

 private:
  void forward(rte_mbuf* frame, Entry& entry, uint32_t hop) {
    auto* ip = rte_pktmbuf_mtod_offset(frame, Ip4Header*, kEtherBytes);
    entry.packets += 1;
    entry.bytes += ip->total_length.host();
    --ip->ttl;
    const uint32_t sum = uint32_t{ip->checksum.wire} + 1;  // RFC 1624, for a TTL less by one
    ip->checksum.wire = static_cast<uint16_t>(sum + (sum >= 0xffff ? 1 : 0));
    if (hop == kPods) {
      const uint16_t inner = ip->total_length.host();
      rte_pktmbuf_prepend(frame, kIp4Bytes);
      outer_.total_length = Be16::of(static_cast<uint16_t>(inner + kIp4Bytes));
      outer_.id = Be16::of(id_++);
      outer_.checksum = {};
      uint8_t raw[kIp4Bytes];
      std::memcpy(raw, &outer_, sizeof(raw));
      outer_.checksum = checksum_fold(checksum_add({raw, sizeof(raw)}, 0));
      std::memcpy(rte_pktmbuf_mtod_offset(frame, void*, kEtherBytes), &outer_, sizeof(outer_));
    }
    const EtherHeader ether{macs_[hop], kOurMac, Be16::of(kTypeIp4)};
    std::memcpy(rte_pktmbuf_mtod(frame, void*), &ether, sizeof(ether));
  }

  std::vector<Entry> entries_;
  rte_hash* hash_ = nullptr;
  rte_lpm* lpm_ = nullptr;
  std::array<MacAddress, kPods + 1> macs_;
  Ip4Header outer_{};
  uint16_t id_ = 1;
  MemoryPort in_{{}};
  std::array<Key, kMaxBurst> keys_;
  std::array<const void*, kMaxBurst> key_pointers_;
  std::array<uint32_t, kMaxBurst> destinations_;
  std::array<uint32_t, kMaxBurst> hops_;
  std::array<void*, kMaxBurst> data_;
};

}  // namespace

std::unique_ptr<Subject> make_plain_dpdk(const Scene& scene, const Node& node) {
  return std::make_unique<PlainDpdk>(scene, node);
}

}  // namespace sluice::perf
