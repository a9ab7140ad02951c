// SPDX-License-Identifier: Apache-2.0
// What the kernel does with a frame before sluice: hand it to the AF_XDP socket of its
// (interface, queue), or leave it with the kernel.  Loaded and fed by xdp.cc, which repeats the
// map layouts.  `sluice_pod` takes everything from a pod; `sluice_uplink` what is ours, and
// with kTakeAll what is the node's own, too.
//
// The node's own traffic on an uplink that stays with the kernel, while kTakeAll is set:
//   in:  uplink's XDP -> worker -> sluice0p -> sluice0 (sluice_from_worker) -> uplink's ingress
//   out: uplink's egress (sluice_to_worker) -> sluice0 -> sluice0p's XDP -> worker -> uplink
// so that the kernel sees all of it on the uplink, as ever.  What workers send goes by AF_XDP
// and meets no tc program.  No socket (nobody lives): the kernel goes on by itself.
// Left with the kernel: all but IP; multicast and limited broadcast (DHCP, VRRP, OSPF), and of
// IPv6 neighbour discovery and what is link-local; all of the node's IPv6 unless kIp6 is
// kIp6Carried.  kIp6Dropped takes all IPv6 of the uplink: to drop it.
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Index into `settings`; kUplink and the next two are interfaces' indices.
enum { kTakeAll, kUplink, kKernelEnd, kWorkerEnd, kIp6, kSettings };
// ICMP, type and code (linux/icmp.h needs the C library's headers of another processor).
enum { kUnreachable = 3, kFragmentationNeeded = 4 };
// What kIp6 may be.
enum { kIp6OfKernel, kIp6Carried, kIp6Dropped };

struct queue_key {
  __u32 ifindex;
  __u32 queue;
};

struct prefix_key {
  __u32 length;
  __be32 address;
};

struct prefix6_key {
  __u32 length;
  struct in6_addr address;
};

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

// Which entry of `sockets` serves a queue.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, struct queue_key);
  __type(value, __u32);
} slots SEC(".maps");

// Addresses at which IPIP is for us.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __be32);
  __type(value, __u8);
} nodes SEC(".maps");

// Destinations that are ours.
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct prefix_key);
  __type(value, __u8);
} ours SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct prefix6_key);
  __type(value, __u8);
} ours6 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, kSettings);
  __type(key, __u32);
  __type(value, __u32);
} settings SEC(".maps");

// The source that frames from a worker bear on their way into a generic-mode uplink, whose XDP
// program sees them once more: random, and never on a wire.
struct passport {
  __u8 mac[ETH_ALEN];
  __u8 used;
  __u8 unused;
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct passport);
} passports SEC(".maps");

static __always_inline __u32 setting(__u32 which) {
  const __u32 *value = bpf_map_lookup_elem(&settings, &which);
  return value ? *value : 0;
}

static __always_inline const struct passport *passport(void) {
  const __u32 zero = 0;
  return bpf_map_lookup_elem(&passports, &zero);
}

static __always_inline int hand_over(struct xdp_md *frame, __u32 without_socket) {
  const struct queue_key key = {frame->ingress_ifindex, frame->rx_queue_index};
  const __u32 *slot = bpf_map_lookup_elem(&slots, &key);
  return slot ? bpf_redirect_map(&sockets, *slot, without_socket) : without_socket;
}

static __always_inline int is_group(__be32 destination) {
  return (destination & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) ||
         destination == 0xffffffff;
}

static __always_inline int has_passport(const struct ethhdr *ether) {
  const struct passport *p = passport();
  if (!p || !p->used) {
    return 0;
  }
  __u8 differs = 0;
  for (int i = 0; i < ETH_ALEN; ++i) {
    differs |= ether->h_source[i] ^ p->mac[i];
  }
  return !differs;
}

// A router's word on the size of IPIP packets: an ICMP 3/4 that quotes one.
static __always_inline int is_tunnels_mtu(const struct iphdr *ip, const void *end) {
  const struct {
    struct {
      __u8 type, code;
      __be16 checksum;
      __be32 rest;
    } icmp;
    struct iphdr quoted;
  } *error = (const void *)(ip + 1);
  return ip->protocol == IPPROTO_ICMP && ip->ihl == 5 &&
         !(ip->frag_off & bpf_htons(0x3fff)) && (const void *)(error + 1) <= end &&
         error->icmp.type == kUnreachable && error->icmp.code == kFragmentationNeeded &&
         error->quoted.protocol == 4;
}

SEC("xdp")
int sluice_pod(struct xdp_md *frame) {
  return hand_over(frame, XDP_DROP);
}

// What belongs to the link, and goes through no worker: groups, link-local addresses, discovery.
static __always_inline int is_of_link(const struct ipv6hdr *ip, __u8 type) {
  const __be32 from = ip->saddr.s6_addr32[0] & bpf_htonl(0xffc00000);
  const __be32 to = ip->daddr.s6_addr32[0] & bpf_htonl(0xffc00000);
  const __be32 link = bpf_htonl(0xfe800000);
  return ip->daddr.s6_addr[0] == 0xff || from == link || to == link ||
         (ip->nexthdr == IPPROTO_ICMPV6 && type >= 133 && type <= 137);
}

static __always_inline int from_uplink6(struct xdp_md *frame, const struct ethhdr *ether,
                                        const struct ipv6hdr *ip,
                                        const void *end) {
  const __u8 *type = (const void *)(ip + 1);
  if ((const void *)(type + 1) > end || has_passport(ether)) {
    return XDP_PASS;
  }
  const struct prefix6_key key = {128, ip->daddr};
  if (bpf_map_lookup_elem(&ours6, &key)) {
    return hand_over(frame, XDP_DROP);
  }
  const __u32 mode = setting(kIp6);
  const int nodes = mode == kIp6Carried && setting(kTakeAll) && !is_of_link(ip, *type);
  return nodes || mode == kIp6Dropped ? hand_over(frame, XDP_PASS) : XDP_PASS;
}

SEC("xdp")
int sluice_uplink(struct xdp_md *frame) {
  void *end = (void *)(long)frame->data_end;
  const struct ethhdr *ether = (void *)(long)frame->data;
  const struct iphdr *ip = (const void *)(ether + 1);
  if ((void *)(ether + 1) <= end && ether->h_proto == bpf_htons(ETH_P_IPV6)) {
    return from_uplink6(frame, ether, (const void *)ip, end);
  }
  if ((void *)(ip + 1) > end || ether->h_proto != bpf_htons(ETH_P_IP)) {
    return XDP_PASS;
  }
  const __be32 destination = ip->daddr;
  if (ip->protocol == 4 && bpf_map_lookup_elem(&nodes, &destination)) {
    return hand_over(frame, XDP_DROP);
  }
  if (is_tunnels_mtu(ip, end) && bpf_map_lookup_elem(&nodes, &destination)) {
    return hand_over(frame, XDP_PASS);
  }
  const struct prefix_key key = {32, destination};
  if (bpf_map_lookup_elem(&ours, &key)) {
    return hand_over(frame, XDP_DROP);
  }
  if (!setting(kTakeAll) || is_group(destination) || has_passport(ether)) {
    return XDP_PASS;
  }
  return hand_over(frame, XDP_PASS);
}

// At the kernel's end of the host port.  What came by the uplink bears the uplink's MAC.
SEC("tc")
int sluice_from_worker(struct __sk_buff *frame) {
  const struct passport *p = passport();
  if (frame->pkt_type != PACKET_OTHERHOST) {
    return TC_ACT_UNSPEC;
  }
  if (p && p->used) {
    bpf_skb_store_bytes(frame, ETH_ALEN, p->mac, ETH_ALEN, 0);
  }
  return bpf_redirect(setting(kUplink), BPF_F_INGRESS);
}

// Is it for workers to judge what the kernel sends?
static __always_inline int is_nodes_own(struct __sk_buff *frame) {
  if (frame->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    return !bpf_skb_load_bytes(frame, ETH_HLEN, &ip, sizeof(ip)) && !is_group(ip.daddr);
  }
  struct {
    struct ipv6hdr ip;
    __u8 type;
  } six;
  return frame->protocol == bpf_htons(ETH_P_IPV6) && setting(kIp6) == kIp6Carried &&
         !bpf_skb_load_bytes(frame, ETH_HLEN, &six, sizeof(struct ipv6hdr) + 1) &&
         !is_of_link(&six.ip, six.type);
}

// At the uplink's egress.  The kernel has resolved the next hop: the frame keeps its MAC.
SEC("tc")
int sluice_to_worker(struct __sk_buff *frame) {
  const struct queue_key key = {setting(kWorkerEnd), 0};
  if (!setting(kTakeAll) || frame->vlan_present || !is_nodes_own(frame)) {
    return TC_ACT_UNSPEC;
  }
  const __u32 *slot = bpf_map_lookup_elem(&slots, &key);
  if (!slot || !bpf_map_lookup_elem(&sockets, slot)) {
    return TC_ACT_UNSPEC;
  }
  return bpf_redirect(setting(kKernelEnd), 0);
}

char kLicense[] SEC("license") = "Apache-2.0";
