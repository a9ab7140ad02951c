// SPDX-License-Identifier: Apache-2.0
#include "perf/subject.h"

#include <cstdio>
#include <cstdlib>

namespace sluice::perf {
namespace {

// The handshake of some flows that are received on one port.
void shake(Subject& subject, const Scene& scene, std::span<const uint32_t> flows,
           std::span<rte_mbuf*> frames) {
  for (const uint8_t flags : {tcp::kSyn, uint8_t{tcp::kSyn | tcp::kAck}, tcp::kAck}) {
    const bool from_initiator = flags != (tcp::kSyn | tcp::kAck);
    for (size_t i = 0; i < flows.size(); ++i) {
      write_frame(scene, flows[i], flags, from_initiator, frames[i]);
    }
    const PortId from =
        from_initiator ? scene.initiator_port(flows[0]) : scene.responder_port(flows[0]);
    subject.port(from).offer(frames.first(flows.size()));
    subject.burst(from);
  }
}

class Floor : public Subject {
 public:
  void burst(PortId) override {
    std::array<rte_mbuf*, kMaxBurst> frames;
    Port& port = port_;  // as the pipeline calls it
    const unsigned n = port.receive(frames);
    port.transmit({frames.data(), n});
  }
  MemoryPort& port(PortId) override { return port_; }
  uint64_t sent() const override { return port_.sent(); }

 private:
  MemoryPort port_{{}};
};

}  // namespace

MemoryPorts make_ports() {
  MemoryPorts ports(kFirstPodPort + kPods);
  for (PortId id = 0; id < kFirstPodPort + kPods; ++id) {
    Port::Info info;
    info.name = id == kUplinkPort ? "uplink" : "pod";
    info.mac = kOurMac;
    info.unfinished_checksums = id != kUplinkPort;  // as on a veth
    ports[id] = std::make_unique<MemoryPort>(info);
  }
  return ports;
}

uint64_t sent(const MemoryPorts& ports) {
  uint64_t all = 0;
  for (const auto& port : ports) {
    all += port->sent();
  }
  return all;
}

void open_flows(Subject& subject, const Scene& scene, std::span<rte_mbuf*> frames) {
  const uint64_t before = subject.sent();
  std::vector<uint32_t> flows;
  for (unsigned pod = 0; pod < scene.pods(); ++pod) {
    for (uint32_t n = pod; n < scene.flows; n += scene.pods()) {
      flows.push_back(n);
      if (flows.size() == kMaxBurst || n + scene.pods() >= scene.flows) {
        shake(subject, scene, flows, frames);
        flows.clear();
      }
    }
  }
  const uint64_t came_out = subject.sent() - before;
  if (came_out != 3 * uint64_t{scene.flows}) {
    std::fprintf(stderr, "only %lu packets of %u handshakes came out\n", came_out, scene.flows);
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
}

std::unique_ptr<Subject> make_floor() {
  return std::make_unique<Floor>();
}

}  // namespace sluice::perf
