# SPDX-License-Identifier: Apache-2.0
"""path.ip6: off with uplinkIp6: punt: refused from pods, the kernel's from the uplink, and never
a pod's."""
from scene import *


def from_pods(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT6, WEB6))).dropped("ip6_disabled")
    r.send(CLIENT.port, solicit(CLIENT6.ip, PROXY6, CLIENT.mac)).dropped("ip6_disabled")
    reaches(r, CLIENT, WEB, udp(CLIENT, WEB))


def from_the_uplink(r):
    for packet in (udp(WORLD6, NODE6), udp(WORLD6, PEER6)):
        r.send(UPLINK, from_gateway(packet)).punted(to_host(packet))
    r.send(UPLINK, from_gateway(udp(WORLD6, CLIENT6))).dropped("ip6_disabled")
    r.send(UPLINK, from_gateway(udp(FAR6, WEB6))).dropped("ip6_disabled")
