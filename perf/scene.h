// SPDX-License-Identifier: Apache-2.0
// The traffic of the path benchmarks: flows by number, and the frames they send.
//
// A node with kPods pods and one remote node whose pods are 10.1.0.0/16.  Flow n always has the
// same tuple; it is opened by its initiator, and what is measured is the initiator's ACKs.
// Frames are written into mbufs outside of the measured time.
#ifndef SLUICE_PERF_SCENE_H_
#define SLUICE_PERF_SCENE_H_

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "fastpath/packet.h"

struct rte_mbuf;

namespace sluice::perf {

// Where measured packets come from and go to.
enum class Path : uint8_t {
  ipip_in,   // remote pod -> tunnel -> uplink -> our pod
  ipip_out,  // our pod -> uplink -> tunnel -> remote pod
  pod_pod,   // our pod -> another pod of ours
};
inline constexpr std::array<Path, 3> kPaths = {Path::ipip_in, Path::ipip_out, Path::pod_pod};
std::string_view name(Path path);
std::optional<Path> path_of(std::string_view name);

inline constexpr unsigned kPods = 16;
inline constexpr Ip4 kPodNet{0x0a000100};     // 10.0.1.0/24, pod n is .(n + 1)
inline constexpr Ip4 kRemoteNet{0x0a010000};  // 10.1.0.0/16
inline constexpr Ip4 kNode{0xc0a8646f};       // 192.168.100.111
inline constexpr Ip4 kPeerNode{0xc0a86470};   // 192.168.100.112
inline constexpr MacAddress kOurMac{{0x02, 0, 0, 0, 0, 0x11}};
inline constexpr MacAddress kPeerMac{{0x02, 0, 0, 0, 0, 0x12}};

constexpr Ip4 pod_address(unsigned pod) {
  return {kPodNet.value + pod + 1};
}
MacAddress pod_mac(unsigned pod);

// Flows between two addresses, to one TCP port.
struct Lane {
  static constexpr uint32_t kFlows = 64000;  // that differ in the source port
  Ip4 src, dst;
  uint16_t dst_port = 0;
  unsigned from = 0, to = 0;  // the pods' numbers, of ends that are pods of ours
};

struct Scene {
  Path path = Path::ipip_in;
  uint32_t flows = 1;
  uint16_t frame_bytes = 64;  // at the pod, without FCS; in the tunnel 20 more
  // Where flows go, in turn, if not between the made-up addresses: at most kFlows of each.
  const std::vector<Lane>* lanes = nullptr;

  unsigned pods() const {
    const unsigned all = lanes == nullptr ? kPods : static_cast<unsigned>(lanes->size());
    return flows < all ? flows : all;
  }
  // The pod that flow `n` begins or ends at, or its lane, by which bursts are grouped.
  unsigned pod(uint32_t n) const { return n % pods(); }
  Tuple tuple(uint32_t n) const;  // as the initiator sends it
  PortId initiator_port(uint32_t n) const;
  PortId responder_port(uint32_t n) const;
};

// Makes `frame` a packet of flow `n` with these TCP flags, from its initiator or responder, as
// the port of that side receives it.  All checksums are right.
void write_frame(const Scene& scene, uint32_t n, uint8_t tcp_flags, bool from_initiator,
                 rte_mbuf* frame);

// An endless order of flows in bursts: every flow comes once a round, shuffled, and a burst has
// flows of one port only.
class Order {
 public:
  explicit Order(const Scene& scene);
  // The next `out.size()` flows, all received on one port.
  void next(std::span<uint32_t> out);

 private:
  std::vector<std::vector<uint32_t>> rings_;  // flows by receiving port
  std::vector<size_t> at_;
  size_t ring_ = 0;
};

}  // namespace sluice::perf

#endif  // SLUICE_PERF_SCENE_H_
