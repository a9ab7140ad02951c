# SPDX-License-Identifier: Apache-2.0
"""connections.timeouts: calico-bpf."""
from scene import *


def _ask(r, packet):
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def _answer(r, packet):
    r.send(WEB.port, from_pod(WEB, packet)).forwarded(CLIENT.port, to_pod(CLIENT, hop(packet)))


def udp_lives_60_seconds(r):
    question, answer = udp(CLIENT, WEB), udp(WEB, CLIENT, 53, 40000)
    _ask(r, question)
    r.wait(59.9)
    _answer(r, answer)
    r.wait(60)
    r.send(WEB.port, from_pod(WEB, answer)).dropped("policy_deny_ingress")


def a_new_entry_lives_ten_seconds_and_a_ping_five(r):
    _ask(r, ping(CLIENT, WEB))
    r.wait(9.9)
    _answer(r, ping(WEB, CLIENT, type=0))
    r.wait(4.9)
    _answer(r, ping(WEB, CLIENT, type=0))
    r.wait(5)
    r.send(WEB.port, from_pod(WEB, ping(WEB, CLIENT, type=0))).dropped("icmp_unsolicited")


def an_established_connection_lives_an_hour(r):
    _ask(r, syn(CLIENT, WEB))
    _answer(r, syn_ack(WEB, CLIENT))
    _ask(r, ack(CLIENT, WEB))
    r.wait(3599.9)
    _ask(r, ack(CLIENT, WEB))
    r.wait(3600)
    r.send(CLIENT.port, from_pod(CLIENT, ack(CLIENT, WEB))).dropped("ct_midflow")
