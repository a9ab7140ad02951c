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


class _Numbered:
    """A connection whose segments' numbers count from each side's SYN."""

    def __init__(self, r, sport=40001):
        self.r, self.sport = r, sport
        self.first = {CLIENT: 0xFFFFFF00, WEB: 0x7FFFFFF0}
        for src, flags, seq, ack in ((CLIENT, "S", 0, 0), (WEB, "SA", 0, 1), (CLIENT, "A", 1, 1)):
            self.passes(src, flags, seq, ack)

    def _packet(self, src, flags, seq, ack, data):
        dst = WEB if src is CLIENT else CLIENT
        ports = (self.sport, 80) if src is CLIENT else (80, self.sport)
        return dst, ip(src, dst) / TCP(
            sport=ports[0], dport=ports[1], flags=flags, window=1000,
            seq=(self.first[src] + seq) % 2**32,
            ack=(self.first[dst] + ack) % 2**32 if "A" in flags else 0) / Raw(bytes(data))

    def passes(self, src, flags, seq, ack=0, data=0):
        dst, packet = self._packet(src, flags, seq, ack, data)
        self.r.send(src.port, from_pod(src, packet)).forwarded(dst.port, to_pod(dst, hop(packet)))

    def dropped(self, reason, src, flags, seq, ack=0, data=0):
        packet = self._packet(src, flags, seq, ack, data)[1]
        self.r.send(src.port, from_pod(src, packet)).dropped(reason)


def outside_of_the_window(r):
    c = _Numbered(r)
    c.passes(CLIENT, "A", 1, 1, 500)
    c.passes(WEB, "A", 1, 501)
    c.dropped("ct_window", CLIENT, "A", 1502, 1, 1000)
    c.dropped("ct_window", CLIENT, "A", 501, 2)  # acknowledges what was never sent
    c.dropped("ct_window", WEB, "A", 5000, 501, 10)
    c.passes(WEB, "A", 1, 501, 100)
    c.passes(CLIENT, "A", 1, 1, 500)  # sent again
    c.passes(CLIENT, "A", 501, 101)


def resets_by_their_number(r):
    c = _Numbered(r)
    c.passes(CLIENT, "A", 1, 1, 500)
    c.passes(WEB, "A", 1, 501)
    c.dropped("ct_rst", CLIENT, "R", 500)
    c.dropped("ct_window", CLIENT, "R", 5000)
    c.passes(CLIENT, "R", 600)  # in the window: the other side's challenge decides
    c.passes(WEB, "A", 1, 501)
    r.wait(11)
    c.passes(WEB, "A", 1, 501, 10)


def an_icmp_error_quotes_what_is_under_way(r):
    c = _Numbered(r)
    c.passes(CLIENT, "A", 1, 1, 500)

    def error(seq):
        quoted = ip(CLIENT, WEB) / TCP(sport=c.sport, dport=80, flags="A",
                                       seq=(c.first[CLIENT] + seq) % 2**32)
        return ip(WEB, CLIENT) / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(bytes(quoted))
    for seq in (0, 502, 2**31):
        r.send(WEB.port, from_pod(WEB, error(seq))).dropped("icmp_quote_mismatch")
    for seq in (1, 501):
        r.send(WEB.port, from_pod(WEB, error(seq))).forwarded(
            CLIENT.port, to_pod(CLIENT, hop(error(seq))))
