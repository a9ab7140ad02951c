// SPDX-License-Identifier: Apache-2.0
// The echo of the test's pod: turns UDP in IPv4 round where it comes in, before the pod's kernel, and
// leaves all else (ARP) to it.  Checksums stay right: nothing changes but places.
//   clang -O2 -g -target bpf -I/usr/include/$(uname -m)-linux-gnu -c echo.bpf.c -o echo.bpf.o
//   ip netns exec POD ip link set eth0 xdpdrv obj echo.bpf.o sec xdp
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct headers {
  struct ethhdr eth;
  struct iphdr ip;
  struct udphdr udp;
} __attribute__((packed));

SEC("xdp")
int echo(struct xdp_md* context) {
  struct headers* h = (void*)(long)context->data;
  if ((void*)(h + 1) > (void*)(long)context->data_end ||
      h->eth.h_proto != bpf_htons(ETH_P_IP) || h->ip.ihl != 5 ||
      h->ip.protocol != IPPROTO_UDP || (h->ip.frag_off & bpf_htons(0x3fff)) != 0) {
    return XDP_PASS;
  }
  const struct headers was = *h;
  __builtin_memcpy(h->eth.h_dest, was.eth.h_source, ETH_ALEN);
  __builtin_memcpy(h->eth.h_source, was.eth.h_dest, ETH_ALEN);
  h->ip.saddr = was.ip.daddr;
  h->ip.daddr = was.ip.saddr;
  h->udp.source = was.udp.dest;
  h->udp.dest = was.udp.source;
  return XDP_TX;
}
