# SPDX-License-Identifier: Apache-2.0
"""Staged policies let everything pass, and count what they would have decided."""
from scene import *

SOON, THEN, ENFORCED = "soon", "shop/then", "enforced"


def what_they_would_deny_passes_and_is_counted(r):
    reaches(r, CLIENT, WEB, udp(CLIENT, WEB))
    reaches(r, CLIENT, WEB, syn(CLIENT, WEB))
    reaches(r, WEB, CLIENT, syn_ack(WEB, CLIENT))
    reaches(r, CLIENT, WEB, syn(CLIENT, WEB, dport=81))
    reaches(r, CLIENT, WEB, ping(CLIENT, WEB))
    r.rules((SOON, "ingress", 0, "deny", 1, 0), (SOON, "ingress", 1, "allow", 1, 0),
            (THEN, "ingress", 0, "allow", 1, 0), (SOON, "ingress", -1, "deny", 1, 0),
            (ENFORCED, "egress", 0, "allow", 4, 5))
