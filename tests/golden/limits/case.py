# SPDX-License-Identifier: Apache-2.0
"""A full connection table: what is established stays (reliability 3)."""
from scene import *


def _flow(n):
    return udp(CLIENT, WEB, sport=1000 + n), udp(WEB, CLIENT, 53, 1000 + n)


def _ask(r, n):
    question = _flow(n)[0]
    return r.send(CLIENT.port, from_pod(CLIENT, question)), to_pod(WEB, hop(question))


def unanswered_flows_hold_half_of_the_table(r):
    for n in range(512):
        sent, out = _ask(r, n)
        sent.forwarded(WEB.port, out)
    for n in range(512, 515):
        _ask(r, n)[0].dropped("ct_embryonic")
    # An answer makes room for another question.
    answer = _flow(0)[1]
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(CLIENT.port, to_pod(CLIENT, hop(answer)))
    sent, out = _ask(r, 515)
    sent.forwarded(WEB.port, out)


def answered_flows_never_give_way(r):
    for n in range(1024):
        sent, out = _ask(r, n)
        sent.forwarded(WEB.port, out)
        answer = _flow(n)[1]
        r.send(WEB.port, from_pod(WEB, answer)).forwarded(
            CLIENT.port, to_pod(CLIENT, hop(answer)))
    _ask(r, 1024)[0].dropped("ct_table_full")
    sent, out = _ask(r, 3)
    sent.forwarded(WEB.port, out)
