# SPDX-License-Identifier: Apache-2.0
"""path.ip6: off with uplinkIp6: drop: nobody gets it."""
from scene import *


def from_anywhere(r):
    r.send(CLIENT.port, from_pod(CLIENT, udp(CLIENT6, WEB6))).dropped("ip6_disabled")
    for dst in (NODE6, CLIENT6):
        r.send(UPLINK, from_gateway(udp(WORLD6, dst))).dropped("ip6_disabled")
