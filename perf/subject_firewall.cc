// SPDX-License-Identifier: Apache-2.0
// The peer that does the same work: a firewall as one writes it with DPDK's own libraries.
//
// Established packets: headers validated with their checksums, tunnel peer and source checked,
// one rte_hash entry for both directions (bulk look-up), packet and byte counts, last-seen
// time, the TCP flags' state, rte_lpm (bulk), TTL, MACs, IPIP on or off, a batch for each port.
// First packets: rte_acl in bulk, each direction's policy in a context of its own.
// Written plainly: trusted frames of the benchmark, no fragments, no IPv6, no ICMP.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_lpm.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "perf/dpdk_heap.h"
#include "perf/five_tuple_acl.h"
#include "perf/five_tuple_policy.h"
#include "perf/subject.h"

namespace sluice::perf {
namespace {

constexpr Nanos kTurn = 10'000;  // of the clock, from burst to burst

// The ends in order, so that both directions have one entry.
struct Key {
  uint32_t low, high;
  uint16_t low_port, high_port;
  uint32_t protocol;
};
static_assert(sizeof(Key) == 16);

enum class State : uint8_t { none, syn_sent, syn_received, established, closing, closed };

struct alignas(64) Entry {
  std::array<uint64_t, 2> packets;  // by side: the initiator's, the responder's
  std::array<uint64_t, 2> bytes;
  Nanos seen;
  uint32_t rule;
  Ip4 outer_source;
  std::array<PortId, 2> port;  // by side: where it comes from; kNoPort until it does
  State state;
  bool from_high;  // the initiator is the key's higher end
};
static_assert(sizeof(Entry) == 64);

struct TcpHeader {
  Be16 src, dst;
  Be32 seq, ack;
  uint8_t offset;
  uint8_t flags;
  Be16 window, checksum, urgent;
};
static_assert(sizeof(TcpHeader) == 20);

// One packet of the burst under way.
struct Packet {
  rte_mbuf* frame;
  Ip4 src, dst;
  uint16_t src_port, dst_port;
  uint16_t bytes;
  uint8_t flags;
  bool from_high;
  Ip4 outer_source;
};

struct Policy {
  std::unique_ptr<FiveTupleAcl> acl;
  std::vector<bool> allows;
  std::vector<uint64_t> judged;  // by rule
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "DPDK firewall: %s\n", what);
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

template <typename T>
T* header_at(rte_mbuf* frame, unsigned offset) {
  return rte_pktmbuf_mtod_offset(frame, T*, offset);
}

// The state after a packet with these flags; none: it is refused.
State next_state(State state, uint8_t flags, bool initiator) {
  if ((flags & tcp::kRst) != 0) {
    return State::closed;
  }
  const bool syn = (flags & tcp::kSyn) != 0, ack = (flags & tcp::kAck) != 0;
  switch (state) {
    case State::none:
      return syn && !ack ? State::syn_sent : State::none;
    case State::syn_sent:
      return syn && ack && !initiator   ? State::syn_received
             : syn && initiator && !ack ? State::syn_sent
                                        : State::none;
    case State::syn_received:
      return syn ? state : ack ? State::established : State::none;
    case State::established:
    case State::closing:
      return syn ? State::none : (flags & tcp::kFin) != 0 ? State::closing : state;
    case State::closed:
      break;
  }
  return State::none;
}

class DpdkFirewall : public Subject {
 public:
  DpdkFirewall(const Scene& scene, const Node& node, std::span<rte_mbuf*> frames,
               uint32_t table_size)
      : node_(node), ports_(make_ports()) {
    make_tables(std::max(table_size, scene.flows));
    make_policies();
    collapse_dpdk_heap();
    outer_.version_ihl = 0x45;
    outer_.fragment = Be16::of(Ip4Header::kDf);
    outer_.ttl = 64;
    outer_.protocol = proto::kIpip;
    outer_.src = Be32::of(kNode.value);
    outer_.dst = Be32::of(kPeerNode.value);
    open_flows(*this, scene, frames);
  }
  ~DpdkFirewall() override {
    rte_hash_free(hash_);
    rte_lpm_free(lpm_);
    rte_free(entries_);
  }
  DpdkFirewall(const DpdkFirewall&) = delete;
  DpdkFirewall& operator=(const DpdkFirewall&) = delete;

  void burst(PortId port) override {
    std::array<rte_mbuf*, kMaxBurst> frames;
    Port& from = *ports_[port];
    const unsigned received = from.receive(frames);
    now_ += kTurn;
    for (unsigned i = 0; i < received; ++i) {
      __builtin_prefetch(rte_pktmbuf_mtod(frames[i], void*));
    }
    count_ = 0;
    for (unsigned i = 0; i < received; ++i) {
      if (!read(frames[i], port)) {
        rte_pktmbuf_free(frames[i]);
      }
    }
    if (count_ == 0) {
      return;
    }
    rte_hash_lookup_bulk(hash_, key_pointers_.data(), count_, positions_.data());
    rte_lpm_lookup_bulk(lpm_, destinations_.data(), hops_.data(), count_);
    unsigned missing = 0;
    for (unsigned i = 0; i < count_; ++i) {
      if (positions_[i] >= 0) {
        __builtin_prefetch(&entries_[positions_[i]], 1);
      } else {
        missing_[missing++] = static_cast<uint8_t>(i);
      }
    }
    if (missing > 0) {
      open({missing_.data(), missing}, port);
    }
    for (unsigned i = 0; i < count_; ++i) {
      if (follow(i, port)) {
        forward(packets_[i], hops_[i] & 0xffffff);
      } else {
        rte_pktmbuf_free(packets_[i].frame);
      }
    }
    flush();
  }
  void forget(std::span<const Tuple> flows) override {
    for (const Tuple& t : flows) {
      bool from_high = false;
      const Key key = key_of(t.src, t.dst, t.src_port, t.dst_port, from_high);
      const int32_t position = rte_hash_del_key(hash_, &key);
      if (position >= 0) {
        entries_[position] = {};
      }
    }
  }
  MemoryPort& port(PortId id) override { return *ports_[id]; }
  uint64_t sent() const override { return perf::sent(ports_); }

 private:
  void make_tables(uint32_t flows) {
    static int count = 0;
    char name[32];
    std::snprintf(name, sizeof(name), "firewall%d", count++);
    rte_hash_parameters h{};
    h.name = name;
    h.entries = std::max(1024u, flows + flows / 4);
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
    const auto slots = static_cast<size_t>(rte_hash_max_key_id(hash_)) + 1;
    entries_ = static_cast<Entry*>(rte_zmalloc(name, slots * sizeof(Entry), alignof(Entry)));
    if (entries_ == nullptr) {
      fail("no memory for its entries");
    }
    for (unsigned pod = 0; pod < node_.pods.size(); ++pod) {
      rte_lpm_add(lpm_, node_.pods[pod].address.value, 32, pod);
      macs_[pod] = pod_mac(pod);
    }
    for (const Prefix& remote : node_.remotes) {
      rte_lpm_add(lpm_, remote.base.v4().value, static_cast<uint8_t>(remote.written_length()),
                  kPods);
    }
    macs_[kPods] = kPeerMac;
  }
  void make_policies() {
    for (const Node::Pod& pod : node_.pods) {
      for (const ProgramId program : {pod.egress, pod.ingress}) {
        if (policies_.contains(program)) {
          continue;
        }
        auto rules = five_tuple_policy(*node_.rules, node_.rules->programs[program]);
        if (!rules) {
          fail("a policy has no form as five-tuples");
        }
        auto acl = FiveTupleAcl::make(rules->rules, 0);
        if (!acl) {
          fail(acl.error().what.c_str());
        }
        policies_[program] = {std::move(*acl), rules->allows,
                              std::vector<uint64_t>(rules->rules.size())};
      }
    }
  }

  static Key key_of(Ip4 src, Ip4 dst, uint16_t src_port, uint16_t dst_port, bool& from_high) {
    from_high = src > dst || (src == dst && src_port > dst_port);
    return from_high ? Key{dst.value, src.value, dst_port, src_port, proto::kTcp}
                     : Key{src.value, dst.value, src_port, dst_port, proto::kTcp};
  }

  // A right IPv4 header without options at `offset`, in the bytes of the frame?
  static const Ip4Header* ip_at(rte_mbuf* frame, unsigned offset) {
    const auto* ip = header_at<const Ip4Header>(frame, offset);
    const bool right = frame->data_len >= offset + kIp4Bytes && ip->version_ihl == 0x45 &&
                       ip->total_length.host() >= kIp4Bytes &&
                       ip->total_length.host() <= frame->data_len - offset &&
                       (ip->fragment.host() & (Ip4Header::kMf | Ip4Header::kOffset)) == 0 &&
                       rte_raw_cksum(ip, kIp4Bytes) == 0xffff;
    return right ? ip : nullptr;
  }
  // Validates the frame and adds it to the burst; false: drop it.
  bool read(rte_mbuf* frame, PortId port) {
    const auto* ether = header_at<const EtherHeader>(frame, 0);
    if (ether->type != Be16::of(kTypeIp4) ||
        std::memcmp(&ether->dst, &kOurMac, sizeof(kOurMac)) != 0) {
      return false;
    }
    const Ip4Header* ip = ip_at(frame, kEtherBytes);
    Packet& p = packets_[count_];
    p.outer_source = {};
    if (ip != nullptr && port == kUplinkPort && ip->protocol == proto::kIpip) {
      if (ip->dst.host() != kNode.value || ip->src.host() != peer_.value) {
        return false;
      }
      p.outer_source = peer_;
      rte_pktmbuf_adj(frame, kIp4Bytes);
      ip = ip_at(frame, kEtherBytes);
    }
    if (ip == nullptr || ip->ttl <= 1 || ip->protocol != proto::kTcp ||
        ip->total_length.host() < kIp4Bytes + sizeof(TcpHeader)) {
      return false;
    }
    const auto* tcp = header_at<const TcpHeader>(frame, kEtherBytes + kIp4Bytes);
    p.frame = frame;
    p.src = {ip->src.host()};
    p.dst = {ip->dst.host()};
    p.src_port = tcp->src.host();
    p.dst_port = tcp->dst.host();
    p.bytes = ip->total_length.host();
    p.flags = tcp->flags;
    const bool own_source =
        port == kUplinkPort || node_.pods[port - kFirstPodPort].address == p.src;
    if (tcp->offset < 0x50 || p.src_port == 0 || p.dst_port == 0 || !own_source) {
      return false;
    }
    keys_[count_] = key_of(p.src, p.dst, p.src_port, p.dst_port, p.from_high);
    key_pointers_[count_] = &keys_[count_];
    destinations_[count_] = p.dst.value;
    ++count_;
    return true;
  }

  // Judges `which`, packets of unknown flows, at one end, and leaves those it allows.
  // `at`: the pod of each, by its place in the burst.
  unsigned judge(std::span<uint8_t> which, std::span<const uint32_t> at, bool egress) {
    std::array<uint8_t, kMaxBurst> asked;
    unsigned left = static_cast<unsigned>(which.size());
    unsigned kept = 0;
    std::array<uint8_t, kMaxBurst> open;
    std::copy(which.begin(), which.end(), open.begin());
    while (left > 0) {
      // All that the first one's program judges, in one go.
      const auto program_of = [&](uint8_t i) {
        const Node::Pod& pod = node_.pods[at[i]];
        return egress ? pod.egress : pod.ingress;
      };
      const ProgramId program = program_of(open[0]);
      unsigned n = 0, others = 0;
      for (unsigned k = 0; k < left; ++k) {
        if (program_of(open[k]) == program) {
          asked[n++] = open[k];
        } else {
          open[others++] = open[k];
        }
      }
      left = others;
      kept += ask(policies_[program], {asked.data(), n}, which.subspan(kept));
    }
    return kept;
  }
  // Writes those of `asked` that the policy allows to `allowed`; returns how many.
  unsigned ask(Policy& policy, std::span<const uint8_t> asked, std::span<uint8_t> allowed) {
    std::array<FiveTupleAcl::Key, kMaxBurst> keys;
    std::array<uint32_t, kMaxBurst> rules;
    for (size_t k = 0; k < asked.size(); ++k) {
      const Packet& p = packets_[asked[k]];
      keys[k] = {proto::kTcp,           {},
                 Be32::of(p.src.value), Be32::of(p.dst.value),
                 Be16::of(p.src_port),  Be16::of(p.dst_port)};
    }
    policy.acl->find({keys.data(), asked.size()}, {rules.data(), asked.size()});
    unsigned kept = 0;
    for (size_t k = 0; k < asked.size(); ++k) {
      ++policy.judged[rules[k]];
      if (policy.allows[rules[k]]) {
        rule_[asked[k]] = rules[k];
        allowed[kept++] = asked[k];
      }
    }
    return kept;
  }

  // Makes entries for the packets of unknown flows that may have one.
  void open(std::span<uint8_t> missing, PortId port) {
    std::array<uint32_t, kMaxBurst> pods{};
    unsigned n = 0;
    for (const uint8_t i : missing) {
      uint32_t back = kPods;
      const bool way =
          (hops_[i] & RTE_LPM_LOOKUP_SUCCESS) != 0 &&
          (port != kUplinkPort || (rte_lpm_lookup(lpm_, packets_[i].src.value, &back) == 0 &&
                                   back == kPods && packets_[i].outer_source == peer_));
      if (way && next_state(State::none, packets_[i].flags, true) == State::syn_sent) {
        missing[n++] = i;
      }
    }
    if (port != kUplinkPort) {
      pods.fill(port - kFirstPodPort);
      n = judge(missing.first(n), pods, true);
    }
    // Of those the ones that end at a pod of ours, behind those that do not.
    unsigned out = 0;
    std::array<uint8_t, kMaxBurst> here;
    unsigned ending = 0;
    for (const uint8_t i : missing.first(n)) {
      pods[i] = hops_[i] & 0xffffff;
      if (pods[i] < kPods) {
        here[ending++] = i;
      } else {
        missing[out++] = i;
      }
    }
    ending = judge({here.data(), ending}, pods, false);
    std::copy_n(here.begin(), ending, missing.begin() + out);
    for (const uint8_t i : missing.first(out + ending)) {
      positions_[i] = rte_hash_add_key(hash_, &keys_[i]);
      // The same key twice in a burst: the first has made the entry.
      if (positions_[i] >= 0 && entries_[positions_[i]].state == State::none) {
        const Packet& p = packets_[i];
        Entry& e = entries_[positions_[i]];
        e = {};
        e.rule = rule_[i];
        e.outer_source = p.outer_source;
        e.port = {port, kNoPort};
        e.from_high = p.from_high;
      }
    }
  }

  // What the packet's entry says of it, and what it says to the entry.
  bool follow(unsigned i, PortId port) {
    if (positions_[i] < 0 || (hops_[i] & RTE_LPM_LOOKUP_SUCCESS) == 0) {
      return false;
    }
    Entry& e = entries_[positions_[i]];
    const Packet& p = packets_[i];
    const unsigned side = p.from_high == e.from_high ? 0 : 1;
    if (e.port[side] != port) {
      if (e.port[side] != kNoPort) {
        return false;
      }
      e.port[side] = port;
      e.outer_source = port == kUplinkPort ? p.outer_source : e.outer_source;
    }
    if (port == kUplinkPort && e.outer_source != p.outer_source) {
      return false;
    }
    const State state = next_state(e.state, p.flags, side == 0);
    if (state == State::none) {
      return false;
    }
    e.state = state;
    e.seen = now_;
    e.packets[side] += 1;
    e.bytes[side] += p.bytes;
    return true;
  }

  void forward(const Packet& p, uint32_t hop) {
    auto* ip = header_at<Ip4Header>(p.frame, kEtherBytes);
    --ip->ttl;
    const uint32_t sum = uint32_t{ip->checksum.wire} + 1;  // RFC 1624, for a TTL less by one
    ip->checksum.wire = static_cast<uint16_t>(sum + (sum >= 0xffff ? 1 : 0));
    if (hop == kPods) {
      rte_pktmbuf_prepend(p.frame, kIp4Bytes);
      outer_.total_length = Be16::of(static_cast<uint16_t>(p.bytes + kIp4Bytes));
      outer_.id = Be16::of(id_++);
      auto* outer = header_at<Ip4Header>(p.frame, kEtherBytes);
      std::memcpy(outer, &outer_, sizeof(outer_));
      outer->checksum = {static_cast<uint16_t>(~rte_raw_cksum(&outer_, sizeof(outer_)))};
    }
    const EtherHeader ether{macs_[hop], kOurMac, Be16::of(kTypeIp4)};
    std::memcpy(header_at<EtherHeader>(p.frame, 0), &ether, sizeof(ether));
    const unsigned port = hop == kPods ? unsigned{kUplinkPort} : kFirstPodPort + hop;
    Batch& batch = batches_[port];
    if (batch.count == 0) {
      dirty_[dirty_count_++] = port;
    }
    batch.frames[batch.count++] = p.frame;
  }
  void flush() {
    for (unsigned i = 0; i < dirty_count_; ++i) {
      Batch& batch = batches_[dirty_[i]];
      Port& port = *ports_[dirty_[i]];
      port.transmit({batch.frames.data(), batch.count});
      batch.count = 0;
    }
    dirty_count_ = 0;
  }

  struct Batch {
    unsigned count = 0;
    std::array<rte_mbuf*, kMaxBurst> frames;
  };
  Node node_;
  MemoryPorts ports_;
  rte_hash* hash_ = nullptr;
  rte_lpm* lpm_ = nullptr;
  Entry* entries_ = nullptr;  // by the position of its key
  std::map<ProgramId, Policy> policies_;
  std::array<MacAddress, kPods + 1> macs_;
  Ip4 peer_ = kPeerNode;
  Ip4Header outer_{};
  uint16_t id_ = 1;
  Nanos now_ = 1'000'000'000;
  std::array<Batch, kFirstPodPort + kPods> batches_;
  std::array<unsigned, kFirstPodPort + kPods> dirty_;
  unsigned dirty_count_ = 0;
  // The burst under way.
  unsigned count_ = 0;
  std::array<Packet, kMaxBurst> packets_;
  std::array<Key, kMaxBurst> keys_;
  std::array<const void*, kMaxBurst> key_pointers_;
  std::array<int32_t, kMaxBurst> positions_;
  std::array<uint32_t, kMaxBurst> destinations_;
  std::array<uint32_t, kMaxBurst> hops_;
  std::array<uint32_t, kMaxBurst> rule_;
  std::array<uint8_t, kMaxBurst> missing_;
};

}  // namespace

std::unique_ptr<Subject> make_dpdk_firewall(const Scene& scene, const Node& node,
                                            std::span<rte_mbuf*> frames, uint32_t table_size) {
  return std::make_unique<DpdkFirewall>(scene, node, frames, table_size);
}

}  // namespace sluice::perf
