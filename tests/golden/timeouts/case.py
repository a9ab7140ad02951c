# SPDX-License-Identifier: Apache-2.0
"""How long a silent connection lives, in capture time: the `linux` timeouts."""
from scene import *


def _ask(r, packet):
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def _answer(r, packet):
    r.send(WEB.port, from_pod(WEB, packet)).forwarded(CLIENT.port, to_pod(CLIENT, hop(packet)))


def _late(r, packet, reason="policy_deny_ingress"):
    r.send(WEB.port, from_pod(WEB, packet)).dropped(reason)


QUESTION, ANSWER = udp(CLIENT, WEB), udp(WEB, CLIENT, 53, 40000)


def udp_without_an_answer_lives_30_seconds(r):
    _ask(r, QUESTION)
    r.wait(29.9)
    _ask(r, QUESTION)  # and is kept alive by its sender
    r.wait(29.9)
    _answer(r, ANSWER)
    _ask(r, udp(CLIENT, WEB, sport=9))
    r.wait(30)
    _late(r, udp(WEB, CLIENT, 53, 9))


def udp_with_an_answer_lives_120_seconds(r):
    _ask(r, QUESTION)
    _answer(r, ANSWER)
    r.wait(119.9)
    _answer(r, ANSWER)
    r.wait(120)
    _late(r, ANSWER)


def a_ping_lives_30_seconds(r):
    _ask(r, ping(CLIENT, WEB))
    r.wait(29.9)
    _answer(r, ping(WEB, CLIENT, type=0))
    r.wait(30)
    _late(r, ping(WEB, CLIENT, type=0), "icmp_unsolicited")


def other_protocols_live_600_seconds(r):
    packet = lambda src, dst: ip(src, dst, proto=89) / Raw(b"ospf")
    _ask(r, packet(CLIENT, WEB))
    r.wait(599.9)
    _answer(r, packet(WEB, CLIENT))
    r.wait(600)
    _late(r, packet(WEB, CLIENT))


class _Numbers:
    """Segments with the numbers that two kernels would give them."""

    def __init__(self):
        self.next = {CLIENT: 1000, WEB: 5000}

    def segment(self, src, flags):
        dst, ports = (WEB, (9, 80)) if src is CLIENT else (CLIENT, (80, 9))
        seq = self.next[src]
        self.next[src] += "S" in flags or "F" in flags
        return ip(src, dst) / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq,
                                  ack=self.next[dst] if "A" in flags else 0)


def _tcp_lives(r, so_far, seconds, flags):
    """After the segments `so_far` the next of WEB passes just before `seconds`, not after."""
    for run in range(2):
        numbers = _Numbers()
        for src, f in so_far:
            (_ask if src is CLIENT else _answer)(r, numbers.segment(src, f))
        r.wait(seconds - 0.1 if run == 0 else seconds)
        if run == 0:
            _answer(r, numbers.segment(WEB, flags))
            # Ends this connection, so that the next begins anew.
            _ask(r, numbers.segment(CLIENT, "R"))
            r.wait(11)
        else:
            _late(r, numbers.segment(WEB, flags), "ct_invalid" if flags != "A" else "ct_midflow")


OPEN = [(CLIENT, "S"), (WEB, "SA"), (CLIENT, "A")]


def tcp_syn_sent_120_seconds(r):
    _tcp_lives(r, OPEN[:1], 120, "SA")


def tcp_syn_recv_60_seconds(r):
    _tcp_lives(r, OPEN[:2], 60, "SA")


def tcp_established_five_days(r):
    _tcp_lives(r, OPEN, 432000, "A")


def tcp_fin_wait_120_seconds(r):
    _tcp_lives(r, OPEN + [(CLIENT, "FA")], 120, "A")


def tcp_close_wait_60_seconds(r):
    _tcp_lives(r, OPEN + [(CLIENT, "FA"), (WEB, "A")], 60, "FA")


def tcp_last_ack_30_seconds(r):
    _tcp_lives(r, OPEN + [(CLIENT, "FA"), (WEB, "A"), (WEB, "FA")], 30, "FA")


def tcp_time_wait_120_seconds(r):
    _tcp_lives(r, OPEN + [(CLIENT, "FA"), (WEB, "A"), (WEB, "FA"), (CLIENT, "A")], 120, "FA")


def tcp_closed_by_reset_10_seconds(r):
    _tcp_lives(r, OPEN + [(CLIENT, "R")], 10, "RA")
