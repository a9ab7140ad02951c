# SPDX-License-Identifier: Apache-2.0
"""An empty rule admits everybody and every protocol; policies add up."""
from scene import *


def everybody_reaches_web(r):
    for n, src in enumerate((CLIENT, BLUE, FAR, GREEN, WORLD), 1):
        reaches(r, src, WEB, syn(src, WEB))
        reaches(r, src, WEB, ping(src, WEB))
    reaches(r, CLIENT, WEB, ip(CLIENT, WEB, proto=89) / Raw(b"ospf"))
    r.rules(("shop/allow-all-ingress", "ingress", 0, "allow", 11, 11))


def the_other_pods_stay_closed(r):
    refused(r, WEB, syn(WEB, CLIENT))
    refused(r, FAR, syn(FAR, CLIENT))
    r.rules(("shop/default-deny-ingress", "ingress", -1, "deny", 2, 2))


def answers_pass_without_being_judged(r):
    """The rule is credited with what the connections carry, both ways."""
    reaches(r, FAR, WEB, syn(FAR, WEB))
    answer = syn_ack(WEB, FAR)
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(UPLINK, to_peer(hop(answer), id=1))
    reaches(r, FAR, WEB, ack(FAR, WEB))
    r.rules(("shop/allow-all-ingress", "ingress", 0, "allow", 1, 3))
