# SPDX-License-Identifier: Apache-2.0
"""Namespace and pod selector in one peer: both must hold.  Ports, and a range of them."""
from scene import *

POLICY = "shop/blue-clients"


def clients_of_blue_on_its_ports(r):
    for port in (80, 8000, 8010):
        reaches(r, BLUE, WEB, syn(BLUE, WEB, dport=port))
    for port in (79, 81, 7999, 8011):
        refused(r, BLUE, syn(BLUE, WEB, dport=port))
    refused(r, BLUE, udp(BLUE, WEB, dport=80))
    r.rules((POLICY, "ingress", -1, "deny", 5, 5), (POLICY, "ingress", 0, "allow", 3, 3))


def clients_of_other_namespaces_do_not(r):
    for src in (CLIENT, FAR, GREEN, WORLD):
        refused(r, src, syn(src, WEB))
    r.rules((POLICY, "ingress", -1, "deny", 4, 4))
