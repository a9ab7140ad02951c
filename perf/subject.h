// SPDX-License-Identifier: Apache-2.0
// What is measured: something that takes bursts of frames and forwards them to memory ports.
//
// All subjects of one process belong to its one thread.  Frames stay the benchmark's: a subject
// that drops one frees it, and the run fails.
#ifndef SLUICE_PERF_SUBJECT_H_
#define SLUICE_PERF_SUBJECT_H_

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "fastpath/conntrack.h"
#include "fastpath/port.h"
#include "perf/node.h"
#include "perf/scene.h"

struct rte_mempool;

namespace sluice::perf {

// A port without a device: frames are handed over by the benchmark, and what is sent is counted
// and stays the benchmark's.
class MemoryPort : public Port {
 public:
  explicit MemoryPort(Info info) : Port(std::move(info)) {}
  void offer(std::span<rte_mbuf*> frames) { waiting_ = frames; }
  unsigned receive(std::span<rte_mbuf*> out) noexcept override {
    const auto n = static_cast<unsigned>(std::min(out.size(), waiting_.size()));
    std::copy_n(waiting_.begin(), n, out.begin());
    waiting_ = waiting_.subspan(n);
    return n;
  }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    sent_ += frames.size();
    return static_cast<unsigned>(frames.size());
  }
  uint64_t sent() const { return sent_; }

 private:
  std::span<rte_mbuf*> waiting_;
  uint64_t sent_ = 0;
};

// The uplink's and every pod's.
using MemoryPorts = std::vector<std::unique_ptr<MemoryPort>>;
MemoryPorts make_ports();
uint64_t sent(const MemoryPorts& ports);

// How far packets go: all the way, or only so far, and then out as they are.
enum class Stage : uint8_t {
  read,  // headers, and out of the tunnel
  find,  // and their connections are looked up
  all,
};

class Subject {
 public:
  virtual ~Subject() = default;
  // Takes a burst off `port`'s memory port and forwards it.  The measured time is in here.
  virtual void burst(PortId port) = 0;
  // The memory port by that name.
  virtual MemoryPort& port(PortId id) = 0;
  virtual uint64_t sent() const = 0;  // by all ports
  // Knows nothing of these flows' connections from now on.
  virtual void forget(std::span<const Tuple>) {}
  // Bursts from now on end there.  REQUIRES: has_stages(), or `stage` is all.
  virtual void stop_after(Stage) {}
  virtual bool has_stages() const { return false; }
  // What it knows of connections, if it does, and what it refused for a reason.
  virtual const ConnTable* connections() const { return nullptr; }
  virtual uint64_t drops(DropReason) const { return 0; }
};

// Opens the scene's flows, each by a TCP handshake; ends the program if one is refused.
// REQUIRES: frames.size() >= kMaxBurst.
void open_flows(Subject& subject, const Scene& scene, std::span<rte_mbuf*> frames);

// The memory ports alone: what is received is sent.
std::unique_ptr<Subject> make_floor();
inline constexpr uint32_t kTableSize = 1'000'000;
// The real Pipeline on `node`, with all flows of the scene established and a table of
// `table_size` connections, or as many as there are flows.
std::unique_ptr<Subject> make_sluice(const Scene& scene, const Node& node, rte_mempool* pool,
                                     std::span<rte_mbuf*> frames,
                                     uint32_t table_size = kTableSize);
// The same on make_node(rules).
std::unique_ptr<Subject> make_sluice(const Scene& scene, unsigned rules, rte_mempool* pool,
                                     std::span<rte_mbuf*> frames,
                                     uint32_t table_size = kTableSize);
// A plain DPDK loop: rte_hash (5-tuple -> entry), rte_lpm, TTL, MACs, bare IPIP.
std::unique_ptr<Subject> make_plain_dpdk(const Scene& scene, const Node& node);
// A firewall of rte_hash, rte_acl and rte_lpm that does sluice's work, with all flows of the
// scene established and room for `table_size`.
std::unique_ptr<Subject> make_dpdk_firewall(const Scene& scene, const Node& node,
                                            std::span<rte_mbuf*> frames, uint32_t table_size);

}  // namespace sluice::perf

#endif  // SLUICE_PERF_SUBJECT_H_
