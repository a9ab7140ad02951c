# SPDX-License-Identifier: Apache-2.0
"""One global policy without rules closes every pod of every namespace."""
from scene import *


def nobody_reaches_anybody(r):
    for src, dst in ((CLIENT, WEB), (BLUE, CLIENT), (WEB, FAR), (BLUE, WORLD), (WEB, NODE)):
        refused(r, src, syn(src, dst), "policy_deny_egress")
    for src, dst in ((FAR, WEB), (GREEN, BLUE), (WORLD, CLIENT)):
        refused(r, src, syn(src, dst))
    r.rules(("default-deny", "egress", -1, "deny", 5, 5),
            ("default-deny", "ingress", -1, "deny", 3, 3))
