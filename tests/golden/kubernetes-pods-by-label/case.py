# SPDX-License-Identifier: Apache-2.0
"""Pods of the policy's own namespace only; a port without a protocol is TCP."""
from scene import *

POLICY = "shop/clients"


def the_clients_of_shop(r):
    for src in (CLIENT, FAR):
        reaches(r, src, WEB, syn(src, WEB))
        refused(r, src, udp(src, WEB, dport=80))
    for src in (BLUE, GREEN, WORLD):
        refused(r, src, syn(src, WEB))
    r.rules((POLICY, "ingress", -1, "deny", 5, 5), (POLICY, "ingress", 0, "allow", 2, 2))
