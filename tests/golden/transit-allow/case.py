# SPDX-License-Identifier: Apache-2.0
"""path.transit: allow, and what it never allows.  Without it: pods/."""
from scene import *


def plain_in_tunnelled_out(r):
    packet = udp(WORLD, FAR)
    r.send(UPLINK, from_gateway(packet)).forwarded(UPLINK, to_peer(hop(packet), id=1))


def nothing_leaves_as_it_came(r):
    for dst in (PEER, "192.168.100.50", "198.51.100.1"):
        r.send(UPLINK, from_gateway(udp(WORLD, dst))).dropped("rt_transit")


def out_of_a_tunnel_only_to_pods(r):
    r.send(UPLINK, from_peer(udp(FAR, WORLD))).dropped("tun_dst")
