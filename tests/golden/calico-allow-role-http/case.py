# SPDX-License-Identifier: Apache-2.0
"""TCP port 80 from one role, in any namespace; by order, first match; Log goes on."""
from scene import *

FIRST, SECOND = "http-from-clients", "deny-the-rest"


def clients_of_all_namespaces(r):
    for src in (CLIENT, BLUE, FAR, GREEN):
        reaches(r, src, WEB, syn(src, WEB))
    refused(r, WORLD, syn(WORLD, WEB))
    refused(r, CLIENT, syn(CLIENT, WEB, dport=81))
    r.rules((FIRST, "ingress", 0, "log", 6, 0), (FIRST, "ingress", 1, "allow", 4, 4),
            (SECOND, "ingress", 0, "deny", 2, 2))


def the_next_policy_has_the_rest(r):
    """Ping by type; what no rule names ends at the end of the tier."""
    reaches(r, WORLD, WEB, ping(WORLD, WEB))
    refused(r, WORLD, ping(WORLD, WEB, type=13))
    refused(r, WORLD, udp(WORLD, WEB))
    r.rules((FIRST, "ingress", -1, "deny", 2, 2), (SECOND, "ingress", 1, "allow", 1, 1))


def a_denied_connection_gets_no_related_errors(r):
    """What policy refused has no entry, so that an error about it is about nothing."""
    packet = udp(CLIENT, WEB)
    refused(r, CLIENT, packet)
    error = ip(WEB, CLIENT) / ICMP(type=3, code=3) / Raw(bytes(packet))
    refused(r, WEB, error, "icmp_unrelated")
    allowed = syn(CLIENT, WEB)
    reaches(r, CLIENT, WEB, allowed)
    reaches(r, WEB, CLIENT, ip(WEB, CLIENT) / ICMP(type=3, code=3) / Raw(bytes(allowed)))
