# SPDX-License-Identifier: Apache-2.0
"""A host endpoint on the uplink: which of its lists judges what, and what none of them does."""
from scene import *


def _to_node(r, packet):
    return r.send(UPLINK, from_gateway(packet))


def _from_node(r, packet):
    return r.send(HOST, from_host(packet))


def normal_policy_judges_what_ends_at_the_node(r):
    allowed, answer = syn(WORLD, NODE, dport=8080), syn_ack(NODE, WORLD, sport=8080)
    _to_node(r, allowed).punted(to_host(allowed))
    _from_node(r, answer).forwarded(UPLINK, to_gateway(answer))
    _to_node(r, syn(WORLD, NODE, dport=8081)).dropped("policy_deny_ingress")
    _to_node(r, ping(WORLD, NODE)).dropped("policy_deny_ingress")
    r.rules(("normal", "ingress", -1, "deny", 2, 2), ("normal", "ingress", 0, "allow", 1, 2))


def normal_policy_judges_what_the_node_sends(r):
    allowed, answer = syn(NODE, WORLD, dport=5432), syn_ack(WORLD, NODE, sport=5432)
    _from_node(r, allowed).forwarded(UPLINK, to_gateway(allowed))
    _to_node(r, answer).punted(to_host(answer))
    _from_node(r, syn(NODE, WORLD, dport=5433)).dropped("policy_deny_egress")
    _from_node(r, ping(NODE, WORLD)).dropped("policy_deny_egress")


def failsafe_ports_are_open_both_ways(r):
    for packet in (syn(WORLD, NODE, dport=6443), udp(WORLD, NODE, dport=68)):
        _to_node(r, packet).punted(to_host(packet))
    for packet in (syn(NODE, WORLD, dport=6443), udp(NODE, WORLD, dport=53)):
        _from_node(r, packet).forwarded(UPLINK, to_gateway(packet))


def failsafes_stand_before_pre_dnat_but_not_for_pods(r):
    ssh = syn(WORLD, NODE, dport=22)
    _to_node(r, ssh).punted(to_host(ssh))
    _to_node(r, syn(WORLD, NODE, dport=82)).dropped("policy_deny_ingress")
    _to_node(r, syn(WORLD, WEB, dport=82)).dropped("policy_deny_ingress")


def pre_dnat_allow_skips_the_other_lists(r):
    for dst in (NODE, WEB):
        packet = syn(WORLD, dst, dport=81)
        sent = _to_node(r, packet)
        if dst is NODE:
            sent.punted(to_host(packet))
        else:
            sent.forwarded(WEB.port, to_pod(WEB, hop(packet)))


def forward_policy_judges_what_passes_through(r):
    reaches(r, WORLD, WEB, syn(WORLD, WEB, dport=80))
    refused(r, WORLD, syn(WORLD, WEB, dport=443))
    leaving = syn(WEB, WORLD, dport=443)
    r.send(WEB.port, from_pod(WEB, leaving)).forwarded(UPLINK, to_gateway(hop(leaving)))


def the_mesh_is_exempt(r):
    """IPIP from a node of the cluster; what is inside the uplink does not see."""
    for port in (443, 82):
        reaches(r, FAR, WEB, syn(FAR, WEB, dport=port))


def the_node_and_its_pods_are_exempt(r):
    probe, call = syn(NODE, WEB, dport=82), syn(CLIENT, NODE, dport=8081)
    _from_node(r, probe).forwarded(WEB.port, to_pod(WEB, probe))
    r.send(CLIENT.port, from_pod(CLIENT, call)).punted(to_host(call))


def untracked_policy_sees_every_packet(r):
    """An answer to what it allowed needs a rule of its own: there is no connection."""
    question = udp(WORLD, NODE, dport=5000)
    for _ in range(2):
        _to_node(r, question).punted(to_host(question))
    answer = udp(NODE, WORLD, sport=5000, dport=40000)
    _from_node(r, answer).dropped("policy_deny_egress")
    for dst in (NODE, WEB):
        _to_node(r, udp(WORLD, dst, dport=5001)).dropped("policy_deny_ingress")
    _from_node(r, udp(NODE, WORLD, dport=5002)).dropped("policy_deny_egress")
    r.rules(("normal", "egress", -1, "deny", 1, 1), ("untracked", "egress", 0, "deny", 1, 1),
            ("untracked", "ingress", 0, "allow", 2, 2), ("untracked", "ingress", 1, "deny", 2, 2))


def what_is_in_mid_stream_is_judged(r):
    """Which connections a node had before only its kernel tells."""
    _to_node(r, ack(WORLD, NODE, dport=9999)).dropped("policy_deny_ingress")
    packet = ack(WORLD, NODE, dport=8080)
    _to_node(r, packet).punted(to_host(packet))
