#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Throughput as RFC 2544 has it (26.1), with a TRex server in stateless mode: for every size the
highest rate at which all that is sent comes back, by bisection; latency at that rate, if asked for.

  export PYTHONPATH=$TREX/automation/trex_control_plane/interactive
  perf/pktgen/trex_rfc2544.py --path ipip --flows 100000 >ipip.csv
"""
import argparse
import signal
import sys
import time

from trex.stl.api import STLClient

import trex_flows

# 1498 is the most that fits a link of 1500 bytes when IPIP is added; IPIP has no 64.
SIZES = {
    "plain": [64, 128, 256, 512, 1024, 1280, 1518],
    "ipip": [84, 128, 256, 512, 1024, 1280, 1518],
    "transit": [64, 128, 256, 512, 1024, 1280, 1498],
}
COLUMNS = ["size", "flows", "rate_percent", "packets_per_second", "gbit_per_second", "sent", "lost",
           "latency_us_least", "latency_us_mean", "latency_us_most"]


def search(passes, highest, resolution):
    """The highest rate at which passes(rate) holds, to `resolution`; 0 if there is none."""
    if passes(highest):
        return highest
    low, high = 0, highest
    while high - low > resolution:
        middle = (low + high) / 2
        if passes(middle):
            low = middle
        else:
            high = middle
    return low


def trial(client, port, rate, seconds, settle):
    """Sends at `rate` per cent of the link.  Returns TRex's counters."""
    client.clear_stats()
    client.start(ports=[port], mult=f"{rate:.4f}%", duration=seconds)
    client.wait_on_traffic(ports=[port], rx_delay_ms=int(settle * 1000))
    time.sleep(settle)
    return client.get_stats()


def measure(client, size, options):
    """The row of one size."""
    port = options.port
    client.reset(ports=[port])
    client.add_streams(trex_flows.streams(size, options.flows, options.path, options.latency),
                       ports=[port])
    trial(client, port, options.highest / 10, options.warm_up, options.settle)
    best = None

    def passes(rate):
        nonlocal best
        stats = trial(client, port, rate, options.seconds, options.settle)
        sent, received = stats[port]["opackets"], stats[port]["ipackets"]
        if sent == 0 or received > sent * 1.001:
            raise RuntimeError(f"sent {sent}, received {received}: no link, or traffic of others")
        if sent - received > options.loss * sent:
            return False
        best = stats
        return True

    rate = search(passes, options.highest, options.resolution)
    if best is None:
        return [size, options.flows, 0, 0, 0, 0, 0, "", "", ""]
    sent, received = best[port]["opackets"], best[port]["ipackets"]
    pps = received / options.seconds
    probes = best["latency"].get(trex_flows.LATENCY_GROUP, {}).get("latency", {})
    latency = [probes.get(key, "") for key in ("total_min", "average", "total_max")]
    return [size, options.flows, f"{rate:.2f}", int(pps), f"{pps * size * 8 / 1e9:.3f}", sent,
            sent - received, *latency]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="sends and receives")
    parser.add_argument("--sizes", type=int, nargs="+", help="bytes on the wire, FCS included")
    parser.add_argument("--seconds", type=float, default=60, help="of a trial")
    parser.add_argument("--settle", type=float, default=1, help="seconds after it")
    parser.add_argument("--warm-up", type=float, default=2,
                        help="seconds before the first of a size")
    parser.add_argument("--highest", type=float, default=100, help="per cent of the link")
    parser.add_argument("--resolution", type=float, default=0.1, help="per cent of the link")
    parser.add_argument("--loss", type=float, default=0, help="share of what was sent")
    trex_flows.add_arguments(parser)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of `finally`, as for INT
    client = STLClient(server=options.server)
    client.connect()
    try:
        print(*COLUMNS, sep=",")
        for size in options.sizes or SIZES[options.path]:
            print(*measure(client, size, options), sep=",", flush=True)
    finally:
        client.disconnect()  # stops what is sent, and gives the port back


if __name__ == "__main__":
    sys.exit(main())
