// SPDX-License-Identifier: Apache-2.0
// The generator and the sink of perf/e2e, as traffic.cc loads them.
//
// `generate` is run by BPF_PROG_TEST_RUN on frames that live: each call writes the headers
// and the time into one and sends it out of the pod's interface, or gives it back while none is due.
// `swallow` is at the ingress of a pod's interface: it counts our frames and drops them there;
// everything else goes on.  `drop` takes the place of what is measured: the generator's own cost.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "traffic_state.h"

struct traffic_state state;

#define NS_PER_MS 1000000ULL
#define PS_PER_NS 1000ULL

struct frame {
  struct ethhdr ether;
  struct iphdr ip;
  struct udphdr udp;
  struct stamp stamp;
} __attribute__((packed));

_Static_assert(__builtin_offsetof(struct frame, stamp) == kStampOffset, "layout");

// Is a packet due?  Time that the generator was held off is made up for, but no more than 1 ms.
static __always_inline int is_due(__u64 now) {
  const __u64 elapsed_ps = (now - state.began_ns) * PS_PER_NS;
  if (elapsed_ps < state.due_ps) {
    state.idle++;
    return 0;
  }
  const __u64 late_ps = elapsed_ps - state.due_ps;
  if (late_ps > NS_PER_MS * PS_PER_NS) {
    const __u64 given_up = (late_ps - NS_PER_MS * PS_PER_NS) / state.plan.interval_ps;
    state.skipped += given_up;
    state.due_ps += given_up * state.plan.interval_ps;
  }
  state.due_ps += state.plan.interval_ps;
  return 1;
}

SEC("xdp")
int generate(struct xdp_md *context) {
  struct frame *frame = (void *)(long)context->data;
  if ((void *)(frame + 1) > (void *)(long)context->data_end) {
    return XDP_DROP;
  }
  __u64 now = 0;
  if (state.plan.interval_ps) {
    now = bpf_ktime_get_ns();
    if (!is_due(now)) {
      return XDP_DROP;
    }
  }
  __builtin_memcpy(frame, state.plan.headers, kStampOffset);
  __u64 flow = state.sent++;
  if (state.plan.flows) {
    flow %= state.plan.flows;
  }
  flow += state.plan.first;
  const __be16 near = bpf_htons(kSourcePort + flow % kSourcePorts);
  const __be16 far = bpf_htons(state.plan.port + flow / kSourcePorts % kPorts);
  frame->udp.source = state.plan.reverse ? far : near;
  frame->udp.dest = state.plan.reverse ? near : far;
  frame->stamp.magic = kStampMagic;
  if (state.plan.measure_time) {
    now = bpf_ktime_get_ns();
    frame->stamp.time_high = now >> 32;
    frame->stamp.time_low = now;
  }
  return bpf_redirect(state.plan.interface, 0);
}

SEC("xdp")
int drop(struct xdp_md *context) {
  __sync_fetch_and_add(&state.received, 1);
  return XDP_DROP;
}

static __always_inline __u32 bucket_of(__u64 ns) {
  __u32 shift = 0;
#pragma unroll
  for (int step = 16; step; step /= 2) {
    if (ns >> shift >= (2ULL * kSteps << (step - 1))) {
      shift += step;
    }
  }
  // ns >> shift is now less than 2 * kSteps, and at least kSteps unless shift is 0.
  const __u64 bucket = shift * kSteps + (ns >> shift);
  return bucket < kBuckets ? bucket : kBuckets - 1;
}

SEC("tc")
int swallow(struct __sk_buff *packet) {
  struct stamp stamp;
  if (bpf_skb_load_bytes(packet, kStampOffset, &stamp, sizeof(stamp)) ||
      stamp.magic != kStampMagic) {
    return TC_ACT_UNSPEC;
  }
  __sync_fetch_and_add(&state.received, 1);
  __sync_fetch_and_add(&state.received_bytes, packet->len);
  if (state.plan.measure_time) {
    const __u64 sent = (__u64)stamp.time_high << 32 | stamp.time_low;
    const __u32 bucket = bucket_of(bpf_ktime_get_ns() - sent);
    if (bucket < kBuckets) {
      __sync_fetch_and_add(&state.latencies[bucket], 1);
    }
  }
  return TC_ACT_SHOT;
}

char kLicense[] SEC("license") = "Apache-2.0";
