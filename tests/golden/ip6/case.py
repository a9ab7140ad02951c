# SPDX-License-Identifier: Apache-2.0
"""IPv6: carried and judged like IPv4, without a tunnel (reliability 2 and 4)."""
from scene import *


def _refused(r, frames, reason, port=CLIENT.port):
    for frame in frames:
        r.send(port, frame).dropped(reason)


def _to_far(packet):
    return Ether(src=NODE_MAC, dst=PEER_MAC) / packet


def _icmp6(src, dst, message, about, cut=None):
    """An ICMPv6 error of `src` to `dst` that quotes a packet."""
    return ip(src, dst) / message / Raw(bytes(about)[:cut])


def local_pods(r):
    """TCP, UDP and ICMPv6, both ways; one hop is counted."""
    for there, back in ((syn(CLIENT6, WEB6), syn_ack(WEB6, CLIENT6)),
                        (udp(CLIENT6, WEB6), udp(WEB6, CLIENT6, 53, 40000)),
                        (ping6(CLIENT6, WEB6), ping6(WEB6, CLIENT6, answer=True))):
        reaches(r, CLIENT6, WEB6, there)
        reaches(r, WEB6, CLIENT6, back)


def pods_of_other_nodes_and_the_world(r):
    """Plainly: the other node by its own address, the world by a link-local gateway."""
    for peer, wire in ((FAR6, _to_far), (WORLD6, to_gateway)):
        packet = udp(CLIENT6, peer)
        r.send(CLIENT.port, from_pod(CLIENT, packet)).forwarded(UPLINK, wire(hop(packet)))
        reaches(r, peer, CLIENT6, udp(peer, CLIENT6, 53, 40000))
        reaches(r, peer, WEB6, syn(peer, WEB6))


def the_node_itself(r):
    """What is for its address goes to its kernel as it came; its own is not judged."""
    packet = udp(CLIENT6, NODE6)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))
    packet = syn(NODE6, WEB6)
    r.send(HOST, from_host(packet)).forwarded(WEB.port, to_pod(WEB, packet))


def sources(r):
    """A pod has its own; nobody outside has a pod's or the node's."""
    _refused(r, [from_pod(CLIENT, udp(src, WEB6)) for src in (BLUE6, NODE6, WORLD6)],
             "rpf_workload")
    _refused(r, [from_gateway(udp(src, WEB6)) for src in (CLIENT6, NODE6)], "rpf_uplink", UPLINK)
    _refused(r, [from_gateway(udp(WORLD6, PEER6))], "rt_transit", UPLINK)
    _refused(r, [from_pod(CLIENT, udp(CLIENT6, "fd00:10::153:20"))], "rt_blackhole")


def headers(r):
    good = bytes(from_pod(CLIENT, udp(CLIENT6, WEB6)))
    _refused(r, [good[:14], good[:14 + 39]], "ip6_truncated")
    _refused(r, [from_pod(CLIENT, ip(CLIENT6, WEB6, version=v) / UDP()) for v in (0, 4, 5, 15)],
             "ip6_version")
    # The payload has 16 bytes.
    longer = [udp(CLIENT6, WEB6, plen=n) for n in (17, 65535)]
    _refused(r, [from_pod(CLIENT, packet) for packet in longer], "ip6_len")


def padding_goes(r):
    packet = udp(CLIENT6, WEB6)
    r.send(CLIENT.port, bytes(from_pod(CLIENT, packet)) + bytes(6)).forwarded(
        WEB.port, to_pod(WEB, hop(packet)))


def addresses(r):
    """Nobody's, one's own, groups, what holds on one link only, IPv4 in disguise."""
    nobody = ["::", "::1", "ff02::1", "ff0e::1", "fe80::1", "::ffff:10.244.153.201"]
    _refused(r, [from_pod(CLIENT, udp(src, WEB6)) for src in nobody], "ip6_src")
    _refused(r, [from_pod(CLIENT, udp(CLIENT6, dst)) for dst in nobody], "ip6_dst")
    _refused(r, [from_gateway(udp(src, WEB6)) for src in nobody], "ip6_src", UPLINK)
    _refused(r, [from_pod(CLIENT, packet) for packet in (udp(CLIENT6, CLIENT6),
                                                         syn(CLIENT6, CLIENT6))], "ip6_src")


def extension_headers_that_pass(r):
    chains = [IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting(type=2),
              IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(id=9),
              IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt()]
    for number, chain in enumerate(chains):
        reaches(r, CLIENT6, WEB6, ip(CLIENT6, WEB6) / chain / UDP(sport=number + 1, dport=53))


def extension_headers_that_do_not(r):
    option, hop_by_hop = IPv6ExtHdrDestOpt(), IPv6ExtHdrHopByHop()
    nine = option.copy()
    for _ in range(8):
        nine = nine / option
    long = IPv6ExtHdrDestOpt(options=[PadN(otype=1, optdata=bytes(250))])
    chains = [option / hop_by_hop, hop_by_hop / hop_by_hop, IPv6ExtHdrRouting(type=0), nine,
              IPv6ExtHdrFragment() / IPv6ExtHdrFragment(), long / option]
    _refused(r, [from_pod(CLIENT, ip(CLIENT6, WEB6) / chain / UDP(dport=53)) for chain in chains],
             "ip6_ext")
    cut = bytes(from_pod(CLIENT, ip(CLIENT6, WEB6, nh=60, plen=4) / Raw(bytes(4))))
    beyond = from_pod(CLIENT, ip(CLIENT6, WEB6, nh=60) / Raw(b"\x11\x04" + bytes(6)))
    _refused(r, [cut, beyond], "ip6_ext")


def hop_limits(r):
    """0 and 1 are not forwarded; 1 is answered."""
    for limit in (0, 1):
        packet = udp(CLIENT6, WEB6, hlim=limit)
        sent = r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped("ip6_hop")
        if limit == 1:
            sent.emits(CLIENT.port, to_pod(CLIENT, _icmp6(NODE6, CLIENT6, ICMPv6TimeExceeded(),
                                                          packet)))
    # The node is where it ends, so nothing is forwarded.
    packet = udp(CLIENT6, NODE6, hlim=1)
    r.send(CLIENT.port, from_pod(CLIENT, packet)).punted(to_host(packet))


def l4(r):
    wrong = [(syn(CLIENT6, WEB6, dataofs=4), "tcp_offset"),
             (ip(CLIENT6, WEB6) / TCP(dport=80, flags="SF"), "tcp_flags"),
             (ip(CLIENT6, WEB6) / UDP(sport=1, dport=0), "l4_port_zero"),
             (ip(CLIENT6, WEB6) / UDP(sport=1, dport=2, len=7), "udp_len"),
             (ip(CLIENT6, WEB6, nh=6) / Raw(bytes(19)), "l4_truncated"),
             (ip(CLIENT6, WEB6, nh=58) / Raw(bytes(3)), "l4_truncated"),
             (ip(CLIENT6, WEB6) / ICMPv6Unknown(type=100, msgbody=bytes(4)), "icmp_type"),
             (ip(CLIENT6, WEB6) / ICMPv6EchoRequest(cksum=1), "l4_checksum"),
             (ping6(CLIENT6, WEB6, answer=True), "icmp_unsolicited"),
             (ip(CLIENT6, WORLD6, nh=41) / Raw(bytes(40)), "tun_from_workload"),
             (ip(CLIENT6, WORLD6, nh=47) / Raw(bytes(8)), "tun_from_workload")]
    for packet, reason in wrong:
        r.send(CLIENT.port, from_pod(CLIENT, packet)).dropped(reason)


def a_protocol_without_ports(r):
    reaches(r, CLIENT6, WEB6, ip(CLIENT6, WEB6, nh=50) / Raw(bytes(16)))
    reaches(r, WEB6, CLIENT6, ip(WEB6, CLIENT6, nh=50) / Raw(bytes(16)))


def _pieces(packet, id, size):
    """The packet in fragments with so many bytes of payload."""
    payload = bytes(packet.payload)
    for at in range(0, len(payload), size):
        more = int(at + size < len(payload))
        yield ip(packet.src, packet.dst) / IPv6ExtHdrFragment(
            nh=packet.nh, offset=at // 8, m=more, id=id) / Raw(payload[at:at + size])


def _whole(packet):
    """With lengths and checksums filled in."""
    return IPv6(bytes(packet))


def fragments(r):
    """Each piece leaves as it came, none before the first."""
    first, second, third = _pieces(_whole(udp(CLIENT6, WEB6, data=bytes(1000))), 7, 400)
    reaches(r, CLIENT6, WEB6, first)
    reaches(r, CLIENT6, WEB6, third)
    r.send(CLIENT.port, from_pod(CLIENT, third)).dropped("frag_duplicate")
    reaches(r, CLIENT6, WEB6, second)


def fragments_that_overlap(r):
    """RFC 5722: not even a part of it arrives from then on."""
    first, second, third = _pieces(_whole(udp(CLIENT6, WEB6, data=bytes(1000))), 8, 400)
    reaches(r, CLIENT6, WEB6, first)
    liar = ip(CLIENT6, WEB6) / IPv6ExtHdrFragment(nh=17, offset=49, m=1, id=8) / Raw(bytes(400))
    _refused(r, [from_pod(CLIENT, piece) for piece in (liar, second, third)], "frag_overlap")


def fragments_that_hide_something(r):
    """The upper header must be in the first piece (RFC 7112)."""
    tiny = ip(CLIENT6, WEB6) / IPv6ExtHdrFragment(nh=6, m=1, id=9) / Raw(bytes(8))
    r.send(CLIENT.port, from_pod(CLIENT, tiny)).dropped("frag_tiny")
    odd = ip(CLIENT6, WEB6) / IPv6ExtHdrFragment(nh=17, m=1, id=10) / Raw(bytes(15))
    r.send(CLIENT.port, from_pod(CLIENT, odd)).dropped("frag_len")


def errors_about_a_flow_reach_its_sender(r):
    """Unreachable, too big, time exceeded and parameter problem; from the other end and from a
    router on the way."""
    question = _whole(udp(CLIENT6, WEB6))
    reaches(r, CLIENT6, WEB6, question)
    for message in (ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280),
                    ICMPv6TimeExceeded(), ICMPv6ParamProblem()):
        reaches(r, WEB6, CLIENT6, _icmp6(WEB6, CLIENT6, message, question))
    question = _whole(udp(CLIENT6, WORLD6))
    r.send(CLIENT.port, from_pod(CLIENT, question)).forwarded(UPLINK, to_gateway(hop(question)))
    error = _icmp6("2001:db8:1::1", CLIENT6, ICMPv6PacketTooBig(mtu=1280), question)
    r.send(UPLINK, from_gateway(error)).forwarded(CLIENT.port, to_pod(CLIENT, hop(error)))


def errors_that_are_not_about_one(r):
    question = _whole(udp(CLIENT6, WEB6))
    reaches(r, CLIENT6, WEB6, question)
    unreachable = ICMPv6DestUnreach(code=4)
    rows = [(_icmp6(WEB6, CLIENT6, unreachable, question, 40 + 7), "icmp_quote"),
            (_icmp6(WEB6, CLIENT6, unreachable, _whole(_icmp6(CLIENT6, WEB6, unreachable,
                                                              question))), "icmp_quote"),
            (_icmp6(WEB6, CLIENT6, unreachable, _whole(udp(CLIENT6, WEB6, dport=54))),
             "icmp_unrelated"),
            (_icmp6(WEB6, BLUE6, unreachable, question), "icmp_quote_mismatch")]
    for packet, reason in rows:
        r.send(WEB.port, from_pod(WEB, packet)).dropped(reason)


def pods_find_everybody_by_us(r):
    """Their gateway, other pods, addresses on links: all but their own and others' link-local
    ones."""
    for sender in (CLIENT6.ip, "fe80::ff:fe00:1c9"):
        for target in (PROXY6, WEB6.ip, WORLD6):
            r.send(CLIENT.port, solicit(sender, target, CLIENT.mac)).consumed().emits(
                CLIENT.port, advertise(target, PROXY, sender, CLIENT.mac, R=1, S=1, O=0))
    r.send(CLIENT.port, solicit(CLIENT6.ip, PROXY6, CLIENT.mac, dst=PROXY6)).consumed().emits(
        CLIENT.port, advertise(PROXY6, PROXY, CLIENT6.ip, CLIENT.mac, R=1, S=1, O=0))
    for target in (CLIENT6.ip, "fe80::1"):
        r.send(CLIENT.port, solicit(CLIENT6.ip, target, CLIENT.mac)).consumed()
    # Is the address anybody's?  Nobody's.
    r.send(CLIENT.port, solicit("::", CLIENT6.ip, CLIENT.mac)).consumed()
    r.send(CLIENT.port, solicit("::", WEB6.ip, CLIENT.mac)).consumed()


def discovery_that_is_refused(r):
    """From afar, for somebody else, and what only routers say."""
    _refused(r, [solicit(CLIENT6.ip, PROXY6, CLIENT.mac, hlim=254)], "ip6_hop")
    _refused(r, [solicit(WEB6.ip, PROXY6, CLIENT.mac),
                 advertise(WEB6.ip, CLIENT.mac, CLIENT6.ip, PROXY)], "rpf_workload")
    group = "33:33:00:00:00:01"
    advert = Ether(src=CLIENT.mac, dst=group) / IPv6(
        src="fe80::ff:fe00:1c9", dst="ff02::1", hlim=255) / ICMPv6ND_RA()
    redirect = Ether(src=CLIENT.mac, dst=PROXY) / IPv6(
        src="fe80::ff:fe00:1c9", dst=CLIENT6.ip, hlim=255) / ICMPv6ND_Redirect()
    _refused(r, [advert, redirect], "icmp_type")


def neighbours_on_the_uplink(r):
    """Asked for with the node's address; what waits leaves with the answer."""
    target, mac = "fd00:100::77", "02:00:00:00:00:77"
    packet = udp(CLIENT6, target)
    waiting = r.send(CLIENT.port, from_pod(CLIENT, packet)).emits(
        UPLINK, solicit(NODE6, target, NODE_MAC))
    answer = advertise(target, mac, NODE6, NODE_MAC, S=1)
    r.send(UPLINK, answer).consumed().releases(
        waiting, UPLINK, Ether(src=NODE_MAC, dst=mac) / hop(packet))
    r.send(UPLINK, solicit(PEER6, NODE6, PEER_MAC)).consumed().emits(
        UPLINK, advertise(NODE6, NODE_MAC, PEER6, PEER_MAC, R=1, S=1, O=0))
    r.send(UPLINK, solicit(PEER6, CLIENT6.ip, PEER_MAC)).consumed()
