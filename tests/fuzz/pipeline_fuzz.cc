// SPDX-License-Identifier: Apache-2.0
// libFuzzer target: any sequence of bursts through the real pipeline, from bytes to verdict and
// out again, on one worker or two.  A frame is a right one of some kind, of which a few bytes
// are changed, with its IPv4 header's checksum put right again or not; time passes between.
// What must hold whatever comes: every port's packets have one fate each; a pod gets nothing
// but what is for it, with right header checksums; pod B, whose policy lets nobody in, gets
// what it asked for, the node's own and ICMP errors, and no more; no buffer is lost; and a
// pipeline without short ways does all the same.
#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include <rte_mempool.h>

#include "tests/fastpath/pipeline_world.h"
#include "tests/fuzz/input.h"

namespace {

using namespace sluice;
using fuzz::check;
using fuzz::Input;
using namespace sluice::test;

constexpr std::array kAddresses = {kA,
                                   kB,
                                   kRemotePod,
                                   kNode,
                                   kPeer,
                                   std::string_view("10.244.1.9"),
                                   std::string_view("203.0.113.9"),
                                   std::string_view("192.168.100.255")};
constexpr std::array kAddresses6 = {kA6,
                                    kB6,
                                    kFar6,
                                    kNode6,
                                    kPeer6,
                                    std::string_view("fd00:1::9"),
                                    std::string_view("fe80::1"),
                                    std::string_view("ff02::1")};
constexpr size_t kPayload = 14;  // of an Ethernet frame
constexpr uint16_t kPorts[] = {80, 81, 1000, 4789};

Frame from(PortId port, bool tunnel) {
  switch (port) {
    case kUplinkPort:
      return tunnel ? from_peer() : Frame().ether(kUplinkMac, kRemoteMac);
    case kHostPort:
      return Frame().ether(kHostMac, kKernelMac);
    default:
      return from_pod(port == kPodA ? kPodAMac : kPodBMac);
  }
}

// What follows the IP header of `frame`.
void add_transport(Input& in, Frame& frame, bool six, uint8_t kind) {
  constexpr std::array<uint8_t, 8> kFlags = {
      tcp::kSyn,
      tcp::kSyn | tcp::kAck,
      tcp::kAck,
      tcp::kAck | tcp::kPsh,
      tcp::kFin | tcp::kAck,
      tcp::kRst,
      tcp::kRst | tcp::kAck,
      tcp::kSyn | tcp::kFin,
  };
  const uint8_t ports = in.byte();
  const uint16_t source = kPorts[ports & 3], destination = kPorts[ports >> 2 & 3];
  switch (kind % 6) {
    case 0:
    case 1:
      frame.tcp(source, destination, kFlags[ports >> 4 & 7], in.byte(), in.byte());
      break;
    case 2:
      frame.udp(source, destination);
      break;
    case 3:
      six ? frame.icmp6(128u + (ports & 1), 0, ports, 1)
          : frame.icmp((ports & 1) != 0 ? 8 : 0, 0, ports, 1);
      break;
    case 4: {  // an error about something the other way
      six ? frame.icmp6(1u + (ports & 3), ports >> 4, 0, 1300)
          : frame.icmp((ports & 1) != 0 ? 3 : 11, (ports >> 1) & 7, 0, 1300);
      const uint8_t which = in.byte();
      const auto address = [&](unsigned n) {
        return six ? kAddresses6[n & 7] : kAddresses[n & 7];
      };
      Frame quoted;
      six ? quoted.ip6(address(which), address(which >> 3))
          : quoted.ip4(address(which), address(which >> 3));
      (which & 0x40) != 0 ? quoted.udp(destination, source)
                          : quoted.tcp(destination, source, tcp::kSyn, in.byte());
      frame.raw(slice(quoted.build(), kPayload));
      return;
    }
    default:  // nothing, or what is unknown
      break;
  }
  frame.payload(ports >> 5);
}

Bytes frame_of(Input& in, PortId port) {
  const uint8_t kind = in.byte();
  const uint8_t ends = in.byte();
  Frame frame = from(port, (kind & 1) != 0);
  const bool six = (kind & 6) == 6 && !(port == kUplinkPort && (kind & 1) != 0);
  if (kind == 0xff) {
    return frame.arp(1 + (ends & 1), port == kPodA ? kPodAMac : kRemoteMac,
                     kAddresses[ends >> 1 & 7], kAddresses[ends >> 4 & 7]);
  }
  if (six) {
    frame.ip6(kAddresses6[ends & 7], kAddresses6[ends >> 3 & 7]);
    if (kind >= 0xf0) {
      return frame.hops(255).nd((kind & 8) != 0 ? 135 : 136, kAddresses6[ends >> 3 & 7],
                                kPodAMac);
    }
    frame.hops(1 + (ends >> 6));
  } else {
    frame.ip4(kAddresses[ends & 7], kAddresses[ends >> 3 & 7]).ttl(1 + (ends >> 6));
  }
  if ((kind & 8) != 0) {
    const uint8_t piece = in.byte();
    six ? frame.fragment6(piece >> 6, piece & 7, (piece & 8) != 0)
        : frame.id(piece >> 6).fragment(piece & 7, (piece & 8) != 0);
    if ((piece & 7) != 0) {  // no header here
      return frame.payload(8 + (piece & 0x30));
    }
  }
  add_transport(in, frame, six, kind >> 4);
  return frame;
}

void right_header(Bytes& frame) {
  if (frame.size() < kPayload + 20 || get16(frame, 12) != kTypeIp4) {
    return;
  }
  const size_t header = size_t{4} * (frame[kPayload] & 0xf);
  if (header >= 20 && kPayload + header <= frame.size()) {
    put16(frame, kPayload + 10, 0);
    put16(frame, kPayload + 10,
          static_cast<uint16_t>(~plain_sum(slice(frame, kPayload, header))));
  }
}

Bytes changed(Input& in, Bytes frame) {
  const uint8_t how = in.byte();
  for (int i = 0; i < (how & 3); ++i) {
    const size_t at = in.byte() % frame.size();
    frame[at] ^= in.byte();
  }
  if ((how & 4) != 0) {
    right_header(frame);
  }
  if ((how & 0x38) == 0x38) {
    frame.resize(in.byte());
  }
  return frame;
}

// Source or destination of an IP packet, as bytes; nothing of anything else.
Bytes end_of(const Bytes& frame, bool source) {
  const bool six = frame.size() >= kPayload + 40 && get16(frame, 12) == kTypeIp6;
  const bool four = frame.size() >= kPayload + 20 && get16(frame, 12) == kTypeIp4;
  return six    ? slice(frame, kPayload + (source ? 8 : 24), 16)
         : four ? slice(frame, kPayload + (source ? 12 : 16), 4)
                : Bytes{};
}

bool is_icmp_message(const Bytes& frame) {  // an error, or of neighbour discovery
  if (get16(frame, 12) == kTypeIp6) {
    const bool icmp = frame[kPayload + 6] == proto::kIcmp6;
    const uint8_t type = frame.size() > kPayload + 40 ? frame[kPayload + 40] : 0;
    return icmp && (type < 128 || type >= 133);
  }
  const uint8_t type = frame.size() > kPayload + 20 ? frame[kPayload + 20] : 0;
  return frame[kPayload + 9] == proto::kIcmp && (type == 3 || type == 11);
}

Bytes bytes_of(std::string_view text) {
  return end_of(text.find(':') == std::string_view::npos ? Frame().ip4(text, text).build()
                                                         : Frame().ip6(text, text).build(),
                true);
}

class Run {
 public:
  explicit Run(Input in)
      : in_(in),
        workers_(static_cast<uint8_t>(1 + (in_.byte() & 1))),
        world_(kDenyAll, workers_),
        long_way_(kDenyAll, workers_, kEtherMtu, 1024, false) {}

  void go() {
    while (in_.at < in_.end) {
      step();
    }
    world_.expect_sums();
    for (size_t reason = 0; reason < kDropReasons; ++reason) {
      const auto which = static_cast<DropReason>(reason);
      check(world_.drops(which) == long_way_.drops(which));
    }
    for (PortId port = 0; port <= kPodB; ++port) {
      for (size_t fate = 0; fate < kFates; ++fate) {
        const auto which = static_cast<Fate>(fate);
        check(world_.fate(port, which) == long_way_.fate(port, which));
      }
    }
  }

 private:
  void step() {
    const uint8_t action = in_.byte();
    if (action >= 0xf0) {
      pass_time(action);
      return;
    }
    const auto port = static_cast<PortId>(action & 3);
    std::vector<Bytes> frames;
    for (int n = (action >> 2) & 3; n >= 0; --n) {
      frames.push_back(changed(in_, frame_of(in_, port)));
      if (port == kPodB) {
        asked_by_b_.insert(end_of(frames.back(), false));
      }
    }
    world_.burst(port, frames);
    long_way_.burst(port, frames);
    for (PortId to = 0; to <= kPodB; ++to) {
      Bytes out;
      do {
        out = world_.out(to);
        check(out == long_way_.out(to));
        if (!out.empty()) {
          check_out(out, to, port);
        }
      } while (!out.empty());
    }
  }

  void check_out(const Bytes& out, PortId to, PortId came_by) const {
    if (to == kPodA) {
      check_for(out, kA, kA6);
    }
    if (to == kPodB) {
      check_for(out, kB, kB6);
      const Bytes source = end_of(out, true);
      check(source.empty() || came_by == kHostPort || is_icmp_message(out) ||
            asked_by_b_.contains(source));
    }
  }

  void pass_time(uint8_t action) {
    constexpr Nanos kMs = 1'000'000;
    for (World* w : {&world_, &long_way_}) {
      w->now += kMs << (action & 7) * 2;
      if ((action & 8) != 0) {
        w->change(kDenyAll, (action & 1) != 0);
      }
      w->tick();
    }
  }

  static void check_for(const Bytes& frame, std::string_view four, std::string_view six) {
    const uint16_t type = get16(frame, 12);
    if (type == kTypeIp4) {
      check(end_of(frame, false) == bytes_of(four));
      const size_t header = size_t{4} * (frame[kPayload] & 0xf);
      check(plain_sum(slice(frame, kPayload, header)) == 0xffff);
    } else if (type == kTypeIp6) {
      const Bytes to = end_of(frame, false);
      check(to == bytes_of(six) || is_icmp_message(frame));
    } else {
      check(type == kTypeArp);
    }
  }

  Input in_;
  uint8_t workers_;
  World world_, long_way_;
  std::set<Bytes> asked_by_b_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  GTEST_FLAG_SET(break_on_failure, true);
  const unsigned free = rte_mempool_avail_count(pool());
  Run(Input{data, data + size}).go();
  check(rte_mempool_avail_count(pool()) == free);
  return 0;
}
