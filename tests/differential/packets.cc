// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/packets.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "tests/differential/dice.h"
#include "tests/differential/places.h"

namespace sluice::differential {
namespace {

class Aim {
 public:
  Aim(uint64_t seed, const Cluster& c, std::vector<Net> nets)
      : dice_(seed), c_(c), nets_(std::move(nets)) {
    for (const Pod& p : c.pods) {
      (p.local ? local_ : remote_).push_back(&p);
      for (const NamedPort& n : p.ports) {
        ports_.push_back(n.port);
      }
    }
    for (const Policy& p : c.policies) {
      aim_at(p.ingress);
      aim_at(p.egress);
    }
    for (const Slice& s : c.slices) {
      for (const SlicePort& p : s.ports) {
        ports_.push_back(p.port);
      }
      for (const Ip& ip : s.addresses) {
        nets_.push_back({ip, ip.v6 ? 128u : 32u});
      }
    }
    std::erase_if(nets_, [](const Net& n) { return n.base.v6; });
    for (const uint16_t p : std::initializer_list<uint16_t>{1, 22, 53, 80, 443, 8080, 65534}) {
      ports_.push_back(p);
    }
  }

  std::vector<Packet> packets(size_t count) {
    std::vector<Packet> out;
    for (size_t tries = 0; out.size() < count && tries < 20 * count; ++tries) {
      Packet p = dice_.one_in(10) ? packet6() : packet();
      if (fresh(p)) {
        out.push_back(p);
      }
    }
    return out;
  }

 private:
  void aim_at(const std::vector<Rule>& rules) {
    for (const Rule& r : rules) {
      for (const auto* list : {&r.source.ports, &r.source.not_ports, &r.destination.ports,
                               &r.destination.not_ports}) {
        for (const Ports& p : *list) {
          if (p.name.empty()) {
            ports_.push_back(p.low);
            ports_.push_back(p.high);
          }
        }
      }
    }
  }

  // An address somewhere beyond the uplink, mostly at the edge of a CIDR.
  Ip world() {
    for (;;) {
      const Net& n = dice_.pick(nets_);
      uint32_t ip = static_cast<uint32_t>(dice_.one_in(2) ? n.first().bits : n.last().bits);
      ip += dice_.below(3) - 1;  // beside it, too
      if (dice_.one_in(4)) {
        ip = static_cast<uint32_t>(n.first().bits | (dice_.below(UINT32_MAX) & n.host_mask()));
      }
      const uint32_t top = ip >> 24;
      const bool ours = ip >> 16 == kLocalPods >> 16 || ip >> 8 == kUplink >> 8;
      const bool odd = top == 0 || top == 127 || top >= 224 || ip >> 16 == 0xa9fe;
      if (!ours && !odd) {
        return ip4(ip);
      }
    }
  }
  Ip remote() {
    return dice_.one_in(4) ? ip4(kRemotePods + 1 + dice_.below(61)) : dice_.pick(remote_)->ip;
  }

  uint16_t port() {
    const int p = dice_.pick(ports_) + static_cast<int>(dice_.below(3)) - 1;
    return static_cast<uint16_t>(std::clamp(p, 1, 65535));
  }

  void fill_l4(Packet& p) {
    p.protocol = dice_.of<uint8_t>({6, 6, 6, 6, 17, 17, 17, 132, 1, 1, 136, 50, 89, 2, 58});
    if (ported(p.protocol)) {
      p.sport = dice_.one_in(3) ? port() : static_cast<uint16_t>(1024 + dice_.below(60000));
      p.dport = port();
    } else if (p.protocol == 1) {
      p.type = dice_.of<uint8_t>({8, 8, 13});
      p.code = dice_.of<uint8_t>({0, 0, 1, 2});
    }
  }

  Packet packet() {
    Packet p;
    const Pod* pod = dice_.pick(local_);
    uint8_t tunnel = 0;
    const unsigned form = dice_.below(6);
    if (form < 2) {  // to us
      p.in = "uplink";
      p.src = form == 0 ? remote() : world();
      p.dst = pod->ip;
    } else {
      p.in = name_of(*pod);
      p.src = pod->ip;
      if (!pod->sources.empty() && dice_.one_in(3)) {
        const Net& n = dice_.pick(pod->sources);
        p.src = {false, n.first().bits | (dice_.below(UINT32_MAX) & n.host_mask())};
      }
      p.dst = form == 2 ? remote() : form == 3 ? world() : dice_.pick(local_)->ip;
      if (dice_.one_in(12)) {
        p.dst = ip4(dice_.one_in(3) ? kTunnel : kNode);
      }
      tunnel = dice_.one_in(20) ? dice_.of<uint8_t>({4, 41, 47, 17}) : uint8_t{0};
    }
    fill_l4(p);
    if (tunnel != 0) {
      p = {p.in, p.src, p.dst, tunnel};
      if (tunnel == 17) {
        p.sport = static_cast<uint16_t>(1024 + dice_.below(60000));
        p.dport = 4789;
      }
    }
    return p;
  }

  // The same between IPv6 addresses; a pod has no other sources there.
  Packet packet6() {
    Packet p = packet();
    const auto end = [&](const Ip& ip) {
      for (const Pod& pod : c_.pods) {
        if (pod.ip == ip) {
          return pod.ip6;
        }
      }
      const Ip beside = pod_ip6(kNobodys + dice_.below(16));
      return is_own(ip)        ? kNode6
             : dice_.one_in(2) ? beside
                               : Ip{true, (Bits{0x20010db8} << 96) + beside.bits};
    };
    const auto sender = std::find_if(local_.begin(), local_.end(),
                                     [&](const Pod* pod) { return name_of(*pod) == p.in; });
    p.src = sender == local_.end() ? end(p.src) : (*sender)->ip6;
    p.dst = end(p.dst);
    if (p.protocol == 1) {
      p.protocol = 58;
    }
    if (p.protocol == 58) {
      p.type = dice_.of<uint8_t>({128, 128, 128, 8, 13, 0, 3});
    }
    return p;
  }

  // Does it open a connection of its own, and leave by another port?
  bool fresh(const Packet& p) {
    const bool back = std::any_of(local_.begin(), local_.end(), [&](const Pod* pod) {
      return (pod->ip == p.dst || pod->ip6 == p.dst) && name_of(*pod) == p.in;
    });
    if (p.src == p.dst || back) {
      return false;
    }
    const auto a = std::tuple(p.src, p.sport);
    const auto b = std::tuple(p.dst, p.dport);
    const bool numbered = p.protocol == 1 || p.protocol == 58;  // each has its identifier
    return (numbered && p.src.v6 == (p.protocol == 58)) ||
           seen_.emplace(p.protocol, std::min(a, b), std::max(a, b)).second;
  }

  Dice dice_;
  const Cluster& c_;
  std::vector<Net> nets_;
  std::vector<const Pod*> local_, remote_;
  std::vector<uint16_t> ports_;
  std::set<std::tuple<uint8_t, std::tuple<Ip, uint16_t>, std::tuple<Ip, uint16_t>>> seen_;
};

}  // namespace

std::vector<Packet> packets_for(uint64_t seed, const Cluster& cluster, std::vector<Net> nets,
                                size_t count) {
  return Aim(seed, cluster, std::move(nets)).packets(count);
}

}  // namespace sluice::differential
