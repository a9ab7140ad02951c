/* SPDX-License-Identifier: Apache-2.0 */
/* What the traffic programs in the kernel and their user share: the only global of
 * traffic.bpf.c, mapped into traffic.cc.  `plan` is written by the user before a run, the rest
 * by the programs: the generator's counters on the one core that it runs on, the sink's by
 * atomic adds.
 *
 * A frame is Ethernet, IPv4, UDP and a stamp.  Frames are used again and again, and who
 * forwarded one has changed it: `plan.headers` is written into each before it goes, and what
 * the flow needs. Flow number n has source port 10000 + n % 32768 and destination port `port` +
 * n / 32768 % 40000.
 */
#ifndef SLUICE_PERF_E2E_TRAFFIC_STATE_H_
#define SLUICE_PERF_E2E_TRAFFIC_STATE_H_

#include <linux/types.h>

enum {
  kStampMagic = 0x51fe51fe, /* a frame of ours */
  kSourcePort = 10000,
  kSourcePorts = 32768,
  kPorts = 40000,
  kStampOffset = 42, /* behind Ethernet, IPv4 without options and UDP */
  /* Histogram of latencies: 32 steps for each doubling. */
  kSteps = 32,
  kBuckets = 1024,
};

/* NOLINTBEGIN(readability-identifier-naming): of C, too */
struct stamp {
  __u32 magic;
  __u32 time_high; /* CLOCK_MONOTONIC in ns; halves, since the place is not aligned */
  __u32 time_low;
} __attribute__((packed));

struct plan {
  __u8 headers[kStampOffset]; /* of each frame, down to the stamp */
  __u64 interval_ps;          /* picoseconds between packets; 0: as fast as it goes */
  __u64 first;                /* number of the first flow */
  __u64 flows;                /* how many take turns; 0: every packet is a new one */
  __u32 interface;            /* that the frames leave by */
  __u32 port;
  __u32 reverse;      /* the ports change places: replies */
  __u32 measure_time; /* write the time into each frame */
};

struct traffic_state {
  struct plan plan;
  /* The generator's. */
  __u64 sent;    /* frames given to the interface */
  __u64 idle;    /* calls in which none was due */
  __u64 skipped; /* frames given up: the generator was held off for more than a millisecond */
  __u64 due_ps;  /* when the next one goes, from `began_ns` on */
  __u64 began_ns;
  /* The sink's. */
  __u64 received;
  __u64 received_bytes;
  __u64 latencies[kBuckets];
};
/* NOLINTEND(readability-identifier-naming) */

#endif /* SLUICE_PERF_E2E_TRAFFIC_STATE_H_ */
