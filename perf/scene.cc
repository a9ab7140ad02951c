// SPDX-License-Identifier: Apache-2.0
#include "perf/scene.h"

#include <algorithm>
#include <cstring>
#include <random>

#include <rte_mbuf.h>

#include "fastpath/rewrite.h"

namespace sluice::perf {
namespace {

constexpr uint16_t kTcpBytes = 20;
constexpr uint16_t kPort = 80;

struct TcpWire {
  Be16 src, dst;
  Be32 seq, ack;
  uint8_t offset = 0x50;
  uint8_t flags = 0;
  Be16 window = Be16::of(64240);
  Be16 checksum;
  Be16 urgent;
};
static_assert(sizeof(TcpWire) == kTcpBytes);

std::span<const uint8_t> bytes_at(const uint8_t* at, size_t count) {
  return {at, count};
}

Ip4Header ip_header(Ip4 src, Ip4 dst, uint8_t protocol, uint16_t total) {
  Ip4Header h{};
  h.version_ihl = 0x45;
  h.total_length = Be16::of(total);
  h.fragment = Be16::of(Ip4Header::kDf);
  h.ttl = 64;
  h.protocol = protocol;
  h.src = Be32::of(src.value);
  h.dst = Be32::of(dst.value);
  uint8_t raw[kIp4Bytes];
  std::memcpy(raw, &h, sizeof(raw));
  h.checksum = checksum_fold(checksum_add(bytes_at(raw, sizeof(raw)), 0));
  return h;
}

// The TCP segment at `at`, zero payload, with its checksum.
// The initiator's numbers begin at 1000, the responder's at 2000.
void write_tcp(const Tuple& t, uint8_t flags, bool from_initiator, uint16_t bytes,
               uint8_t* at) {
  TcpWire h;
  h.src = Be16::of(t.src_port);
  h.dst = Be16::of(t.dst_port);
  const uint32_t first = from_initiator ? 1000 : 2000;
  h.seq = Be32::of((flags & tcp::kSyn) != 0 ? first : first + 1);
  h.ack = Be32::of((flags & tcp::kAck) != 0 ? 3001 - first : 0);
  h.flags = flags;
  std::memset(at, 0, bytes);
  std::memcpy(at, &h, sizeof(h));
  const struct {
    Be32 src, dst;
    uint8_t zero = 0, protocol = proto::kTcp;
    Be16 length;
  } pseudo = {Be32::of(t.src.value), Be32::of(t.dst.value), 0, proto::kTcp, Be16::of(bytes)};
  uint8_t raw[sizeof(pseudo)];
  std::memcpy(raw, &pseudo, sizeof(raw));
  h.checksum = checksum_fold(
      checksum_add(bytes_at(at, bytes), checksum_add(bytes_at(raw, sizeof(raw)), 0)));
  std::memcpy(at, &h, sizeof(h));
}

}  // namespace

std::string_view name(Path path) {
  static constexpr std::array<std::string_view, 3> kNames = {"ipip-in", "ipip-out", "pod-pod"};
  return kNames[static_cast<size_t>(path)];
}

std::optional<Path> path_of(std::string_view text) {
  for (const Path path : kPaths) {
    if (name(path) == text) {
      return path;
    }
  }
  return std::nullopt;
}

MacAddress pod_mac(unsigned pod) {
  return {{0x02, 0, 0, 0, 1, static_cast<uint8_t>(pod)}};
}

Tuple Scene::tuple(uint32_t n) const {
  if (lanes != nullptr) {
    const Lane& lane = (*lanes)[pod(n)];
    const auto port = static_cast<uint16_t>(1024 + n / pods() % Lane::kFlows);
    return {lane.src, lane.dst, port, lane.dst_port, proto::kTcp};
  }
  const Ip4 here = pod_address(pod(n));
  const uint32_t k = n / pods();  // the flow's number at its pod
  const Ip4 remote{kRemoteNet.value + 0x100 + k % 200};
  const auto port = static_cast<uint16_t>(1024 + k / 200);
  switch (path) {
    case Path::ipip_in:
      return {remote, here, port, kPort, proto::kTcp};
    case Path::ipip_out:
      return {here, remote, port, kPort, proto::kTcp};
    case Path::pod_pod:
      break;
  }
  const Ip4 other = pod_address((pod(n) + 1) % kPods);
  return {here, other, static_cast<uint16_t>(1024 + k % 50000),
          static_cast<uint16_t>(kPort + k / 50000), proto::kTcp};
}

PortId Scene::initiator_port(uint32_t n) const {
  const unsigned from = lanes == nullptr ? pod(n) : (*lanes)[pod(n)].from;
  return path == Path::ipip_in ? kUplinkPort : static_cast<PortId>(kFirstPodPort + from);
}

PortId Scene::responder_port(uint32_t n) const {
  if (lanes != nullptr && path != Path::ipip_out) {
    return static_cast<PortId>(kFirstPodPort + (*lanes)[pod(n)].to);
  }
  switch (path) {
    case Path::ipip_in:
      return static_cast<PortId>(kFirstPodPort + pod(n));
    case Path::ipip_out:
      return kUplinkPort;
    case Path::pod_pod:
      break;
  }
  return static_cast<PortId>(kFirstPodPort + (pod(n) + 1) % kPods);
}

void write_frame(const Scene& scene, uint32_t n, uint8_t tcp_flags, bool from_initiator,
                 rte_mbuf* frame) {
  const Tuple t = from_initiator ? scene.tuple(n) : scene.tuple(n).reversed();
  const PortId port = from_initiator ? scene.initiator_port(n) : scene.responder_port(n);
  const bool tunnelled = port == kUplinkPort;
  const auto total = static_cast<uint16_t>(scene.frame_bytes - kEtherBytes);
  const auto outer_bytes = static_cast<uint16_t>(tunnelled ? kIp4Bytes : 0);

  rte_pktmbuf_reset(frame);
  frame->data_len = static_cast<uint16_t>(scene.frame_bytes + outer_bytes);
  frame->pkt_len = frame->data_len;
  auto* at = rte_pktmbuf_mtod(frame, uint8_t*);
  const MacAddress from = tunnelled ? kPeerMac : pod_mac(port - kFirstPodPort);
  const EtherHeader ether{kOurMac, from, Be16::of(kTypeIp4)};
  std::memcpy(at, &ether, sizeof(ether));
  at += kEtherBytes;
  if (tunnelled) {
    const Ip4Header outer =
        ip_header(kPeerNode, kNode, proto::kIpip, static_cast<uint16_t>(total + kIp4Bytes));
    std::memcpy(at, &outer, sizeof(outer));
    at += kIp4Bytes;
  }
  const Ip4Header inner = ip_header(t.src, t.dst, proto::kTcp, total);
  std::memcpy(at, &inner, sizeof(inner));
  write_tcp(t, tcp_flags, from_initiator, static_cast<uint16_t>(total - kIp4Bytes),
            at + kIp4Bytes);
}

Order::Order(const Scene& scene) {
  const bool one_port = scene.path == Path::ipip_in;
  rings_.resize(one_port ? 1 : scene.pods());
  for (uint32_t n = 0; n < scene.flows; ++n) {
    rings_[one_port ? 0 : scene.pod(n)].push_back(n);
  }
  std::mt19937 random(1);  // the same order in every run
  for (std::vector<uint32_t>& ring : rings_) {
    std::shuffle(ring.begin(), ring.end(), random);
  }
  at_.resize(rings_.size());
}

void Order::next(std::span<uint32_t> out) {
  const std::vector<uint32_t>& ring = rings_[ring_];
  size_t& at = at_[ring_];
  for (uint32_t& flow : out) {
    flow = ring[at];
    at = at + 1 < ring.size() ? at + 1 : 0;
  }
  ring_ = ring_ + 1 < rings_.size() ? ring_ + 1 : 0;
}

}  // namespace sluice::perf
