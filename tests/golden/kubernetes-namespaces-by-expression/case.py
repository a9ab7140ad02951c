# SPDX-License-Identifier: Apache-2.0
"""In, NotIn, DoesNotExist and Exists, all of which must hold; the namespace's name is a label."""
from scene import *

POLICY = "shop/not-shop"


def the_pods_of_blue_and_green(r):
    for src in (BLUE, GREEN):
        reaches(r, src, WEB, syn(src, WEB))
    for src in (CLIENT, FAR, WORLD):
        refused(r, src, syn(src, WEB))
    r.rules((POLICY, "ingress", -1, "deny", 3, 3), (POLICY, "ingress", 0, "allow", 2, 2))
