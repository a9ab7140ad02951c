// SPDX-License-Identifier: Apache-2.0
// Two pipelines that have to come to the same: random segments through both, and what comes
// out, what is counted and what is remembered compared.
#include <algorithm>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "tests/fastpath/pipeline_world.h"

namespace sluice::test {
namespace {

// Random segments of a few flows between the pods and a remote one.
class Segments {
 public:
  explicit Segments(unsigned seed) : random_(seed) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  PortId port() {
    const PortId ports[] = {kUplinkPort, kPodA, kPodB};
    return ports[below(3)];
  }
  std::vector<Bytes> burst(PortId port) {
    std::vector<Bytes> frames(1 + below(4));
    std::generate(frames.begin(), frames.end(), [&] { return frame(port); });
    return frames;
  }
  // A router tells of a narrower way through the tunnel.
  Bytes narrower() {
    const auto mtu = static_cast<uint16_t>(600 + below(900));
    return Frame()
        .ether(kUplinkMac, kRemoteMac)
        .ip4(kPeer, kNode)
        .icmp(3, 4, 0, mtu)
        .raw(slice(Frame().ip4(kNode, kPeer).ip4(kA, kRemotePod).udp(1, 2).build(), 14));
  }

 private:
  Bytes frame(PortId port) {
    const auto flow = static_cast<uint16_t>(1000 + (below(8) == 0 ? below(5000) : below(3)));
    const std::string_view peers[] = {kA, kB, kRemotePod};
    const std::string_view self = peers[port == kUplinkPort ? 2 : port == kPodA ? 0 : 1];
    // A broadcast, the node itself, and neighbours that nobody answers for.
    const std::string_view others[] = {"192.168.100.255", kNode, "192.168.100.7",
                                       "192.168.100.8"};
    const std::string_view to = below(12) == 0 ? others[below(4)] : peers[below(3)];
    Frame frame =
        port == kUplinkPort ? from_peer() : from_pod(port == kPodA ? kPodAMac : kPodBMac);
    frame.ip4(self, to).ttl(static_cast<uint8_t>(below(20) == 0 ? 1 : 64));
    if (below(3) != 0) {
      frame.df();
    }
    const bool client = below(2) == 0;
    const uint8_t kinds[] = {kSyn, tcp::kSyn | tcp::kAck, kAck,     kAck,
                             kAck, tcp::kFin | kAck,      tcp::kRst};
    const auto kind = below(40) == 0 ? kinds[5 + below(2)] : kinds[below(5)];
    const uint16_t from = client ? flow : 80, into = client ? 80 : flow;
    const auto vxlan = static_cast<uint16_t>(below(20) == 0 ? 4789 : into);
    below(4) == 0 ? frame.udp(from, vxlan) : frame.tcp(from, into, kind, below(3), below(3));
    if (below(3) == 0) {
      frame.unfinished();
    } else if (below(30) == 0) {
      frame.checksum(static_cast<uint16_t>(below(3)));
    }
    return frame.payload(below(30) == 0 ? 1440 + below(40) : below(100));
  }

  std::mt19937 random_;
};

std::vector<Bytes> all_out(World& w, PortId port) {
  std::vector<Bytes> frames;
  for (Bytes out = w.out(port); !out.empty(); out = w.out(port)) {
    frames.push_back(std::move(out));
  }
  return frames;
}

bool same_entries(const ConnTable& a, const ConnTable& b) {
  bool same = a.size() == b.size();
  a.for_each([&](ConnId id, const Connection& c) {
    same = same && std::memcmp(&c, &b.at(id), sizeof c) == 0;
  });
  return same;
}

// What two worlds make of the same segments, and their counters, are the same.  `ordered`: so
// is the order in which the segments of a burst leave.
void expect_twins(World& one, World& other, bool ordered) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  Segments segments(seed);
  size_t sent = 0;
  for (World* w : {&one, &other}) {
    w->tick();  // a worker's grace for streams under way counts from its first turn
  }
  for (int i = 0; i < 6000; ++i) {
    const PortId port = segments.port();
    const std::vector<Bytes> burst = segments.burst(port);
    const bool told = segments.below(50) == 0;
    const Bytes narrower = segments.narrower();
    const Nanos passed = segments.below(30) == 0 ? kSecond : segments.below(2000);
    const bool changes = segments.below(300) == 0;
    const ProgramId policy = segments.below(2) == 0 ? kAllow80 : kAllowAll;
    for (World* w : {&one, &other}) {
      w->burst(port, burst);
      if (told) {
        w->in(kUplinkPort, narrower);
      }
      w->now += passed;
      if (changes) {
        w->change(policy, true);
      }
      w->tick();
    }
    for (const PortId to : {kUplinkPort, kHostPort, kPodA, kPodB}) {
      std::vector<Bytes> a = all_out(one, to), b = all_out(other, to);
      if (!ordered) {
        std::sort(a.begin(), a.end());
        std::sort(b.begin(), b.end());
      }
      ASSERT_EQ(a, b) << "step " << i << " port " << to;
      sent += a.size();
    }
  }
  for (size_t reason = 0; reason < kDropReasons; ++reason) {
    const auto which = static_cast<DropReason>(reason);
    EXPECT_EQ(one.drops(which), other.drops(which)) << name(which);
  }
  EXPECT_GT(sent, 3000u);
  EXPECT_EQ(one.counts(), other.counts());
  one.expect_sums();
  for (const size_t worker : {size_t{0}, one.workers() - 1}) {
    EXPECT_TRUE(!ordered || same_entries(one.connections(worker), other.connections(worker)));
  }
}

TEST(Pipeline, ShortWaysComeToTheSameAsTheLongOnes) {
  for (const uint8_t workers : {uint8_t{1}, uint8_t{2}}) {
    World fast(kAllow80, workers), slow(kAllow80, workers, kEtherMtu, 1024, false);
    expect_twins(fast, slow, true);
  }
}

// The rules of the world, and one that logs in each program, one that passes before it, or a
// staged one that denies what it allows.
std::shared_ptr<const Linear> rules_with(Action action, bool staged) {
  RuleSet all = *rules();
  Rule more;
  more.action = action;
  more.counter = 10;
  const auto list = static_cast<ListId>(all.lists.size());
  all.lists.emplace_back(RuleList{{more}, staged});
  const size_t programs = all.programs.size();
  for (size_t id = 0; id < programs; ++id) {
    Program p = all.programs[id];
    p.tiers.insert(p.tiers.begin(), Tier{{list}, TierEnd::pass});
    staged ? all.programs.push_back(p) : std::swap(all.programs[id], p);
  }
  return std::make_shared<const Linear>(std::make_shared<const RuleSet>(std::move(all)));
}

TEST(Pipeline, ShortWaysLeaveToTheLongOnesWhatHasMoreToIt) {
  const std::pair<const char*, std::function<void(Generation&)>> rows[] = {
      {"rules that log", [](Generation& g) { g.linear = rules_with(Action::log, false); }},
      {"rules that pass", [](Generation& g) { g.linear = rules_with(Action::pass, false); }},
      {"staged policies",
       [](Generation& g) {
         g.linear = rules_with(Action::deny, true);
         const auto programs = static_cast<ProgramId>(rules()->programs.size());
         g.endpoints[0].pending_egress = programs + kAllowAll;
         g.endpoints[1].pending_ingress = programs + kAllow80;
       }},
      {"the node is not for pods", [](Generation& g) { g.options.endpoint_to_host = false; }},
      {"all checksums", [](Generation& g) { g.options.verify_l4_all = true; }},
      {"no checksums", [](Generation& g) { g.options.verify_l4_control = false; }},
      {"tunnels are allowed", [](Generation& g) { g.endpoints[0].allow_vxlan = true; }},
  };
  for (const auto& [name, edit] : rows) {
    SCOPED_TRACE(name);
    World fast(kAllow80), slow(kAllow80, 1, kEtherMtu, 1024, false);
    fast.edit(edit);
    slow.edit(edit);
    expect_twins(fast, slow, true);
  }
}

TEST(Pipeline, AnUplinkOfTwoWorkersComesToTheSameAsOneOfOne) {
  World spread(kAllow80, 2), whole(kAllow80, 2);
  spread.spread_uplink();
  expect_twins(spread, whole, false);
}

}  // namespace
}  // namespace sluice::test
