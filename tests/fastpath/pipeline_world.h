// SPDX-License-Identifier: Apache-2.0
// What the tests of the pipeline stand on: all of it on memory ports, in a node with two pods,
// one remote node, a plain host.
#ifndef SLUICE_TESTS_FASTPATH_PIPELINE_WORLD_H_
#define SLUICE_TESTS_FASTPATH_PIPELINE_WORLD_H_

#include <climits>
#include <deque>
#include <functional>

#include <gtest/gtest.h>
#include <rte_ring.h>

#include "fastpath/pipeline.h"
#include "tests/support/packet_builder.h"

namespace sluice::test {

inline constexpr PortId kPodA = kFirstPodPort, kPodB = kFirstPodPort + 1;
inline constexpr MacAddress kCalico{{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};
inline constexpr MacAddress kUplinkMac{{2, 0, 0, 0, 0, 0x11}},
    kRemoteMac{{2, 0, 0, 0, 0, 0x12}};
inline constexpr MacAddress kPodAMac{{2, 0, 0, 0, 1, 1}}, kPodBMac{{2, 0, 0, 0, 1, 2}};
inline constexpr MacAddress kHostMac{{2, 0, 0, 0, 9, 1}}, kKernelMac{{2, 0, 0, 0, 9, 2}};
inline constexpr std::string_view kA = "10.244.1.2", kB = "10.244.1.3",
                                  kRemotePod = "10.244.2.5";
inline constexpr std::string_view kA6 = "fd00:1::2", kB6 = "fd00:1::3", kFar6 = "fd00:99::5",
                                  kNode6 = "fd00:64::111", kPeer6 = "fd00:64::112";
inline constexpr std::string_view kNode = "192.168.100.111", kPeer = "192.168.100.112";
inline constexpr ProgramId kAllowAll = 0, kDenyAll = 1, kAllow80 = 2, kSilent = 3;
inline constexpr uint8_t kSyn = tcp::kSyn, kAck = tcp::kAck;

class MemoryPort : public Port {
 public:
  explicit MemoryPort(Info info) : Port(std::move(info)) {}
  unsigned receive(std::span<rte_mbuf*>) noexcept override { return 0; }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    unsigned taken = 0;
    for (; taken < frames.size() && room > 0; ++taken, --room) {
      sent.push_back(Buffer(frames[taken]).bytes());
    }
    return taken;
  }
  std::deque<Bytes> sent;
  unsigned room = UINT_MAX;  // for how many frames
};

// Another queue of that port: what is sent on it is counted here and is to be found there.
class MemoryQueue : public Port {
 public:
  explicit MemoryQueue(MemoryPort& of) : Port(of.info()), of_(of) {}
  unsigned receive(std::span<rte_mbuf*>) noexcept override { return 0; }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    const unsigned taken = of_.transmit(frames);
    sent += taken;
    return taken;
  }
  unsigned sent = 0;

 private:
  MemoryPort& of_;
};

std::shared_ptr<const RuleSet> rules();

std::shared_ptr<RouteTable> routes();

// One worker's half of the world; all workers share the tables and the ports.
struct Lane {
  Lane(uint8_t id, uint8_t count, Neighbours& neighbours, uint32_t max, bool short_ways);
  Counters counters;
  ConnTable connections;
  Output output;
  DropSamples samples{1};
  Pipeline pipeline;
  rte_ring* inbox = nullptr;
};

class World {
 public:
  static constexpr unsigned kRingSize = 64;  // of those between its workers
  explicit World(ProgramId ingress_of_b = kAllowAll, uint8_t workers = 1,
                 uint16_t uplink_mtu = kEtherMtu, uint32_t max_connections = 1024,
                 bool short_ways = true);
  ~World();

  // Receives the frame on its port and lets it go wherever it goes.
  void in(PortId port, const Bytes& bytes) { burst(port, {bytes}); }
  void burst(PortId port, const std::vector<Bytes>& packets);
  // The next generation: pod B's ingress is another program.
  void change(ProgramId ingress_of_b, bool recheck);
  void recheck(ProgramId ingress_of_b) { change(ingress_of_b, true); }
  // The next generation: B has gone, and its address is A's now, who lets nothing in.
  void give_b_to_a();
  // The next generation has these host endpoints.
  void protect(const HostPolicy& uplink, const HostPolicy& tunnel = {},
               const HostPolicy& pods = {});
  // The node had these before its host endpoint, which comes now; sorted.
  void knew(NodeFlows flows);
  void tick();
  // A turn without frames.
  void age(size_t worker = 0);
  // The frame that went out there, or an empty one.
  Bytes out(PortId port);
  uint64_t drops(DropReason reason) const;
  uint64_t inner_drops(DropReason reason) const;
  // What was sampled of the drops since the last call.
  std::vector<DropSample> samples(size_t worker = 0);
  uint64_t fate(PortId port, Fate of) const;
  uint64_t suppressed() const { return lanes_[0]->counters.icmp_suppressed.get(); }
  // All counters of ports, rules and connections, in some order.
  std::vector<uint64_t> counts() const;
  const Counters& counters(size_t worker) const { return lanes_[worker]->counters; }
  uint64_t opened() const { return lanes_[0]->counters.connections_opened.get(); }
  uint64_t judged(CounterSlot slot) const;
  uint64_t carried(CounterSlot slot) const;
  Neighbours& neighbours() { return neighbours_; }
  // The uplink has a queue for either of two workers; bursts come by them in turn.
  void spread_uplink() {
    second_ = std::make_unique<MemoryQueue>(*ports_[kUplinkPort]);
    view_.serve(kUplinkPort, second_.get(), 1);
  }
  unsigned sent_by_second() const { return second_->sent; }
  // The uplink stays with the kernel, who knows its neighbours.
  void kernel_uplink();
  size_t workers() const { return lanes_.size(); }
  ConnTable& connections(size_t worker = 0) { return lanes_[worker]->connections; }
  // The port takes that many frames more.
  void leave_room(PortId port, unsigned frames) { ports_[port]->room = frames; }
  // The next generation as `edit` makes it of this one.
  void edit(const std::function<void(Generation&)>& edit);
  void publish(const std::shared_ptr<Generation>& next);
  // The port is taken out of the view, as when its interface has gone.
  void close(PortId port) {
    view_.ports[port] = nullptr;
    if (port == kUplinkPort) {
      view_.uplink = {};
    }
    ++view_.serial;
  }
  // rx = forwarded + punted + consumed + held + dropped, on every port.
  void expect_sums() const;
  Nanos now = kSecond;

 private:
  Neighbours neighbours_;
  std::vector<std::unique_ptr<MemoryPort>> ports_;
  std::unique_ptr<MemoryQueue> second_;  // of the uplink
  View view_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  size_t bursts_ = 0;
};

inline Frame from_pod(MacAddress pod) {
  return Frame().ether(kCalico, pod);
}
inline Frame from_peer() {
  return Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
}

}  // namespace sluice::test

#endif  // SLUICE_TESTS_FASTPATH_PIPELINE_WORLD_H_
