# SPDX-License-Identifier: Apache-2.0
"""A namespaced policy: who, which port, and where the pod may go itself."""
from scene import *

POLICY = "shop/allow-tcp-6379"


def clients_of_the_namespace_on_6379(r):
    for src in (CLIENT, FAR):
        reaches(r, src, WEB, syn(src, WEB, dport=6379))
        refused(r, src, syn(src, WEB, dport=6380))
        refused(r, src, udp(src, WEB, dport=6379))
    refused(r, BLUE, syn(BLUE, WEB, dport=6379))  # a client, but not of this namespace
    refused(r, WORLD, syn(WORLD, WEB, dport=6379))
    r.rules((POLICY, "ingress", -1, "deny", 6, 6), (POLICY, "ingress", 0, "allow", 2, 2))


def out_of_the_pod(r):
    reaches(r, WEB, CLIENT, udp(WEB, CLIENT))
    reaches(r, WEB, BLUE, ping(WEB, BLUE))
    refused(r, WEB, udp(WEB, WORLD), "policy_deny_egress")
    r.rules((POLICY, "egress", 0, "deny", 1, 1), (POLICY, "egress", 1, "allow", 2, 2))


def a_known_flow_is_not_judged_again_but_for_its_syn(r):
    reaches(r, CLIENT, WEB, syn(CLIENT, WEB, dport=6379))
    reaches(r, CLIENT, WEB, syn(CLIENT, WEB, dport=6379))
    reaches(r, WEB, CLIENT, syn_ack(WEB, CLIENT, sport=6379))
    reaches(r, CLIENT, WEB, ack(CLIENT, WEB, dport=6379))
    r.rules((POLICY, "ingress", 0, "allow", 2, 4))
