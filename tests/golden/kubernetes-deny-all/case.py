# SPDX-License-Identifier: Apache-2.0
"""All pods of the namespace, both directions; other namespaces keep theirs."""
from scene import *

POLICY = "shop/default-deny-all"


def nobody_reaches_anybody(r):
    """The sender's egress is judged first; who is outside meets the receiver's ingress."""
    refused(r, CLIENT, syn(CLIENT, WEB), "policy_deny_egress")
    refused(r, CLIENT, udp(CLIENT, WORLD), "policy_deny_egress")
    refused(r, CLIENT, ping(CLIENT, NODE), "policy_deny_egress")
    for src in (BLUE, FAR, WORLD):
        refused(r, src, syn(src, WEB))
    r.rules((POLICY, "egress", -1, "deny", 3, 3), (POLICY, "ingress", -1, "deny", 3, 3))


def other_namespaces_are_as_before(r):
    reaches(r, FAR, BLUE, syn(FAR, BLUE))
    r.rules()
