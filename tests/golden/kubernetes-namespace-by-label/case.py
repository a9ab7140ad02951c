# SPDX-License-Identifier: Apache-2.0
"""All pods of the namespaces with a label, on any port."""
from scene import *

POLICY = "shop/from-green"


def the_pods_of_green(r):
    reaches(r, GREEN, WEB, syn(GREEN, WEB))
    reaches(r, GREEN, WEB, ping(GREEN, WEB))
    for src in (CLIENT, BLUE, FAR, WORLD):
        refused(r, src, syn(src, WEB))
    r.rules((POLICY, "ingress", -1, "deny", 4, 4), (POLICY, "ingress", 0, "allow", 2, 2))
