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

// "192.168.100.111/24"
std::optional<Uplink::InterfaceAddress> read_interface_address(const Value& v) {
  const std::string s = v.text();
  const size_t slash = s.find('/');
  const auto address = parse_address(std::string_view(s).substr(0, slash));
  const auto prefix = parse_prefix(s);
  if (slash == std::string::npos || !address || !address->is_v4() || !prefix) {
    v.error("\"" + s + "\" is no address with its prefix length", "write it as 192.168.1.2/24");
    return {};
  }
  return Uplink::InterfaceAddress{address->v4(),
                                  static_cast<uint8_t>(prefix->written_length())};
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
  const bool reachable =
      !u.gateway || std::any_of(u.addresses.begin(), u.addresses.end(), [&](const auto& a) {
        return Prefix::of(Address::of(a.address), 96u + a.length)
            .contains(Address::of(*u.gateway));
      });
  if (!reachable) {
    v.error("gateway " + to_string(*u.gateway) + " is in none of the addresses' subnets");
  }
}

void read_uplink(const Value& v, Uplink& u) {
  u.where = v.where();
  v.fields({
      {"interface", [&](const Value& x) { u.interface = x.text(); }},
      {"device", [&](const Value& x) { u.device = x.text(); }},
      {"addresses",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           if (const auto a = read_interface_address(item)) {
             u.addresses.push_back(*a);
           }
         }
       }},
      {"gateway", [&](const Value& x) { u.gateway = read_ip4(x); }},
      {"mac", [&](const Value& x) { u.mac = read_mac(x); }},
      {"neighbours",
       [&](const Value& x) {
         for (const auto& [ip, mac] : x.labels()) {
           const auto a = parse_address(ip);
           const auto m = parse_mac(mac);
           if (!a || !a->is_v4() || !m) {
             x.error("\"" + ip + ": " + mac + "\" is no IPv4 address with its MAC");
           } else {
             u.neighbours[a->v4()] = *m;
           }
         }
       }},
  });
  check_uplink(v, u);
}

void read_route(const Value& v, std::vector<StaticRoute>& out) {
  std::optional<Prefix> block;
  std::optional<Ip4> node;
  bool tunnel = true;
  v.fields({
      {"block", [&](const Value& x) { block = read_prefix(x); }},
      {"node", [&](const Value& x) { node = read_ip4(x); }},
      {"mode",
       [&](const Value& x) {
         const auto mode = x.one_of({"ipip", "direct"});
         tunnel = !mode || *mode == 0;
       }},
  });
  if (!block || !node) {
    v.error("a route needs a block and a node", "{block: 10.244.1.0/26, node: 192.168.1.2}");
    return;
  }
  out.push_back({*block, *node, tunnel, v.where()});
}

// "64Mi", "1Gi", or bytes.
std::optional<uint64_t> read_size(const Value& v) {
  const std::string s = v.text();
  uint64_t n = 0;
  const auto [end, code] = std::from_chars(s.data(), s.data() + s.size(), n);
  const std::string_view unit(end, static_cast<size_t>(s.data() + s.size() - end));
  const unsigned shift = unit == "Ki" ? 10 : unit == "Mi" ? 20 : unit == "Gi" ? 30 : 0;
  if (code != std::errc() || (shift == 0 && !unit.empty()) || n > UINT64_MAX >> shift) {
    v.error("\"" + s + "\" is no size", "write it as 64Mi or 1Gi");
    return {};
  }
  return n << shift;
}

void read_path(const Value& v, Settings& s) {
  auto& p = s.path;
  v.fields({
      {"ip6", [&](const Value& x) { set(p.ip6, read_switch(x)); }},
      {"tcpLoose",
       [&](const Value& x) {
         if (const auto i = x.one_of({"grace", "on", "off"})) {
           p.tcp_loose = static_cast<TcpLoose>(*i);
         }
       }},
      {"tcpLiberal", [&](const Value& x) { set(p.tcp_liberal, read_switch(x)); }},
      {"ipOptions",
       [&](const Value& x) {
         if (const auto i = x.one_of({"drop", "allow"})) {
           p.ip_options = static_cast<Ipv4Options>(*i);
         }
       }},
      {"l4Checksum",
       [&](const Value& x) {
         if (const auto i = x.one_of({"control", "full", "off"})) {
           p.l4_checksum = static_cast<ChecksumMode>(*i);
         }
       }},
      {"uplinkIp6",
       [&](const Value& x) { set(p.uplink_ip6_punt, read_switch(x, "punt", "drop")); }},
      {"transit",
       [&](const Value& x) { set(p.transit_allow, read_switch(x, "allow", "deny")); }},
      {"onExit",
       [&](const Value& x) {
         if (const auto i = x.one_of({"drop", "kernel"})) {
           p.on_exit = static_cast<OnExit>(*i);
         }
       }},
      {"tunFromWorkload",
       [&](const Value& x) { set(p.tun_from_workload, read_switch(x, "allow", "deny")); }},
      {"puntUnknownL2", [&](const Value& x) { set(p.punt_unknown_l2, read_switch(x)); }},
  });
}

void read_workers(const Value& v, Settings& s) {
  v.fields({
      {"cores",
       [&](const Value& x) {
         s.workers.cores.clear();
         for (const Value& item : x.list()) {
           if (const auto core = item.integer(0, 1023)) {
             const auto n = static_cast<unsigned>(*core);
             if (std::count(s.workers.cores.begin(), s.workers.cores.end(), n) != 0) {
               item.error("core " + std::to_string(n) + " is named twice");
             }
             s.workers.cores.push_back(n);
           }
         }
         if (s.workers.cores.empty() || s.workers.cores.size() > 64) {
           x.error("1 to 64 cores are expected");
         }
       }},
      {"idle",
       [&](const Value& x) { set(s.workers.poll, read_switch(x, "poll", "adaptive")); }},
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
      {"timeouts",
       [&](const Value& x) {
         set(c.calico_bpf_timeouts, read_switch(x, "calico-bpf", "linux"));
       }},
      {"onPolicyChange",
       [&](const Value& x) { set(c.recheck, read_switch(x, "recheck", "keep")); }},
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
         s.node = x.text();
         s.node_at = x.where();
       }},
      {"resources",
       [&](const Value& x) {
         for (const Value& item : x.list()) {
           s.resources.push_back(item.text());
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
             {"httpRules",
              [&](const Value& y) { set(s.policy.http_l4, read_switch(y, "l4", "refuse")); }},
             {"memory", [&](const Value& y) { set(s.policy.memory, read_size(y)); }},
         });
       }},
      {"control",
       [&](const Value& x) {
         x.fields({
             {"socket", [&](const Value& y) { s.control.socket = y.text(); }},
             {"metrics", [&](const Value& y) { s.control.metrics = y.text(); }},
             {"state", [&](const Value& y) { s.control.state = y.text(); }},
         });
       }},
  });
  if (s.node.empty()) {
    document.error("node is missing", "node: the name of this node in your Calico resources");
  }
  if (!document.get("uplink")) {
    document.error("uplink is missing",
                   "uplink: {interface: eth0, addresses: [192.168.1.2/24]}");
  }
}

}  // namespace sluice::config
