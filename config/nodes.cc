// SPDX-License-Identifier: Apache-2.0
#include "config/kinds.h"
#include "config/scalars.h"

namespace sluice::config {
namespace {

EncapMode read_encap(const Value& v) {
  if (v.is_scalar() && v.written().empty()) {
    return EncapMode::never;
  }
  return static_cast<EncapMode>(v.one_of({"Never", "Always", "CrossSubnet"}).value_or(0));
}

// Calico writes it as text in a BlockAffinity and as a boolean in an IPAMBlock.
void read_deleted(const Value& v, bool& to) {
  if (const auto i = v.one_of({"false", "true"})) {
    to = *i == 1;
  }
}

// How long the prefixes of a pool's blocks may be depends on its family.
void check_block_size(const Value& v, const Prefix& cidr) {
  if (cidr.is_v4()) {
    v.integer(20, 32);
  } else {
    v.integer(116, 128);
  }
}

bool overlaps(const Prefix& a, const Prefix& b) {
  return a.contains(b.base) || b.contains(a.base);
}

void check_pool(const Value& object, const IpPool& p) {
  if (p.ipip != EncapMode::never && p.vxlan != EncapMode::never) {
    object.error("ipipMode and vxlanMode exclude each other");
  }
  if (p.ipip != EncapMode::never && !p.cidr.is_v4()) {
    object.error("ipipMode is for IPv4 only");
  }
  if (overlaps(p.cidr, *parse_prefix("169.254.0.0/16")) ||
      overlaps(p.cidr, *parse_prefix("fe80::/10"))) {
    object.error("spec.cidr overlaps link-local addresses");
  }
}

// "192.168.100.111/24": the prefix, and the address itself if it is of the wanted family.
void read_node_address(const Value& v, bool v4, std::optional<Prefix>& prefix,
                       std::optional<Address>& host) {
  const std::string s = v.written();
  const auto address = parse_address(std::string_view(s).substr(0, s.find('/')));
  prefix = read_prefix(v);
  if (prefix && address->is_v4() != v4) {
    v.error("\"" + s + "\" is no " + (v4 ? "IPv4" : "IPv6") + " address");
    prefix.reset();
  }
  host = prefix ? address : std::nullopt;
}

}  // namespace

void read_pool(const Value& object, Meta meta, ResourceLists& model) {
  IpPool p;
  std::optional<Prefix> cidr;
  std::optional<Value> block_size;
  read_spec(object,
            {
                {"allowedUses",
                 [](const Value& x) {
                   for (const Value& use : x.list()) {
                     use.one_of({"Workload", "Tunnel", "LoadBalancer"});
                   }
                 }},
                {"blockSize", [&](const Value& x) { block_size = x; }},
                {"cidr", [&](const Value& x) { cidr = read_cidr(x); }},
                {"ipipMode", [&](const Value& x) { p.ipip = read_encap(x); }},
                {"vxlanMode", [&](const Value& x) { p.vxlan = read_encap(x); }},
                {"natOutgoing",
                 [&](const Value& x) {
                   if (x.boolean().value_or(false)) {
                     object.warning(
                         "natOutgoing is not applied yet: packets leave with the pod's own "
                         "address");
                   }
                 }},
                {"disabled", [](const Value& x) { x.boolean(); }},
            },
            {"nodeSelector", "namespaceSelector", "disableBGPExport", "assignmentMode"});
  if (!cidr) {
    object.error("spec.cidr is missing or wrong");
    return;
  }
  p.cidr = *cidr;
  if (block_size) {
    check_block_size(*block_size, p.cidr);
  }
  check_pool(object, p);
  p.meta = std::move(meta);
  model.ip_pools.push_back(std::move(p));
}

void read_node(const Value& object, Meta meta, ResourceLists& model) {
  Node n;
  const auto bgp = [&](const Value& v) {
    v.fields(
        {
            {"ipv4Address",
             [&](const Value& x) {
               std::optional<Address> host;
               read_node_address(x, true, n.address, host);
               if (host) {
                 n.address_host = host->v4();
               }
             }},
            {"ipv6Address",
             [&](const Value& x) { read_node_address(x, false, n.address6, n.address6_host); }},
            {"ipv4IPIPTunnelAddr", [&](const Value& x) { n.tunnel_address = read_ip4(x); }},
        },
        {"asNumber", "routeReflectorClusterID"});
  };
  read_spec(object, {{"bgp", bgp}},
            {"addresses", "interfaces", "orchRefs", "wireguard", "ipv4VXLANTunnelAddr",
             "vxlanTunnelMACAddr", "ipv6VXLANTunnelAddr", "vxlanTunnelMACAddrV6"});
  n.meta = std::move(meta);
  model.nodes.push_back(std::move(n));
}

void read_block(const Value& object, Meta meta, ResourceLists& model) {
  Block b;
  std::optional<Prefix> cidr;
  read_spec(object,
            {
                {"cidr", [&](const Value& x) { cidr = read_cidr(x); }},
                {"node", [&](const Value& x) { b.node = x.text(); }},
                {"affinity",
                 [&](const Value& x) {
                   constexpr std::string_view kHost = "host:";
                   if (const std::string s = x.text(); s.starts_with(kHost)) {
                     b.node = s.substr(kHost.size());
                   }
                 }},
                {"deleted", [&](const Value& x) { read_deleted(x, b.deleted); }},
            },
            {"state", "type", "allocations", "attributes", "unallocated", "strictAffinity",
             "sequenceNumber", "sequenceNumberForAllocation", "affinityClaimTime"});
  if (!cidr) {
    object.error("spec.cidr is missing or wrong");
    return;
  }
  b.cidr = *cidr;
  b.meta = std::move(meta);
  model.blocks.push_back(std::move(b));
}

}  // namespace sluice::config
