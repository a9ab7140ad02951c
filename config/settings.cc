// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <algorithm>
#include <charconv>

#include "config/scalars.h"

namespace sluice::config {
namespace {

// `on` and `off`, as the settings write them; YAML's own true and false too.
std::optional<bool> read_switch(const Value& v, std::string_view on = "on",
                                std::string_view off = "off") {
  if (const std::string s = v.written(); on == "on" && (s == "true" || s == "false")) {
    return s == "true";
  }
  const auto index = v.one_of({on, off});
  return index ? std::optional<bool>(*index == 0) : std::nullopt;
}

template <typename T>
void set(T& to, const std::optional<T>& value) {
  if (value) {
    to = *value;
  }
}

// The same, of a setting that no part of this version reads.
template <typename T>
void set_unread(const Value& v, T& to, const std::optional<T>& value) {
  if (value && *value != to) {
    v.warning("is not applied yet");
  }
  set(to, value);
}

// Readers of settings: one of `words`, in the order of the enumeration; `on` or `off`.
using FieldReader = std::function<void(const Value&)>;
template <typename Enum>
FieldReader choice(Enum& to, std::vector<std::string_view> words) {
  return [&to, words = std::move(words)](const Value& v) {
    if (const auto i = v.one_of(words)) {
      to = static_cast<Enum>(*i);
    }
  };
}
FieldReader toggle(bool& to, std::string_view on, std::string_view off) {
  return [&to, on, off](const Value& v) { set(to, read_switch(v, on, off)); };
}

// "192.168.100.111/24" or "2001:db8::111/64"
std::optional<Uplink::InterfaceAddress> read_interface_address(const Value& v) {
  const std::string s = v.written();
  const size_t slash = s.find('/');
  const auto address = parse_address(std::string_view(s).substr(0, slash));
  const auto prefix = parse_prefix(s);
  if (slash == std::string::npos || !address || !prefix) {
    v.error("\"" + s + "\" is no address with its prefix length",
            "write it as 192.168.1.2/24 or fd00::2/64");
    return {};
  }
  if (address->is_link_local()) {
    v.error("\"" + s + "\" is link-local",
            "leave it out: it is the interface's own; give global or unique local addresses");
    return {};
  }
  return Uplink::InterfaceAddress{*address, prefix->length};
}

// A name as the kernel takes it: IFNAMSIZ bytes with the closing zero.
std::string read_interface(const Value& v) {
  std::string s = v.text();
  constexpr size_t kLongest = 15;
  if (s.empty() || s.size() > kLongest || s.find_first_of("/: \t") != std::string::npos) {
    v.error("\"" + s + "\" is no interface's name");
  }
  return s;
}

std::string read_filled(const Value& v) {
  std::string s = v.text();
  if (v.is_scalar() && v.written().empty()) {
    v.error("is empty", "leave the field out, or give it a value");
  }
  return s;
}

// What bind() takes: a path of at most 107 bytes.
std::string read_socket(const Value& v) {
  std::string s = read_filled(v);
  constexpr size_t kLongest = 107;
  if (s.size() > kLongest) {
    v.error("longer than 107 bytes");
  }
  return s;
}

// "127.0.0.1:9091" or "[::1]:9091"
std::optional<std::string> read_listen(const Value& v) {
  std::string s = v.written();
  const size_t colon = std::min(s.rfind(':'), s.size());
  std::string_view host = std::string_view(s).substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  const std::string_view port = std::string_view(s).substr(std::min(colon + 1, s.size()));
  if (!parse_address(host) || parse_whole<uint16_t>(port).value_or(0) == 0) {
    v.error("\"" + s + "\" is no address with a port", "write it as 127.0.0.1:9091");
    return {};
  }
  return s;
}

void check_uplink(const Value& v, const Uplink& u) {
  if (u.interface.empty() == u.device.empty()) {
    v.error(u.interface.empty() ? "neither interface nor device is given"
                                : "interface and device exclude each other",
            "interface: a kernel interface; device: a PCI address or DPDK devargs");
  }
  if (u.addresses.empty()) {
    v.error("addresses is missing", "addresses: [192.168.100.111/24]");
  }
  if (u.mac && !u.interface.empty()) {
    v.get("mac")->warning("beside interface is not applied yet");
  }
  const auto check_reachable = [&](const char* key, const Address& gateway) {
    const bool on_link =
        std::any_of(u.addresses.begin(), u.addresses.end(),
                    [&](const auto& a) { return a.subnet().contains(gateway); });
    if (!on_link && !gateway.is_link_local()) {
      v.error(std::string(key) + " " + to_string(gateway) +
              " is in none of the addresses' subnets");
    }
  };
  if (u.gateway) {
    check_reachable("gateway", Address::of(*u.gateway));
  }
  if (u.gateway6) {
    check_reachable("gateway6", *u.gateway6);
  }
}

void read_uplink(const Value& v, Uplink& u) {
  u.where = v.where();
  v.fields({
      {"interface", [&](const Value& x) { u.interface = read_interface(x); }},
      {"device", [&](const Value& x) { u.device = read_filled(x); }},
      {"addresses",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           if (const auto a = read_interface_address(item)) {
             u.addresses.push_back(*a);
           }
         }
       }},
      {"gateway", [&](const Value& x) { u.gateway = read_ip4(x); }},
      {"gateway6", [&](const Value& x) { u.gateway6 = read_ip6(x); }},
      {"mac", [&](const Value& x) { u.mac = read_mac(x); }},
      {"neighbours",
       [&](const Value& x) {
         for (const auto& [key, value] : x.entries()) {
           const auto ip = read_address(key);
           const auto mac = read_mac(value);
           if (ip && mac) {
             u.neighbours[*ip] = *mac;
           }
         }
       }},
  });
  check_uplink(v, u);
}

void read_route(const Value& v, std::vector<StaticRoute>& out) {
  std::optional<Prefix> block;
  std::optional<Address> node;
  bool tunnel = true;
  v.fields({
      {"block", [&](const Value& x) { block = read_cidr(x); }},
      {"node", [&](const Value& x) { node = read_address(x); }},
      {"mode",
       [&](const Value& x) {
         const auto mode = x.one_of({"ipip", "direct"});
         tunnel = !mode || *mode == 0;
       }},
  });
  if (!v.get("block") || !v.get("node")) {
    v.error("a route needs a block and a node", "{block: 10.244.1.0/26, node: 192.168.1.2}");
  }
  if (!block || !node) {
    return;
  }
  if (block->is_v4() != node->is_v4()) {
    v.error("block " + to_string(*block) + " and node " + to_string(*node) +
            " are of two IP versions");
    return;
  }
  if (tunnel && !block->is_v4()) {
    v.get("mode").value_or(v).error("IPIP carries IPv4 only", "mode: direct");
    return;
  }
  out.push_back({*block, *node, tunnel});
}

constexpr uint64_t kLeastMemory = uint64_t{1} << 20;

// "64Mi", "1Gi", or bytes.
std::optional<uint64_t> read_size(const Value& v) {
  const std::string s = v.written();
  uint64_t n = 0;
  const auto [end, code] = std::from_chars(s.data(), s.data() + s.size(), n);
  const std::string_view unit(end, static_cast<size_t>(s.data() + s.size() - end));
  const unsigned shift = unit == "Ki" ? 10 : unit == "Mi" ? 20 : unit == "Gi" ? 30 : 0;
  if (code != std::errc() || (shift == 0 && !unit.empty()) || n > UINT64_MAX >> shift ||
      n << shift < kLeastMemory) {
    v.error("\"" + s + "\" is no size from 1Mi on", "write it as 64Mi or 1Gi");
    return {};
  }
  return n << shift;
}

// Packets a second; 0 is no limit.
std::optional<uint32_t> read_rate(const Value& v) {
  constexpr uint64_t kHighest = 10000000;
  const auto n = v.integer(0, kHighest);
  return n ? std::optional(static_cast<uint32_t>(*n)) : std::nullopt;
}

void read_path(const Value& v, Settings& s) {
  auto& p = s.path;
  v.fields({
      {"ip6", toggle(p.ip6, "on", "off")},
      {"tcpLoose", choice(p.tcp_loose, {"grace", "on", "off"})},
      {"tcpLiberal", toggle(p.tcp_liberal, "on", "off")},
      {"ipOptions", choice(p.ip_options, {"drop", "allow"})},
      {"l4Checksum", choice(p.l4_checksum, {"control", "full", "off"})},
      {"uplinkIp6", toggle(p.uplink_ip6_punt, "punt", "drop")},
      {"transit",
       [&](const Value& x) {
         set(p.transit_allow, read_switch(x, "allow", "deny"));
         p.transit_at = x.where();
       }},
      {"onExit", choice(p.on_exit, {"drop", "kernel"})},
      {"tunFromWorkload", toggle(p.tun_from_workload, "allow", "deny")},
      {"puntUnknownL2",
       [&](const Value& x) { set_unread(x, p.punt_unknown_l2, read_switch(x)); }},
      {"puntRate", [&](const Value& x) { set(p.punt_rate, read_rate(x)); }},
      {"puntArpRate", [&](const Value& x) { set(p.punt_arp_rate, read_rate(x)); }},
  });
}

std::vector<unsigned> read_cores(const Value& v) {
  std::vector<unsigned> cores;
  const std::vector<Value> items = v.list();
  for (const Value& item : items) {
    if (const auto core = item.integer(0, 1023)) {
      const auto n = static_cast<unsigned>(*core);
      if (std::count(cores.begin(), cores.end(), n) != 0) {
        item.error("core " + std::to_string(n) + " is named twice");
      }
      cores.push_back(n);
    }
  }
  if (v.is_list() && (items.empty() || items.size() > 64)) {
    v.error("1 to 64 cores are expected");
  }
  return cores;
}

void read_workers(const Value& v, Settings& s) {
  v.fields({
      {"cores", [&](const Value& x) { s.workers.cores = read_cores(x); }},
      {"idle", toggle(s.workers.poll, "poll", "adaptive")},
  });
}

void read_connections(const Value& v, Settings& s) {
  auto& c = s.connections;
  v.fields({
      {"max",
       [&](const Value& x) {
         if (const auto n = x.integer(1024, 100000000)) {
           c.max = static_cast<uint32_t>(*n);
         }
       }},
      {"timeouts", toggle(c.calico_bpf_timeouts, "calico-bpf", "linux")},
      {"onPolicyChange", toggle(c.recheck, "recheck", "keep")},
      {"endpointShare",
       [&](const Value& x) {
         const auto n = x.number();
         if (n && (*n <= 0 || *n > 1)) {
           x.error("a share above 0 and up to 1 is expected");
         } else {
           set(c.endpoint_share, n);
         }
       }},
  });
}

}  // namespace

void read_settings(const Value& document, Settings& s, std::vector<Where>& resources_at) {
  document.fields({
      {"node",
       [&](const Value& x) {
         s.node = read_filled(x);
         s.node_at = x.where();
       }},
      {"resources",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           s.resources.push_back(read_filled(item));
           resources_at.push_back(item.where());
         }
       }},
      {"uplink", [&](const Value& x) { read_uplink(x, s.uplink); }},
      {"tunnel",
       [&](const Value& x) {
         x.fields({{"address", [&](const Value& y) { s.tunnel_address = read_ip4(y); }}});
       }},
      {"routes",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           read_route(item, s.routes);
         }
       }},
      {"workers", [&](const Value& x) { read_workers(x, s); }},
      {"connections", [&](const Value& x) { read_connections(x, s); }},
      {"path", [&](const Value& x) { read_path(x, s); }},
      {"policy",
       [&](const Value& x) {
         x.fields({
             {"httpRules", toggle(s.policy.http_l4, "l4", "refuse")},
             {"memory",
              [&](const Value& y) {
                set(s.policy.memory, read_size(y));
                s.policy.memory_at = y.where();
              }},
         });
       }},
      {"control",
       [&](const Value& x) {
         x.fields({
             {"socket", [&](const Value& y) { s.control.socket = read_socket(y); }},
             {"metrics",
              [&](const Value& y) { set_unread(y, s.control.metrics, read_listen(y)); }},
             {"state", [&](const Value& y) { s.control.state = read_filled(y); }},
         });
       }},
  });
  if (!document.get("node")) {
    document.error("node is missing", "node: the name of this node in your Calico resources");
  }
  if (!document.get("uplink")) {
    document.error("uplink is missing",
                   "uplink: {interface: eth0, addresses: [192.168.1.2/24]}");
  }
}

}  // namespace sluice::config
