// SPDX-License-Identifier: Apache-2.0
// What the kernel does with a frame before sluice: hand it to the AF_XDP socket of its
// (interface, queue), or leave it with the kernel.  Loaded and fed by xdp.cc, which repeats the
// map layouts.  `sluice_pod` takes everything from a pod; `sluice_uplink` only what is ours.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { kFallback, kTakeAll, kSettings };  // index into `settings`

struct queue_key {
  __u32 ifindex;
  __u32 queue;
};

struct prefix_key {
  __u32 length;
  __be32 address;
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
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, kSettings);
  __type(key, __u32);
  __type(value, __u32);
} settings SEC(".maps");

static __always_inline __u32 setting(__u32 which) {
  const __u32 *value = bpf_map_lookup_elem(&settings, &which);
  return value ? *value : 0;
}

// With no socket there the answer is the fallback: XDP_DROP (closed) or XDP_PASS (open).
static __always_inline int hand_over(struct xdp_md *frame) {
  const struct queue_key key = {frame->ingress_ifindex, frame->rx_queue_index};
  const __u32 fallback = setting(kFallback) == XDP_PASS ? XDP_PASS : XDP_DROP;
  const __u32 *slot = bpf_map_lookup_elem(&slots, &key);
  return slot ? bpf_redirect_map(&sockets, *slot, fallback) : fallback;
}

SEC("xdp")
int sluice_pod(struct xdp_md *frame) {
  return hand_over(frame);
}

SEC("xdp")
int sluice_uplink(struct xdp_md *frame) {
  void *end = (void *)(long)frame->data_end;
  const struct ethhdr *ether = (void *)(long)frame->data;
  const struct iphdr *ip = (const void *)(ether + 1);
  if (setting(kTakeAll)) {
    return hand_over(frame);
  }
  if ((void *)(ip + 1) > end || ether->h_proto != bpf_htons(ETH_P_IP)) {
    return XDP_PASS;
  }
  const __be32 destination = ip->daddr;
  if (ip->protocol == 4 && bpf_map_lookup_elem(&nodes, &destination)) {
    return hand_over(frame);
  }
  const struct prefix_key key = {32, destination};
  return bpf_map_lookup_elem(&ours, &key) ? hand_over(frame) : XDP_PASS;
}

char kLicense[] SEC("license") = "Apache-2.0";
