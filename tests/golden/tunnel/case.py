# SPDX-License-Identifier: Apache-2.0
"""IPIP between the nodes (reliability 5)."""
from scene import *


def to_a_remote_pod(r):
    """Outer: from node to node, TTL 64, DSCP and ECN copied, DF, numbered, checksum right."""
    for number, tos in enumerate((0, 0xB8, 0x03, 0xFF), 1):
        packet = udp(CLIENT, FAR, tos=tos, ttl=9, id=77, sport=number)
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
            UPLINK, to_peer(hop(packet), id=number, tos=tos))


def from_a_remote_pod(r):
    """The inner packet, a TTL less; the outer TTL does not count.  The answer goes back."""
    question, answer = syn(FAR, WEB), syn_ack(WEB, FAR)
    r.send(UPLINK, from_peer(question, ttl=1)).forwarded(WEB.port, to_pod(WEB, hop(question)))
    r.send(WEB.port, from_pod(WEB, answer)).forwarded(UPLINK, to_peer(hop(answer), id=1))


def padding_inside_goes_too(r):
    packet = udp(FAR, WEB)
    r.send(UPLINK, bytes(from_peer(packet)) + bytes(9)).forwarded(
        WEB.port, to_pod(WEB, hop(packet)))
    outer = Ether(src=PEER_MAC, dst=NODE_MAC) / IP(src=PEER, dst=NODE, proto=4) / Raw(
        bytes(packet) + b"inside")
    r.send(UPLINK, outer).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def congestion_is_passed_on(r):
    """RFC 6040: inner ECN by outer ECN; a mark that the sender could not understand drops."""
    not_ect, ect1, ect0, ce = 0, 1, 2, 3
    table = {  # (outer, inner): what leaves
        (not_ect, not_ect): not_ect, (not_ect, ect0): ect0, (not_ect, ect1): ect1,
        (not_ect, ce): ce, (ect0, not_ect): not_ect, (ect0, ect0): ect0, (ect0, ect1): ect1,
        (ect0, ce): ce, (ect1, not_ect): not_ect, (ect1, ect0): ect1, (ect1, ect1): ect1,
        (ect1, ce): ce, (ce, ect0): ce, (ce, ect1): ce, (ce, ce): ce}
    for (outer, inner), result in table.items():
        packet = udp(FAR, WEB, tos=0xB8 | inner)
        onward = hop(packet)
        onward.tos = 0xB8 | result
        r.send(UPLINK, from_peer(packet, tos=outer)).forwarded(WEB.port, to_pod(WEB, onward))
    r.send(UPLINK, from_peer(udp(FAR, WEB), tos=ce)).dropped("tun_ecn")


def who_may_tunnel(r):
    """Known nodes only, each for its own pods, and only to ours."""
    r.send(UPLINK, from_peer(udp(FAR, WEB), src="192.168.100.113")).dropped("tun_src")
    r.send(UPLINK, from_peer(udp(FAR, WEB), src=WORLD)).dropped("tun_src")
    for src in (CLIENT, TUNNEL, NODE, WORLD, "10.244.99.1", "10.244.153.250"):
        r.send(UPLINK, from_peer(udp(src, WEB))).dropped("rpf_tunnel")
    for dst in (WORLD, GREEN, PEER, "192.168.100.50", "10.244.153.250"):
        r.send(UPLINK, from_peer(udp(FAR, dst))).dropped("tun_dst")
    r.send(UPLINK, from_peer(udp(FAR, WEB), dst="192.168.100.113")).dropped("rt_transit")


def the_other_node_itself(r):
    """Its own address and its tunnel's are behind it as its pods are."""
    for src in (PEER, "10.244.146.192"):
        packet = udp(src, WEB)
        r.send(UPLINK, from_peer(packet)).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def one_tunnel_is_enough(r):
    for protocol in (4, 41, 47):
        nested = ip(FAR, WEB, proto=protocol) / Raw(bytes(udp(FAR, WEB)))
        r.send(UPLINK, from_peer(nested)).dropped("tun_nested")


def the_outer_header(r):
    """Is validated as any; its fragments are refused."""
    r.send(UPLINK, from_peer(udp(FAR, WEB), chksum=1)).dropped("ip4_checksum")
    r.send(UPLINK, from_peer(udp(FAR, WEB), flags="MF")).dropped("tun_fragment")
    r.send(UPLINK, from_peer(udp(FAR, WEB), flags=0, frag=100)).dropped("tun_fragment")


def the_inner_header(r):
    """Is validated as the outer one, by what the outer carries."""
    rows = [(udp(FAR, WEB, version=6), "ip4_version"), (udp(FAR, WEB, ihl=4), "ip4_ihl"),
            (udp(FAR, WEB, len=37), "ip4_total_len"), (udp(FAR, WEB, chksum=1), "ip4_checksum"),
            (udp("127.0.0.1", WEB), "ip4_src"), (udp(FAR, "224.0.0.1"), "ip4_dst"),
            (udp(FAR, FAR), "ip4_land"), (Raw(bytes(19)), "ip4_truncated"),
            (ip(FAR, WEB, options=[Raw(b"\x01" * 4)]) / UDP(dport=5), "ip4_options"),
            (udp(FAR, WEB, ttl=0), "ip4_ttl"),
            (ip(FAR, WEB, proto=17) / Raw(bytes(7)), "l4_truncated"),
            (ip(FAR, WEB) / TCP(flags="SF"), "tcp_flags")]
    for packet, reason in rows:
        r.send(UPLINK, from_peer(packet)).dropped(reason)
    inside6 = IPv6(src="fd00::1", dst="fd00::2") / UDP(dport=5)
    r.send(UPLINK, from_peer(inside6)).dropped("ip4_version")


def the_inner_source_is_checked_before_the_rest(r):
    r.send(UPLINK, from_peer(ip(CLIENT, WEB) / TCP(flags="SF"))).dropped("rpf_tunnel")
    later = ip(CLIENT, WEB, proto=17, id=5, frag=10) / Raw(bytes(16))
    r.send(UPLINK, from_peer(later)).dropped("rpf_tunnel")
    r.send(UPLINK, from_peer(udp(CLIENT, WEB), tos=3)).dropped("rpf_tunnel")


def unfinished_inside(r):
    """The sending node did not finish its pod's checksum: done here."""
    packet = udp(FAR, WEB, data=b"12345678")
    unfinished = packet.copy()
    pseudo = bytes(packet)[12:20] + bytes([0, 17]) + len(packet[UDP]).to_bytes(2, "big")
    total = sum(int.from_bytes(pseudo[i:i + 2], "big") for i in range(0, 12, 2))
    unfinished[UDP].chksum = (total & 0xFFFF) + (total >> 16)
    r.send(UPLINK, from_peer(unfinished)).forwarded(WEB.port, to_pod(WEB, hop(packet)))


def without_the_tunnel(r):
    """A remote pod must come through it; nobody outside is a local pod or the node."""
    for src in (FAR, WEB, NODE, TUNNEL, "10.244.146.192"):
        r.send(UPLINK, from_gateway(udp(src, CLIENT))).dropped("rpf_uplink")


def the_last_hop_is_told_through_the_tunnel(r):
    last = udp(FAR, WEB, ttl=1)
    r.send(UPLINK, from_peer(last)).dropped("ip4_ttl").emits(
        UPLINK, to_peer(icmp_error(FAR, 11, 0, last, id=1), id=2))


def the_tunnel_takes_1480_bytes(r):
    """One more, DF set: ICMP 3/4 names the tunnel's MTU, quoting up to 576 bytes in all."""
    fits = udp(CLIENT, FAR, data=bytes(1480 - 28), flags="DF")
    r.send(CLIENT.port, from_pod(CLIENT, fits)).forwarded(UPLINK, to_peer(hop(fits), id=1))
    big = udp(CLIENT, FAR, data=bytes(1480 - 27), flags="DF")
    r.send(CLIENT.port, from_pod(CLIENT, big)).dropped("mtu_exceeded").emits(
        CLIENT.port, to_pod(CLIENT, icmp_error(CLIENT, 3, 4, big, id=2, mtu=1480)))


def the_tunnel_takes_less_when_a_router_says_so(r):
    """ICMP 3/4 about our own outer packet to a known node, for 600 seconds."""
    def told(mtu, **outer):
        quoted = IP(**(dict(src=NODE, dst=PEER, proto=4, flags="DF") | outer)) / Raw(bytes(8))
        return from_gateway(ip(GATEWAY, NODE) / ICMP(type=3, code=4, nexthopmtu=mtu) / quoted)

    def fits(size, id):
        packet = udp(CLIENT, FAR, data=bytes(size - 28), flags="DF")
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(UPLINK, to_peer(hop(packet), id=id))

    r.send(UPLINK, told(1300, dst="192.168.100.113")).dropped("icmp_unrelated")
    r.send(UPLINK, told(1300, src="192.168.100.113")).dropped("icmp_quote_mismatch")
    r.send(UPLINK, told(500)).dropped("icmp_quote_mismatch")
    fits(1480, id=1)
    r.send(UPLINK, told(1300)).consumed()
    fits(1280, id=2)
    big = udp(CLIENT, FAR, data=bytes(1281 - 28), flags="DF")
    r.send(CLIENT.port, from_pod(CLIENT, big)).dropped("mtu_exceeded").emits(
        CLIENT.port, to_pod(CLIENT, icmp_error(CLIENT, 3, 4, big, id=3, mtu=1280)))
    r.send(CLIENT.port, from_pod(CLIENT, big)).dropped("mtu_exceeded")  # told a moment ago
    r.wait(600)
    fits(1480, id=4)


def what_may_be_cut_is_cut_before_the_tunnel(r):
    """DF clear: fragments of at most 1480 bytes, each with an outer header of its own."""
    cut = (1480 - 20) // 8 * 8
    for size, id in ((1481, 1), (1500, 3)):
        packet = ip(CLIENT, FAR, id=99) / UDP(sport=1, dport=2) / Raw(bytes(size - 28))
        payload = bytes(packet)[20:]
        first = ip(CLIENT, FAR, id=99, ttl=63, proto=17, flags="MF") / Raw(payload[:cut])
        rest = ip(CLIENT, FAR, id=99, ttl=63, proto=17, frag=cut // 8) / Raw(payload[cut:])
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(
            UPLINK, to_peer(first, id=id), to_peer(rest, id=id + 1))
