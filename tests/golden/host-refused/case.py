# SPDX-License-Identifier: Apache-2.0
"""defaultEndpointToHostAction: Drop."""
from scene import *


def pods_do_not_reach_the_node(r):
    for packet in (syn(CLIENT, NODE, dport=10250), udp(CLIENT, TUNNEL), ping(CLIENT, NODE)):
        r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("policy_deny_egress")


def pods_reach_all_else(r):
    reaches(r, CLIENT, WEB, udp(CLIENT, WEB))


def the_node_reaches_its_pods_and_is_answered(r):
    probe, answer = syn(NODE, WEB), syn_ack(WEB, NODE)
    r.send(HOST, from_host(probe)).forwarded(WEB.port, to_pod(WEB, probe))
    r.send(WEB.port, from_pod(WEB, answer)).punted(to_host(answer))
