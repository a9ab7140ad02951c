// SPDX-License-Identifier: Apache-2.0
#include "control/explain.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "control/policy_trail.h"
#include "fastpath/decide.h"

namespace sluice::control {
namespace {

using nlohmann::json;

struct Packet {
  FlowKey key;
  Origin origin;
};

// ---- reading -----------------------------------------------------------------------------

std::optional<unsigned> number_of(std::string_view text, unsigned max) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool good = error == std::errc{} && stop == end && value <= max;
  return good ? std::optional(value) : std::nullopt;
}

// An integer field within 0..max; `fallback` if it is absent, an Error if there is none either.
Result<unsigned> field(const json& packet, const char* key, unsigned max,
                       std::optional<unsigned> fallback) {
  const auto it = packet.find(key);
  if (it == packet.end() || it->is_null()) {
    if (fallback) {
      return *fallback;
    }
    return Error{std::string(key) + " is missing"};
  }
  const bool fits =
      it->is_number_integer() && it->get<int64_t>() >= 0 && it->get<int64_t>() <= max;
  if (!fits) {
    return Error{std::string(key) + ": " + it->dump() + " is not a number from 0 to " +
                 std::to_string(max)};
  }
  return it->get<unsigned>();
}

Result<Address> address_field(const json& packet, const char* key) {
  const auto it = packet.find(key);
  if (it == packet.end() || !it->is_string()) {
    return Error{std::string(key) + " is missing, or not a string"};
  }
  const auto address = parse_address(it->get_ref<const std::string&>());
  if (!address) {
    return Error{std::string(key) + ": " + it->dump() + " is no IP address"};
  }
  return *address;
}

Result<uint8_t> protocol_field(const json& packet) {
  const auto it = packet.find("proto");
  if (it == packet.end()) {
    return Error{"proto is missing"};
  }
  if (it->is_number_integer() && it->get<int64_t>() >= 0 && it->get<int64_t>() <= 255) {
    return it->get<uint8_t>();
  }
  if (it->is_string()) {
    if (const auto known = proto::number(it->get_ref<const std::string&>())) {
      return *known;
    }
  }
  return Error{"proto: " + it->dump() + " is no protocol"};
}

Status read_l4(const json& packet, FlowKey& key) {
  if (proto::has_ports(key.protocol)) {
    const auto sport = field(packet, "sport", 65535, kEphemeralPort);
    const auto dport = field(packet, "dport", 65535, std::nullopt);
    if (!sport || !dport) {
      return sport ? dport.error() : sport.error();
    }
    key.src_port = static_cast<uint16_t>(*sport);
    key.dst_port = static_cast<uint16_t>(*dport);
  } else if (proto::is_icmp(key.protocol)) {
    const unsigned echo = key.protocol == proto::kIcmp ? 8 : 128;
    const auto type = field(packet, "icmpType", 255, echo);
    const auto code = field(packet, "icmpCode", 255, 0);
    if (!type || !code) {
      return type ? code.error() : type.error();
    }
    key.dst_port = static_cast<uint16_t>(*type << 8 | *code);
  }
  return Ok{};
}

// Where the packet came in.  An interface without an endpoint is kNoPort: endpoint_down.
Result<PortId> port_field(const Built& built, const json& packet, const Address& src) {
  const Generation& g = *built.generation;
  const auto it = packet.find("in");
  if (it == packet.end() || it->is_null()) {
    const auto owner = g.by_address.find(src);
    return owner == g.by_address.end() ? kUplinkPort : g.endpoints[owner->second].port;
  }
  if (!it->is_string()) {
    return Error{"in: " + it->dump() + " is no port"};
  }
  const std::string& name = it->get_ref<const std::string&>();
  if (name == "uplink") {
    return kUplinkPort;
  }
  if (name == "host") {
    return kHostPort;
  }
  for (size_t i = 0; i < built.policy.endpoints.size(); ++i) {
    const EndpointId id = built.endpoint_ids[i];
    if (built.policy.endpoints[i].interface_name == name && id != kNoEndpoint) {
      return g.endpoints[id].port;
    }
  }
  return kNoPort;
}

// The node whose tunnel a packet from the uplink with this source came through, or 0.
Ip4 outer_source(const Generation& g, const Address& src) {
  const RouteId id = g.routes->find(src);
  if (id == Lpm4::kNone || g.routes->routes[id].kind != RouteKind::tunnel) {
    return {};
  }
  return g.routes->routes[id].next_hop.v4();
}

Result<Packet> read_packet(const Built& built, const json& packet) {
  if (!packet.is_object()) {
    return Error{"a packet is a JSON object"};
  }
  const auto src = address_field(packet, "src");
  const auto dst = address_field(packet, "dst");
  const auto protocol = protocol_field(packet);
  if (!src || !dst || !protocol) {
    return !src ? src.error() : !dst ? dst.error() : protocol.error();
  }
  if (src->is_v4() != dst->is_v4()) {
    return Error{"src and dst are of two IP versions"};
  }
  Packet out;
  out.key.src = *src;
  out.key.dst = *dst;
  out.key.protocol = *protocol;
  if (Status s = read_l4(packet, out.key); !s) {
    return s.error();
  }
  const auto port = port_field(built, packet, *src);
  if (!port) {
    return port.error();
  }
  out.origin.port = *port;
  if (*port == kUplinkPort) {
    out.origin.outer_source = outer_source(*built.generation, *src);
  }
  return out;
}

// ---- judging -----------------------------------------------------------------------------

bool is_icmp_error(const FlowKey& key) {
  const uint8_t type = key.icmp_type();
  return key.src.is_v4()
             ? key.protocol == proto::kIcmp && (type == 3 || type == 11 || type == 12)
             : key.protocol == proto::kIcmp6 && type < 128;
}

// What the outer header of a packet from the uplink decides; `in_tunnel` if it is for our end
// of a tunnel, so that all else lies with the packet inside.
DropReason check_outer(const RouteTable& routes, const Packet& p, bool& in_tunnel) {
  const bool tunnelled = p.origin.outer_source.value != 0;
  const uint8_t protocol = p.key.protocol;
  if (tunnelled) {
    const bool nested =
        protocol == proto::kIpip || protocol == proto::kIp6 || protocol == proto::kGre;
    return nested ? DropReason::tun_nested : DropReason::none;
  }
  if (p.origin.port == kUplinkPort && protocol == proto::kIpip && p.key.dst.is_v4() &&
      routes.own.contains(p.key.dst)) {
    in_tunnel = may_tunnel_to_us(routes, p.key.src.v4());
    return in_tunnel ? DropReason::none : DropReason::tun_src;
  }
  return routes.is_broadcast(p.key.dst) ? DropReason::ip4_dst : DropReason::none;
}

// What only a packet that opens a connection may not be.
DropReason check_opening(const Generation& g, const Packet& p) {
  const EndpointId source = g.endpoint_at(p.origin.port);
  if (source != kNoEndpoint && !may_send(g.endpoints[source], p.key.protocol, p.key.dst_port)) {
    return DropReason::tun_from_workload;
  }
  const uint8_t type = p.key.icmp_type();
  const bool answer = p.key.src.is_v4()
                          ? p.key.protocol == proto::kIcmp && (type == 0 || type == 14)
                          : p.key.protocol == proto::kIcmp6 && type == 129;
  return answer ? DropReason::icmp_unsolicited : DropReason::none;
}

// Everything that is decided before any policy is asked, in the pipeline's order; the first
// that fails names the reason.
struct Before {
  DropReason reason = DropReason::none;
  bool unknown = false;  // it goes with something that the fields do not tell
  Way way;
};

// What goes past the workers' policies: IPv6 that is the kernel's while it is off here, and
// what neighbours say to each other.
bool is_not_judged(const Generation& g, const Packet& p) {
  if (p.key.src.is_v4() && p.key.dst.is_v4()) {
    return false;
  }
  if (!g.options.ip6) {
    return p.origin.port == kUplinkPort && g.options.uplink_ip6_punt &&
           !g.by_address.contains(p.key.dst);
  }
  const uint8_t type = p.key.icmp_type();
  return p.key.protocol == proto::kIcmp6 &&
         ((type >= 130 && type <= 136 && type != 134) || type == 143);
}

Before check_before_policy(const Generation& g, const Packet& p) {
  Before out;
  out.unknown = is_not_judged(g, p);
  if (out.unknown) {
    return out;
  }
  out.reason = check_addresses(g.options, p.key);
  if (out.reason == DropReason::none) {
    out.reason = check_outer(*g.routes, p, out.unknown);
  }
  if (out.reason != DropReason::none || out.unknown) {
    return out;
  }
  out.reason = check_source(g, p.origin, p.key.src);
  if (out.reason == DropReason::none) {
    out.reason = check_l4(p.key);
  }
  if (out.reason == DropReason::none) {
    out.way = decide_way(g, p.origin, p.key.dst);
    out.reason = out.way.reason;
  }
  out.unknown = out.reason == DropReason::none && is_icmp_error(p.key);
  if (out.reason == DropReason::none && !out.unknown) {
    out.reason = check_opening(g, p);
  }
  return out;
}

// Which program judges the endpoint.  Where no staged policy selects it, the pending one is
// the enforced one.
ProgramId program_of(const Built& built, EndpointId id, Direction direction, bool pending) {
  const Endpoint& endpoint = built.generation->endpoints[id];
  const LocalEndpoint* local = pending ? built.endpoint(id) : nullptr;
  const bool egress = direction == Direction::egress;
  ProgramId program = kNoProgram;
  if (local != nullptr) {
    program = egress ? local->pending_egress : local->pending_ingress;
  }
  if (program == kNoProgram) {
    program = egress ? endpoint.egress : endpoint.ingress;
  }
  return program;
}

// The steps are those of the rules as written, the verdict is that of the program which the
// workers run; nobody runs a pending one.
bool allows(const Built& built, EndpointId id, Direction direction, bool pending,
            const FlowKey& key, Trail& trail) {
  const Generation& g = *built.generation;
  const Endpoint& e = g.endpoints[id];
  const bool egress = direction == Direction::egress;
  const ProgramId program = program_of(built, id, direction, pending);
  const bool as_written = ask(*g.linear, program, direction, key, trail);
  if (program != (egress ? e.egress : e.ingress)) {
    return as_written;
  }
  const InstanceId who = (egress ? e.judge_out : e.judge_in)[key.src.is_v4() ? 0 : 1];
  return who != kNoInstance && verdict_of(g, who, key).kind == Verdict::Kind::allow;
}

// What became of a packet and who said so.
struct Judged {
  DropReason reason = DropReason::none;
  bool unknown = false;
  bool by_policy = false;
  bool by_host = false;  // defaultEndpointToHostAction, after the trail
  Trail trail;

  std::string_view verdict() const {
    return unknown ? "unknown" : reason == DropReason::none ? "allow" : "deny";
  }
};

// What defaultEndpointToHostAction: Drop did, as a step of the trail.
json to_host_step(const Built& built) {
  return {{"direction", "egress"},
          {"tier", "__HOST__"},
          {"policy",
           {{"kind", "FelixConfiguration"},
            {"namespace", ""},
            {"name", built.endpoint_to_host_said_by}}},
          {"rule", -1},
          {"action", "deny"}};
}

json answer(const Built& built, const Judged& judged) {
  json trail = json::array();
  for (const TrailStep& step : judged.trail) {
    trail.push_back(step_json(built.policy, step));
  }
  if (judged.by_host) {
    trail.push_back(to_host_step(built));
  }
  json out = {{"verdict", judged.verdict()},
              {"reason", nullptr},
              {"tier", nullptr},
              {"policy", nullptr},
              {"rule", nullptr},
              {"direction", nullptr},
              {"trail", nullptr}};
  if (judged.reason != DropReason::none) {
    out["reason"] = name(judged.reason);
  }
  if (judged.by_policy && !trail.empty()) {
    for (const char* key : {"tier", "policy", "rule", "direction"}) {
      out[key] = trail.back()[key];
    }
  }
  out["trail"] = std::move(trail);
  return out;
}

// The host endpoints' side of one packet's judgement, stage by stage.
class HostJudge {
 public:
  HostJudge(const Built& built, const Packet& p, const Way& way, Trail& trail)
      : g_(*built.generation), p_(p), way_(way), trail_(trail) {
    stages_ = host_stages(g_, p.origin, way, p.key);
  }

  // Before the workloads' policies.
  DropReason in() {
    const Direction in = Direction::ingress;
    if (p_.origin.outer_source.value != 0 && !outer_passes_in()) {
      return DropReason::policy_deny_ingress;
    }
    for (const auto& [stage, name] : {std::pair(&stages_.untracked_in, "untracked"),
                                      std::pair(&stages_.pre_dnat, "preDNAT")}) {
      const Verdict::Kind said = ask_stage(*stage, name, in, p_.key);
      if (said == Verdict::Kind::deny) {
        return DropReason::policy_deny_ingress;
      }
      if (said == Verdict::Kind::allow) {
        accepted_ = true;
        return DropReason::none;
      }
    }
    // An untracked policy for what the node sends decides before the normal one.
    const Verdict::Kind out =
        ask_stage(stages_.untracked_out, "untracked", Direction::egress, p_.key);
    accepted_ = out == Verdict::Kind::allow;
    if (out == Verdict::Kind::deny) {
      return DropReason::policy_deny_egress;
    }
    const bool to_node = g_.routes->routes[way_.route].kind == RouteKind::local;
    const bool denied = ask_stage(stages_.in, to_node ? "normal" : "forward", in, p_.key) ==
                        Verdict::Kind::deny;
    return denied ? DropReason::policy_deny_ingress : DropReason::none;
  }

  // After them.
  DropReason out() {
    const bool own = p_.origin.port == kHostPort && g_.routes->own.contains(p_.key.src);
    bool denied = !accepted_ && ask_stage(stages_.out, own ? "normal" : "forward",
                                          Direction::egress, p_.key) == Verdict::Kind::deny;
    if (const Route& route = g_.routes->routes[way_.route];
        !denied && route.kind == RouteKind::tunnel) {
      denied = ask_stage(g_.uplink.untracked_out, "untracked", Direction::egress,
                         outer_key(g_.routes->outer_source, route.next_hop.v4())) ==
               Verdict::Kind::deny;
    }
    return denied ? DropReason::policy_deny_egress : DropReason::none;
  }

 private:
  static FlowKey outer_key(Ip4 src, Ip4 dst) {
    return {Address::of(src), Address::of(dst), 0, 0, proto::kIpip};
  }

  // The uplink sees what is outside, in its first two stages.
  bool outer_passes_in() {
    const FlowKey outer = outer_key(p_.origin.outer_source, g_.routes->outer_source);
    const Verdict::Kind said =
        ask_stage(g_.uplink.untracked_in, "untracked", Direction::ingress, outer);
    return said == Verdict::Kind::allow ||
           (said == Verdict::Kind::none &&
            ask_stage(g_.uplink.pre_dnat, "preDNAT", Direction::ingress, outer) !=
                Verdict::Kind::deny);
  }

  // none: go on.
  Verdict::Kind ask_stage(const HostStage& stage, const char* name, Direction direction,
                          const FlowKey& key) {
    control::ask_stage(*g_.linear, stage, name, direction, key, trail_);
    return verdict_of(g_, stage, key);
  }

  const Generation& g_;
  const Packet& p_;
  const Way& way_;
  Trail& trail_;
  HostStages stages_;
  bool accepted_ = false;  // by an untracked or preDNAT policy: no further host stage
};

// Asks both ends and the host endpoints; with `pending`, as if staged policies were enforced.
Judged judge_by_policy(const Built& built, const Packet& p, const Way& way, bool pending) {
  const FlowKey& key = p.key;
  Judged out;
  HostJudge host(built, p, way, out.trail);
  out.reason = host.in();
  const auto ask_end = [&](EndpointId id, Direction direction) {
    if (out.reason != DropReason::none || id == kNoEndpoint) {
      return;
    }
    if (!built.generation->endpoints[id].ready) {
      out.reason = DropReason::policy_not_ready;
    } else if (!allows(built, id, direction, pending, key, out.trail)) {
      out.reason = direction == Direction::egress ? DropReason::policy_deny_egress
                                                  : DropReason::policy_deny_ingress;
    }
  };
  ask_end(way.source, Direction::egress);
  if (out.reason == DropReason::none) {
    out.reason = check_to_host(*built.generation, way.source, key.dst);
    out.by_host = out.reason != DropReason::none;
  }
  ask_end(way.destination, Direction::ingress);
  if (out.reason == DropReason::none) {
    out.reason = host.out();
  }
  out.by_policy = out.reason != DropReason::policy_not_ready;
  return out;
}

bool has_pending(const Built& built, const Way& way) {
  const LocalEndpoint* from = way.source == kNoEndpoint ? nullptr : built.endpoint(way.source);
  const LocalEndpoint* to =
      way.destination == kNoEndpoint ? nullptr : built.endpoint(way.destination);
  return (from != nullptr && from->pending_egress != kNoProgram) ||
         (to != nullptr && to->pending_ingress != kNoProgram);
}

struct Answer {
  Judged now;
  std::optional<Judged> pending;  // where a staged policy selects an end
  Way way;
};

Answer judge(const Built& built, const Packet& p) {
  const Before before = check_before_policy(*built.generation, p);
  Answer out;
  if (before.reason != DropReason::none || before.unknown) {
    out.now.reason = before.reason;
    out.now.unknown = before.unknown;
    return out;
  }
  out.way = before.way;
  out.now = judge_by_policy(built, p, before.way, false);
  if (has_pending(built, before.way)) {
    out.pending = judge_by_policy(built, p, before.way, true);
  }
  return out;
}

// ---- words -------------------------------------------------------------------------------

std::string name_text(const LocalEndpoint* e) {
  if (e == nullptr) {
    return "?";
  }
  return qualified(e->namespace_name, e->name);
}

std::string end_text(const Built& built, const Address& address) {
  std::string text = to_string(address);
  const auto& owners = built.generation->by_address;
  const auto it = owners.find(address);
  const LocalEndpoint* e = it == owners.end() ? nullptr : built.endpoint(it->second);
  if (e != nullptr) {
    text += " (" + name_text(e) + ")";
  }
  return text;
}

// Tier by tier, for each end and each stage of a host endpoint that was asked.
std::string trail_text(const Built& built, const Way& way, const Judged& judged,
                       const FlowKey& key, const std::vector<std::string>& files) {
  std::string text;
  const Trail& trail = judged.trail;
  for (size_t begin = 0, end = 0; begin < trail.size(); begin = end) {
    const TrailStep& first = trail[begin];
    Trail here;
    for (; end < trail.size() && trail[end].program == first.program &&
           trail[end].direction == first.direction && trail[end].stage == first.stage;
         ++end) {
      here.push_back(trail[end]);
    }
    const EndpointId id = first.direction == Direction::egress ? way.source : way.destination;
    text += "  " + std::string(word(first.direction)) + " of " +
            (first.stage == nullptr ? name_text(built.endpoint(id))
                                    : "the host, " + std::string(first.stage)) +
            "\n" + considered_text(built.policy, here, first.direction, key, files);
  }
  if (judged.by_host) {
    text += "  the host\n    FelixConfiguration " + built.endpoint_to_host_said_by +
            ": defaultEndpointToHostAction deny\n";
  }
  return text;
}

// The addresses that a word stands for; never none.
Result<std::vector<Address>> addresses_of_word(const Built& built, std::string_view word) {
  if (word == "world") {
    return std::vector<Address>{kWorld, kWorld6};
  }
  if (word == "host") {
    std::vector<Address> own = {built.routes.outer_source};
    if (!built.routes.source6.is_zero()) {
      own.push_back(built.routes.source6);
    }
    return own;
  }
  if (const auto address = parse_address(word)) {
    return std::vector<Address>{*address};
  }
  for (const LocalEndpoint& e : built.policy.endpoints) {
    if (word != qualified(e.namespace_name, e.name) && word != e.interface_name) {
      continue;
    }
    if (e.addresses.empty()) {
      return Error{"\"" + std::string(word) + "\" has no address"};
    }
    return e.addresses;
  }
  return Error{"\"" + std::string(word) + "\" is no address and no pod of this node",
               "give an address, NAMESPACE/POD, an interface, world or host"};
}

// Two of one family; IPv6 before IPv4 only where the protocol is IPv6's.
std::optional<std::pair<Address, Address>> pair_of(const std::vector<Address>& from,
                                                   const std::vector<Address>& to,
                                                   uint8_t protocol) {
  const bool first = protocol != proto::kIcmp6;
  for (const bool v4 : {first, !first}) {
    const auto of_family = [v4](const Address& a) { return a.is_v4() == v4; };
    const auto src = std::find_if(from.begin(), from.end(), of_family);
    const auto dst = std::find_if(to.begin(), to.end(), of_family);
    if (src != from.end() && dst != to.end()) {
      return std::pair(*src, *dst);
    }
  }
  return std::nullopt;
}

}  // namespace

json explain_packet(const Built& built, const json& packet) {
  const auto p = read_packet(built, packet);
  if (!p) {
    return {{"error", p.error().what}};
  }
  const Answer judged = judge(built, *p);
  json out = answer(built, judged.now);
  if (judged.pending) {
    out["pending"] = answer(built, *judged.pending);
  }
  return out;
}

std::string explain_text(const Built& built, const json& packet,
                         const std::vector<std::string>& files) {
  const auto p = read_packet(built, packet);
  if (!p) {
    return p.error().what + "\n";
  }
  const Answer judged = judge(built, *p);
  std::string text = std::string(judged.now.verdict()) + ": " + end_text(built, p->key.src) +
                     " -> " + end_text(built, p->key.dst) + " " + l4_text(p->key);
  if (judged.now.reason != DropReason::none) {
    text += ", " + std::string(name(judged.now.reason));
  }
  if (judged.now.unknown) {
    text += is_icmp_error(p->key) ? ", an ICMP error goes with the connection it quotes"
                                  : ", ask for the packet inside the tunnel";
  }
  text += "\n";
  if (judged.now.trail.empty()) {
    text += "  no policy was asked\n";
  }
  text += trail_text(built, judged.way, judged.now, p->key, files);
  if (judged.pending) {
    text += std::string(judged.pending->verdict()) + " if staged policies were enforced\n" +
            trail_text(built, judged.way, *judged.pending, p->key, files);
  }
  return text;
}

Result<json> packet_of_words(const Built& built, std::string_view from, std::string_view to,
                             std::string_view proto_port) {
  json packet = json::object();
  if (from == "host") {
    packet["in"] = "host";
  }
  const auto src = addresses_of_word(built, from);
  const auto dst = addresses_of_word(built, to);
  if (!src || !dst) {
    return src ? dst.error() : src.error();
  }
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= proto_port.size();) {
    const size_t slash = std::min(proto_port.find('/', begin), proto_port.size());
    parts.push_back(proto_port.substr(begin, slash - begin));
    begin = slash + 1;
  }
  const Error bad{"\"" + std::string(proto_port) + "\" is no protocol and port",
                  "for example tcp/80, udp/53, icmp, icmp/8/0 or 47"};
  const auto protocol = proto::number(parts[0]);
  if (!protocol) {
    return bad;
  }
  packet["proto"] = *protocol;
  const auto ends = pair_of(*src, *dst, *protocol);
  if (!ends) {
    return Error{"\"" + std::string(from) + "\" and \"" + std::string(to) +
                 "\" have no addresses of one IP version"};
  }
  packet["src"] = to_string(ends->first);
  packet["dst"] = to_string(ends->second);
  const bool icmp = proto::is_icmp(*protocol);
  const size_t most = icmp ? 3 : proto::has_ports(*protocol) ? 2 : 1;
  if (parts.size() > most || (proto::has_ports(*protocol) && parts.size() != 2)) {
    return bad;
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const auto number = number_of(parts[i], icmp ? 255 : 65535);
    if (!number) {
      return bad;
    }
    packet[icmp ? (i == 1 ? "icmpType" : "icmpCode") : "dport"] = *number;
  }
  return packet;
}

}  // namespace sluice::control
