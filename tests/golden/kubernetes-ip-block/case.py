# SPDX-License-Identifier: Apache-2.0
"""ipBlock with except, in both directions."""
from scene import *

POLICY = "shop/some-of-the-world"


def into_the_pod(r):
    for src in ("203.0.113.0", "203.0.113.7", "203.0.113.127"):
        reaches(r, src, WEB, syn(src, WEB))
    for src in ("203.0.112.255", "203.0.113.128", "203.0.113.255", "203.0.114.0"):
        refused(r, src, syn(src, WEB))
    refused(r, CLIENT, syn(CLIENT, WEB))
    r.rules((POLICY, "ingress", -1, "deny", 5, 5), (POLICY, "ingress", 0, "allow", 3, 3))


def out_of_the_pod(r):
    packet = syn(WEB, FAR)
    r.send(WEB.port, from_pod(WEB, packet)).forwarded(UPLINK, to_peer(hop(packet), id=1))
    for dst in (GREEN, CLIENT, WORLD):
        refused(r, WEB, syn(WEB, dst), "policy_deny_egress")
    r.rules((POLICY, "egress", -1, "deny", 3, 3), (POLICY, "egress", 0, "allow", 1, 1))
