// SPDX-License-Identifier: Apache-2.0
#include "control/explain.h"

#include <gtest/gtest.h>

namespace sluice::control {
namespace {

using nlohmann::json;

LocalEndpoint local(const char* name, const char* interface_name, const char* address) {
  LocalEndpoint e;
  e.namespace_name = "ns1";
  e.name = name;
  e.interface_name = interface_name;
  e.addresses = {*parse_address(address)};
  return e;
}

// Program 0 lets all out by the profile.  Program 1 (web's ingress): tier default with policy
// "web" that logs, then allows tcp/80; the tier's end denies.
CompiledPolicy policy() {
  RuleSet r;
  Rule allow;
  allow.action = Action::allow;
  Rule log;
  log.action = Action::log;
  Rule http = allow;
  http.protocol = proto::kTcp;
  http.destination.ports = {{80, 80}};
  r.lists = {RuleList{{allow}}, RuleList{{log, http}}};
  r.programs = {{{Tier{{0}, TierEnd::deny, true}}},
                {{Tier{{1}}, Tier{{0}, TierEnd::deny, true}}}};
  CompiledPolicy p;
  p.rules = std::make_shared<const RuleSet>(r);
  p.lists = {ListName{"Profile", "", "kns.ns1", "__PROFILE__", Direction::egress, {}},
             ListName{"NetworkPolicy", "ns1", "web", "default", Direction::ingress, {}}};
  p.tier_names = {{"__PROFILE__"}, {"default", "__PROFILE__"}};
  p.endpoints = {local("client", "calia", "10.0.0.1"), local("web", "calib", "10.0.0.2")};
  for (LocalEndpoint& e : p.endpoints) {
    e.egress = 0;
    e.ingress = e.name == "web" ? 1 : 0;
  }
  return p;
}

Built make_built() {
  config::Model m;
  m.settings.uplink.addresses = {{*parse_address("192.168.0.1"), 120}};
  m.settings.uplink.gateway = parse_address("192.168.0.254")->v4();
  config::StaticRoute route;
  route.block = *parse_prefix("10.0.1.0/26");
  route.node = *parse_address("192.168.0.2");
  m.settings.routes = {route};

  Built b;
  b.policy = policy();
  EndpointSlots slots;
  auto g = std::make_shared<Generation>();
  g->number = 1;
  g->linear = std::make_shared<const Linear>(b.policy.rules);
  g->endpoint_of_port = {kNoEndpoint, kNoEndpoint};
  for (const LocalEndpoint& e : b.policy.endpoints) {
    const EndpointId id = *slots.assign(e.interface_name);
    b.endpoint_ids.push_back(id);
    Endpoint made;
    made.port = EndpointSlots::port_of(id);
    made.ready = true;
    made.ingress = e.ingress;
    made.egress = e.egress;
    made.addresses = {e.addresses.front().v4()};
    g->endpoints.push_back(made);
    g->endpoint_of_port.push_back(id);
    g->by_address[made.addresses.front()] = id;
  }
  config::Findings findings;
  Borrowed borrowed;
  b.routes = plan_routes(m, b.policy.endpoints, slots, borrowed, findings);
  g->routes = make_route_table(b.routes, 1);
  EXPECT_TRUE(compile(*g, {}, nullptr));
  b.generation = g;
  return b;
}

TEST(Explain, NamesVerdictReasonAndRule) {
  const struct {
    const char* packet;
    const char*
        result;  // verdict, reason, tier, policy's name, rule, direction, trail's length
  } rows[] = {
      {R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp","dport":80})",
       R"(["allow",null,"default","web",1,"ingress",3])"},
      {R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp","dport":81})",
       R"(["deny","policy_deny_ingress","default","web",-1,"ingress",3])"},
      {R"({"src":"10.0.0.1","dst":"198.51.100.1","proto":"udp","dport":53})",
       R"(["allow",null,"__PROFILE__","kns.ns1",0,"egress",1])"},
      {R"({"src":"198.51.100.1","dst":"10.0.0.2","proto":6,"dport":80})",
       R"(["allow",null,"default","web",1,"ingress",2])"},
      {R"({"src":"10.0.1.9","dst":"10.0.0.2","proto":"TCP","dport":80})",
       R"(["allow",null,"default","web",1,"ingress",2])"},
      {R"({"in":"host","src":"192.168.0.1","dst":"10.0.0.2","proto":"tcp","dport":81})",
       R"(["allow",null,null,null,null,null,0])"},
      {R"({"in":"calia","src":"10.0.0.2","dst":"10.0.0.1","proto":"icmp"})",
       R"(["deny","rpf_workload",null,null,null,null,0])"},
      {R"({"in":"uplink","src":"10.0.0.2","dst":"10.0.0.1","proto":"icmp"})",
       R"(["deny","rpf_uplink",null,null,null,null,0])"},
      {R"({"in":"calix","src":"10.0.0.2","dst":"10.0.0.1","proto":"icmp"})",
       R"(["deny","endpoint_down",null,null,null,null,0])"},
      {R"({"in":"calia","src":"10.0.0.1","dst":"10.0.0.1","proto":"icmp"})",
       R"(["deny","ip4_land",null,null,null,null,0])"},
      {R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"icmp","icmpType":0})",
       R"(["deny","icmp_unsolicited",null,null,null,null,0])"},
      {R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"icmp","icmpType":5})",
       R"(["deny","icmp_type",null,null,null,null,0])"},
      {R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"icmp","icmpType":3})",
       R"(["unknown",null,null,null,null,null,0])"},
      {R"({"src":"10.0.0.1","dst":"198.51.100.1","proto":47})",
       R"(["deny","tun_from_workload",null,null,null,null,0])"},
      {R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp","sport":0,"dport":80})",
       R"(["deny","l4_port_zero",null,null,null,null,0])"},
      {R"({"src":"198.51.100.1","dst":"198.51.100.2","proto":"tcp","dport":80})",
       R"(["deny","rt_transit",null,null,null,null,0])"},
      {R"({"src":"10.0.1.9","dst":"198.51.100.2","proto":"tcp","dport":80})",
       R"(["deny","tun_dst",null,null,null,null,0])"},
  };
  const Built built = make_built();
  for (const auto& row : rows) {
    const json out = explain_packet(built, json::parse(row.packet));
    ASSERT_FALSE(out.contains("error")) << out;
    const json policy = out["policy"].is_null() ? json() : out["policy"]["name"];
    const json flat = {out["verdict"], out["reason"],    out["tier"],        policy,
                       out["rule"],    out["direction"], out["trail"].size()};
    EXPECT_EQ(flat, json::parse(row.result)) << row.packet;
  }
}

TEST(Explain, TheFirstCheckThatFailsInThePathsOrderNamesTheReason) {
  const struct {
    const char* packet;
    const char* verdict;
    const char* reason;
  } rows[] = {
      // addresses before the source
      {R"({"in":"calia","src":"127.0.0.1","dst":"10.0.0.2","proto":"tcp","dport":0})", "deny",
       "ip4_src"},
      {R"({"in":"calia","src":"10.0.0.2","dst":"224.0.0.1","proto":"udp","dport":9})", "deny",
       "ip4_dst"},
      {R"({"in":"calia","src":"10.0.0.9","dst":"192.168.0.255","proto":"udp","dport":9})",
       "deny", "ip4_dst"},
      // the source before ports, ICMP types and the way
      {R"({"in":"calia","src":"10.0.0.9","dst":"10.0.0.2","proto":"tcp","dport":0})", "deny",
       "rpf_workload"},
      {R"({"in":"calia","src":"10.0.0.9","dst":"10.0.0.2","proto":"icmp","icmpType":5})",
       "deny", "rpf_workload"},
      {R"({"in":"calia","src":"10.0.0.9","dst":"10.0.0.2","proto":"icmp","icmpType":0})",
       "deny", "rpf_workload"},
      {R"({"in":"calia","src":"10.0.0.9","dst":"198.51.100.1","proto":47})", "deny",
       "rpf_workload"},
      {R"({"in":"calia","src":"10.0.0.9","dst":"10.0.0.2","proto":"icmp","icmpType":3})",
       "deny", "rpf_workload"},
      // ports and ICMP types before the way
      {R"({"src":"198.51.100.1","dst":"198.51.100.2","proto":"tcp","dport":0})", "deny",
       "l4_port_zero"},
      {R"({"src":"198.51.100.1","dst":"198.51.100.2","proto":"icmp","icmpType":5})", "deny",
       "icmp_type"},
      // the way before what may not open a connection
      {R"({"src":"198.51.100.1","dst":"198.51.100.2","proto":"icmp","icmpType":0})", "deny",
       "rt_transit"},
      {R"({"src":"198.51.100.1","dst":"198.51.100.2","proto":"icmp","icmpType":3})", "deny",
       "rt_transit"},
      {R"({"src":"10.0.0.1","dst":"10.0.0.1","proto":47})", "deny", "ip4_land"},
      // tunnels
      {R"({"src":"10.0.1.9","dst":"10.0.0.2","proto":47})", "deny", "tun_nested"},
      {R"({"src":"10.0.1.9","dst":"10.0.0.2","proto":4})", "deny", "tun_nested"},
      {R"({"src":"192.168.0.2","dst":"192.168.0.1","proto":4})", "unknown", nullptr},
      {R"({"src":"192.168.0.3","dst":"192.168.0.1","proto":4})", "deny", "tun_src"},
      {R"({"src":"192.168.0.2","dst":"10.0.0.2","proto":"icmp","icmpType":3})", "unknown",
       nullptr},
  };
  const Built built = make_built();
  for (const auto& row : rows) {
    const json out = explain_packet(built, json::parse(row.packet));
    EXPECT_EQ(out["verdict"], row.verdict) << row.packet << out;
    EXPECT_EQ(out["reason"], row.reason == nullptr ? json() : json(row.reason)) << row.packet;
    EXPECT_TRUE(out["trail"].empty());
  }
}

// The same node with IPv6 beside IPv4: calia fd00::1, calib fd00::2 behind fd00:7::1.
Built make_built6(bool on = true) {
  Built b = make_built();
  auto g = std::make_shared<Generation>(*b.generation);
  g->options.ip6 = on;
  EndpointSlots slots;
  for (size_t i = 0; i < b.policy.endpoints.size(); ++i) {
    const Address six = {0xfd00000000000000, i + 1};
    b.policy.endpoints[i].addresses.push_back(six);
    slots.assign(b.policy.endpoints[i].interface_name);
    g->endpoints[i].addresses.push_back(six);
    g->by_address[six] = static_cast<EndpointId>(i);
  }
  config::Model m;
  m.settings.uplink.addresses = {{*parse_address("192.168.0.1"), 120},
                                 {*parse_address("fd00:7::1"), 64}};
  m.settings.uplink.gateway6 = parse_address("fe80::1");
  config::StaticRoute route;
  route.block = *parse_prefix("fd00:1::/64");
  route.node = *parse_address("fd00:7::2");
  route.tunnel = false;
  m.settings.routes = {route};
  config::Findings findings;
  Borrowed borrowed;
  b.routes = plan_routes(m, b.policy.endpoints, slots, borrowed, findings);
  g->routes = make_route_table(b.routes, 2);
  EXPECT_TRUE(compile(*g, {}, nullptr));
  b.generation = g;
  return b;
}

TEST(Explain, JudgesIpv6LikeIpv4) {
  const struct {
    const char* packet;
    const char* verdict;
    const char* reason;  // "" for none
  } rows[] = {
      {R"({"src":"fd00::1","dst":"fd00::2","proto":"tcp","dport":80})", "allow", ""},
      {R"({"src":"fd00::1","dst":"fd00::2","proto":"tcp","dport":81})", "deny",
       "policy_deny_ingress"},
      {R"({"src":"fd00::1","dst":"2001:db8::1","proto":"icmpv6"})", "allow", ""},
      {R"({"src":"fd00:1::9","dst":"fd00::2","proto":"tcp","dport":80})", "allow", ""},
      {R"({"src":"2001:db8::1","dst":"fd00::2","proto":"tcp","dport":80})", "allow", ""},
      {R"({"in":"host","src":"fd00:7::1","dst":"fd00::2","proto":"tcp","dport":81})", "allow",
       ""},
      {R"({"in":"calia","src":"fd00::2","dst":"fd00::1","proto":"icmpv6"})", "deny",
       "rpf_workload"},
      {R"({"in":"uplink","src":"fd00::2","dst":"fd00::1","proto":"icmpv6"})", "deny",
       "rpf_uplink"},
      {R"({"in":"uplink","src":"fd00:7::1","dst":"fd00::1","proto":"icmpv6"})", "deny",
       "rpf_uplink"},
      {R"({"src":"2001:db8::1","dst":"2001:db8::2","proto":"icmpv6"})", "deny", "rt_transit"},
      {R"({"in":"calia","src":"fe80::1","dst":"fd00::2","proto":"tcp","dport":80})", "deny",
       "ip6_src"},
      {R"({"in":"calia","src":"fd00::1","dst":"ff02::1","proto":"udp","dport":80})", "deny",
       "ip6_dst"},
      {R"({"in":"calia","src":"fd00::1","dst":"fd00::1","proto":"tcp","dport":80})", "deny",
       "ip6_src"},
      {R"({"src":"fd00::1","dst":"fd00::2","proto":"icmpv6","icmpType":2})", "unknown", ""},
      {R"({"src":"fd00::1","dst":"fd00::2","proto":"icmpv6","icmpType":129})", "deny",
       "icmp_unsolicited"},
      {R"({"src":"fd00::1","dst":"fd00::2","proto":"icmpv6","icmpType":134})", "deny",
       "icmp_type"},
      {R"({"src":"fd00::1","dst":"fd00:1::9","proto":"icmp","icmpType":3})", "allow", ""},
      {R"({"src":"fd00::1","dst":"2001:db8::1","proto":41})", "deny", "tun_from_workload"},
      {R"({"src":"2001:db8::1","dst":"fd00:7::1","proto":4})", "allow", ""},
  };
  const Built built = make_built6();
  for (const auto& row : rows) {
    const json out = explain_packet(built, json::parse(row.packet));
    EXPECT_EQ(out["verdict"], row.verdict) << row.packet << out;
    EXPECT_EQ(out["reason"], *row.reason == 0 ? json() : json(row.reason)) << row.packet;
  }
}

TEST(Explain, RefusesIpv6WhereItIsOff) {
  const Built built = make_built6(false);
  const json out = explain_packet(
      built, json::parse(R"({"src":"fd00::1","dst":"fd00::2","proto":"tcp","dport":80})"));
  EXPECT_EQ(out["reason"], "ip6_disabled") << out;
  EXPECT_TRUE(out["trail"].empty());
}

TEST(Explain, WordsMeanAddressesOfOneFamily) {
  const struct {
    const char* from;
    const char* to;
    const char* proto;
    const char* src;  // nullptr: no packet
    const char* dst;
  } rows[] = {
      {"ns1/client", "ns1/web", "tcp/80", "10.0.0.1", "10.0.0.2"},
      {"ns1/client", "ns1/web", "icmpv6", "fd00::1", "fd00::2"},
      {"ns1/client", "fd00::2", "tcp/80", "fd00::1", "fd00::2"},
      {"world", "fd00::2", "tcp/80", "2001:db8::1", "fd00::2"},
      {"host", "fd00::2", "tcp/80", "fd00:7::1", "fd00::2"},
      {"ns1/client", "world", "icmpv6", "fd00::1", "2001:db8::1"},
      {"10.0.0.1", "fd00::2", "tcp/80", nullptr, nullptr},
  };
  const Built built = make_built6();
  for (const auto& row : rows) {
    const auto packet = packet_of_words(built, row.from, row.to, row.proto);
    ASSERT_EQ(packet.has_value(), row.src != nullptr) << row.from << " " << row.to;
    if (packet) {
      EXPECT_EQ((*packet)["src"], row.src);
      EXPECT_EQ((*packet)["dst"], row.dst);
    }
  }
}

TEST(Explain, TheTrailHoldsBothDirectionsInOrder) {
  const json out = explain_packet(make_built(), json::parse(R"({"src":"10.0.0.1",
      "dst":"10.0.0.2","proto":"tcp","dport":81})"));
  EXPECT_EQ(out["trail"], json::parse(R"([
      {"direction":"egress","tier":"__PROFILE__","rule":0,"action":"allow",
       "policy":{"kind":"Profile","namespace":"","name":"kns.ns1"}},
      {"direction":"ingress","tier":"default","rule":0,"action":"log",
       "policy":{"kind":"NetworkPolicy","namespace":"ns1","name":"web"}},
      {"direction":"ingress","tier":"default","rule":-1,"action":"deny",
       "policy":{"kind":"NetworkPolicy","namespace":"ns1","name":"web"}}])"));
}

TEST(Explain, SaysWhatIsWrongWithAPacket) {
  const Built built = make_built();
  for (const char* packet :
       {"[]", "{}", R"({"src":"10.0.0.1","dst":"x","proto":"tcp","dport":1})",
        R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp"})",
        R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp","dport":65536})",
        R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"tcp","dport":"80"})",
        R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":"xyz"})",
        R"({"src":"10.0.0.1","dst":"10.0.0.2","proto":256})",
        R"({"src":"10.0.0.1","dst":"fd00::1","proto":"icmp"})",
        R"({"in":7,"src":"10.0.0.1","dst":"10.0.0.2","proto":"icmp"})"}) {
    EXPECT_TRUE(explain_packet(built, json::parse(packet)).contains("error")) << packet;
  }
}

TEST(Explain, WordsMakeAPacket) {
  const struct {
    const char* from;
    const char* to;
    const char* proto;
    const char* verdict;  // nullptr: no packet
  } rows[] = {
      {"ns1/client", "ns1/web", "tcp/80", "allow"},
      {"ns1/client", "ns1/web", "tcp/81", "deny"},
      {"calia", "world", "icmp", "allow"},
      {"world", "ns1/web", "icmp/8/0", "deny"},
      {"host", "ns1/web", "udp/53", "allow"},
      {"10.0.0.1", "10.0.0.2", "47", "deny"},
      {"ns1/nobody", "ns1/web", "tcp/80", nullptr},
      {"ns1/client", "ns1/web", "tcp", nullptr},
      {"ns1/client", "ns1/web", "tcp/80/1", nullptr},
      {"ns1/client", "ns1/web", "tcp/http", nullptr},
      {"ns1/client", "ns1/web", "", nullptr},
  };
  const Built built = make_built();
  for (const auto& row : rows) {
    const auto packet = packet_of_words(built, row.from, row.to, row.proto);
    ASSERT_EQ(packet.has_value(), row.verdict != nullptr) << row.from << " " << row.proto;
    if (packet) {
      EXPECT_EQ(explain_packet(built, *packet)["verdict"], row.verdict) << row.from;
    }
  }
}

TEST(Explain, TextReadsAsASentenceAndATrail) {
  const Built built = make_built();
  const auto packet = packet_of_words(built, "ns1/client", "ns1/web", "tcp/81");
  EXPECT_EQ(explain_text(built, *packet, {}),
            "deny: 10.0.0.1 (ns1/client) -> 10.0.0.2 (ns1/web) tcp/81, policy_deny_ingress\n"
            "  egress of ns1/client\n"
            "    profiles\n"
            "      Profile kns.ns1: rule 0 allow\n"
            "  ingress of ns1/web\n"
            "    tier default\n"
            "      NetworkPolicy ns1/web: rule 0 log\n"
            "      end of tier: deny, selected and not allowed by NetworkPolicy ns1/web\n");
}

}  // namespace
}  // namespace sluice::control
