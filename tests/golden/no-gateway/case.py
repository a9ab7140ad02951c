# SPDX-License-Identifier: Apache-2.0
"""No default route: the world is nowhere."""
from scene import *


def nowhere_to_go(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT, WORLD))).dropped("rt_no_route")
    r.send(HOST, from_host(udp(NODE, WORLD))).dropped("rt_no_route")
    r.send(UPLINK, from_gateway(udp("192.168.100.50", WORLD))).dropped("rt_no_route")
