# SPDX-License-Identifier: Apache-2.0
"""Fragments go on as they come, judged as one datagram (reliability 4)."""
from scene import *


def _pieces(packet, *cuts):
    """The packet, cut behind so many bytes of its payload."""
    payload = bytes(packet)[packet.ihl * 4 if packet.ihl else 20:]
    ends = list(cuts) + [len(payload)]
    starts = [0] + list(cuts)
    return [ip(packet.src, packet.dst, id=packet.id, proto=packet.proto, frag=start // 8,
               flags="MF" if end != ends[-1] else 0) / Raw(payload[start:end])
            for start, end in zip(starts, ends)]


def _pass(r, piece, dst=WEB):
    r.send(CLIENT.port, from_pod(CLIENT, piece)).forwarded(dst.port, to_pod(dst, hop(piece)))


def later_ones_follow_their_first(r):
    for piece in _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40, 80):
        _pass(r, piece)
    r.rules(("shop/dns-only", "ingress", 0, "allow", 1, 3))


def later_ones_are_refused_with_their_first(r):
    for piece in _pieces(udp(CLIENT, WEB, id=7, dport=99, data=bytes(100)), 40, 80):
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("policy_deny_ingress")


def through_the_tunnel(r):
    first, second = _pieces(udp(FAR, WEB, id=7, data=bytes(100)), 40)
    for piece in (first, second):
        r.send(UPLINK, from_peer(piece)).forwarded(WEB.port, to_pod(WEB, hop(piece)))
    for n, piece in enumerate(_pieces(udp(CLIENT, FAR, id=8, data=bytes(100)), 40), 1):
        r.send(CLIENT.port, from_pod(CLIENT, piece)).forwarded(
            UPLINK, to_peer(hop(piece), id=n))


def another_datagrams_first_is_not_theirs(r):
    """The key: both addresses, protocol, identification and port of arrival; for 30 seconds."""
    first, second = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40)
    r.send(CLIENT.port, from_pod(CLIENT, second)).dropped("frag_no_head")
    _pass(r, first)
    for fields in ({"id": 8}, {"proto": 132}, {"dst": BLUE.ip}):
        stranger = second.copy()
        for name, value in fields.items():
            setattr(stranger, name, value)
        r.send(CLIENT.port, from_pod(CLIENT, stranger)).dropped("frag_no_head")
    r.wait(29.9)
    _pass(r, second)
    r.wait(0.2)
    r.send(CLIENT.port, from_pod(CLIENT, second)).dropped("frag_no_head")


def a_first_one_without_its_header(r):
    """RFC 1858: too little to judge by, or a piece that would write over the TCP flags."""
    for proto, least in ((6, 20), (17, 8), (1, 8), (132, 12)):
        size = (least - 1) // 8 * 8
        piece = ip(CLIENT, WEB, proto=proto, id=7, flags="MF") / Raw(b"\x00\x50" * (size // 2))
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_tiny" if size else "frag_len")
    options = bytes(TCP(dport=53, flags="S", dataofs=10)) + bytes(4)  # of 20 bytes of options
    piece = ip(CLIENT, WEB, proto=6, id=7, flags="MF") / Raw(options)
    r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_tiny")
    piece = ip(CLIENT, WEB, proto=6, id=7, frag=1) / Raw(bytes(16))
    r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_tiny")


def lengths(r):
    """Empty; more to come, but no multiple of 8; beyond 65535 bytes."""
    for piece in (ip(CLIENT, WEB, proto=17, frag=2), ip(CLIENT, WEB, proto=17, flags="MF"),
                  ip(CLIENT, WEB, proto=17, frag=2, flags="MF") / Raw(bytes(12)),
                  ip(CLIENT, WEB, flags="MF") / UDP(dport=53) / Raw(bytes(4))):
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_len")
    piece = ip(CLIENT, WEB, proto=17, frag=8189) / Raw(bytes(8))
    r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_oversize")


def a_fragment_may_be_cut_again_before_the_tunnel(r):
    """What was a middle piece stays one."""
    first, middle, last = _pieces(
        ip(CLIENT, FAR, id=7) / UDP(sport=1, dport=2) / Raw(bytes(range(256)) * 12), 800, 2280)
    r.send(CLIENT.port, from_pod(CLIENT, first)).forwarded(UPLINK, to_peer(hop(first), id=1))
    data = bytes(middle)[20:]
    parts = [ip(CLIENT, FAR, id=7, proto=17, ttl=63, flags="MF", frag=(800 + at) // 8)
             / Raw(data[at:end]) for at, end in ((0, 1456), (1456, 1480))]
    r.send(CLIENT.port, from_pod(CLIENT, middle)).forwarded(
        UPLINK, to_peer(parts[0], id=2), to_peer(parts[1], id=3))
    r.send(CLIENT.port, from_pod(CLIENT, last)).forwarded(UPLINK, to_peer(hop(last), id=4))
