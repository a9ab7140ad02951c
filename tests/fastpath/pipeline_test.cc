// SPDX-License-Identifier: Apache-2.0
// The whole pipeline on memory ports: a node with two pods, one remote node, a plain host.
#include "fastpath/pipeline.h"

#include <deque>

#include <gtest/gtest.h>
#include <rte_ring.h>

#include "tests/support/packet_builder.h"

namespace sluice {
namespace {

using test::Bytes;
using test::Frame;
using test::ip;
using test::slice;

constexpr PortId kPodA = kFirstPodPort, kPodB = kFirstPodPort + 1;
constexpr MacAddress kCalico{{0xee, 0xee, 0xee, 0xee, 0xee, 0xee}};
constexpr MacAddress kUplinkMac{{2, 0, 0, 0, 0, 0x11}}, kRemoteMac{{2, 0, 0, 0, 0, 0x12}};
constexpr MacAddress kPodAMac{{2, 0, 0, 0, 1, 1}}, kPodBMac{{2, 0, 0, 0, 1, 2}};
constexpr MacAddress kHostMac{{2, 0, 0, 0, 9, 1}}, kKernelMac{{2, 0, 0, 0, 9, 2}};
constexpr std::string_view kA = "10.244.1.2", kB = "10.244.1.3", kRemotePod = "10.244.2.5";
constexpr std::string_view kNode = "192.168.100.111", kPeer = "192.168.100.112";
constexpr ProgramId kAllowAll = 0, kDenyAll = 1, kAllow80 = 2, kSilent = 3;
constexpr uint8_t kSyn = tcp::kSyn, kAck = tcp::kAck;

class MemoryPort : public Port {
 public:
  explicit MemoryPort(Info info) : Port(std::move(info)) {}
  unsigned receive(std::span<rte_mbuf*>) noexcept override { return 0; }
  unsigned transmit(std::span<rte_mbuf*> frames) noexcept override {
    for (rte_mbuf* frame : frames) {
      sent.push_back(test::Buffer(frame).bytes());
    }
    return static_cast<unsigned>(frames.size());
  }
  std::deque<Bytes> sent;
};

std::shared_ptr<const RuleSet> rules() {
  auto set = std::make_shared<RuleSet>();
  Rule allow;
  allow.action = Action::allow;
  allow.counter = 0;
  Rule allow80 = allow;
  allow80.protocol = proto::kTcp;
  allow80.destination.ports = {{80, 80}};
  allow80.counter = 1;
  set->lists = {{{allow}}, {}, {{allow80}}};
  for (const ListId list : {0u, 1u, 2u}) {
    set->programs.push_back({{{{list}, TierEnd::deny, false, 2 + list}}});
  }
  set->programs.push_back({{{{1}, TierEnd::pass}}});
  return set;
}

std::shared_ptr<RouteTable> routes() {
  auto t = std::make_shared<RouteTable>();
  t->version = 1;
  t->routes = {
      {RouteKind::endpoint, 0, {}, {}},
      {RouteKind::endpoint, 1, {}, {}},
      {RouteKind::tunnel, kNoEndpoint, ip(kPeer), ip(kPeer)},
      {RouteKind::local, kNoEndpoint, {}, {}},
      {RouteKind::connected, kNoEndpoint, {}, {}},
      {RouteKind::blackhole, kNoEndpoint, {}, {}},
  };
  const auto entry = [](std::string_view prefix, uint32_t value) {
    return Lpm4::Entry{parse_prefix(prefix).value(), value};
  };
  const Lpm4::Entry entries[] = {entry("10.244.1.2/32", 0),    entry("10.244.1.3/32", 1),
                                 entry("10.244.2.0/24", 2),    entry("192.168.100.111/32", 3),
                                 entry("192.168.100.0/24", 4), entry("10.244.1.0/24", 5)};
  t->lpm = Lpm4(entries);
  t->peers = {ip(kPeer).value};
  t->own = {ip(kNode).value};
  t->broadcasts = {ip("192.168.100.255").value};
  t->outer_source = ip(kNode);
  return t;
}

// One worker's half of the world; all workers share the tables and the ports.
struct Lane {
  Lane(uint8_t id, uint8_t count, Neighbours& neighbours)
      : counters(64),
        connections({1024, Timeouts::linux_preset(), {1, 2}}),
        output(id, counters, neighbours, test::pool()),
        pipeline({id, count, 1, false}, connections, output) {}
  Counters counters;
  ConnTable connections;
  Output output;
  Pipeline pipeline;
  rte_ring* inbox = nullptr;
};

class World {
 public:
  explicit World(ProgramId ingress_of_b = kAllowAll, uint8_t workers = 1,
                 uint16_t uplink_mtu = kEtherMtu) {
    test::pool();
    auto g = std::make_shared<Generation>();
    g->number = 1;
    g->matcher = std::make_shared<const Linear>(rules());
    g->routes = routes();
    for (const PortId port : {kPodA, kPodB}) {
      const bool a = port == kPodA;
      Endpoint e;
      e.port = port;
      e.worker = static_cast<uint8_t>(a ? 0 : workers - 1);
      e.ready = true;
      e.ingress = a ? kAllowAll : ingress_of_b;
      e.egress = kAllowAll;
      e.addresses = {ip(a ? kA : kB)};
      e.mac = a ? kPodAMac : kPodBMac;
      g->by_address[e.addresses[0].value] = static_cast<EndpointId>(g->endpoints.size());
      g->endpoints.push_back(e);
    }
    g->endpoint_of_port = {kNoEndpoint, kNoEndpoint, 0, 1};
    const auto add = [this](const char* name, MacAddress mac, uint16_t mtu = kEtherMtu) {
      ports_.push_back(std::make_unique<MemoryPort>(Port::Info{name, mac, mtu, true, true}));
      view_.ports[ports_.size() - 1] = ports_.back().get();
    };
    add("uplink", kUplinkMac, uplink_mtu);
    add("host", kHostMac);
    add("calia", kCalico);
    add("calib", kCalico);
    view_.serial = 1;
    view_.generation = g;
    view_.owner = {0, 0, 0, static_cast<uint8_t>(workers - 1)};
    view_.host_mac = kKernelMac;
    neighbours_.learn(neighbours_.find(kUplinkPort, ip(kPeer)), kRemoteMac);
    for (uint8_t w = 0; w < workers; ++w) {
      lanes_.push_back(std::make_unique<Lane>(w, workers, neighbours_));
    }
    if (workers == 2) {
      for (int to : {0, 1}) {
        lanes_[static_cast<size_t>(to)]->inbox =
            rte_ring_create(to == 0 ? "w0" : "w1", 64, SOCKET_ID_ANY, 0);
        lanes_[static_cast<size_t>(1 - to)]->output.connect(
            static_cast<uint8_t>(to), lanes_[static_cast<size_t>(to)]->inbox);
      }
    }
  }
  ~World() {
    for (auto& lane : lanes_) {
      lane->output.free_held();
      rte_ring_free(lane->inbox);
    }
  }

  // Receives the frame on its port and lets it go wherever it goes.
  void in(PortId port, const Bytes& bytes) { burst(port, {bytes}); }
  void burst(PortId port, std::initializer_list<Bytes> packets) {
    std::vector<rte_mbuf*> frames;
    for (const Bytes& bytes : packets) {
      rte_mbuf* frame = frames.emplace_back(rte_pktmbuf_alloc(test::pool()));
      void* to = rte_pktmbuf_append(frame, static_cast<uint16_t>(bytes.size()));
      std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(to));
      meta(frame) = PacketMeta{};
    }
    now += 1000;
    Pipeline& first = lanes_[view_.owner[port]]->pipeline;
    first.begin(view_, now);
    first.receive(frames, port);
    for (int round = 0; round < 4; ++round) {
      for (auto& lane : lanes_) {
        rte_mbuf* next = nullptr;
        while (lane->inbox != nullptr &&
               rte_ring_dequeue(lane->inbox, reinterpret_cast<void**>(&next)) == 0) {
          lane->pipeline.begin(view_, now);
          lane->pipeline.resume({&next, 1});
        }
      }
    }
  }
  // The next generation: pod B's ingress is another program.
  void change(ProgramId ingress_of_b, bool recheck) {
    auto next = std::make_shared<Generation>(*view_.generation);
    ++next->number;
    next->options.recheck = recheck;
    next->endpoints[1].ingress = ingress_of_b;
    view_.generation = next;
  }
  // The next generation: B has gone, and its address is A's now, who lets nothing in.
  void give_b_to_a() {
    auto next = std::make_shared<Generation>(*view_.generation);
    auto table = std::make_shared<RouteTable>(*next->routes);
    ++next->number;
    ++table->version;
    table->routes[1].endpoint = 0;
    next->routes = table;
    next->endpoints[0].addresses.push_back(ip(kB));
    next->endpoints[0].ingress = kDenyAll;
    next->endpoints[1].addresses.clear();
    next->by_address[ip(kB).value] = 0;
    view_.generation = next;
  }
  void recheck(ProgramId ingress_of_b) { change(ingress_of_b, true); }
  // The next generation has these host endpoints.
  void protect(const HostPolicy& uplink, const HostPolicy& tunnel = {},
               const HostPolicy& pods = {}) {
    auto next = std::make_shared<Generation>(*view_.generation);
    ++next->number;
    next->uplink = uplink;
    next->tunnel = tunnel;
    next->pods = pods;
    next->host_endpoints = true;
    next->untracked =
        uplink.untracked_in.program != kNoProgram || uplink.untracked_out.program != kNoProgram;
    view_.generation = next;
  }
  void tick() {
    for (auto& lane : lanes_) {
      lane->pipeline.begin(view_, now);
      lane->pipeline.tick();
    }
  }
  // The frame that went out there, or an empty one.
  Bytes out(PortId port) {
    auto& sent = ports_[port]->sent;
    if (sent.empty()) {
      return {};
    }
    Bytes first = sent.front();
    sent.pop_front();
    return first;
  }
  uint64_t drops(DropReason reason) const {
    uint64_t n = 0;
    for (const auto& lane : lanes_) {
      n += lane->counters.drops[static_cast<size_t>(reason)].get();
    }
    return n;
  }
  uint64_t judged(CounterSlot slot) const {
    return lanes_[0]->counters.rule(slot).judged.get();
  }
  uint64_t carried(CounterSlot slot) const {
    return lanes_[0]->counters.rule(slot).packets.get();
  }
  ConnTable& connections(size_t worker = 0) { return lanes_[worker]->connections; }
  // The port is taken out of the view, as when its interface has gone.
  void close(PortId port) { view_.ports[port] = nullptr; }
  // rx = forwarded + punted + consumed + held + dropped, on every port.
  void expect_sums() const {
    for (PortId port = 0; port < ports_.size(); ++port) {
      uint64_t rx = 0;
      uint64_t fates = 0;
      for (const auto& lane : lanes_) {
        const PortCounters& c = lane->counters.port(port);
        rx += c.rx_packets.get();
        for (const Counter& fate : c.fates) {
          fates += fate.get();
        }
      }
      EXPECT_EQ(rx, fates) << ports_[port]->info().name;
    }
  }
  Nanos now = 1000000000;

 private:
  Neighbours neighbours_;
  std::vector<std::unique_ptr<MemoryPort>> ports_;
  View view_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

Frame from_pod(MacAddress pod) {
  return Frame().ether(kCalico, pod);
}
Frame from_peer() {
  return Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
}

TEST(Pipeline, CarriesATcpConnectionThroughTheTunnelAndBack) {
  World w;
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kA).tcp(1000, 80, kSyn));
  EXPECT_EQ(
      w.out(kPodA),
      Frame().ether(kPodAMac, kCalico).ip4(kRemotePod, kA).ttl(63).tcp(1000, 80, kSyn).build());
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).tcp(80, 1000, kSyn | kAck).unfinished());
  const Bytes back = w.out(kUplinkPort);
  const Bytes inner = Frame()
                          .ether(kRemoteMac, kUplinkMac)
                          .ip4(kA, kRemotePod)
                          .ttl(63)
                          .tcp(80, 1000, kSyn | kAck)
                          .build();
  ASSERT_EQ(back.size(), inner.size() + 20);
  EXPECT_EQ(slice(back, 0, 12), slice(inner, 0, 12));
  EXPECT_EQ(slice(back, 34), slice(inner, 14));
  const Bytes outer = slice(back, 14, 20);
  EXPECT_EQ(slice(outer, 12), slice(Frame().ip4(kNode, kPeer).build(), 26, 8));
  EXPECT_EQ(test::plain_sum(outer), 0xffff);
  EXPECT_EQ(w.connections().size(), 1u);
  w.expect_sums();
}

TEST(Pipeline, JudgesTheFirstPacketAndTheReplyPasses) {
  World w(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  EXPECT_FALSE(w.out(kPodA).empty());
  EXPECT_EQ(w.judged(1), 1u);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
  EXPECT_TRUE(w.out(kPodB).empty());
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  EXPECT_EQ(w.judged(4), 1u) << "the tier's default counts the denial";
  w.tick();
  EXPECT_EQ(w.carried(1), 2u) << "both directions are credited to the rule that admitted them";
  w.expect_sums();
}

TEST(Pipeline, RecheckCutsWhatPolicyNowDeniesWhicheverSideSpeaks) {
  for (const bool server_first : {false, true}) {
    World w;
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
    w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(81, 1000, kSyn | kAck));
    w.recheck(kAllowAll);
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kAck));
    EXPECT_FALSE(w.out(kPodB).empty());
    EXPECT_FALSE(w.out(kPodB).empty()) << "what policy still allows lives on";
    EXPECT_FALSE(w.out(kPodA).empty());
    w.recheck(kAllow80);
    for (int i = 0; i < 4; ++i) {
      if (server_first == (i % 2 == 0)) {
        w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(81, 1000, kAck));
      } else {
        w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kAck));
      }
    }
    EXPECT_EQ(w.drops(DropReason::policy_recheck), 4u) << "nor is it picked up in mid-stream";
    EXPECT_TRUE(w.out(kPodA).empty());
    EXPECT_TRUE(w.out(kPodB).empty());
    w.recheck(kAllowAll);
    w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
    EXPECT_FALSE(w.out(kPodB).empty()) << "a new SYN begins anew";
    w.expect_sums();
  }
}

// Also verdict vector 18 of semantics 11, and the rule of 6.3 for a SYN.
TEST(Pipeline, Trap18AnEstablishedFlowOutlivesANewDenyAll) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn));
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53));
  EXPECT_FALSE(w.out(kPodB).empty());
  EXPECT_FALSE(w.out(kPodB).empty());
  EXPECT_FALSE(w.out(kPodA).empty());
  w.change(kDenyAll, false);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kAck));
  EXPECT_FALSE(w.out(kPodB).empty()) << "the next packet of the flow";
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kAck));
  EXPECT_FALSE(w.out(kPodA).empty()) << "and its answer";
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53));
  EXPECT_FALSE(w.out(kPodB).empty()) << "of UDP, too, answered or not";
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 0u);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1001, 80, kSyn));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1001, 53));
  EXPECT_TRUE(w.out(kPodB).empty()) << "new flows are judged anew";
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
  w.expect_sums();
}

TEST(Pipeline, DeniedFlowsLeaveNoEntry) {
  World w(kDenyAll);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  EXPECT_EQ(w.connections().size(), 0u);
}

TEST(Pipeline, TwoPacketsOfANewFlowInOneBurstMakeOneEntry) {
  World w;
  const Bytes packet = from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53).build();
  w.burst(kPodA, {packet, packet});
  EXPECT_EQ(w.connections().size(), 1u);
}

TEST(Pipeline, TwoPacketsOfACutFlowInOneBurstEndOneEntry) {
  World w;
  const Bytes packet = from_pod(kPodAMac).ip4(kA, kB).udp(1000, 53).build();
  w.in(kPodA, packet);
  w.recheck(kDenyAll);
  w.burst(kPodA, {packet, packet});
  EXPECT_EQ(w.drops(DropReason::policy_recheck), 1u);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u) << "the second opens anew";
  EXPECT_EQ(w.connections().size(), 0u);
  w.expect_sums();
}

TEST(Pipeline, RecheckCreditsTheRuleThatAllowsNow) {
  World w;
  const Bytes packet = from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn).build();
  w.in(kPodA, packet);
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  w.recheck(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kAck));
  w.tick();
  EXPECT_EQ(w.carried(0), 2u + 3u) << "egress all, ingress what came before the change";
  EXPECT_EQ(w.carried(1), 1u);
}

TEST(Pipeline, AnotherPodWithTheAddressDoesNotInheritItsConnections) {
  for (const bool tcp : {false, true}) {
    World w;
    const auto packet = [tcp](uint8_t flags) {
      Frame f = from_peer().ip4(kRemotePod, kB);
      return tcp ? f.tcp(1000, 80, flags).build() : f.udp(1000, 53).build();
    };
    w.in(kUplinkPort, packet(kSyn));
    EXPECT_FALSE(w.out(kPodB).empty());
    w.give_b_to_a();
    w.burst(kUplinkPort, {packet(kAck), packet(kAck)});
    EXPECT_TRUE(w.out(kPodA).empty());
    EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u);
    EXPECT_EQ(w.connections().size(), 0u);
    w.expect_sums();
  }
}

struct HostRow {
  const char* sentence;
  HostPolicy uplink;
  HostPolicy tunnel;
  HostPolicy pods;
  ProgramId ingress_of_b;
  PortId port;
  Frame frame;
  DropReason reason;  // none: it passes
};

TEST(Pipeline, AsksEachStageOfAHostEndpoint) {
  const Frame to_node = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
  const Frame to_pod = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kB);
  const Frame tunnelled = from_peer().ip4(kRemotePod, kB);
  const Frame between = from_pod(kPodAMac).ip4(kA, kB);
  const Frame leaving = from_pod(kPodAMac).ip4(kA, kPeer);
  const Frame sent = Frame().ether(kHostMac, kKernelMac).ip4(kNode, kPeer);
  const auto syn = [](Frame f) { return f.tcp(1000, 80, kSyn); };
  constexpr DropReason kPass = DropReason::none, kIn = DropReason::policy_deny_ingress,
                       kOut = DropReason::policy_deny_egress;
  const HostStage deny{kDenyAll}, allow{kAllowAll}, silent{kSilent};
  const HostStage spared{kDenyAll, kAllow80};
  HostPolicy normal, forward, pre, raw, open_raw, open_pre, quiet, safe;
  normal.normal_in = normal.normal_out = deny;
  forward.forward_in = forward.forward_out = deny;
  pre.pre_dnat = deny;
  raw.untracked_in = raw.untracked_out = deny;
  open_raw = normal;
  open_raw.untracked_in = open_raw.untracked_out = allow;
  open_pre = normal;
  open_pre.forward_in = deny;
  open_pre.pre_dnat = allow;
  quiet.untracked_in = quiet.pre_dnat = quiet.forward_in = quiet.normal_in = silent;
  safe.normal_in = safe.pre_dnat = safe.untracked_in = spared;
  const HostPolicy no;
  const HostRow rows[] = {
      {"normal in", normal, no, no, kAllowAll, kUplinkPort, syn(to_node), kIn},
      {"normal lets forwarded be", normal, no, no, kAllowAll, kUplinkPort, syn(to_pod), kPass},
      {"normal out", normal, no, no, kAllowAll, kHostPort, syn(sent), kOut},
      {"forward in", forward, no, no, kAllowAll, kUplinkPort, syn(to_pod), kIn},
      {"forward out", forward, no, no, kAllowAll, kPodA, syn(leaving), kOut},
      {"forward lets the node be", forward, no, no, kAllowAll, kUplinkPort, syn(to_node),
       kPass},
      {"forward lets the tunnel be", forward, no, no, kAllowAll, kUplinkPort, syn(tunnelled),
       kPass},
      {"forward of the tunnel", no, forward, no, kAllowAll, kUplinkPort, syn(tunnelled), kIn},
      {"forward of pods", no, no, forward, kAllowAll, kPodA, syn(between), kIn},
      {"preDNAT", pre, no, no, kAllowAll, kUplinkPort, syn(to_pod), kIn},
      {"preDNAT sees the outer", pre, no, no, kAllowAll, kUplinkPort, syn(tunnelled), kIn},
      {"preDNAT skips forward", open_pre, no, no, kAllowAll, kUplinkPort, syn(to_pod), kPass},
      {"preDNAT skips normal", open_pre, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
      {"preDNAT leaves workloads", open_pre, no, no, kDenyAll, kUplinkPort, syn(to_pod), kIn},
      {"untracked in", raw, no, no, kAllowAll, kUplinkPort, syn(to_node), kIn},
      {"untracked sees the outer", raw, no, no, kAllowAll, kUplinkPort, syn(tunnelled), kIn},
      {"untracked out", raw, no, no, kAllowAll, kHostPort, syn(sent), kOut},
      {"untracked skips normal", open_raw, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
      {"untracked leaves workloads", open_raw, no, no, kDenyAll, kUplinkPort, syn(to_pod), kIn},
      {"no verdict", quiet, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
      {"failsafe", safe, no, no, kAllowAll, kUplinkPort, syn(to_node), kPass},
  };
  for (const HostRow& row : rows) {
    for (const uint8_t workers : {uint8_t{1}, uint8_t{2}}) {
      SCOPED_TRACE(std::string(row.sentence) + ", workers " + std::to_string(workers));
      World w(row.ingress_of_b, workers);
      w.protect(row.uplink, row.tunnel, row.pods);
      w.in(row.port, row.frame.build());
      bool passed = false;
      for (const PortId port : {kUplinkPort, kHostPort, kPodA, kPodB}) {
        passed = passed || !w.out(port).empty();
      }
      EXPECT_EQ(passed, row.reason == DropReason::none);
      if (row.reason != DropReason::none) {
        EXPECT_EQ(w.drops(row.reason), 1u);
      }
      w.expect_sums();
    }
  }
}

TEST(Pipeline, WhatAHostEndpointDoesNotTrackLeavesNoEntryAndIsJudgedEachTime) {
  World w;
  HostPolicy raw;
  raw.untracked_in = {kAllowAll};
  w.protect(raw);
  const Bytes frame = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kB).udp(1000, 53);
  for (int i = 0; i < 3; ++i) {
    w.in(kUplinkPort, frame);
    EXPECT_FALSE(w.out(kPodB).empty());
  }
  EXPECT_EQ(w.connections().size(), 0u);
  raw.untracked_in = {kDenyAll};
  w.protect(raw);
  w.in(kUplinkPort, frame);
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
}

TEST(Pipeline, TakesUpConnectionsOfTheNodeThatWereBeforeItsHostEndpoint) {
  World w;
  HostPolicy shut;
  shut.normal_in = shut.normal_out = {kDenyAll};
  const Frame in = Frame().ether(kUplinkMac, kRemoteMac).ip4(kPeer, kNode);
  w.now += 3600u * Nanos{1000000000};
  w.protect(shut);
  w.in(kUplinkPort, Frame(in).tcp(1000, 8080, kAck));
  EXPECT_FALSE(w.out(kHostPort).empty());
  w.in(kUplinkPort, Frame(in).tcp(1001, 8080, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u) << "a new one is judged";
  w.now += 121u * Nanos{1000000000};
  w.in(kUplinkPort, Frame(in).tcp(1002, 8080, kAck));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u) << "not for ever";
}

struct DropRow {
  const char* sentence;
  PortId port;
  Bytes frame;
  DropReason reason;
};
TEST(Pipeline, NamesTheReasonOfEveryDrop) {
  const MacAddress far{{2, 0, 0, 0, 0, 0x77}};
  const auto plain = [&](std::string_view src, std::string_view dst) {
    return Frame().ether(kUplinkMac, far).ip4(src, dst).udp(1, 2).build();
  };
  const DropRow rows[] = {
      {"a pod claims another's address", kPodA, from_pod(kPodAMac).ip4(kB, kA).udp(1, 2),
       DropReason::rpf_workload},
      {"an unknown node tunnels", kUplinkPort,
       Frame().ether(kUplinkMac, far).ip4("192.168.100.9", kNode).ip4(kRemotePod, kA).udp(1, 2),
       DropReason::tun_src},
      {"a known node tunnels for a pod that is not its own", kUplinkPort,
       from_peer().ip4(kA, kB).udp(1, 2), DropReason::rpf_tunnel},
      {"a tunnel within the tunnel", kUplinkPort,
       from_peer().ip4(kRemotePod, kA).ip4("1.2.3.4", "5.6.7.8").udp(1, 2),
       DropReason::tun_nested},
      {"the tunnel leads to nobody", kUplinkPort,
       from_peer().ip4(kRemotePod, "8.8.8.8").udp(1, 2), DropReason::tun_dst},
      {"plain from a remote pod", kUplinkPort, plain(kRemotePod, kA), DropReason::rpf_uplink},
      {"plain from a local pod", kUplinkPort, plain(kB, kA), DropReason::rpf_uplink},
      {"transit", kUplinkPort, plain("192.168.100.5", "192.168.100.6"), DropReason::rt_transit},
      {"an unallocated address of our block", kPodA,
       from_pod(kPodAMac).ip4(kA, "10.244.1.99").udp(1, 2), DropReason::rt_blackhole},
      {"nowhere to go", kPodA, from_pod(kPodAMac).ip4(kA, "8.8.8.8").udp(1, 2),
       DropReason::rt_no_route},
      {"a pod tunnels", kPodA, from_pod(kPodAMac).ip4(kA, kB).ip4("1.2.3.4", "5.6.7.8"),
       DropReason::tun_from_workload},
      {"a reply to no question", kPodA, from_pod(kPodAMac).ip4(kA, kB).icmp(0, 0, 5, 1),
       DropReason::icmp_unsolicited},
      {"a SYN+ACK to no SYN", kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1, 2, kSyn | kAck),
       DropReason::ct_invalid},
      {"a wrong checksum", kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2).checksum(0x1234),
       DropReason::l4_checksum},
      {"a later fragment without its first", kPodA,
       from_pod(kPodAMac).ip4(kA, kB).protocol(17).fragment(100, false).payload(64),
       DropReason::frag_no_head},
      {"an error about an unknown flow", kPodA,
       from_pod(kPodAMac)
           .ip4(kA, kB)
           .icmp(3, 1, 0, 0)
           .raw(slice(Frame().ip4(kB, kA).udp(7, 9).build(), 14)),
       DropReason::icmp_unrelated},
      {"IPv6", kPodA, from_pod(kPodAMac).type(kTypeIp6).payload(60), DropReason::ip6_disabled},
      {"ARP for another's address", kPodA,
       from_pod(kPodAMac).arp(1, kPodAMac, kB, "169.254.1.1"), DropReason::arp_invalid},
      {"the last hop", kPodA, from_pod(kPodAMac).ip4(kA, kB).ttl(1).udp(1, 2),
       DropReason::ip4_ttl},
  };
  for (const DropRow& row : rows) {
    World w;
    w.in(row.port, row.frame);
    EXPECT_EQ(w.drops(row.reason), 1u) << row.sentence;
    w.expect_sums();
  }
}

TEST(Pipeline, AnswersArpForEveryAddressButTheAskersOwn) {
  World w;
  w.in(kPodA, Frame().ether(test::kBroadcastMac, kPodAMac).arp(1, kPodAMac, kA, "169.254.1.1"));
  const Bytes reply = w.out(kPodA);
  ASSERT_EQ(reply.size(), 42u);
  EXPECT_EQ(reply[21], 2) << "a reply";
  EXPECT_EQ(slice(reply, 22, 6), Bytes(6, 0xee));
  w.in(kPodA, Frame().ether(test::kBroadcastMac, kPodAMac).arp(1, kPodAMac, kA, kA));
  EXPECT_TRUE(w.out(kPodA).empty());
  w.expect_sums();
}

TEST(Pipeline, TellsTheSenderOfABigPacketTheMtuOfTheTunnel) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).df().udp(1, 2).payload(1472));
  const Bytes error = w.out(kPodA);
  ASSERT_GE(error.size(), 42u);
  EXPECT_EQ(error[34], 3);
  EXPECT_EQ(error[35], 4);
  EXPECT_EQ(test::get16(error, 40), 1480);
  EXPECT_EQ(w.drops(DropReason::mtu_exceeded), 1u);
  w.expect_sums();
}

TEST(Pipeline, TakesTheMtuOfTheTunnelFromTheUplink) {
  World w(kAllowAll, 1, 1400);
  const auto big = [](size_t payload) {
    return from_pod(kPodAMac).ip4(kA, kRemotePod).df().udp(1, 2).raw(Bytes(payload));
  };
  w.in(kPodA, big(1380 - 28));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.in(kPodA, big(1381 - 28));
  EXPECT_TRUE(w.out(kUplinkPort).empty());
  EXPECT_EQ(test::get16(w.out(kPodA), 40), 1380) << "ICMP 3/4 names it";
  w.expect_sums();
}

TEST(Pipeline, CountsWhatIsForAPodWithoutAnInterface) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.close(kPodB);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).udp(1, 2));
  EXPECT_EQ(w.drops(DropReason::port_down), 1u);
  w.expect_sums();
}

TEST(Pipeline, FragmentsWhatIsTooBigForTheTunnelAndMayBe) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kRemotePod).udp(1, 2).payload(1472));
  const Bytes first = w.out(kUplinkPort);
  const Bytes second = w.out(kUplinkPort);
  EXPECT_EQ(first.size() + second.size(), 2u * (14 + 20 + 20) + 1480);
  EXPECT_LE(first.size(), 1514u);
  w.expect_sums();
}

TEST(Pipeline, CarriesFragmentsByWhatTheFirstSaid) {
  World w(kAllow80);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).fragment(0, true).udp(1, 2).payload(64));
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).protocol(17).fragment(9, false).payload(64));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 2u) << "all pieces share one verdict";
  World open;
  open.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).id(7).fragment(0, true).udp(1, 2).payload(64));
  open.in(kPodA,
          from_pod(kPodAMac).ip4(kA, kB).id(7).protocol(17).fragment(9, false).payload(64));
  EXPECT_FALSE(open.out(kPodB).empty());
  EXPECT_FALSE(open.out(kPodB).empty());
}

TEST(Pipeline, HoldsWhatWaitsForANeighbourAndAsks) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, "192.168.100.50").udp(1, 2));
  const Bytes request = w.out(kUplinkPort);
  ASSERT_EQ(request.size(), 42u);
  EXPECT_EQ(test::get16(request, 12), kTypeArp);
  w.expect_sums();
  const MacAddress answer{{2, 0, 0, 0, 0, 0x50}};
  w.in(kUplinkPort, Frame().ether(kUplinkMac, answer).arp(2, answer, "192.168.100.50", kNode));
  w.tick();
  EXPECT_EQ(slice(w.out(kUplinkPort), 0, 6), Bytes(answer.bytes, answer.bytes + 6));
  w.expect_sums();
}

TEST(Pipeline, DropsWhatWaitedTooLongForANeighbour) {
  World w;
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, "192.168.100.50").udp(1, 2));
  w.now += 2000000000;
  w.tick();
  EXPECT_EQ(w.drops(DropReason::neigh_unresolved), 1u);
  w.expect_sums();
}

TEST(Pipeline, LetsTheNodeReachItsPodsUnjudgedAndTheAnswerReturn) {
  World w(kDenyAll);
  w.in(kHostPort, Frame().ether(kHostMac, kKernelMac).ip4(kNode, kB).tcp(9, 80, kSyn));
  const Bytes request = w.out(kPodB);
  ASSERT_FALSE(request.empty());
  EXPECT_EQ(request[22], 64) << "the node's own packet keeps its TTL";
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kNode).tcp(80, 9, kSyn | kAck));
  EXPECT_EQ(slice(w.out(kHostPort), 0, 6), Bytes(kKernelMac.bytes, kKernelMac.bytes + 6));
  w.expect_sums();
}

TEST(Pipeline, LetsRelatedErrorsThrough) {
  World w;
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kA).udp(7, 9));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kPodA, from_pod(kPodAMac)
                  .ip4(kA, kRemotePod)
                  .icmp(3, 3, 0, 0)
                  .raw(slice(Frame().ip4(kRemotePod, kA).udp(7, 9).build(), 14)));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  w.expect_sums();
}

TEST(Pipeline, CarriesAFlowBetweenPodsOfTwoWorkers) {
  World w(kAllow80, 2);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kA).tcp(80, 1000, kSyn | kAck));
  EXPECT_FALSE(w.out(kPodA).empty());
  w.in(kUplinkPort, from_peer().ip4(kRemotePod, kB).tcp(5, 80, kSyn));
  EXPECT_FALSE(w.out(kPodB).empty());
  w.in(kPodB, from_pod(kPodBMac).ip4(kB, kRemotePod).tcp(80, 5, kSyn | kAck));
  EXPECT_FALSE(w.out(kUplinkPort).empty());
  EXPECT_EQ(w.connections(0).size(), 1u);
  EXPECT_EQ(w.connections(1).size(), 2u);
  w.in(kPodA, from_pod(kPodAMac).ip4(kA, kB).tcp(1000, 81, kSyn));
  EXPECT_EQ(w.drops(DropReason::policy_deny_ingress), 1u);
  w.expect_sums();
}

}  // namespace
}  // namespace sluice
