# SPDX-License-Identifier: Apache-2.0
"""What bytes can get wrong, layer by layer, and what only looks wrong (reliability 2)."""
from scene import *


def _refused(r, frames, reason, port=CLIENT.port):
    for frame in frames:
        r.send(port, frame).dropped(reason)


def _passes(r, packet, dst=WEB, **changed):
    """From the client to `dst`; `changed`: IPv4 fields that differ on the way out."""
    onward = hop(packet)
    for field, value in changed.items():
        setattr(onward, field, value)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(dst.port, to_pod(dst, onward))


def ethernet(r):
    good = from_pod(CLIENT, udp(CLIENT, WEB))
    rest = bytes(good)[14:]
    _refused(r, [bytes(good)[:1], bytes(good)[:13]], "l2_runt")
    _refused(r, [from_pod(CLIENT, udp(CLIENT, WEB, data=bytes(1473)))], "l2_oversize")
    groups = [BROADCAST, "01:00:5e:00:00:01", "03:00:00:00:00:01"]
    _refused(r, [Ether(src=CLIENT.mac, dst=to, type=0x0800) / rest for to in groups], "l2_bad_dst")
    liars = [BROADCAST, "01:00:5e:00:00:01", "00:00:00:00:00:00", PROXY]
    _refused(r, [Ether(src=of, dst="02:00:00:00:00:09", type=0x0800) / rest for of in liars],
             "l2_bad_src")
    tags = [(0x8100, 0), (0x8100, 5), (0x88A8, 5), (0x9100, 5)]  # VID 0 is a priority tag
    _refused(r, [Ether(src=CLIENT.mac, dst=PROXY, type=type) / (vid.to_bytes(2, "big") + b"\x08\x00"
                 + rest) for type, vid in tags], "l2_vlan")
    # LLC, MAC control, LLDP, PPPoE, MPLS, EAPOL, the last before IPv4
    types = [46, 1500, 0x8808, 0x88CC, 0x8863, 0x8864, 0x8847, 0x888E, 0x07FF, 0x0801]
    for port, src, dst in ((CLIENT.port, CLIENT.mac, PROXY), (UPLINK, PEER_MAC, NODE_MAC)):
        _refused(r, [Ether(src=src, dst=dst, type=type) / rest for type in types], "l2_ethertype",
                 port)


def the_longest_frame_fits(r):
    _passes(r, udp(CLIENT, WEB, data=bytes(1472)))


def padding_goes(r):
    """Short frames are padded to 60 bytes on a wire; nothing of that is forwarded."""
    packet = udp(CLIENT, WEB)
    frame = bytes(from_pod(CLIENT, packet))
    r.send(CLIENT.port, frame + b"\x55" * (60 - len(frame))).forwarded(
        WEB.port, to_pod(WEB, hop(packet)))


def ipv4_header(r):
    good = bytes(from_pod(CLIENT, udp(CLIENT, WEB)))
    _refused(r, [good[:14], good[:14 + 19]], "ip4_truncated")
    six_words = udp(CLIENT, WEB)
    six_words.ihl = 6
    _refused(r, [bytes(from_pod(CLIENT, six_words))[:14 + 22]], "ip4_truncated")

    def with_header(**fields):
        return from_pod(CLIENT, udp(CLIENT, WEB, **fields))

    _refused(r, [with_header(version=v) for v in (0, 5, 6, 15)], "ip4_version")
    _refused(r, [with_header(ihl=n) for n in range(5)], "ip4_ihl")
    # The packet has 36 bytes.
    _refused(r, [with_header(len=n) for n in (0, 19, 37, 65535)], "ip4_total_len")
    _refused(r, [with_header(chksum=n) for n in (0, 0xFFFF, 0x1234)], "ip4_checksum")


def ipv4_options(r):
    """Dropped unless path.ipOptions allows them: see options/."""
    for option in (b"\x01" * 4, b"\x07\x07\x04\x00\x00\x00\x00\x00", b"\x83\x03\x04\x00"):
        packet = ip(CLIENT, WEB, options=[Raw(option)]) / UDP(sport=1, dport=2)
        r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("ip4_options")


def ipv4_addresses(r):
    nobody = ["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.1.2.3",
              "240.0.0.1", "255.255.255.255"]
    _refused(r, [from_pod(CLIENT, udp(src, WEB)) for src in nobody], "ip4_src")
    _refused(r, [from_pod(CLIENT, udp(CLIENT, dst)) for dst in nobody], "ip4_dst")
    _refused(r, [from_pod(CLIENT, udp("192.168.100.255", WEB))], "ip4_src")
    _refused(r, [from_pod(CLIENT, udp(CLIENT, "192.168.100.255"))], "ip4_dst")
    land = [udp(CLIENT, CLIENT), udp(CLIENT, CLIENT, 7, 7), syn(CLIENT, CLIENT)]
    _refused(r, [from_pod(CLIENT, packet) for packet in land], "ip4_land")
    _refused(r, [from_gateway(udp(src, WEB)) for src in nobody + ["192.168.100.255"]], "ip4_src",
             UPLINK)


def flags_that_are_no_reason(r):
    """The reserved bit; DF with an offset counts as a later fragment, no more."""
    _passes(r, udp(CLIENT, WEB, flags="evil"))
    _passes(r, udp(CLIENT, WEB, flags="DF+evil", sport=2))
    later = ip(CLIENT, WEB, proto=17, id=5, frag=10, flags="DF") / Raw(bytes(16))
    r.send(CLIENT.port, from_pod(CLIENT, later)).held()


def _cut(packet, l4_bytes):
    """The packet with so many bytes behind its 20 of IPv4."""
    return ip(packet.src, packet.dst, proto=packet.proto) / Raw(bytes(packet)[20:20 + l4_bytes])


def l4_headers(r):
    whole = [(syn(CLIENT, WEB), 20), (udp(CLIENT, WEB), 8), (ping(CLIENT, WEB), 8),
             (ip(CLIENT, WEB) / SCTP(sport=1, dport=2), 12)]
    for packet, length in whole:
        for present in (0, length - 1):
            r.send(CLIENT.port, from_pod(CLIENT, _cut(packet, present))).dropped("l4_truncated")
    _refused(r, [from_pod(CLIENT, syn(CLIENT, WEB, dataofs=n)) for n in (0, 4, 6, 15)],
             "tcp_offset")
    zero = [TCP(sport=0, dport=80), TCP(sport=80, dport=0), UDP(sport=5, dport=0),
            SCTP(sport=0, dport=5), SCTP(sport=5, dport=0)]
    _refused(r, [from_pod(CLIENT, ip(CLIENT, WEB) / l4) for l4 in zero], "l4_port_zero")
    lengths = [ip(CLIENT, WEB) / UDP(sport=1, dport=2, len=n) / b"12345678" for n in (0, 7, 17)]
    _refused(r, [from_pod(CLIENT, packet) for packet in lengths], "udp_len")


def l4_headers_that_are_fine(r):
    _passes(r, udp(CLIENT, WEB, sport=0))
    _passes(r, ip(CLIENT, WEB) / SCTP(sport=1, dport=2))
    for port, options in enumerate(([], [("MSS", 1460)], [("EOL", None)] * 40), 1):
        _passes(r, ip(CLIENT, WEB) / TCP(sport=port, dport=80, flags="S", options=options))
    # UDP may be shorter than what IP carries; the rest is not summed.
    short = ip(CLIENT, WEB) / UDP(sport=1, dport=2) / b"12345678"
    _passes(r, ip(CLIENT, WEB, proto=17) / Raw(bytes(short)[20:] + b"trailing"))


def tcp_flags(r):
    """Of the 64 combinations nine mean something; PSH is not looked at, nor ECE and CWR."""
    good = {"S", "SU", "SA", "R", "RA", "FA", "FAU", "A", "AU"}
    for bits in range(64):
        packet = ip(CLIENT, WEB) / TCP(sport=1000 + bits, dport=80, flags=bits)
        name = {f for f in str(packet[TCP].flags) if f != "P"}
        if name not in [set(g) for g in good]:
            r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("tcp_flags")
    _passes(r, ip(CLIENT, WEB) / TCP(sport=1, dport=80, flags="SPEC"))
    _passes(r, ip(CLIENT, WEB) / TCP(sport=2, dport=80, flags="SU"))


def l4_checksums(r):
    """What opens or closes a connection, and all ICMP, must have them right."""
    for l4 in (TCP(dport=80, flags="S", chksum=1), UDP(dport=53, chksum=1), ICMP(chksum=1)):
        r.send(CLIENT.port, from_pod(CLIENT, ip(CLIENT, WEB) / l4 / b"x")).dropped("l4_checksum")
    _passes(r, ip(CLIENT, WEB) / UDP(dport=53, chksum=0) / b"none")
    _passes(r, udp(CLIENT, WEB, sport=9))
    # Of an established connection it is the receiver's to check.
    _passes(r, ip(CLIENT, WEB) / UDP(sport=9, dport=53, chksum=1) / b"question")


def icmp_types(r):
    """Errors 3, 11, 12 and queries 8, 13 with their answers; no redirects, routers, masks."""
    for type in set(range(256)) - {0, 3, 8, 11, 12, 13, 14}:
        packet = ip(CLIENT, WEB, proto=1) / Raw(bytes([type]) + bytes(7))
        r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("icmp_type")
    _refused(r, [from_pod(CLIENT, ping(CLIENT, WEB, type=t)) for t in (0, 14)], "icmp_unsolicited")
