# SPDX-License-Identifier: Apache-2.0
"""path.ipOptions: allow."""
from scene import *

NOPS, RECORD_ROUTE = b"\x01" * 4, b"\x07\x07\x04\x00\x00\x00\x00\x00"


def _with(options, dst=WEB, data=b"x", **fields):
    return ip(CLIENT, dst, options=[Raw(options)], **fields) / UDP(sport=1, dport=2) / Raw(data)


def harmless_ones_pass(r):
    for options in (NOPS, RECORD_ROUTE, b"\x00\x00\x00\x00", b"\x94\x04\x00\x00"):
        packet = _with(options)
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
            WEB.port, to_pod(WEB, hop(packet)))


def source_routes_and_malformed_lists_do_not(r):
    """Loose and strict; a length of 0 or 1, or beyond the header; a type without its length."""
    for options in (b"\x83\x03\x04\x00", b"\x89\x03\x04\x00", b"\x07\x00\x00\x00",
                    b"\x07\x01\x00\x00", b"\x07\x05\x00\x00", b"\x01\x01\x01\x07"):
        r.send(CLIENT.port, from_pod(CLIENT, _with(options))).dropped("ip4_options")


def they_stay_with_the_first_piece(r):
    """Fragmenting copies no option that is not marked for it."""
    packet = _with(RECORD_ROUTE, FAR, bytes(1464), id=99)
    payload = bytes(packet)[28:]
    cut = (1480 - 28) // 8 * 8
    first = ip(CLIENT, FAR, options=[Raw(RECORD_ROUTE)], id=99, ttl=63, proto=17, flags="MF")
    rest = ip(CLIENT, FAR, id=99, ttl=63, proto=17, frag=cut // 8)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
        UPLINK, to_peer(first / Raw(payload[:cut]), id=1), to_peer(rest / Raw(payload[cut:]), id=2))
