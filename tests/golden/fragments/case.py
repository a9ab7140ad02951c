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


def a_refused_first_refuses_the_rest(r):
    """Whatever the reason was: nothing else can be told of them, least of all a new flow."""
    for id, (l4, reason) in enumerate((
            (TCP(dport=80, flags="SA"), "ct_invalid"), (ICMP(type=0), "icmp_unsolicited"),
            (UDP(dport=4789), "tun_from_workload")), 1):
        first, rest = _pieces(ip(CLIENT, BLUE, id=id) / l4 / Raw(bytes(100)), 80)
        for piece in (first, rest):
            r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped(reason)


def an_icmp_error_in_pieces_is_related_as_a_whole(r):
    """Policy lets nothing but DNS into web; an error about its own question gets there."""
    question = udp(WEB, CLIENT, data=bytes(200))
    reaches(r, WEB, CLIENT, question)
    error = ip(CLIENT, WEB, id=7) / ICMP(type=3, code=3) / Raw(bytes(question))
    for piece in _pieces(error, 80, 160):
        reaches(r, CLIENT, WEB, piece)


def through_the_tunnel(r):
    first, second = _pieces(udp(FAR, WEB, id=7, data=bytes(100)), 40)
    for piece in (first, second):
        r.send(UPLINK, from_peer(piece)).forwarded(WEB.port, to_pod(WEB, hop(piece)))
    for n, piece in enumerate(_pieces(udp(CLIENT, FAR, id=8, data=bytes(100)), 40), 1):
        r.send(CLIENT.port, from_pod(CLIENT, piece)).forwarded(
            UPLINK, to_peer(hop(piece), id=n))


def _waits_in_vain(r, *pieces):
    """For a first one that does not come within 100 ms."""
    for piece in pieces:
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_no_head")
    r.wait(0.2)
    reaches(r, CLIENT, BLUE, udp(CLIENT, BLUE, sport=9))  # something, for the clock to go on


def another_datagrams_first_is_not_theirs(r):
    """The key: both addresses, protocol, identification and port of arrival; for 30 seconds."""
    first, second, third = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40, 80)
    _pass(r, first)
    strangers = [second.copy() for _ in range(3)]
    for stranger, fields in zip(strangers, ({"id": 8}, {"proto": 132}, {"dst": BLUE.ip})):
        for name, value in fields.items():
            setattr(stranger, name, value)
    _waits_in_vain(r, *strangers)
    r.wait(29.7)
    _pass(r, second)
    r.wait(30)
    _waits_in_vain(r, third)


def those_before_their_first_wait_for_it(r):
    """And go on in the order they came, right behind it."""
    first, *rest = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40, 64, 80)
    waiting = [r.send(CLIENT.port, from_pod(CLIENT, piece)) for piece in reversed(rest)]
    r.wait(0.09)
    _pass(r, first)
    head = r.sent[-1]
    for sent, piece in zip(waiting, reversed(rest)):
        head.releases(sent, WEB.port, to_pod(WEB, hop(piece)))
    r.rules(("shop/dns-only", "ingress", 0, "allow", 1, 4))


def those_before_a_refused_first_are_refused_with_it(r):
    first, *rest = _pieces(udp(CLIENT, WEB, id=7, dport=99, data=bytes(100)), 40, 80)
    for piece in rest + [first]:
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("policy_deny_ingress")


def eight_wait_for_one_first(r):
    first, *rest = _pieces(udp(CLIENT, WEB, id=7, data=bytes(200)), *range(40, 120, 8))
    waiting = [r.send(CLIENT.port, from_pod(CLIENT, piece)) for piece in rest[:8]]
    for piece in rest[8:]:
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_no_head")
    _pass(r, first)
    head = r.sent[-1]
    for sent, piece in zip(waiting, rest):
        head.releases(sent, WEB.port, to_pod(WEB, hop(piece)))


def one_that_still_waits_at_the_end_is_held(r):
    _, second = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40)
    r.send(CLIENT.port, from_pod(CLIENT, second)).held()


def overlaps_poison_the_datagram(r):
    """RFC 5722, for IPv4 too: no byte of it passes any more, not even one sent before."""
    first, second, third = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40, 80)
    _pass(r, first)
    over = ip(CLIENT, WEB, id=7, proto=17, frag=4, flags="MF") / Raw(b"\xff" * 16)
    for piece in (over, second, third, first):
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_overlap")
    r.wait(30)
    _pass(r, first)
    # What waits goes, too, when its overlap comes.
    _, waits, _ = _pieces(udp(CLIENT, WEB, id=8, data=bytes(100)), 40, 80)
    r.send(CLIENT.port, from_pod(CLIENT, waits)).dropped("frag_overlap")
    over.id, over.frag = 8, 6
    r.send(CLIENT.port, from_pod(CLIENT, over)).dropped("frag_overlap")


def duplicates_do_no_harm(r):
    first, second, third = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40, 80)
    for piece in (first, second):
        _pass(r, piece)
        r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_duplicate")
    _pass(r, third)
    # It was whole: what comes now is another datagram of that identification.
    _pass(r, first)


def ends_that_contradict(r):
    first, second, last = _pieces(udp(CLIENT, WEB, id=7, data=bytes(100)), 40, 80)
    _pass(r, first)
    _pass(r, last)
    for fields in ({"frag": 20}, {"frag": 5}, {"frag": 20, "flags": "MF"}):
        liar = ip(CLIENT, WEB, id=7, proto=17, **fields) / Raw(bytes(16))
        r.send(CLIENT.port, from_pod(CLIENT, liar)).dropped("frag_len")
    _pass(r, second)


def sixty_four_pieces_are_enough(r):
    packet = udp(CLIENT, WEB, id=7, data=bytes(8 * 66))
    for n, piece in enumerate(_pieces(packet, *range(8, 8 * 67, 8))):
        if n < 64:
            _pass(r, piece)
        else:
            r.send(CLIENT.port, from_pod(CLIENT, piece)).dropped("frag_too_many")


def a_source_may_have_an_eighth_of_the_table(r):
    """2048 datagrams that are not whole; others are not in its way."""
    for id in range(1, 2049):
        _pass(r, ip(CLIENT, BLUE, id=id, flags="MF") / UDP(sport=1, dport=2) / Raw(bytes(8)), BLUE)
    more = ip(CLIENT, BLUE, id=2049, flags="MF") / UDP(sport=1, dport=2) / Raw(bytes(8))
    r.send(CLIENT.port, from_pod(CLIENT, more)).dropped("frag_table_full")
    for piece in _pieces(udp(BLUE, CLIENT, id=7, data=bytes(100)), 40):
        reaches(r, BLUE, CLIENT, piece)


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
