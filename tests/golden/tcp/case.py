# SPDX-License-Identifier: Apache-2.0
"""TCP connections, state by state (reliability 3)."""
from scene import *


class _Connection:
    """CLIENT to WEB; says of each segment whether it passes."""

    def __init__(self, r, sport=40000):
        self.r, self.sport = r, sport

    def _packet(self, src, flags):
        ports = (self.sport, 80) if src is CLIENT else (80, self.sport)
        dst = WEB if src is CLIENT else CLIENT
        seq, ack = (1000, 5000) if src is CLIENT else (5000, 1000)
        l4 = TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq + ("S" not in flags),
                 ack=ack + 1 if "A" in flags else 0)
        return ip(src, dst) / l4, dst

    def passes(self, src, flags):
        packet, dst = self._packet(src, flags)
        self.r.send(src.port, from_pod(src, packet)).forwarded(
            dst.port, to_pod(dst, hop(packet)))

    def dropped(self, src, flags, reason):
        self.r.send(src.port, from_pod(src, self._packet(src, flags)[0])).dropped(reason)

    def opens(self):
        for src, flags in ((CLIENT, "S"), (WEB, "SA"), (CLIENT, "A")):
            self.passes(src, flags)


def from_the_first_syn_to_the_last_ack(r):
    c = _Connection(r)
    c.opens()
    for src, flags in ((CLIENT, "PA"), (WEB, "A"), (WEB, "PA"), (CLIENT, "A"),
                       (CLIENT, "FA"), (WEB, "A"), (WEB, "FA"), (CLIENT, "A")):
        c.passes(src, flags)


def nothing_but_a_syn_begins(r):
    c = _Connection(r)
    for flags in ("SA", "FA", "R", "RA"):
        c.dropped(CLIENT, flags, "ct_invalid")
        c.dropped(WEB, flags, "ct_invalid")


def before_the_handshake_is_done(r):
    c = _Connection(r)
    c.passes(CLIENT, "S")
    c.passes(CLIENT, "S")  # sent again
    c.dropped(CLIENT, "A", "ct_invalid")
    c.dropped(CLIENT, "FA", "ct_invalid")
    c.dropped(WEB, "FA", "ct_invalid")
    c.passes(WEB, "SA")
    c.passes(WEB, "SA")
    c.dropped(WEB, "S", "ct_invalid")
    c.passes(CLIENT, "A")
    c.dropped(CLIENT, "SA", "ct_invalid")


def both_begin_at_once(r):
    c = _Connection(r)
    for src, flags in ((CLIENT, "S"), (WEB, "S"), (CLIENT, "SA"), (WEB, "SA"), (CLIENT, "A"),
                       (WEB, "PA"), (CLIENT, "A")):
        c.passes(src, flags)


def a_refused_connection(r):
    """RST instead of an answer; the same ports may begin again at once."""
    c = _Connection(r)
    c.passes(CLIENT, "S")
    c.passes(WEB, "RA")
    c.opens()


def a_closed_connection_may_be_opened_again(r):
    c = _Connection(r)
    c.opens()
    for src, flags in ((CLIENT, "FA"), (WEB, "FA"), (CLIENT, "A")):
        c.passes(src, flags)
    c.opens()


def in_the_middle(r):
    """For two minutes after a start without saved state a connection may be picked up."""
    _Connection(r, 1).passes(CLIENT, "A")
    c = _Connection(r, 2)
    c.passes(WEB, "PA")
    c.passes(CLIENT, "A")
    r.wait(119)
    _Connection(r, 3).passes(CLIENT, "A")
    r.wait(1)
    _Connection(r, 4).dropped(CLIENT, "A", "ct_midflow")
    c.passes(WEB, "PA")
