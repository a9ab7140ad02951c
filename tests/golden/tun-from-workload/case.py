# SPDX-License-Identifier: Apache-2.0
"""path.tunFromWorkload: allow."""
from scene import *


def pods_may_tunnel(r):
    for protocol in (4, 41, 47):
        reaches(r, CLIENT, WEB, ip(CLIENT, WEB, proto=protocol) / Raw(bytes(udp(CLIENT, BLUE))))
    reaches(r, CLIENT, WEB, udp(CLIENT, WEB, dport=4789))
